//! Random runs: what a run is like is drawn first, from one stream; what happens in it comes from two others, so that a
//! change of the faults leaves the workload as it was.

use crate::rng::Rng;
use crate::world::action::{
    Action, Bundle, Cause, Client, Credential, Endpoint, Payload, RecoverySince, Room, Rooms, Selector, Span, User,
    Verdict,
};
use crate::world::setup::Setup;
use parlor_core::limits::{Limit, Simulated};
use std::fmt;

/// Everything that was drawn for a run before its first step.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all of it comes from.
    pub seed: u64,
    /// Steps before the world is healed.
    pub steps: usize,
    /// The world and the subject's configuration.
    pub setup: Setup,
    /// Weight of each kind of action among those that clients and backends do.
    workload: Vec<u64>,
    /// Weight of each kind of action among the faults.
    faults: Vec<u64>,
    /// In how many of 100 steps something goes wrong instead of something being done.
    fault_percent: u64,
    /// Whether every step is followed by a flush of all sockets and by the clients' answers.
    eager: bool,
    /// Whether everyone comes in first, and time hardly passes.
    is_calm: bool,
    /// Whether everyone misses something then, and comes in once more.
    comes_back: bool,
    /// Whether that is something in every room.
    misses_all: bool,
    protocols: ProtocolMix,
}

/// Which protocols a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProtocolMix {
    Mixed,
    Json,
    Plain,
}

/// Actions that every run has, each with its least weight, since nothing happens in one without them.
const ALWAYS: [(&str, u64); 10] = [
    ("accept", 60),
    ("upgrade", 60),
    ("connect", 60),
    ("decide", 40),
    ("join", 50),
    ("publish", 40),
    ("api-publish", 40),
    ("flush", 60),
    ("respond", 30),
    ("advance", 15),
];
/// Actions that 60 of 100 runs have, with a weight of 1 to 30.
const OFTEN: [&str; 14] = [
    "leave",
    "together",
    "select",
    "say",
    "ping",
    "pong",
    "write",
    "api-broadcast",
    "api-send",
    "api-publish-user",
    "api-publish-all",
    "api-look",
    "api-misuse",
    "resume",
];
/// Actions that are drawn as [`OFTEN`], with 30 more in a calm run: they need clients that stay.
const OFTEN_AND_MORE_IF_CALM: [&str; 19] = [
    "recover",
    "watch",
    "recover-and-watch",
    "recover-by-token",
    "join-by-token",
    "sub-refresh",
    "refresh",
    "history",
    "presence",
    "presence-stats",
    "api-publish-once",
    "api-history",
    "api-history-remove",
    "api-presence",
    "api-presence-stats",
    "api-subscribe",
    "api-unsubscribe",
    "api-refresh",
    "api-batch",
];
/// Actions that are each drawn from a stream of their own, so that one more changes no run: in how many of 100 runs there
/// are any, and their largest weight. New actions go here.
const OWN_STREAM: [(&str, u64, u64); 7] = [
    ("accept-since", 30, 60),
    ("api-disconnect-some", 20, 60),
    ("api-subscribe-some", 20, 30),
    ("api-unsubscribe-some", 20, 20),
    ("api-refresh-some", 20, 20),
    ("api-list", 20, 40),
    ("api-much", 8, 3),
];
/// Faults, in families that are on or off together.
const FAULTS: [&[&str]; 6] = [
    &["lose", "break", "stale"],
    &["stall", "narrow", "write", "resume"],
    &["vanish"],
    &["close", "violate", "say", "frames"],
    &["api-disconnect-user", "api-disconnect-client", "api-disconnect-with"],
    &["calendar"],
];

