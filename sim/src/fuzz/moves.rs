//! Rules for the difference that one input makes between two states, without a model of what should come of it.

use crate::subjects::subject::TurnReport;
use parlor_core::limits::Limits;
use parlor_core::snapshot::{ConnView, LogView, PhaseView};
use parlor_core::{Change, CloseCause, ConnId, Effect, Input, Now, Refused, Snapshot};
use std::collections::BTreeSet;

/// One transition.
pub(super) struct Step {
    pub now: Now,
    pub input: Input,
    pub before: TurnReport,
    pub after: TurnReport,
}

/// A connection comes to be, and nothing else changes.
pub(super) fn check_accept(before: &Snapshot, after: &Snapshot, accepted: Result<ConnId, Refused>, known: &[ConnId]) {
    let mut rest = after.clone();
    if let Ok(id) = accepted {
        assert!(!known.contains(&id), "G1: {id} was given before");
        let at = after.conns.iter().position(|view| view.id == id).expect("P1: it is there");
        let view = rest.conns.remove(at);
        assert!(view.phase == PhaseView::Handshaking && view.outbox.is_empty(), "P1: it comes in as {view:?}");
        assert!(!view.deadlines.is_empty(), "G7: it does not wait for ever");
    }
    assert_eq!(*before, rest, "P1: another one is no matter of anybody else");
}

/// Rooms and users as events have told them, and tokens whose check is not answered.
#[derive(Default)]
pub(super) struct EventLedger {
    seq: u64,
    occupied: BTreeSet<String>,
    online: BTreeSet<String>,
    asked: BTreeSet<ConnId>,
}

impl EventLedger {
    /// CheckedBy a transition.
    pub fn check(&mut self, step: &Step, limits: &Limits) {
        step.check_ends();
        step.check_wakes();
        step.check_replies();
        step.check_counts();
        step.before.after.logs.iter().for_each(|log| step.check_log(log, limits));
        for before in &step.before.after.conns {
            if let Some(after) = step.after.conn(before.id) {
                step.check_conn(before, after);
            }
        }
        self.follow(step);
    }

    fn follow(&mut self, Step { input, after, .. }: &Step) {
        if let Input::Authenticated { conn, .. } = input {
            self.asked.remove(conn);
        }
        for effect in &after.effects {
            match effect {
                Effect::Event(event) => {
                    self.seq += 1;
                    assert_eq!(event.seq, self.seq, "G4: events are numbered without a hole");
                    let alternates = match &event.change {
                        Change::Occupied(room) => self.occupied.insert(room.to_string()),
                        Change::Vacated(room) => self.occupied.remove(room.as_str()),
                        Change::Online(user) => self.online.insert(user.to_string()),
                        Change::Offline(user) => self.online.remove(user.as_str()),
                    };
                    assert!(alternates, "G4: {:?} a second time", event.change);
                }
                Effect::Authenticate { conn, .. } => assert!(self.asked.insert(*conn), "P1: {conn} is asked twice"),
                Effect::Closed { conn, .. } => drop(self.asked.remove(conn)),
                _ => {}
            }
        }
        let rooms: BTreeSet<String> = after.after.rooms.iter().map(|room| room.name.to_string()).collect();
        assert_eq!(self.occupied, rooms, "G4: the rooms that events told of");
        let users: BTreeSet<String> = after.after.users.iter().map(|(user, _)| user.to_string()).collect();
        assert_eq!(self.online, users, "G4: the users that events told of");
    }
}

impl TurnReport {
    fn conn(&self, id: ConnId) -> Option<&ConnView> {
        self.after.conns.iter().find(|view| view.id == id)
    }
}

