//! Every state of the small scopes. The counts are pinned: a change of any of them is a change of what can happen, and
//! deserves a sentence that says why.

use parlor_core::Shard;
use parlor_sim::goals::Goal;
use parlor_sim::search::congruence::compare_merged;
use parlor_sim::search::explore::{Explored, Scope, ScopeProtocol, explore, explore_watched};
use parlor_sim::search::report;
use std::time::Duration;

fn search(scope: &Scope) -> Explored {
    explore::<Shard>(scope).unwrap_or_else(|broken| {
        panic!("{}", report::failure::<Shard>(&broken.failure, &broken.trace, "parlor-sim replay FILE"))
    })
}

fn is_pinned(scope: &Scope, pin: &str) {
    assert_eq!(search(scope).to_string(), pin);
}

/// The same for a scope that must reach these goals.
fn is_pinned_with(scope: &Scope, goals: &[Goal], pin: &str) {
    let found = search(scope);
    assert_eq!(found.to_string(), pin);
    for goal in goals {
        assert!(found.goals.has(*goal), "{goal}");
    }
}

#[test]
fn two_plain_clients_two_rooms_queue_one() {
    is_pinned(
        &Scope::rooms(ScopeProtocol::Plain, 2, 2, 1, 3),
        "36634 states, 348306 transitions, depth 17: accept=9150 upgrade=2148 close=21298 \
         lose=44024 write=69993 api-publish=19038 advance=33853 stale=133562 shutdown=15240",
    );
}

#[test]
fn three_plain_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(ScopeProtocol::Plain, 3, 1, 2, 3),
        "112410 states, 1510777 transitions, depth 23: accept=13856 upgrade=2511 close=91472 \
         lose=207100 write=374306 api-publish=39610 advance=108751 stale=639274 shutdown=33897",
    );
}

#[test]
fn two_json_clients_two_rooms_queue_one() {
    is_pinned(
        &Scope::rooms(ScopeProtocol::Json, 2, 2, 1, 1),
        "43602 states, 399757 transitions, depth 22: accept=1368 upgrade=321 connect=321 \
         join=4856 leave=6284 close=24302 lose=50144 write=83066 api-publish=19572 advance=38653 \
         stale=153712 shutdown=17158",
    );
}

#[test]
fn two_json_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(ScopeProtocol::Json, 2, 1, 2, 3),
        "67980 states, 675709 transitions, depth 24: accept=2006 upgrade=433 connect=433 \
         join=2598 leave=2987 close=43880 lose=88141 write=155089 api-publish=37209 advance=64052 \
         stale=254822 shutdown=24059",
    );
}

#[test]
fn every_end_of_a_plain_client() {
    is_pinned(
        &Scope::ends(ScopeProtocol::Plain, 2, 1),
        "34036 states, 600836 transitions, depth 15: accept=1024 upgrade=456 publish=120 \
         close=26312 violate=13156 lose=107482 break=31014 write=185220 api-publish=4638 \
         api-disconnect-client=62540 advance=31498 stale=125080 shutdown=12296",
    );
}

#[test]
fn every_end_of_a_json_client() {
    is_pinned(
        &Scope::ends(ScopeProtocol::Json, 1, 2),
        "2250 states, 24269 transitions, depth 13: accept=8 upgrade=4 connect=4 join=28 leave=26 \
         publish=8 close=1108 violate=554 lose=3864 break=1097 write=7012 api-publish=806 \
         api-disconnect-client=2198 advance=2172 stale=4396 shutdown=984",
    );
}

#[test]
fn users_in_plain() {
    is_pinned(
        &Scope::users(ScopeProtocol::Plain, 2, 2),
        "44658 states, 358678 transitions, depth 21: accept=742 upgrade=371 connect=3353 \
         decide=66836 close=31615 lose=59361 write=105560 api-publish-user=14590 api-disconnect-user=38460 \
         advance=37790",
    );
}

#[test]
fn users_in_json() {
    is_pinned(
        &Scope::users(ScopeProtocol::Json, 2, 2),
        "35136 states, 278742 transitions, depth 21: accept=722 upgrade=361 connect=1805 \
         decide=41876 close=25236 lose=47372 write=84239 api-publish-user=11391 \
         api-disconnect-user=32907 advance=32833",
    );
}

#[test]
fn pings_in_plain() {
    is_pinned(
        &Scope::pings(ScopeProtocol::Plain, 1, 2),
        "863 states, 4072 transitions, depth 14: accept=16 upgrade=10 ping=566 pong=566 lose=762 \
         write=1103 api-publish=277 advance=772",
    );
}

#[test]
fn pings_in_json() {
    is_pinned(
        &Scope::pings(ScopeProtocol::Json, 1, 2),
        "2942 states, 13769 transitions, depth 19: accept=16 upgrade=10 connect=55 join=431 \
         leave=386 ping=1405 pong=1405 lose=2531 write=4128 api-publish=861 advance=2541",
    );
}

