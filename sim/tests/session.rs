//! Every rule of a session can be broken: subjects that get recovery, history, presence, tokens or limits wrong in one way
//! each, and what the simulator says about them.

use parlor_core::api::Command;
use parlor_core::limits::Rate;
use parlor_core::{Config, ConnId, Effect, Input, Instant, Now, Refused, Shard, Snapshot, Stats, Upgrade};
use parlor_sim::checks::Guarantee;
use parlor_sim::run::run_twice;
use parlor_sim::subject::Subject;
use parlor_sim::swarm::Options;
use std::marker::PhantomData;
use std::time::Duration;

/// One way to misbehave: in how it is configured, in what it understands, or in what it sends.
trait Defect: Clone {
    fn configure(_: &mut Config) {}
    fn hear(_: &mut Input) {}
    /// Changes frames in place; their length stays.
    fn send(_: &mut Vec<u8>) {}
}

#[derive(Clone)]
struct Broken<D>(Shard, PhantomData<D>);

impl<D: Defect> Subject for Broken<D> {
    fn new(mut config: Config, seed: [u8; 32]) -> Self {
        D::configure(&mut config);
        Self(Shard::new(config, seed), PhantomData)
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.0.accept(now, request)
    }

    fn handle(&mut self, now: Now, mut input: Input) -> Vec<Effect> {
        D::hear(&mut input);
        self.0.handle(now, input).collect()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        let mut bytes = Subject::pending(&self.0, conn)?;
        D::send(&mut bytes);
        Some(bytes)
    }

    fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn audit(&self) {
        self.0.audit();
    }
}

/// Asserts that random runs find the defect, and that they say it breaks one of these.
fn is_caught<D: Defect>(guarantees: &[Guarantee]) {
    const SEEDS: u64 = 150;
    for seed in 0..SEEDS {
        let options = Options::draw(seed, 300);
        let Some((_, failure)) = run_twice::<Broken<D>>(&options.setup, &options.actions()).failure else { continue };
        assert!(guarantees.contains(&failure.guarantee), "seed {seed}: {failure}");
        return;
    }
    panic!("{SEEDS} seeds did not notice");
}

/// What a client says, in other words.
fn reword(input: &mut Input, from: &str, to: &str) {
    if let Input::Message { text, .. } = input {
        *text = text.replace(from, to);
    }
}

/// Writes `to` over every `from`, which is as long.
fn overwrite(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len(), "a frame keeps its length");
    let found: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

macro_rules! defects {
    ($($test:ident: $defect:ident breaks $($guarantee:ident)|+ { $($body:tt)* })*) => {$(
        #[derive(Clone)]
        struct $defect;

        impl Defect for $defect { $($body)* }

        #[test]
        fn $test() {
            is_caught::<$defect>(&[$(Guarantee::$guarantee),+]);
        }
    )*};
}