impl Step {
    /// A connection that is gone has exactly one terminal effect, and no other has one.
    fn check_ends(&self) {
        let mut closed: Vec<ConnId> = Vec::new();
        for effect in &self.after.effects {
            if let Effect::Closed { conn, .. } = effect {
                closed.push(*conn);
            }
        }
        closed.sort_unstable();
        let conns = self.before.after.conns.iter().map(|view| view.id);
        let mut gone: Vec<ConnId> = conns.filter(|id| self.after.conn(*id).is_none()).collect();
        gone.sort_unstable();
        assert_eq!(closed, gone, "G7: who has ended");
        for view in &self.after.after.conns {
            assert!(self.before.conn(view.id).is_some(), "G7: {} comes from nowhere", view.id);
            assert!(!view.deadlines.is_empty(), "G7: {} waits for ever", view.id);
        }
    }

    /// A connection is woken for exactly when something waits for its socket that had nothing to wait for.
    fn check_wakes(&self) {
        let woken: Vec<ConnId> = self
            .after
            .effects
            .iter()
            .filter_map(|effect| if let Effect::Wake(conn) = effect { Some(*conn) } else { None })
            .collect();
        for view in &self.after.after.conns {
            let waited = self.before.conn(view.id).map_or(0, pending) - self.written(view.id);
            let wakes = woken.iter().filter(|conn| **conn == view.id).count();
            let expected = usize::from(waited == 0 && pending(view) > 0);
            assert_eq!(wakes, expected, "G6: whether {} is woken for", view.id);
        }
    }

    fn check_replies(&self) {
        let replies: Vec<u64> = self
            .after
            .effects
            .iter()
            .filter_map(|effect| if let Effect::Reply { call, .. } = effect { Some(call.0) } else { None })
            .collect();
        let expected = if let Input::Call { call, .. } = &self.input { vec![call.0] } else { vec![] };
        assert_eq!(replies, expected, "P1: a call has one answer");
    }

    /// Who has ended is named in vain, and after a tick nothing is overdue.
    fn check_counts(&self) {
        let stale = self.input.conn().is_some_and(|conn| self.before.conn(conn).is_none());
        let counted = self.after.stats.totals.stale_inputs - self.before.stats.totals.stale_inputs;
        assert_eq!(counted, u64::from(stale), "G8: stale inputs");
        if stale {
            assert_eq!(self.before.after, self.after.after, "G1: a stale id changes nothing");
            assert!(self.after.effects.is_empty(), "G1: a stale id has no effect");
        }
        if matches!(self.input, Input::Tick) {
            let next = self.after.timeout;
            assert!(next.is_none_or(|next| next > self.now.mono), "G10: {next:?} is over at {:?}", self.now.mono);
        }
        let sizes = self.before.after.conns.len() + self.before.after.rooms.len() + self.before.after.users.len();
        let most = 64 + 8 * sizes;
        assert!(self.after.effects.len() <= most, "G6: {} effects of one input", self.after.effects.len());
    }

    /// A log goes on, or it is another one.
    fn check_log(&self, before: &LogView, limits: &Limits) {
        let Some(after) = self.after.after.logs.iter().find(|log| log.name == before.name) else { return };
        assert!(after.entries.len() <= limits.history_messages, "G6: {} retains too much", after.name);
        assert!(after.entries.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "G5: a hole in {:?}", after.entries);
        if after.epoch != before.epoch {
            assert!(before.members.is_empty(), "G5: the log of {} is another one under its members", after.name);
            return;
        }
        assert!(after.top >= before.top, "G5: {} goes back", after.name);
        for (offset, data) in &after.entries {
            let known = before.entries.iter().find(|(known, _)| known == offset);
            assert!(*offset > before.top || known.is_some_and(|(_, known)| known == data), "G5: {offset} has changed");
        }
    }

