//! The setup of a simulated world: everything that is fixed before the first action.

use super::rules::Rules;
use crate::checkers::names;
use crate::guarantees::Guarantees;
use crate::rng::Rng;
use parlor_core::limits::{Rate, Value, ValueMut};
use parlor_core::{Config, Limit, Limits, Namespaces, UserLimit, Who};
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

macro_rules! setup {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:expr, up to $most:expr, $drawn:ident $range:tt;)*) => {
        /// The size of the world, and the configuration of the subject. Flags are 0 or 1. Limits are written in seconds,
        /// times a second (the burst is as large), bytes or numbers: three years, a million, or 2^28 bytes at most.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct Setup {
            $($(#[doc = $doc])+ pub $name: u64,)*
            /// The bounds of the subject. By default they are as [`Limit::simulated`] says.
            pub limits: Limits,
            /// Guarantees whose failures are passed over: the way to one defect can lead past another.
            pub overlooked: Guarantees,
            /// What checks a run.
            pub checked_by: CheckedBy,
        }

        impl Default for Setup {
            fn default() -> Self {
                Self { $($name: $default,)* limits: simulated(), overlooked: Guarantees::default(), checked_by: CheckedBy::All }
            }
        }

        /// The settings of a world besides limits.
        const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            most: $most,
            drawn: setup!(@$drawn $range),
            value: |setup| setup.$name,
            place: |setup| &mut setup.$name,
        }),*];
    };
    (@from ($least:literal to $most:literal)) => { Drawn::Between($least, $most) };
    (@in ($percent:literal of 100)) => { Drawn::Chance($percent) };
    (@never ()) => { Drawn::Never };
}

/// What random runs draw for a setting.
#[derive(Clone, Copy, Debug)]
enum Drawn {
    /// A number from the first to the second.
    Between(u64, u64),
    /// 1 in so many of 100 runs, else 0.
    Chance(u64),
    /// Nothing: it stays as it is.
    Never,
}

/// What checks a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckedBy {
    /// The reference model, the machine's own audits, and the checkers of properties.
    All,
    /// The checkers of properties alone.
    Checkers,
    /// The checker of this name alone.
    Checker(&'static str),
    /// Each checker as if it were alone: what it notices is noted, and ends nothing.
    Each,
}

impl CheckedBy {
    /// Whether the checker of this name checked_by.
    #[must_use]
    pub fn has(self, checker: &str) -> bool {
        match self {
            Self::All | Self::Checkers | Self::Each => true,
            Self::Checker(name) => name == checker,
        }
    }
}

impl fmt::Display for CheckedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Checkers => "checkers",
            Self::Checker(name) => name,
            Self::Each => "each",
        })
    }
}

impl FromStr for CheckedBy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match (word, names::NAMES.iter().find(|name| **name == word)) {
            ("all", _) => Ok(Self::All),
            ("checkers", _) => Ok(Self::Checkers),
            (_, Some(name)) => Ok(Self::Checker(name)),
            _ => Err(format!("who judges is all, checkers, or one of {}: not {word:?}", names::NAMES.join(", "))),
        }
    }
}

/// A setting that is no limit.
struct Field {
    name: &'static str,
    most: u64,
    drawn: Drawn,
    value: fn(&Setup) -> u64,
    place: fn(&mut Setup) -> &mut u64,
}

/// A setting.
#[derive(Clone, Copy)]
enum SetupEntry {
    Field(&'static Field),
    Limit(Limit),
}

impl SetupEntry {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        FIELDS.iter().map(Self::Field).chain(Limit::ALL.iter().copied().map(Self::Limit))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Field(field) => field.name,
            Self::Limit(limit) => limit.name(),
        }
    }

    fn value(self, setup: &Setup) -> u64 {
        match self {
            Self::Field(field) => (field.value)(setup),
            Self::Limit(limit) => match setup.limits.value(limit) {
                Value::Duration(time) => time.as_secs(),
                Value::Rate(rate) => rate.per_second.into(),
                Value::Bytes(number) | Value::Count(number) => number as u64,
                Value::OptionalCount(number) => number.map_or(0, NonZeroUsize::get) as u64,
            },
        }
    }

    /// The most that it may be.
    fn most(self) -> u64 {
        match self {
            Self::Field(field) => field.most,
            Self::Limit(Limit::OutboxBytesTotal) => TOTAL_BYTES,
            Self::Limit(limit) => match Limits::default().value(limit) {
                Value::Duration(_) => SECONDS,
                Value::Bytes(_) => BYTES,
                Value::Count(_) | Value::OptionalCount(_) | Value::Rate(_) => COUNT,
            },
        }
    }

    /// Sets it, if it is not too large.
    ///
    /// # Errors
    /// The most that it may be.
    fn set(self, setup: &mut Setup, value: u64) -> Result<(), String> {
        let (name, most) = (self.name(), self.most());
        if value > most {
            return Err(format!("{name}={value} must be at most {most}"));
        }
        match self {
            Self::Field(field) => *(field.place)(setup) = value,
            Self::Limit(limit) => set_limit(&mut setup.limits, limit, value),
        }
        Ok(())
    }
}

