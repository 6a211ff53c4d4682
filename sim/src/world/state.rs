//! The state of a simulated world: a subject, the clients around it, and the clock.

use crate::checkers::Checkers;
use crate::goals::{Goal, Goals};
use crate::reference::arrival::TokenOutcome;
use crate::reference::model::ReferenceModel;
use crate::subjects::subject::Subject;
use crate::world::action::{Client, Payload, User};
use crate::world::connection::{Connection, SimulatedClient};
use crate::world::payload::Data;
use crate::world::setup::Setup;
use crate::world::sights;
use crate::world::transcript::Transcript;
use parlor_core::{BadToken, Claims, ClientId, ConnId, Limits, Snapshot};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// The calendar at the start of every run, in milliseconds since 1970.
pub(super) const START_UNIX_MS: u64 = 1_795_352_400_000;

pub(super) const HOUR_MS: i64 = 3_600_000;

pub(super) const SECOND: u64 = 1_000_000_000;

/// A subject and all that is around it.
#[derive(Clone, Debug)]
pub struct World<S> {
    pub(super) setup: Arc<Setup>,
    pub(super) subject: S,
    /// What foresees each turn, in a world that is foreseen.
    pub(super) reference: Option<ReferenceModel>,
    /// The state after the last turn.
    pub(super) seen: Snapshot,
    pub(super) clients: Vec<SimulatedClient>,
    /// Nanoseconds.
    pub(super) clock: u64,
    /// How far back the clock will be when the next input comes, in nanoseconds.
    pub(super) behind: u64,
    /// How far the calendar was set, in milliseconds.
    pub(super) calendar: i64,
    pub(super) messages: u64,
    pub(super) calls: u64,
    /// Calls that are not answered, each with the shard that has it.
    pub(super) open_calls: BTreeMap<u64, usize>,
    pub(super) goals: Goals,
    pub(super) faulty: bool,
    /// The tokens of a subject that looks at them by itself, each with what it says.
    pub(super) minted: Vec<(String, TokenOutcome, Result<Claims, BadToken>)>,
    /// The token of each client that was looked at last.
    pub(super) checked: BTreeMap<usize, String>,
    /// The body of the last answer to a call.
    pub(super) answered: String,
    /// The turns after which it was asked what became of a publication, or might have been.
    pub(super) explained: u64,
    /// The number of inputs that are handled to the end.
    pub(super) settled: u64,
    /// Where the lists of connections and of rooms go on.
    pub(super) pages: [Option<ListPage>; 2],
    /// Transcript of a run whose streams are kept for a second reader.
    pub(super) transcript: Option<Transcript>,
    /// The checkers of properties, in a random run.
    pub(super) checkers: Option<Box<Checkers>>,
}

/// Where a list goes on: the cursor of its last part.
#[derive(Clone, Debug)]
pub(super) struct ListPage {
    pub(super) cursor: String,
}

impl<S: Subject> World<S> {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let shards = usize::try_from(setup.shards).ok().and_then(NonZeroUsize::new).expect("a few shards");
        let mut subject = S::with_shards(setup.config(), setup.subject_seed(), shards, setup.slow_links == 1);
        if setup.encrypts == 1 {
            subject.encrypt();
        }
        Self {
            seen: subject.snapshot(),
            subject,
            reference: setup.is_foreseen().then(|| ReferenceModel::new(setup)),
            clients: (0..setup.conns).map(|_| SimulatedClient::default()).collect(),
            setup: Arc::new(setup.clone()),
            clock: SECOND,
            behind: 0,
            calendar: 0,
            messages: 0,
            calls: 0,
            open_calls: BTreeMap::new(),
            goals: Goals::default(),
            faulty: false,
            minted: Vec::new(),
            checked: BTreeMap::new(),
            answered: String::new(),
            explained: 0,
            settled: 0,
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

    /// The same world, in which nothing is foreseen.
    #[must_use]
    pub fn unforeseen(self) -> Self {
        Self { reference: None, ..self }
    }

    /// A world that records all its effects, and keeps what clients receive for the second reader.
    #[must_use]
    pub fn recorded(setup: &Setup, transcript: Transcript) -> Self {
        Self { transcript: Some(transcript), ..Self::new(setup) }
    }

    /// The transcript.
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
        let seen = self.checkers.as_ref().map(|checkers| checkers.goals()).unwrap_or_default();
        self.goals | seen | sights::in_totals(&self.subject.stats().totals)
    }

