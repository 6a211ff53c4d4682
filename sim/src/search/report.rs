//! How a failure is told: what was broken, the trace that breaks it with the state after each step, and how to repeat it.

use crate::guarantees::Failure;
use crate::search::shrink::Minimality;
use crate::subjects::subject::Subject;
use crate::world::World;
use crate::world::trace::Trace;
use std::fmt::Write;

/// How the program that repeats a failure is called.
pub const COMMAND: &str = "cargo run --release -p parlor-sim --";

/// The trace step by step, with where every client's connection is after each, and below it what there is of rooms,
/// users and logs where that has changed.
#[must_use]
pub fn steps<S: Subject>(trace: &Trace) -> String {
    let mut world = World::<S>::new(&trace.setup);
    let mut text = String::new();
    let mut before = Vec::new();
    for (number, action) in (1..).zip(&trace.actions) {
        let result = world.act(action);
        let note = if result == Ok(false) { " (no effect)" } else { "" };
        let states: Vec<String> =
            world.describe().iter().enumerate().map(|(client, state)| format!("{client}: {state}")).collect();
        let _ = writeln!(text, "{number:4}  {:40} | {}", format!("{action}{note}"), states.join(" | "));
        let rooms = world.describe_rooms();
        if rooms != before {
            let summary = if rooms.is_empty() { "no rooms, users and logs".into() } else { rooms.join(", ") };
            let _ = writeln!(text, "      {summary}");
            before = rooms;
        }
        if let Err(failure) = result {
            let _ = writeln!(text, "      ^ {}", failure.guarantee);
            break;
        }
    }
    text
}

/// Everything that a person needs to see of a failure.
#[must_use]
pub fn failure<S: Subject>(failure: &Failure, trace: &Trace, repeat: &str) -> String {
    let steps = steps::<S>(trace);
    format!("{failure}\n\n{}\n\n{steps}{}\nrepeat: {repeat}\n", trace.setup, legend(&steps))
}

/// Legend for those signs in these steps that do not explain themselves.
#[must_use]
pub fn legend(steps: &str) -> &'static str {
    if steps.contains("#u") { "#u0 is the personal room of user u0\n" } else { "" }
}

/// The same for a trace that was shrunk, with whether there is a shorter one.
#[must_use]
pub fn shrunk<S: Subject>(broken: &Failure, trace: &Trace, proof: Minimality, repeat: &str) -> String {
    format!("{}trace:  {} steps, {proof}\n", failure::<S>(broken, trace, repeat), trace.actions.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guarantees::Guarantee;
    use crate::subjects::naive::V0;
    use parlor_core::Shard;

    #[test]
    fn every_step_shows_connections_rooms_users_and_logs() {
        let trace: Trace = "setup conns=2 rooms=1 users=1 seed=1
            enter 0 1
            api-publish 0 small
            flush
            enter 0 1
            lose 0 eof"
            .parse()
            .expect("a trace");
        let expected = "   1  enter 0 1                                | 0: ready [#u0 r0] out 0 | 1: -
      room #u0 {0}, room r0 {0}, user u0 {0}, log #u0 at 0 [], log r0 at 0 []
   2  api-publish 0 small                      | 0: ready [#u0 r0] out 1 | 1: -
      room #u0 {0}, room r0 {0}, user u0 {0}, log #u0 at 0 [], log r0 at 1 [1]
   3  flush                                    | 0: ready [#u0 r0] out 0 | 1: -
   4  enter 0 1 (no effect)                    | 0: ready [#u0 r0] out 0 | 1: -
   5  lose 0 eof                               | 0: - | 1: -
      log r0 at 1 [1]
";
        assert_eq!(steps::<Shard>(&trace), expected);
    }

    #[test]
    fn a_personal_room_in_a_failure_is_explained() {
        let trace = |users: u64| format!("setup conns=1 rooms=1 users={users}; enter 0 1").parse().expect("a trace");
        let failure = |users| super::failure::<Shard>(&Failure::new(Guarantee::G2, "", ""), &trace(users), "");
        assert!(failure(1).contains("[#u0 r0]") && failure(1).contains("\n#u0 is the personal room of user u0\n"));
        assert!(!failure(0).contains('#'));
    }

    #[test]
    fn a_failure_says_how_to_repeat_it() {
        let trace: Trace = "setup conns=1 rooms=1 users=0\nenter 0 1\nviolate 0 binary".parse().expect("a trace");
        let (_, failure) = crate::search::run::run::<V0>(&trace.setup, &trace.actions).failure.expect("a ghost");
        let text = shrunk::<V0>(&failure, &trace, Minimality::Minimal(3), "parlor-sim replay ghost.trace --subject v0");
        for part in ["G3: No empty room", "expected: ", "saw: ", "^ G3", "proved minimal", "repeat: parlor-sim replay"]
        {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
