//! How the service looks from outside: to the reference model as Parlor would, and to a person as it is.

use super::endpoint::{EndpointState, EndpointTask};
use super::ids::name;
use super::manager::Version;
use super::state::Naive;
use super::websocket::{SocketPhase, text_frame};
use parlor_core::snapshot::{ConnView, LogView, PhaseView, RoomView};
use parlor_core::{ConnId, RoomName, Snapshot, Stats, UserId};
use std::collections::BTreeSet;

impl<V: Version> Naive<V> {
    /// Its state, as the reference model compares it.
    pub(super) fn view(&self) -> Snapshot {
        let users = self.manager.users.iter();
        Snapshot {
            conns: self.sockets.living().map(|(conn, _)| self.conn_view(conn)).collect(),
            rooms: self.rooms(),
            users: users.map(|(user, members)| (user.clone(), members.iter().copied().collect())).collect(),
            logs: self.rooms().into_iter().map(|room| self.log_view(room)).collect(),
            absences: Vec::new(),
            keys: Vec::new(),
            evicted: Vec::new(),
            revocations: Vec::new(),
            shutting_down: false,
        }
    }

    /// Its counts.
    pub(super) fn count(&self) -> Stats {
        let mut stats = self.ledger.stats(&self.manager);
        let conns: Vec<ConnId> = self.sockets.living().map(|(conn, _)| conn).collect();
        let waiting: Vec<Vec<u8>> = conns.iter().flat_map(|conn| self.waiting(*conn)).collect();
        stats.gauges.connections = conns.len();
        stats.gauges.outbox_bytes = waiting.iter().map(Vec::len).sum();
        stats.totals.frames_queued = stats.totals.frames_written + waiting.len() as u64;
        stats
    }

    /// Its dicts, the connections that are not simply open, and where each coroutine stands or how it has ended.
    pub(super) fn tell(&self) -> Vec<String> {
        let mut notes = vec![self.manager.to_string()];
        notes.extend(self.endpoints.keys().filter_map(|conn| self.tell_of(*conn)));
        notes.extend(self.tasks.values().map(ToString::to_string));
        notes.extend(self.endings.iter().cloned());
        notes
    }

    fn tell_of(&self, conn: ConnId) -> Option<String> {
        let (websocket, endpoint) = (self.sockets.get(conn), self.endpoint(conn));
        let is_known = self.sockets.is_living(conn) || self.manager.knows(conn);
        let is_simply_open = websocket.is_open() && endpoint.state == EndpointState::Receiving;
        if !is_known || is_simply_open {
            return None;
        }
        let state = match &endpoint.state {
            EndpointState::Connecting => "is in connect()".into(),
            EndpointState::Receiving => "waits for a message".into(),
            EndpointState::Returned => "has returned".into(),
            EndpointState::Raised(exception) => format!("was ended by {exception}"),
        };
        let states =
            format!("client_state {}, application_state {}", websocket.client_state, websocket.application_state);
        let gone = if websocket.phase == SocketPhase::Ended { ", socket gone" } else { "" };
        Some(format!("{}: {states}{gone}; its endpoint {state}", name(conn)))
    }

    pub(super) fn endpoint(&self, conn: ConnId) -> &EndpointTask {
        self.endpoints.get(&conn).expect("every connection has one")
    }

    /// The frames that wait for a socket, and behind them those that a suspended loop is going to send to it: both are
    /// what the client is still to get.
    pub(super) fn waiting(&self, conn: ConnId) -> Vec<Vec<u8>> {
        let websocket = self.sockets.get(conn);
        let planned = self.tasks.values().filter(|task| task.plans(&self.manager).contains(&conn));
        let planned = planned.filter(|_| websocket.is_open()).map(|task| text_frame(task.text()));
        websocket.frames().chain(planned).collect()
    }

    /// The connections for which nothing waits.
    pub(super) fn idle(&self) -> BTreeSet<ConnId> {
        self.sockets.living().map(|(conn, _)| conn).filter(|conn| self.waiting(*conn).is_empty()).collect()
    }

    fn phase(&self, conn: ConnId) -> PhaseView {
        match &self.sockets.get(conn).phase {
            SocketPhase::Closing { cause, reason, .. } => PhaseView::Closing { cause: *cause, code: reason.code() },
            SocketPhase::Handshaking | SocketPhase::Ended => PhaseView::Handshaking,
            SocketPhase::Open => {
                let rooms = self.rooms().into_iter().filter(|room| room.members.contains(&conn));
                let is_connected = self.endpoint(conn).state == EndpointState::Receiving;
                PhaseView::Open {
                    stage: if is_connected { "ready" } else { "authenticating" },
                    user: self.endpoint(conn).user.clone().unwrap_or_else(UserId::anonymous),
                    rooms: rooms.map(|room| (room.name, true)).collect(),
                    events: vec![],
                }
            }
        }
    }

    fn conn_view(&self, conn: ConnId) -> ConnView {
        let websocket = self.sockets.get(conn);
        let mut deadlines = websocket.deadlines.clone();
        deadlines.sort_by_key(|(_, at)| *at);
        ConnView {
            id: conn,
            client: websocket.client,
            phase: self.phase(conn),
            outbox: self.waiting(conn),
            half_written: websocket.half,
            committed: 0,
            refused: false,
            deadlines,
        }
    }

    /// The entries of both dicts as rooms, by name: what is sent to a user is what Parlor calls a personal room.
    fn rooms(&self) -> Vec<RoomView> {
        let personal = self.manager.users.iter().map(|(user, members)| (user.personal_room(), members));
        let rooms = self.manager.rooms.iter().map(|(room, members)| (room.clone(), members));
        let view = |(name, members): (RoomName, &BTreeSet<ConnId>)| RoomView {
            name,
            members: members.iter().copied().collect(),
        };
        let mut rooms: Vec<RoomView> = personal.chain(rooms).map(view).collect();
        rooms.sort_by(|one, other| one.name.cmp(&other.name));
        rooms
    }

    fn log_view(&self, room: RoomView) -> LogView {
        let log = &self.ledger.logs[&room.name];
        LogView {
            epoch: log.epoch.clone(),
            top: log.top,
            entries: vec![],
            ages_out: None,
            touched: parlor_core::Instant(0),
            forgotten_at: None,
            idle_order: None,
            members: room.members.iter().map(|conn| self.sockets.get(*conn).client).collect(),
            name: room.name,
        }
    }
}
