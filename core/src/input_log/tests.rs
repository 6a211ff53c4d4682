//! What is recorded is read as it was, and is run to the same state.

use super::InputRecorder;
use super::reader::{LogReader, LogRecord, LoggedStep};
use super::replay::{InputReplay, ReplayEvent, ReplayStop};
use crate::api::{Command, Message};
use crate::config::Config;
use crate::connection::frame::Frame;
use crate::ids::ConnId;
use crate::input::{CallId, Input, Lost, Refused, Upgrade, Violation, WebSocketMessage};
use crate::json::Json;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::policy::{Namespaces, Permissions, Policy};
use crate::shard::Shard;
use crate::stored::{Sharing, StateWriter};
use crate::time::{Instant, Now};
use crate::token::{BadToken, Claims, VerifiedClaims};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const SEED: [u8; 32] = [7; 32];

fn at(mono: u64) -> Now {
    Now { mono: Instant(mono), unix_ms: 1_767_225_600_000 + mono }
}

fn recorder(config: &Config) -> InputRecorder {
    InputRecorder::new(config, SEED, 1 << 20, true)
}

fn bytes(mut recorder: InputRecorder) -> Vec<u8> {
    recorder.log_of_broken().parts().collect::<Vec<_>>().concat()
}

/// The inputs of a log as text, each with its time.
fn inputs(log: &[u8]) -> Vec<String> {
    let (_, mut reader) = LogReader::open(log).expect("a log");
    let mut inputs = Vec::new();
    while let Some(record) = reader.next().expect("a whole log") {
        if let LogRecord::Step(now, LoggedStep::Input(input)) = record {
            inputs.push(format!("{now:?} {input:?}"));
        }
    }
    inputs
}

fn publish(data: &str) -> Command {
    let message = Message {
        data: Payload::from(Json::parse(data).expect("JSON")),
        tags: BTreeMap::from([("tag".into(), "a \"secret\" value\n".into())]),
        skip_history: false,
        idempotency_key: None,
    };
    Command::Publish { channel: "room".into(), message }
}

#[test]
fn every_input_is_read_as_it_was() {
    let conn = ConnId::from_parts(300, 7);
    #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
    let claims =
        VerifiedClaims::vouched_for_by_verifier(Claims { sub: "ada".into(), exp: Some(-1), ..Claims::default() });
    let permissions = Permissions::open();
    let policy = Policy::new(permissions, &Limits::default());
    let namespaces = Namespaces::with(policy.clone(), policy.clone(), [("chat".into(), policy)]);
    let config = Config { namespaces, ..Config::default() };
    let all = [
        Input::Upgraded { conn },
        Input::Message { conn, message: "{\"type\":\"ping\"}".into() },
        Input::Message { conn, message: WebSocketMessage::Binary(vec![1, 2]) },
        Input::Fragment { conn, bytes: 1 },
        Input::HalfFrame { conn, bytes: 70_000 },
        Input::Unread { conn, bytes: 0 },
        Input::BodyBegun { bytes: 5 },
        Input::BodyEnded { bytes: 5 },
        Input::Ping { conn, payload: vec![9; 125] },
        Input::Pong { conn },
        Input::PeerClosed { conn, code: Some(1001) },
        Input::Violation { conn, rule: Violation::Utf8 },
        Input::Lost { conn, cause: Lost::Eof },
        Input::Flushed { conn, bytes: 0 },
        Input::Committed { conn, bytes: 3 },
        Input::Authenticated { conn, verdict: Ok(claims) },
        Input::Authenticated { conn, verdict: Err(BadToken::Claim("exp")) },
        Input::Call { call: CallId(9), command: publish("{\"a\":1}") },
        Input::Call { call: CallId(10), command: Command::Batch(vec![("publish", Ok(publish("2")))]) },
        Input::Configured { config: Box::new(config.clone()) },
        Input::Tick,
        Input::Shutdown,
    ];
    let mut recorder = recorder(&config);
    // The clock may go back.
    let times = [at(5), at(3), at(3), at(u64::MAX >> 1)];
    let timed = || times.iter().cycle().zip(&all);
    timed().for_each(|(now, input)| recorder.input(*now, input));
    let expected: Vec<String> = timed().map(|(now, input)| format!("{now:?} {input:?}")).collect();
    assert_eq!(inputs(&bytes(recorder)), expected);
}

