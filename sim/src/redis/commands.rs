//! The table of the commands about keys: how many words each has, and what carries it out.

use super::answers::{Answer, wrong_number};
use super::dataset::Dataset;
use super::{hashes, keys, sets, sorted_sets, streams, strings};

/// A command.
#[derive(Clone, Copy)]
pub struct DataCommand {
    /// Its name, in capitals.
    pub name: &'static str,
    /// The number of its words, its name among them; the least number where it is negative.
    arity: isize,
    run: fn(&mut Dataset, &[&[u8]]) -> Answer,
}

const fn command(name: &'static str, arity: isize, run: fn(&mut Dataset, &[&[u8]]) -> Answer) -> DataCommand {
    DataCommand { name, arity, run }
}

/// All of them.
pub const COMMANDS: &[DataCommand] = &[
    command("DEL", -2, keys::del),
    command("UNLINK", -2, keys::del),
    command("EXISTS", -2, keys::exists),
    command("TYPE", 2, keys::type_of),
    command("PEXPIRE", 3, keys::pexpire),
    command("PTTL", 2, keys::pttl),
    command("GET", 2, strings::get),
    command("SET", -3, strings::set),
    command("HGET", 3, hashes::hget),
    command("HMGET", -3, hashes::hmget),
    command("HSET", -4, hashes::hset),
    command("HDEL", -3, hashes::hdel),
    command("HLEN", 2, hashes::hlen),
    command("HEXISTS", 3, hashes::hexists),
    command("HGETALL", 2, hashes::hgetall),
    command("HINCRBY", 4, hashes::hincrby),
    command("SADD", -3, sets::sadd),
    command("SREM", -3, sets::srem),
    command("SCARD", 2, sets::scard),
    command("SMEMBERS", 2, sets::smembers),
    command("SPOP", -2, sets::spop),
    command("ZADD", -4, sorted_sets::zadd),
    command("ZREM", -3, sorted_sets::zrem),
    command("ZSCORE", 3, sorted_sets::zscore),
    command("ZCARD", 2, sorted_sets::zcard),
    command("ZRANGEBYSCORE", -4, sorted_sets::zrangebyscore),
    command("XADD", -5, streams::xadd),
    command("XLEN", 2, streams::xlen),
    command("XRANGE", -4, streams::xrange),
];

/// Carries out a command about keys. None if there is no such command.
pub fn run(data: &mut Dataset, words: &[&[u8]]) -> Option<Answer> {
    let command = find(words)?;
    Some(match fits(words.len(), command.arity) {
        true => (command.run)(data, &words[1..]),
        false => Err(wrong_number(command.name)),
    })
}

/// Whether this is a command with too many words, or too few.
#[must_use]
pub fn has_wrong_number(words: &[&[u8]]) -> bool {
    find(words).is_some_and(|command| !fits(words.len(), command.arity))
}

/// Returns the command that the first word names.
fn find(words: &[&[u8]]) -> Option<&'static DataCommand> {
    let name = words.first()?;
    COMMANDS.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
}

/// Whether a command may have this many words.
#[must_use]
pub fn fits(words: usize, arity: isize) -> bool {
    if arity < 0 { words >= arity.unsigned_abs() } else { words == arity.unsigned_abs() }
}
