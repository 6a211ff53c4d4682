//! Another configuration, and back: as nothing is lost by limits that allow more, nobody can tell that it was there.

use super::state::World;
use super::stimulus::Stimulus;
use crate::guarantees::Failure;
use crate::subjects::subject::Subject;
use parlor_core::limits::{Rate, ValueMut};
use parlor_core::{Config, Input, Limit, Limits};

impl<S: Subject> World<S> {
    pub(super) fn reload(&mut self) -> Result<(), Failure> {
        let own = self.setup.config();
        let generous = Input::Configured { config: generous(own.clone()).into() };
        self.turn(generous, &Stimulus::Configured { is_own: false })?;
        self.turn(Input::Configured { config: own.into() }, &Stimulus::Configured { is_own: true })
    }
}

/// A configuration in which there may be twice as much of everything that is counted or kept. Names are not longer: what holds
/// twice as many of those would have to hold four times as much.
fn generous(mut config: Config) -> Config {
    let is_of_name = |limit: &&Limit| matches!(limit, Limit::RoomNameBytes | Limit::FilterEventBytes);
    for limit in Limit::ALL.iter().filter(|limit| !is_of_name(limit)) {
        match config.limits.value_mut(*limit) {
            ValueMut::Count(most) | ValueMut::Bytes(most) => *most *= 2,
            ValueMut::OptionalCount(most) => *most = None,
            ValueMut::Rate(Rate { burst, .. }) => *burst *= 2,
            ValueMut::Duration(_) => {}
        }
    }
    let Limits { history_age, log_memory, idempotency_window, .. } = &mut config.limits;
    [history_age, log_memory, idempotency_window].into_iter().for_each(|time| *time *= 2);
    for policy in config.namespaces.policies_mut() {
        policy.history_messages *= 2;
        policy.history_age *= 2;
        policy.history_bytes_per_room *= 2;
    }
    config
}
