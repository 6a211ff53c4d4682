//! A machine whose inputs are recorded in a ring so small that it is full again and again: what a log is run to is what the
//! machine has come to, but for the filler.

use super::subject::{Subject, TurnReport};
use crate::rng::Rng;
use parlor_core::input_log::InputRecorder;
use parlor_core::input_log::replay::InputReplay;
use parlor_core::{Config, ConnId, Effect, Input, Instant, Now, Refused, Shard, Snapshot, Stats, Upgrade};
use std::cell::Cell;

/// The percentage of inputs behind which the log is run.
const RUN: u64 = 4;

thread_local! {
    /// The logs that were run on this thread.
    static RUNS: Cell<LogRuns> = const { Cell::new(LogRuns { from_start: 0, from_state: 0, steps: 0, inputs_only: 0 }) };
}

/// Logs that were run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRuns {
    /// The logs that had the first step of the machine.
    pub from_start: u64,
    /// Those that began with its state.
    pub from_state: u64,
    /// The steps of those.
    pub steps: u64,
    /// The logs that could not be run.
    pub inputs_only: u64,
}

impl LogRuns {
    /// Returns those of this thread, and begins anew.
    #[must_use]
    pub fn take() -> Self {
        RUNS.take()
    }
}

/// The machine and its recorder.
pub struct Recorded {
    shard: Shard,
    recorder: InputRecorder,
    has_payloads: bool,
    rng: Rng,
}

impl Recorded {
    fn record(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        effects.iter().for_each(|effect| self.recorder.effect(effect));
        self.recorder.after(&mut self.shard);
        effects
    }

    /// Runs the log, and compares what comes of it.
    fn run_log(&mut self) {
        let log: Vec<u8> = self.recorder.log(&self.shard).parts().collect::<Vec<_>>().concat();
        let mut replay = InputReplay::open(&log).expect("a log");
        let mut runs = RUNS.get();
        match (replay.is_runnable(), replay.step()) {
            (true, 0) => runs.from_start += 1,
            (true, _) => runs.from_state += 1,
            (false, _) => runs.inputs_only += 1,
        }
        if replay.is_runnable() {
            let first = replay.step();
            replay.audit();
            let stopped = |step, stop| panic!("from {first} to {step}: {stop:?}");
            loop {
                match replay.run() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(stop) => stopped(replay.step(), stop),
                }
            }
            if first > 0 {
                runs.steps += replay.step() - first;
            }
            self.compare(replay.shard());
        }
        RUNS.set(runs);
    }

    fn compare(&self, run: &Shard) {
        assert_eq!(run.stats(), self.shard.stats(), "the counts of a log that was run");
        assert_eq!(run.poll_timeout(), self.shard.poll_timeout(), "the deadline of a log that was run");
        assert_eq!(run.has_work(), self.shard.has_work(), "the work of a log that was run");
        let parts = |shard: &Shard| {
            let snapshot = shard.snapshot();
            if self.has_payloads { snapshot } else { without_content(snapshot) }
        };
        assert_eq!(parts(run), parts(&self.shard), "the parts of a log that was run");
    }
}

/// Returns a state with the lengths of what clients and backends have said.
fn without_content(mut snapshot: Snapshot) -> Snapshot {
    for frame in snapshot.conns.iter_mut().flat_map(|conn| &mut conn.outbox) {
        frame.fill(0);
    }
    for (_, text) in snapshot.logs.iter_mut().flat_map(|log| &mut log.entries) {
        *text = "x".repeat(text.len());
    }
    snapshot
}

impl Subject for Recorded {
    fn new(config: Config, seed: [u8; 32]) -> Self {
        let drawn = u64::from_le_bytes(*seed.first_chunk().expect("a seed has more than 8 bytes"));
        let mut rng = Rng::stream(drawn, "recorded");
        let (capacity, has_payloads) = (rng.pick(&[500, 2_000, 8_000]), rng.chance(50));
        let capacity = usize::try_from(capacity).expect("a few bytes");
        let recorder = InputRecorder::new(&config, seed, capacity, has_payloads);
        Self { shard: Shard::new(config, seed), recorder, has_payloads, rng }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.recorder.accept(now, &request);
        let accepted = self.shard.accept(now, request);
        self.recorder.accepted(&accepted);
        accepted
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        self.recorder.input(now, &input);
        let effects = self.shard.handle(now, input).collect();
        let mut effects = self.record(effects);
        while self.shard.has_work() {
            self.recorder.resume(now);
            let more = self.shard.resume(now).collect();
            effects.extend(self.record(more));
        }
        self.recorder.all_offered();
        self.shard.all_offered();
        if self.rng.chance(RUN) {
            self.run_log();
        }
        vec![TurnReport::of(self, effects)]
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.shard.poll_timeout()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        Subject::pending(&self.shard, conn)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        self.shard.is_paused(conn)
    }

    fn snapshot(&self) -> Snapshot {
        self.shard.snapshot()
    }

    fn details(&self) -> Vec<(ConnId, String)> {
        self.shard.details()
    }

    fn stats(&self) -> Stats {
        self.shard.stats()
    }

    fn audit(&self) {
        self.shard.audit();
    }

    fn twin(&self) -> Option<Shard> {
        Some(self.shard.clone())
    }
}
