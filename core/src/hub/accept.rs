//! The admission of new connections, within the limits of the node and of their address.

use super::states::ConnectionState;
use super::{Hub, Owner};
use crate::admission::address::{Address, AddressUse};
use crate::connection::deadlines::{Deadlines, Timer};
use crate::connection::record::Record;
use crate::connection::{Conn, Handshaking, Phase};
use crate::ids::{ClientId, ConnId};
use crate::input::{Refused, Upgrade};
use crate::limits::{Limit, Rate};
use crate::protocol::Protocol;
use crate::time::Deadline;

impl Hub {
    /// Makes a connection of an upgrade request.
    pub fn accept(&mut self, request: Upgrade) -> Result<ConnId, Refused> {
        let address = self.admit_new(request.address.map(Address::from)).inspect_err(|_| self.totals.refused += 1)?;
        let (protocol, in_url) = Protocol::of(request.target);
        let client = ClientId(request.client);
        let phase = Phase::Handshaking(Handshaking { token: request.token.or(in_url) });
        let record = Record::since(self.now.unix_ms);
        let make = |id| Conn { id, client, address, protocol, phase, deadlines: Deadlines::NONE, record };
        let id = self.conns.insert_with(make);
        let twin = self.clients.insert(client, id.slot);
        assert!(twin.is_none(), "client ids are random: two that are alike are one that was drawn twice");
        self.totals.accepted += 1;
        self.states.add(&self.conns[id.slot].protocol, ConnectionState::Opening);
        self.arm(id.slot, Timer::Phase, self.config.limits.handshake_timeout);
        Ok(id)
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
        let from = from.filter(|(_, rate)| limits.connections_per_ip.is_some() || *rate != Rate::OFF);
        let mut used = from.and_then(|(from, _)| self.addresses.get(&from).copied()).unwrap_or(AddressUse::NEW);
        if limits.connections_per_ip.is_some_and(|most| used.connections >= most.get()) {
            return Err(self.refused(Limit::ConnectionsPerIp));
        }
        if from.is_some_and(|(_, rate)| !used.rate.take(now, rate)) {
            return Err(self.refused(Limit::NewConnectionsPerIp));
        }
        if !self.arrivals.take(now, limits.new_connections) {
            return Err(self.refused(Limit::NewConnections));
        }
        if let Some((from, _)) = from {
            used.connections += 1;
            self.addresses.insert(from, used);
            self.keep_or_forget_address(from);
        }
        Ok(from.map(|(from, _)| from))
    }

    /// A connection from this address has ended.
    pub(super) fn release_address(&mut self, from: Address) {
        if let Some(used) = self.addresses.get_mut(&from) {
            used.connections -= 1;
            self.keep_or_forget_address(from);
        }
    }

    /// Forgets an address that has no connection and no rate to remember, or arms the time for that.
    pub(super) fn keep_or_forget_address(&mut self, from: Address) {
        let now = self.now.mono;
        let Some(used) = self.addresses.get_mut(&from) else { return };
        let idle_at = used.rate.idle_at();
        let waits = used.connections == 0 && idle_at > now;
        let deadline = Deadline::from_option(waits.then_some(idle_at));
        self.timers.rearm(Owner::Address(from), &mut used.armed, deadline);
        if used.connections == 0 && !waits {
            self.addresses.swap_remove(&from);
        }
    }

    fn refused(&mut self, limit: Limit) -> Refused {
        self.count_limit(limit);
        Refused::Limit(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::limits::Limits;
    use crate::map::Keys;
    use crate::testing::accept_from_loopback;
    use alloc::rc::Rc;
    use core::num::NonZeroUsize;

    #[test]
    fn addresses_are_kept_only_where_a_limit_counts_them() {
        for (limits, kept) in [
            (Limits { new_connections_per_ip: Rate::OFF, ..Limits::default() }, 0),
            (
                Limits {
                    connections_per_ip: NonZeroUsize::new(5),
                    new_connections_per_ip: Rate::OFF,
                    ..Limits::default()
                },
                1,
            ),
            (Limits { new_connections_per_ip: Rate { per_second: 5, burst: 5 }, ..Limits::default() }, 1),
        ] {
            let config = Rc::new(Config::from(limits));
            let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
            accept_from_loopback(&mut hub, &config, 1, "/ws/a");
            assert_eq!(hub.addresses.len(), kept);
        }
    }
}
