//! The model of a Redis server, and the scripts that are run there. `sim/tests/redis.py` compares it with real servers.
#![cfg(feature = "redis")]

use parlor_core::redis::RespValue;
use parlor_core::redis::scripts::SCRIPTS;
use parlor_sim::redis::compare::endpoint::{ComparedServer, ModelEndpoint, Words};
use parlor_sim::redis::compare::runner::{Comparison, Stopped};
use parlor_sim::redis::identity::{Flavor, ServerIdentity};
use parlor_sim::redis::mistakes::ModelMistake;
use std::collections::BTreeMap;

const HISTORY: &str = "0a1b 0000";

fn identity(flavor: Flavor) -> ServerIdentity {
    let [version, redis_version] = ["9.1.2", "7.2.4"].map(String::from);
    let (run_id, master_replid2) = HISTORY.split_once(' ').expect("two names");
    let (run_id, master_replid2) = (run_id.into(), master_replid2.into());
    ServerIdentity { flavor, version, redis_version, run_id, master_replid2, is_replica: false }
}

fn stopped_by(flavor: Flavor, mistake: Option<ModelMistake>) -> Result<BTreeMap<&'static str, (u64, u64)>, Stopped> {
    let mut server = ModelEndpoint::new(identity(flavor), None);
    let mut comparison = Comparison::begin(identity(flavor), &mut server, mistake)?;
    for seed in 0..150 {
        comparison.sequence(seed)?;
    }
    Ok(comparison.compared.calls)
}

#[test]
fn a_model_does_the_same_as_another_and_every_script_succeeds() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let calls = stopped_by(flavor, None).expect("both do the same");
        for script in SCRIPTS {
            assert!(calls.get(script.name).is_some_and(|(good, _)| *good > 0), "{} succeeds: {calls:?}", script.name);
        }
    }
}

#[test]
fn every_mistake_is_found() {
    for (name, mistake) in ModelMistake::ALL {
        for flavor in [Flavor::Redis, Flavor::Valkey] {
            let found = stopped_by(flavor, Some(mistake));
            assert!(matches!(found, Err(Stopped::Different(_))), "{name} in {flavor:?}: {found:?}");
        }
    }
}

/// A server on which site `x` has said hello.
struct Store {
    server: ModelEndpoint,
    shas: BTreeMap<&'static str, Vec<u8>>,
}

impl Store {
    fn new() -> Self {
        let mut server = ModelEndpoint::new(identity(Flavor::Redis), None);
        let mut shas = BTreeMap::new();
        for script in SCRIPTS {
            let load: Words = vec!["SCRIPT".into(), "LOAD".into(), script.text(HISTORY).into()];
            let replies = server.exchange(0, &[load]).expect("a reply");
            let [RespValue::Bulk(sha)] = &replies[..] else { panic!("{replies:?}") };
            shas.insert(script.name, sha.clone());
        }
        let mut store = Self { server, shas };
        store.hello("x", "00001aaaaaaaaaaa");
        store
    }

    fn command(&mut self, words: &[&str]) -> RespValue {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut values = self.server.exchange(0, &[words]).expect("a reply");
        values.retain(|value| !matches!(value, RespValue::Push(_)));
        values.pop().expect("one reply")
    }

    /// Calls a script, and shows the reply.
    fn call(&mut self, script: &str, keys: &[&str], arguments: &[&str]) -> String {
        let sha = String::from_utf8(self.shas[script].clone()).expect("hexadecimal digits");
        let number = keys.len().to_string();
        let words = [&["EVALSHA", &sha, &number][..], keys, arguments].concat();
        format!("{:?}", self.command(&words))
    }

    fn hello(&mut self, site: &str, fresh_term: &str) -> String {
        self.call("hello", &["f", "l"], &[site, HISTORY, fresh_term, "15000", "1"])
    }

    fn append(&mut self, generation: &str, term: &str, body: &str) -> String {
        let keys = ["f", "m:a", "s:a"];
        let fixed = ["5", "1000", "1000", "E", "c:a", "PUBLISH", ""];
        self.call("append", &keys, &[&["x", generation, term, body][..], &fixed].concat())
    }

