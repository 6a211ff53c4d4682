//! Random runs of the server's own host and driver, over invented sockets.
#![cfg(feature = "driver")]

use parlor_sim::goals::Goals;
use parlor_sim::search::report;
use parlor_sim::search::run::run_twice;
use parlor_sim::search::shrink::shorten;
use parlor_sim::search::swarm::Options;
use parlor_sim::subjects::hosted::Hosted;
use parlor_sim::world::action::{Action, Client, Payload, Rooms, WriteBudget};
use parlor_sim::world::setup::Setup;
use parlor_sim::world::trace::Trace;

const SEEDS: u64 = 100;

#[test]
fn the_driver_reports_events_and_writes_waiting_frames() {
    let mut goals = Goals::default();
    for seed in 0..SEEDS {
        let options = Options::draw(seed, 300);
        let actions = options.actions();
        let run = run_twice::<Hosted>(&options.setup, &actions);
        if let Some((at, failure)) = run.failure {
            let trace = Trace { setup: options.setup, actions: actions[..=at].to_vec() };
            let trace = shorten::<Hosted>(&trace, failure.guarantee);
            let repeat = format!("parlor-sim --driver --seed {seed}");
            panic!("{}", report::failure::<Hosted>(&failure, &trace, &repeat));
        }
        goals = goals | run.goals;
    }
    assert!(goals.count() > 60, "{} goals were reached through the driver", goals.count());
}

#[test]
fn more_frames_than_one_write_gathers_are_written_in_parts() {
    let publish = Action::ApiPublishAll(Payload::Small);
    let frames = vec![publish; 100];
    let actions =
        [vec![Action::Enter(Client(0), Rooms(1))], frames, vec![Action::Write(Client(0), WriteBudget::All)]].concat();
    let run = run_twice::<Hosted>(&Setup::default(), &actions);
    assert_eq!(run.failure, None);
    assert_eq!(run.effective.iter().sum::<u64>(), 102, "every step meant something");
}
