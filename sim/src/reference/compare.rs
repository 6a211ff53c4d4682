//! The outcome of a turn compared with the expected one.

use super::connection::{ExpectedConnection, ExpectedEnd, ExpectedPhase};
use super::expect::ExpectedFrame;
use super::model::ReferenceModel;
use super::outcome::Outcome;
use super::turn::RoomOrUser;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::world::names::user_name;
use parlor_core::snapshot::{ConnView, PhaseView};
use parlor_core::{Change, CloseCause, ConnId, Effect, End, Instant, RoomName, Snapshot, UserId};
use std::collections::BTreeMap;

impl ReferenceModel {
    /// Compares what came of a turn with what was foreseen.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn compare(&mut self, outcome: &Outcome<'_>) -> Result<(), Failure> {
        type Check = fn(&mut ReferenceModel, &Outcome<'_>) -> Result<(), Failure>;
        const CHECKS: [Check; 11] = [
            |reference, outcome| reference.compare_ends(outcome.effects),
            |reference, outcome| reference.compare_connections(outcome.after),
            |reference, outcome| reference.compare_queues(outcome.after),
            |reference, outcome| reference.compare_finished(outcome.effects),
            |reference, outcome| reference.compare_asks(outcome.effects),
            |reference, outcome| reference.compare_answer(outcome.answer),
            |reference, outcome| reference.compare_wakes(outcome.effects),
            |reference, outcome| reference.compare_rooms(outcome.after),
            |reference, outcome| reference.compare_logs(outcome.after),
            |reference, outcome| reference.compare_events(outcome.effects),
            |reference, outcome| reference.compare_deadlines(outcome.after, outcome.timeout),
        ];
        for check in CHECKS {
            let result = check(self, outcome);
            self.heed(result)?;
        }
        self.remember();
        Ok(())
    }

    fn compare_ends(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        let mut due = std::mem::take(&mut self.turn.ended);
        for effect in effects {
            let Effect::Closed { conn, end } = effect else { continue };
            let Some(at) = due.iter().position(|(_, id, _)| id == conn) else {
                return Err(Failure::new(
                    Guarantee::G7,
                    "no terminal effect, or no second one",
                    format_args!("{effect:?}"),
                ));
            };
            let (_, _, ending) = due.swap_remove(at);
            if !is_met(&ending, end) {
                return Err(Failure::new(
                    Guarantee::G7,
                    format_args!("{conn} to end as {ending:?}"),
                    format_args!("{end:?}"),
                ));
            }
        }
        match due.first() {
            None => Ok(()),
            Some((client, id, ending)) => Err(Failure::new(
                Guarantee::G7,
                format_args!("client {client} ({id}) to end as {ending:?}"),
                "nothing of the kind",
            )),
        }
    }

    fn compare_connections(&self, after: &Snapshot) -> Result<(), Failure> {
        let expected = sorted(self.conns.iter().flatten().map(|conn| conn.id));
        let saw = sorted(after.conns.iter().map(|conn| conn.id));
        equal(Guarantee::G7, "the connections", &expected, &saw)?;
        equal(Guarantee::P1, "shutting down is", &self.shutting_down, &after.shutting_down)?;
        for (conn, view) in self.pairs(after) {
            compare_phase(conn, view)?;
            self.compare_membership(conn, view)?;
        }
        Ok(())
    }

