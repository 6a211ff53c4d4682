//! Outboxes: frames that wait to be written to a client, and commands that are put off while it does not read.

use super::connection::{ClientSide, ExpectedEnd, ExpectedPhase, ExpectedTimer};
use super::expect::ExpectedFrame;
use super::model::ReferenceModel;
use super::time::nanos;
use crate::goals::Goal;
use parlor_core::{CloseCause, Limit};

impl ReferenceModel {
    /// Puts a frame before a client, or closes it as slow where its outbox has no room.
    pub(super) fn tell(&mut self, client: usize, expect: ExpectedFrame) {
        if !self.enqueue(client, expect) {
            self.close(client, CloseCause::Slow);
        }
    }

    /// Whether the outbox had room for it.
    pub(super) fn enqueue(&mut self, client: usize, expect: ExpectedFrame) -> bool {
        if let Some(limit) = self.fullness(client, &expect) {
            self.hit(limit);
            return false;
        }
        let conn = self.conns[client].as_mut().expect("only who is open is told");
        conn.added = (conn.added.0 + expect.size.0, conn.added.1 + expect.size.1);
        conn.queue.push_back(expect);
        true
    }

    /// Which limit keeps a frame out of an outbox. It is open where the words of an error decide.
    pub(super) fn fullness(&mut self, client: usize, expect: &ExpectedFrame) -> Option<Limit> {
        let limits = &self.config.limits;
        let (frame_bytes, outbox_bytes, outbox_frames) =
            (limits.frame_bytes, limits.outbox_bytes, limits.outbox_frames);
        let conn = self.conns[client].as_ref().expect("only who is open is told");
        let (frames, refused) = (conn.frames(), conn.refused);
        let bytes = (conn.bytes + conn.added.0 + expect.size.0, conn.bytes + conn.added.1 + expect.size.1);
        if self.exceeds(expect.size, frame_bytes) {
            Some(Limit::FrameBytes)
        } else if !refused {
            None
        } else if self.exceeds(bytes, outbox_bytes) {
            Some(Limit::OutboxBytes)
        } else {
            (frames >= outbox_frames).then_some(Limit::OutboxFrames)
        }
    }

    /// Whether so much waits for a client by now that nothing more is done for it.
    pub(super) fn is_high(&mut self, client: usize) -> bool {
        let limits = &self.config.limits;
        let (frames, bytes) = ((limits.outbox_frames / 4).max(1), limits.outbox_bytes / 4);
        let Some(conn) = &self.conns[client] else { return false };
        if conn.frames() > frames {
            return true;
        }
        let waits = (conn.bytes + conn.added.0, conn.bytes + conn.added.1);
        self.exceeds(waits, bytes)
    }

    pub(super) fn flushed(&mut self, client: usize, bytes: usize) {
        self.counted.bytes_written += bytes as u64;
        let deadline = self.clock + nanos(self.config.limits.write_timeout);
        let was_high = self.was_high(client);
        let Some(conn) = self.conn(client) else { return };
        conn.bytes -= bytes;
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
        if self.conns[client].as_ref().is_some_and(|conn| conn.is_idle() && !conn.entering.is_empty()) {
            self.enter_more(client);
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
        if !conn.is_busy() {
            self.goals.reach(Goal::WaitedForReader);
        }
        self.hear_waiting(client);
    }

    /// Drops every frame of which the client has nothing yet.
    pub(super) fn drop_unsent(&mut self, client: usize) {
        let conn = self.conns[client].as_mut().expect("it is there");
        self.turn.were_cut[client] |= conn.drop_unsent();
    }
}
