//! The records of an input log, read from its bytes.

use super::log::{self, MAGIC};
use super::records::{
    ACCEPT, ACCEPTED, BROKEN, CHECK, EFFECT, FLUSHED, FLUSHES, INPUT, LogHead, OFFERED, RESUME, SETTLED, SeenEffect,
    TEXT, TIME, UpgradeRecord,
};
use crate::ids::ConnId;
use crate::input::{Input, Refused, Upgrade, WebSocketMessage};
use crate::shard::Shard;
use crate::stats::Stats;
use crate::time::{Instant, Now};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;
use serde::Deserialize;

/// A call of a shard.
#[derive(Clone, Debug)]
pub enum LoggedStep {
    /// [`Shard::accept`](crate::Shard::accept).
    Accept(Upgrade),
    /// [`Shard::handle`](crate::Shard::handle).
    Input(Input),
    /// [`Shard::resume`](crate::Shard::resume).
    Resume,
    /// [`Shard::all_offered`](crate::Shard::all_offered).
    Offered,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) enum LogRecord {
    Step(Now, LoggedStep),
    Accepted(Result<ConnId, Refused>),
    Seen(SeenEffect),
    Check(Box<Stats>),
    Broken,
    /// The vacant places of all tables were put in order.
    Settled,
}

/// The reason for which bytes are no input log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInputLog(String);

impl fmt::Display for BadInputLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn bad(words: impl fmt::Display) -> BadInputLog {
    BadInputLog(words.to_string())
}

/// A sum of bytes, and them.
type SummedBytes<'a> = (u64, &'a [u8]);

/// A reader of the segments, one after the other.
#[derive(Clone, Debug)]
pub(super) struct LogReader<'a> {
    /// The segments behind this one.
    rest: &'a [u8],
    segment: &'a [u8],
    first_step: u64,
    /// The state before that step, with the sum of its bytes.
    state: Option<SummedBytes<'a>>,
    now: Now,
    last: ConnId,
    bytes: usize,
    stride: u32,
    /// The flushes of a run that are to come.
    run: u64,
}

impl<'a> LogReader<'a> {
    /// Reads the head, and begins with the first segment.
    pub fn open(log: &'a [u8]) -> Result<(LogHead, Self), BadInputLog> {
        let rest = log.strip_prefix(MAGIC).ok_or_else(|| bad("it is no input log of a version that is known here"))?;
        let (length, rest) = read::<u64>(rest)?;
        let (head, rest) = split(rest, length)?;
        let (head, _) = read::<LogHead>(head)?;
        let mut reader = Self {
            rest,
            segment: &[],
            first_step: 0,
            state: None,
            now: Now::default(),
            last: ConnId::from_parts(0, 0),
            bytes: 0,
            stride: 0,
            run: 0,
        };
        reader.next_segment()?;
        Ok((head, reader))
    }

    /// The number of the step with which the present segment begins.
    pub fn first_step(&self) -> u64 {
        self.first_step
    }

