//! The views of a hub: its state as plain data, and its counts.

use super::Hub;
use crate::connection::deadlines::Timer;
use crate::connection::outbox::Queue;
use crate::connection::pending::{Grant, PendingJoin};
use crate::connection::{Conn, Open, Phase};
use crate::ids::{ConnId, Slot};
use crate::names::{RoomName, UserId};
use crate::snapshot::{ConnView, OutboxView, PhaseView, RoomView};
use crate::stats::{Gauges, Totals};
use crate::time::Instant;
use crate::token::revocation::AcceptedToken;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

impl Hub {
    /// The occupied slots, in order.
    pub fn conn_views(&self) -> Vec<ConnView> {
        self.conns.iter().map(|(_, conn)| self.conn_view(conn)).collect()
    }

    /// The state of each connection that its view does not name, as text, by slot.
    pub fn details(&self) -> Vec<(ConnId, String)> {
        self.conns.iter().map(|(_, conn)| (conn.id, self.details_of(conn))).collect()
    }

    fn details_of(&self, conn: &Conn) -> String {
        let Conn { protocol, .. } = conn;
        match &conn.phase {
            Phase::Open(open) => {
                let Open { stage, info, pending_auth, inbound, asked, capabilities, is_unchecked, granted, .. } = open;
                // The end of a token is a deadline, or only matters to the end of its revocation.
                let revocable = |token: &AcceptedToken| (token.id.clone(), token.issued_at);
                let of_room = |grant: &Grant| (grant.room.clone(), grant.rights, grant.token.as_deref().map(revocable));
                let grants: Vec<_> = open.grants.iter().map(of_room).collect();
                let token = open.token.as_deref().map(revocable);
                let join = |join: &PendingJoin| {
                    let grant = join.grant.as_deref().map(of_room);
                    format!("{:?} {:?} {:?} {grant:?} {}", join.room, join.reason, join.replay, join.asked.is_some())
                };
                let joins: Vec<String> = open.joins.iter().map(join).collect();
                let reasons: Vec<_> = self.registry.membership_reasons(conn.id.slot).collect();
                let own = (&info.info, granted, grants, capabilities, is_unchecked, token);
                format!(
                    "{protocol:?} {stage:?} {pending_auth:?} {inbound:?} {} {own:?} {joins:?} {reasons:?}",
                    asked.count
                )
            }
            Phase::Closing(closing) => format!("{:?}", closing.peer),
            phase => format!("{protocol:?} {phase:?}"),
        }
    }

    /// The rooms, by name.
    pub fn room_views(&self) -> Vec<RoomView> {
        let view = |(name, _): (&RoomName, usize)| RoomView {
            name: name.clone(),
            members: self.registry.members(name).map(|slot| self.conns[slot].id).collect(),
        };
        let mut rooms: Vec<RoomView> = self.registry.rooms().map(view).collect();
        rooms.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        rooms
    }

    /// The users with their connections, by name.
    pub fn user_views(&self) -> Vec<(UserId, Vec<ConnId>)> {
        let of_user = |room: RoomView| Some((room.name.user()?, room.members));
        self.room_views().into_iter().filter_map(of_user).collect()
    }

    /// The time of the latest turn.
    pub fn now(&self) -> Instant {
        self.now.mono
    }

    /// The revocations, as text.
    pub fn revocation_views(&self) -> Vec<String> {
        self.revocations.entries().collect()
    }

    /// Whether a shutdown is under way.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// Sizes of what the hub holds, without a look at each: [`Hub::audit`] counts them anew.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.conns.len(),
            json: self.states.json(),
            plain: self.states.plain(),
            users: self.online,
            rooms: self.occupied,
            memberships: self.memberships(),
            outbox_bytes: self.outbox_bytes - self.unheard().map_or(0, Queue::bytes),
            refused_bytes: self.refused_frames.bytes(),
            inbound_bytes: self.inbound_bytes + self.bodies,
            ..Gauges::default()
        }
    }

    /// The name of a connection's protocol; `None` where the connection has ended.
    pub fn protocol(&self, conn: ConnId) -> Option<&'static str> {
        self.find(conn).map(|conn| conn.protocol.name())
    }

    /// The most bytes that wait for one socket. O(n) in the connections.
    pub fn largest_outbox(&self) -> usize {
        self.conns.iter().filter_map(|(_, conn)| conn.queue()).map(Queue::bytes).max().unwrap_or(0)
    }

    /// The connections that most bytes wait for, the fullest first, at most so many; without those that nothing waits for.
    /// O(n) in the connections.
    pub fn fullest_outboxes(&self, most: usize) -> Vec<OutboxView> {
        let waiting =
            |(_, conn): (_, &Conn)| Some((conn.queue()?.bytes(), conn.id.slot)).filter(|(bytes, _)| *bytes > 0);
        let mut fullest: Vec<(usize, Slot)> = self.conns.iter().filter_map(waiting).collect();
        if fullest.len() > most {
            fullest.select_nth_unstable_by_key(most, |(bytes, _)| Reverse(*bytes));
            fullest.truncate(most);
        }
        fullest.sort_unstable_by_key(|(bytes, slot)| (Reverse(*bytes), self.conns[*slot].client));
        fullest.into_iter().map(|(_, slot)| self.outbox_view(&self.conns[slot])).collect()
    }

    fn outbox_view(&self, conn: &Conn) -> OutboxView {
        let queue = conn.queue();
        OutboxView {
            client: conn.client,
            user: conn.open().map_or_else(|| self.anonymous.clone(), |open| open.info.user.clone()),
            protocol: conn.protocol.name(),
            bytes: queue.map_or(0, Queue::bytes),
            frames: queue.map_or(0, Queue::len),
            refused: queue.is_some_and(Queue::has_refused),
        }
    }

    /// Memberships over all rooms, without the canary's.
    pub(super) fn memberships(&self) -> usize {
        self.registry.memberships() - usize::from(self.canary_room.is_some())
    }

    /// Totals since the start, without what the canary was sent.
    pub fn totals(&self) -> Totals {
        let unheard = self.unheard().map_or(0, Queue::len) as u64;
        Totals { frames_queued: self.totals.frames_queued - self.frames_heard - unheard, ..self.totals.clone() }
    }

    fn conn_view(&self, conn: &Conn) -> ConnView {
        let waiting = conn.queue();
        let armed = |timer: Timer| Some((timer.name(), conn.deadlines.get(timer).time()?));
        let mut deadlines: Vec<_> = Timer::ALL.into_iter().filter_map(armed).collect();
        deadlines.sort_by_key(|(_, at)| *at);
        ConnView {
            id: conn.id,
            client: conn.client,
            phase: self.phase_view(conn),
            outbox: waiting.map_or_else(Vec::new, |queue| queue.slices().map(<[u8]>::to_vec).collect()),
            half_written: waiting.map_or(0, Queue::half_written),
            committed: waiting.map_or(0, Queue::committed_bytes),
            refused: waiting.is_some_and(Queue::has_refused),
            deadlines,
        }
    }

    fn phase_view(&self, conn: &Conn) -> PhaseView {
        match &conn.phase {
            Phase::Open(open) => PhaseView::Open {
                stage: open.stage_name(),
                user: open.info.user.clone(),
                rooms: self
                    .registry
                    .membership_states(conn.id.slot)
                    .map(|(room, member)| (room.clone(), member))
                    .collect(),
                events: open.events.to_vec(),
            },
            Phase::Closing(closing) => PhaseView::Closing { cause: closing.cause, code: closing.reason.code() },
            _ => PhaseView::Handshaking,
        }
    }
}
