//! An input log of a server: what the program says of it, and with which exit code.

use parlor_core::input_log::{InputLog, InputRecorder};
use parlor_core::{Config, ConnId, Input, Instant, Now, Shard, Upgrade};
use std::path::PathBuf;
use std::process::Command;

const SEED: [u8; 32] = [3; 32];

/// A shard that is recorded, as a server records its own.
struct Recorded {
    shard: Shard,
    recorder: InputRecorder,
    now: Now,
}

impl Recorded {
    /// Records the last so many bytes.
    fn keeping(capacity: usize) -> Self {
        let config = Config::default();
        let recorder = InputRecorder::new(&config, SEED, capacity, false);
        let now = Now { mono: Instant(0), unix_ms: 1_767_225_600_000 };
        Self { shard: Shard::new(config, SEED), recorder, now }
    }

    fn request(&self, client: u8) -> Upgrade {
        let target = self.shard.config().resolve("/ws/room").expect("a path that is served");
        Upgrade { client: [client; 16], target, token: None, address: None }
    }

    /// Admits a connection, and has it written to.
    fn enter(&mut self, client: u8) -> ConnId {
        let request = self.request(client);
        self.recorder.accept(self.now, &request);
        let accepted = self.shard.accept(self.now, request);
        self.recorder.accepted(&accepted);
        let conn = accepted.expect("it is within the limits");
        self.input(Input::Upgraded { conn });
        if let Some(pending) = self.shard.pending(conn) {
            let flushed = pending.consumed(pending.len());
            self.input(flushed);
        }
        conn
    }

    fn input(&mut self, input: Input) {
        self.now.mono.0 += 1;
        self.recorder.input(self.now, &input);
        for effect in self.shard.handle(self.now, input) {
            self.recorder.effect(&effect);
        }
        self.recorder.after(&mut self.shard);
    }

    fn log(&mut self) -> Vec<u8> {
        bytes(&self.recorder.log(&self.shard))
    }

    /// The log of a server that has panicked in its last call.
    fn log_of_broken(&mut self) -> Vec<u8> {
        bytes(&self.recorder.log_of_broken())
    }
}

fn bytes(log: &InputLog) -> Vec<u8> {
    log.parts().collect::<Vec<_>>().concat()
}

/// A shard with some connections.
fn some() -> Recorded {
    let mut recorded = Recorded::keeping(1 << 20);
    for client in 0..5 {
        let conn = recorded.enter(client);
        recorded.input(Input::Pong { conn });
    }
    recorded
}

/// Asserts the exit code of the replay of a log, and that all of these are printed.
fn ends(name: &str, log: &[u8], code: i32, parts: &[&str]) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, log).expect("there is a place for it");
    let output = Command::new(env!("CARGO_BIN_EXE_parlor-sim")).arg("replay").arg(&path).output().expect("it runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    assert_eq!(output.status.code(), Some(code), "{name}\n{text}");
    parts.iter().for_each(|part| assert!(text.contains(part), "{name}: {part:?} is not in\n{text}"));
    assert!(!text.contains("parlor-sim --seed"), "{name}: it is no question of usage\n{text}");
}

#[test]
fn a_log_that_is_run_again_to_the_same_counts_is_clean() {
    ends("clean.inputs", &some().log(), 0, &["Pong", "clean: 20 steps, the counts compared 1 times"]);
}

#[test]
fn a_long_step_is_printed_in_part() {
    let mut recorded = some();
    let conn = recorded.enter(9);
    recorded.input(Input::Message { conn, message: "é".repeat(10_000).as_str().into() });
    ends("long.inputs", &recorded.log(), 0, &["xxx… (20", " bytes)"]);
}

#[test]
fn an_invariant_that_broke_in_the_server_breaks_at_the_same_step() {
    let mut recorded = some();
    // A server that calls its shard as it must not.
    recorded.recorder.accept(recorded.now, &recorded.request(4));
    let expected = ["client ids are random", "an invariant breaks at step 21, as it did in the server"];
    ends("broken.inputs", &recorded.log_of_broken(), 1, &expected);
}

#[test]
fn an_invariant_that_broke_in_the_server_alone_is_told() {
    let expected = ["an invariant broke in the server at step 20, and none does here"];
    ends("only_there.inputs", &some().log_of_broken(), 1, &expected);
}

#[test]
fn an_invariant_that_breaks_here_alone_is_told() {
    let mut recorded = some();
    recorded.recorder.accept(recorded.now, &recorded.request(4));
    ends("only_here.inputs", &recorded.log(), 1, &["breaks at step 21, and did not in the server"]);
}

#[test]
fn a_shard_that_goes_another_way_is_told_with_the_step() {
    let mut recorded = some();
    recorded.recorder.accepted(&Ok(ConnId::from_parts(9, 9)));
    ends("diverged.inputs", &recorded.log(), 1, &["diverged behind step 20: the upgrade request was answered with"]);
}

#[test]
fn a_log_without_its_beginning_is_run_from_a_state() {
    let mut recorded = Recorded::keeping(2000);
    for client in 0..200 {
        recorded.enter(client);
    }
    let said = ["steps are not run: it goes on from the state behind them", "clean: ", "the counts compared 2 times"];
    ends("from_state.inputs", &recorded.log(), 0, &said);
}

#[test]
fn a_damaged_state_is_told_with_its_step() {
    let mut recorded = Recorded::keeping(2000);
    for client in 0..200 {
        recorded.enter(client);
    }
    let mut log = recorded.log();
    let steps = recorded.recorder.log(&recorded.shard);
    let from = steps.first_step() + steps.steps() - steps.run_steps();
    // It is in each state, and before that twice in the head.
    let version = recorded.shard.config().version.as_bytes();
    let places = log.windows(version.len()).enumerate().filter(|(_, part)| *part == version);
    let at = places.map(|(at, _)| at).nth(2).expect("there is a state");
    log[at] ^= 1;
    let said = format!("the log cannot be read behind step 0: its state before step {from} is damaged");
    ends("damaged_state.inputs", &log, 7, &[&said]);
}

#[test]
fn a_log_without_its_beginning_and_a_state_is_listed() {
    let mut recorded = Recorded::keeping(2000);
    recorded.recorder = recorded.recorder.with_largest_state(100);
    for client in 0..200 {
        recorded.enter(client);
    }
    ends("dropped.inputs", &recorded.log(), 6, &["inputs only: ", "were dropped (input_log_bytes)"]);
}

#[test]
fn a_log_that_is_damaged_or_cut_off_is_told_with_the_step() {
    let mut log = some().log_of_broken();
    ends("cut.inputs", &log[..log.len() - 1], 7, &["the log cannot be read behind step 0: it is cut off"]);
    *log.last_mut().expect("the record of the broken invariant") = 99;
    let expected = ["the log cannot be read behind step 20: it has a record of the unknown kind 99"];
    ends("damaged.inputs", &log, 7, &expected);
}