    /// Whether the reference model still foresees each turn.
    #[must_use]
    pub fn is_foreseen(&self) -> bool {
        self.reference.is_some()
    }

    pub(crate) fn subject(&self) -> &S {
        &self.subject
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

    /// State of a client beside its connection's, as bits: whether it still speaks, listens and answers.
    pub(crate) fn habits(&self, client: Client) -> u64 {
        let client = &self.clients[client.index()];
        let Some(connection) = &client.connection else { return u64::from(client.former.is_some()) };
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
            connection.upgraded,
            connection.introduced && connection.json,
            connection.json,
        ];
        let flags = own.into_iter().chain([socket.stalled, socket.narrow, socket.blocked, socket.broken]);
        flags.fold(1, |bits, flag| bits << 1 | u64::from(flag))
    }

    pub(super) fn connection(&self, client: Client) -> Option<&Connection> {
        self.clients[client.index()].connection.as_ref()
    }

    pub(super) fn connection_mut(&mut self, client: Client) -> &mut Connection {
        self.clients[client.index()].connection.as_mut().expect("the action makes sense")
    }

    pub(super) fn id(&self, client: Client) -> ConnId {
        self.connection(client).expect("the action makes sense").id
    }

    /// A stale id: that of the slot one generation before, or else that of the client's last connection.
    pub(super) fn stale_id(&self, client: Client) -> Option<ConnId> {
        let before = |id: ConnId| ConnId::from_parts(id.slot(), id.generation().wrapping_sub(1));
        let former = self.clients[client.index()].former.map(|(id, _)| id);
        self.connection(client).map(|connection| before(connection.id)).or(former)
    }

    pub(super) fn is_json(&self, client: Client) -> bool {
        self.connection(client).expect("the action makes sense").json
    }

    /// Whether this client has a connection that speaks json.
    pub(crate) fn speaks_json(&self, client: Client) -> bool {
        self.connection(client).is_some_and(|connection| connection.json)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.setup.limits
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
        // A client that has begun a message and does not end it is closed for that.
        let is_silent = self.connection(client).is_none_or(|connection| !connection.fragmented && !connection.half);
        self.hears(client) && is_silent && self.is_ready(client)
    }

    /// Whether this client reads what its socket takes.
    pub(super) fn hears(&self, client: Client) -> bool {
        self.connection(client)
            .is_some_and(|connection| !connection.vanished && !connection.socket.broken && !connection.deaf)
    }

    /// Whether the driver would write to this client: something waits, and its socket did not refuse before.
    pub(super) fn is_writable(&self, client: Client) -> bool {
        self.waits(client) && self.connection(client).is_some_and(|connection| !connection.socket.blocked)
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = Client> + use<S> {
        (0..u8::try_from(self.clients.len()).expect("a few clients")).map(Client)
    }

    /// Whether what this client says arrives, in this protocol.
    pub(super) fn talks(&self, client: Client, json: bool) -> bool {
        let talks = self.connection(client).is_some_and(|connection| connection.upgraded && connection.json == json);
        talks && self.is_heard(client)
    }

    /// Whether what this client sends comes to the machine: it says something, and is listened to.
    pub(super) fn is_heard(&self, client: Client) -> bool {
        let speaks = self.connection(client).is_some_and(|connection| !connection.deaf && !connection.vanished);
        speaks && !self.is_paused(client)
    }

    /// How far back the clock will be at the next input, and how far the calendar is set.
    pub(crate) fn misleads(&self) -> (u64, i64) {
        (self.behind, self.calendar)
    }

    pub(super) fn public_id(&self, client: Client) -> Option<ClientId> {
        let client = &self.clients[client.index()];
        client.connection.as_ref().map(|connection| connection.client_id).or(client.former.map(|(_, id)| id))
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let at = self.subject.poll_timeout()?.0;
        (at.saturating_sub(self.clock) <= self.setup.patience.saturating_mul(SECOND)).then_some(at)
    }

    pub(super) fn data(&mut self, payload: Payload) -> Data {
        self.messages += 1;
        Data::new(payload, self.messages, &self.setup)
    }

    /// Whether a client has read something that it ought to answer, and would be heard.
    pub(super) fn owes(&self, client: Client) -> bool {
        self.connection(client).is_some_and(Connection::owes) && !self.is_paused(client)
    }

    /// The client with this user's number, if there has been one.
    pub(super) fn receiver_of(&self, user: User) -> Option<Client> {
        let client = Client(user.0);
        (client.index() < self.clients.len() && self.public_id(client).is_some()).then_some(client)
    }
}
