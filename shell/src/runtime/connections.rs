//! The table of a host's open connections.

use crate::net::driver::{Driver, Transport};
use parlor_core::ConnId;
use std::net::IpAddr;
use std::task::Waker;

#[derive(Debug)]
pub(super) struct HostedConnection<T> {
    pub(super) driver: Driver<T>,
    /// Where the client is.
    pub(super) address: Option<IpAddr>,
    /// Wakes the connection's task.
    pub(super) waker: Waker,
}

/// Open connections by slot, from [`Host::open`] until [`Effect::Closed`].
#[derive(Debug)]
pub(super) struct ConnectionTable<T> {
    // Boxed, so that the table stays small where it is mostly empty, and grows without moving sockets around.
    pub(super) slots: Vec<Option<Box<HostedConnection<T>>>>,
    pub(super) open: usize,
}

impl<T> Default for ConnectionTable<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), open: 0 }
    }
}

impl<T: Transport> ConnectionTable<T> {
    pub(super) fn put(&mut self, driver: Driver<T>, address: Option<IpAddr>) {
        let slot = driver.conn().slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let entry = HostedConnection { driver, address, waker: Waker::noop().clone() };
        let before = self.slots[slot].replace(Box::new(entry));
        assert!(before.is_none(), "a slot is given to one connection at a time");
        self.open += 1;
    }

    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut HostedConnection<T>> {
        self.slots.get_mut(conn.slot as usize)?.as_deref_mut().filter(|entry| entry.driver.conn() == conn)
    }

    pub(super) fn take(&mut self, conn: ConnId) -> Option<Box<HostedConnection<T>>> {
        self.get(conn)?;
        self.open -= 1;
        self.slots[conn.slot as usize].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[test]
    fn a_connection_takes_little_memory() {
        assert!(size_of::<HostedConnection<TcpStream>>() <= 128, "{} bytes", size_of::<HostedConnection<TcpStream>>());
    }
}
