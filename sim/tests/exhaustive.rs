//! Every state of the small scopes. The counts are pinned: a change of any of them is a change of what can happen, and
//! deserves a sentence that says why.

use parlor_core::Shard;
use parlor_sim::congruence::compare_merged;
use parlor_sim::coverage::Goal;
use parlor_sim::explore::{Found, Profile, Scope, explore, explore_watched};
use parlor_sim::report;
use std::time::Duration;

fn search(scope: &Scope) -> Found {
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
        &Scope::rooms(Profile::Plain, 2, 2, 1, 3),
        "42999 states, 441886 transitions, depth 17: accept=9612 upgrade=2262 close=29564 \
         lose=56926 write=87376 api-publish=25582 advance=42345 stale=168792 shutdown=19427",
    );
}

#[test]
fn three_plain_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Plain, 3, 1, 2, 3),
        "98451 states, 1361795 transitions, depth 21: accept=12792 upgrade=2452 close=95067 \
         lose=191423 write=315879 api-publish=33397 advance=98283 stale=577914 shutdown=34588",
    );
}

#[test]
fn two_json_clients_two_rooms_queue_one() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 2, 1, 1),
        "43551 states, 466436 transitions, depth 22: accept=1442 upgrade=354 connect=354 \
         join=9424 leave=12220 close=32816 lose=58567 write=92842 api-publish=21466 advance=42812 \
         stale=172762 shutdown=21377",
    );
}

#[test]
fn two_json_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 1, 2, 3),
        "70759 states, 765837 transitions, depth 24: accept=2092 upgrade=484 connect=484 \
         join=9438 leave=8118 close=61244 lose=99326 write=161895 api-publish=40615 advance=70207 \
         stale=280944 shutdown=30990",
    );
}

#[test]
fn every_end_of_a_plain_client() {
    is_pinned(
        &Scope::ends(Profile::Plain, 2, 1),
        "26854 states, 499292 transitions, depth 15: accept=892 upgrade=404 publish=120 \
         close=22248 violate=11124 lose=91674 break=26408 write=144208 api-publish=4638 \
         api-disconnect-client=53262 advance=26810 stale=106524 shutdown=10980",
    );
}

#[test]
fn every_end_of_a_json_client() {
    is_pinned(
        &Scope::ends(Profile::Json, 1, 2),
        "1898 states, 21025 transitions, depth 13: accept=8 upgrade=4 connect=4 join=56 leave=62 \
         publish=20 close=1156 violate=578 lose=3360 break=945 write=5754 api-publish=666 \
         api-disconnect-client=1894 advance=1848 stale=3788 shutdown=882",
    );
}

#[test]
fn users_in_plain() {
    is_pinned(
        &Scope::users(Profile::Plain, 2, 2),
        "57559 states, 589079 transitions, depth 21: accept=894 upgrade=447 connect=13938 \
         decide=127272 close=70568 lose=92276 write=146749 api-publish-user=24306 \
         api-disconnect-user=57559 advance=55070",
    );
}

#[test]
fn users_in_json() {
    is_pinned(
        &Scope::users(Profile::Json, 2, 2),
        "26649 states, 227311 transitions, depth 21: accept=648 upgrade=324 connect=2268 \
         decide=33696 close=25527 lose=39456 write=62845 api-publish-user=9407 \
         api-disconnect-user=26649 advance=26491",
    );
}

#[test]
fn pings_in_plain() {
    is_pinned(
        &Scope::pings(Profile::Plain, 1, 2),
        "1212 states, 6814 transitions, depth 15: accept=16 upgrade=10 ping=1196 pong=1196 \
         lose=1196 write=1562 api-publish=432 advance=1206",
    );
}

