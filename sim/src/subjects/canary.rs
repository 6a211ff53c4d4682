//! A subject that misbehaves in about one run of a thousand: a batch that does not notice is one that checks nothing.

use crate::subjects::subject::{Subject, TurnReport, go_on};
use parlor_core::{Config, ConnId, Effect, Input, Instant, Now, Refused, Shard, Snapshot, Stats, Upgrade};

/// The real machine, which in one run of [`ONE_IN`] does not tell how a connection has ended. Which run that is depends
/// on nothing but what is done in it.
#[derive(Clone, Debug)]
pub struct Canary {
    shard: Shard,
    inputs: u32,
    /// Of what has come in so far.
    digest: u64,
}

/// How many runs there are for one that goes wrong.
pub const ONE_IN: u64 = 1000;
/// After so many inputs it is settled whether this run is the one.
const SETTLED: u32 = 20;

impl Canary {
    fn hear(&mut self, now: Now, input: &Input) {
        if self.inputs < SETTLED {
            self.inputs += 1;
            let said = match input {
                Input::Message { message, .. } => message.len() as u64,
                Input::Flushed { bytes, .. } => *bytes as u64,
                _ => 0,
            };
            self.digest = (self.digest ^ now.mono.0 ^ said).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }

    fn is_sick(&self) -> bool {
        self.inputs == SETTLED && self.digest.is_multiple_of(ONE_IN)
    }
}

impl Subject for Canary {
    fn new(config: Config, seed: [u8; 32]) -> Self {
        let digest = u64::from_le_bytes(seed[..8].try_into().expect("eight of its bytes"));
        Self { shard: Shard::new(config, seed), inputs: 0, digest }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.shard.accept(now, request)
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        self.hear(now, &input);
        let is_sick = self.is_sick();
        let mut effects = self.shard.handle(now, input).collect();
        go_on(&mut self.shard, now, &mut effects);
        effects.retain(|effect| !(is_sick && matches!(effect, Effect::Closed { .. })));
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
}