impl Options {
    /// Draws the options of this seed.
    #[must_use]
    pub fn draw(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::stream(seed, "options");
        let setup = draw_setup(seed, &mut rng);
        let mut workload = vec![0; Action::WORDS.len()];
        for word in OFTEN {
            let weight = rng.between(1, 30);
            let is_on = rng.chance(60);
            workload[kind(word)] = if is_on { weight } else { 0 };
        }
        // Partial writes need company: one alone is soon made whole by a flush.
        workload[kind("write")] *= 3;
        for (word, least) in ALWAYS {
            workload[kind(word)] = least + rng.below(40);
        }
        // Where time runs, hardly anyone lives long enough for all that a session is made of.
        let is_calm = rng.chance(50);
        for word in OFTEN_AND_MORE_IF_CALM {
            let weight = rng.between(1, 30) + if is_calm { 30 } else { 0 };
            let is_on = rng.chance(60);
            workload[kind(word)] = if is_on { weight } else { 0 };
        }
        if is_calm {
            workload[kind("advance")] = 15;
        }
        // A token for a room is good for little until it is looked at, which happens to most tokens of other kinds.
        workload[kind("join-by-token")] *= 3;
        workload[kind("refresh")] *= 3;
        for (word, percent, most) in OWN_STREAM {
            let mut rng = Rng::stream(seed, word);
            workload[kind(word)] = if rng.chance(percent) { rng.between(1, most) } else { 0 };
        }
        let mut faults = vec![0; Action::WORDS.len()];
        for family in FAULTS {
            let is_on = rng.chance(50);
            for word in family {
                let weight = rng.between(1, 30);
                faults[kind(word)] = if is_on { weight } else { 0 };
            }
        }
        faults[kind("shutdown")] = u64::from(rng.chance(30));
        let drawn_percent = rng.pick(&[0, 2, 5, 10, 30]);
        let fault_percent = if faults.iter().all(|weight| *weight == 0) { 0 } else { drawn_percent };
        let protocols = rng.pick(&[ProtocolMix::Mixed, ProtocolMix::Mixed, ProtocolMix::Json, ProtocolMix::Plain]);
        Self {
            seed,
            steps,
            setup,
            workload,
            faults,
            fault_percent,
            eager: rng.chance(50),
            is_calm,
            comes_back: rng.chance(40),
            misses_all: Rng::stream(seed, "misses_all").chance(50),
            protocols,
        }
    }

