//! Fan-out: a message is encoded at most once for each protocol, and every receiver's outbox gets the same bytes.

use super::Hub;
use crate::close::CloseCause;
use crate::connection::frame::Frame;
use crate::connection::outbox::Full;
use crate::connection::refused::RefusedFrames;
use crate::connection::{Conn, Open, Stage};
use crate::effect::Effect;
use crate::ids::{ConnId, Slot};
use crate::limits::Limits;
use crate::names::RoomName;
use crate::payload::Payload;
use crate::protocol::{Protocol, ServerMessage};
use crate::publication::Publication;
use crate::stats::Totals;
use alloc::string::String;
use alloc::vec::Vec;

/// The parts of the hub that a loop over its connections changes.
struct Fanout<'a> {
    limits: &'a Limits,
    totals: &'a mut Totals,
    effects: &'a mut Vec<Effect>,
    slow: &'a mut Vec<(ConnId, CloseCause)>,
    outbox_bytes: &'a mut usize,
    refused_frames: &'a mut RefusedFrames,
}

/// The parts of a hub that are its: a method would borrow all of the hub.
macro_rules! fanout {
    ($hub:ident) => {
        Fanout {
            limits: &$hub.config.limits,
            totals: &mut $hub.totals,
            effects: &mut $hub.effects,
            slow: &mut $hub.slow,
            outbox_bytes: &mut $hub.outbox_bytes,
            refused_frames: &mut $hub.refused_frames,
        }
    };
}

impl Hub {
    /// Puts a publication into the outbox of every member of a room, which are in this list.
    ///
    /// A member that cannot take it is only noted here: it is closed after the loop, so that nothing changes under it.
    pub(super) fn deliver(&mut self, room: &RoomName, list: u32, publication: &Publication) {
        let mut message = self.shared(ServerMessage::Publication { room, publication });
        // Each member, and the answer to who publishes.
        self.effects.reserve(self.registry.listed(list).len() + 1);
        let mut fanout = fanout!(self);
        for slot in self.registry.listed(list) {
            fanout.deliver(&mut self.conns[slot], &mut message);
        }
        self.budget.take(message.frames());
        if !self.slow.is_empty() && publication.offset > 0 {
            self.note_overflow(room, publication);
        }
    }

    /// Puts a message that belongs to no room into the outbox of every connection that is ready.
    pub(super) fn deliver_to_all(&mut self, data: &Payload) {
        let mut message = self.shared(ServerMessage::Message { data });
        let mut fanout = fanout!(self);
        for conn in self.conns.iter_mut().filter(|conn| conn.ready().is_some()) {
            fanout.deliver(conn, &mut message);
        }
        self.budget.take(message.frames());
    }

    /// Puts a message into the outbox of each of these connections.
    pub(super) fn deliver_to(&mut self, slots: impl IntoIterator<Item = Slot>, message: ServerMessage<'_>) {
        let mut message = self.shared(message);
        let mut fanout = fanout!(self);
        for slot in slots {
            fanout.deliver(&mut self.conns[slot], &mut message);
        }
        self.budget.take(message.frames());
    }

    /// Encodes a message for a client; `None` when its protocol does not have it.
    pub(super) fn encode(&self, slot: Slot, message: &ServerMessage<'_>) -> Option<Frame> {
        self.conns[slot].protocol.encode(message, self.now.unix_ms)
    }

    /// Tells a client something for which its protocol has a message.
    pub(super) fn tell(&mut self, slot: Slot, message: &ServerMessage<'_>) {
        if let Some(frame) = self.encode(slot, message) {
            self.enqueue(slot, frame);
        }
    }

    /// Tells a client of an error, if its connection is still open. Returns `false` where its protocol has no message for
    /// that.
    pub(super) fn tell_error(&mut self, slot: Slot, message: &ServerMessage<'_>) -> bool {
        let frame = self.conns[slot].open().and_then(|_| self.encode(slot, message));
        let is_told = frame.is_some();
        if let Some(frame) = frame {
            self.totals.errors += 1;
            self.enqueue(slot, frame);
        }
        is_told
    }

    /// Puts one frame into one connection's outbox.
    pub(super) fn enqueue(&mut self, slot: Slot, frame: Frame) {
        self.budget.take([Some(&frame)]);
        let mut fanout = fanout!(self);
        fanout.enqueue(&mut self.conns[slot], frame);
    }