/// Sets a limit to a value that is not too large.
fn set_limit(limits: &mut Limits, limit: Limit, value: u64) {
    match limits.value_mut(limit) {
        ValueMut::Duration(of) => *of = Duration::from_secs(value),
        ValueMut::Bytes(of) | ValueMut::Count(of) => *of = usize::try_from(value).expect("a size"),
        ValueMut::OptionalCount(of) => *of = NonZeroUsize::new(usize::try_from(value).expect("a count")),
        ValueMut::Rate(of) => {
            let times = u32::try_from(value).expect("a rate");
            *of = Rate { per_second: times, burst: times };
        }
    }
}

/// The limits of a simulated world.
fn simulated() -> Limits {
    let mut limits = Limits::default();
    for limit in Limit::ALL {
        if let Some(value) = limit.simulated().default {
            set_limit(&mut limits, *limit, value);
        }
    }
    limits
}

/// `name=value` for everything that differs from the default.
impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::default();
        f.write_str("setup")?;
        for setting in SetupEntry::all().filter(|setting| setting.value(self) != setting.value(&default)) {
            write!(f, " {}={}", setting.name(), setting.value(self))?;
        }
        if self.overlooked != default.overlooked {
            write!(f, " overlooked={}", self.overlooked)?;
        }
        if self.checked_by != default.checked_by {
            write!(f, " judges={}", self.checked_by)?;
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
            if name == "overlooked" {
                setup.overlooked = value.parse()?;
                continue;
            }
            if name == "judges" {
                setup.checked_by = value.parse()?;
                continue;
            }
            let setting = SetupEntry::all().find(|setting| setting.name() == name);
            let setting = setting.ok_or_else(|| format!("{name:?} is nothing that a world has"))?;
            let value = value.parse().map_err(|_| format!("{value:?} in {word:?} is no number"))?;
            setting.set(&mut setup, value)?;
        }
        setup.validate()?;
        Ok(setup)
    }
}

/// Clients send texts as long as a setting allows, and longer: they have to fit in memory.
const BYTES: u64 = 1 << 28;
/// The most that all connections together may keep waiting: clients never send as much.
const TOTAL_BYTES: u64 = 1 << 40;
/// The most of anything that has no unit.
const COUNT: u64 = 1_000_000;
/// Three years: the sum of a few is still far from the end of the clock.
const SECONDS: u64 = 100_000_000;

