//! The connections of one shard: their lives, what waits to be written to them, and what they ask for.

mod accept;
mod agenda;
mod answers;
mod api;
mod audit;
mod canary;
mod commands;
mod connections;
mod deadlines;
mod ended;
mod ending;
mod explain;
mod fanout;
mod gaps;
mod gather;
mod groups;
mod inbox;
mod lifecycle;
mod membership;
mod merge;
mod node_calls;
mod permissions;
mod rates;
mod registry;
mod renewal;
mod reply;
mod revocation;
mod session;
mod shutdown;
mod slow_consumers;
mod states;
mod sweep;
mod tickets;
mod tokens;
mod turns;
mod url_rooms;
mod users;
mod view;
mod visit;
mod walk;

use self::registry::Registry;
use crate::admission::address::{Address, AddressUse};
use crate::api::Reply;
use crate::close::CloseCause;
use crate::config::Config;
use crate::connection::Conn;
use crate::connection::refused::RefusedFrames;
use crate::effect::{Change, Effect, Event};
use crate::engine::EngineEvent;
use crate::ids::{ClientId, ConnId, Slot};
use crate::input::{Input, Lost, Violation};
use crate::limits::Limit;
use crate::limits::WidestBounds;
use crate::limits::gcra::Gcra;
use crate::link::{HomeEvent, HomeRequest, JoinId, LinkContent, Ticket};
use crate::map::{Keys, Map};
use crate::names::{RoomName, UserId};
use crate::node::{Node, ShardId};
use crate::protocol::PresenceEvent;
use crate::stats::Totals;
use crate::step::{ConnectionStep, StepChange};
use crate::time::{Instant, Now};
use crate::timers::{Armed, Timers};
use crate::token::revocation::Revocations;
use agenda::{Agenda, TurnBudget};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use connections::Connections;
use core::time::Duration;
use ended::Ended;
use gather::{Caller, Gather};
use states::StateCounts;
use tickets::{Asker, Tickets};

/// The part of an input that is for the home of the same shard.
#[derive(Clone, Debug)]
pub(crate) enum ForHome {
    /// A request of another hub.
    Request(ShardId, HomeRequest),
    /// The time has come for whatever is due.
    Tick,
    /// A shard was lost, with its hub.
    ShardLost(ShardId),
    /// An event of the engine that its rooms follow.
    Engine(EngineEvent),
    /// The configuration changes.
    Configured(Box<Config>),
}

/// The connections of one shard.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Hub {
    #[serde(skip)]
    config: Rc<Config>,
    bounds: WidestBounds,
    /// The node, which says where rooms have their homes.
    pub node: Node,
    /// Which of the node's shards this is.
    pub shard: ShardId,
    /// The time of the current turn.
    now: Now,
    conns: Connections,
    #[serde(with = "crate::map::in_order")]
    clients: Map<ClientId, Slot>,
    registry: Registry,
    timers: Timers<Owner>,
    /// Connections that could not take or hold a frame, with the cause; they are closed when the step is over.
    slow: Vec<(ConnId, CloseCause)>,
    agenda: Agenda,
    budget: TurnBudget,
    tickets: Tickets,
    /// When the first of those who wait for an answer has waited for too long.
    tickets_due: Armed,
    #[serde(with = "crate::map::in_order")]
    gathers: Map<u64, Gather>,
    gathered: u64,
    #[serde(with = "crate::map::in_order")]
    addresses: Map<Address, AddressUse>,
    arrivals: Gcra,
    drain: Option<Drain>,
    joins: u64,
    events: u64,
    /// The number of users whose personal room is occupied.
    online: usize,
    /// The number of rooms that have a member or an absence.
    occupied: usize,
    anonymous: UserId,
    totals: Totals,
    /// Connections by protocol and state.
    states: StateCounts,
    /// Connections that are ready and have no user.
    ready_anonymous: usize,
    /// Connections that ended last.
    ended: Ended,
    /// The room of the canary, once there is one, which is its member.
    canary_room: Option<RoomName>,
    /// Frames that the canary has got.
    frames_heard: u64,
    /// Bytes that wait in all outboxes.
    outbox_bytes: usize,
    /// Tokens that backends have revoked.
    revocations: Revocations,
    /// Frames that sockets have refused.
    refused_frames: RefusedFrames,
    /// Bytes of input that is not carried out yet, of all clients.
    inbound_bytes: usize,
    /// Bytes of the bodies of API calls that are not answered.
    bodies: usize,
    /// The part of the input that is for the home in this shard.
    #[serde(skip)]
    pub for_home: Option<ForHome>,
    /// Requests that the home has not taken yet.
    #[serde(skip)]
    pub requests: VecDeque<HomeRequest>,
    /// Effects that the shell has not taken yet.
    #[serde(skip)]
    pub effects: Vec<Effect>,
}

