//! The recorder of a shard's inputs.

use super::filler::{self, Filled};
use super::log::InputLog;
use super::records::{
    ACCEPT, ACCEPTED, BROKEN, CHECK, EFFECT, FLUSHED, FLUSHES, INPUT, LogHead, OFFERED, RESUME, SETTLED, SeenEffect,
    TEXT, TIME, UpgradeRecord,
};
use super::ring::LogRing;
use crate::admission::route::Target;
use crate::api::{Command, Message};
use crate::config::Config;
use crate::effect::Effect;
use crate::ids::ConnId;
use crate::input::{Input, Refused, Upgrade, WebSocketMessage};
use crate::shard::Shard;
use crate::stored::{ContentKind, ContentRange, WrittenState};
use crate::time::Now;
use crate::token::VerifiedClaims;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// The number of steps between two records of the counts.
pub const STEPS_PER_CHECK: u64 = 4096;

/// The most bytes of a state. Nobody is served while it is written.
pub const LARGEST_STATE: usize = 8 << 20;
/// The bytes that a state may have however small the log is.
const SMALLEST_BOUND: usize = 64 << 10;

/// Records what a shard is called with, in the order of the calls. It is told of a call before it is made, and of its effects
/// after it.
#[derive(Debug)]
pub struct InputRecorder {
    ring: LogRing,
    /// The head of a log, as it is written.
    head: Vec<u8>,
    has_payloads: bool,
    /// The number of calls so far.
    steps: u64,
    /// The number of calls at which the counts are due, or a state is.
    check_at: u64,
    /// The most bytes of a state.
    largest_state: usize,
    now: Now,
    /// The flush that would go on with the run.
    next: ConnId,
    /// The bytes of each flush of the run.
    bytes: usize,
    /// The distance of the slots of two flushes of the run, modulo 2^32.
    stride: u32,
    /// The flushes of the run that are not written.
    run: u64,
}

impl InputRecorder {
    /// Creates a recorder for a shard that was created with this configuration and seed. It keeps the last `capacity` bytes, with
    /// the payloads of messages if `has_payloads`.
    #[must_use]
    pub fn new(config: &Config, seed: [u8; 32], capacity: usize, has_payloads: bool) -> Self {
        let head = LogHead { version: config.version.clone(), config: config.clone(), seed, has_payloads };
        Self {
            ring: LogRing::new(capacity),
            head: postcard::to_allocvec(&head).expect("a configuration is plain data"),
            has_payloads,
            steps: 0,
            check_at: STEPS_PER_CHECK,
            largest_state: (capacity / 2).clamp(SMALLEST_BOUND, LARGEST_STATE),
            now: Now::default(),
            next: ConnId::from_parts(0, 0),
            bytes: 0,
            stride: 0,
            run: 0,
        }
    }

    /// Bounds the bytes of a state. Otherwise it may have half as many as the log, from 64 KiB to [`LARGEST_STATE`].
    #[must_use]
    pub fn with_largest_state(self, bytes: usize) -> Self {
        Self { largest_state: bytes, ..self }
    }

    /// Records a call of [`Shard::accept`].
    #[cold]
    pub fn accept(&mut self, now: Now, request: &Upgrade) {
        self.begin_step(Some(now));
        let filled = |token: &Option<String>| token.as_deref().map(filler::filled_text);
        let mut target = request.target.clone();
        if let Target::Plain(url) = &mut target {
            url.token = filled(&url.token);
        }
        let (client, token, address) = (request.client, filled(&request.token), request.address);
        self.ring.push(ACCEPT);
        self.ring.push_structure(&UpgradeRecord { client, target, token, address });
    }

    /// Records its result.
    #[cold]
    pub fn accepted(&mut self, result: &Result<ConnId, Refused>) {
        self.ring.push(ACCEPTED);
        self.ring.push_structure(result);
    }

