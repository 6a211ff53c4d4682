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
        "42999 states, 441886 transitions, depth 17: \
         accept=9612 upgrade=2262 close=29564 lose=56926 write=87376 api-publish=25582 advance=42345 \
         stale=168792 shutdown=19427",
    );
}

#[test]
fn three_plain_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Plain, 3, 1, 2, 3),
        "98451 states, 1361795 transitions, depth 21: \
         accept=12792 upgrade=2452 close=95067 lose=191423 write=315879 api-publish=33397 \
         advance=98283 stale=577914 shutdown=34588",
    );
}

#[test]
fn two_json_clients_two_rooms_queue_one() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 2, 1, 1),
        "47505 states, 506852 transitions, depth 23: \
         accept=1490 upgrade=372 connect=372 join=10072 leave=13552 close=35540 lose=63607 \
         write=101086 api-publish=21862 advance=46766 stale=188554 shutdown=23579",
    );
}

#[test]
fn two_json_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 1, 2, 3),
        "81775 states, 882957 transitions, depth 26: \
         accept=2227 upgrade=520 connect=520 join=11244 leave=8835 close=69790 lose=113985 \
         write=186669 api-publish=47206 advance=81175 stale=324888 shutdown=35898",
    );
}

#[test]
fn every_end_of_a_plain_client() {
    is_pinned(
        &Scope::ends(Profile::Plain, 2, 1),
        "26854 states, 499292 transitions, depth 15: \
         accept=892 upgrade=404 publish=120 close=22248 violate=11124 lose=91674 break=26408 \
         write=144208 api-publish=4638 api-disconnect-client=53262 advance=26810 stale=106524 \
         shutdown=10980",
    );
}

#[test]
fn every_end_of_a_json_client() {
    is_pinned(
        &Scope::ends(Profile::Json, 1, 2),
        "1970 states, 21737 transitions, depth 13: \
         accept=8 upgrade=4 connect=4 join=56 leave=62 publish=20 close=1172 violate=586 lose=3474 \
         break=981 write=5970 api-publish=666 api-disconnect-client=1966 advance=1920 stale=3932 \
         shutdown=916",
    );
}

#[test]
fn users_in_plain() {
    is_pinned(
        &Scope::users(Profile::Plain, 2, 2),
        "27232 states, 258592 transitions, depth 21: \
         accept=642 upgrade=321 connect=3528 decide=57768 close=26952 lose=40621 write=63720 api- \
         publish-user=11250 api-disconnect-user=27232 advance=26558",
    );
}

#[test]
fn users_in_json() {
    is_pinned(
        &Scope::users(Profile::Json, 2, 2),
        "29659 states, 247599 transitions, depth 21: \
         accept=680 upgrade=340 connect=2380 decide=35360 close=27437 lose=43204 write=69475 api- \
         publish-user=9563 api-disconnect-user=29659 advance=29501",
    );
}

#[test]
fn pings_in_plain() {
    is_pinned(
        &Scope::pings(Profile::Plain, 1, 2),
        "1071 states, 6076 transitions, depth 15: \
         accept=13 upgrade=7 ping=1058 pong=1058 lose=1058 write=1418 api-publish=399 \
         advance=1065",
    );
}

#[test]
fn pings_in_json() {
    is_pinned(
        &Scope::pings(Profile::Json, 1, 2),
        "4904 states, 32571 transitions, depth 19: \
         accept=13 upgrade=7 connect=56 join=2440 leave=1956 ping=4891 pong=4891 lose=4891 \
         write=6862 api-publish=1666 advance=4898",
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
        "2339 states, 14633 transitions, depth 17: \
         accept=24 upgrade=12 connect=12 recover=2700 history=18 leave=18 lose=2291 write=2237 api- \
         publish=747 api-publish-once=747 api-history=2339 api-history-remove=2339 advance=1149",
    );
}

#[test]
fn a_plain_client_and_a_log_of_one() {
    is_pinned_with(
        &Scope::broker(Profile::Plain, 1, 1, 3),
        &[Goal::Gap, Goal::Recovered, Goal::HistoryRemoved],
        "394 states, 2203 transitions, depth 8: \
         accept=138 upgrade=133 lose=348 write=180 api-publish=175 api-publish-once=175 \
         api-history=394 api-history-remove=394 advance=266",
    );
}

#[test]
fn two_who_watch_and_one_who_tells_late() {
    is_pinned_with(
        &Scope::presence(2, 4),
        &[Goal::SawJoin, Goal::SawLeave, Goal::Renamed, Goal::PresenceRead],
        "1935 states, 12228 transitions, depth 20: \
         accept=247 upgrade=184 connect=222 decide=87 watch=914 presence=173 leave=173 lose=3605 \
         write=2753 api-presence=1935 api-unsubscribe=1935",
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