    /// The actions of the run; the last one heals the world.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let mut workload = Rng::stream(self.seed, "workload");
        let mut faults = Rng::stream(self.seed, "faults");
        let mut actions = if self.is_calm { self.opening() } else { Vec::new() };
        for _ in 0..self.steps {
            // Every step draws as often as every other, so that a step that is changed leaves the next ones alone.
            let done = self.draw_action(&mut workload, &self.workload);
            let is_fault = faults.chance(self.fault_percent);
            let broken = (self.fault_percent > 0).then(|| self.draw_action(&mut faults, &self.faults));
            actions.push(broken.filter(|_| is_fault).unwrap_or(done));
            if self.eager {
                actions.extend([Action::Flush(), Action::Respond()]);
            }
        }
        actions.push(Action::Heal());
        actions
    }

    /// Everyone comes in and looks who else is there, or comes back.
    fn opening(&self) -> Vec<Action> {
        let mut actions: Vec<Action> =
            self.clients().flat_map(|client| self.entrance(client, Credential::Token)).collect();
        if self.comes_back {
            let users = (0..u8::try_from(self.setup.users).expect("a few users")).map(User);
            let lose = |client| Action::Lose(client, Cause::Eof);
            actions.extend(self.clients().map(lose));
            actions.extend(users.map(|user| Action::ApiBatch(Bundle::Everywhere, user, Room(0))));
            if self.misses_all {
                actions.push(Action::ApiBroadcast(Payload::Small));
            }
            actions.extend(self.clients().flat_map(|client| self.entrance(client, Credential::Return)));
        } else {
            actions.extend(self.clients().map(|client| Action::Watch(client, Room(0))));
        }
        actions
    }

    fn clients(&self) -> impl Iterator<Item = Client> + use<> {
        (0..u8::try_from(self.setup.conns).expect("a few clients")).map(Client)
    }

    fn entrance(&self, client: Client, credential: Credential) -> [Action; 4] {
        let plain = self.protocols == ProtocolMix::Plain || (self.protocols == ProtocolMix::Mixed && client.0 % 3 == 2);
        let verdict = if self.comes_back { Verdict::Placed } else { Verdict::Good };
        let every_room = Rooms(u8::try_from((1 << self.setup.rooms) - 1).expect("a few rooms"));
        let accept = match credential {
            Credential::Return if plain && self.misses_all => {
                Action::AcceptSince(client, every_room, RecoverySince::Two)
            }
            _ => Action::Accept(client, if plain { Endpoint::PlainPlaces } else { Endpoint::Json }, Rooms(1)),
        };
        [
            accept,
            Action::Upgrade(client),
            Action::Connect(client, credential),
            Action::Decide(client, verdict, self.own_user(client)),
        ]
    }

    fn own_user(&self, client: Client) -> User {
        User(u8::try_from(u64::from(client.0) % self.setup.users).expect("a few users"))
    }

    fn draw_action(&self, rng: &mut Rng, weights: &[u64]) -> Action {
        let kind = rng.weighted(weights);
        let [a, b, c, d, ..] = rng.draw().to_le_bytes();
        let action = Action::decode(kind, [a, b, c], &self.setup);
        match action {
            Action::Accept(client, endpoint, rooms) => {
                let endpoint =
                    if self.protocols == ProtocolMix::Mixed && d % 2 == 0 { Endpoint::Json } else { endpoint };
                self.draw_accept(client, endpoint, rooms)
            }
            Action::AcceptSince(client, rooms, _) if self.protocols == ProtocolMix::Json || rooms.0 == 0 => {
                self.draw_accept(client, Endpoint::PlainPlaces, rooms)
            }
            // Seldom has a user several connections.
            Action::ApiDisconnectSome(client, _, code) if d % 4 == 0 => {
                Action::ApiDisconnectSome(client, Selector::AllBut, code)
            }
            // Most clients are who they were before, and most tokens are good: else hardly anyone would stay.
            Action::Decide(client, verdict, user) => {
                let often = [
                    Verdict::OtherRoom,
                    Verdict::Placed,
                    Verdict::Both,
                    Verdict::Moved,
                    Verdict::Expiring,
                    Verdict::Expiring,
                ];
                let verdict = often.get(usize::from(d >> 5)).copied().unwrap_or(verdict);
                Action::Decide(client, verdict, if d % 8 == 0 { user } else { self.own_user(client) })
            }
            // An hour at once is seldom: hardly anyone is left after it.
            Action::Advance(Span::Far) if d % 4 != 0 => Action::Advance(Span::Little),
            _ => action,
        }
    }

    fn draw_accept(&self, client: Client, endpoint: Endpoint, rooms: Rooms) -> Action {
        let endpoint = match (self.protocols, endpoint) {
            (ProtocolMix::Json, Endpoint::JsonPings | Endpoint::JsonHeader) => endpoint,
            (ProtocolMix::Json, _) => Endpoint::Json,
            (ProtocolMix::Plain, Endpoint::Json | Endpoint::JsonPings | Endpoint::JsonHeader) => Endpoint::Plain,
            (_, endpoint) => endpoint,
        };
        let rooms = Rooms(rooms.0.max(1));
        Action::Accept(client, endpoint, if endpoint.leads_to(rooms) { rooms } else { Rooms(1) })
    }
}

fn kind(word: &str) -> usize {
    Action::WORDS.iter().position(|known| *known == word).expect("the tables name actions that exist")
}

fn draw_setup(seed: u64, rng: &mut Rng) -> Setup {
    let flag = |rng: &mut Rng, percent| u64::from(rng.chance(percent));
    let world = Setup {
        conns: rng.between(1, 8),
        rooms: rng.between(1, 3),
        users: rng.between(1, 3),
        seed,
        allow_anonymous: flag(rng, 80),
        allow_subscribe: flag(rng, 95),
        allow_publish: flag(rng, 85),
        allow_history: flag(rng, 90),
        allow_presence: flag(rng, 90),
        refuse_user: u64::from(Rng::stream(seed, "refuse_user").chance(40)),
        ..Setup::default()
    };
    // Once more for those that fit together with what was drawn after them.
    let setup = Limit::ALL.iter().chain(Limit::ALL).fold(world, |setup, limit| draw_limit(setup, *limit));
    if Rng::stream(seed, "narrow").chance(15) { narrow(setup) } else { setup }
}

