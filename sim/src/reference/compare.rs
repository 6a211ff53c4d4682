//! The outcome of a turn compared with the expected one.

use super::connection::{ExpectedConnection, ExpectedEnd, ExpectedPhase};
use super::model::ReferenceModel;
use super::outcome::Outcome;
use super::turn::RoomOrUser;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::world::names::user_name;
use parlor_core::snapshot::{ConnView, PhaseView};
use parlor_core::{Change, CloseCause, ConnId, Effect, End, Instant, RoomName, Snapshot, Stats, UserId};
use std::collections::BTreeMap;

/// The longest control frame (RFC 6455 section 5.5).
const CONTROL_FRAME_BYTES: usize = 127;

impl ReferenceModel {
    /// Compares what came of a turn with what was foreseen.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn compare(&mut self, outcome: &Outcome<'_>) -> Result<(), Failure> {
        type Check = fn(&mut ReferenceModel, &Outcome<'_>) -> Result<(), Failure>;
        const CHECKS: [Check; 13] = [
            |reference, outcome| reference.compare_ends(outcome.effects),
            |reference, outcome| reference.compare_connections(outcome.after),
            |reference, outcome| reference.compare_queues(outcome.after),
            |reference, outcome| reference.compare_finished(outcome.effects),
            |reference, outcome| reference.compare_asks(outcome.effects),
            |reference, outcome| reference.compare_answer(outcome.answer),
            |reference, outcome| reference.compare_wakes(outcome.effects),
            |reference, outcome| reference.compare_rooms(outcome.after),
            |reference, outcome| reference.compare_logs(outcome.after),
            |reference, outcome| reference.compare_absences(outcome.after),
            |reference, outcome| reference.compare_events(outcome.effects),
            |reference, outcome| reference.compare_deadlines(outcome.after, outcome.timeout),
            |reference, outcome| reference.compare_stats(outcome.stats, outcome.after),
        ];
        for check in CHECKS {
            let result = check(self, outcome);
            self.heed(result)?;
        }
        self.remember(outcome.after);
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
            *self.counted.closed.entry(ending.cause).or_default() += 1;
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
        let mut expected: Vec<ConnId> = self.conns.iter().flatten().map(|conn| conn.id).collect();
        let mut saw: Vec<ConnId> = after.conns.iter().map(|conn| conn.id).collect();
        expected.sort_unstable();
        saw.sort_unstable();
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
        let (mut saw, mut on_its_way) = (Vec::new(), Vec::new());
        if let PhaseView::Open { rooms, user, events, .. } = &view.phase {
            saw.extend(rooms.iter().filter(|(_, is_member)| *is_member).map(|(name, _)| name.as_str()));
            on_its_way.extend(rooms.iter().filter(|(_, is_member)| !is_member).map(|(name, _)| name.as_str()));
            let expected = super::names::user_text(conn.user);
            equal(Guarantee::G2, &format!("{} to belong to", conn.id), &expected.as_str(), &user.as_str())?;
            let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
            events.sort_unstable();
            equal(Guarantee::P1, &format!("{} to filter by", conn.id), &conn.filter, &events)?;
        }
        saw.sort_unstable();
        on_its_way.sort_unstable();
        let mut entering: Vec<&str> = conn.entering.iter().map(|entering| &*self.names[entering.room]).collect();
        entering.sort_unstable();
        equal(Guarantee::G2, &format!("{} to be in", conn.id), &self.rooms_of(conn), &saw)?;
        equal(Guarantee::G2, &format!("{} to be on its way to", conn.id), &entering, &on_its_way)
    }

