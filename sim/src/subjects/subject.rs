//! The subject of a test: the real machine, or another that claims to do the same.

use parlor_core::api::{Command, Reply, json};
use parlor_core::error::Error;
use parlor_core::explain::{DeliveryAccount, DeliveryPlace};
use parlor_core::{
    BadToken, CallId, Claims, Config, ConnId, Effect, Input, Instant, Now, Refused, RoomName, Shard, Snapshot, Stats,
    Upgrade, VerifiedClaims,
};
use std::num::NonZeroUsize;

/// Result of one turn.
#[derive(Clone, Debug)]
pub struct TurnReport {
    /// The shard that had it.
    pub shard: usize,
    /// The input, where it is not the one that was handed in but one that followed from it.
    pub follow_up: Option<Input>,
    /// Bytes that a socket has taken, where the subject writes by itself.
    pub written: Vec<u8>,
    /// The effects.
    pub effects: Vec<Effect>,
    /// The state afterwards; empty where there are several shards, since what they do is not foreseen.
    pub after: Snapshot,
    /// The counts afterwards.
    pub stats: Stats,
    /// The next deadline of this shard afterwards.
    pub timeout: Option<Instant>,
}

impl TurnReport {
    /// The result of a turn with these effects: they, and the state of the subject afterwards.
    pub fn of(subject: &impl Subject, effects: Vec<Effect>) -> Self {
        Self {
            shard: 0,
            follow_up: None,
            written: Vec::new(),
            effects,
            after: subject.snapshot(),
            stats: subject.stats(),
            timeout: subject.poll_timeout(),
        }
    }
}

/// Makes a token that will be found to say this.
pub type Mint = fn(&Result<Claims, BadToken>) -> String;

/// Claims as a verifier would pass them on: the simulated world is its own verifier.
pub fn vouch(verdict: Result<Claims, BadToken>) -> Result<VerifiedClaims, BadToken> {
    #[expect(clippy::disallowed_methods, reason = "the simulator is the verifier")]
    verdict.map(VerifiedClaims::vouched_for_by_verifier)
}

/// What waits on the link from one shard to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkView {
    /// How many messages.
    pub waiting: usize,
    /// The first of them was sent before the last tick.
    pub is_old: bool,
    /// None of them is delivered but one by one.
    pub is_held: bool,
}

/// Something that happens to the links of a subject that has several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkWork {
    /// The next message from the first to the second shard is delivered.
    Deliver(usize, usize),
    /// The next message of any link that is not held is delivered.
    DeliverNext,
    /// What one sends to the other waits from now on.
    Hold(usize, usize),
    /// It does so no more.
    LetGo(usize, usize),
    /// A shard is lost, and started anew.
    Lose(usize),
    /// Nothing is held any more.
    LetAllGo,
    /// From now on all is delivered within the turn.
    Heal,
}

/// A room server without sockets, or with invented ones.
pub trait Subject {
    /// Whether it is a driver that makes the inputs: out of bytes and out of what becomes of sockets.
    const HAS_DRIVER: bool = false;
    /// Where tokens come from, when the subject looks at them by itself.
    const MINT: Option<Mint> = None;
    /// Whether it may have several shards.
    const HAS_SHARDS: bool = false;

    /// One with nothing in it.
    fn new(config: Config, seed: [u8; 32]) -> Self;
    /// One of so many shards, if it may have several; what they send to each other is delivered within the turn, or when the
    /// world has it so.
    fn with_shards(config: Config, seed: [u8; 32], _: NonZeroUsize, _are_links_slow: bool) -> Self
    where
        Self: Sized,
    {
        Self::new(config, seed)
    }
    /// Has the sockets of a driver encrypt what they are offered.
    fn encrypt(&mut self) {}
    /// Takes in a connection.
    ///
    /// # Errors
    /// Why it does not.
    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused>;
    /// Handles one input to the end, turn by turn: a machine alone takes one, a driver may hand in more.
    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport>;

    /// Does something to the links, and hands in what comes of it.
    fn on_links(&mut self, _: Now, _: LinkWork) -> Vec<TurnReport> {
        Vec::new()
    }
    /// The shard of a connection.
    fn shard_of(&self, _: ConnId) -> usize {
        0
    }
    /// What waits on a link.
    fn link(&self, _from: usize, _to: usize) -> LinkView {
        LinkView::default()
    }