#[test]
fn flushes_keep_their_times() {
    let config = Config::default();
    // In one segment, and in several that begin anywhere among them.
    flushes_keep_their_times_in(recorder(&config), 105);
    for capacity in 300..600 {
        flushes_keep_their_times_in(InputRecorder::new(&config, SEED, capacity, true), 20);
    }
}

/// Checks that the last flushes are read as they were, at least so many.
fn flushes_keep_their_times_in(mut recorder: InputRecorder, least: usize) {
    let mut expected = Vec::new();
    // Slots by ones, by threes and in no order; other bytes, another generation, another time, and something between.
    let slots = (0..50).chain((50..200).step_by(3)).chain([7, 9, 2, 2, 2]);
    for (index, slot) in slots.enumerate() {
        let generation = u32::from(index % 20 == 19);
        let flush = Input::Flushed { conn: ConnId::from_parts(slot, generation), bytes: 100 + index / 40 };
        let now = at(index as u64 / 30);
        recorder.input(now, &flush);
        expected.push(format!("{now:?} {flush:?}"));
        if index % 25 == 0 {
            recorder.all_offered();
        }
    }
    let read = inputs(&bytes(recorder));
    assert!(read.len() >= least && expected.ends_with(&read), "{read:?}");
}

#[test]
fn a_fan_out_takes_few_bytes() {
    let mut recorder = recorder(&Config::default());
    let before = recorder.log_of_broken().parts().map(|part| part.len()).sum::<usize>();
    for slot in 0..100_000 {
        recorder.input(at(1), &Input::Flushed { conn: ConnId::from_parts(slot, 0), bytes: 130 });
    }
    let after = recorder.log_of_broken().parts().map(|part| part.len()).sum::<usize>();
    assert!(after - before < 40, "{} bytes", after - before);
}

/// A shard that is recorded.
struct Recorded {
    shard: Shard,
    recorder: InputRecorder,
    now: u64,
}

impl Recorded {
    fn new(config: Config) -> Self {
        let recorder = InputRecorder::new(&config, SEED, 16 << 20, false);
        Self { shard: Shard::new(config, SEED), recorder, now: 0 }
    }

    fn enter(&mut self, client: u8) -> ConnId {
        let target = self.shard.config().resolve("/ws/room?token=secret").expect("a path that is served");
        let request = Upgrade { client: [client; 16], target, token: None, address: None };
        self.recorder.accept(at(self.now), &request);
        let accepted = self.shard.accept(at(self.now), request);
        self.recorder.accepted(&accepted);
        accepted.expect("it is within the limits")
    }

    fn input(&mut self, input: Input) {
        self.now += 1;
        self.recorder.input(at(self.now), &input);
        for effect in self.shard.handle(at(self.now), input) {
            self.recorder.effect(&effect);
        }
        self.recorder.after(&mut self.shard);
    }

    /// Writes what waits, and goes on with what was put off.
    fn flush(&mut self, conns: &[ConnId]) {
        loop {
            for conn in conns {
                if let Some(pending) = self.shard.pending(*conn) {
                    let flushed = pending.consumed(pending.len());
                    self.input(flushed);
                }
            }
            self.recorder.all_offered();
            self.shard.all_offered();
            if !self.shard.has_work() {
                return;
            }
            self.recorder.resume(at(self.now));
            for effect in self.shard.resume(at(self.now)) {
                self.recorder.effect(&effect);
            }
            self.recorder.after(&mut self.shard);
        }
    }

    fn log(&mut self) -> Vec<u8> {
        self.recorder.log(&self.shard).parts().collect::<Vec<_>>().concat()
    }
}

/// A shard with members, publications, a batch that takes several turns, a refused token and an end.
fn busy() -> Recorded {
    let mut recorded = Recorded::new(Config::default());
    let conns: Vec<ConnId> = (0..5).map(|client| recorded.enter(client)).collect();
    for conn in &conns {
        recorded.input(Input::Upgraded { conn: *conn });
        recorded.input(Input::Authenticated { conn: *conn, verdict: Err(BadToken::Signature) });
    }
    recorded.flush(&conns);
    let conns: Vec<ConnId> = (10..15).map(|client| recorded.enter(client)).collect();
    for conn in &conns {
        recorded.input(Input::Upgraded { conn: *conn });
        #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
        let claims = VerifiedClaims::vouched_for_by_verifier(Claims {
            sub: "ada".into(),
            info: Json::parse("{\"name\":\"Ada L.\"}").ok(),
            ..Claims::default()
        });
        recorded.input(Input::Authenticated { conn: *conn, verdict: Ok(claims) });
    }
    recorded.flush(&conns);
    let calls: Vec<_> =
        (0..900).map(|_| ("publish", Ok(publish("{\"type\":\"chat\",\"text\":\"secret words\"}")))).collect();
    for call in 0..3 {
        recorded.input(Input::Call { call: CallId(call), command: Command::Batch(calls.clone()) });
        recorded.flush(&conns);
    }
    recorded.input(Input::PeerClosed { conn: conns[0], code: None });
    recorded.input(Input::Tick);
    recorded.flush(&conns);
    recorded
}

