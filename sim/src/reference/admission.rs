//! Connections that come in: who is accepted, who is refused and why.

use super::arrival::Arrival;
use super::bucket::ClientRates;
use super::connection::{ExpectedConnection, ExpectedPhase, ExpectedTimer, TokenPurpose};
use super::model::ReferenceModel;
use super::time::nanos;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee};
use parlor_core::{ClientId, ConnId, Limit, Refused};
use std::collections::VecDeque;

impl ReferenceModel {
    /// CheckedBy the answer to an upgrade request of this client.
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
        let reasons = self.reasons_to_refuse(&entry);
        match answer {
            Err(refused) if reasons.contains(&refused) => {
                self.counted.refused += 1;
                if let Refused::Limit(limit) = refused {
                    let by_rate = limit == Limit::NewConnectionsPerIp;
                    self.goals.reach(if by_rate { Goal::ConnectionRate } else { Goal::ConnectionLimit });
                    self.hit(limit);
                }
                Ok(())
            }
            Ok(id) if reasons.is_empty() => {
                self.arrived(entry.address);
                self.take_in(client, id, client_id, entry)
            }
            _ => Err(Failure::new(
                Guarantee::P1,
                format_args!("refused with one of {reasons:?}, or accepted if there is none"),
                format_args!("{answer:?}"),
            )),
        }
    }

    /// Why a connection may be refused.
    fn reasons_to_refuse(&self, entry: &Arrival) -> Vec<Refused> {
        let limits = &self.config.limits;
        if self.shutting_down {
            return vec![Refused::ShuttingDown];
        }
        let count = self.conns.iter().flatten().count();
        let neighbours = self.conns.iter().flatten().filter(|conn| conn.entry.address == entry.address).count();
        let mut reasons = Vec::new();
        if count >= limits.connections {
            reasons.push(Refused::Limit(Limit::Connections));
        }
        if limits.connections_per_ip.is_some_and(|most| neighbours >= most.get()) {
            reasons.push(Refused::Limit(Limit::ConnectionsPerIp));
        }
        reasons.extend(self.is_too_soon(entry.address).map(Refused::Limit));
        reasons
    }

    fn take_in(&mut self, client: usize, id: ConnId, client_id: ClientId, entry: Arrival) -> Result<(), Failure> {
        let generation = self.generations.get(&id.slot()).map_or(0, |last| last + 1);
        if self.conns.iter().flatten().any(|conn| conn.id.slot() == id.slot()) {
            return Err(Failure::new(Guarantee::G7, "a vacant slot", format_args!("{id}, which is occupied")));
        }
        if id.generation() != generation {
            return Err(Failure::new(Guarantee::G7, format_args!("generation {generation} of slot {}", id.slot()), id));
        }
        if generation >= 2 {
            self.goals.reach(Goal::SlotReused);
        }
        self.generations.insert(id.slot(), generation);
        self.counted.accepted += 1;
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
            known: 0,
            granted: Vec::new(),
            kept_out: Vec::new(),
            caps: Vec::new(),
            filter: Vec::new(),
            ask: TokenPurpose::Identity,
            waiting: VecDeque::new(),
            turned_down: false,
            fragments: None,
            half_frame: 0,
            unread: 0,
            wants: Vec::new(),
            entering: VecDeque::new(),
            recoveries: 0,
            pace: ClientRates::default(),
            timers: [None; ExpectedTimer::ALL.len()],
            waited: 0,
            bytes: 0,
            added: (0, 0),
            refused: false,
        };
        conn.arm(ExpectedTimer::Handshake, self.clock + nanos(self.config.limits.handshake_timeout));
        self.conns[client] = Some(conn);
        Ok(())
    }
}
