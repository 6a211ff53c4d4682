//! Any list of actions at all: what the random runs would not think of, shrunk by proptest.

use parlor_core::{Limit, Shard};
use parlor_sim::search::report;
use parlor_sim::search::run::run_twice;
use parlor_sim::world::action::Action;
use parlor_sim::world::setup::Setup;
use parlor_sim::world::trace::Trace;
use proptest::prelude::*;

fn actions(setup: &Setup) -> impl Strategy<Value = Vec<Action>> + use<> {
    let setup = setup.clone();
    let kinds = 0..Action::WORDS.len();
    let action = (kinds, any::<[u8; 3]>()).prop_map(move |(kind, bytes)| Action::decode(kind, bytes, &setup));
    prop::collection::vec(action, 0..120)
}

fn check(setup: &Setup, actions: Vec<Action>) -> Result<(), TestCaseError> {
    match run_twice::<Shard>(setup, &actions).failure {
        None => Ok(()),
        Some((_, failure)) => {
            let trace = Trace { setup: setup.clone(), actions };
            Err(TestCaseError::fail(report::failure::<Shard>(&failure, &trace, "parlor-sim replay FILE")))
        }
    }
}

fn tiny() -> Setup {
    let setup = Setup { conns: 3, rooms: 2, ..Setup::default() };
    let setup = setup.with(Limit::OutboxFrames, 2).with(Limit::HistoryMessages, 2);
    setup.with(Limit::Connections, 3).with(Limit::RoomsPerConnection, 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_list_of_actions_breaks_a_guarantee(actions in actions(&Setup::default())) {
        check(&Setup::default(), actions)?;
    }

    #[test]
    fn no_list_of_actions_breaks_a_guarantee_with_tiny_limits(actions in actions(&tiny())) {
        check(&tiny(), actions)?;
    }

    #[test]
    fn a_trace_reads_back_from_its_text(actions in actions(&tiny())) {
        let trace = Trace { setup: tiny(), actions };
        prop_assert_eq!(trace.to_string().parse(), Ok(trace));
    }
}
