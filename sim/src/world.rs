//! A subject, the clients and sockets around it, and the clock: the place where actions happen and are judged.

use crate::action::{
    Action, Batch, Budget, Cause, Credential, Door, Farewell, Late, Look, Payload, Peer, Rooms, Rule, Since, Span, User,
    Verdict,
};
use crate::checks::{Failure, Guarantee, equal};
use crate::client::Frame;
use crate::coverage::{Goal, Goals};
use crate::oracle::{Call, Deed, Entry, Oracle, Outcome, Ruling, Want};
use crate::request;
use crate::setup::Setup;
use crate::socket::{Socket, Written};
use crate::speech::{self, Data, Said};
use crate::subject::Subject;
use crate::transcript::Transcript;
use parlor_core::wire::{api, route};
use parlor_core::{BadToken, CallId, Claims, ClientId, ConnId, Effect, Input, Instant, Lost, Now, Upgrade, Violation};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The calendar at the start of every run, in milliseconds since 1970.
const START_UNIX_MS: u64 = 1_795_352_400_000;
const SECOND: u64 = 1_000_000_000;

/// One life of a simulated client.
#[derive(Clone, Debug)]
struct Life {
    id: ConnId,
    client: ClientId,
    json: bool,
    upgraded: bool,
    socket: Socket,
    /// Its token waits to be checked.
    asked: bool,
    /// The driver decodes no more: the peer has sent a Close, or broken a rule.
    deaf: bool,
    /// The client is gone without a word.
    vanished: bool,
    /// What it has read and not answered.
    pings: u32,
    frame_pings: u32,
    close: Option<Option<u16>>,
}

/// One simulated client through all its lives.
#[derive(Clone, Debug, Default)]
struct Client {
    life: Option<Life>,
    /// The id and the public id of the life before.
    former: Option<(ConnId, ClientId)>,
    lives: u64,
}

/// A subject and all that is around it.
#[derive(Clone)]
pub struct World<S> {
    setup: Arc<Setup>,
    subject: S,
    oracle: Oracle,
    clients: Vec<Client>,
    /// Nanoseconds.
    clock: u64,
    messages: u64,
    calls: u64,
    goals: Goals,
    faulty: bool,
    /// What is written down, in a run of which the streams go to a third party too.
    transcript: Option<Transcript>,
}