defects! {
    a_recovery_from_any_log: AnyLog breaks P1 {
        fn hear(input: &mut Input) {
            reword(input, r#""epoch":"elsewhere""#, r#""epoch":"""#);
        }
    }
    a_recovery_that_begins_one_late: OneLate breaks G5 | P1 {
        fn hear(input: &mut Input) {
            reword(input, r#""offset":0,"recover":true"#, r#""offset":1,"recover":true"#);
        }
    }
    a_recovery_that_is_forgotten: NoRecovery breaks G5 | P1 {
        fn hear(input: &mut Input) {
            reword(input, r#""recover":true"#, r#""recover":false"#);
        }
    }
    a_recovery_larger_than_a_reply: LargeRecovery breaks P1 {
        fn configure(config: &mut Config) {
            config.limits.reply_messages = usize::MAX;
            config.limits.reply_bytes = config.limits.frame_bytes / 2;
        }
    }
    a_log_that_retains_too_much: LongLog breaks G5 {
        fn configure(config: &mut Config) {
            config.limits.history_messages *= 2;
        }
    }
    a_log_that_ages_late: OldLog breaks G7 {
        fn configure(config: &mut Config) {
            config.limits.history_age *= 2;
        }
    }
    a_log_that_forgets_nothing_when_told: NotRemoved breaks G3 {
        fn hear(input: &mut Input) {
            if let Input::Call { command, .. } = input
                && let Command::HistoryRemove { channel } = command
            {
                *command = Command::Unsubscribe { user: "nobody".into(), client: None, channel: channel.clone() };
            }
        }
    }
    a_log_read_backwards: Forwards breaks G5 {
        fn hear(input: &mut Input) {
            if let Input::Call { command: Command::History { query, .. }, .. } = input {
                query.reverse = false;
            }
        }
    }
    a_log_read_past_its_limit: Generous breaks G5 {
        fn hear(input: &mut Input) {
            if let Input::Call { command: Command::History { query, .. }, .. } = input {
                query.limit = if query.limit > 0 { query.limit + 1 } else { query.limit };
            }
        }
    }
    a_key_that_does_not_count: NoKey breaks P1 | G7 {
        fn hear(input: &mut Input) {
            if let Input::Call { command: Command::Publish { message, .. }, .. } = input {
                message.idempotency_key = None;
            }
        }
    }
    a_key_that_counts_for_too_long: LongKey breaks G7 {
        fn configure(config: &mut Config) {
            config.limits.idempotency_window += Duration::from_secs(1);
        }
    }
    a_watcher_who_is_not_told: Blind breaks P1 {
        fn hear(input: &mut Input) {
            reword(input, r#""join_leave":true"#, r#""join_leave":false"#);
        }
    }
    a_leave_that_is_told_as_a_join: JoinForLeave breaks P1 {
        fn send(bytes: &mut Vec<u8>) {
            overwrite(bytes, r#""leave":{"info""#, r#""joins":{"info""#);
        }
    }
    a_presence_of_somebody_else: Impostor breaks P1 {
        fn send(bytes: &mut Vec<u8>) {
            overwrite(bytes, r#":{"user":"u0","#, r#":{"user":"u9","#);
        }
    }
    a_count_for_a_list: CountForList breaks G2 {
        fn hear(input: &mut Input) {
            if let Input::Call { command, .. } = input
                && let Command::Presence { channel } = command
            {
                *command = Command::PresenceStats { channel: channel.clone() };
            }
        }
    }
    a_room_token_for_any_room: AnyRoom breaks G2 | P1 {
        fn hear(input: &mut Input) {
            if let Input::Authenticated { verdict: Ok(claims), .. } = input
                && claims.channel.as_deref() == Some("elsewhere")
            {
                claims.channel = Some("r0".into());
            }
        }
    }
    a_token_that_never_ends: Eternal breaks P1 | G7 {
        fn hear(input: &mut Input) {
            if let Input::Authenticated { verdict: Ok(claims), .. } = input {
                claims.exp = claims.exp.filter(|_| claims.channel.is_none());
            }
        }
    }
    a_backend_that_is_not_heard: Deaf breaks G2 {
        fn hear(input: &mut Input) {
            if let Input::Call { command: Command::Unsubscribe { user, .. }, .. } = input {
                *user = "nobody".into();
            }
        }
    }
    a_rate_that_is_not_kept: Hasty breaks G8 | G2 {
        fn configure(config: &mut Config) {
            config.limits.client_commands = Rate::OFF;
        }
    }
    a_user_with_too_many_connections: Crowd breaks G7 {
        fn configure(config: &mut Config) {
            config.limits.connections_per_user = 0;
        }
    }
    an_address_with_too_many_connections: Street breaks P1 {
        fn configure(config: &mut Config) {
            config.limits.connections_per_ip = 0;
        }
    }
    logs_without_number: Hoard breaks G3 {
        fn configure(config: &mut Config) {
            config.limits.logs = usize::MAX;
        }
    }
    history_without_bounds: Archive breaks P1 {
        fn configure(config: &mut Config) {
            config.limits.history_bytes = usize::MAX;
        }
    }
    a_position_that_is_another: Astray breaks P1 {
        fn send(bytes: &mut Vec<u8>) {
            overwrite(bytes, r#"{"type":"gap","room""#, r#"{"type":"gip","room""#);
        }
    }
}