    /// Records a call of [`Shard::handle`].
    #[inline]
    pub fn input(&mut self, now: Now, input: &Input) {
        match *input {
            // This is what each delivery costs.
            Input::Flushed { conn, bytes } if conn == self.next && bytes == self.bytes && now == self.now => {
                self.run += 1;
                self.steps += 1;
                self.next.slot = conn.slot.after(self.stride);
            }
            Input::Flushed { conn, bytes } => self.flushed(now, conn, bytes),
            _ => self.other(now, input),
        }
    }

    /// Records a call of [`Shard::resume`].
    #[cold]
    pub fn resume(&mut self, now: Now) {
        self.begin_step(Some(now));
        self.ring.push(RESUME);
    }

    /// Records a call of [`Shard::all_offered`].
    pub fn all_offered(&mut self) {
        self.begin_step(None);
        self.ring.push(OFFERED);
    }

    /// Records an effect of the last call.
    #[inline]
    pub fn effect(&mut self, effect: &Effect) {
        if !matches!(effect, Effect::Wake(_)) {
            self.other_effect(effect);
        }
    }

    /// Records the counts of the shard, if [`STEPS_PER_CHECK`] steps were made since it was done last, and its state, if one is due.
    /// It is called after the effects of a call.
    #[inline]
    pub fn after(&mut self, shard: &mut Shard) {
        if self.steps >= self.check_at {
            self.check(shard);
            self.keep_state(shard);
        }
    }

    /// Returns the log up to this moment, in which the counts of the shard come last. O(n) in one segment: a sixteenth of the
    /// capacity, and 1 MiB at most.
    pub fn log(&mut self, shard: &Shard) -> InputLog {
        self.check(shard);
        self.copied()
    }

    /// Returns the log of a shard that has panicked in its last call.
    pub fn log_of_broken(&mut self) -> InputLog {
        self.end_run();
        self.ring.push(BROKEN);
        self.copied()
    }

    fn copied(&self) -> InputLog {
        InputLog::new(self.head.clone(), self.ring.segments(), self.has_payloads, self.steps)
    }

    /// Writes what is not yet written of a run of flushes.
    fn end_run(&mut self) {
        if self.run > 0 {
            self.ring.push(FLUSHES);
            self.ring.push_number(self.run);
            self.run = 0;
        }
    }

    /// Begins the record of a call, at this time where it has one.
    fn begin_step(&mut self, now: Option<Now>) {
        self.end_run();
        if self.ring.is_segment_full() {
            if self.ring.is_state_due() && !self.ring.is_state_overdue() {
                // A state is that between two calls.
                self.check_at = 0;
            } else {
                self.begin_segment();
            }
        }
        self.steps += 1;
        if let Some(now) = now.filter(|now| *now != self.now) {
            self.ring.push(TIME);
            self.ring.push_number(zigzag(now.mono.0.wrapping_sub(self.now.mono.0)));
            self.ring.push_number(zigzag(now.unix_ms.wrapping_sub(self.now.unix_ms)));
            self.now = now;
        }
    }

    fn begin_segment(&mut self) {
        self.ring.begin_segment(self.steps);
        self.now = Now::default();
        (self.next, self.bytes, self.stride) = (ConnId::from_parts(0, 0), 0, 0);
    }

    /// Begins a segment with the state of the shard, if the newer half of the ring has none and it is not too large.
    fn keep_state(&mut self, shard: &mut Shard) {
        if !(self.ring.is_segment_full() && self.ring.is_state_due()) {
            return;
        }
        self.begin_segment();
        let written = shard.write_state(self.largest_state).ok();
        let is_written = written.is_some();
        self.ring.keep_state(written.map(without_tokens));
        if is_written {
            // Who runs the log from before this state has to do the same.
            self.ring.push(SETTLED);
        }
    }

    fn flushed(&mut self, now: Now, conn: ConnId, bytes: usize) {
        // It may begin a segment, which knows nothing of the one before.
        self.begin_step(Some(now));
        // The connection before the one that would have been next.
        let before = self.next.slot.before(self.stride);
        self.ring.push(FLUSHED);
        self.ring.push_number(conn.slot() as u64);
        self.ring.push_number(conn.generation().into());
        self.ring.push_number(bytes as u64);
        self.stride = conn.slot.distance(before);
        self.next = ConnId { slot: conn.slot.after(self.stride), ..conn };
        self.bytes = bytes;
    }

