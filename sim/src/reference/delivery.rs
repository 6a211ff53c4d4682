//! Frames that a client has received, each compared with the one that was due.

use super::connection::ExpectedPhase;
use super::expect::ExpectedFrame;
use super::log::PUBLICATION;
use super::model::ReferenceModel;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee};
use crate::world::frames::ReceivedFrame;

impl ReferenceModel {
    /// CheckedBy one frame that a client has received; `half` is whether a part of another one has come after it.
    ///
    /// # Errors
    /// It is not the one that was due.
    pub fn saw(&mut self, client: usize, frame: &ReceivedFrame) -> Result<(), Failure> {
        let conn = self.conns[client].as_mut().expect("a connection that is written to exists");
        let Some(expect) = conn.take(frame) else {
            let closed = matches!(conn.phase, ExpectedPhase::Closing { .. });
            let unasked = if matches!(frame, ReceivedFrame::Text(_)) { Guarantee::G5 } else { Guarantee::P1 };
            let guarantee = if closed { Guarantee::G1 } else { unasked };
            return Err(Failure::new(guarantee, format_args!("nothing more for client {client}"), frame));
        };
        self.counted.frames_written += 1;
        conn.half = false;
        let json = conn.entry.json;
        if expect.is_met_by(frame) {
            self.note_delivery(&expect, json);
            return Ok(());
        }
        let is_known =
            self.names.iter().any(|name| frame.to_string().contains(&format!(r#""channel":"{name}","pub""#)));
        let guarantee = if is_known { Guarantee::G5 } else { expect.guarantee() };
        Err(Failure::new(guarantee, format_args!("client {client} receives {expect}"), frame))
    }

    fn note_delivery(&mut self, expect: &ExpectedFrame, json: bool) {
        let [kind, room, ..] = expect.tag.to_be_bytes();
        if u64::from(kind) == PUBLICATION {
            self.goals.reach(Goal::Delivered);
            self.goals.reach(if json { Goal::DeliveredInJson } else { Goal::DeliveredInPlain });
            if usize::from(room) >= self.own_room(0) {
                self.goals.reach(Goal::Personal);
            }
        }
    }

    /// Says whether a client has a part of its next frame.
    pub fn is_cut(&mut self, client: usize, half: bool) {
        let conn = self.conns[client].as_mut().expect("a connection that is written to exists");
        if half && !conn.half {
            // A Pong that waits is the next frame to begin.
            conn.pong.take().into_iter().for_each(|pong| conn.queue.push_front(pong));
        }
        conn.half = half;
        if half && conn.queue.len() == 1 && matches!(conn.phase, ExpectedPhase::Closing { .. }) {
            self.goals.reach(Goal::CloseHalfWritten);
        }
    }
}
