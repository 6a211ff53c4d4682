//! Fan-out: a message is encoded at most once for each profile, and every receiver's outbox gets the same bytes.

use super::Hub;
use crate::conn::{Conn, Open, Speaks};
use crate::frame::Frame;
use crate::ids::Name;
use crate::limits::Limits;
use crate::link::Entry;
use crate::stats::Totals;
use crate::turn::Effect;
use crate::wire::{json, raw};
use alloc::string::String;
use alloc::vec::Vec;

impl Hub {
    /// Puts a message into the outbox of every member of a room.
    ///
    /// A member that cannot take it is only noted here: it is closed after the loop, so that nothing changes under it.
    pub(super) fn deliver(&mut self, room: &Name, entry: &Entry) {
        self.totals.published += 1;
        let mut message = Message::new(&entry.draft.data, || json::publication(room, entry));
        let mut post = Post { limits: &self.config.limits, totals: &mut self.totals, effects: &mut self.effects };
        for slot in self.registry.members(room) {
            if post.offer(&mut self.conns[slot as usize], &mut message) == Offered::Full {
                self.slow.push(self.conns[slot as usize].id);
            }
        }
    }

    /// Puts a message that belongs to no room into the outbox of every connection that is ready.
    pub(super) fn deliver_to_all(&mut self, data: &str) {
        let mut message = Message::new(data, || json::message(data));
        let mut post = Post { limits: &self.config.limits, totals: &mut self.totals, effects: &mut self.effects };
        for (_, conn) in &mut self.conns {
            if conn.ready().is_some() && post.offer(conn, &mut message) == Offered::Full {
                self.slow.push(conn.id);
            }
        }
    }

    /// Puts a message that belongs to no room into one connection's outbox.
    pub(super) fn deliver_to(&mut self, slot: u32, data: &str) {
        let mut message = Message::new(data, || json::message(data));
        let mut post = Post { limits: &self.config.limits, totals: &mut self.totals, effects: &mut self.effects };
        let conn = &mut self.conns[slot as usize];
        if post.offer(conn, &mut message) == Offered::Full {
            self.slow.push(conn.id);
        }
    }

    /// Puts one frame into one connection's outbox.
    pub(super) fn enqueue(&mut self, slot: u32, frame: Frame) {
        let mut post = Post { limits: &self.config.limits, totals: &mut self.totals, effects: &mut self.effects };
        let conn = &mut self.conns[slot as usize];
        if post.put(conn, frame) == Offered::Full {
            self.slow.push(conn.id);
        }
    }

    /// Puts one text message into one connection's outbox.
    pub(super) fn say(&mut self, slot: u32, text: &str) {
        self.enqueue(slot, Frame::text(text));
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    /// It is in the outbox, or it is not for this connection.
    Settled,
    /// The outbox cannot take it.
    Full,
}

/// The parts of the hub that a loop over its connections changes.
struct Post<'a> {
    limits: &'a Limits,
    totals: &'a mut Totals,
    effects: &'a mut Vec<Effect>,
}

impl Post<'_> {
    fn offer<F: Fn() -> String>(&mut self, conn: &mut Conn, message: &mut Message<'_, F>) -> Offered {
        match conn.open() {
            Some(open) if message.is_for(open) => {}
            _ => return Offered::Settled,
        }
        let frame = message.frame(&conn.speaks);
        self.put(conn, frame)
    }

    fn put(&mut self, conn: &mut Conn, frame: Frame) -> Offered {
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return Offered::Settled };
        match open.outbox.push(frame, self.limits) {
            Ok(was_empty) => {
                self.totals.frames_queued += 1;
                if was_empty {
                    self.effects.push(Effect::Wake(id));
                }
                Offered::Settled
            }
            Err(_) => Offered::Full,
        }
    }
}

/// A message with the forms of it that somebody has needed so far.
struct Message<'a, F> {
    data: &'a str,
    json: F,
    json_frame: Option<Frame>,
    plain_frame: Option<Frame>,
    event: Option<Option<String>>,
}

impl<'a, F: Fn() -> String> Message<'a, F> {
    fn new(data: &'a str, json: F) -> Self {
        Self { data, json, json_frame: None, plain_frame: None, event: None }
    }

    /// Whether the connection's event filter lets it through. The payload is read only when somebody filters.
    fn is_for(&mut self, open: &Open) -> bool {
        if open.events.is_empty() {
            return true;
        }
        let data = self.data;
        let event = self.event.get_or_insert_with(|| raw::event_type(data).map(|event| event.into_owned()));
        event.as_ref().is_some_and(|event| open.events.contains(event))
    }

    fn frame(&mut self, speaks: &Speaks) -> Frame {
        let (json, data) = (&self.json, self.data);
        let frame = match speaks {
            Speaks::Json { .. } => self.json_frame.get_or_insert_with(|| Frame::text(&json())),
            Speaks::Plain(_) => self.plain_frame.get_or_insert_with(|| Frame::text(data)),
        };
        frame.clone()
    }
}