#[test]
fn pings_in_json() {
    is_pinned(
        &Scope::pings(Profile::Json, 1, 2),
        "5824 states, 38433 transitions, depth 20: accept=16 upgrade=10 connect=76 join=2966 \
         leave=2135 ping=5808 pong=5808 lose=5808 write=8096 api-publish=1892 advance=5818",
    );
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
    is_pinned_with(
        &Scope::broker(Profile::Json, 1, 1, 2),
        &[&RECOVERY[..], &[Goal::HistoryRemoved, Goal::PublishedOnce, Goal::Aged]].concat(),
        "2711 states, 19030 transitions, depth 18: \
         accept=41 upgrade=23 connect=23 recover=5103 history=18 leave=18 lose=2624 write=2537 \
         api-publish=911 api-publish-once=911 api-history=2711 api-history-remove=2711 \
         advance=1399",
    );
}

#[test]
fn a_plain_client_and_a_log_of_one() {
    is_pinned_with(
        &Scope::broker(Profile::Plain, 1, 1, 3),
        &[Goal::Gap, Goal::Recovered, Goal::HistoryRemoved],
        "538 states, 3066 transitions, depth 8: \
         accept=231 upgrade=216 lose=461 write=210 api-publish=245 api-publish-once=245 \
         api-history=538 api-history-remove=538 advance=382",
    );
}

#[test]
fn two_who_watch_and_one_who_tells_late() {
    is_pinned_with(
        &Scope::presence(2, 4),
        &[Goal::SawJoin, Goal::SawLeave, Goal::Renamed, Goal::PresenceRead],
        "1925 states, 12153 transitions, depth 20: accept=247 upgrade=184 connect=222 decide=87 \
         watch=904 presence=168 leave=168 lose=3585 write=2738 api-presence=1925 \
         api-unsubscribe=1925",
    );
}

/// What a symmetric key forgets must not matter: with every client named there are more states, but nothing
/// else happens in them.
#[test]
fn a_search_by_name_finds_the_same() {
    let scope = Scope::rooms(Profile::Plain, 2, 1, 1, 2);
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
fn states_that_are_taken_for_one_have_one_future() {
    for (name, scope, least) in [
        ("plain rooms", Scope::rooms(Profile::Plain, 1, 2, 1, 2), 100),
        ("two plain clients", Scope::rooms(Profile::Plain, 2, 1, 1, 1), 1000),
        ("json rooms", Scope::rooms(Profile::Json, 1, 2, 1, 1), 500),
        ("plain ends", Scope::ends(Profile::Plain, 1, 1), 100),
        ("plain users", Scope::users(Profile::Plain, 1, 1), 100),
        ("json users", Scope::users(Profile::Json, 1, 1), 100),
        ("json pings", Scope::pings(Profile::Json, 1, 1), 500),
        ("plain log", Scope::broker(Profile::Plain, 1, 1, 2), 100),
        ("json log", Scope::broker(Profile::Json, 1, 1, 1), 500),
        ("presence", Scope::presence(1, 4), 20),
    ] {
        let compared = compare_merged::<Shard>(&scope).unwrap_or_else(|differ| panic!("{name}: {differ}"));
        assert!(compared >= least, "{name}: {compared} states were compared");
    }
}

/// A scope that does not end is a failure, not a result.
#[test]
fn a_cap_is_a_failure() {
    let scope = Scope { cap: 50, ..Scope::rooms(Profile::Plain, 2, 1, 1, 1) };
    assert!(explore::<Shard>(&scope).is_err());
}

#[test]
fn a_search_says_where_it_is() {
    let mut told = Vec::new();
    let mut tell = |found: &Found, waiting| {
        told.push((found.states, waiting, found.progress(waiting, Duration::from_secs(1))));
    };
    let found = explore_watched::<Shard>(&Scope::rooms(Profile::Plain, 1, 1, 1, 1), &mut tell).expect("clean");
    assert_eq!(told.len(), found.states, "once for each");
    let (states, waiting, line) = told.last().expect("there is one");
    assert_eq!((*states, *waiting), (found.states, 0), "at the end nothing waits");
    assert!(
        line.starts_with(&format!("{states} states, 0 of them to be gone on from, depth {}, ", found.depth)),
        "{line}"
    );
    assert!(told[0].1 > 0, "at the beginning something does");
}