/// Runs a log. Returns the counts of its shard as text, or where it stopped and why.
fn run(log: &[u8]) -> Result<String, (u64, ReplayStop)> {
    let mut replay = InputReplay::open(log).expect("a log");
    while replay.run().map_err(|stop| (replay.step(), stop))?.is_some() {}
    Ok(format!("{:?}", replay.shard().stats()))
}

#[test]
fn a_replay_comes_to_the_same_state() {
    let mut recorded = busy();
    let log = recorded.log();
    assert_eq!(run(&log), Ok(format!("{:?}", recorded.shard.stats())));
    assert!(has(&log, "chat") && !has(&log, "secret") && !has(&log, "Ada L."));
    let totals = recorded.shard.stats().totals;
    assert!(totals.published >= 2_700 && totals.frames_written > 10_000, "{totals:?}");
}

#[test]
fn a_replay_says_where_it_goes_another_way() {
    let log = busy().log();
    let (head, _) = LogReader::open(&log).expect("a log");
    // Another limit than the server had.
    let limits = Limits { history_messages: 3, ..Limits::default() };
    let other = InputRecorder::new(&Config::from(limits), SEED, 1 << 20, false).log_of_broken();
    let before = InputRecorder::new(&head.config, SEED, 1 << 20, false).log_of_broken();
    let of_head = |log: super::InputLog| log.parts().next().expect("a head");
    let (head, before) = (of_head(other), of_head(before));
    let log = [&head[..], &log[before.len()..]].concat();
    let (step, stop) = run(&log).expect_err("what is retained is counted");
    assert!(step > 20 && matches!(&stop, ReplayStop::Diverged(how) if how.contains("history")), "{step}: {stop:?}");
}

#[test]
fn an_effect_that_does_not_come_again_is_missed() {
    let mut recorded = busy();
    recorded.recorder.accepted(&Ok(ConnId::from_parts(9, 9)));
    let (_, stop) = run(&recorded.log()).expect_err("nobody was accepted");
    assert!(matches!(&stop, ReplayStop::Diverged(how) if how.starts_with("the upgrade request")), "{stop:?}");
}

#[test]
fn a_log_that_is_cut_off_or_of_another_form_is_refused() {
    let log = busy().log();
    for length in [0, 10, 30, 100, log.len() / 2, log.len() - 1] {
        let cut = &log[..length];
        let refused = match InputReplay::open(cut) {
            Err(_) => true,
            Ok(mut replay) => loop {
                match replay.run() {
                    Ok(Some(_)) => {}
                    result => break result.is_err(),
                }
            },
        };
        assert!(refused, "{length} of {} bytes", log.len());
    }
    assert!(InputReplay::open(b"setup conns=1").is_err());
}

#[test]
fn a_broken_invariant_is_told_at_its_step() {
    let log = bytes(busy().recorder);
    let mut replay = InputReplay::open(&log).expect("a log");
    let mut last = None;
    while let Some(event) = replay.run().expect("the same") {
        last = Some(event);
    }
    assert!(matches!(last, Some(ReplayEvent::Broken)));
}

