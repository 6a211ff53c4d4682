//! The life of a connection: from the 101 to its end, with every deadline on the way.

use super::{Ask, Conn, Ending, Expect, Oracle, Phase, Side, Subject, Timer, Waiting, nanos};
use crate::goals::Goal;
use parlor_core::{CloseCause, Limit};

impl Oracle {
    pub(super) fn upgraded(&mut self, client: usize) {
        let authenticate = self.clock + nanos(self.config.limits.authenticate_timeout);
        let ping = self.clock + nanos(self.config.limits.ping_interval);
        let Some(conn) = self.conn(client).filter(|conn| conn.phase == Phase::Handshaking) else { return };
        conn.phase = Phase::Open;
        conn.disarm(Timer::Handshake);
        conn.arm(Timer::Authenticate, authenticate);
        if !conn.entry.json {
            conn.arm(Timer::Ping, ping);
            self.opened_plain(client);
        }
    }

    /// Any complete frame meets the deadline of a ping, unless it is one too many. Whether something may come of it.
    pub(super) fn heard(&mut self, client: usize) -> bool {
        if self.is_open(client) && !self.may_send_frame(client) {
            return false;
        }
        let pinged = |conn: &&mut Conn| conn.is_open() && conn.timer(Timer::Pong).is_some();
        if let Some(conn) = self.conn(client).filter(pinged) {
            conn.disarm(Timer::Pong);
            self.goals.reach(Goal::PingAnswered);
        }
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return false };
        conn.half_frame = 0;
        if conn.fragments.is_none() {
            conn.disarm(Timer::Message);
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

    /// What has begun has so long to end.
    pub(super) fn half_frame(&mut self, client: usize, bytes: usize) {
        let deadline = self.clock + nanos(self.config.limits.message_timeout);
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) else { return };
        conn.half_frame = bytes;
        if conn.timer(Timer::Message).is_none() {
            conn.arm(Timer::Message, deadline);
        }
    }

    /// What came of somebody who is not listened to is kept as it is.
    pub(super) fn unread(&mut self, client: usize, bytes: usize) {
        if let Some(conn) = self.conn(client).filter(|conn| conn.is_open()) {
            conn.unread = bytes;
        }
    }

