//! Exhaustive search: every state that a small scope can reach, in the order of the fewest steps, with every check at
//! every step. It ends when there is nothing new; a scope too large to end is no result.

use crate::goals::Goals;
use crate::guarantees::{Failure, Guarantee};
use crate::search::canon::{StateKey, digest, key};
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::action::{
    Action, Cause, Client, Credential, Endpoint, Farewell, Late, Part, Payload, RecoverySince, Room, Rooms, Rule, Span,
    User, Verdict, WriteBudget,
};
use crate::world::setup::Setup;
use crate::world::trace::Trace;
use parlor_core::Limit;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Which protocol the clients of a scope speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeProtocol {
    /// Rooms are joined and left by command.
    Json,
    /// Rooms are named by the URL.
    Plain,
}

/// A world small enough to be searched to the end.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The world.
    pub setup: Setup,
    /// All that may happen in it.
    pub actions: Vec<Action>,
    /// Whether clients that could change places do not tell states apart.
    pub symmetric: bool,
    /// Whether clients do only what a well-behaved one would.
    pub orderly: bool,
    /// Whether what was counted since the start tells states apart too: for a subject that may go by it.
    pub counted: bool,
    /// Whether property checkers watch.
    pub watched: bool,
    /// More steps than this are not taken.
    pub deepest: usize,
    /// A search of more states than this is given up.
    pub cap: usize,
}

/// Result of a search that has found nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps to the furthest of them.
    pub depth: usize,
    /// How often an action of each kind made sense.
    pub effective: Vec<u64>,
    /// The goals that were reached somewhere.
    pub goals: Goals,
}

/// Result of a search that has found something wrong, by the shortest way there is.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The failure.
    pub failure: Failure,
    /// How.
    pub trace: Trace,
    /// Different states until then.
    pub states: usize,
    /// Nothing is known to be wrong: the scope does not end.
    pub unfinished: bool,
}

/// The time in which anything happens in a scope, in seconds. One for all deadlines: then all that are armed are due at
/// once, and time has no more than one form.
const UNIT: u64 = 2;
/// Deadlines of this many seconds are never waited for.
const NEVER: u64 = 1_000_000;

impl Scope {
    /// Clients that come, join, leave, do not read, close and are lost in every possible order, while a backend publishes
    /// and the server stops.
    ///
    /// Left out, each in a scope of its own: the many ways to be closed ([`Scope::ends`]), users and tokens
    /// ([`Scope::users`]), pings and ageing ([`Scope::pings`]). Left to random runs: deadlines of different lengths, both
    /// protocols at once, outboxes bounded by bytes, event filters, batches, bad input, commands that are refused.
    #[must_use]
    pub fn rooms(protocol: ScopeProtocol, conns: u8, rooms: u8, queue: u64, messages: u64) -> Self {
        let setup = Setup { messages, ..small(conns, rooms, queue) };
        let mut actions = Vec::new();
        for client in (0..conns).map(Client) {
            actions.extend(entrances(protocol, client, rooms));
            actions.extend([Action::Close(client, Farewell::Normal), Action::Lose(client, Cause::Eof)]);
            actions.extend([Action::Stale(client, Late::Message), Action::Stale(client, Late::Lost)]);
            actions.extend([WriteBudget::Byte, WriteBudget::Frame].map(|budget| Action::Write(client, budget)));
        }
        actions.extend((0..rooms).map(|room| Action::ApiPublish(Room(room), Payload::Small)));
        actions.extend([Action::Advance(Span::Due), Action::Shutdown()]);
        Self::of(setup, actions)
    }

    /// Clients that publish, and every way in which a connection can end.
    #[must_use]
    pub fn ends(protocol: ScopeProtocol, conns: u8, queue: u64) -> Self {
        let mut scope = Self::rooms(protocol, conns, 1, queue, 1);
        for client in (0..conns).map(Client) {
            scope
                .actions
                .extend([Action::Publish(client, Room(0), Payload::Small), Action::ApiDisconnectClient(client)]);
            scope.actions.extend([Action::Violate(client, Rule::Protocol), Action::Lose(client, Cause::Reset)]);
            scope.actions.extend([Action::Break(client), Action::Close(client, Farewell::Empty)]);
            scope.actions.extend([WriteBudget::Refuse, WriteBudget::All].map(|budget| Action::Write(client, budget)));
        }
        scope
    }