/// A shutdown under way.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Drain {
    /// Time between two steps.
    pause: Duration,
    /// The time at which the latest step was due.
    due: Instant,
    armed: Armed,
}

/// The owner of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
enum Owner {
    /// The connection in this slot.
    Conn(Slot),
    /// The shutdown.
    Drain,
    /// An address that has no connection any more.
    Address(Address),
    /// Those who wait for the answers of homes.
    Tickets,
}

impl Hub {
    pub fn new(config: Rc<Config>, keys: Keys) -> Self {
        Self {
            config,
            bounds: WidestBounds::default(),
            node: Node::SINGLE,
            shard: ShardId::FIRST,
            now: Now::default(),
            conns: Connections::default(),
            clients: Map::with_hasher(keys),
            registry: Registry::new(keys),
            timers: Timers::default(),
            slow: Vec::new(),
            agenda: Agenda::default(),
            budget: TurnBudget::default(),
            tickets: Tickets::default(),
            tickets_due: Armed::NO,
            gathers: Map::with_hasher(keys),
            gathered: 0,
            addresses: Map::with_hasher(keys),
            arrivals: Gcra::NEW,
            drain: None,
            joins: 0,
            events: 0,
            online: 0,
            occupied: 0,
            anonymous: UserId::anonymous(),
            totals: Totals::default(),
            states: StateCounts::default(),
            ready_anonymous: 0,
            ended: Ended::default(),
            canary_room: None,
            frames_heard: 0,
            outbox_bytes: 0,
            revocations: Revocations::default(),
            refused_frames: RefusedFrames::new(keys),
            inbound_bytes: 0,
            bodies: 0,
            for_home: None,
            requests: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Puts the vacant places of all tables in the order in which tables that are read have them.
    pub fn settle_places(&mut self) {
        self.conns.settle_places();
        self.registry.settle_places();
        self.tickets.settle_places();
    }

    /// Goes on with another configuration. Connections keep what they were told of the one before, and deadlines that are set.
    pub fn reconfigure(&mut self, config: Rc<Config>) {
        self.bounds.widen(&self.config.limits, &config.limits);
        self.config = config;
    }

    /// Makes again what the written state of a hub lacks.
    #[cfg(feature = "replay")]
    pub fn restore(&mut self, config: Rc<Config>) {
        self.config = config;
        let refused =
            self.conns.iter().filter_map(|(_, conn)| conn.queue()).flat_map(crate::connection::outbox::Queue::refused);
        self.refused_frames.recount(refused);
    }

    /// Takes the time of a turn. A clock that goes back is held where it was.
    pub fn begin(&mut self, now: Now) -> Instant {
        if now.mono < self.now.mono {
            self.totals.clock_backsteps += 1;
        }
        self.go_on_at(now)
    }

    /// Takes the time of a turn that resumes the work of another. A step back of the clock is not counted again.
    pub fn go_on_at(&mut self, now: Now) -> Instant {
        self.now = Now { mono: now.mono.max(self.now.mono), unix_ms: now.unix_ms };
        self.now.mono
    }

    /// Handles one input.
    // Part of `Shard::handle`, its only caller: a call would cost each flush of each member 4 % of its instructions.
    #[inline(always)]
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Upgraded { conn } => self.with(conn, Self::upgraded),
            Input::Message { conn, message } => self.with(conn, |hub, slot| hub.message(slot, message)),
            Input::Ping { conn, payload } => self.with(conn, |hub, slot| hub.pinged(slot, &payload)),
            Input::Fragment { conn, bytes } => self.with(conn, |hub, slot| hub.fragment(slot, bytes)),
            Input::HalfFrame { conn, bytes } => self.with(conn, |hub, slot| hub.half_frame(slot, bytes)),
            Input::Unread { conn, bytes } => self.with(conn, |hub, slot| hub.unread(slot, bytes)),
            Input::Pong { conn } => self.with(conn, Self::ponged),
            Input::PeerClosed { conn, code } => self.with(conn, |hub, slot| hub.peer_closed(slot, code)),
            Input::Violation { conn, rule } => self.with(conn, |hub, slot| {
                if rule == Violation::TooLarge {
                    return hub.close_over(slot, Limit::MessageBytes, rule.cause());
                }
                hub.close(slot, rule.cause());
            }),
            Input::Lost { conn, cause: Lost::Eof } => self.with(conn, Self::peer_ended),
            Input::Lost { conn, cause: Lost::Read | Lost::Write } => self.with(conn, Self::lost),
            Input::Flushed { conn, bytes } => self.with(conn, |hub, slot| hub.flushed(slot, bytes)),
            Input::Committed { conn, bytes } => self.with(conn, |hub, slot| hub.committed(slot, bytes)),
            Input::Authenticated { conn, verdict } => self.with(conn, |hub, slot| hub.authenticated(slot, verdict)),
            Input::BodyBegun { bytes } => self.bodies += bytes,
            Input::BodyEnded { bytes } => self.bodies -= bytes,
            Input::Call { call, command } => self.call(Caller::Whole(call), command),
            Input::Link { from, message } => match *message.0 {
                LinkContent::Request(request) => self.for_home = Some(ForHome::Request(from, request)),
                LinkContent::Event(event) => self.on_home_event(event),
                LinkContent::Call { ticket, call } => self.call_here(Caller::Hub { shard: from, ticket }, call),
                LinkContent::Answer { ticket, result } => self.done(ticket, result),
                LinkContent::Revocations(others) => self.take_revocations(&others),
            },
            Input::ShardLost { shard } => {
                self.for_home = Some(ForHome::ShardLost(shard));
                self.shard_lost(shard);
            }
            Input::Engine(event) => self.for_home = Some(ForHome::Engine(event)),
            Input::Configured { config } => self.for_home = Some(ForHome::Configured(config)),
            Input::Tick => {
                self.for_home = Some(ForHome::Tick);
                self.tick();
            }
            Input::Shutdown => self.shutdown(),
            Input::Canary { number } => self.release_canary(number),
            Input::CanaryHeard => self.canary_heard(),
        }
    }

