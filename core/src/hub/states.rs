//! The numbers of connections by protocol and state, kept as they change.

use crate::connection::{Conn, Phase};
use crate::protocol::Protocol;
use crate::stats::ConnectionStates;

/// The state of a connection, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// It is not ready yet.
    Opening,
    /// It is ready.
    Ready,
    /// It closes.
    Closing,
}

impl ConnectionState {
    /// Returns the state of an open connection.
    pub fn open(is_ready: bool) -> Self {
        if is_ready { Self::Ready } else { Self::Opening }
    }
}

impl Conn {
    /// Returns the state, as it is counted.
    pub(super) fn state(&self) -> ConnectionState {
        match &self.phase {
            Phase::Open(open) => ConnectionState::open(open.is_ready()),
            Phase::Closing(_) => ConnectionState::Closing,
            Phase::Handshaking(_) | Phase::Changing => ConnectionState::Opening,
        }
    }
}

/// The counts, by the number of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct StateCounts([ConnectionStates; Protocol::COUNT]);

impl StateCounts {
    /// Counts a connection that is new.
    pub fn add(&mut self, protocol: &Protocol, state: ConnectionState) {
        *self.count(protocol, state) += 1;
    }

    /// Discounts a connection that has ended.
    pub fn remove(&mut self, protocol: &Protocol, state: ConnectionState) {
        *self.count(protocol, state) -= 1;
    }

    /// Counts a connection in another state than before.
    pub fn change(&mut self, protocol: &Protocol, from: ConnectionState, to: ConnectionState) {
        self.remove(protocol, from);
        self.add(protocol, to);
    }

    /// Returns the number of connections that are ready.
    pub fn ready(&self) -> usize {
        self.0.iter().map(|states| states.ready).sum()
    }

    /// Returns the connections of the `json` protocol.
    pub fn json(&self) -> ConnectionStates {
        self.0[Protocol::JSON]
    }

    /// Returns the connections of the `plain` protocol.
    pub fn plain(&self) -> ConnectionStates {
        self.0[Protocol::PLAIN]
    }

    fn count(&mut self, protocol: &Protocol, state: ConnectionState) -> &mut usize {
        let states = &mut self.0[protocol.number()];
        match state {
            ConnectionState::Opening => &mut states.opening,
            ConnectionState::Ready => &mut states.ready,
            ConnectionState::Closing => &mut states.closing,
        }
    }
}