    /// Clients that show tokens of one user, and what becomes of that user's personal room.
    #[must_use]
    pub fn users(protocol: ScopeProtocol, conns: u8, queue: u64) -> Self {
        let setup = Setup { users: 1, messages: 1, ..small(conns, 1, queue) };
        let mut actions = Vec::new();
        for client in (0..conns).map(Client) {
            let endpoint = if protocol == ScopeProtocol::Json { Endpoint::Json } else { Endpoint::PlainToken };
            actions.extend([
                Action::Accept(client, endpoint, Rooms(1)),
                Action::Upgrade(client),
                Action::Connect(client, Credential::Token),
            ]);
            for verdict in [Verdict::Good, Verdict::Placed, Verdict::Expired, Verdict::Forged] {
                actions.push(Action::Decide(client, verdict, User(0)));
            }
            actions.extend([Action::Close(client, Farewell::Normal), Action::Lose(client, Cause::Eof)]);
            actions.extend([WriteBudget::Byte, WriteBudget::Frame].map(|budget| Action::Write(client, budget)));
        }
        actions.extend([
            Action::ApiPublishUser(User(0), Payload::Small),
            Action::ApiDisconnectUser(User(0)),
            Action::Advance(Span::Due),
        ]);
        let scope = Self::of(setup, actions);
        // What a later token changes is not foreseen, and plain has no other way to show one again.
        if protocol == ScopeProtocol::Plain { scope.unforeseen() } else { scope }
    }

    /// Clients that are pinged and do not always answer, and a log whose messages age.
    #[must_use]
    pub fn pings(protocol: ScopeProtocol, conns: u8, queue: u64) -> Self {
        let near = Setup { messages: 2, ..small(conns, 1, queue) };
        let near = near.with(Limit::PingInterval, 2 * UNIT).with(Limit::HistoryAge, UNIT).with(Limit::LogMemory, UNIT);
        let mut actions = Vec::new();
        for client in (0..conns).map(Client) {
            actions.extend(entrances(protocol, client, 1));
            actions.extend([Action::Pong(client), Action::Ping(client), Action::Lose(client, Cause::Reset)]);
            actions.extend([WriteBudget::Byte, WriteBudget::Frame].map(|budget| Action::Write(client, budget)));
        }
        actions.extend([Action::ApiPublish(Room(0), Payload::Small), Action::Advance(Span::Due)]);
        Self::of(near, actions)
    }

    /// Clients that come back to a log that moves on: its messages are trimmed, aged and removed, and it ends and begins anew.
    #[must_use]
    pub fn home(protocol: ScopeProtocol, conns: u8, history: u64, messages: u64) -> Self {
        let setup = Setup { messages, ..small(conns, 1, 8) };
        let setup =
            setup.with(Limit::HistoryMessages, history).with(Limit::HistoryAge, UNIT).with(Limit::LogMemory, UNIT);
        let mut actions = Vec::new();
        for client in (0..conns).map(Client) {
            actions.push(Action::Upgrade(client));
            let endpoints = [Endpoint::PlainSince, Endpoint::PlainElse, Endpoint::PlainHistory];
            match protocol {
                ScopeProtocol::Plain => {
                    actions.extend(endpoints.map(|endpoint| Action::Accept(client, endpoint, Rooms(1))))
                }
                ScopeProtocol::Json => {
                    actions.extend([
                        Action::Accept(client, Endpoint::Json, Rooms(0)),
                        Action::Connect(client, Credential::Nothing),
                    ]);
                    actions.extend(RecoverySince::ALL.iter().map(|since| Action::Recover(client, Room(0), *since)));
                    actions.extend([Action::History(client, Room(0), Part::All), Action::Leave(client, Room(0))]);
                }
            }
            actions.extend([Action::Lose(client, Cause::Eof), Action::Write(client, WriteBudget::All)]);
        }
        actions.extend([
            Action::ApiPublish(Room(0), Payload::Small),
            Action::ApiPublishOnce(Room(0), crate::world::action::Key::A),
        ]);
        actions.extend([
            Action::ApiHistoryRemove(Room(0)),
            Action::ApiHistory(Room(0), Part::Before),
            Action::Advance(Span::Due),
        ]);
        Self { watched: true, ..Self::of(setup, actions) }
    }

