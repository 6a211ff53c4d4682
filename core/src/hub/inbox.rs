//! Frames and messages of clients before they are commands, and how much of them is kept.

use super::Hub;
use super::agenda::Work;
use super::lifecycle::abnormal;
use crate::close::CloseCause;
use crate::connection::deadlines::Timer;
use crate::connection::frame::Frame;
use crate::connection::inbox::Inbound;
use crate::connection::{Conn, Phase};
use crate::effect::Effect;
use crate::ids::Slot;
use crate::input::WebSocketMessage;
use crate::limits::Limit;
use alloc::rc::Rc;
use core::cmp::Reverse;

impl Hub {
    /// A message is complete.
    pub(super) fn message(&mut self, slot: Slot, message: WebSocketMessage) {
        // Such a message never waits: it is no command, whatever those before it do.
        if matches!(message, WebSocketMessage::Binary(_)) && !self.conns[slot].protocol.reads_binary() {
            return self.close(slot, CloseCause::Binary);
        }
        if matches!(self.conns[slot].phase, Phase::Handshaking(_)) {
            return self.vacate(slot, abnormal(CloseCause::Protocol));
        }
        if !self.take_frame(slot) {
            return;
        }
        self.ended(slot, Inbound::message_ended);
        self.totals.messages_in += 1;
        self.agenda.then(Work::Message { conn: self.conns[slot].id, message, at: 0 });
    }

    /// A Ping is complete, and to be answered.
    pub(super) fn pinged(&mut self, slot: Slot, payload: &[u8]) {
        if !self.take_frame(slot) {
            return;
        }
        self.ended(slot, Inbound::frame_ended);
        let conn = &mut self.conns[slot];
        let Some(open) = conn.open_mut() else { return };
        self.outbox_bytes -= open.outbox.queue().bytes();
        let (was_empty, replaced) = open.outbox.pong(Frame::pong(payload), &mut self.refused_frames);
        self.outbox_bytes += open.outbox.queue().bytes();
        self.totals.frames_queued += 1;
        self.totals.pongs_replaced += u64::from(replaced);
        if was_empty {
            self.effects.push(Effect::Wake(conn.id));
        }
    }

    /// A Pong is complete.
    pub(super) fn ponged(&mut self, slot: Slot) {
        if self.take_frame(slot) {
            self.ended(slot, Inbound::frame_ended);
        }
    }

    /// A part of a message is complete, of which more is to come.
    pub(super) fn fragment(&mut self, slot: Slot, bytes: usize) {
        if self.take_frame(slot) {
            self.begun(slot, |inbound| inbound.fragment_ended(bytes));
        }
    }

    /// A frame has begun that is not complete.
    pub(super) fn half_frame(&mut self, slot: Slot, bytes: usize) {
        if self.conns[slot].open().is_none() {
            self.totals.ignored_inputs += 1;
            return;
        }
        self.begun(slot, |inbound| inbound.frame_begun(bytes));
    }

    /// The host keeps so many bytes undecoded.
    pub(super) fn unread(&mut self, slot: Slot, bytes: usize) {
        if self.conns[slot].open().is_none() {
            self.totals.ignored_inputs += 1;
            return;
        }
        self.change_inbound(slot, |inbound| inbound.is_unread(bytes));
    }

    /// Counts a complete frame of a client and disarms its pong deadline. Returns false when the frame is to be ignored: the
    /// phase takes none, or it exceeds `client_frames` and ends the connection.
    fn take_frame(&mut self, slot: Slot) -> bool {
        if self.conns[slot].open().is_none() {
            self.totals.ignored_inputs += 1;
            return false;
        }
        if !self.check_frame_rate(slot) {
            return false;
        }
        // Most frames answer no ping.
        if self.conns[slot].deadlines.get(Timer::Pong).is_set() {
            self.conns[slot].record.answered_ping(self.now.mono);
            self.disarm(slot, Timer::Pong);
        }
        true
    }

    /// Starts `message_timeout`, unless it is running: it counts from the first bytes of what has begun.
    fn begun(&mut self, slot: Slot, change: impl FnOnce(&mut Inbound)) {
        self.change_inbound(slot, change);
        if !self.conns[slot].deadlines.get(Timer::Message).is_set() {
            self.arm(slot, Timer::Message, self.config.limits.message_timeout);
        }
    }

    /// A frame is complete. Most come in one piece, and nothing was kept of them.
    #[inline]
    fn ended(&mut self, slot: Slot, change: impl FnOnce(&mut Inbound)) {
        if self.conns[slot].open().is_some_and(|open| open.inbound.is_unfinished()) {
            self.change_inbound(slot, change);
            if self.conns[slot].open().is_some_and(|open| !open.inbound.is_unfinished()) {
                self.disarm(slot, Timer::Message);
            }
        }
    }

