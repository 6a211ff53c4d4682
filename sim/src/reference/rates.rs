//! The rates that clients and new connections are held to, and the account of refusals.

use super::bucket::SECOND;
use super::model::ReferenceModel;
use crate::goals::Goal;
use parlor_core::limits::Rate;
use parlor_core::{CloseCause, Limit};

/// Time within which so many refusals as `client_refusals` allows end a connection, in nanoseconds.
const REFUSALS_WITHIN: u64 = 10 * SECOND;

fn pair(rate: Rate) -> (u32, u32) {
    (rate.per_second, rate.burst)
}

impl ReferenceModel {
    /// Whether a client may send one frame more now; it is closed where not.
    pub(super) fn may_send_frame(&mut self, client: usize) -> bool {
        let (clock, rate) = (self.clock, pair(self.config.limits.client_frames));
        let may = self.conn(client).is_none_or(|conn| conn.pace.frames.take(clock, rate));
        if !may {
            self.goals.reach(Goal::FrameRate);
            self.hit(Limit::ClientFrames);
            self.close(client, CloseCause::Rate);
        }
        may
    }

    /// Whether a client may ask for one thing more now.
    pub(super) fn may_ask(&mut self, client: usize) -> bool {
        let (clock, rate) = (self.clock, pair(self.config.limits.client_commands));
        let may = self.conn(client).is_none_or(|conn| conn.pace.commands.take(clock, rate));
        may || self.refused_for_rate(client, Limit::ClientCommands)
    }

    /// Whether a client may publish once more now.
    pub(super) fn may_publish(&mut self, client: usize) -> bool {
        let (clock, rate) = (self.clock, pair(self.config.limits.client_publishes));
        let may = self.conn(client).is_none_or(|conn| conn.pace.publishes.take(clock, rate));
        may || self.refused_for_rate(client, Limit::ClientPublishes)
    }

    /// Whether a client may ask for one room more now.
    pub(super) fn may_join(&mut self, client: usize) -> bool {
        let (clock, rate) = (self.clock, pair(self.config.limits.client_joins));
        let may = self.conn(client).is_none_or(|conn| conn.pace.joins.take(clock, rate));
        if !may {
            self.goals.reach(Goal::JoinRate);
            self.hit(Limit::ClientJoins);
        }
        may
    }

    /// Counts a refusal, and closes the connection for the last of too many. Returns false.
    fn refused_for_rate(&mut self, client: usize, limit: Limit) -> bool {
        self.goals.reach(if limit == Limit::ClientCommands { Goal::CommandRate } else { Goal::PublishRate });
        self.hit(limit);
        let (clock, most) = (self.clock, self.config.limits.client_refusals);
        let conn = self.conn(client).expect("it has asked");
        let (since, count) =
            conn.pace.refusals.filter(|(since, _)| clock - since < REFUSALS_WITHIN).unwrap_or((clock, 0));
        conn.pace.refusals = Some((since, count + 1));
        if most.is_some_and(|most| count + 1 >= most.get()) {
            self.goals.reach(Goal::TooManyRefusals);
            self.hit(Limit::ClientRefusals);
            self.close(client, CloseCause::Rate);
        }
        false
    }

    /// Counts a connection that was taken in.
    pub(super) fn arrived(&mut self, address: u8) {
        let limits = &self.config.limits;
        self.arrivals.take(self.clock, pair(limits.new_connections));
        let known = &mut self.addresses[usize::from(address)];
        known.arrivals.take(self.clock, pair(limits.new_connections_per_ip));
        known.forgotten_at = None;
    }

    /// Which rate is in the way of one connection more from this address.
    pub(super) fn is_too_soon(&self, address: u8) -> impl Iterator<Item = Limit> {
        let limits = &self.config.limits;
        let (mut node, mut one) = (self.arrivals, self.addresses[usize::from(address)].arrivals);
        let node = !node.take(self.clock, pair(limits.new_connections));
        let one = !one.take(self.clock, pair(limits.new_connections_per_ip));
        let node = node.then_some(Limit::NewConnections);
        node.into_iter().chain(one.then_some(Limit::NewConnectionsPerIp))
    }

    /// A connection from this address has ended. Its arrivals are remembered until its bucket is full again.
    pub(super) fn departed(&mut self, address: u8) {
        let rate = pair(self.config.limits.new_connections_per_ip);
        let is_left = !self.conns.iter().flatten().any(|conn| conn.entry.address == address);
        let known = &mut self.addresses[usize::from(address)];
        let fills_at = if rate.0 > 0 { known.arrivals.fills_at(rate) } else { 0 };
        known.forgotten_at = Some(fills_at).filter(|at| is_left && *at > self.clock);
    }

    /// When the next address is forgotten.
    pub(super) fn next_forgotten(&self) -> Option<u64> {
        self.addresses.iter().filter_map(|known| known.forgotten_at).min()
    }

    /// Forgets the addresses for which it is time.
    pub(super) fn forget_addresses(&mut self) {
        for known in &mut self.addresses {
            known.forgotten_at = known.forgotten_at.filter(|at| *at > self.clock);
        }
    }

    /// Counts that a limit was exceeded.
    pub(super) fn hit(&mut self, limit: Limit) {
        *self.counted.limits.entry(limit).or_default() += 1;
    }
}
