//! Bytes from a client before they are a command: frames, parts of messages, and what the node keeps of them.

use super::connection::{ExpectedConnection, ExpectedTimer};
use super::expect::ExpectedFrame;
use super::model::ReferenceModel;
use super::time::nanos;
use crate::goals::Goal;
use parlor_core::{CloseCause, Limit};

impl ReferenceModel {
    /// Any complete frame meets the deadline of a ping, unless it is one too many. Whether something may come of it.
    pub(super) fn heard(&mut self, client: usize) -> bool {
        if self.is_open(client) && !self.may_send_frame(client) {
            return false;
        }
        let pinged = |conn: &&mut ExpectedConnection| conn.is_open() && conn.timer(ExpectedTimer::Pong).is_some();
        if let Some(conn) = self.conn(client).filter(pinged) {
            conn.disarm(ExpectedTimer::Pong);
            self.goals.reach(Goal::PingAnswered);
        }
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return false };
        conn.half_frame = 0;
        if conn.fragments.is_none() {
            conn.disarm(ExpectedTimer::Message);
        }
        true
    }

    /// A part of a message, which has begun with the first of them.
    pub(super) fn fragment(&mut self, client: usize, bytes: usize) {
        if let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) {
            conn.fragments = Some(conn.fragments.unwrap_or(0) + bytes);
        }
        if self.heard(client) {
            self.half_frame(client, 0);
        }
    }

    /// Arms the deadline by which a message or frame that has begun must end.
    pub(super) fn half_frame(&mut self, client: usize, bytes: usize) {
        let deadline = self.clock + nanos(self.config.limits.message_timeout);
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return };
        conn.half_frame = bytes;
        if conn.timer(ExpectedTimer::Message).is_none() {
            conn.arm(ExpectedTimer::Message, deadline);
        }
    }

    /// Counts the bytes of a client that is not listened to; they are kept undecoded.
    pub(super) fn unread(&mut self, client: usize, bytes: usize) {
        if let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) {
            conn.unread = bytes;
        }
    }

    /// Closes the connection with the most inbound bytes that are not carried out, until the rest is within the node's limit.
    pub(super) fn make_room(&mut self) {
        let limit = self.config.limits.inbound_bytes_total;
        loop {
            let kept: Vec<(usize, usize)> = (0..self.conns.len())
                .filter_map(|client| {
                    Some((self.conns[client].as_ref().filter(|conn| conn.is_open())?.unfinished(), client))
                })
                .collect();
            if kept.iter().map(|(bytes, _)| bytes).sum::<usize>() <= limit {
                return;
            }
            let most = kept.into_iter().max_by_key(|(bytes, client)| {
                (*bytes, std::cmp::Reverse(self.conns[*client].as_ref().expect("it is there").id.slot()))
            });
            let (_, client) = most.expect("bytes that are kept are a client's");
            self.hit(Limit::InboundBytesTotal);
            self.close(client, CloseCause::Hoards);
            self.settle();
        }
    }

    /// A Pong goes out at the next end of a frame (RFC 6455 section 5.5.3). One waits at most, so it needs no room.
    pub(super) fn ping(&mut self, client: usize, payload: &[u8]) {
        if !self.heard(client) {
            return;
        }
        let conn = self.conn(client).expect("it is open");
        if conn.pong.replace(ExpectedFrame::pong(payload)).is_some() {
            self.goals.reach(Goal::PongReplaced);
        }
    }
}
