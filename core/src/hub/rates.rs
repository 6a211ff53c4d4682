//! How much clients ask for, against what they may.

use super::Hub;
use crate::admission::address::Address;
use crate::close::CloseCause;
use crate::error::{Error, ErrorCode};
use crate::limits::gcra::Gcra;
use crate::limits::{Limit, Rate};
use crate::time::Instant;
use crate::turn::Refused;
use core::time::Duration;

/// Within this time `client_refusals` end a connection. A client that backs off for a few seconds is as good as new.
const REFUSALS_WITHIN: Duration = Duration::from_secs(10);

/// One address, while a limit by address is on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub connections: usize,
    pub rate: Gcra,
    /// When it can be forgotten, if it has no connection then.
    pub armed: Instant,
}

impl Hub {
    /// Counts a client's frame against `client_frames`. Returns false when it exceeds the rate, and ends the connection: to
    /// refuse a frame costs as much as to take it.
    pub(super) fn check_frame_rate(&mut self, slot: u32) -> bool {
        let (now, rate) = (self.now.mono, self.config.limits.client_frames);
        let conforms = self.conns[slot as usize].open_mut().is_none_or(|open| open.rates.frames.take(now, rate));
        if !conforms {
            self.close_over(slot, Limit::ClientFrames, CloseCause::Rate);
        }
        conforms
    }

    /// Takes note of a client's command.
    ///
    /// # Errors
    /// 111 when it is one too many.
    pub(super) fn check_command_rate(&mut self, slot: u32) -> Result<(), Error> {
        let (now, rate) = (self.now.mono, self.config.limits.client_commands);
        let conforms = self.conns[slot as usize].open_mut().is_none_or(|open| open.rates.commands.take(now, rate));
        if conforms { Ok(()) } else { Err(self.refuse(slot, Limit::ClientCommands)) }
    }

    /// Takes note of a client's publication.
    ///
    /// # Errors
    /// 111 when it is one too many.
    pub(super) fn check_publish_rate(&mut self, slot: u32) -> Result<(), Error> {
        let (now, rate) = (self.now.mono, self.config.limits.client_publishes);
        let conforms = self.conns[slot as usize].open_mut().is_none_or(|open| open.rates.publishes.take(now, rate));
        if conforms { Ok(()) } else { Err(self.refuse(slot, Limit::ClientPublishes)) }
    }

    /// Takes note of a room that a client asks for. An SDK that comes back asks for all of its rooms, and tries again where it
    /// is refused: that ends no connection.
    ///
    /// # Errors
    /// 111 when it is one too many.
    pub(super) fn check_join_rate(&mut self, slot: u32) -> Result<(), Error> {
        let (now, rate) = (self.now.mono, self.config.limits.client_joins);
        let conforms = self.conns[slot as usize].open_mut().is_none_or(|open| open.rates.joins.take(now, rate));
        let refusal = || Error::limit(ErrorCode::TooManyRequests, Limit::ClientJoins, "too many requests");
        if conforms { Ok(()) } else { Err(refusal()) }
    }

    fn refuse(&mut self, slot: u32, limit: Limit) -> Error {
        let (now, most) = (self.now.mono, self.config.limits.client_refusals);
        if let Some(open) = self.conns[slot as usize].open_mut() {
            let rates = &mut open.rates;
            if rates.refusals == 0 || now.since(rates.counting_since) >= REFUSALS_WITHIN {
                (rates.counting_since, rates.refusals) = (now, 0);
            }
            rates.refusals = rates.refusals.saturating_add(1);
            if most > 0 && rates.refusals >= most {
                self.hit(Limit::ClientRefusals);
                self.close_saying(slot, CloseCause::Rate, CloseCause::Rate.reason().naming(limit));
            }
        }
        Error::limit(ErrorCode::TooManyRequests, limit, "too many requests")
    }

    /// Whether a new connection from this address is within the limits, which take note of it.
    pub(super) fn admit_new(&mut self, from: Option<Address>) -> Result<Option<Address>, Refused> {
        let limits = &self.config.limits;
        let now = self.now.mono;
        if self.drain.is_some() {
            return Err(Refused::ShuttingDown);
        }
        if self.conns.len() >= limits.connections {
            return Err(self.refused(Limit::Connections));
        }
        let rate = |from: Address| match self.config.spares_loopback && from.is_loopback() {
            true => Rate::OFF,
            false => limits.new_connections_per_ip,
        };
        let from = from.map(|from| (from, rate(from)));
        let from = from.filter(|(_, rate)| limits.connections_per_ip > 0 || *rate != Rate::OFF);
        let mut peer = from.and_then(|(from, _)| self.peers.get(&from).copied()).unwrap_or(Peer::NEW);
        if limits.connections_per_ip > 0 && peer.connections >= limits.connections_per_ip {
            return Err(self.refused(Limit::ConnectionsPerIp));
        }
        if from.is_some_and(|(_, rate)| !peer.rate.take(now, rate)) {
            return Err(self.refused(Limit::NewConnectionsPerIp));
        }
        if !self.arrivals.take(now, limits.new_connections) {
            return Err(self.refused(Limit::NewConnections));
        }
        if let Some((from, _)) = from {
            peer.connections += 1;
            self.peers.insert(from, peer);
            self.settle_peer(from);
        }
        Ok(from.map(|(from, _)| from))
    }

    /// A connection from this address has ended.
    pub(super) fn peer_left(&mut self, from: Address) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.connections -= 1;
            self.settle_peer(from);
        }
    }

    /// Forgets an address that has no connection and no rate to remember, or arms the time for that.
    pub(super) fn settle_peer(&mut self, from: Address) {
        let now = self.now.mono;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let idle_at = peer.rate.idle_at();
        let waits = peer.connections == 0 && idle_at > now;
        let deadline = if waits { idle_at } else { Instant::NEVER };
        self.timers.rearm(super::Owner::Peer(from), &mut peer.armed, deadline);
        if peer.connections == 0 && !waits {
            self.peers.swap_remove(&from);
        }
    }

    fn refused(&mut self, limit: Limit) -> Refused {
        self.hit(limit);
        Refused::Limit(limit)
    }

    /// Takes note that a limit was in the way.
    pub(super) fn hit(&mut self, limit: Limit) {
        *self.totals.limits.entry(limit).or_default() += 1;
    }

    /// Takes note of an error that somebody is answered.
    pub(super) fn count_error(&mut self, error: &Error) {
        if let Some(limit) = error.limit {
            self.hit(limit);
        }
    }
}

impl Peer {
    const NEW: Self = Self { connections: 0, rate: Gcra::NEW, armed: Instant::NEVER };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::limits::Limits;
    use crate::map::Keys;
    use crate::testing::knock;
    use alloc::rc::Rc;

    #[test]
    fn addresses_are_kept_only_where_a_limit_counts_them() {
        for (limits, kept) in [
            (Limits { new_connections_per_ip: Rate::OFF, ..Limits::default() }, 0),
            (Limits { connections_per_ip: 5, new_connections_per_ip: Rate::OFF, ..Limits::default() }, 1),
            (Limits { new_connections_per_ip: Rate { per_second: 5, burst: 5 }, ..Limits::default() }, 1),
        ] {
            let config = Rc::new(Config { limits, ..Config::default() });
            let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
            knock(&mut hub, &config, 1, "/ws/a");
            assert_eq!(hub.peers.len(), kept);
        }
    }
}
