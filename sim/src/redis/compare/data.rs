//! Commands about single keys, with arguments that are right, wrong, or of the wrong type.

use super::draw::Draw;
use super::endpoint::Words;
use crate::redis::commands::COMMANDS;

/// Members of sets; sites and rooms are among them.
pub(super) const MEMBERS: [&str; 6] = ["x", "y", "z", "a", "b", "7"];

/// A command about a key, and whether the key may expire within a few milliseconds.
pub(super) fn command(draw: &mut Draw<'_>, key: &str) -> (Words, bool) {
    let name = COMMANDS[draw.index(COMMANDS.len())].name;
    let mut words = vec![name.as_bytes().to_vec(), key.into()];
    let mut expires_soon = false;
    match name {
        "DEL" | "UNLINK" | "EXISTS" if draw.rng.chance(30) => words.push(key.into()),
        "PEXPIRE" => {
            let ms = draw.pick(&["3600000", "7200000", "0", "-5", "1", "soon"]);
            expires_soon = ms == "1";
            words.push(ms.into());
        }
        "SET" => {
            words.push(draw.text());
            match draw.rng.below(5) {
                0 => words.push("nx".into()),
                1 => words.extend(["PX".into(), draw.pick(&["3600000", "0", "-1", "late"]).into()]),
                2 => {
                    expires_soon = true;
                    words.extend(["PX".into(), "1".into()]);
                }
                _ => {}
            }
        }
        "HGET" | "HEXISTS" => words.push(field(draw)),
        "HMGET" | "HDEL" => several(draw, &mut words, field),
        "HSET" => several(draw, &mut words, |draw| if draw.rng.chance(50) { field(draw) } else { draw.text() }),
        "HINCRBY" => words.extend([field(draw), number(draw)]),
        "SADD" | "SREM" | "ZREM" => several(draw, &mut words, member),
        "ZSCORE" => words.push(member(draw)),
        "ZADD" => {
            for _ in 0..=draw.rng.below(2) {
                words.extend([score(draw), member(draw)]);
            }
        }
        "ZRANGEBYSCORE" => {
            words.extend([bound(draw), bound(draw)]);
            if draw.rng.chance(30) {
                words.push("withscores".into());
            }
            if draw.rng.chance(40) {
                words.extend(["LIMIT".into(), number(draw), number(draw)]);
            }
        }
        "XADD" => {
            if draw.rng.chance(60) {
                words.extend(["MAXLEN".into(), draw.pick(&["0", "1", "2", "5", "-1", "x"]).into()]);
            }
            words.extend([stream_id(draw), field(draw), draw.text()]);
        }
        "XRANGE" => {
            words.extend([range_end(draw), range_end(draw)]);
            if draw.rng.chance(40) {
                words.extend(["COUNT".into(), number(draw)]);
            }
        }
        // Which member goes is the server's choice: it takes all.
        "SPOP" => words.push("100".into()),
        _ => {}
    }
    if name != "SPOP" && draw.rng.chance(3) {
        words.pop();
    }
    (words, expires_soon)
}

fn several(draw: &mut Draw<'_>, words: &mut Words, word: fn(&mut Draw<'_>) -> Vec<u8>) {
    for _ in 0..=draw.rng.below(4) {
        words.push(word(draw));
    }
}

fn field(draw: &mut Draw<'_>) -> Vec<u8> {
    draw.pick(&["f", "g", "h", "e", "t", "n", "o", "w", "q"]).into()
}

fn member(draw: &mut Draw<'_>) -> Vec<u8> {
    draw.pick(&MEMBERS).into()
}

fn number(draw: &mut Draw<'_>) -> Vec<u8> {
    draw.pick(&["0", "1", "2", "5", "-1", "-7", "9223372036854775807", "1.5", "one", "", "+1"]).into()
}

fn score(draw: &mut Draw<'_>) -> Vec<u8> {
    draw.pick(&["0", "1", "2.5", "-3", "inf", "-inf", "many"]).into()
}

fn bound(draw: &mut Draw<'_>) -> Vec<u8> {
    draw.pick(&["-inf", "+inf", "0", "1", "(1", "2.5", "(-3", "(0", "x"]).into()
}

fn stream_id(draw: &mut Draw<'_>) -> Vec<u8> {
    draw.pick(&["1-0", "1-1", "2-0", "3", "5-0", "9-9", "0-0", "0-1", "a-1", "7-"]).into()
}

fn range_end(draw: &mut Draw<'_>) -> Vec<u8> {
    let plain = ["-", "+", "0", "1", "2-0", "2", "5-0", "9", "x"];
    let behind = ["(0", "(1", "(2-0", "(5", "(0-0", "(18446744073709551615-18446744073709551615", "(-", "("];
    let ends: &[&str] = if draw.rng.chance(30) { &behind } else { &plain };
    draw.pick(ends).into()
}
