//! Calls of the shipped scripts, nearly always as a site makes them.

use super::draw::Draw;
use super::endpoint::Words;
use super::names::{KeyNames, ROOMS, SITES};

/// A call: the script, its keys and its arguments, and whether something of it expires within a few milliseconds.
pub(super) struct ScriptCall {
    pub script: &'static str,
    pub keys: Vec<String>,
    pub arguments: Words,
    pub expires_soon: bool,
}

const LONG_MS: &str = "3600000";

/// What a site knows of its link.
struct SiteLink {
    site: &'static str,
    generation: Vec<u8>,
    term: Vec<u8>,
}

/// A call of this script by this site.
pub(super) fn call(draw: &mut Draw<'_>, names: &KeyNames, script: &'static str, site: &'static str) -> ScriptCall {
    let link = link(draw, names, site);
    let room = draw.pick(&ROOMS);
    let mut keys = vec![names.fence()];
    let mut arguments: Words = vec![link.site.into(), link.generation, link.term];
    let mut expires_soon = false;
    let channel = names.of_room('c', room);
    match script {
        "hello" => {
            keys.push(names.leases());
            arguments = hello(draw, site);
        }
        "append" => {
            keys.extend([names.of_room('m', room), names.of_room('s', room)]);
            expires_soon = draw.rng.chance(5);
            let stream_ms = if expires_soon { "1" } else { LONG_MS };
            let keep = draw.pick(&["0", "1", "2", "5", "100"]);
            arguments.extend([draw.text(), keep.into(), stream_ms.into(), LONG_MS.into(), draw.epoch()]);
            arguments.extend([channel.into(), publish(draw), LONG_MS.into()]);
            if draw.rng.chance(25) {
                keys.push(names.once(room));
            }
        }
        "read" => {
            let at_most = [draw.pick(&["1", "2", "100"]), draw.pick(&["0", "1", "30", "100000"])];
            arguments = vec![LONG_MS.into(), at_most[0].into(), at_most[1].into()];
            let rooms = if draw.rng.chance(40) { ROOMS.to_vec() } else { vec![room] };
            for room in rooms {
                keys.extend([names.of_room('m', room), names.of_room('s', room)]);
                let since = since(draw, &names.of_room('m', room));
                arguments.extend([draw.epoch(), since]);
            }
        }
        "check" => {
            keys = ROOMS.iter().map(|room| names.of_room('m', room)).collect();
            arguments = vec![LONG_MS.into()];
        }
        "rotate" => {
            keys.push(names.of_room('m', room));
            arguments.extend([draw.epoch(), LONG_MS.into(), channel.into(), publish(draw)]);
        }
        "enter" | "leave" => {
            keys.extend([names.of_room('m', room), names.of_room('w', room)]);
            keys.extend([names.members(room, site), names.of_site('r', site)]);
            let client = draw.pick(&["c1", "c2", "c3"]);
            arguments.extend([room.into(), client.into()]);
            if script == "enter" {
                keys.push(names.leases());
                let most = draw.pick(&["", "", "1", "2"]);
                arguments.extend([draw.text(), LONG_MS.into(), channel.into(), publish(draw), most.into()]);
                arguments.extend([names.members(room, "").into(), draw.pick(&["1", ""]).into()]);
            } else {
                arguments.extend([channel.into(), publish(draw)]);
            }
        }
        "members" => {
            keys = vec![names.leases(), names.of_room('w', room)];
            arguments = vec![names.members(room, "").into(), draw.pick(&["list", "count"]).into()];
        }
        "beat" => {
            keys.push(names.leases());
            let history = history(draw);
            arguments.extend([history, lease(draw, site), names.of_site('n', site).into(), publish(draw), "17".into()]);
        }
        "reap" => {
            let dead = draw.pick(&SITES);
            keys.extend([names.leases(), names.of_site('r', dead)]);
            arguments.extend([dead.into(), names.start.clone().into(), publish(draw), "64".into()]);
        }
        _ => keys.push(names.leases()),
    }
    ScriptCall { script, keys, arguments, expires_soon }
}

/// What the fence says of a site; in some cases something else, as a link that has ended would know it.
fn link(draw: &mut Draw<'_>, names: &KeyNames, site: &'static str) -> SiteLink {
    let fence = names.fence();
    let mut generation = draw.field(&fence, &format!("g:{site}")).unwrap_or_else(|| b"1".to_vec());
    let mut term = draw.field(&fence, "t").unwrap_or_else(|| b"0000000000000001".to_vec());
    match draw.rng.below(40) {
        0 => generation = b"77".to_vec(),
        1 => term = b"ffff000000000000".to_vec(),
        _ => {}
    }
    SiteLink { site, generation, term }
}

fn hello(draw: &mut Draw<'_>, site: &str) -> Words {
    let range = draw.rng.pick(&[0, 1, 0x12345, 0xF_FFFF]);
    let term = format!("{range:05x}{:011x}", draw.rng.below(1 << 40));
    let format = if draw.rng.chance(2) { "2" } else { "1" };
    vec![site.into(), history(draw), term.into(), lease(draw, site), format.into()]
}

fn history(draw: &mut Draw<'_>) -> Vec<u8> {
    if draw.rng.chance(3) { b"0123 4567".to_vec() } else { draw.history().into() }
}

/// A lease that holds, or one that is over at once. Those of two sites are far apart: which of them ends first must not depend
/// on how fast a server is.
fn lease(draw: &mut Draw<'_>, site: &str) -> Vec<u8> {
    let is_over = draw.rng.chance(15);
    let ms = match (site, is_over) {
        ("x", false) => "3600000",
        ("x", true) => "-60000",
        (_, false) => "7200000",
        (_, true) => "-120000",
    };
    ms.into()
}

fn publish(draw: &mut Draw<'_>) -> Vec<u8> {
    if draw.rng.chance(20) { "SPUBLISH".into() } else { "PUBLISH".into() }
}

/// No offset, one that may be somewhere in the log, or its top.
fn since(draw: &mut Draw<'_>, meta: &str) -> Vec<u8> {
    match draw.rng.below(4) {
        0 => Vec::new(),
        1 => draw.field(meta, "t").unwrap_or_default(),
        _ => draw.rng.below(8).to_string().into(),
    }
}
