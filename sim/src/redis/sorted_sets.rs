//! Commands about sorted sets.

use super::answers::{Answer, SYNTAX, bulk, count, integer, seventeen_digits};
use super::dataset::{Dataset, RedisSortedSet};
use parlor_core::redis::RespValue;

fn score(bytes: &[u8], otherwise: &str) -> Result<f64, String> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<f64>().ok());
    number.filter(|number| !number.is_nan()).ok_or_else(|| otherwise.into())
}

fn double(score: f64) -> RespValue {
    RespValue::Double(seventeen_digits(score).into_bytes())
}

/// ZADD without options.
pub(super) fn zadd(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let (pairs, rest) = words[1..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SYNTAX.into());
    }
    let mut scores = Vec::new();
    for [text, member] in pairs {
        scores.push((score(text, "ERR value is not a valid float")?, member));
    }
    data.change(words[0], |set: &mut RedisSortedSet| {
        count(scores.into_iter().filter(|(score, member)| set.0.insert(member.to_vec(), *score).is_none()).count())
    })
}

pub(super) fn zrem(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    data.change(words[0], |set: &mut RedisSortedSet| {
        count(words[1..].iter().filter(|member| set.0.remove(**member).is_some()).count())
    })
}

pub(super) fn zscore(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let set = data.get::<RedisSortedSet>(words[0])?;
    Ok(set.and_then(|set| set.0.get(words[1])).map_or(RespValue::Null, |score| double(*score)))
}

pub(super) fn zcard(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    Ok(count(data.get::<RedisSortedSet>(words[0])?.map_or(0, |set| set.0.len())))
}

/// One end of a range of scores: its score, and whether that itself is out.
fn bound(bytes: &[u8]) -> Result<(f64, bool), String> {
    let (bytes, is_out) = bytes.strip_prefix(b"(").map_or((bytes, false), |rest| (rest, true));
    Ok((score(bytes, "ERR min or max is not a float")?, is_out))
}

/// ZRANGEBYSCORE with WITHSCORES and LIMIT.
pub(super) fn zrangebyscore(data: &mut Dataset, words: &[&[u8]]) -> Answer {
    let (mut with_scores, mut skip, mut take) = (false, 0, usize::MAX);
    let mut options = &words[3..];
    while let Some((option, rest)) = options.split_first() {
        options = match (option.to_ascii_uppercase().as_slice(), rest) {
            (b"WITHSCORES", rest) => {
                with_scores = true;
                rest
            }
            (b"LIMIT", [offset, number, rest @ ..]) => {
                // A negative offset leaves nothing, a negative number bounds nothing.
                skip = usize::try_from(integer(offset)?).unwrap_or(usize::MAX);
                take = usize::try_from(integer(number)?).unwrap_or(usize::MAX);
                rest
            }
            _ => return Err(SYNTAX.into()),
        };
    }
    let ((min, above), (max, below)) = (bound(words[1])?, bound(words[2])?);
    let Some(set) = data.get::<RedisSortedSet>(words[0])? else { return Ok(RespValue::Array(Vec::new())) };
    let mut inside: Vec<(&Vec<u8>, f64)> = set.0.iter().map(|(member, score)| (member, *score)).collect();
    inside.retain(|(_, score)| (*score > min || *score == min && !above) && (*score < max || *score == max && !below));
    // Members of one score are in the order of their bytes, and were before.
    inside.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let shown = |(member, score): (&Vec<u8>, f64)| match with_scores {
        true => RespValue::Array(vec![bulk(member), double(score)]),
        false => bulk(member),
    };
    Ok(RespValue::Array(inside.into_iter().skip(skip).take(take).map(shown).collect()))
}