    /// When a tick is next useful.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The bytes that wait for a connection's socket; `None` when there are none or no such connection.
    fn pending(&self, conn: ConnId) -> Option<Vec<u8>>;
    /// Whether a connection is not to be read from for now.
    fn is_paused(&self, conn: ConnId) -> bool;
    /// Its state.
    fn snapshot(&self) -> Snapshot;
    /// What its state does not name of each connection, as text for states to be told apart.
    fn details(&self) -> Vec<(ConnId, String)> {
        Vec::new()
    }
    /// Its counts.
    fn stats(&self) -> Stats;
    /// Panics when a guarantee does not hold in its own books.
    fn audit(&self);
    /// The body of the answer to a call.
    fn answer(&self, result: &Result<Reply, Error>) -> String {
        json::encode(result)
    }
    /// A copy of the machine, to be asked what may not disturb it.
    fn twin(&self) -> Option<Shard> {
        None
    }
    /// What it says became of a publication that it retains, for each connection that it knows of.
    fn explain(&self, _room: &RoomName, _epoch: &str, _offset: u64) -> Option<Vec<DeliveryAccount>> {
        None
    }
    /// Has the canary publish this number. Returns whether it has come back, and nothing else come of it; `None` where there is no
    /// canary.
    fn release_canary(&mut self, _: Now, _number: u64) -> Option<bool> {
        None
    }
    /// Notes on what is not in its state, line by line: for a person to read, and for states to be told apart.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The connections on one page of what became of a publication.
const EXPLAINED_AT_ONCE: usize = 2;

/// The answer of a machine to a call.
pub fn ask(shard: &mut Shard, now: Now, command: Command) -> Option<String> {
    answer_in(shard.handle(now, Input::Call { call: CallId(u64::MAX), command }).collect())
}

/// The body of the answer among these effects.
pub fn answer_in(effects: Vec<Effect>) -> Option<String> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::Reply { result, .. } => Some(json::encode(&result)),
        _ => None,
    })
}

/// What machines that are one node say became of a publication, read in short pages.
///
/// # Panics
/// When the home of its room knows nothing of it.
pub fn explain(shards: &[&Shard], room: &RoomName, epoch: &str, offset: u64) -> Vec<DeliveryAccount> {
    let known = shards.iter().find_map(|shard| shard.explain_publication(room, epoch, offset).ok());
    let publication = known.expect("a publication that a log retains is known");
    let mut all = Vec::new();
    for shard in shards {
        let mut from = Some(DeliveryPlace::Member(0));
        while let Some(place) = from {
            let page = shard.explain_deliveries(&publication, place, EXPLAINED_AT_ONCE);
            let is_same = |delivery: &DeliveryAccount| {
                shard.explain_delivery(&publication, delivery.client).as_ref() == Some(delivery)
            };
            assert!(page.deliveries.iter().all(is_same), "a connection alone is told the same of as in a list");
            all.extend(page.deliveries);
            from = page.next;
        }
    }
    all
}

/// Has the canary of a machine publish this number. Returns whether it has come back, and nothing else come of it.
pub fn release_canary(shard: &mut Shard, now: Now, number: u64) -> bool {
    let mut effects: Vec<Effect> = shard.handle(now, Input::Canary { number }).collect();
    go_on(shard, now, &mut effects);
    let Some(canary) = shard.canary() else { return false };
    let is_woken = matches!(effects[..], [Effect::Wake(conn)] if conn == canary);
    let number = number.to_string();
    let frame = [&[0x81, number.len() as u8], number.as_bytes()].concat();
    let has_returned = Subject::pending(shard, canary).as_deref() == Some(&*frame);
    is_woken && has_returned && shard.handle(now, Input::CanaryHeard).next().is_none()
}

/// Lets a machine do all that it has put off. Sockets are the world's to write to, between two inputs.
pub fn go_on(shard: &mut Shard, now: Now, effects: &mut Vec<Effect>) {
    while shard.has_work() {
        effects.extend(shard.resume(now));
    }
    shard.all_offered();
}

impl Subject for Shard {
    fn new(config: Config, seed: [u8; 32]) -> Self {
        Self::new(config, seed)
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.accept(now, request)
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        let mut effects: Vec<Effect> = self.handle(now, input).collect();
        go_on(self, now, &mut effects);
        vec![TurnReport::of(self, effects)]
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        let pending = self.pending(conn)?;
        let mut bytes = Vec::with_capacity(pending.len());
        pending.slices().for_each(|slice| bytes.extend_from_slice(slice));
        Some(bytes)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        self.is_paused(conn)
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn details(&self) -> Vec<(ConnId, String)> {
        self.details()
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn audit(&self) {
        self.audit();
    }

    fn twin(&self) -> Option<Shard> {
        Some(self.clone())
    }

    fn explain(&self, room: &RoomName, epoch: &str, offset: u64) -> Option<Vec<DeliveryAccount>> {
        Some(explain(&[self], room, epoch, offset))
    }

    fn release_canary(&mut self, now: Now, number: u64) -> Option<bool> {
        Some(release_canary(self, now, number))
    }
}