    fn pairs<'a>(&'a self, after: &'a Snapshot) -> impl Iterator<Item = (&'a ExpectedConnection, &'a ConnView)> {
        let view = |conn: &ExpectedConnection| after.conns.iter().find(|view| view.id == conn.id);
        self.conns.iter().flatten().filter_map(move |conn| Some((conn, view(conn)?)))
    }

    fn compare_membership(&self, conn: &ExpectedConnection, view: &ConnView) -> Result<(), Failure> {
        let mut saw = Vec::new();
        if let PhaseView::Open { rooms, user, .. } = &view.phase {
            saw.extend(rooms.iter().map(|(name, _)| name.as_str()));
            let expected = super::identity::user_text(conn.user);
            equal(Guarantee::G2, &format!("{} to belong to", conn.id), &expected.as_str(), &user.as_str())?;
        }
        let is_it = |client: &usize| self.conns[*client].as_ref().is_some_and(|other| other.id == conn.id);
        let rooms = self.rooms.iter().zip(&*self.names);
        let its = rooms.filter(|(members, _)| members.iter().any(|(member, _)| is_it(member)));
        equal(Guarantee::G2, &format!("{} to be in", conn.id), &sorted(its.map(|(_, name)| &**name)), &sorted(saw))
    }

    /// As many frames wait as must come.
    fn compare_queues(&self, after: &Snapshot) -> Result<(), Failure> {
        for (conn, view) in self.pairs(after) {
            let frames = view.outbox.len();
            if frames != conn.frames() {
                return Err(wrong_queue(conn, view));
            }
            equal(
                Guarantee::G1,
                &format!("a half-written frame of {}:", conn.id),
                &conn.half,
                &(view.half_written > 0),
            )?;
        }
        Ok(())
    }

    fn compare_asks(&self, effects: &[Effect]) -> Result<(), Failure> {
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::Authenticate { conn, token } => Some((*conn, String::clone(token))),
            _ => None,
        });
        let due =
            self.turn.asks.iter().filter_map(|(client, token)| Some((self.conns[*client].as_ref()?.id, token.clone())));
        equal(Guarantee::P1, "tokens to check:", &due.collect::<Vec<_>>(), &asked.collect::<Vec<_>>())
    }

    /// The client is shown the end of the stream when it has all that it will ever get, and not before.
    fn compare_finished(&self, effects: &[Effect]) -> Result<(), Failure> {
        let finished = effects.iter().filter_map(|effect| match effect {
            Effect::Finish(conn) => Some(*conn),
            _ => None,
        });
        equal(Guarantee::G1, "to be sent all that they will be:", &self.turn.finished, &finished.collect::<Vec<_>>())
    }

    fn compare_answer(&self, answer: Option<&str>) -> Result<(), Failure> {
        match (&self.turn.answer, answer) {
            (None, None) => Ok(()),
            (Some(want), Some(body)) => want.compare(body),
            (want, _) => Err(Failure::new(Guarantee::P1, format_args!("{want:?}"), format_args!("{answer:?}"))),
        }
    }

    /// A wake for every outbox that went from empty to non-empty, and no other.
    fn compare_wakes(&self, effects: &[Effect]) -> Result<(), Failure> {
        let mut woken: BTreeMap<ConnId, usize> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Wake(conn) => *woken.entry(*conn).or_default() += 1,
                // Waking comes before the end of a connection, never after it.
                Effect::Closed { conn, .. } => drop(woken.remove(conn)),
                _ => {}
            }
        }
        for (client, conn) in self.conns.iter().enumerate() {
            let Some(conn) = conn else { continue };
            let wakes = woken.remove(&conn.id).unwrap_or(0);
            let began = self.turn.were_empty[client] && !conn.is_idle();
            if wakes != usize::from(began) && !(wakes == 1 && self.turn.were_cut[client]) {
                let expected = format!("{} wakes of client {client}", usize::from(began));
                return Err(Failure::new(Guarantee::P1, expected, wakes));
            }
        }
        match woken.first_key_value() {
            None => Ok(()),
            Some((id, _)) => Err(Failure::new(Guarantee::G1, "no wake of a connection that has ended", id)),
        }
    }

    fn compare_rooms(&self, after: &Snapshot) -> Result<(), Failure> {
        let id = |(client, _): &(usize, bool)| self.conns[*client].as_ref().expect("members exist").id;
        let occupied = self.rooms.iter().zip(&*self.names).filter(|(members, _)| !members.is_empty());
        let mut expected: Vec<(&str, Vec<ConnId>)> =
            occupied.map(|(members, name)| (&**name, sorted(members.iter().map(id)))).collect();
        expected.sort_unstable();
        let saw: Vec<(&str, Vec<ConnId>)> =
            after.rooms.iter().map(|room| (room.name.as_str(), sorted(room.members.iter().copied()))).collect();
        let is_stale = saw.iter().any(|(name, _)| !expected.iter().any(|(known, _)| known == name));
        equal(if is_stale { Guarantee::G3 } else { Guarantee::G2 }, "the rooms", &expected, &saw)
    }

    fn compare_logs(&mut self, after: &Snapshot) -> Result<(), Failure> {
        let expected =
            sorted(self.logs.iter().zip(&*self.names).filter(|(log, _)| log.is_some()).map(|(_, name)| &**name));
        let saw: Vec<&str> = after.logs.iter().map(|log| log.name.as_str()).collect();
        equal(Guarantee::G3, "the logs of", &expected, &saw)?;
        for (name, room) in self.names.iter().zip(0..) {
            let Some(log) = &self.logs[room] else { continue };
            let view = after.logs.iter().find(|view| *view.name == **name).expect("the names are the same");
            let expected: Vec<(u64, &str)> = log.entries.iter().map(|entry| (entry.offset, &*entry.line)).collect();
            let saw: Vec<(u64, &str)> = view.entries.iter().map(|(offset, line)| (*offset, line.as_str())).collect();
            let what = format!("{name:?} to be at a top and retain");
            equal(Guarantee::G5, &what, &(log.top, expected), &(view.top, saw))?;
            let expected = (self.ages_out(log), self.forgotten_at(room));
            let saw = (view.ages_out.map(|at| at.0), view.forgotten_at.map(|at| at.0));
            equal(Guarantee::G7, &format!("{name:?} to age and to be forgotten at"), &expected, &saw)?;
            let members = self.rooms[room].iter().filter_map(|(client, _)| self.conns[*client].as_ref());
            let expected = sorted(members.map(|conn| conn.client_id));
            equal(Guarantee::G2, &format!("the home to hold for {name:?}"), &expected, &sorted(view.members.clone()))?;
        }
        (0..self.logs.len()).try_for_each(|room| self.compare_epoch(room))
    }

    /// A log keeps its epoch, and no two logs ever have the same.
    fn compare_epoch(&mut self, room: usize) -> Result<(), Failure> {
        let Some(log) = &self.logs[room] else { return Ok(()) };
        equal(Guarantee::G5, &format!("the epoch of {:?}", self.names[room]), &log.epoch, &self.chosen[room])?;
        let Some(epoch) = log.epoch.clone() else { return Ok(()) };
        let is_shared = self.logs.iter().flatten().filter(|other| other.epoch.as_ref() == Some(&epoch)).count() > 1;
        let is_new = !self.epochs.contains(&epoch);
        if is_shared || (self.turn.began.contains(&room) && !is_new) {
            return Err(Failure::new(Guarantee::G5, "an epoch that never was before", &epoch));
        }
        self.epochs.extend(is_new.then_some(epoch));
        Ok(())
    }

    fn compare_events(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        let mut due: Vec<Change> =
            self.turn.changes.iter().map(|(subject, began)| self.change(*subject, *began)).collect();
        for effect in effects {
            let Effect::Event(event) = effect else { continue };
            // What happens to one name keeps its order; names do not wait for each other.
            let next = due.iter().position(|change| name_of(change) == name_of(&event.change));
            let Some(at) = next.filter(|at| due[*at] == event.change) else {
                let saw = format_args!("{:?}", event.change);
                return Err(Failure::new(Guarantee::G4, format_args!("one of {due:?}"), saw));
            };
            due.remove(at);
        }
        if due.is_empty() { Ok(()) } else { Err(Failure::new(Guarantee::G4, format_args!("{due:?}"), "no such event")) }
    }

    fn change(&self, subject: RoomOrUser, began: bool) -> Change {
        let room = |room: usize| {
            let name = RoomName::parse(&self.names[room], usize::MAX, &self.config.namespaces);
            name.expect("what the scenario calls a room")
        };
        let user = |user: usize| UserId::parse(&user_name(user), usize::MAX).expect("what the scenario calls a user");
        match (subject, began) {
            (RoomOrUser::Room(of), true) => Change::Occupied(room(of)),
            (RoomOrUser::Room(of), false) => Change::Vacated(room(of)),
            (RoomOrUser::User(of), true) => Change::Online(user(of)),
            (RoomOrUser::User(of), false) => Change::Offline(user(of)),
        }
    }

    fn compare_deadlines(&self, after: &Snapshot, timeout: Option<Instant>) -> Result<(), Failure> {
        for (conn, view) in self.pairs(after) {
            let saw = view.deadlines.first().map(|(_, at)| at.0);
            let expected = conn.next_timer().map(|(at, _)| at);
            equal(Guarantee::G7, &format!("the next deadline of {} at", conn.id), &expected, &saw)?;
        }
        let (expected, saw) = (self.next_deadline(), timeout.map(|at| at.0));
        // One that has passed and stays would be due for ever.
        let is_stuck = saw.is_some_and(|at| at <= self.clock);
        equal(if is_stuck { Guarantee::G10 } else { Guarantee::G7 }, "the next deadline at", &expected, &saw)
    }

    /// Remembers what the next turn needs to know of this one.
    pub(super) fn remember(&mut self) {
        self.conns.iter_mut().flatten().for_each(|conn| conn.waited = conn.frames());
    }
}

