//! Bytes that stand for a trace: first what the world is like, then four for each action.

use super::Teller;
use super::taken::Taken;
use crate::action::Action;
use crate::report;
use crate::run::run_twice;
use crate::setup::Setup;
use crate::shrink::shorten;
use crate::subject::Subject;
use crate::trace::Trace;
use parlor_core::Shard;

/// More of them only make a run slow.
const MOST_ACTIONS: usize = 250;

/// Runs the actions that these bytes stand for, as the random runs do: every turn judged by the oracle and audited, every
/// stream read by a third party, and all of it twice.
///
/// # Panics
/// When a guarantee is broken: with the shortest trace that breaks it.
pub fn actions(bytes: &[u8]) {
    check::<Shard>(bytes);
}

/// The same through the server's own host and driver, over invented sockets.
///
/// # Panics
/// As [`actions`].
#[cfg(feature = "driver")]
pub fn driver(bytes: &[u8]) {
    check::<crate::hosted::Hosted>(bytes);
}

/// The trace that these bytes stand for.
#[must_use]
pub fn trace(bytes: &[u8]) -> Trace {
    let mut taken = Taken(bytes);
    let setup = setup(&mut taken);
    let action =
        |[kind, arguments @ ..]: [u8; 4]| Action::decode(usize::from(kind) % Action::WORDS.len(), arguments, &setup);
    let actions = taken.steps().take(MOST_ACTIONS).map(action).collect();
    Trace { setup, actions }
}

/// As text that `replay` takes.
pub(super) fn tell(bytes: &[u8], tell: Teller<'_>) {
    let trace = trace(bytes);
    tell(format_args!("{}", trace.setup));
    trace.actions.iter().for_each(|action| tell(format_args!("{action}")));
}

fn check<S: Subject>(bytes: &[u8]) {
    let Trace { setup, actions } = trace(bytes);
    if let Some((at, failure)) = run_twice::<S>(&setup, &actions).failure {
        let trace = shorten::<S>(&Trace { setup, actions: actions[..=at].to_vec() }, failure.guarantee);
        panic!("{}\n{trace}", report::failure::<S>(&failure, &trace, "parlor-sim replay, of the lines that follow"));
    }
}

/// A byte for each thing that is not as it is by default, which zeros stand for.
pub(super) fn setup(taken: &mut Taken<'_>) -> Setup {
    let default = Setup::default();
    let (conns, rooms, users) = (taken.between(1, 6), taken.between(1, 3), taken.between(1, 3));
    let forbidden = taken.byte();
    let allowed = |bit: u8| u64::from(forbidden & 1 << bit == 0);
    let mut pick = |first, others: &[u64]| taken.pick(&[&[first], others].concat());
    Setup {
        conns,
        rooms,
        users,
        allow_anonymous: allowed(0),
        allow_subscribe: allowed(1),
        allow_publish: allowed(2),
        allow_history: allowed(3),
        allow_presence: allowed(4),
        seed: pick(0, &[1, 2, 3]),
        outbox_frames: pick(default.outbox_frames, &[1, 2, 3, 4, 8, 16]),
        outbox_bytes: pick(default.outbox_bytes, &[1 << 15, 1 << 16]),
        publication_bytes: pick(default.publication_bytes, &[64, 200, 4000]),
        history_messages: pick(default.history_messages, &[0, 1, 2, 10]),
        history_age: pick(default.history_age, &[0, 3, 30]),
        history_bytes: pick(default.history_bytes, &[100, 400]),
        logs: pick(default.logs, &[1, 2, 3]),
        reply_messages: pick(default.reply_messages, &[1, 2]),
        reply_bytes: pick(default.reply_bytes, &[30, 60, 90, 200, 700]),
        idempotency_window: pick(default.idempotency_window, &[2]),
        idempotency_keys: pick(default.idempotency_keys, &[1, 2]),
        ping_interval: pick(default.ping_interval, &[11, 60]),
        write_timeout: pick(default.write_timeout, &[1, 9]),
        close_timeout: pick(default.close_timeout, &[1]),
        expiry_grace: pick(default.expiry_grace, &[0]),
        connections: pick(default.connections, &[1, 2, 4]),
        connections_per_user: pick(default.connections_per_user, &[1, 2]),
        connections_per_ip: pick(default.connections_per_ip, &[1, 3]),
        rooms_per_connection: pick(default.rooms_per_connection, &[1, 2, 3]),
        new_connections: pick(default.new_connections, &[1, 5]),
        new_connections_per_ip: pick(default.new_connections_per_ip, &[1, 3]),
        client_commands: pick(default.client_commands, &[1, 20]),
        client_publishes: pick(default.client_publishes, &[1, 3]),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_world_that_a_server_would_start_with() {
        for byte in 0..=255 {
            let setup = setup(&mut Taken(&[byte; 40]));
            assert_eq!(setup.config().limits.validate(), Ok(()), "{setup}");
        }
        let zeros = setup(&mut Taken(&[]));
        assert_eq!(zeros, Setup { conns: 1, rooms: 1, users: 1, ..Setup::default() });
    }

    #[test]
    fn bytes_stand_for_actions_by_their_place() {
        let setup = [0; 28];
        let tail = [[0, 0, 0, 0], [1, 0, 0, 0]].concat();
        let trace = trace(&[&setup[..], &tail, &[7]].concat());
        let words: Vec<String> = trace.actions.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["accept 0 json 0", "upgrade 0"], "what does not fill an action is none");
    }
}