/// What is answered the same leads to the same state, so that not every reason for a refusal is seen.
const RECOVERY: [Goal; 4] =
    [Goal::Recovered, Goal::RecoveredNothing, Goal::UnrecoveredBeyond, Goal::UnrecoveredTrimmed];

#[test]
fn a_json_client_and_a_log_of_one() {
    is_pinned_with(
        &Scope::home(ScopeProtocol::Json, 1, 1, 2),
        &[&RECOVERY[..], &[Goal::HistoryRemoved, Goal::PublishedOnce, Goal::Aged]].concat(),
        "1118 states, 6955 transitions, depth 12: accept=42 upgrade=21 connect=21 recover=1323 \
         history=21 leave=21 lose=1055 write=971 api-publish=325 api-publish-once=325 \
         api-history=1118 api-history-remove=1118 advance=594",
    );
}

#[test]
fn a_plain_client_and_a_log_of_one() {
    is_pinned_with(
        &Scope::home(ScopeProtocol::Plain, 1, 1, 3),
        &[Goal::Gap, Goal::Recovered, Goal::HistoryRemoved],
        "1320 states, 6798 transitions, depth 9: accept=294 upgrade=257 lose=1220 write=708 \
         api-publish=462 api-publish-once=462 api-history=1318 api-history-remove=1318 \
         advance=759",
    );
}

#[test]
fn presence_in_json_and_plain() {
    is_pinned_with(
        &Scope::presence(2, 4),
        &[Goal::SawJoin, Goal::SawLeave, Goal::Renamed, Goal::PresenceRead],
        "1291 states, 6410 transitions, depth 20: accept=167 upgrade=111 connect=136 decide=53 \
         watch=337 presence=113 leave=113 lose=1823 write=1607 api-presence=975 \
         api-unsubscribe=975",
    );
}

/// What a symmetric key forgets must not matter: with every client named there are more states, but nothing
/// else happens in them.
#[test]
fn a_search_by_name_finds_the_same() {
    let scope = Scope::rooms(ScopeProtocol::Plain, 2, 1, 1, 2);
    let (symmetric, raw) = (search(&scope), search(&scope.raw()));
    assert_eq!((symmetric.depth, symmetric.goals), (raw.depth, raw.goals));
    assert!(
        raw.states > symmetric.states && raw.states <= 4 * symmetric.states,
        "{} and {}",
        raw.states,
        symmetric.states
    );
}

/// A search goes no further where it takes a state for one that it knows: so that one must go on in the same way.
#[test]
fn states_that_are_treated_as_equal_have_equal_successors() {
    for (name, scope, least) in [
        ("plain rooms", Scope::rooms(ScopeProtocol::Plain, 1, 2, 1, 2), 100),
        ("two plain clients", Scope::rooms(ScopeProtocol::Plain, 2, 1, 1, 1), 1000),
        ("json rooms", Scope::rooms(ScopeProtocol::Json, 1, 2, 1, 1), 500),
        ("plain ends", Scope::ends(ScopeProtocol::Plain, 1, 1), 100),
        ("plain users", Scope::users(ScopeProtocol::Plain, 1, 1), 100),
        ("json users", Scope::users(ScopeProtocol::Json, 1, 1), 100),
        ("json pings", Scope::pings(ScopeProtocol::Json, 1, 1), 500),
        ("plain log", Scope::home(ScopeProtocol::Plain, 1, 1, 2), 100),
        ("json log", Scope::home(ScopeProtocol::Json, 1, 1, 1), 500),
        ("presence", Scope::presence(1, 4), 20),
    ] {
        let compared = compare_merged::<Shard>(&scope).unwrap_or_else(|differ| panic!("{name}: {differ}"));
        assert!(compared >= least, "{name}: {compared} states were compared");
    }
}

/// A scope that does not end is a failure, not a result.
#[test]
fn a_cap_is_a_failure() {
    let scope = Scope { cap: 50, ..Scope::rooms(ScopeProtocol::Plain, 2, 1, 1, 1) };
    assert!(explore::<Shard>(&scope).is_err());
}

#[test]
fn a_search_reports_its_progress() {
    let mut reports = Vec::new();
    let mut tell = |found: &Explored, waiting| {
        reports.push((found.states, waiting, found.progress(waiting, Duration::from_secs(1))));
    };
    let found = explore_watched::<Shard>(&Scope::rooms(ScopeProtocol::Plain, 1, 1, 1, 1), &mut tell).expect("clean");
    assert_eq!(reports.len(), found.states, "once for each");
    let (states, waiting, line) = reports.last().expect("there is one");
    assert_eq!((*states, *waiting), (found.states, 0), "at the end nothing waits");
    assert!(
        line.starts_with(&format!("{states} states, 0 of them to be gone on from, depth {}, ", found.depth)),
        "{line}"
    );
    assert!(reports[0].1 > 0, "at the beginning something does");
}
