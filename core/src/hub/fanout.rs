//! Fan-out: a message is encoded at most once for each protocol, and every receiver's outbox gets the same bytes.

use super::Hub;
use crate::connection::frame::Frame;
use crate::connection::outbox::Full;
use crate::connection::refused::RefusedFrames;
use crate::connection::{Conn, Open};
use crate::effect::Effect;
use crate::ids::{ConnId, Slot};
use crate::limits::Limits;
use crate::names::RoomName;
use crate::protocol::{Protocol, centrifuge, plain, raw};
use crate::publication::{LogPosition, Publication};
use crate::stats::Totals;
use alloc::string::String;
use alloc::vec::Vec;

/// The parts of the hub that a loop over its connections changes.
struct Fanout<'a> {
    limits: &'a Limits,
    totals: &'a mut Totals,
    effects: &'a mut Vec<Effect>,
    slow: &'a mut Vec<ConnId>,
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
    /// Puts a message into the outbox of every member of a room.
    ///
    /// A member that cannot take it is only noted here: it is closed after the loop, so that nothing changes under it.
    pub(super) fn deliver(&mut self, room: &RoomName, publication: &Publication) {
        let mut message = SharedMessage::new(&publication.draft.data, || centrifuge::publication(room, publication));
        if publication.offset > 0 {
            message.place = Some((room, LogPosition { epoch: publication.epoch, offset: publication.offset }));
        }
        let mut fanout = fanout!(self);
        for slot in self.registry.members(room) {
            fanout.deliver(&mut self.conns[slot], &mut message);
        }
        self.budget.take(message.frames());
    }

    /// Puts a message that belongs to no room into the outbox of every connection that is ready.
    pub(super) fn deliver_to_all(&mut self, data: &str) {
        let mut message = SharedMessage::new(data, || centrifuge::message(data));
        let mut fanout = fanout!(self);
        for conn in self.conns.iter_mut().filter(|conn| conn.ready().is_some()) {
            fanout.deliver(conn, &mut message);
        }
        self.budget.take(message.frames());
    }

    /// Puts a message that belongs to no room into one connection's outbox.
    pub(super) fn deliver_to(&mut self, slot: Slot, data: &str) {
        let mut message = SharedMessage::new(data, || centrifuge::message(data));
        let mut fanout = fanout!(self);
        fanout.deliver(&mut self.conns[slot], &mut message);
        self.budget.take(message.frames());
    }

    /// Puts one frame into one connection's outbox.
    pub(super) fn enqueue(&mut self, slot: Slot, frame: Frame) {
        self.enqueue_for([slot], frame);
    }

    /// Puts the same frame into several connections' outboxes.
    pub(super) fn enqueue_for(&mut self, slots: impl IntoIterator<Item = Slot>, frame: Frame) {
        self.budget.take([Some(&frame)]);
        let mut fanout = fanout!(self);
        for slot in slots {
            fanout.enqueue(&mut self.conns[slot], frame.clone());
        }
    }

    /// Puts one text message into one connection's outbox.
    pub(super) fn enqueue_text(&mut self, slot: Slot, text: &str) {
        self.enqueue(slot, Frame::text(text));
    }

    /// Enqueues an error for a client, if its connection is still open.
    pub(super) fn enqueue_error(&mut self, slot: Slot, text: &str) {
        if self.conns[slot].open().is_some() {
            self.totals.errors += 1;
            self.enqueue_text(slot, text);
        }
    }
}

impl Fanout<'_> {
    fn deliver<F: Fn() -> String>(&mut self, conn: &mut Conn, message: &mut SharedMessage<'_, F>) {
        match conn.open() {
            Some(open) if message.is_for(open) => {}
            _ => return,
        }
        let frame = message.frame(&conn.protocol);
        self.enqueue(conn, frame);
        if let Some(position) = message.position(&conn.protocol) {
            self.enqueue(conn, position);
        }
    }

    fn enqueue(&mut self, conn: &mut Conn, frame: Frame) {
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
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
            Err(Full(_)) if self.slow.last() == Some(&id) => {}
            Err(Full(limit)) => {
                *self.totals.limits.entry(limit).or_default() += 1;
                self.slow.push(id);
            }
        }
    }
}

/// A message, with the frames of it that a receiver has needed so far.
struct SharedMessage<'a, F> {
    data: &'a str,
    json: F,
    json_frame: Option<Frame>,
    plain_frame: Option<Frame>,
    /// Its room and its position there, if a log has it.
    place: Option<(&'a RoomName, LogPosition)>,
    position_frame: Option<Frame>,
    event: Option<Option<String>>,
}

impl<'a, F: Fn() -> String> SharedMessage<'a, F> {
    fn new(data: &'a str, json: F) -> Self {
        Self { data, json, json_frame: None, plain_frame: None, place: None, position_frame: None, event: None }
    }

    /// Whether the connection's event filter lets it through. The payload is parsed only for connections that filter.
    fn is_for(&mut self, open: &Open) -> bool {
        if open.events.is_empty() {
            return true;
        }
        let data = self.data;
        let event = self.event.get_or_insert_with(|| raw::event_type(data).map(|event| event.into_owned()));
        event.as_ref().is_some_and(|event| open.events.contains(event))
    }

    fn frame(&mut self, protocol: &Protocol) -> Frame {
        let (json, data) = (&self.json, self.data);
        let frame = match protocol {
            Protocol::Json { .. } => self.json_frame.get_or_insert_with(|| Frame::text(&json())),
            Protocol::Plain(_) => self.plain_frame.get_or_insert_with(|| Frame::text(data)),
        };
        frame.clone()
    }

    /// The frames that a connection has been given, at most.
    fn frames(&self) -> [Option<&Frame>; 2] {
        let longest = self.json_frame.iter().chain(&self.plain_frame).max_by_key(|frame| frame.len());
        [longest, self.position_frame.as_ref()]
    }

    /// The frame that tells its place, for a connection that wants to know.
    fn position(&mut self, protocol: &Protocol) -> Option<Frame> {
        let (room, position) = self.place?;
        let encode = || Frame::text(&plain::position(plain::MessageType::Position, room, position));
        protocol.tells_positions().then(|| self.position_frame.get_or_insert_with(encode).clone())
    }
}
