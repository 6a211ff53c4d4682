//! A connection is closed for what it, its backend or the time has given rise to: for slowness only where its socket has
//! refused bytes since nothing waited for it, and for everything else by a cause that was seen to come.

use super::calls::commands;
use super::conduct::Conduct;
use super::dismissals::Dismissals;
use crate::checkers::checker::Checker;
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::guarantees::{Failure, Guarantee};
use crate::world::frames::ReceivedFrame;
use parlor_core::api::Command;
use parlor_core::{CloseCause, Config, Effect, End, Input, Instant, Limits, Now, UserLimit};
use std::collections::BTreeMap;
use std::time::Duration;

/// The code of a slow client.
const SLOW: u16 = 3008;

/// The code that stands for no Close frame.
const NO_FRAME: u16 = 1006;

/// Conduct of all connections so far.
#[derive(Clone, Debug)]
pub(super) struct Closes {
    limits: Limits,
    allow_anonymous: bool,
    /// Who is one connection too many for its user is refused, and else takes the place of another.
    refuses: bool,
    conducts: BTreeMap<usize, Conduct>,
    /// Effects of backends' calls on connections so far.
    refreshes: bool,
    places: bool,
    revokes: bool,
    /// Calls that are not answered, or too late to know what has become of them, each with its time.
    calls: Vec<(Instant, Command)>,
    dismissals: Dismissals,
    shutdown: bool,
    shard_lost: bool,
    /// Shards answer each other later.
    is_late: bool,
    /// A driver offers sockets what waits without being seen to.
    by_driver: bool,
}

impl Closes {
    pub(super) fn new(config: &Config, is_late: bool, by_driver: bool) -> Self {
        Self {
            limits: config.limits.clone(),
            allow_anonymous: config.allow_anonymous,
            refuses: config.user_limit == UserLimit::Refuse,
            conducts: BTreeMap::new(),
            refreshes: false,
            places: false,
            revokes: false,
            calls: Vec::new(),
            dismissals: Dismissals::default(),
            shutdown: false,
            shard_lost: false,
            is_late,
            by_driver,
        }
    }

    fn turned(&mut self, now: Now, turn: &ObservedTurn<'_>) -> Result<(), Failure> {
        self.dismissals.turned(turn);
        self.conducts.values_mut().for_each(|conduct| conduct.lasts(now));
        match turn.input {
            Input::Call { command, .. } => {
                for part in commands(command) {
                    self.refreshes |= matches!(part, Command::Refresh { .. });
                    self.places |= matches!(part, Command::Subscribe { .. });
                    self.revokes |= matches!(part, Command::RevokeToken { .. } | Command::InvalidateUserTokens { .. });
                }
                self.calls.push((now.mono, command.clone()));
                self.is_called();
            }
            // While a call is not answered, it may mean who comes or says who it is.
            Input::Authenticated { .. } => {
                if let Some(conduct) = turn.client.and_then(|client| self.conducts.get_mut(&client)) {
                    conduct.notes(now, turn.input);
                }
                self.is_called();
            }
            Input::Shutdown => self.shutdown = true,
            _ => {}
        }
        let is_noted = matches!(turn.input, Input::Authenticated { .. });
        if let Some(conduct) = turn.client.and_then(|client| self.conducts.get_mut(&client)).filter(|_| !is_noted) {
            conduct.notes(now, turn.input);
        }
        for (client, effect) in turn.client_effects {
            let (Effect::Closed { end, .. }, Some(conduct)) = (effect, self.conducts.get(client)) else { continue };
            if !self.is_due(now, conduct, end) {
                let why = format_args!("client {client} to be closed for what has happened: {conduct:?}");
                return Err(Failure::new(Guarantee::G7, why, format_args!("{end:?}")));
            }
        }
        Ok(())
    }

    /// Records that calls mean those whom they mean now.
    fn is_called(&mut self) {
        let Self { calls, conducts, .. } = self;
        let all = || calls.iter().flat_map(|(_, call)| commands(call));
        conducts.values_mut().for_each(|conduct| all().for_each(|command| conduct.is_called(command)));
    }

