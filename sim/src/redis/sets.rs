//! Commands about sets.

use super::answers::{Answer, bulk, bulk_or_null, count, integer};
use super::dataset::{Dataset, RedisSet};
use parlor_core::redis::RespValue;

pub(super) fn sadd(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    data.change(words[0], |set: &mut RedisSet| {
        count(words[1..].iter().filter(|member| set.0.insert(member.to_vec())).count())
    })
}

pub(super) fn srem(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    data.change(words[0], |set: &mut RedisSet| count(words[1..].iter().filter(|member| set.0.remove(**member)).count()))
}

pub(super) fn scard(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(count(data.get::<RedisSet>(words[0])?.map_or(0, |set| set.0.len())))
}

pub(super) fn smembers(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let set = data.get::<RedisSet>(words[0])?;
    Ok(RespValue::Set(set.map_or_else(Vec::new, |set| set.0.iter().map(bulk).collect())))
}

/// SPOP: a server takes any members, the model the first ones.
pub(super) fn spop(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let positive =
        |number: i64| usize::try_from(number).map_err(|_| "ERR value is out of range, must be positive".into());
    let many = words.get(1).map(|number| integer(number).and_then(positive)).transpose()?;
    data.change(words[0], |set: &mut RedisSet| match many {
        None => bulk_or_null(set.0.pop_first().as_deref()),
        Some(many) => RespValue::Set((0..many).map_while(|_| set.0.pop_first()).map(bulk).collect()),
    })
}
