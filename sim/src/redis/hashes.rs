//! Commands about hashes.

use super::answers::{Answer, bulk, bulk_or_null, count, integer, wrong_number};
use super::dataset::{Dataset, RedisHash};
use parlor_core::redis::RespValue;

impl RedisHash {
    fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// True if it is a new one.
    fn set_field(&mut self, name: &[u8], value: &[u8]) -> bool {
        match self.0.iter_mut().find(|(field, _)| field == name) {
            Some((_, before)) => *before = value.to_vec(),
            None => {
                self.0.push((name.to_vec(), value.to_vec()));
                return true;
            }
        }
        false
    }
}

pub(super) fn hget(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let hash = data.get::<RedisHash>(words[0])?;
    Ok(bulk_or_null(hash.and_then(|hash| hash.field(words[1]))))
}

pub(super) fn hmget(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let hash = data.get::<RedisHash>(words[0])?;
    let field = |name: &&[u8]| bulk_or_null(hash.as_ref().and_then(|hash| hash.field(name)));
    Ok(RespValue::Array(words[1..].iter().map(field).collect()))
}

pub(super) fn hset(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let (pairs, rest) = words[1..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong_number("hset"));
    }
    data.change(words[0], |hash: &mut RedisHash| {
        count(pairs.iter().filter(|[name, value]| hash.set_field(name, value)).count())
    })
}

pub(super) fn hdel(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    data.change(words[0], |hash: &mut RedisHash| {
        let before = hash.0.len();
        hash.0.retain(|(field, _)| !words[1..].contains(&&**field));
        count(before - hash.0.len())
    })
}

pub(super) fn hlen(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(count(data.get::<RedisHash>(words[0])?.map_or(0, |hash| hash.0.len())))
}

pub(super) fn hexists(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let hash = data.get::<RedisHash>(words[0])?;
    Ok(count(usize::from(hash.is_some_and(|hash| hash.field(words[1]).is_some()))))
}

pub(super) fn hgetall(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let pairs = data.get::<RedisHash>(words[0])?.map_or(&[][..], |hash| &hash.0);
    Ok(RespValue::Map(pairs.iter().map(|(field, value)| (bulk(field), bulk(value))).collect()))
}

pub(super) fn hincrby(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let by = integer(words[2])?;
    data.change(words[0], |hash: &mut RedisHash| {
        let before = match hash.field(words[1]).map(integer) {
            None => 0,
            Some(Ok(before)) => before,
            Some(Err(_)) => return Err("ERR hash value is not an integer".to_owned()),
        };
        let after = before.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
        hash.set_field(words[1], after.to_string().as_bytes());
        Ok(RespValue::Integer(after))
    })?
}
