//! Commands about keys of any type.

use super::answers::{Answer, count, integer, simple};
use super::dataset::Dataset;
use parlor_core::redis::RespValue;

pub(super) fn del(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(count(words.iter().filter(|key| data.remove(key)).count()))
}

pub(super) fn exists(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(count(words.iter().filter(|key| data.expiry(key).is_some()).count()))
}

pub(super) fn type_of(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(simple(data.type_of(words[0])))
}

pub(super) fn pexpire(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let ms = integer(words[1])?;
    let now = i64::try_from(data.now_ms).expect("a time");
    let invalid = || "ERR invalid expire time in 'pexpire' command".to_owned();
    let expires = now.checked_add(ms).ok_or_else(invalid)?;
    let Some(expiry) = data.expiry(words[0]) else { return Ok(count(0)) };
    if expires <= now {
        data.remove(words[0]);
    } else {
        *expiry = Some(expires.unsigned_abs());
    }
    Ok(count(1))
}

pub(super) fn pttl(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let now = data.now_ms;
    Ok(match data.expiry(words[0]) {
        None => RespValue::Integer(-2),
        Some(None) => RespValue::Integer(-1),
        Some(Some(expires)) => RespValue::Integer(i64::try_from(expires.saturating_sub(now)).expect("a time")),
    })
}
