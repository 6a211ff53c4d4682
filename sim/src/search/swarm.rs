//! Random runs: what a run is like is drawn first, then what happens in it. Every setting, weight and word has a stream of its
//! own, so that one more of them changes no run but where it comes in.

use crate::rng::Rng;
use crate::search::race::{Pick, Race};
use crate::world::action::{
    Action, Bundle, Cause, Client, Credential, Endpoint, Frequency, Payload, RecoverySince, Room, Rooms, Selector,
    Span, User, Verdict,
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
    /// Whether tokens are checked seldom, so that much happens before.
    check_tokens_late: bool,
}

/// Which protocols a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProtocolMix {
    Mixed,
    Json,
    Plain,
}

impl Options {
    /// The same with so many shards, or as many as its seed draws, and links that are slow or not, or as it draws.
    #[must_use]
    pub fn with_shards(mut self, shards: Option<u64>, slow_links: Option<bool>) -> Self {
        let seed = self.seed;
        let draw = |name| Rng::stream(seed, name);
        let shards = shards.unwrap_or_else(|| draw("shards").pick(&[1, 1, 1, 1, 1, 2, 2, 3, 3, 4]));
        if shards == 1 {
            return self;
        }
        let are_links_slow = slow_links.unwrap_or_else(|| draw("slow_links").chance(75));
        self = self.whole();
        (self.setup.shards, self.setup.foreseen, self.setup.slow_links) = (shards, 0, u64::from(are_links_slow));
        self.check_tokens_late = draw("check_tokens_late").chance(50);
        self.weigh();
        self
    }

    /// The same in the world as it is drawn, whether that can be foreseen or not.
    #[must_use]
    pub fn whole(mut self) -> Self {
        let Setup { checked_by, foreseen, .. } = self.setup;
        self.setup = Setup { checked_by, foreseen, ..draw_setup(self.seed) };
        self.weigh();
        self
    }

    /// The action as it is foreseen, or else one that changes little.
    fn foreseeable(&self, action: Action) -> Action {
        let action = match action {
            Action::Accept(client, endpoint, rooms) if endpoint.has_places() => {
                Action::Accept(client, Endpoint::Plain, rooms)
            }
            action => action,
        };
        if action.is_foreseen() { action } else { Action::Respond() }
    }

    /// Gives each kind of action its weight in this world.
    fn weigh(&mut self) {
        let Self { seed, is_calm, .. } = *self;
        let Setup { shards, slow_links, .. } = self.setup;
        let rows = || Action::WORDS.iter().zip(Action::FREQUENCIES);
        let is_foreseen = |word: &str| {
            let kind = Action::WORDS.iter().position(|other| *other == word).expect("it is a word");
            !self.setup.is_foreseen() || Action::decode(kind, [0; 3], &self.setup).is_foreseen()
        };
        let can_happen = |word: &str, frequency: &Frequency| {
            u64::from(frequency.can_happen(shards, slow_links == 1) && is_foreseen(word))
        };
        let weight = |(word, frequency): (&&str, &Frequency)| match *word {
            "decide" if self.check_tokens_late => 4,
            word => frequency.weight(seed, word, is_calm) * can_happen(word, frequency),
        };
        self.workload = rows().map(weight).collect();
        let weight =
            |(word, frequency): (&&str, &Frequency)| frequency.fault_weight(seed, word) * can_happen(word, frequency);
        self.faults = rows().map(weight).collect();
    }

    /// Draws the options of this seed, each from a stream of its own.
    #[must_use]
    pub fn draw(seed: u64, steps: usize) -> Self {
        let draw = |name| Rng::stream(seed, name);
        // Where time runs, hardly anyone lives long enough for all that a session is made of.
        let is_calm = draw("is_calm").chance(50);
        let setup = draw_setup(seed);
        let small = setup.foreseeable();
        // Half of all runs are on several shards, which is never foreseen: most of the others are.
        let is_small = draw("is_small").chance(78) && small.validate().is_ok();
        let mut options = Self {
            seed,
            steps,
            setup: if is_small { small } else { setup },
            workload: Vec::new(),
            faults: Vec::new(),
            check_tokens_late: false,
            fault_percent: draw("fault_percent").pick(&[0, 2, 5, 10, 30]),
            eager: draw("eager").chance(50),
            is_calm,
            comes_back: draw("comes_back").chance(40),
            misses_all: draw("misses_all").chance(50),
            protocols: draw("protocols").pick(&[
                ProtocolMix::Mixed,
                ProtocolMix::Mixed,
                ProtocolMix::Json,
                ProtocolMix::Plain,
            ]),
        };
        options.weigh();
        options
    }