/// A shard whose state has tokens and content in every place in which it can have them, recorded until the ring is full of what
/// came later.
fn secretive(has_payloads: bool) -> Recorded {
    let config = Config::from(Limits { outbox_frames: 32, ..Limits::default() });
    let recorder = InputRecorder::new(&config, SEED, 1 << 12, has_payloads);
    let mut recorded = Recorded { shard: Shard::new(config, SEED), recorder, now: 0 };
    let say = |recorded: &mut Recorded, conn, text: &str| {
        recorded.input(Input::Message { conn, message: text.into() });
    };
    // Its response is being written.
    recorded.enter(1);
    // A token is being checked, and a message waits.
    let checked = recorded.enter(2);
    recorded.input(Input::Upgraded { conn: checked });
    say(&mut recorded, checked, r#"{"type":"auth","id":{"a":"secret"},"token":"key-secret","data":"secret words"}"#);
    say(&mut recorded, checked, "{\"data\":\"\\é secret words");
    // Two members that have not read, of whom one has read a part.
    for client in [3, 4] {
        let conn = recorded.enter(client);
        recorded.input(Input::Upgraded { conn });
        #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
        let claims = VerifiedClaims::vouched_for_by_verifier(Claims {
            sub: "ada".into(),
            info: Json::parse(r#"{"name":"secret words","type":"secret","in":{"id":"secret","room":"secret"}}"#).ok(),
            ..Claims::default()
        });
        recorded.input(Input::Authenticated { conn, verdict: Ok(claims) });
        say(&mut recorded, conn, r#"{"type":"publish","data":{"type":"chat","text":"secret words"}}"#);
        recorded.input(Input::Ping { conn, payload: Vec::from("secret words") });
        recorded.input(Input::Flushed { conn, bytes: if client == 4 { 7 } else { 0 } });
    }
    recorded.input(Input::Call { call: CallId(1), command: publish("{\"type\":\"chat\",\"text\":\"secret words\"}") });
    // It has names that messages of a client have, too.
    recorded.input(Input::Call {
        call: CallId(3),
        command: publish(r#"{"room":"secret","in":{"id":"secret"},"secret":1}"#),
    });
    // A batch that is too much for one turn.
    let calls = (0..15).map(|_| ("publish", Ok(publish("{\"text\":\"secret words\"}")))).collect();
    recorded.input(Input::Call { call: CallId(2), command: Command::Batch(calls) });
    assert!(recorded.shard.has_work());
    for _ in 0..4_000 {
        recorded.input(Input::Tick);
    }
    recorded
}

fn has(log: &[u8], text: &str) -> bool {
    log.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_log_whose_ring_was_full_is_run_from_a_state_that_tells_no_secret() {
    for has_payloads in [false, true] {
        let mut recorded = secretive(has_payloads);
        let log = recorded.log();
        let replay = InputReplay::open(&log).expect("a log");
        assert!(replay.first_step() > 1_000 && replay.is_runnable(), "the first step is dropped");
        replay.audit();
        assert_eq!(run(&log), Ok(format!("{:?}", recorded.shard.stats())));
        let gauges = recorded.shard.gauges();
        assert!(gauges.connections == 4 && gauges.refused_bytes > 0 && gauges.inbound_bytes > 0, "{gauges:?}");
        assert!(has(&log, "chat") && has(&log, "room") && has(&log, "ada"), "types, rooms and users are kept");
        assert!(!has(&log, "key-secret") && !has(&log, "key-"), "it has no token");
        assert_eq!(has(&log, "secret words"), has_payloads);
        assert!(has_payloads || !has(&log, "secret"), "it has no content");
    }
}

#[test]
fn a_record_may_be_larger_than_a_segment() {
    let mut recorded = secretive(false);
    let conn = recorded.enter(5);
    recorded.input(Input::Upgraded { conn });
    for _ in 0..20 {
        recorded.input(Input::Call { call: CallId(9), command: publish(&format!("\"{}\"", "a".repeat(1_000))) });
    }
    let log = recorded.recorder.log(&recorded.shard);
    assert!(log.run_steps() > 0, "it has a state");
}

#[test]
fn what_a_client_is_told_of_a_wrong_value_is_as_long_in_a_replay() {
    for token in ["1.5e9", r#"{"a":"\u00e9"}"#, r#"["\n"]"#, "-10e2", "true"] {
        let mut recorded = Recorded::new(Config::default());
        let conn = recorded.enter(1);
        recorded.input(Input::Upgraded { conn });
        let text = format!(r#"{{"type":"auth","token":{token}}}"#);
        recorded.input(Input::Message { conn, message: text.as_str().into() });
        recorded.flush(&[conn]);
        assert_eq!(run(&recorded.log()), Ok(format!("{:?}", recorded.shard.stats())), "{token}");
    }
}

#[test]
fn a_state_above_its_bound_is_left_out() {
    let mut recorded = secretive(false);
    let bytes = recorded.shard.write_state(usize::MAX).expect("no bound").memory();
    recorded.recorder = recorded.recorder.with_largest_state(bytes - 1);
    for _ in 0..4_000 {
        recorded.input(Input::Tick);
    }
    let log = recorded.recorder.log(&recorded.shard);
    assert_eq!(log.run_steps(), 0);
    let log = log.parts().collect::<Vec<_>>().concat();
    let replay = InputReplay::open(&log).expect("a log");
    assert!(!replay.is_runnable() && replay.step() == replay.first_step());
    // One byte more, and it is there.
    recorded.recorder = recorded.recorder.with_largest_state(bytes);
    for _ in 0..4_000 {
        recorded.input(Input::Tick);
    }
    assert!(InputReplay::open(&recorded.log()).expect("a log").is_runnable());
}

#[test]
fn a_log_of_refused_requests_alone_is_bounded() {
    let mut recorded = secretive(false);
    let target = recorded.shard.config().resolve("/ws/room").expect("a path that is served");
    for _ in 0..10_000 {
        recorded
            .recorder
            .accept(at(1), &Upgrade { client: [9; 16], target: target.clone(), token: None, address: None });
        recorded.recorder.accepted(&Err(Refused::ShuttingDown));
    }
    let ring = recorded.recorder.log_of_broken().parts().skip(1).map(|part| part.len()).sum::<usize>();
    assert!(ring < 2 * 4_096, "{ring} bytes");
}

#[test]
fn states_are_as_far_apart_as_half_the_ring() {
    let mut recorded = secretive(false);
    let state = recorded.shard.write_state(usize::MAX).expect("no bound").bytes.len();
    let log = recorded.log();
    assert!(log.len() < 4_096 + 600 + 3 * state, "{} bytes with states of {state}", log.len());
    let (head, _) = LogReader::open(&log).expect("a log");
    assert_eq!(head.seed, SEED);
    let runnable = recorded.recorder.log(&recorded.shard).run_steps();
    let bytes_of_step = 4;
    assert!(runnable * bytes_of_step > 2_048 - 2 * 256, "half the ring can be run: {runnable} steps");
}

#[test]
fn a_frame_that_several_wait_for_is_written_once_and_is_one_again() {
    let frame = Frame::text("words");
    let frames = [frame.clone(), Frame::text("words"), frame];
    let written = StateWriter::write(&frames, usize::MAX, false).expect("no bound");
    assert_eq!(written.contents.len(), 2, "one frame, and another of the same bytes");
    let _sharing = Sharing::begin();
    let read: [Frame; 3] = postcard::from_bytes(&written.bytes).expect("frames");
    assert_eq!(read, frames);
    let [first, other, again] = read.map(|frame| frame.address());
    assert!(first == again && first != other);
}

#[test]
fn a_state_that_is_cut_off_or_changed_is_read_without_a_panic() {
    let state = secretive(true).shard.write_state(usize::MAX).expect("no bound").bytes;
    assert!(Shard::read_state(&state).is_ok());
    for length in 0..state.len() {
        let why = Shard::read_state(&state[..length]).expect_err("it is cut off");
        assert!(!why.is_empty(), "{length} of {} bytes", state.len());
    }
    // The sum of a log tells this before; what is read here may be a state, and must not be more than its bytes can tell.
    for at in 0..state.len() {
        for flipped in [1, 0x80, 0xFF] {
            let mut changed = state.clone();
            changed[at] ^= flipped;
            drop(Shard::read_state(&changed));
        }
    }
}

#[test]
fn a_log_with_states_that_is_cut_off_anywhere_is_told_from_a_whole_one() {
    let log = secretive(true).log();
    // Where a segment ends, what is left is a shorter log.
    let whole = (0..log.len()).filter(|length| InputReplay::open(&log[..*length]).is_ok_and(is_whole)).count();
    assert!((1..20).contains(&whole), "{whole} of {} lengths", log.len());
}

/// Whether a log can be read to its end. One that cannot says why.
fn is_whole(mut replay: InputReplay<'_>) -> bool {
    loop {
        match replay.list() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(bad) => {
                assert!(format!("{bad}").contains("cut off"), "{bad}");
                return false;
            }
        }
    }
}

#[test]
fn a_state_that_is_damaged_is_refused() {
    let mut recorded = secretive(true);
    let mut log = recorded.log();
    let at = log.windows(12).position(|part| part == b"secret words").expect("the first state has it");
    log[at] ^= 1;
    let bad = InputReplay::open(&log).expect_err("it is damaged");
    let bad = format!("{bad}");
    assert!(bad.starts_with("its state before step ") && bad.ends_with("is damaged"), "{bad}");
}