impl<S: Subject> World<S> {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self {
            subject: S::new(setup.config(), setup.subject_seed()),
            oracle: Oracle::new(setup),
            clients: (0..setup.conns).map(|_| Client::default()).collect(),
            setup: Arc::new(setup.clone()),
            clock: SECOND,
            messages: 0,
            calls: 0,
            goals: Goals::default(),
            faulty: false,
            transcript: None,
        }
    }

    /// A world that writes down all its effects, and keeps what clients receive for a third party to judge.
    #[must_use]
    pub fn recorded(setup: &Setup, transcript: Transcript) -> Self {
        Self { transcript: Some(transcript), ..Self::new(setup) }
    }

    /// What was written down.
    ///
    /// # Panics
    /// When this world writes nothing down.
    #[must_use]
    pub fn into_transcript(self) -> Transcript {
        self.transcript.expect("a recorded world has one")
    }

    /// The goals reached so far, by this world and by its subject.
    #[must_use]
    pub fn goals(&self) -> Goals {
        self.goals | self.oracle.goals()
    }

    pub(crate) fn subject(&self) -> &S {
        &self.subject
    }

    pub(crate) fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// Nanoseconds since the start of the world's clock.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// How far ahead a deadline may be to be waited for, in seconds.
    pub(crate) fn patience(&self) -> u64 {
        self.setup.patience
    }

    /// How many publications and messages there have been.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Where every client's connection is, in a few words each.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        (0..self.clients.len()).map(|peer| self.oracle.describe(peer)).collect()
    }

    /// What of a client is not in its connection's state: whether it still speaks, listens and answers.
    pub(crate) fn habits(&self, peer: usize) -> u64 {
        let Some(life) = &self.clients[peer].life else { return u64::from(self.clients[peer].former.is_some()) };
        let socket = &life.socket;
        let flags = [life.deaf, life.vanished, life.asked, life.close.is_some(), socket.stalled, socket.blocked, socket.broken];
        let bits = flags.iter().fold(1, |bits, flag| bits << 1 | u64::from(*flag));
        bits << 16 | u64::from(life.pings.min(255)) << 8 | u64::from(life.frame_pings.min(255)) << 1
    }

    /// Whether the action makes sense here. One that does not changes nothing.
    #[must_use]
    pub fn can(&self, action: &Action) -> bool {
        match *action {
            Action::Accept(peer, door, rooms) => {
                self.life(peer).is_none() && door.leads_to(rooms)
            }
            Action::Upgrade(peer) => self.life(peer).is_some_and(|life| !life.upgraded),
            Action::Connect(peer, Credential::Token) if self.talks(peer, false) => true,
            Action::Recover(peer, ..)
            | Action::Watch(peer, _)
            | Action::JoinByToken(peer, _)
            | Action::SubRefresh(peer, _)
            | Action::Refresh(peer)
            | Action::History(peer, ..)
            | Action::Presence(peer, _)
            | Action::PresenceStats(peer, _) => self.talks(peer, true) && self.has_connected(peer),
            Action::Once(..) => self.may_publish(1),
            Action::ReadLog(..) | Action::Remove(_) | Action::Members(_) | Action::Count(_) => true,
            Action::PutIn(..) | Action::TakeOut(..) | Action::Renew(..) => self.setup.users > 0,
            Action::Connect(peer, _) => self.talks(peer, true) && !self.has_connected(peer),
            Action::Join(peer, _) | Action::Leave(peer, _) => self.talks(peer, true) && self.has_connected(peer),
            Action::Decide(peer, ..) => self.life(peer).is_some_and(|life| life.asked) && self.setup.users > 0,
            Action::Publish(peer, ..) => self.has_connected(peer) && self.may_publish(1),
            Action::Together(peer, Batch::ConnectAndJoin | Batch::TokenAndJoin) => self.talks(peer, true) && !self.has_connected(peer),
            Action::Together(peer, batch) => {
                let may = batch != Batch::PublishTwice || self.may_publish(2);
                self.talks(peer, true) && self.has_connected(peer) && may
            }
            Action::Select(peer, _) => self.talks(peer, false),
            Action::Say(peer, saying) => {
                let json = self.life(peer).is_some_and(|life| life.json);
                let data = || Data::new(Payload::Small, 0, &self.setup);
                self.talks(peer, json) && speech::say(json, saying, &self.setup, data()).is_some()
            }
            Action::Ping(peer) | Action::Pong(peer) | Action::Close(peer, _) | Action::Violate(peer, _) => {
                self.life(peer).is_some_and(|life| !life.deaf && !life.vanished)
            }
            Action::Lose(peer, _) | Action::Vanish(peer) => self.life(peer).is_some_and(|life| !life.vanished),
            Action::Break(peer) => self.life(peer).is_some_and(|life| !life.socket.broken),
            Action::Stall(peer) => self.life(peer).is_some_and(|life| !life.socket.stalled),
            Action::Resume(peer) => self.life(peer).is_some_and(|life| life.socket.stalled),
            Action::Write(peer, Budget::Byte) => {
                self.waits(peer) && self.life(peer).is_some_and(|life| !life.socket.is_mid_frame())
            }
            Action::Write(peer, _) => self.waits(peer),
            Action::Flush() => self.peers().any(|peer| self.is_writable(peer)),
            Action::Respond() => self.clients.iter().flat_map(|client| &client.life).any(Life::owes),
            Action::Announce(..) | Action::Broadcast(_) | Action::TellAll(_) => self.may_publish(1),
            Action::Send(peer, _) => self.public_id(peer).is_some() && self.may_publish(1),
            Action::Tell(..) => self.setup.users > 0 && self.may_publish(1),
            Action::Expel(_) => self.setup.users > 0,
            Action::Kick(peer) => self.public_id(peer).is_some(),
            Action::Look(_) | Action::Misuse(_) | Action::Heal() => true,
            Action::Advance(Span::Before | Span::Due | Span::Past) => self.next_deadline().is_some(),
            Action::Advance(_) => true,
            Action::Stale(peer, _) => self.clients[peer.index()].former.is_some(),
            Action::Shutdown() => !self.oracle.shutting_down,
        }
    }

    /// Does what the action says, and judges what comes of it. Returns whether it made sense.
    ///
    /// # Errors
    /// A guarantee that was broken.
    pub fn act(&mut self, action: &Action) -> Result<bool, Failure> {
        if !self.can(action) {
            return Ok(false);
        }
        match *action {
            Action::Accept(peer, door, rooms) => self.accept(peer, door, rooms),
            Action::Upgrade(peer) => {
                self.life_mut(peer).upgraded = true;
                let conn = self.id(peer);
                self.turn(Input::Upgraded { conn }, &Deed::Upgraded(peer.index()))
            }
            Action::Decide(peer, verdict, user) => self.decide(peer, verdict, user),
            Action::Ping(peer) => {
                let payload = vec![u8::try_from(self.messages % 256).expect("a byte")];
                let deed = Deed::Ping(peer.index(), &payload);
                self.turn(Input::Ping { conn: self.id(peer), payload: payload.clone() }, &deed)
            }
            Action::Pong(peer) => self.turn(Input::Pong { conn: self.id(peer) }, &Deed::Pong(peer.index())),
            Action::Close(peer, farewell) => self.peer_close(peer, code_of(farewell)),
            Action::Violate(peer, rule) => self.violate(peer, rule),
            Action::Lose(peer, cause) => self.lose(peer, if cause == Cause::Eof { Lost::Eof } else { Lost::Read }),
            Action::Break(peer) => self.fault(|world| world.life_mut(peer).socket.broken = true),
            Action::Vanish(peer) => self.fault(|world| world.life_mut(peer).vanished = true),
            Action::Stall(peer) => self.fault(|world| world.life_mut(peer).socket.stalled = true),
            Action::Resume(peer) => self.fault(|world| {
                let socket = &mut world.life_mut(peer).socket;
                (socket.stalled, socket.blocked) = (false, false);
            }),
            Action::Write(peer, budget) => self.write(peer, budget),
            Action::Flush() => {
                let writable: Vec<Peer> = self.peers().filter(|peer| self.is_writable(*peer)).collect();
                writable.into_iter().try_for_each(|peer| self.write(peer, Budget::All))
            }
            Action::Respond() => self.peers().try_for_each(|peer| self.respond(peer)),
            Action::Advance(span) => self.advance(span),
            Action::Stale(peer, late) => self.stale(peer, late),
            Action::Shutdown() => self.turn(Input::Shutdown, &Deed::Shutdown),
            Action::Heal() => self.heal(),
            _ => self.say_or_call(action),
        }?;
        Ok(true)
    }

    /// The actions that are words of a client or of a backend.
    fn say_or_call(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::Connect(peer, Credential::Return) => self.come_back(peer),
            Action::Connect(peer, credential) => {
                let token = (credential == Credential::Token).then(|| self.token(peer));
                let speech = speech::connect(self.is_json(peer), token);
                self.say(peer, speech)
            }
            Action::Join(peer, room) => self.say(peer, speech::join(room.index())),
            Action::Leave(peer, room) => self.say(peer, speech::leave(room.index())),
            Action::Publish(peer, room, payload) => {
                let data = self.data(payload);
                self.say(peer, speech::publish(self.is_json(peer), room.index(), data))
            }
            Action::Together(peer, batch) => {
                let number = self.messages;
                let data = [self.data(Payload::Small), self.data(Payload::Small)];
                if batch != Batch::PublishTwice {
                    self.messages = number;
                }
                self.say(peer, speech::together(batch, &self.setup, self.token(peer), data))
            }
            Action::Select(peer, filter) => self.say(peer, speech::select(filter, &self.setup)),
            Action::Say(peer, saying) => {
                let data = Data::new(Payload::Small, 0, &self.setup);
                let speech = speech::say(self.is_json(peer), saying, &self.setup, data);
                self.say(peer, speech.expect("it makes sense"))
            }
            _ => self.request(action).or_else(|| self.manage(action)).unwrap_or_else(|| self.backend(action)),
        }
    }

    fn backend(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::Announce(room, payload) => {
                let data = self.data(payload);
                self.publish_call(speech::announce(&[room.index()], &data), Call::Publish(room.index(), &data), &data)
            }
            Action::Broadcast(payload) => {
                let data = self.data(payload);
                let rooms: Vec<usize> = (0..usize::try_from(self.setup.rooms).expect("a few")).collect();
                let call = if let [room] = rooms[..] { Call::Publish(room, &data) } else { Call::Broadcast(&rooms, &data) };
                self.publish_call(speech::announce(&rooms, &data), call, &data)
            }
            Action::Tell(user, payload) => {
                let data = self.data(payload);
                self.publish_call(speech::tell(user.index(), &data), Call::Tell(user.index(), &data), &data)
            }
            Action::Send(peer, payload) => {
                let data = self.data(payload);
                let client = self.public_id(peer).expect("it makes sense");
                let body = format!(r#"{{"client":"{client}","data":{}}}"#, data.sent);
                let call = if self.life(peer).is_some() { Call::Send(peer.index(), &data) } else { Call::Nobody };
                self.publish_call(("send", body), call, &data)
            }
            Action::TellAll(payload) => {
                let data = self.data(payload);
                self.publish_call(("publish_all", format!(r#"{{"data":{}}}"#, data.sent)), Call::TellAll(&data), &data)
            }
            Action::Expel(user) => {
                let body = format!(r#"{{"user":"{}"}}"#, speech::user_name(user.index()));
                self.call("disconnect", &body, Call::Expel(user.index()))
            }
            Action::Kick(peer) => {
                let client = self.public_id(peer).expect("it makes sense");
                self.call("disconnect", &format!(r#"{{"user":"","client":"{client}"}}"#), Call::Kick(peer.index()))
            }
            Action::Look(look) => self.call(method_of(look), "{}", Call::Look(look)),
            Action::Misuse(call) => {
                let (method, body, code) = speech::misuse(call);
                self.refused_call(method, &body, code)
            }
            _ => unreachable!("every other action is handled before"),
        }
    }

    fn life(&self, peer: Peer) -> Option<&Life> {
        self.clients[peer.index()].life.as_ref()
    }

    fn life_mut(&mut self, peer: Peer) -> &mut Life {
        self.clients[peer.index()].life.as_mut().expect("the action makes sense")
    }

    fn id(&self, peer: Peer) -> ConnId {
        self.life(peer).expect("the action makes sense").id
    }

    fn is_json(&self, peer: Peer) -> bool {
        self.life(peer).expect("the action makes sense").json
    }

    pub(crate) fn config(&self) -> parlor_core::Config {
        self.setup.config()
    }

    pub(crate) fn room_count(&self) -> u8 {
        u8::try_from(self.setup.rooms).expect("a few rooms")
    }

    /// Whether an outbox holds more than a few frames.
    pub(crate) fn is_roomy(&self) -> bool {
        self.setup.outbox_frames >= 4
    }

    pub(crate) fn user_count(&self) -> usize {
        usize::try_from(self.setup.users).expect("a few users")
    }

    /// Bytes of the longest idempotency key.
    pub(crate) fn longest_key(&self) -> u64 {
        self.setup.idempotency_key_bytes
    }

    /// The calendar, in seconds since 1970.
    pub(crate) fn unix_seconds(&self) -> u64 {
        self.now().unix_ms / 1000
    }

    pub(crate) fn is_alive(&self, peer: Peer) -> bool {
        self.life(peer).is_some()
    }

    /// Whether this client and its socket will do all that is expected of them.
    pub(crate) fn is_well(&self, peer: Peer) -> bool {
        let hears = self.life(peer).is_some_and(|life| !life.vanished && !life.socket.broken && !life.deaf);
        hears && self.oracle.is_ready(peer.index())
    }

    /// Whether the driver would write to this client: something waits, and its socket did not refuse before.
    fn is_writable(&self, peer: Peer) -> bool {
        self.waits(peer) && self.life(peer).is_some_and(|life| !life.socket.blocked)
    }

    /// Whether something waits to be written to this client.
    pub(crate) fn waits(&self, peer: Peer) -> bool {
        self.life(peer).is_some_and(|life| self.subject.pending(life.id).is_some())
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = Peer> + use<S> {
        (0..u8::try_from(self.clients.len()).expect("a few clients")).map(Peer)
    }

    /// Whether what this client says arrives, in this profile.
    fn talks(&self, peer: Peer, json: bool) -> bool {
        self.life(peer).is_some_and(|life| life.upgraded && life.json == json && !life.deaf && !life.vanished)
    }

    /// Whether what this client says now comes behind its `connect`. In plain there is none.
    fn has_connected(&self, peer: Peer) -> bool {
        let json = self.talks(peer, true);
        (json || self.talks(peer, false)) && !(json && self.oracle.is_waited_for(peer.index()))
    }

    fn may_publish(&self, messages: u64) -> bool {
        self.messages.saturating_add(messages) <= self.setup.messages
    }

    fn public_id(&self, peer: Peer) -> Option<ClientId> {
        let client = &self.clients[peer.index()];
        client.life.as_ref().map(|life| life.client).or(client.former.map(|(_, id)| id))
    }

    fn next_deadline(&self) -> Option<u64> {
        let at = self.subject.poll_timeout()?.0;
        (at.saturating_sub(self.clock) <= self.setup.patience.saturating_mul(SECOND)).then_some(at)
    }

    pub(crate) fn data(&mut self, payload: Payload) -> Data {
        self.messages += 1;
        Data::new(payload, self.messages, &self.setup)
    }

    pub(crate) fn token(&self, peer: Peer) -> String {
        format!("token-of-{}", peer.0)
    }

    fn fault(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Failure> {
        self.faulty = true;
        change(self);
        Ok(())
    }

    fn accept(&mut self, peer: Peer, door: Door, rooms: Rooms) -> Result<(), Failure> {
        let at = peer.index();
        let life = if self.setup.ids_repeat == 1 { 0 } else { self.clients[at].lives };
        self.clients[at].lives += 1;
        let client = ClientId([(life << 8 | u64::from(peer.0)).to_be_bytes(), [peer.0; 8]].concat().try_into().expect("16 bytes"));
        let json = matches!(door, Door::Json | Door::JsonPings);
        let named: Vec<usize> = (0..8).filter(|room| !json && rooms.0 & 1 << room != 0).collect();
        let has_token = matches!(door, Door::PlainToken | Door::PlainHeader);
        let (want, target) = self.target(door, &named, self.token(peer));
        let token = (door == Door::PlainHeader).then(|| self.token(peer));
        let address = peer.0 % 2;
        let upgrade = Upgrade { client: client.0, target, token, peer: Some(IpAddr::from([10, 0, 0, address])) };
        let now = self.now();
        self.oracle.time(now.mono.0, now.unix_ms);
        let answer = self.guarded(|subject| subject.accept(now, upgrade))?;
        self.note(|| format!("{answer:?}"));
        let entry = Entry {
            json,
            frame_pings: door == Door::JsonPings,
            greeting: door.is_greeted(),
            want,
            positions: door.has_places(),
            address,
            rooms: named,
            token: has_token.then(|| self.token(peer)),
        };
        self.oracle.accepted(at, ClientId(client.0), entry, answer)?;
        if let Ok(id) = answer {
            let socket = Socket::new(self.transcript.is_some());
            self.clients[at].life = Some(Life {
                id,
                client,
                json,
                upgraded: false,
                socket,
                asked: false,
                deaf: false,
                vanished: false,
                pings: 0,
                frame_pings: 0,
                close: None,
            });
        }
        Ok(())
    }

    /// The way that an upgrade request goes, through the routes, and what it wants of its rooms.
    fn target(&self, door: Door, rooms: &[usize], token: String) -> (Want, route::Target) {
        let mut wanted = Want::Nothing;
        let path = if matches!(door, Door::Json | Door::JsonPings) {
            let pings = if door == Door::JsonPings { "?cf_ws_frame_ping_pong=true" } else { "" };
            format!("{}{pings}", route::JSON_PATH)
        } else {
            let mut query: Vec<String> = rooms.iter().map(|room| format!("room={}", speech::room_name(*room))).collect();
            let since = match door {
                Door::PlainSince => Some(Since::One),
                Door::PlainElse => Some(Since::Else),
                _ => None,
            };
            if let Some(since) = since {
                wanted = request::want(since, &self.oracle.place_of(rooms[0]));
            }
            match (&wanted, door) {
                (Want::Since { epoch, offset, .. }, _) => query.push(format!("since={epoch}:{offset}")),
                (_, Door::PlainHistory) => {
                    wanted = Want::Last(2);
                    query.push("history=2".into());
                }
                (_, Door::PlainToken) => query.push(format!("token={token}")),
                _ => {}
            }
            query.extend((!door.is_greeted()).then(|| "greeting=off".into()));
            query.extend(door.has_places().then(|| "positions=on".into()));
            format!("/ws?{}", query.join("&"))
        };
        // A URL with too many rooms is refused by the routes already; the machine must not rely on it.
        let config = self.setup.config();
        let generous = parlor_core::Limits { rooms_per_connection: usize::MAX, ..config.limits };
        (wanted, config.routes.resolve(&path, &generous).expect("the path is one that is served"))
    }

    pub(crate) fn say(&mut self, peer: Peer, (text, said): (String, Vec<Said>)) -> Result<(), Failure> {
        let deed = Deed::Text(peer.index(), text.len(), &said);
        self.turn(Input::Message { conn: self.id(peer), text }, &deed)
    }

    fn decide(&mut self, peer: Peer, verdict: Verdict, user: User) -> Result<(), Failure> {
        self.life_mut(peer).asked = false;
        let now = self.now().unix_ms / 1000;
        let asked = self.oracle.asked_room(peer.index());
        let user = (verdict != Verdict::Nobody).then(|| user.index());
        let room = |verdict| if verdict == Verdict::Placed { vec![0] } else { vec![] };
        let ruling = Ruling {
            forged: verdict == Verdict::Forged,
            early: verdict == Verdict::Early,
            user,
            exp: match verdict {
                Verdict::Expiring => Some(now + 20),
                Verdict::Expired => Some(now - 60),
                _ => None,
            },
            channels: room(verdict),
            crowded: verdict == Verdict::Crowded,
            channel: asked.filter(|_| verdict != Verdict::OtherRoom),
        };
        let crowd = 0..=self.setup.rooms_per_connection;
        let claims = Claims {
            sub: user.map(speech::user_name).unwrap_or_default(),
            exp: ruling.exp.map(|exp| i64::try_from(exp).expect("this century")),
            nbf: ruling.early.then(|| i64::try_from(now + 60).expect("this century")),
            info: user.and_then(Oracle::token_info),
            channels: match verdict {
                Verdict::Crowded => crowd.map(|room| format!("crowd-{room}")).collect(),
                _ => ruling.channels.iter().map(|room| speech::room_name(*room)).collect(),
            },
            channel: asked.map(|room| ruling.channel.map_or_else(|| "elsewhere".into(), |_| speech::room_name(room))),
        };
        let verdict = if ruling.forged { Err(BadToken::Invalid) } else { Ok(claims) };
        self.turn(Input::Authenticated { conn: self.id(peer), verdict }, &Deed::Decided(peer.index(), ruling))
    }

    fn peer_close(&mut self, peer: Peer, code: Option<u16>) -> Result<(), Failure> {
        self.life_mut(peer).deaf = true;
        self.turn(Input::PeerClosed { conn: self.id(peer), code }, &Deed::PeerClosed(peer.index(), code))
    }

    fn violate(&mut self, peer: Peer, rule: Rule) -> Result<(), Failure> {
        self.life_mut(peer).deaf = true;
        let (rule, code) = match rule {
            Rule::Protocol => (Violation::Protocol, 1002),
            Rule::Binary => (Violation::Binary, 1003),
            Rule::Utf8 => (Violation::Utf8, 1007),
            Rule::TooLarge => (Violation::TooLarge, 1009),
        };
        self.turn(Input::Violation { conn: self.id(peer), rule }, &Deed::Violated(peer.index(), code))
    }

    fn lose(&mut self, peer: Peer, cause: Lost) -> Result<(), Failure> {
        self.faulty = true;
        let code = if cause == Lost::Write { 3009 } else { 1006 };
        self.turn(Input::Lost { conn: self.id(peer), cause }, &Deed::Lost(peer.index(), code))
    }

    fn write(&mut self, peer: Peer, budget: Budget) -> Result<(), Failure> {
        let Some(id) = self.life(peer).map(|life| life.id) else { return Ok(()) };
        let Some(pending) = self.subject.pending(id) else { return Ok(()) };
        let (taken, frames) = match self.life_mut(peer).socket.write(&pending, budget)? {
            Written::Failed => return self.lose(peer, Lost::Write),
            Written::Took(taken, frames) => (taken, frames),
        };
        for frame in &frames {
            self.oracle.saw(peer.index(), frame)?;
            self.read(peer, frame);
        }
        self.oracle.is_cut(peer.index(), self.life(peer).is_some_and(|life| life.socket.is_mid_frame()));
        self.turn(Input::Flushed { conn: id, bytes: taken }, &Deed::Flushed(peer.index(), taken))
    }

    /// A client reads a frame, and remembers what it owes for it.
    fn read(&mut self, peer: Peer, frame: &Frame) {
        if self.faulty && matches!(frame, Frame::Text(text) if text.contains(r#""n":"#)) {
            self.goals.reach(Goal::DeliveredAfterFault);
        }
        let life = self.life_mut(peer);
        match frame {
            Frame::Text(text) if life.json && text == "{}" => life.pings += 1,
            Frame::Ping(_) => life.frame_pings += 1,
            Frame::Close(code) => life.close = Some(*code),
            _ => {}
        }
    }

    fn respond(&mut self, peer: Peer) -> Result<(), Failure> {
        let Some(life) = self.clients[peer.index()].life.as_mut().filter(|life| life.owes()) else { return Ok(()) };
        let (pings, frame_pings) = (std::mem::take(&mut life.pings), std::mem::take(&mut life.frame_pings));
        if let Some(code) = life.close {
            return self.peer_close(peer, code);
        }
        if pings > 0 {
            self.say(peer, ("{}".into(), vec![Said::Pong]))?;
        }
        if frame_pings > 0 && self.life(peer).is_some() {
            self.turn(Input::Pong { conn: self.id(peer) }, &Deed::Pong(peer.index()))?;
        }
        Ok(())
    }

    fn publish_call(&mut self, (method, body): (&str, String), call: Call<'_>, data: &Data) -> Result<(), Failure> {
        if data.too_large {
            return self.refused_call(method, &body, 106);
        }
        self.call(method, &body, call)
    }

    /// A call that may be refused by the reader of bodies, or by the machine.
    pub(crate) fn refused_call(&mut self, method: &str, body: &str, code: u16) -> Result<(), Failure> {
        match api::parse(method, body.as_bytes(), &self.setup.config().limits) {
            Err(error) => equal(Guarantee::P1, &format!("{method} {body} to be refused with"), &code, &error.code.number()),
            Ok(_) if code == 102 => self.call(method, body, Call::Nobody),
            Ok(command) => Err(Failure::new(Guarantee::P1, format_args!("{method} to be refused with {code}"), format_args!("{command:?}"))),
        }
    }

    pub(crate) fn call(&mut self, method: &str, body: &str, call: Call<'_>) -> Result<(), Failure> {
        let command = api::parse(method, body.as_bytes(), &self.setup.config().limits)
            .map_err(|error| Failure::new(Guarantee::P1, format_args!("{method} {body} to be understood"), error))?;
        self.calls += 1;
        self.turn(Input::Call { call: CallId(self.calls), command }, &Deed::Call(call))
    }

    fn advance(&mut self, span: Span) -> Result<(), Failure> {
        let deadline = self.next_deadline().unwrap_or(self.clock);
        let to = match span {
            Span::Again => self.clock,
            Span::Back => return self.tick_back(),
            Span::Little => self.clock + SECOND / 10,
            Span::Before => deadline - 1,
            Span::Due => deadline,
            Span::Past => deadline + SECOND,
            Span::Far => self.clock + 3600 * SECOND,
        };
        self.clock = self.clock.max(to);
        self.turn(Input::Tick, &Deed::Tick)
    }

    /// For one input the clock is a second behind.
    fn tick_back(&mut self) -> Result<(), Failure> {
        self.goals.reach(Goal::ClockBack);
        let clock = self.clock;
        self.clock -= SECOND;
        let result = self.turn(Input::Tick, &Deed::Tick);
        self.clock = clock;
        result
    }

    fn stale(&mut self, peer: Peer, late: Late) -> Result<(), Failure> {
        let (conn, _) = self.clients[peer.index()].former.expect("the action makes sense");
        self.goals.reach(Goal::StaleInput);
        let input = match late {
            Late::Upgraded => Input::Upgraded { conn },
            Late::Message => Input::Message { conn, text: "{}".into() },
            Late::Ping => Input::Ping { conn, payload: vec![] },
            Late::Pong => Input::Pong { conn },
            Late::PeerClosed => Input::PeerClosed { conn, code: None },
            Late::Violation => Input::Violation { conn, rule: Violation::Protocol },
            Late::Lost => Input::Lost { conn, cause: Lost::Write },
            Late::Flushed => Input::Flushed { conn, bytes: 7 },
            Late::Authenticated => Input::Authenticated { conn, verdict: Ok(Claims::default()) },
        };
        self.turn(input, &Deed::Stale)
    }

    fn now(&self) -> Now {
        let passed = if self.setup.calendar_stopped == 1 { 0 } else { self.clock / 1_000_000 };
        Now { mono: Instant(self.clock), unix_ms: START_UNIX_MS + passed }
    }

    /// One input, and everything that is judged of it.
    fn turn(&mut self, input: Input, deed: &Deed<'_>) -> Result<(), Failure> {
        let now = self.now();
        self.oracle.time(now.mono.0, now.unix_ms);
        let effects = self.guarded(|subject| subject.handle(now, input))?;
        self.note(|| format!("{effects:?}"));
        let bound = 64 + 32 * self.clients.len();
        if effects.len() > bound {
            return Err(Failure::new(Guarantee::G10, format_args!("at most {bound} effects of a turn"), effects.len()));
        }
        let (after, stats) = (self.subject.snapshot(), self.subject.stats());
        self.oracle.foresee(deed, &after, &stats);
        let timeout = self.subject.poll_timeout();
        let answer = self.answer(&effects)?;
        self.oracle.judge(&Outcome { effects: &effects, answer: answer.as_deref(), after: &after, stats: &stats, timeout })?;
        self.guarded(|subject| subject.audit())?;
        self.carry_out(&effects)?;
        self.judge_handles()
    }

    /// The body of the answer to a call.
    fn answer(&self, effects: &[Effect]) -> Result<Option<String>, Failure> {
        let mut answer = None;
        for effect in effects {
            if let Effect::Reply { call, result } = effect {
                if answer.is_some() || call.0 != self.calls {
                    return Err(Failure::new(Guarantee::P1, format_args!("one answer to call {}", self.calls), format_args!("{effect:?}")));
                }
                answer = Some(api::encode(result));
            }
        }
        Ok(answer)
    }

    fn carry_out(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        for effect in effects {
            match effect {
                Effect::Authenticate { conn, .. } => {
                    let lives = self.clients.iter_mut().flat_map(|client| &mut client.life);
                    lives.filter(|life| life.id == *conn).for_each(|life| life.asked = true);
                }
                Effect::Closed { conn, .. } => self.hang_up(*conn)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn hang_up(&mut self, conn: ConnId) -> Result<(), Failure> {
        let ended = self.clients.iter_mut().find(|client| client.life.as_ref().is_some_and(|life| life.id == conn));
        let client = ended.expect("the oracle knows who has ended");
        let life = client.life.take().expect("it was found by its life");
        client.former = Some((life.id, life.client));
        life.judge_stream()
    }

    /// G1: nothing waits for whoever has ended.
    fn judge_handles(&self) -> Result<(), Failure> {
        for (id, _) in self.clients.iter().filter_map(|client| client.former) {
            if let Some(bytes) = self.subject.pending(id) {
                return Err(Failure::new(Guarantee::G1, format_args!("nothing to write for {id}, which has ended"), format_args!("{bytes:02x?}")));
            }
        }
        Ok(())
    }

    /// What the subject does, or the failure that a panic is.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut S) -> T) -> Result<T, Failure> {
        let subject = &mut self.subject;
        catch_unwind(AssertUnwindSafe(|| work(subject))).map_err(|panic| {
            let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
            let words = literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let guarantee = Guarantee::named_in(&words).unwrap_or(Guarantee::G10);
            Failure::new(guarantee, "no panic", words)
        })
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(&line());
        }
    }

    /// Judges the streams of everybody who is still there.
    ///
    /// # Errors
    /// One of them is not what its client took it for.
    pub fn judge_streams(&self) -> Result<(), Failure> {
        self.clients.iter().flat_map(|client| &client.life).try_for_each(Life::judge_stream)
    }
}

impl Life {
    /// Whether it has read something that it ought to answer, and still can.
    fn owes(&self) -> bool {
        !self.vanished && !self.deaf && (self.pings > 0 || self.frame_pings > 0 || self.close.is_some())
    }

    fn judge_stream(&self) -> Result<(), Failure> {
        self.socket.record.as_ref().map_or(Ok(()), |record| crate::third_party::judge(record))
    }
}

fn code_of(farewell: Farewell) -> Option<u16> {
    match farewell {
        Farewell::Normal => Some(1000),
        Farewell::Away => Some(1001),
        Farewell::Custom => Some(4321),
        Farewell::Empty => None,
    }
}

fn method_of(look: Look) -> &'static str {
    match look {
        Look::Channels => "channels",
        Look::Connections => "connections",
        Look::Info => "info",
        Look::Limits => "limits",
    }
}
