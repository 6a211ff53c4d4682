//! What a simulated world is like: everything that is fixed before the first action.

use crate::checks::Guarantees;
use parlor_core::limits::Rate;
use parlor_core::{Config, Limits, Policy};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

macro_rules! setup {
    ($($(#[$doc:meta])* $name:ident = $default:expr, up to $most:expr;)*) => {
        /// The size of the world, and the configuration of the subject. Durations are in seconds, and three
        /// years at most; flags are 0 or 1; bytes are 2^28 at most, and other numbers a million.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct Setup {
            $($(#[$doc])* pub $name: u64,)*
            /// What may be broken as if nobody had looked: the way to one defect can lead past another.
            pub overlooked: Guarantees,
        }

        impl Default for Setup {
            fn default() -> Self {
                Self { $($name: $default,)* overlooked: Guarantees::default(), }
            }
        }

        impl Setup {
            /// The same where one field has its default, or else a smaller value.
            fn with_simpler_field(&self) -> Vec<Self> {
                let default = Self::default();
                let mut all = Vec::new();
                $(if self.$name != default.$name {
                    let value = self.$name;
                    let smaller = [0, 1, 2, 4, value / 2, value.saturating_sub(1)].into_iter().filter(|other| *other < value);
                    let values = std::iter::once(default.$name).chain(smaller);
                    all.extend(values.map(|$name| Self { $name, ..self.clone() }));
                })*
                all
            }

            /// Every setting with its name and the most that it may be.
            fn bounded(&self) -> Vec<(&'static str, u64, u64)> {
                vec![$((stringify!($name), self.$name, $most)),*]
            }
        }

        /// `name=value` for everything that differs from the default.
        impl fmt::Display for Setup {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let default = Self::default();
                f.write_str("setup")?;
                $(if self.$name != default.$name {
                    write!(f, " {}={}", stringify!($name), self.$name)?;
                })*
                if self.overlooked != default.overlooked {
                    write!(f, " overlooked={}", self.overlooked)?;
                }
                Ok(())
            }
        }

        impl FromStr for Setup {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let mut setup = Self::default();
                let words = text.strip_prefix("setup").ok_or("a setup begins with the word setup")?;
                for word in words.split_whitespace() {
                    let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is not name=value"))?;
                    let number = || value.parse().map_err(|_| format!("{value:?} in {word:?} is no number"));
                    match name {
                        $(stringify!($name) => setup.$name = number()?,)*
                        "overlooked" => setup.overlooked = value.parse()?,
                        _ => return Err(format!("{name:?} is nothing that a world has")),
                    }
                }
                setup.validate()?;
                Ok(setup)
            }
        }
    };
}

/// Clients send texts as long as a setting allows, and longer: they have to fit in memory.
const BYTES: u64 = 1 << 28;
/// The most of anything that has no unit.
const COUNT: u64 = 1_000_000;
/// Three years: the sum of a few is still far from the end of the clock.
const SECONDS: u64 = 100_000_000;

setup! {
    /// Clients.
    conns = 4, up to 64;
    /// Rooms that clients may name.
    rooms = 3, up to 7;
    /// Users with a name.
    users = 2, up to 64;
    /// Keys the subject's maps, its epochs and the clients' ids.
    seed = 0, up to u64::MAX;
    /// Whether calendar time stands still, so that bytes with a timestamp in them do not tell states apart.
    calendar_stopped = 0, up to 1;
    /// Whether a client has the same public id in each of its lives, for the same reason.
    ids_repeat = 0, up to 1;
    /// How many publications and messages there may be.
    messages = u64::MAX, up to u64::MAX;
    /// Deadlines further away than this are not waited for by `advance due`.
    patience = u64::MAX, up to u64::MAX;
    /// `Policy::allow_anonymous`.
    allow_anonymous = 1, up to 1;
    /// `Policy::allow_subscribe`.
    allow_subscribe = 1, up to 1;
    /// `Policy::allow_publish`.
    allow_publish = 1, up to 1;
    /// `Policy::allow_history`.
    allow_history = 1, up to 1;
    /// `Policy::allow_presence`.
    allow_presence = 1, up to 1;
    /// `Limits::connections`.
    connections = 1000, up to COUNT;
    /// `Limits::connections_per_user`.
    connections_per_user = 0, up to COUNT;
    /// `Limits::connections_per_ip`.
    connections_per_ip = 0, up to COUNT;
    /// `Limits::new_connections`, a second; the burst is as large.
    new_connections = 0, up to COUNT;
    /// `Limits::new_connections_per_ip`, a second; the burst is as large.
    new_connections_per_ip = 0, up to COUNT;
    /// `Limits::client_commands`, a second; the burst is as large.
    client_commands = 0, up to COUNT;
    /// `Limits::client_publishes`, a second; the burst is as large.
    client_publishes = 0, up to COUNT;
    /// `Limits::rooms_per_connection`.
    rooms_per_connection = 4, up to COUNT;
    /// `Limits::outbox_frames`.
    outbox_frames = 1024, up to COUNT;
    /// `Limits::outbox_bytes`.
    outbox_bytes = 1 << 20, up to BYTES;
    /// `Limits::frame_bytes`.
    frame_bytes = 16384, up to BYTES;
    /// `Limits::message_bytes`.
    message_bytes = 4096, up to BYTES;
    /// `Limits::publication_bytes`.
    publication_bytes = 1024, up to BYTES;
    /// `Limits::json_depth`.
    json_depth = 64, up to COUNT;
    /// `Limits::json_number_digits`.
    json_number_digits = 400, up to COUNT;
    /// `Limits::history_messages`.
    history_messages = 100, up to COUNT;
    /// `Limits::history_age`.
    history_age = 300, up to SECONDS;
    /// `Limits::history_bytes`.
    history_bytes = 1 << 28, up to BYTES;
    /// `Limits::log_memory`.
    log_memory = 300, up to SECONDS;
    /// `Limits::logs`.
    logs = 100_000, up to COUNT;
    /// `Limits::reply_messages`.
    reply_messages = 300, up to COUNT;
    /// `Limits::reply_bytes`.
    reply_bytes = 8192, up to BYTES;
    /// `Limits::idempotency_window`.
    idempotency_window = 300, up to SECONDS;
    /// `Limits::idempotency_keys`.
    idempotency_keys = 100, up to COUNT;
    /// `Limits::idempotency_key_bytes`.
    idempotency_key_bytes = 16, up to BYTES;
    /// `Limits::handshake_timeout`.
    handshake_timeout = 5, up to SECONDS;
    /// `Limits::authenticate_timeout`.
    authenticate_timeout = 10, up to SECONDS;
    /// `Limits::ping_interval`.
    ping_interval = 25, up to SECONDS;
    /// `Limits::pong_timeout`.
    pong_timeout = 10, up to SECONDS;
    /// `Limits::write_timeout`.
    write_timeout = 5, up to SECONDS;
    /// `Limits::close_timeout`.
    close_timeout = 5, up to SECONDS;
    /// `Limits::expiry_grace`.
    expiry_grace = 25, up to SECONDS;
    /// `Limits::drain_timeout`.
    drain_timeout = 30, up to SECONDS;
}

impl Setup {
    /// The subject's configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        let policy = Policy {
            allow_anonymous: self.allow_anonymous == 1,
            allow_subscribe: self.allow_subscribe == 1,
            allow_publish: self.allow_publish == 1,
            allow_history: self.allow_history == 1,
            allow_presence: self.allow_presence == 1,
        };
        Config { limits: self.limits(), policy, ..Config::default() }
    }

    /// Worlds that are simpler by one thing: fewer clients, rooms or users, a setting as it is by default, or a smaller
    /// one.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut all: Vec<Self> = (1..self.conns).map(|conns| Self { conns, ..self.clone() }).collect();
        all.extend((1..self.rooms).map(|rooms| Self { rooms, ..self.clone() }));
        all.extend((0..self.users).map(|users| Self { users, ..self.clone() }));
        let is_larger = |other: &Self| other.conns > self.conns || other.rooms > self.rooms || other.users > self.users;
        all.extend(self.with_simpler_field().into_iter().filter(|other| !is_larger(other)));
        all.retain(|setup| setup.validate().is_ok());
        all
    }

    /// Checks that it is a world there can be.
    ///
    /// # Errors
    /// The setting that is too large, with the most that it may be; or two limits that do not fit together.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, most) in self.bounded() {
            if value > most {
                return Err(format!("{name}={value} must be at most {most}"));
            }
        }
        self.config().limits.validate()
    }

    fn limits(&self) -> Limits {
        let size = |value: u64| usize::try_from(value).expect("a size");
        let rate = |value: u64| {
            let times = u32::try_from(value).expect("a rate");
            Rate { per_second: times, burst: times }
        };
        Limits {
            handshake_timeout: Duration::from_secs(self.handshake_timeout),
            authenticate_timeout: Duration::from_secs(self.authenticate_timeout),
            ping_interval: Duration::from_secs(self.ping_interval),
            pong_timeout: Duration::from_secs(self.pong_timeout),
            write_timeout: Duration::from_secs(self.write_timeout),
            close_timeout: Duration::from_secs(self.close_timeout),
            expiry_grace: Duration::from_secs(self.expiry_grace),
            drain_timeout: Duration::from_secs(self.drain_timeout),
            message_bytes: size(self.message_bytes),
            publication_bytes: size(self.publication_bytes),
            frame_bytes: size(self.frame_bytes),
            outbox_bytes: size(self.outbox_bytes),
            outbox_frames: size(self.outbox_frames),
            rooms_per_connection: size(self.rooms_per_connection),
            json_depth: size(self.json_depth),
            json_number_digits: size(self.json_number_digits),
            history_messages: size(self.history_messages),
            history_age: Duration::from_secs(self.history_age),
            history_bytes: size(self.history_bytes),
            log_memory: Duration::from_secs(self.log_memory),
            logs: size(self.logs),
            reply_messages: size(self.reply_messages),
            reply_bytes: size(self.reply_bytes),
            idempotency_window: Duration::from_secs(self.idempotency_window),
            idempotency_keys: size(self.idempotency_keys),
            idempotency_key_bytes: size(self.idempotency_key_bytes),
            connections: size(self.connections),
            connections_per_user: size(self.connections_per_user),
            connections_per_ip: size(self.connections_per_ip),
            new_connections: rate(self.new_connections),
            new_connections_per_ip: rate(self.new_connections_per_ip),
            client_commands: rate(self.client_commands),
            client_publishes: rate(self.client_publishes),
            ..Limits::default()
        }
    }

    /// What the subject draws its keys and epochs from.
    #[must_use]
    pub fn subject_seed(&self) -> [u8; 32] {
        let mut rng = crate::rng::Rng::stream(self.seed, "subject");
        let mut seed = [0; 32];
        for chunk in seed.chunks_exact_mut(8) {
            chunk.copy_from_slice(&rng.draw().to_le_bytes());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_made_simpler_and_never_larger() {
        let setup: Setup = "setup conns=2 rooms=1 users=1 outbox_frames=2".parse().unwrap();
        let simpler: Vec<String> = setup.simpler().iter().map(ToString::to_string).collect();
        let expected = [
            "setup conns=1 rooms=1 users=1 outbox_frames=2",
            "setup conns=2 rooms=1 users=0 outbox_frames=2",
            "setup conns=2 rooms=1 users=1",
            "setup conns=2 rooms=1 users=1 outbox_frames=1",
        ];
        expected.iter().for_each(|text| assert!(simpler.iter().any(|other| other == text), "{text} in {simpler:#?}"));
        assert!(simpler.iter().all(|text| text.parse::<Setup>().is_ok()));
        assert!(!simpler.iter().any(|text| text.contains("conns=4") || text.contains("rooms=3")));
    }

    #[test]
    fn a_setup_reads_back_from_its_text() {
        let setup = Setup { conns: 2, outbox_frames: 1, messages: 3, ..Setup::default() };
        assert_eq!(setup.to_string(), "setup conns=2 messages=3 outbox_frames=1");
        assert_eq!(setup.to_string().parse(), Ok(setup));
        assert!("setup colour=3".parse::<Setup>().is_err());
        assert!("setup pong_timeout=60".parse::<Setup>().is_err(), "limits that do not fit together");
        assert!("setup conns=65".parse::<Setup>().is_err(), "more than there are names for");
    }

    #[test]
    fn what_is_too_large_is_named_with_its_bound() {
        let wrong = |text: &str| text.parse::<Setup>().expect_err("it is too large");
        assert_eq!(wrong("setup new_connections=5000000000"), "new_connections=5000000000 must be at most 1000000");
        assert_eq!(wrong("setup history_age=99999999999999"), "history_age=99999999999999 must be at most 100000000");
        assert_eq!(wrong("setup allow_publish=2"), "allow_publish=2 must be at most 1");
    }

    /// Each setting alone at its most, where the others allow that.
    #[test]
    fn what_is_as_large_as_it_may_be_can_be_run() {
        const DAY: &str = "enter 0 1; enter 1 1; api-publish 0 small; api-publish-once 0 a; flush; advance due; \
                           accept 2 json 0; upgrade 2; connect 2 token; decide 2 good 0; join 2 0; flush; advance far";
        let actions: Vec<_> = DAY.split("; ").map(|text| text.parse().expect("an action")).collect();
        let mut run = 0;
        for (name, _, most) in Setup::default().bounded() {
            let Ok(setup) = format!("setup {name}={most}").parse::<Setup>() else { continue };
            let failure = crate::run::run::<parlor_core::Shard>(&setup, &actions).failure;
            assert_eq!(failure, None, "{setup}");
            run += 1;
        }
        assert!(run > 30, "{run} of them were run");
    }
}