    /// Whether this end has a cause that was seen.
    fn is_due(&self, now: Now, conduct: &Conduct, end: &End) -> bool {
        let limits = &self.limits;
        let passed = |since: Option<u64>, timeout: Duration| {
            since.is_some_and(|since| u128::from(now.mono.0.saturating_sub(since)) >= timeout.as_nanos())
        };
        let lasted = |time: u64, timeout: Duration| u128::from(time) >= timeout.as_nanos();
        let proved = conduct.tokens > 0;
        match end.cause {
            CloseCause::Protocol | CloseCause::Binary | CloseCause::Utf8 | CloseCause::TooLarge => {
                conduct.violations.contains(&end.cause)
            }
            CloseCause::Shutdown => self.shutdown,
            CloseCause::Overloaded => proved || self.places || conduct.upgraded.is_some(),
            CloseCause::Expired => self.refreshes || conduct.ends.is_some_and(|end| end <= now.mono.0),
            CloseCause::Slow => conduct.refused || conduct.slow || self.by_driver,
            CloseCause::WriteTimeout if self.by_driver => lasted(conduct.idle, limits.write_timeout),
            CloseCause::WriteTimeout => lasted(conduct.blocked, limits.write_timeout),
            CloseCause::NoPong => lasted(conduct.silence, limits.pong_timeout),
            CloseCause::Unfinished => lasted(conduct.unfinished, limits.message_timeout),
            CloseCause::Hoards => conduct.begun.is_some() || conduct.has_sent,
            // Between one hub and one home nothing is lost.
            // What a lost shard knew may be missing.
            CloseCause::Gap => self.shard_lost,
            // On one shard every answer comes in the turn of its question.
            CloseCause::Unanswered => self.is_late,
            CloseCause::Rate => conduct.has_sent,
            CloseCause::UserFull => limits.connections_per_user.is_some() && proved && self.refuses,
            CloseCause::UserConnections => limits.connections_per_user.is_some() && proved && !self.refuses,
            CloseCause::TokenRequired => !self.allow_anonymous,
            CloseCause::InvalidToken => proved,
            CloseCause::Revoked => proved && self.revokes,
            CloseCause::Rooms => proved || conduct.rooms > limits.rooms_per_connection,
            CloseCause::BadRequest => conduct.has_sent,
            CloseCause::Stale => passed(conduct.upgraded, limits.authenticate_timeout),
            CloseCause::Backend => {
                let is_early = end.reason().code() == NO_FRAME && !conduct.dismissed.is_empty();
                is_early || conduct.dismissed.contains(&end.reason().code())
            }
            CloseCause::HandshakeTimeout => passed(Some(conduct.came), limits.handshake_timeout),
            CloseCause::PeerClose => conduct.closed,
            CloseCause::PeerEof => conduct.lost,
            CloseCause::PeerReset => conduct.reset,
        }
    }
}

impl Checker for Closes {
    fn name(&self) -> &'static str {
        "closes"
    }

    fn saw(&mut self, Observation { clock: now, what, .. }: &Observation<'_>) -> Result<(), Failure> {
        let now = *now;
        match *what {
            Observed::Came { client, upgrade, answer: Ok(_) } => {
                self.dismissals.forget(client);
                self.conducts.insert(client, Conduct::of(now, upgrade));
                self.is_called();
            }
            Observed::Returned { command, .. } => {
                self.is_called();
                let waited = |since: Instant| Duration::from_nanos(now.mono.0.saturating_sub(since.0));
                let is_known = |since: Instant| waited(since) < self.limits.ticket_timeout;
                let at = self.calls.iter().position(|(since, call)| call == command && is_known(*since));
                at.map(|at| self.calls.swap_remove(at));
            }
            Observed::Offered { client, waiting, taken, .. } => {
                self.conducts.entry(client).or_default().is_offered(now, waiting, taken);
            }
            Observed::Read { client, frame: ReceivedFrame::Close(Some(SLOW)), .. } => {
                let conduct = self.conducts.entry(client).or_default();
                conduct.slow |= conduct.refused;
                if !(conduct.slow || conduct.dismissed.contains(&SLOW) || self.by_driver) {
                    let expected = format_args!("client {client} to be slow before it is told so");
                    return Err(Failure::new(Guarantee::G6, expected, "it took all that it was offered"));
                }
            }
            Observed::ShardLost { clients, .. } => {
                self.shard_lost = true;
                clients.iter().for_each(|client| self.dismissals.forget(*client));
            }
            Observed::Entered { client, room, .. } => self.dismissals.enters(client, room),
            Observed::Healed { well } => return self.dismissals.are_carried_out(well),
            Observed::Turn(turn) => return self.turned(now, &turn),
            _ => {}
        }
        Ok(())
    }
}
