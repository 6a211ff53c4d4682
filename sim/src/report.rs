//! How a failure is told: what was broken, the trace that breaks it with the state after each step, and how to repeat it.

use crate::checks::Failure;
use crate::subject::Subject;
use crate::trace::Trace;
use crate::world::World;
use std::fmt::Write;

/// The trace step by step, with where every client's connection is after each.
#[must_use]
pub fn steps<S: Subject>(trace: &Trace) -> String {
    let mut world = World::<S>::new(&trace.setup);
    let mut text = String::new();
    for (number, action) in trace.actions.iter().enumerate() {
        let result = world.act(action);
        let note = if result == Ok(false) { " (no effect)" } else { "" };
        let states: Vec<String> =
            world.describe().iter().enumerate().map(|(peer, state)| format!("{peer}: {state}")).collect();
        let _ = writeln!(text, "{:4}  {:40} | {}", number + 1, format!("{action}{note}"), states.join(" | "));
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
    format!("{failure}\n\n{}\n\n{}\nrepeat: {repeat}\n", trace.setup, steps::<S>(trace))
}