    /// Clients that watch who comes and goes in a room, and one of them that shows a token late.
    #[must_use]
    pub fn presence(conns: u8, queue: u64) -> Self {
        let setup = Setup { users: 1, messages: 0, ..small(conns, 1, queue) };
        let mut actions = Vec::new();
        for client in (0..conns).map(Client) {
            actions.extend([Action::Accept(client, Endpoint::Json, Rooms(0)), Action::Upgrade(client)]);
            actions.extend([Action::Connect(client, Credential::Nothing), Action::Presence(client, Room(0))]);
            actions.extend([Action::Watch(client, Room(0)), Action::Leave(client, Room(0))]);
            actions.extend([Action::Lose(client, Cause::Eof), Action::Write(client, WriteBudget::All)]);
        }
        let late = Client(0);
        actions
            .extend([Action::Accept(late, Endpoint::PlainQuiet, Rooms(1)), Action::Connect(late, Credential::Token)]);
        actions.extend([
            Action::Decide(late, Verdict::Good, User(0)),
            Action::ApiUnsubscribe(User(0), Room(0)),
            Action::ApiPresence(Room(0)),
        ]);
        Self { symmetric: false, ..Self::of(setup, actions).unforeseen() }
    }

    /// The same, judged by the property checkers alone.
    fn unforeseen(mut self) -> Self {
        self.setup.foreseen = 0;
        Self { watched: true, ..self }
    }

    fn of(setup: Setup, actions: Vec<Action>) -> Self {
        Self { symmetric: true, ..Self::of_everything(setup, actions) }
    }

    /// These actions in this world, in which every client has a name.
    #[must_use]
    pub fn of_everything(setup: Setup, actions: Vec<Action>) -> Self {
        const STATES: usize = 3_000_000;
        Self {
            setup,
            actions,
            symmetric: false,
            orderly: true,
            counted: false,
            watched: false,
            deepest: usize::MAX,
            cap: STATES,
        }
    }

    /// The world of this scope before anything has happened. Where it is not foreseen, property checkers judge, whose memory does
    /// not tell states apart; what a scope of those has reached is what they have seen.
    #[must_use]
    pub fn world<S: Subject>(&self) -> World<S> {
        let world = World::new(&self.setup);
        if self.watched { world.checked() } else { world }
    }

    /// The key of a world in this scope.
    #[must_use]
    pub fn key<S: Subject>(&self, world: &World<S>) -> StateKey {
        let counts = if self.counted { digest(format!("{:?}", world.subject().stats().totals).as_bytes()) } else { 0 };
        key(world, self.symmetric, self.actions.iter().any(Action::recalls)) ^ counts
    }

    /// The same scope, in which every client has a name.
    #[must_use]
    pub fn raw(self) -> Self {
        Self { symmetric: false, ..self }
    }
}

fn small(conns: u8, rooms: u8, queue: u64) -> Setup {
    let setup = Setup {
        conns: conns.into(),
        rooms: rooms.into(),
        users: 0,
        calendar_stopped: 1,
        ids_repeat: 1,
        patience: 10 * UNIT,
        ..Setup::default()
    };
    let many = usize::from(rooms) > setup.limits.rooms_per_connection;
    let room_limits = [(Limit::RoomsPerConnection, 8), (Limit::MessageBytes, 8192), (Limit::FrameBytes, 1 << 15)];
    let limits = [
        (Limit::OutboxFrames, queue),
        (Limit::HistoryMessages, 2),
        (Limit::HistoryAge, NEVER),
        (Limit::LogMemory, NEVER),
        (Limit::HandshakeTimeout, UNIT),
        (Limit::AuthenticateTimeout, UNIT),
        (Limit::PingInterval, NEVER),
        (Limit::PongTimeout, UNIT),
        (Limit::WriteTimeout, UNIT),
        (Limit::CloseTimeout, UNIT),
    ];
    let limits = limits.into_iter().chain(room_limits.into_iter().filter(|_| many));
    limits.fold(setup, |setup, (limit, value)| setup.with(limit, value))
}

