//! Commands about streams.

use super::answers::{Answer, SYNTAX, bulk, count, integer, wrong_number};
use super::dataset::{Dataset, RedisStream, StreamId};
use parlor_core::redis::RespValue;

const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";

/// An id; one without a number after its milliseconds gets this one.
fn id(bytes: &[u8], number: u64) -> Result<StreamId, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| INVALID_ID)?;
    let part = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(INVALID_ID)
    };
    Ok(match text.split_once('-') {
        Some((ms, number)) => StreamId(part(ms)?, part(number)?),
        None => StreamId(part(text)?, number),
    })
}

/// XADD with MAXLEN and an id that is given.
pub(super) fn xadd(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let (keep, rest) = match &words[1..] {
        [option, number, rest @ ..] if option.eq_ignore_ascii_case(b"MAXLEN") => {
            let keep = integer(number)?;
            (usize::try_from(keep).map_err(|_| "ERR The MAXLEN argument must be >= 0.")?, rest)
        }
        rest => (usize::MAX, rest),
    };
    let [name, fields @ ..] = rest else { return Err(wrong_number("xadd")) };
    let new = id(name, 0)?;
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(wrong_number("xadd"));
    }
    if new == StreamId(0, 0) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    let is_late = data.get::<RedisStream>(words[0])?.is_some_and(|stream| new <= stream.last);
    if is_late {
        return Err("ERR The ID specified in XADD is equal or smaller than the target stream top item".into());
    }
    data.change(words[0], |stream: &mut RedisStream| {
        stream.last = new;
        stream.entries.insert(new, fields.iter().map(|field| field.to_vec()).collect());
        while stream.entries.len() > keep {
            stream.entries.pop_first();
        }
        shown(new)
    })
}

fn shown(StreamId(ms, number): StreamId) -> RespValue {
    bulk(format!("{ms}-{number}"))
}

pub(super) fn xlen(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(count(data.get::<RedisStream>(words[0])?.map_or(0, |stream| stream.entries.len())))
}

/// XRANGE with COUNT. An end behind a parenthesis is not in the range.
pub(super) fn xrange(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let end = |bytes: &[u8], number| match bytes {
        b"-" => Ok((StreamId(0, 0), false)),
        b"+" => Ok((StreamId(u64::MAX, u64::MAX), false)),
        [b'(', bytes @ ..] => id(bytes, number).map(|id| (id, true)),
        bytes => id(bytes, number).map(|id| (id, false)),
    };
    let (first, is_first_out) = end(words[1], 0)?;
    let first = if is_first_out { first.next().ok_or("ERR invalid start ID for the interval")? } else { first };
    let (last, is_last_out) = end(words[2], u64::MAX)?;
    let last = if is_last_out { last.before().ok_or("ERR invalid end ID for the interval")? } else { last };
    let most = match &words[3..] {
        [] => usize::MAX,
        [option, number] if option.eq_ignore_ascii_case(b"COUNT") => usize::try_from(integer(number)?).unwrap_or(0),
        _ => return Err(SYNTAX.into()),
    };
    let Some(stream) = data.get::<RedisStream>(words[0])? else { return Ok(RespValue::Array(Vec::new())) };
    if most == 0 {
        return Ok(RespValue::Null);
    }
    if first > last {
        return Ok(RespValue::Array(Vec::new()));
    }
    let entry = |(id, fields): (&StreamId, &Vec<Vec<u8>>)| {
        RespValue::Array(vec![shown(*id), RespValue::Array(fields.iter().map(bulk).collect())])
    };
    Ok(RespValue::Array(stream.entries.range(first..=last).take(most).map(entry).collect()))
}
