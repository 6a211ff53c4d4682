//! Every state of the small scopes of a session. The counts are pinned: a change of any of them is a change of what can
//! happen, and deserves a sentence that says why.

use parlor_core::Shard;
use parlor_sim::coverage::Goal;
use parlor_sim::explore::{Found, Profile, Scope, explore};
use parlor_sim::report;

fn search(scope: &Scope) -> Found {
    explore::<Shard>(scope).unwrap_or_else(|broken| {
        panic!("{}", report::failure::<Shard>(&broken.failure, &broken.trace, "parlor-sim replay FILE"))
    })
}

/// Searches a scope, of which the number of states and the depth are pinned, and which must reach these goals.
fn is_pinned(scope: &Scope, pin: (usize, usize), goals: &[Goal]) {
    let found = search(scope);
    assert_eq!((found.states, found.depth), pin, "{found}");
    for goal in goals {
        assert!(found.goals.has(*goal), "{goal}");
    }
}

const RECOVERY: [Goal; 5] = [
    Goal::Recovered,
    Goal::RecoveredNothing,
    Goal::UnrecoveredEpoch,
    Goal::UnrecoveredBeyond,
    Goal::UnrecoveredTrimmed,
];

#[test]
fn a_json_client_and_a_log_of_one() {
    let scope = Scope::broker(Profile::Json, 1, 1, 2);
    is_pinned(&scope, (2315, 17), &[&RECOVERY[..], &[Goal::HistoryRemoved, Goal::PublishedOnce, Goal::Aged]].concat());
}

#[test]
fn a_plain_client_and_a_log_of_one() {
    is_pinned(&Scope::broker(Profile::Plain, 1, 1, 3), (214, 8), &[Goal::Gap, Goal::Recovered, Goal::HistoryRemoved]);
}

#[test]
fn two_who_watch_and_one_who_tells_late() {
    is_pinned(&Scope::presence(2, 4), (3664, 20), &[Goal::SawJoin, Goal::SawLeave, Goal::Renamed, Goal::PresenceRead]);
}
