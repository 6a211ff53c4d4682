//! Property checkers: each judges one thing that a user could state, over what is seen from outside alone. They know none
//! of core's rules and constants, keep no state of the server, and never ask the reference model.
//!
//! What is seen is an [`Observation`]: who came, what was put in and what came of it, what a socket was offered and took,
//! which frames a client read. [`dialogue`](Dialogue) adds what follows from the client protocol alone: which command a
//! frame answers, and which room a client takes itself to be in.

mod accepted;
mod access;
mod bounds;
mod calls;
mod closes;
mod conduct;
mod dialogue;
mod events;
mod half;
mod liveness;
mod rates;
mod receiver;
mod recovery;
mod shown;
mod streams;
mod want;

use crate::guarantees::{Failure, Guarantees};
use crate::world::frames::Frame;
use crate::world::setup::{Judges, Setup};
use access::Access;
use bounds::Bounds;
use closes::Closes;
pub use dialogue::Command;
use dialogue::Dialogue;
use events::Events;
use liveness::Liveness;
use parlor_core::stats::Gauges;
use parlor_core::{ConnId, Effect, Input, Instant, Now, Refused, Stats, Upgrade};
use recovery::Recovery;
use serde_json::Value;
use std::collections::BTreeMap;
use streams::Streams;
pub use want::Want;

/// What one turn was given, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The input.
    pub input: &'a Input,
    /// The client that it is about, if it is about one.
    pub client: Option<usize>,
    /// The effects that are about a client's connection, with the client.
    pub told: &'a [(usize, &'a Effect)],
    /// All effects.
    pub effects: &'a [Effect],
    /// The body of the answer to a call; null where it is one that puts nothing in.
    pub answer: Option<&'a Value>,
    /// The figures afterwards.
    pub stats: &'a Stats,
    /// The next deadline afterwards.
    pub timeout: Option<Instant>,
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Something that was seen, and when.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The time of the last input.
    pub now: Now,
    /// What.
    pub what: What<'a>,
}