fn entrances(protocol: ScopeProtocol, client: Client, rooms: u8) -> Vec<Action> {
    let mut actions = vec![Action::Upgrade(client)];
    match protocol {
        ScopeProtocol::Json => {
            actions.extend([
                Action::Accept(client, Endpoint::Json, Rooms(0)),
                Action::Connect(client, Credential::Nothing),
            ]);
            for room in (0..rooms).map(Room) {
                actions.extend([Action::Join(client, room), Action::Leave(client, room)]);
            }
        }
        ScopeProtocol::Plain => {
            actions.extend((1..1 << rooms).map(|set| Action::Accept(client, Endpoint::PlainQuiet, Rooms(set))))
        }
    }
    actions
}

/// Whether a well-behaved client would do this here. What is refused, ignored or answered with an error changes nothing
/// that others see, but every answer that waits in an outbox is another state.
pub(crate) fn is_sensible<S: Subject>(world: &World<S>, action: &Action) -> bool {
    let is_in = |client: Client, room: Room| world.is_in(client, room.index());
    let is_ready = |client: Client| world.is_ready(client);
    match *action {
        Action::Connect(client, _) if world.speaks_json(client) => world.is_waited_for(client),
        Action::Connect(client, _) => is_ready(client) && !world.is_known(client),
        Action::Join(client, room) | Action::Recover(client, room, _) | Action::Watch(client, room) => {
            is_ready(client) && !is_in(client, room)
        }
        // Where an outbox holds many answers, a client reads before it goes.
        Action::Leave(client, room) => is_in(client, room) && !(world.is_roomy() && world.waits(client)),
        Action::Publish(client, room, _) => is_in(client, room),
        Action::History(client, room, _) | Action::Presence(client, room) => {
            is_in(client, room) && !world.waits(client)
        }
        _ => true,
    }
}

/// Searches a scope to its end.
///
/// # Errors
/// A guarantee that is broken somewhere in it, by a trace than which there is no shorter; or that it does not end.
pub fn explore<S: Subject + Clone>(scope: &Scope) -> Result<Explored, Box<Counterexample>> {
    explore_watched::<S>(scope, &mut |_, _| {})
}

/// The same, telling after each state what was found so far, and how many states wait to be gone on from.
///
/// # Errors
/// As [`explore`].
pub fn explore_watched<S: Subject + Clone>(
    scope: &Scope,
    tell: &mut dyn FnMut(&Explored, usize),
) -> Result<Explored, Box<Counterexample>> {
    search::<S>(scope, &|_, _| true, tell)
}

/// The same for one kind of failure. Any other is a dead end: the search goes on beside it, not behind it.
pub(crate) fn search<S: Subject + Clone>(
    scope: &Scope,
    is_sought: Sought<'_, S>,
    tell: &mut dyn FnMut(&Explored, usize),
) -> Result<Explored, Box<Counterexample>> {
    let world = scope.world::<S>();
    let first = scope.key(&world);
    let mut search = Exploration { scope, seen: BTreeSet::from([first]), parents: vec![(0, 0)], keys: vec![first] };
    let mut found = Explored { states: 1, depth: 0, effective: vec![0; Action::WORDS.len()], goals: Goals::default() };
    let mut level = vec![(0, world)];
    while !level.is_empty() && found.depth < scope.deepest {
        let mut next = Vec::new();
        for (number, world) in level {
            search.expand(number, &world, is_sought, &mut next, &mut found)?;
            found.states = search.seen.len();
            tell(&found, found.states - number as usize - 1);
        }
        found.depth += usize::from(!next.is_empty());
        level = next;
    }
    search.replay::<S>()?;
    Ok(found)
}

/// Tells a failure, and the world that it has left, from those that are not looked for.
type Sought<'a, S> = &'a dyn Fn(&Failure, &World<S>) -> bool;

struct Exploration<'a> {
    scope: &'a Scope,
    seen: BTreeSet<StateKey>,
    /// For every state the one before it, and the action that led here.
    parents: Vec<(u32, u16)>,
    keys: Vec<StateKey>,
}

