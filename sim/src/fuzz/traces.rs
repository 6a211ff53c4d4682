//! Bytes that stand for a trace: first what the world is like, then four for each action.

use super::taken::Taken;
use super::target::Teller;
use crate::rng::Rng;
use crate::search::report;
use crate::search::run::run_twice;
use crate::search::shrink::shorten;
use crate::subjects::subject::Subject;
use crate::world::action::Action;
use crate::world::setup::Setup;
use crate::world::trace::Trace;
use parlor_core::{Limit, Shard};

/// More of them only make a run slow.
const MOST_ACTIONS: usize = 250;

/// Runs the actions that these bytes stand for, as the random runs do: every turn judged by the reference model and audited, every
/// stream read by a second reader, and all of it twice.
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
    check::<crate::subjects::hosted::Hosted>(bytes);
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

/// The limits that have a byte of their own, in its place, and what it stands for besides the default. What is kept in the
/// corpora means something only with this list, so it stays as it is: [`extra_limits`] are where new ones come in.
const PLACED: [(Limit, &[u64]); 23] = [
    (Limit::OutboxFrames, &[1, 2, 3, 4, 8, 16]),
    (Limit::OutboxBytes, &[1 << 15, 1 << 16]),
    (Limit::PublicationBytes, &[64, 200, 4000]),
    (Limit::HistoryMessages, &[0, 1, 2, 10]),
    (Limit::HistoryAge, &[0, 3, 30]),
    (Limit::HistoryBytes, &[100, 400]),
    (Limit::Logs, &[2, 4, 6]),
    (Limit::ReplyMessages, &[1, 2]),
    (Limit::ReplyBytes, &[30, 60, 90, 200, 700]),
    (Limit::IdempotencyWindow, &[2]),
    (Limit::IdempotencyKeys, &[1, 2]),
    (Limit::PingInterval, &[11, 60]),
    (Limit::WriteTimeout, &[1, 9]),
    (Limit::CloseTimeout, &[1]),
    (Limit::ExpiryGrace, &[0]),
    (Limit::Connections, &[1, 2, 4]),
    (Limit::ConnectionsPerUser, &[1, 2]),
    (Limit::ConnectionsPerIp, &[1, 3]),
    (Limit::RoomsPerConnection, &[1, 2, 3]),
    (Limit::NewConnections, &[1, 5]),
    (Limit::NewConnectionsPerIp, &[1, 3]),
    (Limit::ClientCommands, &[5, 20]),
    (Limit::ClientPublishes, &[1, 3]),
];

/// The setup: a byte for each setting, where zero stands for the default, and at the end
/// what there is of limits that have no such place.
pub(super) fn setup(taken: &mut Taken<'_>) -> Setup {
    let (conns, rooms, users) = (taken.between(1, 6), taken.between(1, 3), taken.between(1, 3));
    let forbidden = taken.byte();
    let allowed = |bit: u8| u64::from(forbidden & 1 << bit == 0);
    let mut setup = Setup {
        conns,
        rooms,
        users,
        allow_anonymous: allowed(0),
        allow_subscribe: allowed(1),
        allow_publish: allowed(2),
        allow_history: allowed(3),
        allow_presence: allowed(4),
        seed: taken.pick(&[0, 1, 2, 3]),
        ..Setup::default()
    };
    for (limit, others) in PLACED {
        let at = usize::from(taken.byte()) % (others.len() + 1);
        setup = if at == 0 { setup } else { setup.with(limit, others[at - 1]) };
    }
    let connections = setup.limits.connections.min(setup.limits.logs / 2);
    setup.limits.connections = connections;
    extra_limits(taken).fold(setup, |setup, [low, high, which, _]| {
        let place = u16::from_le_bytes([low, high]);
        let Some(limit) = Limit::ALL.iter().find(|limit| place_of(**limit) == place) else { return setup };
        let drawn = limit.simulated().drawn;
        let Some(value) = drawn.get(usize::from(which) % drawn.len().max(1)) else { return setup };
        let other = setup.clone().with(*limit, *value);
        if other.validate().is_ok() { other } else { setup }
    })
}

/// Where one byte is left that does not fill an action, it says how many limits come before it, four bytes for each: two
/// for its name, and one for the value among those that a simulation draws.
fn extra_limits<'a>(taken: &mut Taken<'a>) -> impl Iterator<Item = [u8; 4]> + use<'a> {
    let (steps, rest) = taken.0.as_chunks();
    let count = if let [count] = rest { usize::from(*count % 8).min(steps.len()) } else { 0 };
    let (actions, limits) = steps.split_at(steps.len() - count);
    *taken = Taken(actions.as_flattened());
    limits.iter().copied()
}

/// The two bytes that a limit's name stands for. They do not depend on which other limits there are.
fn place_of(limit: Limit) -> u16 {
    let [low, high, ..] = Rng::stream(0, limit.name()).draw().to_le_bytes();
    u16::from_le_bytes([low, high])
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
        let trace = trace(&[&setup[..], &tail, &[7, 7]].concat());
        let words: Vec<String> = trace.actions.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["accept 0 json 0", "upgrade 0"], "what does not fill an action is none");
    }

    /// The corpora are worth something only as long as this holds.
    #[test]
    fn bytes_mean_the_same_whatever_other_limits_there_are() {
        let bytes: Vec<u8> = (0..28).collect();
        let expected = "setup conns=1 rooms=2 users=3 allow_anonymous=0 allow_subscribe=0 ping_interval=11 write_timeout=9 \
                        expiry_grace=0 publication_bytes=4000 outbox_frames=8 rooms_per_connection=3 history_messages=2 \
                        history_age=0 history_bytes=100 logs=6 reply_bytes=30 connections=3 connections_per_ip=1 \
                        new_connections_per_ip=1 client_commands=20";
        assert_eq!(setup(&mut Taken(&bytes)).to_string(), expected);
    }

    #[test]
    fn a_limit_without_a_place_comes_at_the_end() {
        let [low, high] = place_of(Limit::PongTimeout).to_le_bytes();
        let bytes = [&[0; 28][..], &[0, 0, 0, 0], &[low, high, 0, 0], &[1]].concat();
        let trace = trace(&bytes);
        assert_eq!(trace.to_string(), "setup conns=1 rooms=1 users=1 pong_timeout=3\naccept 0 json 0\n");
        let places: std::collections::BTreeSet<u16> = Limit::ALL.iter().map(|limit| place_of(*limit)).collect();
        assert_eq!(places.len(), Limit::ALL.len(), "two limits have the same place: the newer needs another name");
    }
}
