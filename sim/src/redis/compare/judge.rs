//! What may differ between the model and a server. All else is the same, byte for byte.

use super::endpoint::Words;
use parlor_core::redis::RespValue;

/// Milliseconds by which two clocks may differ: the model is told the time before a burst is sent.
const CLOCKS: u64 = 2000;
/// Milliseconds around the present in which a number is taken for a time.
const PRESENT: u64 = 3 * 3_600_000;
/// Fields of INFO that Parlor reads. Others have no place in the model, and `server_time_usec` is the clock.
const INFO_FIELDS: [&str; 4] = ["redis_version", "run_id", "role", "master_replid2"];
/// Fields of HELLO that say nothing of what a server does: the number of the connection, and lists of modules, where Valkey
/// has its Lua.
const HELLO_FIELDS: [&[u8]; 2] = [b"id", b"modules"];

/// The first place at which what came over a connection differs: what the model sent, and what the server did.
#[must_use]
pub fn difference(
    commands: &[Words],
    model: &[RespValue],
    server: &[RespValue],
    now_ms: u64,
) -> Option<(Option<RespValue>, Option<RespValue>)> {
    // Subscriptions are answered by pushes alone.
    let mut replied = commands.iter().filter(|words| !is_subscription(&words[0]));
    for at in 0..model.len().max(server.len()) {
        let (Some(one), Some(other)) = (model.get(at), server.get(at)) else {
            return Some((model.get(at).cloned(), server.get(at).cloned()));
        };
        let is_push = matches!(one, RespValue::Push(_));
        let command = if is_push { None } else { replied.next() };
        let name = command.map(|words| words[0].to_ascii_uppercase()).unwrap_or_default();
        if !agree(&name, one, other, now_ms) {
            return Some((Some(one.clone()), Some(other.clone())));
        }
    }
    None
}

/// Whether this command is answered by pushes.
#[must_use]
pub fn is_subscription(name: &[u8]) -> bool {
    name.to_ascii_uppercase().ends_with(b"SUBSCRIBE")
}

fn agree(command: &[u8], model: &RespValue, server: &RespValue, now_ms: u64) -> bool {
    match (command, model, server) {
        (b"PTTL", RespValue::Integer(one), RespValue::Integer(other)) => {
            one == other || *one > 0 && *other > 0 && one.abs_diff(*other) <= CLOCKS
        }
        (b"INFO", RespValue::Verbatim(one), RespValue::Verbatim(other)) => {
            let field = |text: &[u8], name: &str| {
                let text = String::from_utf8_lossy(text).into_owned();
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(String::from))
            };
            INFO_FIELDS.iter().all(|name| field(one, name) == field(other, name))
        }
        (b"HELLO", RespValue::Map(one), RespValue::Map(other)) => {
            let says = |pairs: &[(RespValue, RespValue)]| {
                let mut pairs = pairs.to_vec();
                pairs.retain(|(name, _)| !HELLO_FIELDS.iter().any(|field| *name == RespValue::Bulk(field.to_vec())));
                pairs
            };
            says(one) == says(other)
        }
        _ => same(model, server, now_ms),
    }
}

fn same(model: &RespValue, server: &RespValue, now_ms: u64) -> bool {
    match (model, server) {
        (RespValue::Array(one), RespValue::Array(other)) | (RespValue::Push(one), RespValue::Push(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other, now_ms))
        }
        // The order of a hash with a long value in it, and of a set, is that of a hash table with a random seed.
        (RespValue::Map(one), RespValue::Map(other)) => {
            let mut pairs = by_key(one).into_iter().zip(by_key(other));
            one.len() == other.len() && pairs.all(|(one, other)| one.0 == other.0 && same(one.1, other.1, now_ms))
        }
        (RespValue::Set(one), RespValue::Set(other)) => sorted(one) == sorted(other),
        (RespValue::Integer(_), RespValue::Integer(_))
        | (RespValue::Double(_), RespValue::Double(_))
        | (RespValue::Bulk(_), RespValue::Bulk(_)) => model == server || same_time(model, server, now_ms),
        _ => model == server,
    }
}

fn by_key(pairs: &[(RespValue, RespValue)]) -> Vec<(String, &RespValue)> {
    let mut pairs: Vec<_> = pairs.iter().map(|(key, value)| (format!("{key:?}"), value)).collect();
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    pairs
}

fn sorted(values: &[RespValue]) -> Vec<String> {
    let mut values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    values.sort();
    values
}

/// Whether both are times of the clock, or of an end, negative, and nearly the same.
fn same_time(model: &RespValue, server: &RespValue, now_ms: u64) -> bool {
    let time = |value: &RespValue| {
        let number = match value {
            RespValue::Integer(number) => *number,
            RespValue::Double(text) | RespValue::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
            _ => return None,
        };
        Some(number).filter(|number| number.unsigned_abs().abs_diff(now_ms) <= PRESENT)
    };
    time(model).zip(time(server)).is_some_and(|(one, other)| one.abs_diff(other) <= CLOCKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(command: &str, model: RespValue, server: RespValue) -> bool {
        difference(&[vec![command.into()]], &[model], &[server], 1_795_914_000_000).is_some()
    }

    #[test]
    fn only_clocks_may_differ_a_little() {
        let number = RespValue::Integer;
        assert!(!differ("EVALSHA", number(1_795_914_000_000), number(1_795_914_000_900)));
        assert!(differ("EVALSHA", number(1_795_914_000_000), number(1_795_914_009_000)));
        assert!(differ("EVALSHA", number(5), number(6)));
        assert!(differ("EVALSHA", number(1_795_914_000_000), number(-1_795_914_000_000)));
        assert!(!differ("PTTL", number(3_600_000), number(3_599_990)));
        assert!(differ("PTTL", number(-1), number(3_600_000)));
    }

    #[test]
    fn a_set_has_no_order_and_an_array_has() {
        let bulk = |text: &str| RespValue::Bulk(text.into());
        let two = |one, other| vec![bulk(one), bulk(other)];
        assert!(!differ("SMEMBERS", RespValue::Set(two("a", "b")), RespValue::Set(two("b", "a"))));
        assert!(differ("HMGET", RespValue::Array(two("a", "b")), RespValue::Array(two("b", "a"))));
    }

    #[test]
    fn a_push_on_the_other_side_of_a_reply_is_a_difference() {
        let (push, reply) = (RespValue::Push(Vec::new()), RespValue::Integer(1));
        let command = [vec![b"PUBLISH".to_vec()]];
        let one = [push.clone(), reply.clone()];
        assert_eq!(difference(&command, &one, &one, 0), None);
        assert_eq!(difference(&command, &one, &[reply.clone(), push.clone()], 0), Some((Some(push), Some(reply))));
    }

    #[test]
    fn what_is_missing_is_a_difference() {
        assert_eq!(difference(&[], &[RespValue::Null], &[], 0), Some((Some(RespValue::Null), None)));
    }
}