    /// G6, and that as many frames wait as must come.
    fn compare_queues(&self, after: &Snapshot) -> Result<(), Failure> {
        let limits = &self.config.limits;
        for (conn, view) in self.pairs(after) {
            let bytes: usize = view.outbox.iter().map(Vec::len).sum();
            // On top come a Pong that is half-written, one that waits, and the Close.
            let (frames, spare) = (view.outbox.len(), 3);
            // A connection that takes what it is offered is given what there is; of one that stops in the middle nothing more is kept.
            let most_frames = conn.waited.max(limits.outbox_frames) + spare;
            let most_bytes = conn.bytes.max(limits.outbox_bytes) + spare * CONTROL_FRAME_BYTES;
            if conn.refused && (frames > most_frames || bytes > most_bytes) {
                let bound = format!("at most {} frames and {} bytes", limits.outbox_frames, limits.outbox_bytes);
                return Err(Failure::new(
                    Guarantee::G6,
                    bound,
                    format_args!("{frames} frames and {bytes} bytes for {}", conn.id),
                ));
            }
            if frames != conn.frames() {
                return Err(wrong_queue(conn, view));
            }
            conn.compare_size(view)?;
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
            Effect::Authenticate { conn, token } => Some((*conn, token.clone())),
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
        for (name, empty) in after
            .rooms
            .iter()
            .map(|room| (room.name.as_str(), room.members.is_empty()))
            .chain(after.users.iter().map(|(user, conns)| (user.as_str(), conns.is_empty())))
        {
            if empty {
                return Err(Failure::new(Guarantee::G3, "nothing empty", format_args!("{name:?} is empty")));
            }
        }
        let sorted = |mut ids: Vec<ConnId>| {
            ids.sort_unstable();
            ids
        };
        let id = |client: &usize| self.conns[*client].as_ref().expect("members exist").id;
        let occupied = self.rooms.iter().zip(&*self.names).filter(|(members, _)| !members.is_empty());
        let mut expected: Vec<(&str, Vec<ConnId>)> =
            occupied.map(|(members, name)| (&**name, sorted(members.iter().map(id).collect()))).collect();
        expected.sort_unstable();
        let saw: Vec<(&str, Vec<ConnId>)> =
            after.rooms.iter().map(|room| (room.name.as_str(), sorted(room.members.clone()))).collect();
        let stale = saw.iter().any(|(name, _)| !expected.iter().any(|(known, _)| known == name));
        equal(if stale { Guarantee::G3 } else { Guarantee::G2 }, "the rooms", &expected, &saw)?;
        let users = (0..self.users).map(|user| {
            let conns = self.conns.iter().flatten().filter(|conn| conn.user == Some(user));
            (crate::world::names::user_name(user), sorted(conns.map(|conn| conn.id).collect()))
        });
        let expected: Vec<(String, Vec<ConnId>)> = users.filter(|(_, conns)| !conns.is_empty()).collect();
        let saw: Vec<(String, Vec<ConnId>)> =
            after.users.iter().map(|(name, conns)| (name.to_string(), sorted(conns.clone()))).collect();
        equal(Guarantee::G3, "the users", &expected, &saw)
    }

    fn compare_logs(&mut self, after: &Snapshot) -> Result<(), Failure> {
        let mut expected: Vec<&str> =
            self.logs.iter().zip(&*self.names).filter(|(log, _)| log.is_some()).map(|(_, name)| &**name).collect();
        expected.sort_unstable();
        let saw: Vec<&str> = after.logs.iter().map(|log| log.name.as_str()).collect();
        equal(Guarantee::G3, "the logs of", &expected, &saw)?;
        for (name, room) in self.names.iter().zip(0..) {
            let Some(log) = &self.logs[room] else { continue };
            let view = after.logs.iter().find(|view| *view.name == **name).expect("the names are the same");
            equal(Guarantee::G5, &format!("the top of {name:?} at"), &log.top, &view.top)?;
            let expected: Vec<(u64, &str)> = log.entries.iter().map(|entry| (entry.offset, &*entry.line)).collect();
            let saw: Vec<(u64, &str)> = view.entries.iter().map(|(offset, line)| (*offset, line.as_str())).collect();
            equal(Guarantee::G5, &format!("{name:?} to retain"), &expected, &saw)?;
            let saw = view.ages_out.map(|at| at.0);
            equal(Guarantee::G7, &format!("the oldest message of {name:?} to go at"), &self.ages_out(log), &saw)?;
            let saw = view.forgotten_at.map(|at| at.0);
            equal(Guarantee::G7, &format!("the log of {name:?} to be forgotten at"), &self.forgotten_at(room), &saw)?;
            let mut expected: Vec<_> =
                self.rooms[room].iter().filter_map(|client| Some(self.conns[*client].as_ref()?.client_id)).collect();
            let mut saw = view.members.clone();
            expected.sort_unstable();
            saw.sort_unstable();
            equal(Guarantee::G2, &format!("the home to hold for {name:?}"), &expected, &saw)?;
        }
        self.compare_epochs()
    }

    fn compare_absences(&self, after: &Snapshot) -> Result<(), Failure> {
        let mut expected: Vec<(&str, String, &str, u64)> = self
            .absences
            .iter()
            .map(|absence| {
                let client = absence.info["client"].as_str().expect("an id");
                (&*self.names[absence.room], user_name(absence.user), client, absence.until)
            })
            .collect();
        expected.sort_unstable();
        let clients: Vec<String> = after.absences.iter().map(|view| view.client.to_string()).collect();
        let views = after.absences.iter().zip(&clients);
        let mut saw: Vec<(&str, String, &str, u64)> = views
            .map(|(view, client)| (view.room.as_str(), view.user.to_string(), client.as_str(), view.until.0))
            .collect();
        saw.sort_unstable();
        equal(Guarantee::G2, "the absences", &expected, &saw)
    }

    /// A log keeps its epoch, and no two logs ever have the same.
    fn compare_epochs(&mut self) -> Result<(), Failure> {
        for room in 0..self.logs.len() {
            let Some(log) = &self.logs[room] else { continue };
            let (known, now) = (&log.epoch, &self.choices.epochs[room]);
            equal(Guarantee::G5, &format!("the epoch of {:?}", self.names[room]), known, now)?;
            let Some(epoch) = now.clone() else { continue };
            let is_new = !self.epochs.contains(&epoch);
            let is_shared = self.logs.iter().flatten().filter(|other| other.epoch.as_ref() == Some(&epoch)).count() > 1;
            let is_first = self.turn.began.contains(&room);
            if is_shared || (is_first && !is_new) {
                return Err(Failure::new(Guarantee::G5, "an epoch that never was before", &epoch));
            }
            if is_new {
                self.epochs.push(epoch);
            }
        }
        Ok(())
    }

    fn compare_events(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        let mut due: Vec<Change> =
            self.turn.changes.iter().map(|(subject, began)| self.change(*subject, *began)).collect();
        for effect in effects {
            let Effect::Event(event) = effect else { continue };
            self.counted.events += 1;
            equal(Guarantee::G4, "an event numbered", &self.counted.events, &event.seq)?;
            // What happens to one name keeps its order; names do not wait for each other.
            let next = due.iter().position(|change| name_of(change) == name_of(&event.change));
            let flash = self.turn.flashes.iter().position(|subject| self.change(*subject, true) == event.change);
            match (next, flash) {
                (Some(at), _) if due[at] == event.change => drop(due.remove(at)),
                (None, Some(flash)) => {
                    let subject = self.turn.flashes.swap_remove(flash);
                    due.push(self.change(subject, false));
                }
                _ => {
                    return Err(Failure::new(
                        Guarantee::G4,
                        format_args!("one of {due:?}"),
                        format_args!("{:?}", event.change),
                    ));
                }
            }
        }
        if due.is_empty() { Ok(()) } else { Err(Failure::new(Guarantee::G4, format_args!("{due:?}"), "no such event")) }
    }

    pub(super) fn change(&self, subject: RoomOrUser, began: bool) -> Change {
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
        if let Some(conn) = after.conns.iter().find(|conn| conn.deadlines.is_empty()) {
            return Err(Failure::new(
                Guarantee::G7,
                "every connection to have a deadline",
                format_args!("{} has none", conn.id),
            ));
        }
        for conn in self.conns.iter().flatten() {
            let view = after.conns.iter().find(|view| view.id == conn.id);
            let saw = view.and_then(|view| view.deadlines.first()).map(|(_, at)| at.0);
            let expected = conn.next_timer().map(|(at, _)| at);
            equal(Guarantee::G7, &format!("the next deadline of {} at", conn.id), &expected, &saw)?;
        }
        let expected = self.next_deadline();
        let saw = timeout.map(|at| at.0);
        if saw.is_some_and(|at| at <= self.clock) && saw != expected {
            return Err(Failure::new(
                Guarantee::G10,
                format_args!("no deadline before {expected:?}"),
                format_args!("{saw:?}, for ever"),
            ));
        }
        equal(Guarantee::G7, "the next deadline at", &expected, &saw)
    }

    fn compare_stats(&self, stats: &Stats, after: &Snapshot) -> Result<(), Failure> {
        let gauges = &stats.gauges;
        let count = |what: &str, expected: usize, saw: usize| equal(Guarantee::G8, what, &expected, &saw);
        let conns = || self.conns.iter().flatten();
        count("connections:", conns().count(), gauges.connections)?;
        count("ready:", conns().filter(|conn| conn.ready).count(), gauges.ready)?;
        count("users:", (0..self.users).filter(|user| self.is_online(*user)).count(), gauges.users)?;
        let is_occupied = |room: &usize| !self.rooms[*room].is_empty() || self.has_absences(*room);
        count("rooms:", (0..self.rooms.len()).filter(is_occupied).count(), gauges.rooms)?;
        count("absences:", self.absences.len(), gauges.absences)?;
        count("memberships:", self.rooms.iter().map(Vec::len).sum(), gauges.memberships)?;
        count("logs:", self.numbered(), gauges.logs)?;
        count("history bytes:", self.history_bytes(), gauges.history_bytes)?;
        count(
            "outbox bytes:",
            after.conns.iter().flat_map(|conn| &conn.outbox).map(Vec::len).sum(),
            gauges.outbox_bytes,
        )?;
        let totals = &stats.totals;
        let total = |what: &str, expected: u64, saw: u64| equal(Guarantee::G8, what, &expected, &saw);
        total("accepted:", self.counted.accepted, totals.accepted)?;
        total("refused:", self.counted.refused, totals.refused)?;
        equal(Guarantee::G8, "refusals by limit:", &self.counted.limits, &totals.limits)?;
        equal(Guarantee::G8, "closed by cause:", &self.counted.closed, &totals.closed)?;
        total("published:", self.counted.published, totals.published)?;
        total("messages in:", self.counted.messages_in, totals.messages_in)?;
        total("unknown types:", self.counted.unknown_types, totals.unknown_types)?;
        total("frames written:", self.counted.frames_written, totals.frames_written)?;
        let waiting: usize = after.conns.iter().map(|conn| conn.outbox.len()).sum();
        let accounted = totals.frames_written + totals.frames_dropped + waiting as u64;
        total("frames queued, by what became of them:", accounted, totals.frames_queued)?;
        total("bytes written:", self.counted.bytes_written, totals.bytes_written)?;
        total("errors told:", self.counted.errors, totals.errors)?;
        total("joins confirmed too late:", self.counted.late_joins, totals.late_joins)?;
        total("stale inputs:", self.counted.stale, totals.stale_inputs)?;
        total("steps back of the clock:", self.counted.backsteps, totals.clock_backsteps)
    }

    /// Remembers what the next turn needs to know of this one.
    pub(super) fn remember(&mut self, after: &Snapshot) {
        for conn in self.conns.iter_mut().flatten() {
            conn.added = (0, 0);
            conn.waited = conn.frames();
            conn.bytes = after
                .conns
                .iter()
                .find(|view| view.id == conn.id)
                .map_or(0, |view| view.outbox.iter().map(Vec::len).sum());
        }
    }
}

impl ExpectedConnection {
    /// As many bytes wait as must come, but for what words take and the rest of a frame that is half-written.
    fn compare_size(&self, view: &ConnView) -> Result<(), Failure> {
        let saw: usize = view.outbox.iter().skip(usize::from(self.half)).map(Vec::len).sum();
        let all = self.coming().map(|expect| expect.size).fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        // It is not known which of those that may be the first was begun.
        let begun = self.first().filter(|_| self.half).map(|at| self.queue[at].size);
        let begun = begun.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1))).unwrap_or_default();
        let (least, most) = (all.0 - begun.0, all.1 - begun.1);
        if (least..=most).contains(&saw) {
            return Ok(());
        }
        Err(Failure::new(Guarantee::P1, format_args!("{least} to {most} bytes to wait for {}", self.id), saw))
    }
}

