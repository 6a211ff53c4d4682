//! A defect that is put into the machine: what it changes, what it breaks and what finds it.

use crate::guarantees::Guarantee;
use crate::subjects::subject::{Subject, TurnReport, explain, go_on, release_canary};
use parlor_core::api::Reply;
use parlor_core::error::Error;
use parlor_core::explain::DeliveryAccount;
use parlor_core::{
    Config, ConnId, Effect, Input, Instant, Limits, Now, Refused, RoomName, Shard, Snapshot, Stats, Upgrade, UserId,
};
use std::cell::Cell;

/// A defect by its name, and what finds it.
pub struct Seeded {
    /// Its name.
    pub name: &'static str,
    /// It breaks one of these.
    pub breaks: &'static [Guarantee],
    pub(super) search: FoundBy,
    pub(super) defect: &'static dyn Misbehaviour,
}

impl Seeded {
    /// From now on the subjects that this thread makes have it.
    pub fn choose(&self) {
        DEFECT.set(Some(self.defect));
        self.defect.reset();
    }
}

/// The way in which a defect is found.
pub(super) enum FoundBy {
    /// Random runs of this many seeds, from 0 on. The number is a few times that of the seed which finds it today: a large
    /// one is a defect that is hard to find.
    Seeds(u64),
    /// One trace.
    Trace(&'static str),
}

/// One way to misbehave.
pub(super) trait Misbehaviour: Sync {
    /// Forgets what it has counted in this thread.
    fn reset(&self) {}

    fn configure(&self, _: &mut Config) {}

    fn accept(&self, shard: &mut Shard, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        shard.accept(now, request)
    }

    fn hear(&self, _: &mut Input) {}

    fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
        self.hear(&mut input);
        shard.handle(now, input).collect()
    }

    /// Changes frames in place; their length stays.
    fn send(&self, _: &mut [u8]) {}

    fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
        let mut bytes = Subject::pending(shard, conn)?;
        self.send(&mut bytes);
        Some(bytes)
    }

    fn timeout(&self, shard: &Shard) -> Option<Instant> {
        shard.poll_timeout()
    }

    fn snapshot(&self, shard: &Shard) -> Snapshot {
        shard.snapshot()
    }

    fn stats(&self, shard: &Shard) -> Stats {
        shard.stats()
    }

    fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
        Subject::answer(shard, result)
    }

    /// Has the canary publish.
    fn release_canary(&self, shard: &mut Shard, now: Now, number: u64) -> bool {
        release_canary(shard, now, number)
    }

    /// Changes what is told of a publication.
    fn explain(&self, _: &mut Vec<DeliveryAccount>) {}
}

thread_local! {
    /// A type of its own for each defect would be a world of its own for each to the compiler.
    static DEFECT: Cell<Option<&'static dyn Misbehaviour>> = const { Cell::new(None) };
}

/// The machine with the defect that this thread has chosen.
#[derive(Clone)]
pub struct DefectiveMachine {
    shard: Shard,
    pub(super) defect: &'static dyn Misbehaviour,
    /// As they are configured. One that is not kept is told as if it were: else the list of limits would give it away.
    limits: Limits,
}

impl Subject for DefectiveMachine {
    fn new(mut config: Config, seed: [u8; 32]) -> Self {
        let defect = DEFECT.get().expect("a defect was chosen");
        let limits = config.limits.clone();
        defect.configure(&mut config);
        Self { shard: Shard::new(config, seed), defect, limits }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.defect.accept(&mut self.shard, now, request)
    }

    fn turns(&mut self, now: Now, mut input: Input) -> Vec<TurnReport> {
        // A defect may have shown more bytes than there are.
        if let Input::Flushed { conn, bytes } = &mut input {
            *bytes = (*bytes).min(self.shard.pending(*conn).map_or(*bytes, |pending| pending.len()));
        }
        let mut effects = self.defect.handle(&mut self.shard, now, input);
        go_on(&mut self.shard, now, &mut effects);
        vec![TurnReport::of(self, effects)]
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.defect.timeout(&self.shard)
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        self.defect.pending(&self.shard, conn)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        self.shard.is_paused(conn)
    }

    fn snapshot(&self) -> Snapshot {
        self.defect.snapshot(&self.shard)
    }

    fn details(&self) -> Vec<(ConnId, String)> {
        self.shard.details()
    }

    fn stats(&self) -> Stats {
        self.defect.stats(&self.shard)
    }

    fn audit(&self) {
        self.shard.audit();
    }

    fn explain(&self, room: &RoomName, epoch: &str, offset: u64) -> Option<Vec<DeliveryAccount>> {
        let mut deliveries = explain(&[&self.shard], room, epoch, offset);
        self.defect.explain(&mut deliveries);
        Some(deliveries)
    }

    fn release_canary(&mut self, now: Now, number: u64) -> Option<bool> {
        Some(self.defect.release_canary(&mut self.shard, now, number))
    }

    /// The machine itself is asked: a defect that changes answers has no part in it.
    fn twin(&self) -> Option<Shard> {
        Some(self.shard.clone())
    }

    fn answer(&self, result: &Result<Reply, Error>) -> String {
        match result {
            Ok(Reply::Limits(_)) => self.defect.answer(&self.shard, &Ok(Reply::Limits(self.limits.rows()))),
            _ => self.defect.answer(&self.shard, result),
        }
    }
}

/// A name that is one for sure.
pub(super) fn known(name: &str) -> RoomName {
    RoomName::parse(name, name.len(), &Config::default().namespaces).expect("a name")
}

/// The same of a user.
pub(super) fn known_user(id: &str) -> UserId {
    UserId::parse(id, usize::MAX).expect("an id")
}

/// `name: Type breaks G1 | G2 within 20 seeds { … }`, or `by TRACE`.
macro_rules! defects {
    ($($name:ident: $defect:ident breaks $($guarantee:ident)|+ $how:ident $what:tt $(seeds)? { $($body:tt)* })*) => {
        $(
            struct $defect;

            impl Misbehaviour for $defect { $($body)* }
        )*

        pub(super) const ALL: &[Seeded] = &[$(Seeded {
            name: stringify!($name),
            breaks: &[$(Guarantee::$guarantee),+],
            search: defects!(@$how $what),
            defect: &$defect,
        }),*];
    };
    (@within $seeds:literal) => { FoundBy::Seeds($seeds) };
    (@by $trace:tt) => { FoundBy::Trace($trace) };
}
pub(super) use defects;