    /// Goes to the first segment that begins with a state, and reads that; `None` where there is none.
    pub fn into_state(mut self) -> Result<Option<(Shard, Self)>, BadInputLog> {
        loop {
            if let Some((sum, state)) = self.state {
                if log::sum(state) != sum {
                    return Err(bad(format_args!("its state before step {} is damaged", self.first_step)));
                }
                let wrong = |why| bad(format_args!("its state before step {} is wrong: {why}", self.first_step));
                return Ok(Some((Shard::read_state(state).map_err(wrong)?, self)));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.next_segment()?;
        }
    }

    fn next_segment(&mut self) -> Result<(), BadInputLog> {
        let (length, rest) = read::<u64>(self.rest)?;
        let (first_step, rest) = read::<u64>(rest)?;
        let (state, rest) = read_state(rest)?;
        let (segment, rest) = split(rest, length)?;
        (self.segment, self.rest, self.first_step, self.state) = (segment, rest, first_step, state);
        (self.now, self.last) = (Now::default(), ConnId::from_parts(0, 0));
        (self.bytes, self.stride) = (0, 0);
        Ok(())
    }

    /// Reads the next record; `None` at the end.
    pub fn next(&mut self) -> Result<Option<LogRecord>, BadInputLog> {
        loop {
            if self.run > 0 {
                self.run -= 1;
                self.last.slot = self.last.slot.after(self.stride);
                return Ok(Some(self.flush()));
            }
            let Some((kind, rest)) = self.segment.split_first() else {
                if self.rest.is_empty() {
                    return Ok(None);
                }
                self.next_segment()?;
                continue;
            };
            self.segment = rest;
            match *kind {
                TIME => self.time()?,
                FLUSHES => self.run = self.structure()?,
                kind => return self.record(kind).map(Some),
            }
        }
    }

    fn record(&mut self, kind: u8) -> Result<LogRecord, BadInputLog> {
        Ok(match kind {
            ACCEPT => {
                let UpgradeRecord { client, target, token, address } = self.structure()?;
                LogRecord::Step(self.now, LoggedStep::Accept(Upgrade { client, target, token, address }))
            }
            ACCEPTED => LogRecord::Accepted(self.structure()?),
            INPUT => LogRecord::Step(self.now, LoggedStep::Input(self.structure()?)),
            TEXT => {
                let (slot, generation, length) = (self.structure()?, self.structure()?, self.structure()?);
                let (text, rest) = split(self.segment, length)?;
                self.segment = rest;
                let message = WebSocketMessage::Text(String::from_utf8_lossy(text).into_owned());
                let conn = ConnId::from_parts(slot, generation);
                LogRecord::Step(self.now, LoggedStep::Input(Input::Message { conn, message }))
            }
            FLUSHED => {
                let conn = ConnId::from_parts(self.structure()?, self.structure()?);
                self.bytes = self.structure()?;
                self.stride = conn.slot.distance(self.last.slot);
                self.last = conn;
                self.flush()
            }
            RESUME => LogRecord::Step(self.now, LoggedStep::Resume),
            OFFERED => LogRecord::Step(self.now, LoggedStep::Offered),
            EFFECT => LogRecord::Seen(self.structure()?),
            CHECK => LogRecord::Check(self.structure()?),
            BROKEN => LogRecord::Broken,
            SETTLED => LogRecord::Settled,
            other => return Err(bad(format_args!("it has a record of the unknown kind {other}"))),
        })
    }

    fn flush(&self) -> LogRecord {
        LogRecord::Step(self.now, LoggedStep::Input(Input::Flushed { conn: self.last, bytes: self.bytes }))
    }

    fn time(&mut self) -> Result<(), BadInputLog> {
        let difference = |zigzag: u64| (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
        let (mono, unix_ms) = (difference(self.structure()?), difference(self.structure()?));
        self.now =
            Now { mono: Instant(self.now.mono.0.wrapping_add(mono)), unix_ms: self.now.unix_ms.wrapping_add(unix_ms) };
        Ok(())
    }

    fn structure<T: Deserialize<'a>>(&mut self) -> Result<T, BadInputLog> {
        let (value, rest) = read(self.segment)?;
        self.segment = rest;
        Ok(value)
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), BadInputLog> {
    postcard::take_from_bytes(bytes).map_err(|error| bad(format_args!("it is damaged or cut off: {error}")))
}

/// Reads a state with the sum of its bytes, if there is one.
fn read_state(bytes: &[u8]) -> Result<(Option<SummedBytes<'_>>, &[u8]), BadInputLog> {
    let (length, rest) = read::<u64>(bytes)?;
    if length == 0 {
        return Ok((None, rest));
    }
    let (sum, rest) = rest.split_first_chunk().ok_or_else(|| bad("it is cut off"))?;
    let (state, rest) = split(rest, length)?;
    Ok((Some((u64::from_le_bytes(*sum), state)), rest))
}

fn split(bytes: &[u8], at: u64) -> Result<(&[u8], &[u8]), BadInputLog> {
    let at = usize::try_from(at).ok().filter(|at| *at <= bytes.len());
    at.map(|at| bytes.split_at(at)).ok_or_else(|| bad("it is cut off"))
}