/// The same world with the smallest frames and messages that fit the rest, where rooms are few and replies small.
fn narrow(setup: Setup) -> Setup {
    let rooms = (setup.limits.rooms_per_connection as u64).min(1 + setup.seed % 2);
    let publication = setup.limits.publication_bytes.min(1024) as u64;
    let reply = setup.limits.reply_bytes.min(700) as u64;
    let small = setup
        .clone()
        .with(Limit::RoomsPerConnection, rooms)
        .with(Limit::MessageBytes, rooms * 1024)
        .with(Limit::PublicationBytes, publication)
        .with(Limit::ReplyBytes, reply)
        .with(Limit::InfoBytes, 200);
    let frames = (2..=64).map(|times| small.clone().with(Limit::FrameBytes, times * 256));
    frames.into_iter().find(|small| small.validate().is_ok()).unwrap_or(setup)
}

/// Draws one limit from a stream of its own, so that one limit more changes nothing else. A limit that is always tiny
/// would keep the others from being reached, so most stay as they are; so does what would not fit together with others.
fn draw_limit(setup: Setup, limit: Limit) -> Setup {
    let Simulated { drawn, percent, .. } = limit.simulated();
    let mut rng = Rng::stream(setup.seed, limit.name());
    if !rng.chance(percent) {
        return setup;
    }
    let other = setup.clone().with(limit, rng.pick(drawn));
    if other.validate().is_ok() { other } else { setup }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = |weights: &[u64]| {
            let drawn = Action::WORDS.iter().zip(weights).filter(|(_, weight)| **weight > 0);
            drawn.map(|(word, weight)| format!("{word}={weight}")).collect::<Vec<_>>().join(" ")
        };
        writeln!(
            f,
            "seed {} steps {} eager {} calm {} back {} missing all {} protocols {:?}",
            self.seed, self.steps, self.eager, self.is_calm, self.comes_back, self.misses_all, self.protocols
        )?;
        writeln!(f, "{}", self.setup)?;
        writeln!(f, "workload {}", weights(&self.workload))?;
        write!(f, "faults {}% {}", self.fault_percent, weights(&self.faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_weight_in_random_runs() {
        let drawn = ALWAYS.iter().map(|(word, _)| *word).chain(OFTEN).chain(OFTEN_AND_MORE_IF_CALM);
        let drawn =
            drawn.chain(OWN_STREAM.iter().map(|(word, ..)| *word)).chain(FAULTS.iter().copied().flatten().copied());
        let drawn: Vec<&str> = drawn.collect();
        let others: Vec<&str> = Action::WORDS.iter().copied().filter(|word| !drawn.contains(word)).collect();
        // A shutdown is drawn by itself, a healing ends every run, and searches alone let clients enter at one stroke.
        assert_eq!(others, ["shutdown", "heal", "enter"]);
    }

    #[test]
    fn a_seed_draws_the_same_run() {
        let options = Options::draw(3, 50);
        assert_eq!(options.actions(), Options::draw(3, 50).actions());
        assert_eq!(options.to_string(), Options::draw(3, 50).to_string());
        assert_ne!(options.actions(), Options::draw(4, 50).actions());
    }

    #[test]
    fn every_limit_that_a_simulation_draws_is_drawn() {
        let drawn: Vec<Setup> = (0..200).map(|seed| Options::draw(seed, 1).setup).collect();
        for limit in Limit::ALL {
            let Simulated { drawn: values, percent, .. } = limit.simulated();
            assert_eq!(values.is_empty(), percent == 0, "{limit}");
            for value in values {
                let wanted = Setup::default().with(*limit, *value).limits.value(*limit);
                assert!(drawn.iter().any(|setup| setup.limits.value(*limit) == wanted), "{limit}={value}");
            }
        }
    }

    #[test]
    fn every_drawn_setup_is_one_that_a_server_would_start_with() {
        for seed in 0..200 {
            let setup = Options::draw(seed, 1).setup;
            assert_eq!(setup.config().limits.validate(), Ok(()), "{setup}");
            assert_eq!(setup.to_string().parse(), Ok(setup));
        }
    }
}