    /// Whoever has said most of what is not done yet goes, until the rest is within what the node keeps.
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
                (*bytes, std::cmp::Reverse(self.conns[*client].as_ref().expect("it is there").id.slot))
            });
            let (_, client) = most.expect("somebody has said it");
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
        if conn.pong.replace(Expect::pong(payload)).is_some() {
            self.goals.reach(Goal::PongReplaced);
        }
    }

    pub(super) fn client_closed(&mut self, client: usize, code: Option<u16>) {
        let Some(conn) = self.conn(client) else { return };
        match conn.phase {
            Phase::Handshaking => self.end(client, Ending::aborted(CloseCause::PeerClose)),
            Phase::Open => {
                self.close_with(client, CloseCause::PeerClose, code.unwrap_or(1005), Expect::close(code));
            }
            Phase::Closing { client: Side::Closed | Side::Ended, .. } => {}
            Phase::Closing { cause, code, client: Side::Open } => {
                conn.phase = Phase::Closing { cause, code, client: Side::Closed };
                if conn.is_idle() {
                    self.goals.reach(Goal::PeerClosedWhileClosing);
                }
                self.drop_all_but_close(client);
            }
        }
    }

    /// A client ends its stream. It still gets the rest of what was begun, and the Close where one was decided on.
    pub(super) fn client_ended(&mut self, client: usize) {
        let Some(conn) = self.conn(client) else { return };
        match conn.phase {
            Phase::Handshaking => {
                self.goals.reach(Goal::LostHandshaking);
                self.end(client, Ending::aborted(CloseCause::PeerEof));
            }
            Phase::Open => {
                self.goals.reach(Goal::LostOpen);
                self.close_without_words(client);
            }
            Phase::Closing { client: Side::Ended, .. } => {}
            Phase::Closing { cause, code, .. } if conn.is_idle() => {
                self.goals.reach(Goal::EndedByBoth);
                self.end(client, Ending { cause, code, clean: true });
            }
            Phase::Closing { cause, code, .. } => {
                conn.phase = Phase::Closing { cause, code, client: Side::Ended };
                self.drop_all_but_close(client);
            }
        }
    }

    /// Nobody is told of an end that the client has made without a Close: only a half-written frame is finished.
    fn close_without_words(&mut self, client: usize) {
        self.leave_everything(client);
        self.drop_unsent(client);
        let (cause, code) = (CloseCause::PeerEof, 1006);
        let deadline = self.clock + nanos(self.config.limits.close_timeout);
        let conn = self.conn(client).expect("it is open");
        if !conn.half {
            return self.end(client, Ending { cause, code, clean: true });
        }
        conn.is_closing(Phase::Closing { cause, code, client: Side::Ended }, deadline);
        self.goals.reach(Goal::EndedHalfWritten);
    }

    /// Leaves nothing to be sent but the rest of a half-written frame and the Close.
    fn drop_all_but_close(&mut self, client: usize) {
        let conn = self.conn(client).expect("it is closing");
        if conn.half && conn.queue.len() == 1 {
            return;
        }
        let Some(close) = conn.queue.pop_back() else { return };
        self.drop_unsent(client);
        self.conn(client).expect("it is closing").queue.push_back(close);
    }

    pub(super) fn violated(&mut self, client: usize, cause: CloseCause) {
        let Some(conn) = self.conn(client) else { return };
        match conn.phase {
            Phase::Handshaking => self.end(client, Ending::aborted(cause)),
            Phase::Open => self.close(client, cause),
            Phase::Closing { .. } => {}
        }
        if cause == CloseCause::TooLarge {
            self.hit(Limit::MessageBytes);
        }
    }

    pub(super) fn lost(&mut self, client: usize, cause: CloseCause) {
        if cause == CloseCause::PeerEof {
            return self.client_ended(client);
        }
        let Some(conn) = self.conn(client) else { return };
        let goal = match conn.phase {
            Phase::Handshaking => Goal::LostHandshaking,
            Phase::Open => Goal::LostOpen,
            Phase::Closing { .. } => Goal::LostClosing,
        };
        let ending = match conn.phase {
            Phase::Closing { cause, code, .. } => Ending { cause, code, clean: false },
            _ => Ending::aborted(cause),
        };
        self.goals.reach(goal);
        self.end(client, ending);
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
            Phase::Closing { cause, code, client: Side::Ended } if conn.is_idle() => {
                self.end(client, Ending { cause, code, clean: true });
            }
            Phase::Closing { .. } if conn.is_idle() && bytes > 0 => {
                let id = conn.id;
                self.turn.finished.push(id);
            }
            Phase::Open if conn.is_idle() => conn.disarm(Timer::Write),
            Phase::Open if bytes > 0 || conn.timer(Timer::Write).is_none() => conn.arm(Timer::Write, deadline),
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

    /// What a client has to do in time is put off as a whole: it was not listened to.
    pub(super) fn stand_still_for(&mut self, client: usize) {
        for timer in [Timer::Pong, Timer::Message] {
            if self.conn(client).is_some_and(|conn| conn.timer(timer).is_some()) {
                self.stand_still(client, timer);
            }
        }
    }

    /// A deadline of what a client has to do is put off as a whole.
    fn stand_still(&mut self, client: usize, timer: Timer) {
        let limits = &self.config.limits;
        let time = if timer == Timer::Message { limits.message_timeout } else { limits.pong_timeout };
        let deadline = self.clock + nanos(time);
        self.goals.reach(Goal::PongDeadlineStoodStill);
        self.conn(client).expect("its timer is armed").arm(timer, deadline);
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
        self.forget_addresses();
        if self.keys.forget(self.clock) {
            self.goals.reach(Goal::KeyForgotten);
        }
    }

    pub(super) fn due(&mut self, client: usize, timer: Timer, at: u64) {
        let clock = self.clock;
        let interval = nanos(self.config.limits.ping_interval);
        if matches!(timer, Timer::Pong | Timer::Message) && self.is_held(client) {
            // It is not listened to, and cannot have answered, nor come to an end.
            return self.stand_still(client, timer);
        }
        let conn = self.conn(client).expect("its timer is armed");
        conn.disarm(timer);
        timer.limit().into_iter().for_each(|limit| self.hit(limit));
        let conn = self.conn(client).expect("its timer was armed");
        match timer {
            Timer::Handshake => {
                self.goals.reach(Goal::HandshakeLapsed);
                self.end(client, Ending::aborted(CloseCause::HandshakeTimeout));
            }
            Timer::Authenticate => self.close(client, CloseCause::Stale),
            Timer::Pong => self.close(client, CloseCause::NoPong),
            Timer::Message => self.close(client, CloseCause::Unfinished),
            Timer::Write => self.close(client, CloseCause::WriteTimeout),
            Timer::Expiry => self.close(client, CloseCause::Expired),
            Timer::RoomExpiry => self.seats_due(client),
            Timer::Close => {
                let Phase::Closing { cause, code, client: side } = conn.phase else {
                    unreachable!("only then is it armed")
                };
                // Both have said their last word; only the end of the client's stream was still to come.
                let clean = side == Side::Closed && conn.is_idle();
                self.goals.reach(Goal::CloseLapsed);
                self.end(client, Ending { cause, code, clean });
            }
            Timer::Ping => {
                // The schedule is fixed: a tick that comes late moves nothing.
                conn.arm(Timer::Ping, at + interval * ((clock - at) / interval + 1));
                if conn.timer(Timer::Pong).is_none() {
                    self.send_ping(client);
                }
            }
        }
    }

    pub(super) fn send_ping(&mut self, client: usize) {
        let deadline = self.clock + nanos(self.config.limits.pong_timeout);
        let conn = self.conn(client).expect("its timer was armed");
        conn.arm(Timer::Pong, deadline);
        let frame = !conn.entry.json || conn.entry.frame_pings;
        self.tell(client, if frame { Expect::ping() } else { Expect::json(serde_json::json!({}), 3) });
    }

    pub(super) fn shutdown(&mut self) {
        if self.shutting_down {
            return;
        }
        self.shutting_down = true;
        let is_any = |which: fn(&Phase) -> bool| self.conns.iter().flatten().any(|conn| which(&conn.phase));
        let is_closing: fn(&Phase) -> bool = |phase| matches!(phase, Phase::Closing { .. });
        if is_any(|phase| *phase == Phase::Handshaking) && is_any(|phase| *phase == Phase::Open) && is_any(is_closing) {
            self.goals.reach(Goal::ShutDownWithPeersInEveryPhase);
        }
        for client in 0..self.conns.len() {
            match self.conn(client).map(|conn| conn.phase.clone()) {
                Some(Phase::Handshaking) => self.end(client, Ending::aborted(CloseCause::Shutdown)),
                Some(Phase::Open) => self.close(client, CloseCause::Shutdown),
                _ => {}
            }
        }
    }

    pub(super) fn conn(&mut self, client: usize) -> Option<&mut Conn> {
        self.conns[client].as_mut()
    }

    /// Puts a frame before a client, or closes it as slow where its outbox has no room.
    pub(super) fn tell(&mut self, client: usize, expect: Expect) {
        if !self.enqueue(client, expect) {
            self.close(client, CloseCause::Slow);
        }
    }

    /// Whether the outbox had room for it.
    pub(super) fn enqueue(&mut self, client: usize, expect: Expect) -> bool {
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
    fn fullness(&mut self, client: usize, expect: &Expect) -> Option<Limit> {
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

    /// Closes an open connection by the server's decision.
    pub(super) fn close(&mut self, client: usize, cause: CloseCause) {
        let code = own_code(cause).expect("the server has a code for what it decides");
        self.close_saying(client, cause, code);
    }

    /// The same with a code that a backend has chosen.
    pub(super) fn close_saying(&mut self, client: usize, cause: CloseCause, code: u16) {
        self.note_close(client, cause);
        self.close_with(client, cause, code, Expect::close(Some(code)));
    }

    fn note_close(&mut self, client: usize, cause: CloseCause) {
        let half = self.conns[client].as_ref().is_some_and(|conn| conn.half);
        let is_among_others = self.rooms.iter().any(|members| members.contains(&client) && members.len() > 2);
        let goal = match cause {
            CloseCause::Protocol | CloseCause::Binary | CloseCause::Utf8 | CloseCause::TooLarge => Goal::Violation,
            CloseCause::Expired => Goal::Expired,
            CloseCause::Slow => Goal::Slow,
            CloseCause::WriteTimeout => Goal::WriteLapsed,
            CloseCause::NoPong => Goal::NoPong,
            CloseCause::Unfinished => Goal::Unfinished,
            CloseCause::UserFull => Goal::UserRefused,
            CloseCause::InvalidToken | CloseCause::TokenRequired => Goal::InvalidToken,
            CloseCause::BadRequest => Goal::BadRequest,
            CloseCause::Stale => Goal::AuthenticateLapsed,
            CloseCause::Backend => Goal::Disconnected,
            CloseCause::UserConnections => Goal::UserLimit,
            CloseCause::Rooms => Goal::RoomLimit,
            _ => return,
        };
        self.goals.reach(goal);
        if goal == Goal::Slow && half {
            self.goals.reach(Goal::SlowHalfWritten);
        }
        if goal == Goal::Slow && is_among_others {
            self.goals.reach(Goal::SlowAmongOthers);
        }
    }

    fn close_with(&mut self, client: usize, cause: CloseCause, code: u16, close: Expect) {
        self.leave_everything(client);
        let side = if cause == CloseCause::PeerClose { Side::Closed } else { Side::Open };
        if side == Side::Closed && self.conns[client].as_ref().is_some_and(|conn| conn.half) {
            self.goals.reach(Goal::PeerClosedHalfWritten);
        }
        // What was queued goes out first where the server ends in peace, whatever number a backend says it with.
        let orderly = matches!(cause, CloseCause::Shutdown | CloseCause::Expired | CloseCause::Backend);
        if orderly && !self.conns[client].as_ref().is_none_or(Conn::is_idle) {
            self.goals.reach(Goal::ClosedInOrder);
        }
        if !orderly {
            self.drop_unsent(client);
        }
        let deadline = self.clock + nanos(self.config.limits.close_timeout);
        let conn = self.conn(client).expect("it is open");
        conn.queue.push_back(close);
        conn.is_closing(Phase::Closing { cause, code, client: side }, deadline);
    }

    /// Drops every frame of which the client has nothing yet.
    pub(super) fn drop_unsent(&mut self, client: usize) {
        let conn = self.conns[client].as_mut().expect("it is there");
        self.turn.were_cut[client] |= conn.drop_unsent();
    }

    pub(super) fn end(&mut self, client: usize, ending: Ending) {
        if self.conns[client].as_ref().is_some_and(Conn::is_open) {
            self.leave_everything(client);
        }
        let conn = self.conns[client].take().expect("it has not ended yet");
        self.departed(conn.entry.address);
        self.turn.ended.push((client, conn.id, ending));
    }

    /// The one way out of being open: every room and the user.
    pub(super) fn leave_everything(&mut self, client: usize) {
        for room in 0..self.rooms.len() {
            self.leave(client, room);
        }
        if let Some(conn) = self.conn(client) {
            conn.entering.clear();
        }
        let Some(user) = self.conn(client).and_then(|conn| conn.user.take()) else { return };
        if !self.conns.iter().flatten().any(|conn| conn.user == Some(user)) {
            self.turn.changes.push((Subject::User(user), false));
        }
    }
}

impl Conn {
    /// Bytes of what its client has said that is not carried out.
    fn unfinished(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(Waiting::bytes).sum();
        self.fragments.unwrap_or(0) + self.half_frame + self.unread + waiting
    }

    /// From now on it ends, and is nobody any more.
    fn is_closing(&mut self, phase: Phase, deadline: u64) {
        self.timers = [None; Timer::ALL.len()];
        self.arm(Timer::Close, deadline);
        self.phase = phase;
        self.waiting.clear();
        (self.fragments, self.half_frame, self.unread) = (None, 0, 0);
        self.wants.clear();
        self.ask = Ask::Identity;
        self.granted.clear();
        (self.ready, self.asked, self.user, self.info) = (false, false, None, None);
    }
}

/// The code of a cause that has one, as the README lists them.
fn own_code(cause: CloseCause) -> Option<u16> {
    Some(match cause {
        CloseCause::Protocol => 1002,
        CloseCause::Binary => 1003,
        CloseCause::Utf8 => 1007,
        CloseCause::TooLarge => 1009,
        CloseCause::Shutdown => 3001,
        CloseCause::Overloaded => 3004,
        CloseCause::Expired => 3005,
        CloseCause::Slow => 3008,
        CloseCause::WriteTimeout => 3009,
        CloseCause::NoPong | CloseCause::Unfinished => 3012,
        CloseCause::Rate | CloseCause::Hoards => 3013,
        CloseCause::UserFull => 3014,
        CloseCause::TokenRequired | CloseCause::InvalidToken => 3500,
        CloseCause::BadRequest => 3501,
        CloseCause::Stale => 3502,
        CloseCause::Backend => 3503,
        CloseCause::UserConnections => 3504,
        CloseCause::Rooms => 3505,
        CloseCause::HandshakeTimeout | CloseCause::PeerClose | CloseCause::PeerEof | CloseCause::PeerReset => {
            return None;
        }
    })
}
