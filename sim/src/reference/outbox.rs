//! Outboxes: frames that wait to be written to a client, and commands that are put off while it does not read.

use super::connection::{ClientSide, ExpectedEnd, ExpectedPhase, ExpectedTimer};
use super::expect::ExpectedFrame;
use super::model::{ReferenceModel, nanos};
use parlor_core::CloseCause;

impl ReferenceModel {
    /// Puts a frame before a client, or closes it as slow where its outbox has no room.
    pub(super) fn tell(&mut self, client: usize, expect: ExpectedFrame) {
        if !self.enqueue(client, expect) {
            self.close(client, CloseCause::Slow);
        }
    }

    /// Whether the outbox had room for it: one that takes what it is offered has.
    pub(super) fn enqueue(&mut self, client: usize, expect: ExpectedFrame) -> bool {
        let frames = self.config.limits.outbox_frames;
        let conn = self.conns[client].as_mut().expect("only who is open is told");
        let has_room = !conn.refused || conn.frames() < frames;
        conn.queue.extend(has_room.then_some(expect));
        has_room
    }

    /// Whether so much waits for a client by now that nothing more is done for it.
    pub(super) fn is_high(&self, client: usize) -> bool {
        let frames = (self.config.limits.outbox_frames / 4).max(1);
        self.conns[client].as_ref().is_some_and(|conn| conn.frames() > frames)
    }

    pub(super) fn flushed(&mut self, client: usize, bytes: usize) {
        let deadline = self.clock + nanos(self.config.limits.write_timeout);
        let was_high = self.was_high(client);
        let Some(conn) = self.conn(client) else { return };
        conn.waited = conn.frames();
        conn.refused = !conn.is_idle();
        match conn.phase {
            ExpectedPhase::Closing { cause, code, client: ClientSide::Ended } if conn.is_idle() => {
                self.end(client, ExpectedEnd { cause, code, clean: true });
            }
            ExpectedPhase::Closing { .. } if conn.is_idle() && bytes > 0 => {
                let id = conn.id;
                self.turn.finished.push(id);
            }
            ExpectedPhase::Open if conn.is_idle() => conn.disarm(ExpectedTimer::Write),
            ExpectedPhase::Open if bytes > 0 || conn.timer(ExpectedTimer::Write).is_none() => {
                conn.arm(ExpectedTimer::Write, deadline)
            }
            _ => {}
        }
        if was_high {
            self.listened_to(client);
        }
    }

    /// A client that has read may be listened to again: what it has said meanwhile is heard, and it has all the time there is
    /// to answer a ping.
    fn listened_to(&mut self, client: usize) {
        let is_high = self.is_high(client);
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open() && !is_high) else { return };
        if conn.waiting.is_empty() {
            return self.stand_still_for(client);
        }
        self.hear_waiting(client);
    }

    /// Drops every frame of which the client has nothing yet.
    pub(super) fn drop_unsent(&mut self, client: usize) {
        let is_cut = self.conns[client].as_mut().expect("it is there").drop_unsent();
        self.turn.were_cut[client] |= is_cut;
    }
}
