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
        "17702 states, 202035 transitions, depth 17: \
         accept=6198 upgrade=1527 close=19312 lose=33338 write=36111 api-publish=10860 \
         advance=17048 stale=68742 shutdown=8899",
    );
}

#[test]
fn three_plain_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Plain, 3, 1, 2, 3),
        "25187 states, 389793 transitions, depth 21: \
         accept=5246 upgrade=1069 close=39434 lose=70315 write=84016 api-publish=8733 advance=25019 \
         stale=145876 shutdown=10085",
    );
}

#[test]
fn two_json_clients_two_rooms_queue_one() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 2, 1, 1),
        "20241 states, 245787 transitions, depth 23: \
         accept=966 upgrade=252 connect=252 join=6936 leave=9696 close=23564 lose=39516 write=44426 \
         api-publish=9454 advance=19502 stale=80010 shutdown=11213",
    );
}

#[test]
fn two_json_clients_one_room_queue_two() {
    is_pinned(
        &Scope::rooms(Profile::Json, 2, 1, 2, 3),
        "37877 states, 456443 transitions, depth 26: \
         accept=1525 upgrade=364 connect=364 join=7870 leave=6326 close=47591 lose=74229 \
         write=91505 api-publish=21789 advance=37277 stale=149998 shutdown=17605",
    );
}

#[test]
fn every_end_of_a_plain_client() {
    is_pinned(
        &Scope::ends(Profile::Plain, 2, 1),
        "11879 states, 235016 transitions, depth 15: \
         accept=592 upgrade=268 publish=76 close=14864 violate=7432 lose=46332 break=11583 \
         write=64942 api-publish=1843 api-disconnect-client=23462 advance=11835 stale=46924 \
         shutdown=4863",
    );
}

#[test]
fn every_end_of_a_json_client() {
    is_pinned(
        &Scope::ends(Profile::Json, 1, 2),
        "1468 states, 17104 transitions, depth 13: \
         accept=8 upgrade=4 connect=4 join=56 leave=62 publish=20 close=1172 violate=586 lose=2920 \
         break=730 write=4560 api-publish=490 api-disconnect-client=1464 advance=1418 stale=2928 \
         shutdown=682",
    );
}

#[test]
fn users_in_plain() {
    is_pinned(
        &Scope::users(Profile::Plain, 2, 2),
        "13917 states, 145214 transitions, depth 21: \
         accept=446 upgrade=223 connect=2646 decide=27532 close=19674 lose=27388 write=34676 \
         api-publish-user=5469 api-disconnect-user=13917 advance=13243",
    );
}

#[test]
fn users_in_json() {
    is_pinned(
        &Scope::users(Profile::Json, 2, 2),
        "14321 states, 134500 transitions, depth 21: \
         accept=472 upgrade=236 connect=1652 decide=16048 close=19103 lose=28170 write=35703 \
         api-publish-user=4632 api-disconnect-user=14321 advance=14163",
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
        "2315 states, 14517 transitions, depth 17: \
         accept=24 upgrade=12 connect=12 recover=2700 history=18 leave=18 lose=2291 write=2213 \
         api-publish=737 api-publish-once=737 api-history=2315 api-history-remove=2315 advance=1125",
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
        "1857 states, 11827 transitions, depth 20: \
         accept=243 upgrade=181 connect=218 decide=85 watch=897 presence=170 leave=170 lose=3531 \
         write=2618 api-presence=1857 api-unsubscribe=1857",
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
