//! A subject, the clients and sockets around it, and the clock: the place where actions happen and are judged.

pub mod action;
mod batches;
mod calls;
mod clients;
pub mod frames;
mod heal;
pub mod history_request;
pub mod request;
pub(crate) mod second_reader;
mod session;
pub mod setup;
pub mod socket;
mod some;
pub mod speech;
mod tell;
mod tokens;
pub mod trace;
pub mod transcript;

use crate::checkers::{Checkers, Want, What};
use crate::goals::{Goal, Goals};
use crate::guarantees::{Failure, Guarantee};
use crate::reference::model::Oracle;
use crate::reference::outcome::Outcome;
use crate::reference::stimulus::Stimulus;
use crate::reference::stimulus::TokenOutcome;
use crate::subjects::subject::{Seen, Subject, ask};
use crate::world::action::{
    Action, Batch, Budget, Bundle, Cause, Client, Credential, Frames, Jump, Payload, Rule, Since, Span,
};
use crate::world::setup::{Judges, Setup};
use crate::world::socket::Socket;
use crate::world::speech::Data;
use crate::world::transcript::Transcript;
use parlor_core::api::json;
use parlor_core::{BadToken, Claims, ClientId, ConnId, Effect, Input, Instant, Lost, Now, Shard};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The calendar at the start of every run, in milliseconds since 1970.
const START_UNIX_MS: u64 = 1_795_352_400_000;
const HOUR_MS: i64 = 3_600_000;
const SECOND: u64 = 1_000_000_000;

/// One connection of a simulated client, as the client and the driver know it.
#[derive(Clone, Debug)]
struct Connection {
    id: ConnId,
    client_id: ClientId,
    json: bool,
    upgraded: bool,
    socket: Socket,
    /// Its token waits to be checked.
    asked: bool,
    /// The driver decodes no more: the client has sent a Close, or broken a rule.
    deaf: bool,
    /// The client has ended its stream.
    ended: bool,
    /// Fragments of a message have come, and more is to come of it.
    fragmented: bool,
    /// A part of a frame has come, and not all of it.
    half: bool,
    /// The client is gone without a word.
    vanished: bool,
    /// It has read a ping of its protocol, and not answered it.
    pinged: bool,
    /// It has read a Ping frame, and not answered it.
    frame_pinged: bool,
    /// It has read a Close frame, with this code.
    close: Option<Option<u16>>,
    /// The number of the message that it has read last.
    newest: Option<u64>,
}

/// One simulated client through all its connections.
#[derive(Clone, Debug, Default)]
struct SimulatedClient {
    connection: Option<Connection>,
    /// The id and the public id of the connection before.
    former: Option<(ConnId, ClientId)>,
    connections_made: u64,
}

/// A subject and all that is around it.
#[derive(Clone)]
pub struct World<S> {
    setup: Arc<Setup>,
    subject: S,
    oracle: Oracle,
    clients: Vec<SimulatedClient>,
    /// Nanoseconds.
    clock: u64,
    /// How far back the clock will be when the next input comes, in nanoseconds.
    behind: u64,
    /// How far somebody has set the calendar, in milliseconds.
    calendar: i64,
    /// What the clock and the calendar said when something came in last.
    last: Now,
    messages: u64,
    calls: u64,
    goals: Goals,
    faulty: bool,
    /// The tokens of a subject that looks at them by itself, each with what it says.
    minted: Vec<(String, TokenOutcome, Result<Claims, BadToken>)>,
    /// The token that was looked at last.
    checked: String,
    /// The body of the last answer to a call.
    answered: String,
    /// Where the lists of connections and of rooms go on.
    pages: [Option<some::Page>; 2],
    /// What is written down, in a run of which the streams go to a third party too.
    transcript: Option<Transcript>,
    /// The checkers of properties, in a random run.
    checkers: Option<Box<Checkers>>,
}

