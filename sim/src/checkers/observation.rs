//! The events of a run that property checkers see.

use crate::checkers::sent_command::SentCommand;
use crate::checkers::want::RecoveryRequest;
use crate::world::frames::ReceivedFrame;
use parlor_core::api::Command;
use parlor_core::explain::DeliveryAccount;
use parlor_core::stats::Gauges;
use parlor_core::{ClientId, ConnId, Effect, Input, Instant, Now, Refused, Stats, Upgrade};
use serde_json::Value;

/// One turn: its input, and everything that came of it.
#[derive(Clone, Copy, Debug)]
pub struct ObservedTurn<'a> {
    /// The input.
    pub input: &'a Input,
    /// The client that it is about, if it is about one.
    pub client: Option<usize>,
    /// The effects that are about a client's connection, with the client.
    pub client_effects: &'a [(usize, &'a Effect)],
    /// All effects.
    pub effects: &'a [Effect],
    /// The shard that had it.
    pub shard: usize,
    /// The figures afterwards.
    pub stats: &'a Stats,
    /// The next deadline of that shard afterwards.
    pub timeout: Option<Instant>,
}

/// The answer of a server that is asked what became of a publication.
#[derive(Clone, Debug)]
pub struct ExplainedPublication {
    /// Its room.
    pub room: String,
    /// The epoch of the room's log.
    pub epoch: String,
    /// Its offset.
    pub offset: u64,
    /// Its payload.
    pub data: Value,
    /// What became of it for each connection that the server knows of.
    pub deliveries: Vec<DeliveryAccount>,
    /// The connections that wait for something that they were sent.
    pub behind: Vec<ClientId>,
}

impl ExplainedPublication {
    /// Its room, epoch and offset.
    #[must_use]
    pub fn place(&self) -> (String, String, u64) {
        (self.room.clone(), self.epoch.clone(), self.offset)
    }

    /// Whether a connection has read all that it was sent.
    #[must_use]
    pub fn has_read_all(&self, client: ClientId) -> bool {
        !self.behind.contains(&client)
    }
}

/// Something that was seen, and when.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The time of the last input.
    pub now: Now,
    /// The same of a clock that has stood still where it went back.
    pub clock: Now,
    /// The thing that was seen.
    pub what: Observed<'a>,
}

/// One event that can be seen from outside. A `client` is given by its number.
#[expect(missing_docs, reason = "each is documented by its sentence")]
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// A client asked to come in.
    Came { client: usize, upgrade: &'a Upgrade, answer: Result<ConnId, Refused> },
    /// A command of a client is about to be handed in.
    Asked { client: usize, command: &'a SentCommand },
    /// A turn has ended.
    Turn(ObservedTurn<'a>),
    /// A call of a backend is answered with this body.
    Returned { command: &'a Command, answer: &'a Value },
    /// This call waits for its answer where it should not.
    Unreturned { command: &'a Command },
    /// A shard was lost, and with it the connections of these clients. Another one is in its place.
    ShardLost { shard: usize, clients: &'a [usize] },
    /// A socket was offered `waiting` bytes of so many frames, and takes `taken` of them.
    Offered { client: usize, waiting: usize, frames: usize, taken: usize },
    /// A client read a frame; `text` is its JSON, or null.
    Read { client: usize, frame: &'a ReceivedFrame, text: &'a Value },
    /// A client read the answer to this command: a result, or an error's number.
    Answered { client: usize, command: &'a SentCommand, answer: Result<&'a Value, u64> },
    /// The server was asked what became of a publication that it retains.
    Explained(&'a ExplainedPublication),
    /// The publications after a client's position, before and after a turn in which it may have recovered.
    Histories { want: &'a RecoveryRequest, before: &'a Value, after: &'a Value },
    /// A client reads that it is in a room, and where it is in the room's log. The room without a name is everybody.
    Entered { client: usize, room: &'a str, place: &'a Value },
    /// A client reads that it is in this room no more.
    Left { client: usize, room: &'a str },
    /// A client reads a message: of a room in json, of any of its rooms in plain.
    Published { client: usize, room: Option<&'a str>, publication: &'a Value },
    /// The faults have stopped, and nothing is on its way any more: these clients have read all that they were sent.
    Settled { hearing: &'a [usize] },
    /// The faults have stopped, and this command of a client that has read all that it was sent waits for its answer.
    Unanswered { client: usize, command: &'a SentCommand },
    /// The faults have stopped, everything was read and answered: these clients are well.
    Healed { well: &'a [usize] },
    /// So much time has passed without a word of any other that these clients alone can be there.
    Outlived { well: &'a [usize] },
    /// All have left, and what is kept for a time was kept for that long: the figures, and the next deadline.
    Emptied { gauges: &'a Gauges, timeout: Option<Instant> },
}
