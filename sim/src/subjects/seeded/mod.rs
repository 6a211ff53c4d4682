//! Defects that were put in on purpose, to show that each guarantee and each rule of a session can be broken and that it
//! is noticed: the real machine with one small change each, in how it is configured, in what it understands, in what it
//! does, or in what it says of itself.

mod liveness;
mod machine;
mod session;

use crate::checkers;
use crate::guarantees::{Failure, Guarantee};
use crate::search::batch::Batch;
use crate::search::run::run;
use crate::search::swarm::Options;
use crate::subjects::subject::{Seen, Subject, go_on};
use crate::world::setup::Judges;
use crate::world::trace::Trace;
use parlor_core::api::Reply;
use parlor_core::error::Error;
use parlor_core::{
    Config, ConnId, Effect, Input, Instant, Limits, Name, Now, Refused, Shard, Snapshot, Stats, Upgrade,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic;

/// Steps of a random run.
const STEPS: usize = 300;
/// Seeds that each defect is looked for with where every checker looks for itself.
pub const LEAST: u64 = 100;
/// What notices a defect and is no checker.
pub const OTHERWISE: &str = "otherwise";

/// A defect by its name, and what finds it.
pub struct Seeded {
    /// What it is.
    pub name: &'static str,
    /// It breaks one of these.
    pub breaks: &'static [Guarantee],
    search: Search,
    defect: &'static dyn Defect,
}

/// What finds a defect.
enum Search {
    /// Random runs of this many seeds, from 0 on. The number is a few times that of the seed which finds it today: a large
    /// one is a defect that is hard to find.
    Seeds(u64),
    /// One trace.
    Trace(&'static str),
}

/// How a defect was found.
pub struct Find {
    /// The seed that did it, where it was one.
    pub seed: Option<u64>,
    /// What shows it.
    pub trace: Trace,
    /// What it has broken.
    pub failure: Failure,
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "{} by seed {seed}, in step {}", self.failure.guarantee, self.trace.actions.len()),
            None => write!(f, "{} by a trace of {} steps", self.failure.guarantee, self.trace.actions.len()),
        }?;
        self.failure.checker().map_or(Ok(()), |checker| write!(f, ", as the checker of {checker} says"))
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Seeded> {
    machine::ALL.iter().chain(session::ALL).chain(liveness::ALL)
}

/// The one of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Seeded> {
    all().find(|seeded| seeded.name == name)
}

impl Seeded {
    /// Looks for it.
    ///
    /// # Errors
    /// What was seen in its stead.
    pub fn hunt(&self) -> Result<Find, String> {
        let find = self.hunt_with(Judges::All)?;
        if self.breaks.contains(&find.failure.guarantee) { Ok(find) } else { Err(format!("found {find}")) }
    }

    /// Looks for it with these judges alone. Checkers have [`LEAST`] seeds in any case.
    ///
    /// # Errors
    /// What was seen in its stead.
    pub fn hunt_with(&self, judges: Judges) -> Result<Find, String> {
        self.choose();
        let find = match self.search {
            Search::Seeds(count) => {
                let count = if judges == Judges::All { count } else { count.max(LEAST) };
                match (Batch { first: 0, count, steps: STEPS, judges }).run::<Broken>(|_| {}) {
                    Ok(_) => return Err(format!("{count} seeds have not noticed it")),
                    Err(found) => Find { seed: Some(found.options.seed), trace: found.trace, failure: found.failure },
                }
            }
            Search::Trace(text) => {
                let mut trace: Trace = text.parse()?;
                trace.setup.judges = judges;
                let broken = run::<Broken>(&trace.setup, &trace.actions).failure;
                let (_, failure) = broken.ok_or("its trace has not shown it")?;
                Find { seed: None, trace, failure }
            }
        };
        Ok(find)
    }