    /// Handles what the home has to say.
    pub fn on_home_event(&mut self, event: HomeEvent) {
        match event {
            HomeEvent::Joined { ticket, conn, client, join, room, position, replay } => {
                self.joined((conn, ticket), (client, join), room, position, replay);
            }
            HomeEvent::JoinRefused { ticket, error } => self.join_refused(ticket, error),
            HomeEvent::Displaced { room, client, join } => self.displaced(&room, client, join),
            HomeEvent::UserFull(room) => self.probe_members(&room),
            HomeEvent::Publication { room, publication } => self.receive(&room, &publication),
            HomeEvent::Restarted { room, position } => self.restarted(&room, position),
            HomeEvent::Failed { ticket, error } => self.failed(ticket, &error),
            HomeEvent::Published { ticket, position } => self.published(ticket, position),
            HomeEvent::History { ticket, result } => self.history_read(ticket, result),
            HomeEvent::Presence { ticket, members } => self.presence_read(ticket, members),
            HomeEvent::PresenceStats { ticket, clients, users } => self.presence_counted(ticket, clients, users),
            HomeEvent::HistoryRemoved { ticket } | HomeEvent::Reached { ticket } => self.done(ticket, Ok(Reply::Done)),
            HomeEvent::UserCommand { room, command, errand } => self.user_command(&room, &command, errand),
            HomeEvent::UserCommandDone { ticket, result } => self.done(ticket, result.map(|()| Reply::Done)),
            HomeEvent::Counted { ticket, rooms, users } => {
                let info = self.info(rooms, users);
                self.done(ticket, Ok(Reply::Info(info)));
            }
            HomeEvent::MemberJoined { room, member } => self.notify_watchers(&room, &member, PresenceEvent::Join),
            HomeEvent::MemberLeft { room, member } => self.notify_watchers(&room, &member, PresenceEvent::Leave),
            HomeEvent::Occupied(room) => {
                let user = room.user();
                self.event(Change::Occupied(room));
                user.into_iter().for_each(|user| self.event(Change::Online(user)));
            }
            HomeEvent::Vacated(room) => {
                let user = room.user();
                self.event(Change::Vacated(room));
                user.into_iter().for_each(|user| self.event(Change::Offline(user)));
            }
        }
    }

