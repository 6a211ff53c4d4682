//! What notices a change of the core within seconds: small scopes to their end, and some random runs.

use parlor_core::Shard;
use parlor_sim::search::explore::{Scope, ScopeProtocol, explore};
use parlor_sim::search::run::run;
use parlor_sim::search::swarm::Options;

#[test]
fn random_runs_are_clean() {
    for seed in 0..600 {
        let options = Options::draw(seed, 300);
        let run = run::<Shard>(&options.setup, &options.actions());
        assert!(run.failure.is_none(), "seed {seed}: {:?}", run.failure);
    }
}

#[test]
fn small_scopes_are_clean() {
    for protocol in [ScopeProtocol::Plain, ScopeProtocol::Json] {
        let found =
            explore::<Shard>(&Scope::rooms(protocol, 2, 1, 1, 2)).unwrap_or_else(|broken| panic!("{}", broken.failure));
        println!("{found}");
    }
}