    fn check_conn(&self, before: &ConnView, after: &ConnView) {
        assert_eq!(before.client, after.client, "P1: a connection keeps its public id");
        self.check_committed(before, after);
        let named = self.input.conn() == Some(before.id);
        match (&before.phase, &after.phase) {
            (PhaseView::Handshaking, PhaseView::Handshaking) => assert!(after.outbox.is_empty(), "G1: before the 101"),
            (PhaseView::Handshaking, PhaseView::Open { .. } | PhaseView::Closing { .. }) => {
                assert!(named && matches!(self.input, Input::Upgraded { .. }), "P1: {} opens by itself", before.id);
            }
            (PhaseView::Open { .. }, PhaseView::Open { .. }) => self.check_open(before, after, named),
            (PhaseView::Open { .. }, PhaseView::Closing { cause, .. }) => {
                let peer = named && matches!(self.input, Input::PeerClosed { .. });
                assert_eq!(*cause == CloseCause::PeerClose, peer, "P1: who closes {}", before.id);
                let is_finishing = *cause == CloseCause::PeerEof && after.outbox.len() == 1;
                assert!(
                    ends_with_close(after) || pending(after) == 0 || is_finishing,
                    "G1: {:02x?} has no Close",
                    after.outbox
                );
            }
            (PhaseView::Closing { .. }, PhaseView::Closing { .. }) => {
                assert_eq!(before.phase, after.phase, "P1: an end is decided once");
                self.check_closing(before, after);
            }
            _ => panic!("P1: {} goes from {:?} to {:?}", before.id, before.phase, after.phase),
        }
    }

    /// What a transport has encrypted is written before anything else.
    fn check_committed(&self, before: &ConnView, after: &ConnView) {
        let written = self.written(before.id);
        let committed = before.committed.saturating_sub(written);
        let rest = before.outbox.concat().split_off(written);
        assert!(after.outbox.concat().starts_with(&rest[..committed]), "G1: committed bytes of {} changed", before.id);
        assert!(after.committed >= committed, "G1: bytes of {} are not committed any more", before.id);
    }

    /// An outbox only grows at its end and shrinks at its front, but that the newest Pong goes first; and what one
    /// client says is no matter of who another one is, and where.
    fn check_open(&self, before: &ConnView, after: &ConnView, named: bool) {
        if !(named && matches!(self.input, Input::Ping { .. })) {
            let waited = before.outbox.concat();
            let rest = &waited[self.written(before.id)..];
            assert!(after.outbox.concat().starts_with(rest), "G5: what waited for {} was changed", before.id);
        }
        let own = named || matches!(self.input, Input::Call { .. } | Input::Tick);
        if let (
            PhaseView::Open { stage, user, rooms, events },
            PhaseView::Open { stage: s, user: u, rooms: r, events: e },
        ) = (&before.phase, &after.phase)
        {
            assert!(own || (stage, user, rooms, events) == (s, u, r, e), "P1: somebody else changed {}", before.id);
            assert!(r.iter().all(|(name, _)| self.is_member(name, after.id)), "G2: {} is in {r:?}", after.id);
        }
    }

    fn is_member(&self, name: &str, conn: ConnId) -> bool {
        self.after.after.rooms.iter().any(|room| *room.name == *name && room.members.contains(&conn))
    }

    /// Nothing is added to what a closing connection is sent, and its Close stays the last.
    fn check_closing(&self, before: &ConnView, after: &ConnView) {
        let rest = &before.outbox.concat()[self.written(before.id)..];
        assert!(pending(after) <= rest.len(), "G1: more for {}, which is closing", after.id);
        assert!(
            rest.ends_with(&after.outbox.last().cloned().unwrap_or_default()),
            "G1: {} has another Close",
            after.id
        );
        assert_eq!(rest.is_empty(), pending(after) == 0, "G1: the Close of {} is left out", after.id);
    }

    /// How many bytes of this connection the input says were written.
    fn written(&self, id: ConnId) -> usize {
        match self.input {
            Input::Flushed { conn, bytes } if conn == id => bytes,
            _ => 0,
        }
    }
}

fn pending(view: &ConnView) -> usize {
    view.outbox.iter().map(Vec::len).sum()
}

fn ends_with_close(view: &ConnView) -> bool {
    view.outbox.last().is_some_and(|frame| frame.first() == Some(&0x88))
}
