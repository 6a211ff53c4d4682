//! What a sequence does next.

use super::calls;
use super::data;
use super::draw::Draw;
use super::endpoint::Words;
use super::names::{KeyNames, SITES};
use super::snippets::SNIPPETS;
use std::collections::BTreeMap;

/// A command of a sequence.
pub(super) struct NextCommand {
    pub words: Words,
    /// The script that it calls.
    pub script: Option<&'static str>,
    /// Something of it expires within a few milliseconds: nothing may follow before that.
    pub expires_soon: bool,
}

impl NextCommand {
    fn plain(words: Words) -> Self {
        Self { words, script: None, expires_soon: false }
    }
}

/// Scripts, each as often as it stands here.
const CALLED: &[&str] = &[
    "append", "append", "append", "append", "read", "read", "enter", "enter", "enter", "leave", "leave", "members",
    "check", "beat", "hello", "rotate", "reap", "reap", "bye",
];

/// The next command over a connection. `shas` has the scripts that are loaded.
pub(super) fn next(
    draw: &mut Draw<'_>,
    names: &KeyNames,
    shas: &BTreeMap<&'static str, String>,
    connection: usize,
    is_first: bool,
) -> NextCommand {
    let site = SITES[connection];
    if is_first && draw.rng.chance(95) {
        return call(draw, names, shas, "hello", site);
    }
    match draw.rng.below(100) {
        0..58 => {
            let script = draw.pick(CALLED);
            call(draw, names, shas, script, site)
        }
        58..80 => {
            let keys = names.all();
            // The first keys after the fence and the leases are no script's.
            let key = if draw.rng.chance(75) { 2 + draw.index(4) } else { draw.index(keys.len()) };
            let (words, expires_soon) = data::command(draw, &keys[key]);
            NextCommand { words, script: None, expires_soon }
        }
        80..84 => disturbance(draw, names),
        84..93 => channel_command(draw, names),
        93..97 => snippet(draw, names),
        _ => server_command(draw, shas),
    }
}

fn call(
    draw: &mut Draw<'_>,
    names: &KeyNames,
    shas: &BTreeMap<&'static str, String>,
    script: &'static str,
    site: &'static str,
) -> NextCommand {
    let call = calls::call(draw, names, script, site);
    let mut words: Words = vec!["EVALSHA".into(), shas[call.script].clone().into(), call.keys.len().to_string().into()];
    words.extend(call.keys.into_iter().map(String::into_bytes));
    words.extend(call.arguments);
    NextCommand { words, script: Some(script), expires_soon: call.expires_soon }
}

/// What happens to data behind the back of the scripts: another history, keys that are gone, numbers near their ends.
fn disturbance(draw: &mut Draw<'_>, names: &KeyNames) -> NextCommand {
    let room = draw.pick(&super::names::ROOMS);
    let meta = names.of_room('m', room);
    let near = draw.pick(&["9005000231485438", "9005000231485439", "9005000231485440", "1048575", "1048576"]);
    let words: Vec<String> = match draw.rng.below(8) {
        0..3 => vec!["HSET".into(), names.fence(), "h".into(), "another".into()],
        3 => vec!["DEL".into(), names.fence()],
        4 => vec!["DEL".into(), meta],
        5 => vec!["DEL".into(), names.of_room('s', room)],
        6 => vec!["ZADD".into(), names.leases(), "1000".into(), "z".into()],
        _ => vec!["HSET".into(), meta, "t".into(), near.into()],
    };
    NextCommand::plain(words.into_iter().map(String::into_bytes).collect())
}

fn channel_command(draw: &mut Draw<'_>, names: &KeyNames) -> NextCommand {
    let channels = names.channels();
    let channel = channels[draw.index(channels.len())].clone();
    let mut words: Words = match draw.rng.below(10) {
        0..4 => vec!["SUBSCRIBE".into(), channel.into()],
        4..6 => vec!["SSUBSCRIBE".into(), channel.into()],
        6 => vec!["UNSUBSCRIBE".into(), channel.into()],
        7 => vec!["SUNSUBSCRIBE".into(), channel.into()],
        8 => vec!["PUBLISH".into(), channel.into(), draw.text()],
        _ => vec!["SPUBLISH".into(), channel.into(), draw.text()],
    };
    if draw.rng.chance(20) {
        let second = channels[draw.index(channels.len())].clone();
        // All keys of a sharded subscription are in one slot: they have one partition in braces.
        if words[0].ends_with(b"SUBSCRIBE") {
            words.push(second.into());
        }
    }
    NextCommand::plain(words)
}

fn snippet(draw: &mut Draw<'_>, names: &KeyNames) -> NextCommand {
    let text = SNIPPETS[draw.index(SNIPPETS.len())];
    let key = names.all()[2 + draw.index(4)].clone();
    let channel = names.channels()[0].clone();
    let words = vec!["EVAL".into(), text.into(), "1".into(), key.into(), draw.text(), channel.into()];
    NextCommand::plain(words)
}

fn server_command(draw: &mut Draw<'_>, shas: &BTreeMap<&'static str, String>) -> NextCommand {
    let known = draw.pick(CALLED);
    let nobody = "0".repeat(40);
    let words: Vec<&str> = match draw.rng.below(8) {
        0 => vec!["PING"],
        1 => vec!["INFO", "server", "replication"],
        2 => vec!["HELLO", "3"],
        3 => vec!["CLIENT", "SETNAME", "parlor"],
        4 => vec!["CLIENT", "NO-EVICT", "on"],
        5 => vec!["SCRIPT", "EXISTS", &shas[known], &nobody],
        6 => vec!["EVALSHA", &nobody, "0"],
        _ => vec!["EVALSHA", &shas[known], draw.pick(&["9", "-1", "x"]), "key"],
    };
    NextCommand::plain(words.into_iter().map(Into::into).collect())
}