/// What can be seen from outside. A `client` is given by its number.
#[expect(missing_docs, reason = "each is documented by its sentence")]
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A client asked to come in.
    Came { client: usize, upgrade: &'a Upgrade, answer: Result<ConnId, Refused> },
    /// A command of a client is about to be handed in.
    Asked { client: usize, command: &'a Command },
    /// A turn has ended.
    Turn(Turn<'a>),
    /// A socket was offered `waiting` bytes of so many frames, and takes `taken` of them.
    Offered { client: usize, waiting: usize, frames: usize, taken: usize },
    /// A client read a frame; `text` is its JSON, or null.
    Read { client: usize, frame: &'a Frame, text: &'a Value },
    /// What a client read answers this command, with a result or with an error's number.
    Answered { client: usize, command: &'a Command, answer: Result<&'a Value, u64> },
    /// What the history had behind what a client had last, before and after a turn in which it may have recovered.
    Histories { want: &'a Want, before: &'a Value, after: &'a Value },
    /// A client reads that it is in a room, and where it is in the room's log. The room without a name is everybody.
    Entered { client: usize, room: &'a str, place: &'a Value },
    /// A client reads that it is in this room no more.
    Left { client: usize, room: &'a str },
    /// A client reads a message: of a room in json, of any of its rooms in plain.
    Published { client: usize, room: Option<&'a str>, publication: &'a Value },
    /// The faults have stopped, and this command of a client that is well waits for its answer.
    Unanswered { client: usize, command: &'a Command },
    /// The faults have stopped, everything was read and answered: these clients are well.
    Healed { well: &'a [usize] },
    /// So much time has passed without a word of any other that these clients alone can be there.
    Outlived { well: &'a [usize] },
    /// All have left, and what is kept for a time was kept for that long: the figures, and the next deadline.
    Emptied { gauges: &'a Gauges, timeout: Option<Instant> },
}

/// One property.
pub trait Checker {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Takes in what was seen.
    ///
    /// # Errors
    /// The property does not hold.
    fn saw(&mut self, seen: &Observation<'_>) -> Result<(), Failure>;
}

/// The names of all checkers.
pub const NAMES: [&str; 7] = ["streams", "recovery", "closes", "access", "bounds", "events", "liveness"];

/// All checkers of one world.
#[derive(Clone, Debug)]
pub struct Checkers {
    judges: Judges,
    overlooked: Guarantees,
    /// Those that have noticed something, where that ends nothing.
    noticed: Vec<&'static str>,
    clients: BTreeMap<ConnId, usize>,
    dialogue: Dialogue,
    streams: Streams,
    recovery: Recovery,
    closes: Closes,
    access: Access,
    bounds: Bounds,
    events: Events,
    liveness: Liveness,
}

impl Checkers {
    /// Those of a world in which nothing has happened. `by_driver`: sockets are offered what waits without being seen to.
    #[must_use]
    pub fn new(setup: &Setup, by_driver: bool) -> Self {
        let config = setup.config();
        Self {
            judges: setup.judges,
            overlooked: setup.overlooked,
            noticed: Vec::new(),
            clients: BTreeMap::new(),
            dialogue: Dialogue::default(),
            streams: Streams::default(),
            recovery: Recovery::new(&config.limits),
            closes: Closes::new(&config, by_driver),
            access: Access::new(&config),
            bounds: Bounds::new(&config.limits),
            events: Events::default(),
            liveness: Liveness::default(),
        }
    }

    /// Those that have noticed something, where that ends nothing.
    #[must_use]
    pub fn noticed(&self) -> &[&'static str] {
        &self.noticed
    }

    /// What the client of this input may be about to recover: what it says now, and what it waits for.
    #[must_use]
    pub fn wants(&self, input: &Input) -> Vec<Want> {
        let Some(client) = input.conn().and_then(|conn| self.clients.get(&conn).copied()) else { return Vec::new() };
        let text = if let Input::Message { text, .. } = input { text.as_str() } else { "" };
        self.dialogue.wants(client, text)
    }

    /// Takes in a turn.
    ///
    /// # Errors
    /// As [`Self::saw`].
    pub fn turned(
        &mut self,
        now: Now,
        input: &Input,
        effects: &[Effect],
        answer: Option<&str>,
        (stats, timeout): (&Stats, Option<Instant>),
    ) -> Result<(), Failure> {
        let answer = answer.map(|body| if calls::puts_in(input) { json(body) } else { Value::Null });
        let client_of = |effect: &Effect| match effect {
            Effect::Closed { conn, .. } | Effect::Authenticate { conn, .. } => self.clients.get(conn).copied(),
            _ => None,
        };
        let told: Vec<(usize, &Effect)> =
            effects.iter().filter_map(|effect| Some((client_of(effect)?, effect))).collect();
        let client = input.conn().and_then(|conn| self.clients.get(&conn).copied());
        let judged = self.saw(
            now,
            What::Turn(Turn { input, client, told: &told, effects, answer: answer.as_ref(), stats, timeout }),
        );
        for effect in effects {
            if let Effect::Closed { conn, .. } = effect {
                self.clients.remove(conn);
            }
        }
        judged
    }

    /// Takes in what was seen.
    ///
    /// # Errors
    /// A property that does not hold, with the name of its checker.
    pub fn saw(&mut self, now: Now, what: What<'_>) -> Result<(), Failure> {
        if let What::Came { client, answer: Ok(conn), .. } = what {
            self.clients.insert(conn, client);
        }
        let Self {
            judges,
            overlooked,
            noticed,
            dialogue,
            streams,
            recovery,
            closes,
            access,
            bounds,
            events,
            liveness,
            ..
        } = self;
        let mut tell = |what: What<'_>| {
            let all: [&mut dyn Checker; NAMES.len()] = [streams, recovery, closes, access, bounds, events, liveness];
            for checker in all {
                let name = checker.name();
                if !judges.has(name) || noticed.contains(&name) {
                    continue;
                }
                match checker.saw(&Observation { now, what }) {
                    Err(failure) if overlooked.has(failure.guarantee) => {}
                    Err(_) if *judges == Judges::Each => noticed.push(name),
                    judged => judged.map_err(|failure| failure.found_by(name))?,
                }
            }
            Ok(())
        };
        dialogue.follow(what, &mut tell)
    }
}