    /// The actions of the run; the last one heals the world.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        let mut is_faulty = Rng::stream(self.seed, "is_faulty");
        let workload = Race::new(self.seed, "workload", &self.workload);
        let faults = Race::new(self.seed, "faults", &self.faults);
        let mut actions = if self.is_calm { self.opening() } else { Vec::new() };
        if self.is_calm && self.setup.slow_links == 1 && self.eager {
            actions.push(Action::DeliverAll());
        }
        for step in 0..self.steps as u64 {
            let fault = if is_faulty.chance(self.fault_percent) { faults.pick(step) } else { None };
            actions.extend(fault.or_else(|| workload.pick(step)).map(|pick| self.action(pick)));
            if self.eager {
                actions.extend([Action::Flush(), Action::Respond()]);
            }
        }
        actions.push(Action::Heal());
        if self.setup.is_foreseen() {
            // Whether a plain client that shows a token has shown one before, or was let in without.
            let mut is_known = [false; 1 << u8::BITS];
            for action in &mut actions {
                *action = self.foreseeable(*action);
                match *action {
                    Action::Accept(client, endpoint, _) => {
                        let is_plain = !matches!(endpoint, Endpoint::Json | Endpoint::JsonPings);
                        let has_token = endpoint == Endpoint::PlainToken || self.setup.allow_anonymous == 1;
                        is_known[client.index()] = is_plain && has_token;
                    }
                    Action::Connect(client, _) if is_known[client.index()] => *action = Action::Respond(),
                    _ => {}
                }
            }
        }
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
        let verdict = match self.setup.namespaces {
            _ if self.comes_back => Verdict::Placed,
            0 => Verdict::Good,
            _ => Verdict::Capable,
        };
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

    /// The action that was picked, with its arguments.
    fn action(&self, pick: Pick) -> Action {
        let [a, b, c, d, ..] = pick.bits.to_le_bytes();
        let action = Action::decode(pick.kind, [a, b, c], &self.setup);
        match action {
            Action::Accept(client, endpoint, rooms) => {
                let endpoint =
                    if self.protocols == ProtocolMix::Mixed && d % 2 == 0 { Endpoint::Json } else { endpoint };
                self.accept_by_protocol(client, endpoint, rooms)
            }
            Action::AcceptSince(client, rooms, _) if self.protocols == ProtocolMix::Json || rooms.0 == 0 => {
                self.accept_by_protocol(client, Endpoint::PlainPlaces, rooms)
            }
            // Seldom has a user several connections.
            Action::ApiDisconnectSome(client, _, code) if d % 4 == 0 => {
                Action::ApiDisconnectSome(client, Selector::AllBut, code)
            }
            // Most clients are who they were before, and most tokens are good: else hardly anyone would stay.
            Action::Decide(client, verdict, user) => {
                let (other, moved, expiring) = match self.setup.namespaces {
                    0 => (Verdict::OtherRoom, Verdict::Moved, Verdict::Expiring),
                    _ => (Verdict::Allowing, Verdict::CapableOfAll, Verdict::Capable),
                };
                let often = [other, Verdict::Placed, Verdict::Both, moved, Verdict::Expiring, expiring];
                let verdict = often.get(usize::from(d >> 5)).copied().unwrap_or(verdict);
                Action::Decide(client, verdict, if d % 8 == 0 { user } else { self.own_user(client) })
            }
            // An hour at once is seldom: hardly anyone is left after it.
            Action::Advance(Span::Far) if d % 4 != 0 => Action::Advance(Span::Little),
            _ => action,
        }
    }

    fn accept_by_protocol(&self, client: Client, endpoint: Endpoint, rooms: Rooms) -> Action {
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

fn draw_setup(seed: u64) -> Setup {
    let world = Setup { seed, ..Setup::default() }.drawn();
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
        let rows = Action::WORDS.iter().zip(Action::FREQUENCIES);
        let others: Vec<&str> = rows.filter(|(_, frequency)| !frequency.is_drawn()).map(|(word, _)| *word).collect();
        // A healing ends every run, and searches alone let clients enter at one stroke.
        assert_eq!(others, ["heal", "enter"]);
    }

    /// A run without one of its words is the same run in every step but those that this word has won. In a world that is
    /// foreseen, a step may also depend on those before it.
    #[test]
    fn removing_an_action_changes_no_step_of_another() {
        for seed in 0..40 {
            let mut options = Options::draw(seed, 200).whole();
            options.setup.foreseen = 0;
            let actions = options.actions();
            for kind in 0..Action::WORDS.len() {
                let mut without = options.clone();
                (without.workload[kind], without.faults[kind]) = (0, 0);
                let others = without.actions();
                assert_eq!(others.len(), actions.len());
                // A token for a return may come to be none, for want of a place to return to.
                let is_its = |action: &Action| {
                    action.kind() == kind
                        || (Action::WORDS[kind] == "accept-since" && matches!(action, Action::Accept(..)))
                };
                let differ = actions.iter().zip(&others).find(|(action, other)| action != other && !is_its(action));
                assert_eq!(differ, None, "seed {seed} without {}", Action::WORDS[kind]);
            }
        }
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
        let drawn: Vec<Setup> = (0..200).map(|seed| Options::draw(seed, 1).whole().setup).collect();
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