    fn shared<'a>(&self, message: ServerMessage<'a>) -> SharedMessage<'a> {
        SharedMessage::new(message, self.now.unix_ms)
    }
}

impl Fanout<'_> {
    // The loops over the receivers are what a fan-out takes its time for.
    #[inline(always)]
    fn deliver(&mut self, conn: &mut Conn, message: &mut SharedMessage<'_>) {
        match conn.open() {
            Some(open) if open.events.is_empty() || message.passes_filter(open) => {}
            _ => return,
        }
        let Some(frame) = message.frame(&conn.protocol) else { return };
        self.enqueue(conn, frame);
        if let Some(position) = message.position(&conn.protocol) {
            self.enqueue(conn, position);
        }
    }

    fn enqueue(&mut self, conn: &mut Conn, frame: Frame) {
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        if let Stage::Joining(connect) = &mut open.stage {
            connect.hold(frame);
            if connect.held_over(self.limits).is_some() {
                self.slow.push((id, CloseCause::Unanswered));
            }
            return;
        }
        let bytes = frame.len();
        match open.outbox.push(frame, self.limits, self.refused_frames) {
            Ok(was_empty) => {
                self.totals.frames_queued += 1;
                *self.outbox_bytes += bytes;
                if was_empty {
                    self.effects.push(Effect::Wake(id));
                }
            }
            // A second frame of the same step changes nothing any more.
            Err(Full(_)) if self.slow.last() == Some(&(id, CloseCause::Slow)) => {}
            Err(Full(limit)) => {
                *self.totals.limits.entry(limit).or_default() += 1;
                conn.record.refused(limit);
                self.slow.push((id, CloseCause::Slow));
            }
        }
    }
}

/// A message, with the frames of it that a receiver has needed so far: at most one for each protocol.
struct SharedMessage<'a> {
    message: ServerMessage<'a>,
    unix_ms: u64,
    /// The frame of each protocol, which may have none.
    frames: [Option<Option<Frame>>; Protocol::COUNT],
    /// The frame of each protocol that tells the position of the message.
    positions: [Option<Option<Frame>>; Protocol::COUNT],
    event: Option<Option<String>>,
}

impl<'a> SharedMessage<'a> {
    fn new(message: ServerMessage<'a>, unix_ms: u64) -> Self {
        Self { message, unix_ms, frames: Default::default(), positions: Default::default(), event: None }
    }

    /// Whether the filter of a connection that has one lets it through. The payload is parsed only for such connections.
    fn passes_filter(&mut self, open: &Open) -> bool {
        let Some(payload) = self.message.payload() else { return true };
        let event = self.event.get_or_insert_with(|| payload.event_type());
        event.as_ref().is_some_and(|event| open.events.contains(event))
    }

    #[inline]
    fn frame(&mut self, protocol: &Protocol) -> Option<Frame> {
        match &self.frames[protocol.number()] {
            Some(frame) => frame.clone(),
            None => self.encode(protocol),
        }
    }

    // The loop over the receivers stays small without this.
    #[cold]
    #[inline(never)]
    fn encode(&mut self, protocol: &Protocol) -> Option<Frame> {
        let frame = protocol.encode(&self.message, self.unix_ms);
        self.frames[protocol.number()].insert(frame).clone()
    }

    /// The frame that tells its place, for a connection that wants to know.
    #[inline]
    fn position(&mut self, protocol: &Protocol) -> Option<Frame> {
        if !protocol.tells_positions() {
            return None;
        }
        match &self.positions[protocol.number()] {
            Some(frame) => frame.clone(),
            None => self.encode_position(protocol),
        }
    }

    #[cold]
    #[inline(never)]
    fn encode_position(&mut self, protocol: &Protocol) -> Option<Frame> {
        let (room, position) = self.message.place()?;
        let frame = protocol.encode(&ServerMessage::Position { room, position }, self.unix_ms);
        self.positions[protocol.number()].insert(frame).clone()
    }

    /// The frames that a connection has been given, at most.
    fn frames(&self) -> [Option<&Frame>; 2] {
        [&self.frames, &self.positions].map(|frames| frames.iter().flatten().flatten().max_by_key(|frame| frame.len()))
    }
}
