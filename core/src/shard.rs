//! The state machine of one shard: a hub and a home. An input goes in, and the effects come out when nothing is left to
//! do.

use crate::config::Config;
use crate::connection::outbox::Queue;
use crate::effect::{Effect, Turn};
use crate::explain::{
    ConnectionAccount, DeliveryAccount, DeliveryPage, DeliveryPlace, PublicationAccount, RoomAccount,
    UnknownPublication,
};
use crate::home::{Home, Log, Outgoing};
use crate::hub::{ForHome, Hub};
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::input::{Input, Refused, Upgrade};
use crate::link::{LinkContent, LinkMessage};
use crate::map::Keys;
use crate::names::RoomName;
use crate::node::{Node, ShardId};
use crate::publication::EpochText;
use crate::snapshot::{AbsenceView, LogView, OutboxView, Snapshot};
use crate::stats::{Gauges, Stats, Totals};
use crate::stored::{StateError, StateWriter, WrittenState};
use crate::time::{Instant, Now};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// The state machine of one shard, for use by one thread.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Shard {
    config: Rc<Config>,
    hub: Hub,
    home: Home,
    /// The time of the last [`Input::Tick`], while absences that were due then have not ended.
    absences_due: Option<Instant>,
}

/// The bytes that wait for one connection's socket.
#[derive(Clone, Copy, Debug)]
pub struct Pending<'a> {
    conn: ConnId,
    queue: &'a Queue,
    is_last: bool,
}

impl<'a> Pending<'a> {
    /// Returns the number of bytes, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty: where nothing waits there is no Pending")]
    pub fn len(&self) -> usize {
        self.queue.bytes()
    }

    /// Returns `true` when no bytes follow these, since the connection is closing.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Returns the number of frames, at least one. The first may be the rest of a frame.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.queue.len()
    }

    /// Returns the number of frames that end within the first so many bytes. O(n) in them.
    #[must_use]
    pub fn frames_within(&self, bytes: usize) -> usize {
        let ends = self.slices().scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        });
        ends.take_while(|end| *end <= bytes).count()
    }

    /// Returns the bytes in the order in which they have to be written, one slice for each frame. The first may be the
    /// rest of a frame.
    pub fn slices(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.queue.slices()
    }

    /// Returns the input that reports that the transport has this many of the bytes and cannot give them back. It comes
    /// before that of [`Pending::consumed`], whose bytes are among them.
    ///
    /// # Panics
    /// Panics when the bytes are more than [`Pending::len`].
    #[must_use]
    pub fn committed(&self, bytes: usize) -> Input {
        assert!(bytes <= self.len(), "a transport has {bytes} bytes of {}", self.len());
        Input::Committed { conn: self.conn, bytes }
    }

    /// Returns the input that reports that the socket took this many of the bytes; zero when it refused. It is for the
    /// next turn: after another one the connection may have less to write.
    ///
    /// # Panics
    /// Panics when the bytes are more than [`Pending::len`]: no socket takes more than it is given.
    #[must_use]
    pub fn consumed(self, bytes: usize) -> Input {
        assert!(bytes <= self.len(), "a socket took {bytes} bytes of {}", self.len());
        Input::Flushed { conn: self.conn, bytes }
    }
}