    /// Ends connections until what waits for those that refuse it, and what is kept of what clients have sent, is within the
    /// bounds of the node. Returns whether there was one to end.
    pub fn relieve(&mut self) -> bool {
        self.relieve_outboxes() || self.relieve_inbound()
    }

    /// When [`Input::Tick`] is next useful.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The connection of this id, unless it has ended.
    fn find(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(conn)
    }

    /// Calls `then` with a connection's slot. An id of a connection that has ended is counted and ignored.
    fn with(&mut self, conn: ConnId, then: impl FnOnce(&mut Self, Slot)) {
        match self.conns.get(conn) {
            Some(_) => then(self, conn.slot),
            None => self.totals.stale_inputs += 1,
        }
    }

    fn event(&mut self, change: Change) {
        self.events += 1;
        match &change {
            Change::Occupied(_) => self.occupied += 1,
            Change::Vacated(_) => self.occupied -= 1,
            Change::Online(_) => self.online += 1,
            Change::Offline(_) => self.online -= 1,
        }
        self.effects.push(Effect::Event(Box::new(Event { seq: self.events, change })));
    }

    /// Tells a step in the life of a connection, if the configuration asks for steps. Most do not, and make none.
    #[inline]
    fn step(&mut self, slot: Slot, change: impl FnOnce(&Conn) -> Option<StepChange>) {
        if self.config.tells_steps && self.conns.canary().is_none_or(|canary| canary.slot != slot) {
            let conn = &self.conns[slot];
            let step = change(conn).map(|change| Effect::Step(Box::new(ConnectionStep { conn: conn.id, change })));
            self.effects.extend(step);
        }
    }

    /// Issues a ticket for an answer of the home of a room.
    fn ticket(&mut self, room: &RoomName, asker: Asker) -> Ticket {
        self.ticket_of(self.node.home_of(room), asker)
    }

    /// Issues a ticket for an answer of a shard.
    fn ticket_of(&mut self, shard: ShardId, asker: Asker) -> Ticket {
        let due = self.ticket_due();
        self.tickets.issue(shard, asker, due)
    }

    /// Returns when the answer to what is asked now is overdue.
    fn ticket_due(&self) -> Instant {
        self.now.mono.after(self.config.limits.ticket_timeout)
    }

    fn next_join(&mut self) -> JoinId {
        self.joins += 1;
        JoinId(self.joins)
    }
}
