//! The end of every random run: the faults stop, and what must come right in time has to come right.
//!
//! L1: whoever stays gets everything. L2: the dead are gone in bounded time. L3: when all have left and the longest
//! retention has passed, nothing remains.

use crate::action::{Action, Farewell, Payload, Peer, Room, Span};
use crate::checks::{Failure, Guarantee, equal};
use crate::subject::Subject;
use crate::world::World;
use std::time::Duration;

impl<S: Subject> World<S> {
    /// Heals the world and empties it.
    ///
    /// # Errors
    /// Something stays that should go, or does not come that should.
    pub(crate) fn heal(&mut self) -> Result<(), Failure> {
        let core: Vec<Peer> = self.peers().filter(|peer| self.is_well(*peer)).collect();
        for peer in self.peers() {
            let rest = if core.contains(&peer) { Action::Resume(peer) } else { Action::Vanish(peer) };
            self.act(&rest)?;
        }
        self.outlive_the_dead(&core)?;
        self.serve(&core)?;
        self.empty(&core)
    }

    fn outlive_the_dead(&mut self, core: &[Peer]) -> Result<(), Failure> {
        let limits = self.config().limits;
        let longest = limits.handshake_timeout
            + limits.authenticate_timeout
            + limits.ping_interval
            + limits.pong_timeout
            + limits.close_timeout;
        let is_dead_there = |world: &Self| world.peers().any(|peer| world.is_alive(peer) && !core.contains(&peer));
        self.wait(longest, is_dead_there)?;
        if is_dead_there(self) {
            let left = self.describe().join(", ");
            return Err(Failure::new(Guarantee::L2, format_args!("the dead to be gone within {longest:?}"), left));
        }
        Ok(())
    }

    /// Lets deadlines pass for as long as it is worth it, and no longer than this.
    fn wait(&mut self, longest: Duration, is_worth: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let end = self.clock() + u64::try_from(longest.as_nanos()).expect("less than centuries");
        while is_worth(self) && self.clock() < end {
            self.settle()?;
            if !self.act(&Action::Advance(Span::Due))? {
                break;
            }
        }
        Ok(())
    }

    /// Everyone reads and answers until nothing waits.
    fn settle(&mut self) -> Result<(), Failure> {
        while self.act(&Action::Flush())? | self.act(&Action::Respond())? {}
        Ok(())
    }

    fn serve(&mut self, core: &[Peer]) -> Result<(), Failure> {
        for room in 0..self.room_count() {
            self.settle()?;
            self.act(&Action::Announce(Room(room), Payload::Small))?;
        }
        self.settle()?;
        match core.iter().find(|peer| self.waits(**peer)) {
            None => Ok(()),
            Some(peer) => Err(Failure::new(
                Guarantee::L1,
                format_args!("client {} to get everything", peer.0),
                self.describe().join(", "),
            )),
        }
    }

    fn empty(&mut self, core: &[Peer]) -> Result<(), Failure> {
        for peer in core {
            self.act(&Action::Close(*peer, Farewell::Normal))?;
        }
        self.settle()?;
        let limits = self.config().limits;
        let longest = limits.history_age.max(limits.idempotency_window);
        self.wait(longest, |world| world.subject().poll_timeout().is_some())?;
        let (gauges, after) = (self.subject().stats().gauges, self.subject().snapshot());
        equal(Guarantee::L3, "all gauges at zero:", &parlor_core::stats::Gauges::default(), &gauges)?;
        equal(Guarantee::L3, "nothing to wait for:", &None, &self.subject().poll_timeout())?;
        let remains =
            !(after.conns.is_empty() && after.rooms.is_empty() && after.users.is_empty() && after.logs.is_empty());
        if remains { Err(Failure::new(Guarantee::L3, "nothing to remain", format_args!("{after:?}"))) } else { Ok(()) }
    }
}