impl<S: Subject> World<S> {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self {
            subject: S::new(setup.config(), setup.subject_seed()),
            oracle: Oracle::new(setup),
            clients: (0..setup.conns).map(|_| SimulatedClient::default()).collect(),
            setup: Arc::new(setup.clone()),
            clock: SECOND,
            behind: 0,
            calendar: 0,
            last: Now { mono: Instant(0), unix_ms: START_UNIX_MS },
            messages: 0,
            calls: 0,
            goals: Goals::default(),
            faulty: false,
            minted: Vec::new(),
            checked: String::new(),
            answered: String::new(),
            pages: [None, None],
            transcript: None,
            checkers: None,
        }
    }

    /// The same world, watched by the checkers of properties.
    #[must_use]
    pub fn checked(self) -> Self {
        Self { checkers: Some(Box::new(Checkers::new(&self.setup, S::HAS_DRIVER))), ..self }
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

    /// The checkers that have noticed something, where that ends nothing.
    #[must_use]
    pub fn noticed(&self) -> Vec<&'static str> {
        self.checkers.as_ref().map_or_else(Vec::new, |checkers| checkers.noticed().to_vec())
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

    /// What of a client is not in its connection's state: whether it still speaks, listens and answers.
    pub(crate) fn habits(&self, client: usize) -> u64 {
        let Some(connection) = &self.clients[client].connection else {
            return u64::from(self.clients[client].former.is_some());
        };
        let socket = &connection.socket;
        let own = [
            connection.deaf,
            connection.ended,
            connection.fragmented,
            connection.half,
            connection.vanished,
            connection.asked,
            connection.close.is_some(),
            connection.pinged,
            connection.frame_pinged,
        ];
        let flags = own.into_iter().chain([socket.stalled, socket.narrow, socket.blocked, socket.broken]);
        flags.fold(1, |bits, flag| bits << 1 | u64::from(flag))
    }

    /// Whether the action makes sense here. One that does not changes nothing.
    #[must_use]
    pub fn can(&self, action: &Action) -> bool {
        if !action.fits(&self.setup) {
            return false;
        }
        if S::HAS_DRIVER && !self.can_come_about(action) {
            return false;
        }
        match *action {
            Action::Accept(client, endpoint, rooms) => self.connection(client).is_none() && endpoint.leads_to(rooms),
            Action::Enter(client, rooms) | Action::AcceptSince(client, rooms, _) => {
                self.connection(client).is_none() && rooms.0 != 0
            }
            Action::Upgrade(client) => self.connection(client).is_some_and(|connection| !connection.upgraded),
            Action::Connect(client, Credential::Token) if self.talks(client, false) => true,
            Action::Recover(client, ..)
            | Action::Watch(client, _)
            | Action::RecoverAndWatch(client, ..)
            | Action::RecoverByToken(client, ..)
            | Action::JoinByToken(client, _)
            | Action::SubRefresh(client, _)
            | Action::Refresh(client)
            | Action::History(client, ..)
            | Action::Presence(client, _)
            | Action::PresenceStats(client, _) => self.talks(client, true) && self.may_command(client),
            Action::ApiPublishOnce(..) => self.may_publish(1),
            Action::ApiBatch(bundle, user, _) => {
                let is_there = self.receiver_of(user).is_some();
                self.may_publish(2) && (bundle != Bundle::Send || is_there)
            }
            Action::ApiHistory(..)
            | Action::ApiHistoryRemove(_)
            | Action::ApiPresence(_)
            | Action::ApiPresenceStats(_) => true,
            Action::ApiSubscribe(..) | Action::ApiUnsubscribe(..) | Action::ApiRefresh(..) => self.setup.users > 0,
            Action::Connect(client, _) => self.talks(client, true) && !self.has_connected(client),
            Action::Join(client, _) | Action::Leave(client, _) => self.talks(client, true) && self.may_command(client),
            Action::Decide(client, ..) => self.connection(client).is_some_and(|connection| connection.asked),
            Action::Publish(client, ..) => self.may_command(client) && self.may_publish(1),
            Action::Together(client, Batch::ConnectAndJoin | Batch::TokenAndJoin) => {
                self.talks(client, true) && !self.has_connected(client)
            }
            Action::Together(client, batch) => {
                let may = batch != Batch::PublishTwice || self.may_publish(2);
                self.talks(client, true) && self.may_command(client) && may
            }
            Action::Select(client, _) => self.talks(client, false),
            Action::Say(client, saying) => {
                let json = self.connection(client).is_some_and(|connection| connection.json);
                let data = || Data::new(Payload::Small, 0, &self.setup);
                self.talks(client, json) && speech::say(json, saying, &self.setup, data()).is_some()
            }
            Action::Frames(client, Frames::Half)
                if self.connection(client).is_some_and(|connection| connection.half) =>
            {
                false
            }
            Action::Violate(client, Rule::Binary)
                if self.connection(client).is_some_and(|connection| connection.fragmented) =>
            {
                false
            }
            Action::Ping(client)
            | Action::Pong(client)
            | Action::Frames(client, _)
            | Action::Close(client, _)
            | Action::Violate(client, _) => self.is_heard(client),
            Action::Lose(client, Cause::Eof) => {
                self.connection(client).is_some_and(|connection| !connection.vanished && !connection.ended)
            }
            Action::Lose(client, _) | Action::Vanish(client) => {
                self.connection(client).is_some_and(|connection| !connection.vanished)
            }
            Action::Break(client) => self.connection(client).is_some_and(|connection| !connection.socket.broken),
            Action::Stall(client) => self.connection(client).is_some_and(|connection| !connection.socket.stalled),
            Action::Narrow(client) => self.connection(client).is_some_and(|connection| !connection.socket.narrow),
            Action::Resume(client) => {
                self.connection(client).is_some_and(|connection| connection.socket.stalled || connection.socket.narrow)
            }
            Action::Write(client, Budget::Byte) => {
                self.waits(client)
                    && self.connection(client).is_some_and(|connection| !connection.socket.is_mid_frame())
            }
            Action::Write(client, _) => self.waits(client),
            Action::Flush() => self.clients().any(|client| self.is_writable(client)),
            Action::Respond() => self.clients().any(|client| self.owes(client)),
            Action::ApiPublish(..)
            | Action::ApiBroadcast(_)
            | Action::ApiPublishUser(..)
            | Action::ApiPublishAll(_) => self.may_publish(1),
            Action::ApiSend(client, _) => self.public_id(client).is_some() && self.may_publish(1),
            Action::ApiDisconnectClient(client) | Action::ApiDisconnectWith(client, _) => {
                self.public_id(client).is_some()
            }
            Action::ApiDisconnectSome(client, ..)
            | Action::ApiSubscribeSome(client, ..)
            | Action::ApiUnsubscribeSome(client, ..)
            | Action::ApiRefreshSome(client, ..) => self.setup.users > 0 && self.public_id(client).is_some(),
            Action::ApiList(..) => true,
            Action::ApiMuch(..) => self.may_publish(some::PARTS),
            Action::ApiDisconnectUser(_) | Action::ApiLook(_) | Action::ApiMisuse(_) | Action::Heal() => true,
            Action::Advance(Span::Before | Span::Due | Span::Past) => self.next_deadline().is_some(),
            Action::Advance(_) => true,
            Action::Calendar(jump) => self.setup.calendar_stopped == 0 && self.may_jump(jump),
            Action::Stale(client, _) => self.stale_id(client).is_some(),
            Action::Shutdown() => !self.oracle.shutting_down,
        }
    }

    /// Whether a driver can make an input of it. It reads nothing before the 101 is out, nor after the end of the stream,
    /// it looks at tokens as soon as it is asked to, and it knows whom it has hung up on.
    fn can_come_about(&self, action: &Action) -> bool {
        match *action {
            Action::Ping(client)
            | Action::Pong(client)
            | Action::Frames(client, _)
            | Action::Close(client, _)
            | Action::Violate(client, _) => self.connection(client).is_some_and(|connection| connection.upgraded),
            Action::Lose(client, _) => {
                let is_read = !self.oracle.is_paused(client.index());
                self.connection(client).is_some_and(|connection| connection.upgraded && !connection.ended) && is_read
            }
            Action::Decide(..) | Action::Stale(..) => false,
            _ => true,
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
            Action::Accept(client, endpoint, rooms) => self.accept(client, endpoint, rooms),
            Action::AcceptSince(client, rooms, since) => self.accept_since(client, rooms, since),
            Action::Upgrade(client) => self.upgrade(client),
            Action::Enter(client, rooms) => self.enter(client, rooms),
            Action::Decide(client, verdict, user) => self.decide(client, verdict, user),
            Action::Ping(client) => self.ping(client),
            Action::Pong(client) => self.pong(client),
            Action::Frames(client, frames) => self.frames(client, frames),
            Action::Close(client, farewell) => self.close_stream(client, clients::code_of(farewell)),
            Action::Violate(client, rule) => self.violate(client, rule),
            Action::Lose(client, cause) => self.lose(client, if cause == Cause::Eof { Lost::Eof } else { Lost::Read }),
            Action::Break(client) => self.fault(|world| world.connection_mut(client).socket.broken = true),
            Action::Vanish(client) => self.fault(|world| world.connection_mut(client).vanished = true),
            Action::Stall(client) => self.fault(|world| world.connection_mut(client).socket.stalled = true),
            Action::Narrow(client) => self.fault(|world| world.connection_mut(client).socket.narrow = true),
            Action::Resume(client) => {
                self.connection_mut(client).socket.resume();
                Ok(())
            }
            Action::Calendar(jump) => self.fault(|world| {
                world.goals.reach(Goal::CalendarStep);
                world.calendar += if jump == Jump::Ahead { HOUR_MS } else { -HOUR_MS };
            }),
            Action::Write(client, budget) => self.write(client, budget),
            Action::Flush() => {
                let writable: Vec<Client> = self.clients().filter(|client| self.is_writable(*client)).collect();
                writable.into_iter().try_for_each(|client| self.write(client, Budget::All))
            }
            Action::Respond() => self.clients().try_for_each(|client| self.respond(client)),
            Action::Advance(span) => self.advance(span),
            Action::Stale(client, late) => self.stale(client, late),
            Action::Shutdown() => self.turn(Input::Shutdown, &Stimulus::Shutdown),
            Action::Heal() => self.heal(),
            _ => self.say_or_call(action),
        }?;
        Ok(true)
    }

    /// The actions that are words of a client or of a backend.
    fn say_or_call(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::Connect(client, Credential::Return) => self.come_back(client, Since::Two),
            Action::Connect(client, Credential::ReturnOrNot) => self.come_back(client, Since::AllOrNothing),
            Action::Connect(client, credential) => {
                let token = (credential == Credential::Token).then(|| self.token(client, None));
                let speech = speech::connect(self.is_json(client), token);
                self.say(client, speech)
            }
            Action::Join(client, room) => self.say(client, speech::join(room.index())),
            Action::Leave(client, room) => self.say(client, speech::leave(room.index())),
            Action::Publish(client, room, payload) => {
                let data = self.data(payload);
                self.say(client, speech::publish(self.is_json(client), room.index(), data))
            }
            Action::Together(client, batch) => {
                let number = self.messages;
                let data = [self.data(Payload::Small), self.data(Payload::Small)];
                if batch != Batch::PublishTwice {
                    self.messages = number;
                }
                let token = self.token(client, None);
                self.say(client, speech::together(batch, &self.setup, token, data))
            }
            Action::Select(client, filter) => self.say(client, speech::select(filter, &self.setup)),
            Action::Say(client, saying) => {
                let data = Data::new(Payload::Small, 0, &self.setup);
                let speech = speech::say(self.is_json(client), saying, &self.setup, data);
                self.say(client, speech.expect("it makes sense"))
            }
            _ => {
                let asked = self.request(action).or_else(|| self.manage(action)).or_else(|| self.some(action));
                asked.unwrap_or_else(|| self.backend(action))
            }
        }
    }

    /// Whether a client has read something that it ought to answer, and would be heard.
    fn owes(&self, client: Client) -> bool {
        self.connection(client).is_some_and(Connection::owes) && !self.oracle.is_paused(client.index())
    }

    fn connection(&self, client: Client) -> Option<&Connection> {
        self.clients[client.index()].connection.as_ref()
    }

    fn connection_mut(&mut self, client: Client) -> &mut Connection {
        self.clients[client.index()].connection.as_mut().expect("the action makes sense")
    }

    fn id(&self, client: Client) -> ConnId {
        self.connection(client).expect("the action makes sense").id
    }

    /// A stale id: that of the slot one generation before, or else that of the client's last connection.
    fn stale_id(&self, client: Client) -> Option<ConnId> {
        let before = |id: ConnId| ConnId { generation: id.generation.wrapping_sub(1), ..id };
        let former = self.clients[client.index()].former.map(|(id, _)| id);
        self.connection(client).map(|connection| before(connection.id)).or(former)
    }

    fn is_json(&self, client: Client) -> bool {
        self.connection(client).expect("the action makes sense").json
    }

    pub(crate) fn config(&self) -> parlor_core::Config {
        self.setup.config()
    }

    pub(crate) fn room_count(&self) -> u8 {
        u8::try_from(self.setup.rooms).expect("a few rooms")
    }

    pub(crate) fn user_count(&self) -> u8 {
        u8::try_from(self.setup.users).expect("a few users")
    }

    pub(crate) fn conn(&self, client: Client) -> Option<ConnId> {
        self.connection(client).map(|connection| connection.id)
    }

    /// The number of the message that this client has read last.
    pub(crate) fn newest(&self, client: Client) -> Option<u64> {
        self.connection(client)?.newest
    }

    pub(crate) fn reach(&mut self, goal: Goal) {
        self.goals.reach(goal);
    }

    /// Whether an outbox holds more than a few frames.
    pub(crate) fn is_roomy(&self) -> bool {
        self.setup.limits.outbox_frames >= 4
    }

    pub(crate) fn is_alive(&self, client: Client) -> bool {
        self.connection(client).is_some()
    }

    /// Whether this client and its socket will do all that is expected of them.
    pub(crate) fn is_well(&self, client: Client) -> bool {
        let hears = self
            .connection(client)
            .is_some_and(|connection| !connection.vanished && !connection.socket.broken && !connection.deaf);
        // Whoever has begun to say something and does not go on is closed for that.
        let is_silent = self.connection(client).is_none_or(|connection| !connection.fragmented && !connection.half);
        hears && is_silent && self.oracle.is_ready(client.index())
    }

    /// Whether the driver would write to this client: something waits, and its socket did not refuse before.
    fn is_writable(&self, client: Client) -> bool {
        self.waits(client) && self.connection(client).is_some_and(|connection| !connection.socket.blocked)
    }

    /// Whether something waits to be written to this client.
    pub(crate) fn waits(&self, client: Client) -> bool {
        match self.connection(client) {
            Some(connection) if self.is_silent() => {
                self.subject.pending(connection.id).is_some_and(|bytes| !bytes.is_empty())
            }
            connection => connection.is_some() && self.oracle.waits(client.index()),
        }
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = Client> + use<S> {
        (0..u8::try_from(self.clients.len()).expect("a few clients")).map(Client)
    }

    /// Whether what this client says arrives, in this protocol.
    fn talks(&self, client: Client, json: bool) -> bool {
        let talks = self.connection(client).is_some_and(|connection| connection.upgraded && connection.json == json);
        talks && self.is_heard(client)
    }

    /// Whether what this client sends comes to the machine: it says something, and is listened to.
    fn is_heard(&self, client: Client) -> bool {
        let speaks = self.connection(client).is_some_and(|connection| !connection.deaf && !connection.vanished);
        speaks && !self.oracle.is_paused(client.index())
    }

    /// Whether a socket was not offered what waits for it, which is as much as may be kept for one that refuses: a host
    /// offers it before it hands in anything else.
    pub(crate) fn is_to_be_offered(&self, client: Client) -> bool {
        self.connection(client).is_some() && self.oracle.is_to_be_offered(client.index())
    }

    /// Whether what this client says now comes behind its `connect`. In plain there is none.
    fn has_connected(&self, client: Client) -> bool {
        let json = self.talks(client, true);
        (json || self.talks(client, false)) && !(json && self.oracle.is_waited_for(client.index()))
    }

    /// Whether it makes sense that this client says more than who it is. An SDK does so behind its `connect`, before it knows
    /// whether that is refused.
    fn may_command(&self, client: Client) -> bool {
        self.has_connected(client) || (self.talks(client, true) && self.oracle.was_turned_down(client.index()))
    }

    /// The calendar is never set by more than a day in all, so that a run stays in its century.
    fn may_jump(&self, jump: Jump) -> bool {
        let further = if jump == Jump::Ahead { self.calendar } else { -self.calendar };
        further < 24 * HOUR_MS
    }

    /// What the clock and the calendar will do to the next input beside letting time pass.
    pub(crate) fn misleads(&self) -> (u64, i64) {
        (self.behind, self.calendar)
    }

    fn may_publish(&self, messages: u64) -> bool {
        self.messages.saturating_add(messages) <= self.setup.messages
    }

    fn public_id(&self, client: Client) -> Option<ClientId> {
        let client = &self.clients[client.index()];
        client.connection.as_ref().map(|connection| connection.client_id).or(client.former.map(|(_, id)| id))
    }

    fn next_deadline(&self) -> Option<u64> {
        let at = self.subject.poll_timeout()?.0;
        (at.saturating_sub(self.clock) <= self.setup.patience.saturating_mul(SECOND)).then_some(at)
    }

    fn data(&mut self, payload: Payload) -> Data {
        self.messages += 1;
        Data::new(payload, self.messages, &self.setup)
    }

    fn fault(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Failure> {
        self.faulty = true;
        change(self);
        Ok(())
    }

    fn advance(&mut self, span: Span) -> Result<(), Failure> {
        let deadline = self.next_deadline().unwrap_or(self.clock);
        let to = match span {
            Span::Again => self.clock,
            Span::Back => {
                self.behind = SECOND;
                return Ok(());
            }
            Span::Unnoticed => {
                self.clock += SECOND;
                return Ok(());
            }
            Span::Little => self.clock + SECOND / 10,
            Span::Before => deadline - 1,
            Span::Due => deadline,
            Span::Past => deadline + SECOND,
            Span::Far => self.clock + 3600 * SECOND,
        };
        self.clock = self.clock.max(to);
        self.turn(Input::Tick, &Stimulus::Tick)
    }

    /// What the clock and the calendar say when something comes in.
    fn now(&mut self) -> Now {
        if self.behind > 0 {
            self.goals.reach(Goal::ClockBack);
        }
        let behind = std::mem::take(&mut self.behind);
        self.last = self.moment(self.clock - behind);
        self.last
    }

    /// What the clock and the calendar say together.
    fn moment(&self, mono: u64) -> Now {
        let passed = if self.setup.calendar_stopped == 1 { 0 } else { mono / 1_000_000 };
        let unix_ms = (START_UNIX_MS + passed).checked_add_signed(self.calendar).expect("some year of this century");
        Now { mono: Instant(mono), unix_ms }
    }

    /// A judgement that is not a checker's. Where those judge alone, it is passed over.
    pub(crate) fn heed(&self, judgement: Result<(), Failure>) -> Result<(), Failure> {
        if self.is_silent() { Ok(()) } else { judgement }
    }

    /// What the reference model says of something. Where checkers judge alone it may be wrong, and even stumble.
    fn refer(&mut self, judge: impl FnOnce(&mut Oracle) -> Result<(), Failure>) -> Result<(), Failure> {
        if !self.is_silent() {
            return judge(&mut self.oracle);
        }
        drop(catch_unwind(AssertUnwindSafe(|| judge(&mut self.oracle))));
        Ok(())
    }

    fn is_silent(&self) -> bool {
        self.setup.judges != Judges::All
    }

    /// Something that checkers see, if there are any.
    pub(crate) fn check(&mut self, what: What<'_>) -> Result<(), Failure> {
        let now = self.last;
        self.checkers.as_mut().map_or(Ok(()), |checkers| checkers.saw(now, what))
    }

    /// One input, and everything that is judged of it.
    fn turn(&mut self, input: Input, stimulus: &Stimulus<'_>) -> Result<(), Failure> {
        let now = self.now();
        let kept = self.checkers.as_ref().map(|_| input.clone());
        let wants = self.checkers.as_ref().map_or_else(Vec::new, |checkers| checkers.wants(&input));
        let before = self.histories(now, &wants);
        let turns = caught(|| self.subject.turns(now, input))?;
        // A driver does not ask a socket again that has refused, and writes many frames in more than one go.
        let is_written =
            matches!(stimulus, Stimulus::Flushed(client, bytes) if self.written_in_parts(*client, &turns) == *bytes);
        let is_missing = !is_written && turns.iter().all(|seen| seen.follow_up.is_some());
        for seen in &turns {
            self.oracle.time(now.mono.0, now.unix_ms);
            match &seen.follow_up {
                None => self.judge_turn(now, seen, stimulus, kept.as_ref()),
                Some(input) => self.judge_follow_up(now, seen, input),
            }?;
        }
        if is_missing && !(S::HAS_DRIVER && self.is_forgotten(stimulus)) {
            let nothing =
                Failure::new(Guarantee::L1, format_args!("{stimulus:?} to be handed in"), "nothing of the kind");
            self.heed(Err(nothing))?;
        }
        let after = self.histories(now, &wants);
        for (want, (before, after)) in wants.iter().zip(before.iter().zip(&after)) {
            self.check(What::Histories { want, before, after })?;
        }
        let audit = caught(|| self.subject.audit());
        self.heed(self.oracle.heed(audit))?;
        self.heed(self.judge_handles())
    }

    /// What the history has of each of these. A copy of the machine is asked, since one that reads forgets what is too old.
    fn histories(&self, now: Now, wants: &[Want]) -> Vec<Value> {
        let mut twin = if wants.is_empty() { None } else { self.subject.twin() };
        wants.iter().map(|want| self.history(now, want, twin.as_mut())).collect()
    }

    fn history(&self, now: Now, want: &Want, twin: Option<&mut Shard>) -> Value {
        let body = request::history_since(&want.room, &want.epoch, want.offset);
        let command = json::parse("history", body.as_bytes(), &self.setup.limits);
        let answer = command.ok().zip(twin).and_then(|(command, twin)| ask(twin, now, command));
        let nothing = json!({ "error": "it cannot be asked" });
        answer.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(nothing)
    }

    /// Whether a driver looks for nothing but the Close frame of whoever says this.
    fn is_forgotten(&self, stimulus: &Stimulus<'_>) -> bool {
        match stimulus {
            Stimulus::Text(client, ..)
            | Stimulus::Fragment(client, _)
            | Stimulus::HalfFrame(client, _)
            | Stimulus::Ping(client, _)
            | Stimulus::Pong(client)
            | Stimulus::Violated(client, _) => self.oracle.is_closing(*client),
            _ => false,
        }
    }

    /// How much was written to this client in these turns, beside what was expected.
    fn written_in_parts(&self, client: usize, turns: &[Seen]) -> usize {
        let id = self.clients[client].connection.as_ref().map(|connection| connection.id);
        let bytes = |seen: &Seen| match seen.follow_up {
            Some(Input::Flushed { conn, bytes }) if Some(conn) == id => bytes,
            _ => 0,
        };
        turns.iter().map(bytes).sum()
    }

    fn judge_turn(
        &mut self,
        now: Now,
        seen: &Seen,
        stimulus: &Stimulus<'_>,
        input: Option<&Input>,
    ) -> Result<(), Failure> {
        if let Stimulus::Flushed(client, _) = stimulus
            && S::HAS_DRIVER
        {
            self.receive(Client(u8::try_from(*client).expect("a few clients")), &seen.written)?;
        }
        let Seen { effects, after, stats, timeout, .. } = seen;
        self.note(|| format!("{effects:?}"));
        let bound = 64 + 32 * self.clients.len();
        if effects.len() > bound {
            let many = Failure::new(Guarantee::G10, format_args!("at most {bound} effects of a turn"), effects.len());
            self.heed(Err(many))?;
        }
        let answer = self.answer(effects)?;
        let outcome = Outcome { effects, answer: answer.as_deref(), after, stats, timeout: *timeout };
        self.refer(|oracle| oracle.turn(stimulus, &outcome))?;
        if let (Some(checkers), Some(input)) = (&mut self.checkers, input) {
            checkers.turned(now, input, effects, answer.as_deref(), (stats, *timeout))?;
        }
        self.answered = answer.unwrap_or_default();
        self.carry_out(effects)
    }

    /// What a driver hands in by itself: what came of a write, what a token says, and that a message comes in parts.
    fn judge_follow_up(&mut self, now: Now, seen: &Seen, input: &Input) -> Result<(), Failure> {
        let unasked = || Failure::new(Guarantee::P1, "no input that nothing led to", format_args!("{input:?}"));
        let (Input::Flushed { conn, .. }
        | Input::Authenticated { conn, .. }
        | Input::Fragment { conn, .. }
        | Input::HalfFrame { conn, .. }
        | Input::Unread { conn, .. }
        | Input::Pong { conn }) = input
        else {
            return Err(unasked());
        };
        let is_its =
            |client: &SimulatedClient| client.connection.as_ref().is_some_and(|connection| connection.id == *conn);
        let client = self.clients.iter().position(is_its).ok_or_else(unasked)?;
        match input {
            Input::Flushed { bytes, .. } => self.judge_turn(now, seen, &Stimulus::Flushed(client, *bytes), Some(input)),
            Input::Fragment { bytes, .. } => {
                self.judge_turn(now, seen, &Stimulus::Fragment(client, *bytes), Some(input))
            }
            Input::HalfFrame { bytes, .. } => {
                self.judge_turn(now, seen, &Stimulus::HalfFrame(client, *bytes), Some(input))
            }
            Input::Unread { bytes, .. } => self.judge_turn(now, seen, &Stimulus::Unread(client, *bytes), Some(input)),
            Input::Pong { .. } => self.judge_turn(now, seen, &Stimulus::Pong(client), Some(input)),
            Input::Authenticated { verdict, .. } => {
                let outcome = self.outcome_of(client, verdict)?;
                self.judge_turn(now, seen, &Stimulus::Decided(client, outcome), Some(input))
            }
            _ => Err(unasked()),
        }
    }

    /// The body of the answer to a call.
    fn answer(&self, effects: &[Effect]) -> Result<Option<String>, Failure> {
        let mut answer = None;
        for effect in effects {
            if let Effect::Reply { call, result } = effect {
                if answer.is_some() || call.0 != self.calls {
                    self.heed(Err(Failure::new(
                        Guarantee::P1,
                        format_args!("one answer to call {}", self.calls),
                        format_args!("{effect:?}"),
                    )))?;
                }
                answer = Some(self.subject.answer(result));
            }
        }
        Ok(answer)
    }

    fn carry_out(&mut self, effects: &[Effect]) -> Result<(), Failure> {
        for effect in effects {
            match effect {
                Effect::Authenticate { conn, token } => {
                    let connections = self.clients.iter_mut().flat_map(|client| &mut client.connection);
                    connections
                        .filter(|connection| connection.id == *conn)
                        .for_each(|connection| connection.asked = true);
                    if S::HAS_DRIVER {
                        self.checked.clone_from(token);
                    }
                }
                Effect::Closed { conn, .. } => self.hang_up(*conn)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn hang_up(&mut self, conn: ConnId) -> Result<(), Failure> {
        let ended = self
            .clients
            .iter_mut()
            .find(|client| client.connection.as_ref().is_some_and(|connection| connection.id == conn));
        let twice = || Failure::new(Guarantee::G7, "an end of whoever is there", conn);
        let Some(client) = ended else { return self.heed(Err(twice())) };
        let connection = client.connection.take().expect("it was found by its connection");
        client.former = Some((connection.id, connection.client_id));
        connection.judge_stream()
    }

    /// G1: nothing waits for whoever has ended.
    fn judge_handles(&self) -> Result<(), Failure> {
        for (id, _) in self.clients.iter().filter_map(|client| client.former) {
            if let Some(bytes) = caught(|| self.subject.pending(id))? {
                return Err(Failure::new(
                    Guarantee::G1,
                    format_args!("nothing to write for {id}, which has ended"),
                    format_args!("{bytes:02x?}"),
                ));
            }
        }
        Ok(())
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(line().as_bytes());
        }
    }

    fn note_bytes(&mut self, bytes: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(bytes);
        }
    }

    /// Judges the streams of everybody who is still there.
    ///
    /// # Errors
    /// One of them is not what its client took it for.
    pub fn judge_streams(&self) -> Result<(), Failure> {
        self.clients.iter().flat_map(|client| &client.connection).try_for_each(Connection::judge_stream)
    }
}

/// What the subject does, or the failure that a panic is.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let literal = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let guarantee = Guarantee::named_in(&words).unwrap_or(Guarantee::G10);
        let expected = if guarantee == Guarantee::G10 { "no panic" } else { "its own checks to hold" };
        Failure::new(guarantee, expected, words)
    })
}

impl Connection {
    fn new(id: ConnId, client_id: ClientId, json: bool, socket: Socket) -> Self {
        Self {
            id,
            client_id,
            json,
            socket,
            upgraded: false,
            asked: false,
            deaf: false,
            ended: false,
            fragmented: false,
            half: false,
            vanished: false,
            pinged: false,
            frame_pinged: false,
            close: None,
            newest: None,
        }
    }

    /// Whether it has read something that it ought to answer, and still can.
    fn owes(&self) -> bool {
        let speaks = !self.deaf && (self.pinged || self.frame_pinged);
        !self.vanished && (speaks || (self.close.is_some() && !self.ended))
    }

    fn judge_stream(&self) -> Result<(), Failure> {
        self.socket.record.as_ref().map_or(Ok(()), |record| crate::world::second_reader::check(record))
    }
}