    /// Changes what is kept of what a client has sent, if it is open, and counts its bytes for the node.
    pub(super) fn change_inbound<T: Default>(&mut self, slot: Slot, change: impl FnOnce(&mut Inbound) -> T) -> T {
        let Some(open) = self.conns[slot].open_mut() else { return T::default() };
        self.inbound_bytes -= open.inbound.bytes();
        let result = change(&mut open.inbound);
        self.inbound_bytes += open.inbound.bytes();
        result
    }

    /// Keeps a message until its time has come.
    pub(super) fn defer_message(&mut self, slot: Slot, message: WebSocketMessage) {
        let config = Rc::clone(&self.config);
        let kept = self.change_inbound(slot, |inbound| inbound.wait(message, &config.limits).err());
        if let Some(limit) = kept {
            self.close_for(slot, limit, CloseCause::BadRequest);
        }
    }

    /// Puts the messages that wait at a connection on the agenda. They are not taken up at once: what is left of this
    /// command may fill the outbox, and then they have to wait on.
    pub(super) fn schedule_waiting(&mut self, slot: Slot) {
        let conn = &self.conns[slot];
        if conn.open().is_some_and(|open| open.inbound.has_waiting()) {
            self.agenda.then(Work::Waiting(conn.id));
        }
    }

    /// Hears what a connection has said meanwhile, unless it still has to wait.
    pub(super) fn resume_waiting(&mut self, slot: Slot) {
        let conn = &self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open().filter(|open| !open.is_barred()) else { return };
        if !open.inbound.has_waiting() || open.outbox.is_high(&self.config.limits) {
            return;
        }
        for message in self.change_inbound(slot, Inbound::take_waiting) {
            self.agenda.then(Work::Message { conn: id, message, at: 0 });
        }
        self.resume_reading(slot);
    }

    /// Listens to a client again. It may have answered the last ping long ago, and have sent the rest of what it had begun.
    pub(super) fn resume_reading(&mut self, slot: Slot) {
        for timer in [Timer::Pong, Timer::Message] {
            if self.conns[slot].deadlines.get(timer).is_set() {
                self.arm_for_client(slot, timer);
            }
        }
        self.effects.push(Effect::ResumeReading(self.conns[slot].id));
    }

    /// The socket has taken so much that its client can be listened to again, unless something that it has said still waits.
    #[cold]
    pub(super) fn outbox_is_low(&mut self, slot: Slot) {
        if self.conns[slot].open().is_some_and(|open| !open.inbound.has_waiting()) {
            self.resume_reading(slot);
        } else {
            self.resume_waiting(slot);
        }
    }

    /// Gives a client all the time that there is for something.
    pub(super) fn arm_for_client(&mut self, slot: Slot, timer: Timer) {
        let limits = &self.config.limits;
        let patience = if timer == Timer::Message { limits.message_timeout } else { limits.pong_timeout };
        self.arm(slot, timer, patience);
    }

    /// Whether the node has room for a body of so many bytes, if need be instead of what clients have sent.
    pub fn can_take_body(&self, body: usize) -> bool {
        self.bodies + body <= self.config.limits.inbound_bytes_total
    }

    /// Ends the connection that most is kept of, where more is kept of all of them than the node has room for. Returns whether
    /// one was ended.
    #[inline]
    pub(super) fn relieve_inbound(&mut self) -> bool {
        self.inbound_bytes + self.bodies > self.config.limits.inbound_bytes_total && self.end_hoarder()
    }

    /// Messages that this turn has put off count from the next turn on: a pause of the server ends no connection. The turns
    /// of one input put off one message, so that at most one more is kept.
    #[cold]
    fn end_hoarder(&mut self) -> bool {
        let paused = self.paused_slots();
        let kept = |(slot, conn): (Slot, &Conn)| {
            let inbound = &conn.open()?.inbound;
            let put_off = if paused.contains(&slot) { inbound.waiting_bytes() } else { 0 };
            Some((inbound.bytes() - put_off, slot))
        };
        let kept = || self.conns.iter().filter_map(kept);
        if kept().map(|(bytes, _)| bytes).sum::<usize>() + self.bodies <= self.config.limits.inbound_bytes_total {
            return false;
        }
        // Of several with the same, the first slot's.
        let most = kept().max_by_key(|(bytes, slot)| (*bytes, Reverse(*slot)));
        let Some((_, slot)) = most.filter(|(bytes, _)| *bytes > 0) else { return false };
        self.close_over(slot, Limit::InboundBytesTotal, CloseCause::Hoards);
        true
    }
}