/// Another number of frames waits than must come.
fn wrong_queue(conn: &ExpectedConnection, view: &ConnView) -> Failure {
    let waits: Vec<String> = conn.coming().map(ToString::to_string).collect();
    let saw: Vec<String> = view.outbox.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
    let is_publication = saw.last().is_some_and(|frame| frame.contains(r#"{"n":"#));
    let guarantee = match conn.queue.back() {
        _ if saw.len() > waits.len() && is_publication => Guarantee::G5,
        _ if saw.len() > waits.len() && conn.phase != ExpectedPhase::Open => Guarantee::G1,
        expect => expect.map_or(Guarantee::P1, ExpectedFrame::guarantee),
    };
    let expected = format_args!("{} frames to wait for {}: {waits:?}", waits.len(), conn.id);
    Failure::new(guarantee, expected, format_args!("{saw:?}"))
}

/// The same in order.
fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    all.sort_unstable();
    all
}

fn is_met(ending: &ExpectedEnd, end: &End) -> bool {
    (ending.cause, ending.code, ending.clean) == (end.cause, end.reason().code(), end.clean)
}

fn compare_phase(conn: &ExpectedConnection, view: &ConnView) -> Result<(), Failure> {
    let expected = match &conn.phase {
        ExpectedPhase::Handshaking => "handshaking".into(),
        ExpectedPhase::Open => format!("open, ready: {}", conn.ready),
        ExpectedPhase::Closing { cause, code, .. } => format!("closing with {code} for {cause:?}"),
    };
    let saw = match &view.phase {
        PhaseView::Handshaking => "handshaking".into(),
        PhaseView::Open { stage, .. } => format!("open, ready: {}", *stage == "ready"),
        PhaseView::Closing { cause, code } => format!("closing with {code} for {cause:?}"),
    };
    let guarantee = match (&conn.phase, &view.phase) {
        (ExpectedPhase::Closing { cause: CloseCause::Slow, .. }, _)
        | (ExpectedPhase::Open, PhaseView::Closing { cause: CloseCause::Slow, .. }) => Guarantee::G6,
        (ExpectedPhase::Closing { .. }, _) | (ExpectedPhase::Open, PhaseView::Closing { .. }) => Guarantee::G7,
        _ => Guarantee::P1,
    };
    equal(guarantee, &format!("{} to be", conn.id), &expected, &saw)
}

fn name_of(change: &Change) -> (bool, &str) {
    match change {
        Change::Occupied(name) | Change::Vacated(name) => (true, name),
        Change::Online(name) | Change::Offline(name) => (false, name),
    }
}