    fn other(&mut self, now: Now, input: &Input) {
        self.begin_step(Some(now));
        if let Input::Message { conn, message: WebSocketMessage::Text(text) } = input {
            self.text(*conn, text);
        } else {
            self.ring.push(INPUT);
            match self.filled(input) {
                Some(filled) => self.ring.push_structure(&filled),
                None => self.ring.push_structure(input),
            }
        }
        if self.ring.is_segment_full() && self.ring.is_state_due() {
            // Behind this call, as one record may be larger than a segment.
            self.check_at = 0;
        }
    }

    /// Records a text message, whose tokens are filled at once. Its payloads are filled once the log is written.
    fn text(&mut self, conn: ConnId, text: &str) {
        self.ring.push(TEXT);
        self.ring.push_number(conn.slot() as u64);
        self.ring.push_number(conn.generation().into());
        self.ring.push_number(text.len() as u64);
        let recorded = self.ring.push_text(text);
        if filler::may_have_token(recorded) {
            filler::fill_message(recorded, Filled::Tokens);
        }
    }

    /// Returns the input with filler for what is no text message; `None` where it has nothing to be filled.
    #[cold]
    fn filled(&self, input: &Input) -> Option<Input> {
        if self.has_payloads {
            return None;
        }
        Some(match input {
            Input::Message { conn, message } => {
                Input::Message { conn: *conn, message: WebSocketMessage::Binary(vec![0; message.len()]) }
            }
            Input::Ping { conn, payload } => Input::Ping { conn: *conn, payload: vec![0; payload.len()] },
            Input::Call { call, command } => Input::Call { call: *call, command: filled_command(command) },
            Input::Authenticated { conn, verdict: Ok(verified) } => {
                Input::Authenticated { conn: *conn, verdict: Ok(filled_claims(verified)) }
            }
            _ => return None,
        })
    }

    #[cold]
    fn other_effect(&mut self, effect: &Effect) {
        if let Some(seen) = SeenEffect::of(effect) {
            self.end_run();
            self.ring.push(EFFECT);
            self.ring.push_structure(&seen);
        }
    }

    #[cold]
    fn check(&mut self, shard: &Shard) {
        self.end_run();
        self.check_at = self.steps + STEPS_PER_CHECK;
        self.ring.push(CHECK);
        self.ring.push_structure(&shard.stats());
    }
}

/// Fills the tokens of the messages that wait in a state. Others are written as filler.
fn without_tokens(mut state: WrittenState) -> WrittenState {
    for ContentRange { range, kind } in &state.contents {
        let text = &mut state.bytes[range.start as usize..range.end as usize];
        if *kind == ContentKind::Message && filler::may_have_token(text) {
            filler::fill_message(text, Filled::Tokens);
        }
    }
    state
}

/// Maps small numbers of both signs to small ones.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (((difference as i64) >> 63) as u64)
}

/// Returns claims whose `info` is filled.
fn filled_claims(verified: &VerifiedClaims) -> VerifiedClaims {
    verified.with_info(verified.claims().info.as_ref().map(filler::filled_info))
}

/// Returns a call whose payloads are filled.
fn filled_command(command: &Command) -> Command {
    let mut filled = command.clone();
    match &mut filled {
        Command::Publish { message, .. }
        | Command::Broadcast { message, .. }
        | Command::PublishUser { message, .. } => {
            fill_message(message);
        }
        Command::Send { data, .. } | Command::PublishAll { data } => *data = filler::filled_payload(data),
        Command::Batch(calls) => {
            calls.iter_mut().filter_map(|(_, call)| call.as_mut().ok()).for_each(|call| *call = filled_command(call));
        }
        _ => {}
    }
    filled
}

fn fill_message(Message { data, tags, .. }: &mut Message) {
    *data = filler::filled_payload(data);
    tags.values_mut().for_each(|value| *value = filler::filled_text(value));
}