impl Shard {
    /// Creates a shard without connections. `seed` keys the hash maps and the epochs of logs: 32 random bytes, or the
    /// same ones to repeat a run.
    ///
    /// # Panics
    /// Panics when limits or policies contradict each other: see [`crate::Limits::validate`] and
    /// [`crate::Policy::validate`].
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        config.assert_valid();
        let word = |at: usize| {
            let bytes: [u8; 8] = core::array::from_fn(|byte| seed[at * 8 + byte]);
            u64::from_le_bytes(bytes)
        };
        let keys = Keys(word(0), word(1));
        let config = Rc::new(config);
        Self {
            hub: Hub::new(Rc::clone(&config), keys),
            home: Home::new(keys, Keys(word(2), word(3))),
            absences_due: None,
            config,
        }
    }

    /// Creates a shard of a node without connections. `seed` is as in [`Shard::new`], and other bytes for each shard and each
    /// new start.
    ///
    /// # Panics
    /// As [`Shard::new`].
    #[must_use]
    pub fn of_node(config: Config, seed: [u8; 32], node: Node, id: ShardId) -> Self {
        let mut shard = Self::new(config, seed);
        (shard.hub.node, shard.home.node, shard.hub.shard) = (node, node, id);
        shard.home.outgoing = Outgoing::new(id);
        shard
    }

    /// Has the rooms follow an engine, whose link is down, instead of ordering them here. Nothing has happened to the shard yet. Such
    /// a shard has no input log: the state of its followers is not written.
    ///
    /// Members and presence are those of this node alone, and commands for users reach its own connections.
    #[must_use]
    pub fn following_engine(mut self) -> Self {
        self.home.follow_engine();
        self
    }

    /// Writes the state between two calls in at most so many bytes, with filler for tokens but in messages that wait. This shard
    /// goes on like one that has read it: the order of vacant places, which their tables do not tell, begins anew in both. O(n)
    /// in the state.
    ///
    /// # Errors
    /// It takes more bytes than that, or a table has a value behind very many places.
    pub(crate) fn write_state(&mut self, most: usize) -> Result<WrittenState, StateError> {
        let written = StateWriter::write(self, most, false)?;
        self.settle_places();
        Ok(written)
    }

    /// Puts the vacant places of all tables in the order in which tables that are read have them. O(n) in the state.
    pub(crate) fn settle_places(&mut self) {
        self.hub.settle_places();
        self.home.settle_places();
    }

    /// Reads a state that was written.
    ///
    /// # Errors
    /// The reason for which the bytes are no state, or more than one.
    #[cfg(feature = "replay")]
    pub(crate) fn read_state(state: &[u8]) -> Result<Self, String> {
        let sharing = crate::stored::Sharing::begin();
        let read = postcard::take_from_bytes(state);
        drop(sharing);
        let (mut shard, rest): (Self, &[u8]) = read.map_err(|error| alloc::format!("{error}"))?;
        if !rest.is_empty() {
            return Err("there is more behind it".into());
        }
        shard.hub.restore(Rc::clone(&shard.config));
        shard.home.restore();
        Ok(shard)
    }

    /// Returns the shard that goes on from the written state of this one, and is to do the same.
    ///
    /// # Panics
    /// When the state cannot be written and read.
    #[cfg(feature = "replay")]
    #[must_use]
    pub fn reread(&mut self) -> Self {
        self.settle_places();
        let written = StateWriter::write(self, usize::MAX, true).expect("it is written");
        Self::read_state(&written.bytes).expect("it is read")
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes in a connection, from a complete and valid upgrade request: step 1 of [the turn contract](crate#the-turn-contract).
    /// No id comes from anywhere else.
    ///
    /// # Errors
    /// The limit that it exceeds, or that the shard is shutting down.
    ///
    /// # Panics
    /// Panics when `request.client` is the public id of an existing connection: it has to be random.
    pub fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.hub.begin(now);
        self.hub.accept(request)
    }

    /// Handles one input: steps 2 and 3 of [the turn contract](crate#the-turn-contract). It never fails.
    ///
    /// # Panics
    /// When effects of the turn before were not taken, when a guarantee is broken, or when a new configuration contradicts
    /// itself or lacks a namespace of the one before.
    pub fn handle(&mut self, now: Now, input: Input) -> Turn<'_> {
        assert!(self.hub.effects.is_empty(), "the effects of a turn are taken before the next one");
        let mono = self.hub.begin(now);
        self.hub.begin_turn();
        self.hub.handle(input);
        if self.hub.for_home.is_none() {
            self.run_turn(mono);
        } else {
            self.run_turn_of_home(mono);
        }
        Turn { effects: self.hub.effects.drain(..) }
    }

    /// Carries out work that an earlier turn left: step 5 of [the turn contract](crate#the-turn-contract). Before it everything
    /// that is pending is offered to the sockets, and those that refused are given a while.
    ///
    /// # Panics
    /// As [`Shard::handle`].
    pub fn resume(&mut self, now: Now) -> Turn<'_> {
        assert!(self.hub.effects.is_empty(), "the effects of a turn are taken before the next one");
        let mono = self.hub.go_on_at(now);
        self.hub.resume();
        self.run_turn(mono);
        self.do_home_work(mono);
        Turn { effects: self.hub.effects.drain(..) }
    }

    /// Whether a turn left work for [`Shard::resume`]: step 5 of [the turn contract](crate#the-turn-contract). A turn does so when
    /// [`Shard::is_spent`], or when it has queued 10,000 frames, so that no outbox fills up before its socket was asked, and no
    /// turn is very long. Inputs that come in before that work is resumed go before it, but for those of the same client.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.hub.has_work() || self.has_home_work()
    }

    fn id(&self) -> ShardId {
        self.home.outgoing.shard
    }

    /// Returns `true` when members of lost hubs, or users whose absence was over, have not left yet, logs are not within the
    /// configuration yet, or followers of an engine have not heard of its link.
    fn has_home_work(&self) -> bool {
        let is_behind = self.home.has_replica_work();
        self.absences_due.is_some() || self.home.has_lost_members() || self.home.is_unadjusted() || is_behind
    }

    /// Whether a connection may have been given a quarter of `outbox_frames` or `outbox_bytes` since [`Shard::all_offered`]. No
    /// work is begun until that is called again: step 5 of [the turn contract](crate#the-turn-contract).
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.hub.is_spent()
    }

    /// Records that everything that is pending was offered to the sockets: each has taken it or refuses. Step 5 of [the turn
    /// contract](crate#the-turn-contract).
    pub fn all_offered(&mut self) {
        self.hub.all_offered();
    }

    /// Returns the name of a connection's protocol, as backends are told it; `None` where the connection has ended.
    #[must_use]
    pub fn protocol(&self, conn: ConnId) -> Option<&'static str> {
        self.hub.protocol(conn)
    }

    /// Whether a connection is not to be read from: an earlier command of its client waits, or more than a quarter of an outbox
    /// waits for its socket. Step 6 of [the turn contract](crate#the-turn-contract).
    #[must_use]
    pub fn is_paused(&self, conn: ConnId) -> bool {
        self.hub.is_paused(conn)
    }

    /// Whether the node has room for the body of an API call of so many bytes: see [`Input::BodyBegun`].
    #[must_use]
    pub fn can_take_body(&self, bytes: usize) -> bool {
        self.hub.can_take_body(bytes)
    }

    /// The time at which [`Input::Tick`] is next useful, or `None` when no deadline is armed. Step 7 of [the turn
    /// contract](crate#the-turn-contract).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.hub.next_deadline(), self.home.next_deadline()].into_iter().flatten().min()
    }

    /// The bytes to write to a connection's socket, or `None` when none wait or the connection has ended. Step 4 of [the turn
    /// contract](crate#the-turn-contract).
    #[must_use]
    pub fn pending(&self, conn: ConnId) -> Option<Pending<'_>> {
        let (queue, is_last) = self.hub.queue(conn)?;
        (!queue.is_empty()).then_some(Pending { conn, queue, is_last })
    }

    /// Returns the canary, once [`Input::Canary`] has made one: what is pending for it is for no socket:
    /// [`Input::CanaryHeard`] takes it. It is in no count, list or limit.
    #[must_use]
    pub fn canary(&self) -> Option<ConnId> {
        self.hub.canary()
    }

    /// Checks every guarantee that can be seen in the state of this shard. O(n) in the state.
    ///
    /// # Panics
    /// Panics when one does not hold, with its name.
    pub fn audit(&self) {
        self.hub.audit();
        self.home.audit(&self.config);
        if self.hub.node.shards().len() == 1 && !self.home.awaits_engine() {
            Self::audit_node(&[self]);
        }
        let gauges = self.hub.gauges();
        let users = self.home.occupied().filter(|room| room.is_reserved()).count();
        assert_eq!(users, gauges.users, "G8: the hub counts the users who are online");
        assert_eq!(self.home.occupied().count(), gauges.rooms, "G8: the hub counts the rooms that are occupied");
        let Outgoing { here, elsewhere, .. } = &self.home.outgoing;
        assert!(elsewhere.is_empty(), "a turn ends with everything sent");
        assert!(self.hub.requests.is_empty() && here.is_empty(), "a turn ends with nothing undone");
    }

    /// Checks every guarantee that can be seen in the state of a node whose links are empty and whose shards have no work.
    /// O(n) in the state.
    ///
    /// # Panics
    /// Panics when one does not hold, with its name.
    pub fn audit_node(shards: &[&Self]) {
        let mut members = 0;
        for shard in shards {
            shard.hub.audit_settled();
            shard.home.audit_settled();
            for room in shard.hub.room_views() {
                let home = shards[shard.hub.node.home_of(&room.name).index()];
                members += room.members.len();
                let known = home.home.members_of(&room.name, shard.id());
                assert_eq!(known, room.members.len(), "G2: hub and home agree on {:?}", room.name);
            }
        }
        let at_homes: usize = shards.iter().map(|shard| shard.home.members()).sum();
        assert_eq!(at_homes, members, "G3: the home has no member that the hub does not know");
    }

    /// Returns the gauges. O(1).
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            logs: self.home.numbered(),
            history_bytes: self.home.bytes(),
            absences: self.home.absences().len(),
            ..self.hub.gauges()
        }
    }

    /// Returns the gauges and totals.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let gauges = self.gauges();
        let totals = Totals {
            published: self.home.published(),
            recoveries: self.home.recoveries(),
            evictions: self.home.evictions(),
            ..self.hub.totals()
        };
        Stats { gauges, totals }
    }

    /// Returns the most bytes that wait for one socket. O(n) in the connections.
    #[must_use]
    pub fn largest_outbox(&self) -> usize {
        self.hub.largest_outbox()
    }

    /// Returns the connections that most bytes wait for, the fullest outbox first, at most so many. O(n) in the connections.
    #[must_use]
    pub fn fullest_outboxes(&self, most: usize) -> Vec<OutboxView> {
        self.hub.fullest_outboxes(most)
    }

    /// Returns the account of a connection: of one that exists, or of the last [`ENDED_CONNECTIONS`](crate::explain::ENDED_CONNECTIONS)
    /// that ended. O(n) in its rooms, or in those.
    #[must_use]
    pub fn explain_connection(&self, client: ClientId) -> Option<ConnectionAccount> {
        self.hub.account(client)
    }

    /// Returns the account of a room. O(1).
    #[must_use]
    pub fn explain_room(&self, room: &RoomName) -> RoomAccount {
        let account = self.home.room_account(room, &self.config, self.hub.now());
        RoomAccount { followed_to: self.hub.followed_to(room), ..account }
    }

    /// Returns the account of a publication, whose room has its home in this shard. An empty epoch is any. O(log n) in what its log
    /// retains.
    ///
    /// # Errors
    /// Returns the reason for which it is not known.
    pub fn explain_publication(
        &self,
        room: &RoomName,
        epoch: &str,
        offset: u64,
    ) -> Result<PublicationAccount, UnknownPublication> {
        self.home.publication_account(room, epoch, offset, self.hub.now())
    }

    /// Returns a page of the connections of this shard that are members of a publication's room, and of those that ended as members:
    /// at most so many, and fewer where much waits for them. O(n) in the members.
    #[must_use]
    pub fn explain_deliveries(
        &self,
        publication: &PublicationAccount,
        from: DeliveryPlace,
        most: usize,
    ) -> DeliveryPage {
        self.hub.deliveries(publication, from, most)
    }

    /// Returns what came of a publication for one connection of this shard; `None` when the connection is not known.
    #[must_use]
    pub fn explain_delivery(&self, publication: &PublicationAccount, client: ClientId) -> Option<DeliveryAccount> {
        self.hub.delivery(publication, client)
    }

    /// Returns the whole state as plain data. O(n) in the state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let logs = self.home.logs().filter(|log| !log.name.is_of_canary());
        let mut logs: Vec<LogView> = logs.map(|log| self.log_view(log)).collect();
        logs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let absence = |(room, former, until): (&RoomName, &ClientInfo, Instant)| AbsenceView {
            room: room.clone(),
            user: former.user.clone(),
            client: former.client,
            until,
        };
        let mut absences: Vec<AbsenceView> = self.home.absences().iter().map(absence).collect();
        absences.sort_unstable();
        Snapshot {
            conns: self.hub.conn_views(),
            rooms: self.hub.room_views().into_iter().filter(|room| !room.name.is_of_canary()).collect(),
            users: self.hub.user_views(),
            logs,
            absences,
            keys: self.home.keys().collect(),
            evicted: self.home.evicted(),
            revocations: self.hub.revocation_views(),
            shutting_down: self.hub.is_draining(),
        }
    }

    /// Returns the state of each connection that its [`ConnView`](crate::snapshot::ConnView) does not name, as text: with it
    /// states can be told apart that have the same snapshot and not the same future. Left out are rates and the numbers of
    /// joins. O(n) in the state.
    #[must_use]
    pub fn details(&self) -> Vec<(ConnId, String)> {
        self.hub.details()
    }

    /// Hands the home its part of the input before the rest of the turn.
    #[cold]
    fn run_turn_of_home(&mut self, now: Instant) {
        match self.hub.for_home.take() {
            Some(ForHome::Request(hub, request)) => {
                self.home.handle(now, hub, request, &self.config);
                self.ask_engine();
                return self.run_turn(now);
            }
            Some(ForHome::Tick) => {
                self.home.tick(now, &self.config);
                self.ask_engine();
                self.absences_due = Some(now);
            }
            Some(ForHome::ShardLost(shard)) => {
                self.home.lose_hub(shard);
                if self.home.replica.is_some() {
                    self.home.tidy(now, &self.config);
                    self.ask_engine();
                }
            }
            Some(ForHome::Engine(event)) => {
                self.home.on_engine_event(now, event, &self.config);
                self.ask_engine();
            }
            Some(ForHome::Configured(config)) => self.reconfigure(*config),
            None => {}
        }
        self.run_turn(now);
        self.do_home_work(now);
    }

    /// Hands over what the home asks of an engine.
    #[cold]
    fn ask_engine(&mut self) {
        let requests = self.home.replica.as_mut().map(|replica| replica.requests.drain(..));
        self.hub.effects.extend(requests.into_iter().flatten().map(|request| Effect::Engine(Box::new(request))));
    }

    /// Carries messages between hub and home, first in, first out, until neither has anything left to do. Those for another
    /// shard leave.
    // A call would cost each flush of each member 4 % of its instructions.
    #[inline(always)]
    fn run_turn(&mut self, now: Instant) {
        loop {
            self.hub.close_slow_consumers();
            if let Some(event) = self.home.outgoing.here.pop_front() {
                self.hub.on_home_event(event);
            } else if let Some((hub, event)) = self.home.outgoing.elsewhere.pop_front() {
                self.send(hub, LinkContent::Event(event));
            } else if let Some(request) = self.hub.requests.pop_front() {
                let home = request.home(self.hub.node);
                if home == self.id() {
                    self.home.handle(now, home, request, &self.config);
                    if self.home.replica.is_some() {
                        self.ask_engine();
                    }
                } else {
                    self.send(home, LinkContent::Request(request));
                }
            } else if !self.hub.next_command() && !self.hub.relieve() {
                break;
            }
        }
        self.hub.arm_tickets();
    }

    /// Ends the memberships of lost hubs and the absences that were due at the last tick, and brings logs within the
    /// configuration, one after the other, within what a turn may do.
    fn do_home_work(&mut self, now: Instant) {
        while self.has_home_work() && !self.hub.has_done_enough() {
            if let Some(places) = self.home.adjust_next(&self.config) {
                self.hub.visit(places);
                continue;
            }
            if self.home.do_replica_work(now, &self.config) {
                self.hub.visit(1);
                self.ask_engine();
                self.run_turn(now);
                continue;
            }
            let is_one = self.home.remove_lost_member(now, &self.config)
                || self.absences_due.is_some_and(|due| self.home.end_due_absence(due));
            if !is_one {
                self.absences_due = None;
            }
            self.run_turn(now);
        }
    }

    /// Goes on with another configuration.
    fn reconfigure(&mut self, mut config: Config) {
        config.namespaces = config.namespaces.following(&self.config.namespaces);
        config.assert_valid();
        let config = Rc::new(config);
        self.home.reconfigure(&self.config.limits, &config);
        self.hub.reconfigure(Rc::clone(&config));
        self.config = config;
    }

    #[cold]
    fn send(&mut self, to: ShardId, message: LinkContent) {
        self.hub.effects.push(Effect::Link { to, message: LinkMessage(Box::new(message)) });
    }

    fn log_view(&self, log: &Log) -> LogView {
        let position = log.position();
        LogView {
            name: log.name.clone(),
            epoch: EpochText::of(position.epoch).into(),
            top: position.offset,
            entries: log
                .publications()
                .map(|publication| (publication.offset, publication.draft.data.json().into_owned()))
                .collect(),
            ages_out: log.ages_out(self.config.policy(&log.name).history_age).time(),
            touched: log.touched_at(),
            forgotten_at: log.forgotten_at(self.home.memory(&log.name, &self.config)).time(),
            idle_order: log.eviction_order(),
            members: log.members.clients().collect(),
        }
    }
}

