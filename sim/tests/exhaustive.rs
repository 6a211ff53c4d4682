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
        "56467 states, 584540 transitions, depth 17: \
         accept=13302 upgrade=3114 close=37824 lose=74292 write=114676 api-publish=39270 \
         advance=55723 stale=221470 shutdown=24869",
    );
}

#[test]
fn three_plain_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Plain, 3, 1, 2, 3),
        "98463 states, 1361930 transitions, depth 21: \
         accept=12818 upgrade=2462 close=95077 lose=191433 write=315879 api-publish=33409 \
         advance=98289 stale=577966 shutdown=34597",
    );
}

#[test]
fn two_json_clients_two_rooms_queue_one() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 2, 1, 1),
        "75154 states, 800033 transitions, depth 24: \
         accept=2988 upgrade=716 connect=716 join=14200 leave=13560 close=53628 lose=100136 \
         write=159334 api-publish=48000 advance=74266 stale=297648 shutdown=34841",
    );
}

#[test]
fn two_json_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 1, 2, 3),
        "72213 states, 781189 transitions, depth 24: \
         accept=2242 upgrade=519 connect=519 join=9543 leave=8118 close=62168 lose=101265 \
         write=164898 api-publish=42069 advance=71650 stale=286614 shutdown=31584",
    );
}

#[test]
fn every_end_of_a_plain_client() {
    is_pinned(
        &Scope::ends(Profile::Plain, 2, 1),
        "26865 states, 499450 transitions, depth 15: \
         accept=904 upgrade=414 publish=120 close=22268 violate=11134 lose=91694 break=26413 \
         write=144208 api-publish=4649 api-disconnect-client=53280 advance=26817 stale=106560 \
         shutdown=10989",
    );
}

#[test]
fn every_end_of_a_json_client() {
    is_pinned(
        &Scope::ends(Profile::Json, 1, 2),
        "2206 states, 24447 transitions, depth 13: \
         accept=10 upgrade=6 connect=6 join=64 leave=62 publish=20 close=1296 violate=648 \
         lose=3894 break=1098 write=6588 api-publish=974 api-disconnect-client=2202 advance=2150 \
         stale=4404 shutdown=1025",
    );
}

#[test]
fn users_in_plain() {
    is_pinned(
        &Scope::users(Profile::Plain, 2, 2),
        "38311 states, 372865 transitions, depth 24: \
         accept=1006 upgrade=506 connect=4968 decide=83728 close=39752 lose=58210 write=90678 \
         api-publish-user=18582 api-disconnect-user=38311 advance=37124",
    );
}

#[test]
fn users_in_json() {
    is_pinned(
        &Scope::users(Profile::Json, 2, 2),
        "47391 states, 413626 transitions, depth 26: \
         accept=1330 upgrade=668 connect=4676 decide=69472 close=43579 lose=69556 write=110441 \
         api-publish-user=19332 api-disconnect-user=47391 advance=47181",
    );
}

#[test]
fn pings_in_plain() {
    is_pinned(
        &Scope::pings(Profile::Plain, 1, 2),
        "1218 states, 6836 transitions, depth 15: \
         accept=19 upgrade=13 ping=1199 pong=1199 lose=1199 write=1562 api-publish=436 \
         advance=1209",
    );
}

#[test]
fn pings_in_json() {
    is_pinned(
        &Scope::pings(Profile::Json, 1, 2),
        "6381 states, 42107 transitions, depth 20: \
         accept=19 upgrade=13 connect=91 join=3359 leave=2135 ping=6362 pong=6362 lose=6362 \
         write=8828 api-publish=2204 advance=6372",
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
        "2627 states, 16478 transitions, depth 22: \
         accept=416 upgrade=312 connect=379 decide=156 watch=1151 presence=231 leave=231 \
         lose=4833 write=3515 api-presence=2627 api-unsubscribe=2627",
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
