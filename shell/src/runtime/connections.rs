//! The table of a host's open connections.

use crate::net::driver::{Driver, Transport};
use crate::observe::closes::EndedConnection;
use parlor_core::{ClientId, ConnId, Instant};
use std::mem;
use std::net::IpAddr;
use std::task::Waker;

/// A connection that was accepted and has no socket yet. Its slot is taken until [`Host::open`](super::host::Host::open) gives
/// it one, or `handshake_timeout` is over.
#[must_use = "a connection that is not opened takes a slot until handshake_timeout is over"]
#[derive(Debug)]
pub struct Accepted {
    pub(super) conn: ConnId,
    pub(super) client: ClientId,
    pub(super) address: Option<IpAddr>,
    pub(super) at: Instant,
}

impl Accepted {
    /// The id of the connection.
    #[must_use]
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// The public id.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// The client's address, where it is known.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// One open connection and its socket.
#[derive(Debug)]
pub(super) struct HostedConnection<T> {
    pub(super) driver: Driver<T>,
    /// The public id, by which log lines name the connection.
    pub(super) client: ClientId,
    /// The client's address, where it is known.
    pub(super) address: Option<IpAddr>,
    /// The time at which it was accepted.
    pub(super) since: Instant,
    /// The user of its last token whose signature was right; empty where there was none.
    pub(super) user: Box<str>,
    /// Wakes the connection's task.
    pub(super) waker: Waker,
}

impl<T: Transport> HostedConnection<T> {
    /// What is remembered of it when it ends.
    pub(super) fn ended(&mut self, now: Instant) -> EndedConnection {
        EndedConnection {
            client: self.client,
            user: mem::take(&mut self.user),
            address: self.address,
            lasted: now.since(self.since),
            is_console: self.driver.only_listens(),
        }
    }
}

/// Open connections by slot. An entry is there from the opening until the core reports the end.
#[derive(Debug)]
pub(super) struct ConnectionTable<T> {
    // Boxed, so that vacant slots cost little and growing moves no sockets.
    pub(super) slots: Vec<Option<Box<HostedConnection<T>>>>,
    pub(super) open: usize,
}

impl<T> Default for ConnectionTable<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), open: 0 }
    }
}

impl<T: Transport> ConnectionTable<T> {
    /// Adds a connection. The slot must be vacant.
    pub(super) fn put(&mut self, driver: Driver<T>, Accepted { client, address, at: since, .. }: Accepted) {
        let slot = driver.conn().slot();
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let entry = HostedConnection { driver, client, address, since, user: "".into(), waker: Waker::noop().clone() };
        let before = self.slots[slot].replace(Box::new(entry));
        assert!(before.is_none(), "a slot is given to one connection at a time");
        self.open += 1;
    }

    /// The entry of a connection; None where it has ended.
    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut HostedConnection<T>> {
        self.slots.get_mut(conn.slot())?.as_deref_mut().filter(|entry| entry.driver.conn() == conn)
    }

    /// Removes the entry of a connection; None where it has ended.
    pub(super) fn take(&mut self, conn: ConnId) -> Option<Box<HostedConnection<T>>> {
        self.get(conn)?;
        self.open -= 1;
        self.slots[conn.slot()].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::client_socket::ClientSocket;

    #[test]
    fn a_connection_takes_little_memory() {
        assert!(
            size_of::<HostedConnection<ClientSocket>>() <= 152,
            "{} bytes",
            size_of::<HostedConnection<ClientSocket>>()
        );
    }
}