    /// Who notices it while the reference model looks away: each checker as if it judged alone, with the first seed that
    /// shows it, of as many as it is looked for and of [`LEAST`] in any case. What ends a run without a checker (a panic, or
    /// bytes that a client cannot read) is [`OTHERWISE`].
    #[must_use]
    pub fn witnesses(&self) -> BTreeMap<&'static str, u64> {
        self.choose();
        let mut witnesses = BTreeMap::new();
        let traces: Box<dyn Iterator<Item = (u64, Trace)>> = match self.search {
            Search::Seeds(count) => Box::new((0..count.max(LEAST)).map(|seed| {
                let options = Options::draw(seed, STEPS);
                (seed, Trace { actions: options.actions(), setup: options.setup })
            })),
            Search::Trace(text) => Box::new(std::iter::once((0, text.parse().expect("a trace")))),
        };
        for (seed, mut trace) in traces {
            trace.setup.judges = Judges::Each;
            // Nobody stops a world that has gone wrong: it may end in a panic of its own.
            let run = panic::catch_unwind(|| run::<Broken>(&trace.setup, &trace.actions));
            let (noticed, failed) = run.map_or((Vec::new(), true), |run| (run.noticed, run.failure.is_some()));
            for name in noticed.into_iter().chain(failed.then_some(OTHERWISE)) {
                witnesses.entry(name).or_insert(seed);
            }
            if checkers::NAMES.iter().all(|name| witnesses.contains_key(name)) {
                break;
            }
        }
        witnesses
    }

    /// From now on the subjects that this thread makes have it.
    pub fn choose(&self) {
        DEFECT.set(Some(self.defect));
    }
}

/// A name that is one for sure.
fn known(name: &str) -> Name {
    Name::room(name, name.len()).expect("a name")
}

/// One way to misbehave.
trait Defect: Sync {
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
}

thread_local! {
    /// A type of its own for each defect would be a world of its own for each to the compiler.
    static DEFECT: Cell<Option<&'static dyn Defect>> = const { Cell::new(None) };
}

/// The machine with the defect that this thread has chosen.
#[derive(Clone)]
pub struct Broken {
    shard: Shard,
    defect: &'static dyn Defect,
    /// As they are configured. One that is not kept is told as if it were: else the list of limits would give it away.
    limits: Limits,
}

impl Subject for Broken {
    fn new(mut config: Config, seed: [u8; 32]) -> Self {
        let defect = DEFECT.get().expect("a defect was chosen");
        let limits = config.limits.clone();
        defect.configure(&mut config);
        Self { shard: Shard::new(config, seed), defect, limits }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.defect.accept(&mut self.shard, now, request)
    }

    fn turns(&mut self, now: Now, mut input: Input) -> Vec<Seen> {
        // A defect may have shown more bytes than there are.
        if let Input::Flushed { conn, bytes } = &mut input {
            *bytes = (*bytes).min(self.shard.pending(*conn).map_or(*bytes, |pending| pending.len()));
        }
        let mut effects = self.defect.handle(&mut self.shard, now, input);
        go_on(&mut self.shard, now, &mut effects);
        vec![Seen::of(self, effects)]
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.defect.timeout(&self.shard)
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        self.defect.pending(&self.shard, conn)
    }

    fn snapshot(&self) -> Snapshot {
        self.defect.snapshot(&self.shard)
    }

    fn stats(&self) -> Stats {
        self.defect.stats(&self.shard)
    }

    fn audit(&self) {
        self.shard.audit();
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

/// `name: Defect breaks G1 | G2 within 20 seeds { … }`, or `by TRACE`.
macro_rules! defects {
    ($($name:ident: $defect:ident breaks $($guarantee:ident)|+ $how:ident $what:tt $(seeds)? { $($body:tt)* })*) => {
        $(
            struct $defect;

            impl Defect for $defect { $($body)* }
        )*

        pub(super) const ALL: &[Seeded] = &[$(Seeded {
            name: stringify!($name),
            breaks: &[$(Guarantee::$guarantee),+],
            search: defects!(@$how $what),
            defect: &$defect,
        }),*];
    };
    (@within $seeds:literal) => { Search::Seeds($seeds) };
    (@by $trace:tt) => { Search::Trace($trace) };
}
use defects;
