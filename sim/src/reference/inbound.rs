//! Bytes from a client before they are a command: frames and parts of messages.

use super::connection::{ExpectedConnection, ExpectedTimer};
use super::expect::ExpectedFrame;
use super::model::{ReferenceModel, nanos};

impl ReferenceModel {
    /// Any complete frame meets the deadline of a ping. Whether something may come of it.
    pub(super) fn heard(&mut self, client: usize) -> bool {
        let pinged = |conn: &&mut ExpectedConnection| conn.is_open() && conn.timer(ExpectedTimer::Pong).is_some();
        if let Some(conn) = self.conn(client).filter(pinged) {
            conn.disarm(ExpectedTimer::Pong);
        }
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return false };
        if !conn.has_fragments {
            conn.disarm(ExpectedTimer::Message);
        }
        true
    }

    /// A part of a message, which has begun with the first of them.
    pub(super) fn fragment(&mut self, client: usize) {
        if let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) {
            conn.has_fragments = true;
        }
        if self.heard(client) {
            self.half_frame(client);
        }
    }

    /// Arms the deadline by which a message or frame that has begun must end.
    pub(super) fn half_frame(&mut self, client: usize) {
        let deadline = self.clock + nanos(self.config.limits.message_timeout);
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return };
        if conn.timer(ExpectedTimer::Message).is_none() {
            conn.arm(ExpectedTimer::Message, deadline);
        }
    }

    /// A Pong goes out at the next end of a frame (RFC 6455 section 5.5.3). One waits at most, so it needs no room.
    pub(super) fn ping(&mut self, client: usize, payload: &[u8]) {
        if !self.heard(client) {
            return;
        }
        self.conn(client).expect("it is open").pong = Some(ExpectedFrame::Pong(payload.into()));
    }
}
