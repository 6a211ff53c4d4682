//! An input log that is run again, step by step.

use super::reader::{LogReader, LogRecord};
use super::records::SeenEffect;
use crate::ids::ConnId;
use crate::input::{Input, Refused};
use crate::shard::Shard;
use crate::stats::Stats;
use crate::time::Now;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

pub use super::reader::{BadInputLog, LoggedStep};

/// The run of an input log.
#[derive(Debug)]
pub struct InputReplay<'a> {
    reader: LogReader<'a>,
    version: String,
    has_payloads: bool,
    shard: Shard,
    first_step: u64,
    is_runnable: bool,
    /// The number of the next step.
    step: u64,
    /// The effects of the last step that the log has not told yet.
    accepted: Option<Result<ConnId, Refused>>,
    effects: VecDeque<SeenEffect>,
    checks: u64,
}

/// An event of a replay.
#[derive(Clone, Debug)]
pub enum ReplayEvent {
    /// A step was made.
    Step(Now, LoggedStep),
    /// The counts are those of the server.
    Checked,
    /// At the step before an invariant broke in the server, and none has here.
    Broken,
}

/// The reason for which a replay cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayStop {
    /// The log cannot be read.
    Bad(BadInputLog),
    /// The shard does something else than the server's did.
    Diverged(String),
}

impl From<BadInputLog> for ReplayStop {
    fn from(bad: BadInputLog) -> Self {
        Self::Bad(bad)
    }
}

impl<'a> InputReplay<'a> {
    /// Begins to run a log.
    ///
    /// # Errors
    /// The reason for which it is no log that can be read.
    pub fn open(log: &'a [u8]) -> Result<Self, BadInputLog> {
        let (head, reader) = LogReader::open(log)?;
        let first_step = reader.first_step();
        let from_state = if first_step > 0 { reader.clone().into_state()? } else { None };
        let is_runnable = first_step == 0 || from_state.is_some();
        let (shard, reader) = from_state.unwrap_or_else(|| (Shard::new(head.config, head.seed), reader));
        Ok(Self {
            version: head.version,
            has_payloads: head.has_payloads,
            shard,
            first_step,
            is_runnable,
            step: reader.first_step(),
            reader,
            accepted: None,
            effects: VecDeque::new(),
            checks: 0,
        })
    }

    /// Returns the name and the version of the server that has written the log.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns `true` when payloads are as they came.
    #[must_use]
    pub fn has_payloads(&self) -> bool {
        self.has_payloads
    }

    /// Returns the number of the first step that the log has, from 0.
    #[must_use]
    pub fn first_step(&self) -> u64 {
        self.first_step
    }

    /// Whether the log can be run: it has the first step of the shard, or the state before a later one. Else it can be listed.
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        self.is_runnable
    }

    /// Returns the number of the next step, from 0. At first it is that of the step from which the log can be run, or the first
    /// one that it has.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Returns how often the counts were compared.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.checks
    }

    /// Returns the shard in its present state.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Returns the next step without running it; `None` at the end.
    ///
    /// # Errors
    /// The reason for which the log cannot be read.
    pub fn list(&mut self) -> Result<Option<(Now, LoggedStep)>, BadInputLog> {
        while let Some(record) = self.reader.next()? {
            if let LogRecord::Step(now, step) = record {
                self.step += 1;
                return Ok(Some((now, step)));
            }
        }
        Ok(None)
    }

    /// Runs the log to the next event; `None` at the end.
    ///
    /// # Errors
    /// The log cannot be read, or the shard does something else than the server's did.
    ///
    /// # Panics
    /// When an invariant breaks.
    pub fn run(&mut self) -> Result<Option<ReplayEvent>, ReplayStop> {
        let Some(record) = self.reader.next()? else { return self.end_step().map(|()| None) };
        match record {
            LogRecord::Step(now, step) => {
                self.end_step()?;
                self.step += 1;
                self.make(now, step.clone())?;
                return Ok(Some(ReplayEvent::Step(now, step)));
            }
            LogRecord::Accepted(expected) => {
                let accepted = self.accepted.take();
                same("the upgrade request was answered with", Some(expected), accepted)?;
            }
            LogRecord::Seen(expected) => {
                let seen = self.effects.pop_front();
                same("the effect was", Some(expected), seen)?;
            }
            LogRecord::Check(expected) => {
                self.end_step()?;
                self.compare(&expected)?;
                return Ok(Some(ReplayEvent::Checked));
            }
            LogRecord::Broken => return Ok(Some(ReplayEvent::Broken)),
            LogRecord::Settled => self.shard.settle_places(),
        }
        self.run()
    }

    fn make(&mut self, now: Now, step: LoggedStep) -> Result<(), ReplayStop> {
        let shard = &mut self.shard;
        match step {
            LoggedStep::Accept(request) => self.accepted = Some(shard.accept(now, request)),
            LoggedStep::Input(input) => {
                if let Input::Flushed { conn, bytes } | Input::Committed { conn, bytes } = input {
                    let pending = shard.pending(conn).map_or(0, |pending| pending.len());
                    // What comes for one that has ended is counted by the shard.
                    if bytes > pending && shard.protocol(conn).is_some() {
                        return Err(ReplayStop::Diverged(format!(
                            "the socket of {conn} took {bytes} bytes; here {pending} wait"
                        )));
                    }
                }
                self.effects.extend(shard.handle(now, input).filter_map(|effect| SeenEffect::of(&effect)));
            }
            LoggedStep::Resume => {
                self.effects.extend(shard.resume(now).filter_map(|effect| SeenEffect::of(&effect)));
            }
            LoggedStep::Offered => shard.all_offered(),
        }
        Ok(())
    }

    /// Checks the guarantees in the present state.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn audit(&self) {
        self.shard.audit();
    }

    /// Checks that the log has told everything that the last step led to.
    fn end_step(&mut self) -> Result<(), ReplayStop> {
        let accepted = self.accepted.take();
        same("the upgrade request was answered with", None, accepted)?;
        let effects: Vec<SeenEffect> = self.effects.drain(..).collect();
        same("more effects were", Vec::new(), effects)
    }

    fn compare(&mut self, expected: &Stats) -> Result<(), ReplayStop> {
        self.checks += 1;
        let Stats { gauges, totals } = self.shard.stats();
        same("the gauges were", expected.gauges, gauges)?;
        same("the totals were", expected.totals.clone(), totals)?;
        self.audit();
        Ok(())
    }
}

/// Compares what was with what is.
fn same<T: PartialEq + Debug>(words: &str, was: T, is: T) -> Result<(), ReplayStop> {
    if was == is {
        return Ok(());
    }
    Err(ReplayStop::Diverged(format!("{words} {was:?}; here {is:?}")))
}
