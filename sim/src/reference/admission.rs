//! Connections that come in: who is accepted, who is refused and why.

use super::arrival::Arrival;
use super::connection::{ExpectedConnection, ExpectedPhase, ExpectedTimer};
use super::model::{ReferenceModel, nanos};
use crate::guarantees::{Failure, Guarantee};
use parlor_core::{ClientId, ConnId, Refused};
use std::collections::VecDeque;

impl ReferenceModel {
    /// Checks the answer to an upgrade request of this client.
    ///
    /// # Errors
    /// It was taken in where it must not be, refused where it may not be, or got an id that is not new.
    pub fn accepted(
        &mut self,
        client: usize,
        client_id: ClientId,
        entry: Arrival,
        answer: Result<ConnId, Refused>,
    ) -> Result<(), Failure> {
        match answer {
            Err(Refused::ShuttingDown) if self.shutting_down => Ok(()),
            Ok(id) if !self.shutting_down => self.take_in(client, id, client_id, entry),
            _ => Err(Failure::new(
                Guarantee::P1,
                format_args!("shutting down, so refused: {}", self.shutting_down),
                format_args!("{answer:?}"),
            )),
        }
    }

    fn take_in(&mut self, client: usize, id: ConnId, client_id: ClientId, entry: Arrival) -> Result<(), Failure> {
        let generation = self.generations.get(&id.slot()).map_or(0, |last| last + 1);
        if self.conns.iter().flatten().any(|conn| conn.id.slot() == id.slot()) {
            return Err(Failure::new(Guarantee::G7, "a vacant slot", format_args!("{id}, which is occupied")));
        }
        if id.generation() != generation {
            return Err(Failure::new(Guarantee::G7, format_args!("generation {generation} of slot {}", id.slot()), id));
        }
        self.generations.insert(id.slot(), generation);
        let mut conn = ExpectedConnection {
            id,
            client_id,
            entry,
            phase: ExpectedPhase::Handshaking,
            queue: VecDeque::new(),
            pong: None,
            half: false,
            ready: false,
            asked: false,
            user: None,
            info: None,
            waiting: VecDeque::new(),
            turned_down: false,
            has_fragments: false,
            timers: [None; ExpectedTimer::ALL.len()],
            waited: 0,
            refused: false,
        };
        conn.arm(ExpectedTimer::Handshake, self.clock + nanos(self.config.limits.handshake_timeout));
        if !conn.entry.is_foreseen() {
            self.give_up();
        }
        self.conns[client] = Some(conn);
        Ok(())
    }
}
