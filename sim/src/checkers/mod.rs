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
mod receiver;
mod recovery;
mod shown;
mod streams;

use crate::checks::Failure;
use crate::client::Frame;
use crate::setup::Setup;
use access::Access;
use bounds::Bounds;
use closes::Closes;
pub use dialogue::Command;
use dialogue::Dialogue;
use events::Events;
use parlor_core::{ConnId, Effect, Input, Now, Refused, Stats, Upgrade};
use recovery::Recovery;
pub use recovery::Want;
use serde_json::Value;
use std::collections::BTreeMap;
use streams::Streams;

/// What one turn was given, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The input.
    pub input: &'a Input,
    /// The client that it is about, if it is about one.
    pub peer: Option<usize>,
    /// The effects that are about a client's connection, with the client.
    pub told: &'a [(usize, &'a Effect)],
    /// All effects.
    pub effects: &'a [Effect],
    /// The body of the answer to a call.
    pub answer: Option<&'a Value>,
    /// The figures afterwards.
    pub stats: &'a Stats,
}

/// Something that was seen, and when.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The time of the last input.
    pub now: Now,
    /// What.
    pub what: What<'a>,
}

/// What can be seen from outside. A `peer` is a client.
#[expect(missing_docs, reason = "each is documented by its sentence")]
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A client asked to come in.
    Came { peer: usize, upgrade: &'a Upgrade, answer: Result<ConnId, Refused> },
    /// A command of a client is about to be handed in.
    Asked { peer: usize, command: &'a Command },
    /// A turn has ended.
    Turn(Turn<'a>),
    /// A socket was offered `waiting` bytes, and takes `taken` of them.
    Offered { peer: usize, waiting: usize, taken: usize },
    /// A client read a frame; `text` is its JSON, or null.
    Read { peer: usize, frame: &'a Frame, text: &'a Value },
    /// What a client read answers this command, with a result or with an error's number.
    Answered { peer: usize, command: &'a Command, answer: Result<&'a Value, u64> },
    /// What the history had behind what a client had last, before and after a turn in which it may have recovered.
    Histories { want: &'a Want, before: &'a Value, after: &'a Value },
    /// A client reads that it is in a room, and where it is in the room's log. The room without a name is everybody.
    Entered { peer: usize, room: &'a str, place: &'a Value },
    /// A client reads that it is in this room no more.
    Left { peer: usize, room: &'a str },
    /// A client reads a message: of a room in json, of any of its rooms in plain.
    Published { peer: usize, room: Option<&'a str>, publication: &'a Value },
    /// The faults have stopped, and this command of a client that is well waits for its answer.
    Unanswered { peer: usize, command: &'a Command },
    /// The faults have stopped, everything was read and answered: these clients are well.
    Healed { well: &'a [usize] },
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

/// All checkers of one world.
#[derive(Clone, Debug)]
pub struct Checkers {
    peers: BTreeMap<ConnId, usize>,
    dialogue: Dialogue,
    streams: Streams,
    recovery: Recovery,
    closes: Closes,
    access: Access,
    bounds: Bounds,
    events: Events,
}

impl Checkers {
    /// Those of a world in which nothing has happened. `by_driver`: sockets are offered what waits without being seen to.
    #[must_use]
    pub fn new(setup: &Setup, by_driver: bool) -> Self {
        let config = setup.config();
        Self {
            peers: BTreeMap::new(),
            dialogue: Dialogue::default(),
            streams: Streams::default(),
            recovery: Recovery::new(&config.limits),
            closes: Closes::new(&config, by_driver),
            access: Access::new(&config),
            bounds: Bounds::new(&config.limits),
            events: Events::default(),
        }
    }

    /// What the client of this input may be about to recover: what it says now, and what it waits for.
    #[must_use]
    pub fn wants(&self, input: &Input) -> Vec<Want> {
        let Some(peer) = input.conn().and_then(|conn| self.peers.get(&conn).copied()) else { return Vec::new() };
        let text = if let Input::Message { text, .. } = input { text.as_str() } else { "" };
        self.dialogue.wants(peer, text)
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
        stats: &Stats,
    ) -> Result<(), Failure> {
        let answer = answer.map(|body| serde_json::from_str(body).unwrap_or_default());
        let peer_of = |effect: &Effect| match effect {
            Effect::Closed { conn, .. } | Effect::Authenticate { conn, .. } => self.peers.get(conn).copied(),
            _ => None,
        };
        let told: Vec<(usize, &Effect)> =
            effects.iter().filter_map(|effect| Some((peer_of(effect)?, effect))).collect();
        let peer = input.conn().and_then(|conn| self.peers.get(&conn).copied());
        self.saw(now, What::Turn(Turn { input, peer, told: &told, effects, answer: answer.as_ref(), stats }))
    }

    /// Takes in what was seen.
    ///
    /// # Errors
    /// A property that does not hold, with the name of its checker.
    pub fn saw(&mut self, now: Now, what: What<'_>) -> Result<(), Failure> {
        if let What::Came { peer, answer: Ok(conn), .. } = what {
            self.peers.insert(conn, peer);
        }
        let Self { dialogue, streams, recovery, closes, access, bounds, events, .. } = self;
        let mut tell = |what: What<'_>| {
            let all: [&mut dyn Checker; 6] = [streams, recovery, closes, access, bounds, events];
            for checker in all {
                checker.saw(&Observation { now, what }).map_err(|failure| failure.found_by(checker.name()))?;
            }
            Ok(())
        };
        dialogue.follow(what, &mut tell)
    }
}