/// How many states are reached once more from the start when a search has ended.
const REPLAYED: usize = 100;

impl Exploration<'_> {
    fn expand<S: Subject + Clone>(
        &mut self,
        number: u32,
        world: &World<S>,
        is_sought: Sought<'_, S>,
        next: &mut Vec<(u32, World<S>)>,
        found: &mut Explored,
    ) -> Result<(), Box<Counterexample>> {
        // Without that a scope has no end: nothing holds an outbox to its limits that its socket was never asked to take.
        let overdue = world.clients().find(|client| world.is_to_be_offered(*client));
        for (action, at) in self.scope.actions.iter().zip(0..) {
            if overdue.is_some_and(|client| !matches!(action, Action::Write(other, _) if *other == client)) {
                continue;
            }
            if !world.can(action) || (self.scope.orderly && !is_sensible(world, action)) {
                continue;
            }
            let mut after = world.clone();
            match after.act(action) {
                Err(failure) if is_sought(&failure, &after) => return Err(self.broken(failure, number, Some(at))),
                Err(_) => continue,
                Ok(_) => {}
            }
            found.effective[action.kind()] += 1;
            found.goals = found.goals | after.goals();
            let reached = self.scope.key(&after);
            if self.seen.insert(reached) {
                if self.seen.len() > self.scope.cap {
                    let failure =
                        Failure::new(Guarantee::G10, format_args!("at most {} states", self.scope.cap), "more");
                    let broken = self.broken(failure, number, Some(at));
                    return Err(Box::new(Counterexample { unfinished: true, ..*broken }));
                }
                next.push((u32::try_from(self.parents.len()).expect("the cap is below that"), after));
                self.parents.push((number, at));
                self.keys.push(reached);
            }
        }
        Ok(())
    }

    /// G9: the same actions from the start lead to the same state, for a part of the states.
    fn replay<S: Subject + Clone>(&self) -> Result<(), Box<Counterexample>> {
        for number in (0..self.keys.len()).step_by(self.keys.len().div_ceil(REPLAYED)) {
            let state = u32::try_from(number).expect("the cap is below that");
            let mut world = self.scope.world::<S>();
            for action in &self.way_to(state) {
                world.act(action).map_err(|failure| self.broken(failure, state, None))?;
            }
            if self.scope.key(&world) != self.keys[number] {
                let failure = Failure::new(Guarantee::G9, "the state that was reached before", "another one");
                return Err(self.broken(failure, state, None));
            }
        }
        Ok(())
    }

    fn broken(&self, failure: Failure, number: u32, last: Option<u16>) -> Box<Counterexample> {
        let mut actions = self.way_to(number);
        actions.extend(last.map(|at| self.scope.actions[usize::from(at)]));
        let trace = Trace { setup: self.scope.setup.clone(), actions };
        Box::new(Counterexample { failure, trace, states: self.seen.len(), unfinished: false })
    }

    /// The actions that lead from the start to a state.
    fn way_to(&self, mut number: u32) -> Vec<Action> {
        let mut actions = Vec::new();
        while number != 0 {
            let (parent, at) = self.parents[number as usize];
            actions.push(self.scope.actions[usize::from(at)]);
            number = parent;
        }
        actions.reverse();
        actions
    }
}

impl Explored {
    /// Progress of a search after so much time. How much is left is not known.
    #[must_use]
    pub fn progress(&self, waiting: usize, elapsed: Duration) -> String {
        let speed = self.transitions() as f64 / elapsed.as_secs_f64();
        let (states, depth) = (self.states, self.depth);
        format!("{states} states, {waiting} of them to be gone on from, depth {depth}, {speed:.0} transitions a second")
    }

    /// How large what was searched is.
    #[must_use]
    pub fn size(&self) -> String {
        format!("{} states, {} transitions, depth {}", self.states, self.transitions(), self.depth)
    }

    fn transitions(&self) -> u64 {
        self.effective.iter().sum()
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.size())?;
        let counts = Action::WORDS.iter().zip(&self.effective).filter(|(_, count)| **count > 0);
        counts.into_iter().try_for_each(|(word, count)| write!(f, " {word}={count}"))
    }
}