    fn enter(&mut self, site: &str, generation: &str, client: &str, at_most: &str) -> String {
        let keys = ["f", "m:a", "w:a", &format!("p:a:{site}"), &format!("r:{site}"), "l"];
        let arguments = [site, generation, TERM, "a", client, "{}", "1000", "c:a", "PUBLISH", at_most, "p:a:", "1"];
        self.call("enter", &keys, &arguments)
    }

    fn leave(&mut self, site: &str, generation: &str, client: &str) -> String {
        let keys = ["f", "m:a", "w:a", &format!("p:a:{site}"), &format!("r:{site}")];
        self.call("leave", &keys, &[site, generation, TERM, "a", client, "c:a", "PUBLISH"])
    }

    fn read(&mut self, since: &str) -> String {
        self.call("read", &["f", "m:a", "s:a"], &["1000", "100", "10000", "E", since])
    }
}

#[test]
fn a_script_sees_scores_behind_their_members() {
    let mut store = Store::new();
    store.command(&["ZADD", "z", "1.5", "a", "2", "b"]);
    let range = ["z", "-inf", "+inf", "WITHSCORES"];
    let direct = store.command(&[&["ZRANGEBYSCORE"][..], &range].concat());
    assert_eq!(format!("{direct:?}"), r#"[["a", ,1.5], ["b", ,2]]"#);
    let text = "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf', 'WITHSCORES')";
    assert_eq!(format!("{:?}", store.command(&["EVAL", text, "1", "z"])), r#"["a", "1.5", "b", "2"]"#);
}

const TERM: &str = "00001aaaaaaaaaaa";

#[test]
fn offsets_count_from_one_and_jump_in_a_new_term() {
    let mut store = Store::new();
    assert_eq!(store.append("1", TERM, "one"), r#"[1, "E 1"]"#);
    assert_eq!(store.append("1", TERM, "two"), r#"[2, "E 2"]"#);
    store.command(&["HSET", "f", "h", "another history"]);
    assert!(store.hello("x", "00003bbbbbbbbbbb").starts_with(r#"["00003bbbbbbbbbbb", 2, 2, "#));
    // 0 + 1 + 3 ranges of 2^20, and the first place in it; its predecessor is told.
    assert_eq!(store.append("2", "00003bbbbbbbbbbb", "three"), r#"[3, "E 4194305"]"#);
    assert_eq!(store.read("2"), r#"[["E", "4194305", 0, "e1E 4194305 2 three"]]"#);
}

#[test]
fn an_empty_log_jumps_too_in_a_new_term() {
    let mut store = Store::new();
    assert_eq!(store.read(""), r#"[["E", "0", 0]]"#);
    store.command(&["HSET", "f", "h", "another history"]);
    store.hello("x", "00003bbbbbbbbbbb");
    assert_eq!(store.append("2", "00003bbbbbbbbbbb", "one"), r#"[1, "E 4194305"]"#);
}

#[test]
fn a_reply_says_whether_its_bound_has_cut_it() {
    let mut store = Store::new();
    for body in ["one", "two", "three"] {
        store.append("1", TERM, body);
    }
    let all = r#""e1E 2 1 two", "e1E 3 2 three""#;
    assert_eq!(store.read("1"), format!(r#"[["E", "3", 0, {all}]]"#));
    assert_eq!(store.read("3"), r#"[["E", "3", 0]]"#, "nothing is missed");
    assert_eq!(store.read("4"), r#"[["E", "3", 0]]"#, "there is nothing behind it, and it is not the top");
    let mut read = |entries, bytes| store.call("read", &["f", "m:a", "s:a"], &["1000", entries, bytes, "E", "1"]);
    assert_eq!(read("1", "10000"), r#"[["E", "3", 1, "e1E 2 1 two"]]"#, "entries");
    assert_eq!(read("100", "1"), r#"[["E", "3", 1, "e1E 2 1 two"]]"#, "bytes: one at least");
    assert_eq!(read("2", "12"), format!(r#"[["E", "3", 0, {all}]]"#), "neither is exceeded");
}

#[test]
fn rooms_of_a_reply_share_its_bytes_and_are_cut_only_if_something_is_left() {
    let mut store = Store::new();
    for body in ["one", "two"] {
        store.append("1", TERM, body);
    }
    let read = ["f", "m:a", "s:a", "m:a", "s:a", "m:b", "s:b"];
    let arguments = ["1000", "100", "1", "E", "1", "E", "1", "F", "0"];
    let replied = r#"[["E", "2", 0, "e1E 2 1 two"], ["E", "2", 1], ["F", "0", 0]]"#;
    assert_eq!(store.call("read", &read, &arguments), replied);
}

#[test]
fn what_is_not_stored_is_not_cut() {
    let mut store = Store::new();
    store.append("1", TERM, "one");
    store.command(&["DEL", "s:a"]);
    assert_eq!(store.read("0"), r#"[["E", "1", 0]]"#);
    let spent = ["1000", "100", "0", "E", "0"];
    assert_eq!(store.call("read", &["f", "m:a", "s:a"], &spent), r#"[["E", "1", 0]]"#, "nor without any bytes");
}

#[test]
fn a_log_begins_anew_before_its_offsets_are_inexact() {
    let mut store = Store::new();
    store.append("1", TERM, "one");
    store.command(&["HSET", "m:a", "t", "9005000231485438", "e", "F"]);
    assert_eq!(store.append("1", TERM, "two"), r#"[2, "F 9005000231485439"]"#);
    assert_eq!(store.append("1", TERM, "three"), r#"[3, "E 1"]"#);
    assert_eq!(store.read("0"), r#"[["E", "1", 0, "e1E 1 0 three"]]"#);
}

#[test]
fn an_earlier_link_changes_nothing() {
    let mut store = Store::new();
    store.append("1", TERM, "one");
    store.hello("x", "unused");
    let fenced = r#"-"FENCED this site has another term or generation""#;
    assert_eq!(store.append("1", TERM, "late"), fenced, "another generation");
    assert_eq!(store.append("2", "00009aaaaaaaaaaa", "late"), fenced, "another term");
    assert_eq!(store.append("2", TERM, "two"), r#"[2, "E 2"]"#);
}

#[test]
fn a_room_is_occupied_by_the_first_and_vacated_by_the_last() {
    let mut store = Store::new();
    store.hello("y", "unused");
    let number = 2 * 1_048_576;
    assert_eq!(store.enter("x", "1", "c1", ""), format!("[1, {}, 0]", number + 1));
    assert_eq!(store.enter("x", "1", "c1", ""), "[2, 0, 0]", "again is the same as once");
    assert_eq!(store.enter("y", "2", "c2", ""), "[1, 0, 0]");
    assert_eq!(store.leave("x", "1", "c1"), "[3, 0]");
    assert_eq!(store.leave("x", "1", "c1"), "[4, 0]", "again is the same as once");
    assert_eq!(store.leave("y", "2", "c2"), format!("[2, {}]", number + 2));
    assert_eq!(store.enter("x", "1", "c1", ""), format!("[5, {}, 0]", number + 3));
}

#[test]
fn a_limit_counts_the_members_of_all_sites_that_live() {
    let mut store = Store::new();
    store.hello("y", "unused");
    store.enter("y", "2", "c1", "2");
    store.enter("x", "1", "c2", "2");
    assert_eq!(store.enter("x", "1", "c3", "2"), r#"-"FULL the room has 2 members, and at most 2""#);
    store.command(&["ZADD", "l", "1", "y"]);
    assert!(store.enter("x", "1", "c3", "2").starts_with('['), "y is dead");
    assert_eq!(store.call("members", &["l", "w:a"], &["p:a:", "count"]), r#"[["x", 2]]"#);
}

#[test]
fn a_dead_site_is_buried_once_and_fenced_if_it_lives() {
    let mut store = Store::new();
    store.hello("y", "unused");
    store.enter("y", "2", "c1", "");
    let arguments = ["x", "1", TERM, "y", "", "PUBLISH", "64"];
    let keys = ["f", "l", "r:y"];
    assert_eq!(store.call("reap", &keys, &arguments), r#"-"ALIVE the lease of that site is not over""#);
    store.command(&["ZADD", "l", "1", "y"]);
    assert_eq!(store.call("reap", &keys, &arguments), format!(r#"[1, "a", {}]"#, 2 * 1_048_576 + 2));
    assert_eq!(store.call("reap", &keys, &arguments), "[1]");
    assert!(store.enter("y", "2", "c1", "").starts_with("-\"FENCED"));
    let hello = store.hello("y", "unused");
    assert!(hello.starts_with(&format!(r#"["{TERM}", 3, 1, "#)), "its count is still there: {hello}");
}
