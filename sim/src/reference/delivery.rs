//! Frames that a client has received, each compared with the one that was due.

use super::connection::ExpectedPhase;
use super::model::ReferenceModel;
use crate::guarantees::{Failure, Guarantee};
use crate::world::frames::ReceivedFrame;

impl ReferenceModel {
    /// Checks one frame that a client has received; `half` is whether a part of another one has come after it.
    ///
    /// # Errors
    /// It is not the one that was due.
    pub fn saw(&mut self, client: usize, frame: &ReceivedFrame) -> Result<(), Failure> {
        let conn = self.conns[client].as_mut().expect("a connection that is written to exists");
        let Some(expect) = conn.take() else {
            let closed = matches!(conn.phase, ExpectedPhase::Closing { .. });
            let unasked = if matches!(frame, ReceivedFrame::Text(_)) { Guarantee::G5 } else { Guarantee::P1 };
            let guarantee = if closed { Guarantee::G1 } else { unasked };
            return Err(Failure::new(guarantee, format_args!("nothing more for client {client}"), frame));
        };
        conn.half = false;
        if expect.is_met_by(frame) {
            return Ok(());
        }
        let is_known =
            self.names.iter().any(|name| frame.to_string().contains(&format!(r#""channel":"{name}","pub""#)));
        let guarantee = if is_known { Guarantee::G5 } else { expect.guarantee() };
        Err(Failure::new(guarantee, format_args!("client {client} receives {expect}"), frame))
    }

    /// Says whether a client has a part of its next frame.
    pub fn is_cut(&mut self, client: usize, half: bool) {
        let conn = self.conns[client].as_mut().expect("a connection that is written to exists");
        if half && !conn.half {
            // A Pong that waits is the next frame to begin.
            conn.pong.take().into_iter().for_each(|pong| conn.queue.push_front(pong));
        }
        conn.half = half;
    }
}
