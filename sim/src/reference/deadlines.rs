//! Deadlines: when each is due, what it does, and when it is put off.

use super::connection::{ClientSide, ExpectedEnd, ExpectedPhase, ExpectedTimer};
use super::expect::ExpectedFrame;
use super::model::{ReferenceModel, nanos};
use parlor_core::CloseCause;

impl ReferenceModel {
    /// The next instant at which something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let timers = self.conns.iter().flatten().filter_map(|conn| conn.next_timer()).map(|(at, _)| at);
        timers
            .chain(self.logs.iter().flatten().filter_map(|log| self.ages_out(log)))
            .chain((0..self.logs.len()).filter_map(|room| self.forgotten_at(room)))
            .chain(self.keys.next())
            .min()
    }

    pub(super) fn tick(&mut self) {
        for client in 0..self.conns.len() {
            while let Some((at, timer)) = self.conn(client).and_then(|conn| conn.next_timer()) {
                if at > self.clock {
                    break;
                }
                self.due(client, timer, at);
            }
        }
        self.age_logs();
        self.keys.forget(self.clock);
    }

    pub(super) fn due(&mut self, client: usize, timer: ExpectedTimer, at: u64) {
        let clock = self.clock;
        let interval = nanos(self.config.limits.ping_interval);
        if matches!(timer, ExpectedTimer::Pong | ExpectedTimer::Message) && self.is_paused_now(client) {
            // It is not listened to, and cannot have answered, nor come to an end. What this tick has told it counts too.
            return self.stand_still(client, timer);
        }
        let conn = self.conn(client).expect("its timer is armed");
        conn.disarm(timer);
        let conn = self.conn(client).expect("its timer was armed");
        match timer {
            ExpectedTimer::Handshake => {
                self.end(client, ExpectedEnd::aborted(CloseCause::HandshakeTimeout));
            }
            ExpectedTimer::Authenticate => self.close(client, CloseCause::Stale),
            ExpectedTimer::Pong => self.close(client, CloseCause::NoPong),
            ExpectedTimer::Message => self.close(client, CloseCause::Unfinished),
            ExpectedTimer::Write => self.close(client, CloseCause::WriteTimeout),
            ExpectedTimer::Close => {
                let ExpectedPhase::Closing { cause, code, client: side } = conn.phase else {
                    unreachable!("only then is it armed")
                };
                // Both have said their last word; only the end of the client's stream was still to come.
                let clean = side == ClientSide::Closed && conn.is_idle();
                self.end(client, ExpectedEnd { cause, code, clean });
            }
            ExpectedTimer::Ping => {
                // The schedule is fixed: a tick that comes late moves nothing.
                conn.arm(ExpectedTimer::Ping, at + interval * ((clock - at) / interval + 1));
                if conn.timer(ExpectedTimer::Pong).is_none() {
                    self.send_ping(client);
                }
            }
        }
    }

    fn is_paused_now(&mut self, client: usize) -> bool {
        self.is_paused(client) || self.is_high(client)
    }

    pub(super) fn send_ping(&mut self, client: usize) {
        let deadline = self.clock + nanos(self.config.limits.pong_timeout);
        let conn = self.conn(client).expect("its timer was armed");
        conn.arm(ExpectedTimer::Pong, deadline);
        let frame = !conn.entry.json || conn.entry.frame_pings;
        self.tell(client, if frame { ExpectedFrame::Ping } else { ExpectedFrame::json(serde_json::json!({})) });
    }

    /// Puts off the deadlines of a client that was not listened to, each by its whole time.
    pub(super) fn stand_still_for(&mut self, client: usize) {
        for timer in [ExpectedTimer::Pong, ExpectedTimer::Message] {
            if self.conn(client).is_some_and(|conn| conn.timer(timer).is_some()) {
                self.stand_still(client, timer);
            }
        }
    }

    /// A deadline of what a client has to do is put off as a whole.
    fn stand_still(&mut self, client: usize, timer: ExpectedTimer) {
        let limits = &self.config.limits;
        let time = if timer == ExpectedTimer::Message { limits.message_timeout } else { limits.pong_timeout };
        let deadline = self.clock + nanos(time);
        self.conn(client).expect("its timer is armed").arm(timer, deadline);
    }
}