setup! {
    /// Clients.
    conns = 4, up to 64, from (1 to 8);
    /// Rooms that clients may name.
    rooms = 3, up to 7, from (1 to 3);
    /// Users with a name.
    users = 2, up to 64, from (1 to 3);
    /// Keys the subject's maps, its epochs and the clients' ids.
    seed = 0, up to u64::MAX, never ();
    /// Whether calendar time stands still, so that bytes with a timestamp in them do not tell states apart.
    calendar_stopped = 0, up to 1, never ();
    /// Whether a client has the same public id in each of its connections, for the same reason.
    ids_repeat = 0, up to 1, never ();
    /// How many publications and messages there may be.
    messages = u64::MAX, up to u64::MAX, never ();
    /// Deadlines further away than this are not waited for by `advance due`.
    patience = u64::MAX, up to u64::MAX, never ();
    /// `Config::allow_anonymous`.
    allow_anonymous = 1, up to 1, in (80 of 100);
    /// Whether anyone may join a room by its name.
    allow_subscribe = 1, up to 1, in (95 of 100);
    /// Whether members may publish.
    allow_publish = 1, up to 1, in (85 of 100);
    /// Whether members may read history.
    allow_history = 1, up to 1, in (90 of 100);
    /// Whether members may read presence.
    allow_presence = 1, up to 1, in (90 of 100);
    /// Whether the prefixes of rooms are namespaces, each with rules of its own.
    namespaces = 0, up to 1, in (40 of 100);
    /// The rules of names without a prefix, where there are namespaces: see `Rules::drawn`.
    rules_of_rest = 0, up to Rules::DRAWN - 1, from (0 to 39_999);
    /// The rules of the namespace `s`.
    rules_of_s = 0, up to Rules::DRAWN - 1, from (0 to 39_999);
    /// The rules of the namespace `t`.
    rules_of_t = 0, up to Rules::DRAWN - 1, from (0 to 39_999);
    /// The rules of personal rooms.
    rules_of_personal = 0, up to Rules::DRAWN - 1, from (0 to 39_999);
    /// Whether rooms have the `presence_grace` below.
    has_grace = 0, up to 1, in (50 of 100);
    /// The `presence_grace` of rooms in the namespace `s` and of personal rooms, in seconds; that of other rooms is a third
    /// of it.
    presence_grace = 6, up to 15, from (0 to 15);
    /// Whether `Config::user_limit` is `Refuse`.
    refuse_user = 0, up to 1, in (40 of 100);
    /// Whether the reference model foresees each turn, where `Setup::is_foreseen` agrees. Else there is none, and the property
    /// checkers judge alone, with the machine's own audits.
    foreseen = 1, up to 1, never ();
    /// The shards of the node. What several do is not foreseen.
    shards = 1, up to 8, never ();
    /// Whether what shards send to each other waits until an action delivers it.
    slow_links = 0, up to 1, never ();
    /// Whether sockets encrypt what they are offered, as TLS does: what is encrypted cannot be taken back. It is not foreseen.
    encrypts = 0, up to 1, in (40 of 100);
}

impl Setup {
    /// Returns the rules of rooms with this prefix: `s`, `t`, `#` for personal rooms, or empty for others.
    #[must_use]
    pub fn rules(&self, prefix: &str) -> Rules {
        let presence_grace = self.grace(prefix);
        if self.namespaces == 1 {
            let number = match prefix {
                "s" => self.rules_of_s,
                "t" => self.rules_of_t,
                "#" => self.rules_of_personal,
                _ => self.rules_of_rest,
            };
            return Rules::drawn(number, presence_grace, &self.limits);
        }
        let who = |is_allowed, who| if is_allowed == 1 { who } else { Who::Token };
        Rules {
            subscribe: who(self.allow_subscribe, Who::Anyone),
            publish: who(self.allow_publish, Who::Members),
            history: who(self.allow_history, Who::Members),
            presence: who(self.allow_presence, Who::Members),
            history_messages: self.limits.history_messages,
            presence_list: true,
            join_leave: true,
            presence_grace,
        }
    }

    fn grace(&self, prefix: &str) -> Duration {
        Duration::from_secs(match prefix {
            _ if self.has_grace == 0 => 0,
            "#" => self.presence_grace,
            "s" if self.namespaces == 1 => self.presence_grace,
            _ => self.presence_grace / 3,
        })
    }

