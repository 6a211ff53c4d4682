//! A node whose shards go on from their written states, beside the same one whose shards never stop: what they do is the same.

use super::cluster::Cluster;
use super::subject::{LinkView, LinkWork, Subject, TurnReport};
use crate::rng::Rng;
use parlor_core::api::Command;
use parlor_core::{Config, ConnId, Input, Instant, Now, Refused, Shard, Snapshot, Stats, Upgrade};
use std::num::NonZeroUsize;

/// The percentage of inputs before which all shards are written and read.
const REREAD: u64 = 30;

/// Both nodes. What is shown is the one that was read.
pub struct Reread {
    reread: Cluster,
    original: Cluster,
    /// Whether a payload may be on its way between shards that a log has already: the two are one, and no state tells that.
    is_payload_under_way: bool,
    rng: Rng,
}

impl Reread {
    fn maybe_reread(&mut self) {
        self.is_payload_under_way &= !self.reread.are_links_empty();
        if !self.is_payload_under_way && self.rng.chance(REREAD) {
            self.reread.reread();
            // Whoever writes its state has its vacant places in another order from then on.
            self.original.write_states();
            self.compare();
        }
    }

    fn compare(&self) {
        assert_eq!(self.reread.stats(), self.original.stats(), "the counts of a state that was read");
        assert_eq!(self.reread.details(), self.original.details(), "the details of a state that was read");
        assert_eq!(self.reread.snapshot(), self.original.snapshot(), "the parts of a state that was read");
        assert_eq!(self.reread.poll_timeout(), self.original.poll_timeout(), "the deadline of a state that was read");
    }

    /// Returns the turns of the node that was read, if they are those of the other.
    fn same(&self, reread: Vec<TurnReport>, original: &[TurnReport]) -> Vec<TurnReport> {
        let text = |turns: &[TurnReport]| {
            let of_turn = |turn: &TurnReport| format!("{} {:?} {:?}", turn.shard, turn.effects, turn.timeout);
            turns.iter().map(of_turn).collect::<Vec<_>>()
        };
        assert_eq!(text(&reread), text(original), "the turns of a state that was read");
        self.compare();
        reread
    }
}

impl Subject for Reread {
    const HAS_SHARDS: bool = true;

    fn new(config: Config, seed: [u8; 32]) -> Self {
        Self::with_shards(config, seed, NonZeroUsize::MIN, false)
    }

    fn with_shards(config: Config, seed: [u8; 32], shards: NonZeroUsize, are_links_slow: bool) -> Self {
        let original = Cluster::with_shards(config, seed, shards, are_links_slow);
        let drawn = u64::from_le_bytes(*seed.first_chunk().expect("a seed has more than 8 bytes"));
        let rng = Rng::stream(drawn, "reread");
        Self { reread: original.clone(), original, is_payload_under_way: false, rng }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.maybe_reread();
        let original = self.original.accept(now, request.clone());
        let reread = self.reread.accept(now, request);
        assert_eq!(reread, original, "the answer of a state that was read");
        reread
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        self.maybe_reread();
        let is_broadcast = |command: &Command| matches!(command, Command::Broadcast { .. } | Command::Batch(_));
        self.is_payload_under_way |= matches!(&input, Input::Call { command, .. } if is_broadcast(command));
        let original = self.original.turns(now, input.clone());
        let reread = self.reread.turns(now, input);
        self.same(reread, &original)
    }

    fn on_links(&mut self, now: Now, work: LinkWork) -> Vec<TurnReport> {
        self.maybe_reread();
        let original = self.original.on_links(now, work);
        let reread = self.reread.on_links(now, work);
        self.same(reread, &original)
    }

    fn shard_of(&self, conn: ConnId) -> usize {
        self.reread.shard_of(conn)
    }

    fn link(&self, from: usize, to: usize) -> LinkView {
        self.reread.link(from, to)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.reread.poll_timeout()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        self.reread.pending(conn)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        let reread = self.reread.is_paused(conn);
        assert_eq!(reread, self.original.is_paused(conn), "whether a connection waits in a state that was read");
        reread
    }

    fn snapshot(&self) -> Snapshot {
        self.reread.snapshot()
    }

    fn details(&self) -> Vec<(ConnId, String)> {
        self.reread.details()
    }

    fn stats(&self) -> Stats {
        self.reread.stats()
    }

    fn audit(&self) {
        self.reread.audit();
    }

    fn twin(&self) -> Option<Shard> {
        self.reread.twin()
    }
}
