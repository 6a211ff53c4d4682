//! A failing trace made shorter: every subsequence of a trace is a trace, so ddmin (Zeller) needs no knowledge of them.

use crate::action::Action;
use crate::checks::Guarantee;
use crate::run::run_twice;
use crate::setup::Setup;
use crate::subject::Subject;

/// The shortest trace found that breaks the same guarantee; `actions` ends with the one that breaks it.
#[must_use]
pub fn shrink<S: Subject>(setup: &Setup, actions: &[Action], guarantee: Guarantee) -> Vec<Action> {
    let mut best = actions.to_vec();
    let mut chunk = best.len().div_ceil(2);
    loop {
        let mut at = 0;
        let before = best.len();
        while at < best.len() {
            let mut candidate = best.clone();
            candidate.drain(at..(at + chunk).min(best.len()));
            match breaks::<S>(setup, &candidate, guarantee) {
                Some(step) => {
                    candidate.truncate(step + 1);
                    best = candidate;
                }
                None => at += chunk,
            }
        }
        if chunk == 1 && best.len() == before {
            return best;
        }
        chunk = chunk.div_ceil(2).max(1);
    }
}

/// The step at which the trace breaks this guarantee before any other.
fn breaks<S: Subject>(setup: &Setup, actions: &[Action], guarantee: Guarantee) -> Option<usize> {
    let (at, failure) = run_twice::<S>(setup, actions).failure?;
    (failure.guarantee == guarantee).then_some(at)
}