const _: () = assert!(size_of::<Effect>() <= 24, "effects are made by the thousand");
const _: () = assert!(size_of::<Input>() <= 136, "inputs are moved");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Command, Message};
    use crate::input::CallId;
    use crate::json::Json;
    use crate::link::{HomeEvent, HomeRequest, JoinId, LeaveReason, Ticket};
    use crate::names::UserId;
    use crate::policy::Policy;
    use crate::publication::Replay;
    use crate::testing::{audit_finds, client_info};
    use alloc::collections::BTreeMap;

    const KEYS: Keys = Keys(1, 2);

    /// Creates a shard with a member in a room with a publication, and a publication in another room.
    fn busy() -> Shard {
        let mut shard = Shard::new(Config::default(), [7; 32]);
        let target = shard.config().resolve("/ws/a").expect("a path that is served");
        let now = Now::default();
        let conn =
            shard.accept(now, Upgrade { client: [1; 16], target, token: None, address: None }).expect("there is room");
        shard.handle(now, Input::Upgraded { conn }).for_each(drop);
        for room in ["a", "b"] {
            let message = Message {
                data: Json::parse("1").unwrap().into(),
                tags: BTreeMap::new(),
                skip_history: room == "a",
                idempotency_key: None,
            };
            let command = Command::Publish { channel: RoomName::from(room), message };
            shard.handle(now, Input::Call { call: CallId(1), command }).for_each(drop);
        }
        shard
    }

    /// Returns the home with an absence that no hub has heard of.
    fn with_absence(home: &Home, room: &str) -> Home {
        let (mut home, mut config, room) = (home.clone(), Config::default(), RoomName::from(room));
        config.namespaces.policies_mut().for_each(|policy| policy.presence_grace = Policy::LONGEST_GRACE);
        let member = ClientInfo { user: UserId::from("ada"), ..(*client_info(9)).clone() };
        let (conn, client, join, reason) = (ConnId::from_parts(9, 0), member.client, JoinId(9), LeaveReason::Ended);
        let joins = HomeRequest::Join {
            ticket: Ticket { at: 0, serial: 1 },
            conn,
            join,
            room: room.clone(),
            member: member.into(),
            replay: Replay::None,
            is_return: false,
        };
        home.handle(Instant(1), ShardId::FIRST, joins, &config);
        home.handle(Instant(1), ShardId::FIRST, HomeRequest::Leave { room, client, join, reason }, &config);
        home.outgoing.here.clear();
        home
    }

    #[test]
    fn the_audit_reports_each_difference_between_hub_and_home() {
        audit_finds(
            busy,
            Shard::audit,
            &[
                ("G2: hub and home agree on \"a\"", |shard| shard.home = Home::new(KEYS, KEYS)),
                ("G3: the home has no member that the hub does not know", |shard| {
                    shard.hub = Hub::new(Rc::clone(&shard.config), KEYS);
                }),
                ("G8: the hub counts the rooms that are occupied", |shard| {
                    shard.home = with_absence(&shard.home, "c");
                }),
                ("G8: the hub counts the users who are online", |shard| {
                    shard.home = with_absence(&shard.home, "#ada");
                }),
                ("a turn ends with everything sent", |shard| {
                    shard.home.outgoing.elsewhere.push_back((ShardId::at(1), HomeEvent::Occupied(RoomName::from("a"))));
                }),
                ("a turn ends with nothing undone", |shard| {
                    shard.home.outgoing.here.push_back(HomeEvent::Occupied(RoomName::from("a")))
                }),
            ],
        );
    }

    #[test]
    fn a_log_with_publications_has_a_time_at_which_they_age_out() {
        let shard = busy();
        let ages_out: Vec<Option<Instant>> = shard.snapshot().logs.iter().map(|log| log.ages_out).collect();
        let age = shard.config().limits.history_age;
        assert_eq!(ages_out, [None, Some(Now::default().mono.after(age))]);
    }
}
