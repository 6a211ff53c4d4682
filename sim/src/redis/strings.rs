//! Commands about strings.

use super::answers::{Answer, SYNTAX, bulk_or_null, integer, simple};
use super::dataset::{Dataset, KeyType, RedisText};
use parlor_core::redis::RespValue;

pub(super) fn get(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(bulk_or_null(data.get::<RedisText>(words[0])?.map(|text| &*text.0)))
}

/// SET with PX and NX, and no other words.
pub(super) fn set(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let [key, value, options @ ..] = words else { return Err(SYNTAX.into()) };
    let (mut expires, mut only_new) = (None, false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" => only_new = true,
            b"PX" => {
                let ms = integer(options.next().ok_or(SYNTAX)?)?;
                let ms = u64::try_from(ms).ok().filter(|ms| *ms > 0);
                let ms = ms.ok_or("ERR invalid expire time in 'set' command")?;
                expires = Some(data.now_ms + ms);
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    if only_new && data.expiry(key).is_some() {
        return Ok(RespValue::Null);
    }
    data.put(key, RedisText(value.to_vec()).content(), expires);
    Ok(simple("OK"))
}