    /// The subject's configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        let user_limit = if self.refuse_user == 1 { UserLimit::Refuse } else { UserLimit::Replace };
        let policy = |prefix| self.rules(prefix).policy(&self.limits);
        let namespaces = match self.namespaces {
            0 => Namespaces::none(policy(""), policy("#")),
            _ => Namespaces::with(policy(""), policy("#"), ["s", "t"].map(|prefix| (prefix.into(), policy(prefix)))),
        };
        Config {
            user_limit,
            allow_anonymous: self.allow_anonymous == 1,
            namespaces,
            tells_steps: true,
            ..Config::from(self.limits.clone())
        }
    }

    /// The same with settings that are drawn by its seed, each from a stream of its own, but for the limits.
    #[must_use]
    pub fn drawn(mut self) -> Self {
        for field in FIELDS {
            let mut rng = Rng::stream(self.seed, field.name);
            *(field.place)(&mut self) = match field.drawn {
                Drawn::Between(least, most) => rng.between(least, most),
                Drawn::Chance(percent) => u64::from(rng.chance(percent)),
                Drawn::Never => continue,
            };
        }
        self
    }

    /// Worlds that are simpler by one thing: fewer clients, rooms or users, a setting as it is by default, or a smaller
    /// one.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut all: Vec<Self> = (1..self.conns).map(|conns| Self { conns, ..self.clone() }).collect();
        all.extend((1..self.rooms).map(|rooms| Self { rooms, ..self.clone() }));
        all.extend((0..self.users).map(|users| Self { users, ..self.clone() }));
        let is_larger = |other: &Self| other.conns > self.conns || other.rooms > self.rooms || other.users > self.users;
        all.extend(self.with_simpler_setting().into_iter().filter(|other| !is_larger(other)));
        all.retain(|setup| setup.validate().is_ok());
        all
    }

    /// Checks that it is a world there can be.
    ///
    /// # Errors
    /// The setting that is too large or too small, with what it may be; or two limits that do not fit together.
    pub fn validate(&self) -> Result<(), String> {
        if self.rooms == 0 {
            return Err("rooms=0 must be at least 1: actions name the first room".into());
        }
        if self.shards == 0 || self.shards > 1 && self.foreseen == 1 {
            return Err(format!("shards={} must be 1, or more with foreseen=0", self.shards));
        }
        for setting in SetupEntry::all() {
            setting.set(&mut self.clone(), setting.value(self))?;
        }
        self.limits.validate()
    }

    /// The same with another value of a limit.
    ///
    /// # Panics
    /// When it is larger than [`Setup::validate`] allows.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u64) -> Self {
        SetupEntry::Limit(limit).set(&mut self, value).expect("a value that a limit may have");
        self
    }

    /// The same with a limit that is as it is by default.
    #[must_use]
    pub(super) fn with_default(self, limit: Limit) -> Self {
        let value = SetupEntry::Limit(limit).value(&Self::default());
        self.with(limit, value)
    }

    pub(super) fn has_default(&self, limit: Limit) -> bool {
        self.limits.value(limit) == Self::default().limits.value(limit)
    }

    /// The same where one setting has its default, or else a smaller value.
    fn with_simpler_setting(&self) -> Vec<Self> {
        let default = Self::default();
        let mut all = Vec::new();
        for setting in SetupEntry::all() {
            let (value, usual) = (setting.value(self), setting.value(&default));
            if value == usual {
                continue;
            }
            let smaller = [0, 1, 2, 4, value / 2, value.saturating_sub(1)].into_iter().filter(|other| *other < value);
            for other in std::iter::once(usual).chain(smaller) {
                let mut simpler = self.clone();
                if setting.set(&mut simpler, other).is_ok() {
                    all.push(simpler);
                }
            }
        }
        all
    }

    /// The seed of the subject's keys and epochs.
    #[must_use]
    pub fn subject_seed(&self) -> [u8; 32] {
        let mut rng = Rng::stream(self.seed, "subject");
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
        assert!(!simpler.iter().any(|text| text.contains("rooms=0")));
    }

    #[test]
    fn a_setup_reads_back_from_its_text() {
        let setup = Setup { conns: 2, messages: 3, ..Setup::default() }.with(Limit::OutboxFrames, 1);
        assert_eq!(setup.to_string(), "setup conns=2 messages=3 outbox_frames=1");
        assert_eq!(setup.to_string().parse(), Ok(setup));
        assert!("setup colour=3".parse::<Setup>().is_err());
        assert!("setup pong_timeout=60".parse::<Setup>().is_err(), "limits that do not fit together");
        assert!("setup rooms=0".parse::<Setup>().is_err(), "actions name the first room");
        assert!("setup conns=65".parse::<Setup>().is_err(), "more than there are names for");
    }

    #[test]
    fn a_too_large_setup_is_an_error_that_names_the_bound() {
        let wrong = |text: &str| text.parse::<Setup>().expect_err("it is too large");
        assert_eq!(wrong("setup new_connections=5000000000"), "new_connections=5000000000 must be at most 1000000");
        assert_eq!(wrong("setup history_age=99999999999999"), "history_age=99999999999999 must be at most 100000000");
        assert_eq!(wrong("setup allow_publish=2"), "allow_publish=2 must be at most 1");
    }

    /// Each setting alone at its most, where the others allow that.
    #[test]
    fn the_largest_setup_can_be_run() {
        const DAY: &str = "enter 0 1; enter 1 1; api-publish 0 small; api-publish-once 0 a; flush; advance due; \
                           accept 2 json 0; upgrade 2; connect 2 token; decide 2 good 0; join 2 0; flush; advance far";
        let actions: Vec<_> = DAY.split("; ").map(|text| text.parse().expect("an action")).collect();
        let mut run = 0;
        for setting in SetupEntry::all() {
            let Ok(setup) = format!("setup {}={}", setting.name(), setting.most()).parse::<Setup>() else { continue };
            let failure = crate::search::run::run::<parlor_core::Shard>(&setup, &actions).failure;
            assert_eq!(failure, None, "{setup}");
            run += 1;
        }
        assert!(run > 30, "{run} of them were run");
    }
}