/// Another number of frames waits than must come.
fn wrong_queue(conn: &ExpectedConnection, view: &ConnView) -> Failure {
    let waits: Vec<String> = conn.coming().map(ToString::to_string).collect();
    let saw: Vec<String> = view.outbox.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
    let is_unasked = saw.last().is_some_and(|frame| frame.contains(r#"{"n":"#));
    let guarantee = match conn.queue.back() {
        _ if saw.len() > waits.len() && is_unasked => Guarantee::G5,
        _ if saw.len() > waits.len() && conn.phase != ExpectedPhase::Open => Guarantee::G1,
        None => Guarantee::P1,
        Some(expect) => expect.guarantee(),
    };
    Failure::new(
        guarantee,
        format_args!("{} frames to wait for {}: {waits:?}", waits.len(), conn.id),
        format_args!("{saw:?}"),
    )
}

pub(super) fn is_met(ending: &ExpectedEnd, end: &End) -> bool {
    (ending.cause, ending.code, ending.clean) == (end.cause, end.reason.code(), end.clean)
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

pub(super) fn name_of(change: &Change) -> (bool, &str) {
    match change {
        Change::Occupied(name) | Change::Vacated(name) => (true, name),
        Change::Online(name) | Change::Offline(name) => (false, name),
    }
}
