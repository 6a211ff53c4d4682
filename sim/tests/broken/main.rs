//! Every guarantee can be broken, and so can every rule of a session: subjects that misbehave in one way each, and what
//! the simulator says about them.

mod liveness;
mod machine;
mod session;

use parlor_core::{Config, ConnId, Effect, Input, Instant, Now, Refused, Shard, Snapshot, Stats, Upgrade};
use parlor_sim::checks::Guarantee;
use parlor_sim::run::run_twice;
use parlor_sim::subject::Subject;
use parlor_sim::swarm::Options;
use std::cell::Cell;

/// One way to misbehave, on top of the real machine: in how it is configured, in what it understands, in what it does,
/// or in what it says of itself.
trait Defect: Default {
    fn configure(_: &mut Config) {}

    fn accept(&mut self, shard: &mut Shard, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        shard.accept(now, request)
    }

    fn hear(_: &mut Input) {}

    fn handle(&mut self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
        Self::hear(&mut input);
        shard.handle(now, input).collect()
    }

    /// Changes frames in place; their length stays.
    fn send(_: &mut Vec<u8>) {}

    fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
        let mut bytes = Subject::pending(shard, conn)?;
        Self::send(&mut bytes);
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
}

/// The same where it is not known which: else the compiler would make a world of its own for each of them.
trait AnyDefect {
    fn configure(&self, config: &mut Config);
    fn accept(&mut self, shard: &mut Shard, now: Now, request: Upgrade) -> Result<ConnId, Refused>;
    fn handle(&mut self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect>;
    fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>>;
    fn timeout(&self, shard: &Shard) -> Option<Instant>;
    fn snapshot(&self, shard: &Shard) -> Snapshot;
    fn stats(&self, shard: &Shard) -> Stats;
}

impl<D: Defect> AnyDefect for D {
    fn configure(&self, config: &mut Config) {
        D::configure(config);
    }
    fn accept(&mut self, shard: &mut Shard, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        Defect::accept(self, shard, now, request)
    }
    fn handle(&mut self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
        Defect::handle(self, shard, now, input)
    }
    fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
        Defect::pending(self, shard, conn)
    }
    fn timeout(&self, shard: &Shard) -> Option<Instant> {
        Defect::timeout(self, shard)
    }
    fn snapshot(&self, shard: &Shard) -> Snapshot {
        Defect::snapshot(self, shard)
    }
    fn stats(&self, shard: &Shard) -> Stats {
        Defect::stats(self, shard)
    }
}

thread_local! {
    /// The defect that the next subjects of this thread have.
    static DEFECT: Cell<fn() -> Box<dyn AnyDefect>> = const { Cell::new(|| unreachable!("a test says which")) };
}

fn choose<D: Defect + 'static>() {
    DEFECT.set(|| Box::new(D::default()));
}

struct Broken {
    shard: Shard,
    defect: Box<dyn AnyDefect>,
}

impl Subject for Broken {
    fn new(mut config: Config, seed: [u8; 32]) -> Self {
        let defect = DEFECT.get()();
        defect.configure(&mut config);
        Self { shard: Shard::new(config, seed), defect }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.defect.accept(&mut self.shard, now, request)
    }

    fn handle(&mut self, now: Now, mut input: Input) -> Vec<Effect> {
        // A defect may have shown more bytes than there are.
        if let Input::Flushed { conn, bytes } = &mut input {
            *bytes = (*bytes).min(self.shard.pending(*conn).map_or(*bytes, |pending| pending.len()));
        }
        self.defect.handle(&mut self.shard, now, input)
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
}

/// Asserts that random runs find the defect within so many seeds, and that they say it breaks one of these.
fn is_caught<D: Defect + 'static>(seeds: u64, guarantees: &[Guarantee]) {
    choose::<D>();
    for seed in 0..seeds {
        let options = Options::draw(seed, 300);
        let Some((_, failure)) = run_twice::<Broken>(&options.setup, &options.actions()).failure else { continue };
        assert!(guarantees.contains(&failure.guarantee), "seed {seed}: {failure}");
        println!("found by seed {seed} of {seeds}");
        return;
    }
    panic!("{seeds} seeds did not notice");
}

/// `name: Defect breaks G1 | G2 within 20 seeds { … }`. The number is a few times that of the seed which finds it today: a
/// large one is a defect that is hard to find.
macro_rules! defects {
    ($($test:ident: $defect:ident breaks $($guarantee:ident)|+ within $seeds:literal seeds { $($body:tt)* })*) => {$(
        #[derive(Default)]
        struct $defect;

        impl crate::Defect for $defect { $($body)* }

        #[test]
        fn $test() {
            crate::is_caught::<$defect>($seeds, &[$(Guarantee::$guarantee),+]);
        }
    )*};
}
use defects;
