//! Tokens that a backend takes back: once it is answered, who has come by one of them does not stay, neither on its connection
//! nor in a room, and what shows one later is refused, until the time that the answer names. Whom it ends is not answered any
//! more, and nobody else is ended for it.

use super::calls::{CallPart, broken, commands, parts};
use super::checker::{Checked, Checker};
use super::observation::{Observation, Observed, ObservedTurn};
use super::shown::ShownToken;
use crate::checkers::sent_command::SentCommand;
use parlor_core::admission::route::Target;
use parlor_core::api::{Command, Page};
use parlor_core::{Claims, CloseCause, Effect, Input, Limits, Now};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// The code of a subscription that ends with its token.
const REVOKED: u64 = 2502;

/// A revocation that a backend was told of, and its end in seconds since 1970.
#[derive(Clone, Debug)]
struct KnownRevocation {
    command: Command,
    until: i64,
}

/// A place of a client: one of its rooms, or its connection.
type BearerPlace = Option<String>;

/// The connection of a client, and what it has shown.
#[derive(Clone, Debug, Default)]
struct BearerClient {
    is_json: bool,
    /// Commands with a token of a room that are not answered.
    of_rooms: usize,
    /// The number of its last command, and that of the last which may be answered: its connection is to end.
    asked: u64,
    heard: Option<u64>,
    /// The tokens that it has shown, and whether each was to be refused.
    shown: Vec<(Claims, bool)>,
    /// The token by which it is in a place, where that is sure.
    by_token: BTreeMap<BearerPlace, Claims>,
    /// The places in which it does not stay.
    to_end: BTreeSet<BearerPlace>,
}

impl BearerClient {
    /// The tokens that it has shown for a room, or for all of them and its connection.
    fn shown_for(&self, room: Option<&str>) -> impl Iterator<Item = &(Claims, bool)> {
        self.shown.iter().filter(move |(claims, _)| claims.channel.as_deref() == room)
    }

    /// It may be in a room for another reason from now on, or be there no more.
    fn forget(&mut self, room: &str) {
        let place = Some(room.into());
        self.by_token.remove(&place);
        self.to_end.remove(&place);
    }
}

/// The tokens that backends have taken back, and those who have come by them.
#[derive(Clone, Debug)]
pub(super) struct RevokedTokens {
    limits: Limits,
    /// All calls that revoke tokens, answered or not.
    called: Vec<Command>,
    known: Vec<KnownRevocation>,
    /// The latest time that there was, in seconds since 1970: a calendar may go back behind the answer to a call.
    latest: i64,
    clients: BTreeMap<usize, BearerClient>,
    /// Rooms that backends have ever put users into.
    placed: BTreeSet<String>,
    /// A shard was lost. The one in its place is told by the others what is revoked, and may let somebody in until then.
    is_shard_lost: bool,
}

impl RevokedTokens {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            called: Vec::new(),
            known: Vec::new(),
            latest: i64::MIN,
            clients: BTreeMap::new(),
            placed: BTreeSet::new(),
            is_shard_lost: false,
        }
    }

    fn turned(&mut self, now: Now, turn: &ObservedTurn<'_>) -> Checked {
        match (turn.input, turn.client) {
            (Input::Call { command, .. }, _) => commands(command).for_each(|part| self.is_called(part)),
            (Input::Authenticated { verdict, .. }, Some(client)) => {
                let claims = verdict.as_ref().ok().map(|verified| verified.claims().clone());
                self.is_shown(client, ShownToken { claims, unix_ms: now.unix_ms });
            }
            _ => {}
        }
        for (client, effect) in turn.client_effects {
            let Effect::Closed { end, .. } = effect else { continue };
            if end.cause == CloseCause::Revoked {
                self.ends_for_it(*client, None)?;
            }
            self.clients.remove(client);
        }
        Ok(())
    }

    fn is_called(&mut self, command: &Command) {
        if let Command::Subscribe { channel, .. } = command {
            self.placed.insert(channel.to_string());
            self.clients.values_mut().for_each(|client| client.forget(channel));
        }
        if let Command::RevokeToken { .. } | Command::InvalidateUserTokens { .. } = command {
            self.called.push(command.clone());
        }
    }

    /// A client has shown a token.
    fn is_shown(&mut self, client: usize, token: ShownToken) {
        let (Some(claims), Some(bearer)) = (&token.claims, self.clients.get_mut(&client)) else { return };
        let is_revoked = self.known.iter().any(|known| is_of(&known.command, claims, false));
        bearer.shown.push((claims.clone(), is_revoked && !self.is_shard_lost));
        if claims.channel.is_some() {
            return;
        }
        // A plain client may go on without it. One of a json client may be shown for a room, for which it is no good.
        let counts = bearer.is_json && bearer.of_rooms == 0 && token.counts(&self.limits, None);
        bearer.by_token.remove(&None);
        bearer.by_token.extend(counts.then(|| (None, claims.clone())));
        self.end();
    }

    /// A client is about to say something.
    fn is_asked(&mut self, client: usize, command: &SentCommand) {
        let Some(bearer) = self.clients.get_mut(&client) else { return };
        bearer.asked = command.number;
        if matches!(command.method.as_str(), "subscribe" | "sub_refresh") {
            bearer.of_rooms += usize::from(is_of_room(command));
            bearer.forget(command.text("channel"));
        }
    }

    fn is_answered(&mut self, client: usize, command: &SentCommand, is_done: bool) -> Checked {
        let Some(bearer) = self.clients.get_mut(&client) else { return Ok(()) };
        if bearer.heard.is_some_and(|last| last < command.number) && !self.is_shard_lost {
            return broken(format_args!("client {client} not to be heard, whose token is revoked"), &command.method);
        }
        if !is_of_room(command) {
            return Ok(());
        }
        bearer.of_rooms = bearer.of_rooms.saturating_sub(1);
        let room = command.text("channel");
        bearer.forget(room);
        let shown: Vec<_> = bearer.shown_for(Some(room)).collect();
        if is_done && !shown.is_empty() && shown.iter().all(|(_, is_refused)| *is_refused) {
            return broken(format_args!("client {client} to be refused, by a token that is revoked"), room);
        }
        // Of several tokens it may be any that has let it in.
        if let [(claims, _)] = shown[..]
            && is_done
            && command.method == "subscribe"
        {
            let claims = claims.clone();
            bearer.by_token.insert(Some(room.into()), claims);
            self.end();
        }
        Ok(())
    }

    /// A backend was told that tokens are revoked, or which are.
    fn is_told(&mut self, part: &CallPart<'_>, now: Now) -> Checked {
        let Ok(answer) = part.answer else { return Ok(()) };
        match part.command {
            command @ (Command::RevokeToken { expire_at, .. } | Command::InvalidateUserTokens { expire_at, .. }) => {
                let end = answer["expire_at"].as_i64();
                let Some(until) = end.filter(|end| expire_at.is_none_or(|asked| asked <= *end)) else {
                    return broken(format_args!("{command:?} to hold for as long as it says"), answer);
                };
                self.known.push(KnownRevocation { command: command.clone(), until });
                self.pass(now);
                self.end();
                Ok(())
            }
            Command::RevokedTokens { page: Page::ALL } => self.are_listed(&answer["tokens"], |command| match command {
                Command::RevokeToken { uid, .. } => Some(uid),
                _ => None,
            }),
            Command::InvalidatedUsers { page: Page::ALL } => {
                self.are_listed(&answer["users"], |command| match command {
                    Command::InvalidateUserTokens { user, .. } => Some(user),
                    _ => None,
                })
            }
            _ => Ok(()),
        }
    }

    /// All that was revoked, and holds, is in the list of its kind.
    fn are_listed(&self, list: &Value, key: fn(&Command) -> Option<&str>) -> Checked {
        let is_missing = |known: &&KnownRevocation| key(&known.command).is_some_and(|key| list[key].is_null());
        match self.known.iter().find(is_missing).filter(|_| !self.is_shard_lost) {
            Some(known) => broken(format_args!("{known:?} to be listed"), list),
            None => Ok(()),
        }
    }

    /// Notes those who are where they are by a token that is revoked, and by nothing else.
    fn end(&mut self) {
        let Self { known, clients, placed, .. } = self;
        for bearer in clients.values_mut() {
            let is_named = |room: &String| bearer.shown_for(None).any(|(claims, _)| claims.channels.contains(room));
            let is_kept =
                |place: &BearerPlace| place.as_ref().is_some_and(|room| placed.contains(room) || is_named(room));
            let is_revoked = |claims: &Claims| known.iter().any(|known| is_of(&known.command, claims, false));
            let ends = bearer.by_token.iter().filter(|(place, claims)| is_revoked(claims) && !is_kept(place));
            let places: Vec<BearerPlace> = ends.map(|(place, _)| place.clone()).collect();
            if places.contains(&None) {
                bearer.heard.get_or_insert(bearer.asked);
            }
            bearer.to_end.extend(places);
        }
    }

    /// A client's connection, or its subscription to a room, is ended for a token that is revoked: it has shown one.
    fn ends_for_it(&self, client: usize, room: Option<&str>) -> Checked {
        let Some(bearer) = self.clients.get(&client) else { return Ok(()) };
        let may_be_revoked = |claims: &Claims| self.called.iter().any(|command| is_of(command, claims, true));
        if bearer.shown_for(room).any(|(claims, _)| may_be_revoked(claims)) {
            return Ok(());
        }
        let saw = format_args!("the end of {room:?}");
        broken(format_args!("client {client} to go on, none of whose tokens is revoked"), saw)
    }

    fn healed(&self, well: &[usize]) -> Checked {
        let mut bearers = well.iter().filter_map(|client| Some((client, self.clients.get(client)?)));
        match bearers.find(|(_, bearer)| !bearer.to_end.is_empty()) {
            Some((client, bearer)) => {
                let expected = format_args!("client {client} not to stay where it is by a token that is revoked");
                broken(expected, format_args!("it is in {:?}", bearer.to_end))
            }
            None => Ok(()),
        }
    }

    /// What is over is forgotten, and may be by the server, too, whatever time it is later.
    fn pass(&mut self, now: Now) {
        let seconds = i64::try_from(now.unix_ms / 1000).unwrap_or(i64::MAX);
        self.latest = self.latest.max(seconds);
        self.known.retain(|known| known.until > self.latest + 1);
    }
}

/// Whether a call revokes this token. Where the call does not say before which time it was issued, `benefit` decides.
fn is_of(command: &Command, claims: &Claims, benefit: bool) -> bool {
    match command {
        Command::RevokeToken { uid, .. } => claims.jti.as_ref() == Some(uid),
        Command::InvalidateUserTokens { user, issued_before, .. } => {
            let is_before = |at: i64| issued_before.map_or(benefit, |before| at < before);
            claims.sub == **user && claims.iat.is_none_or(is_before)
        }
        _ => false,
    }
}

/// Whether a command shows a token of a room.
fn is_of_room(command: &SentCommand) -> bool {
    matches!(command.method.as_str(), "subscribe" | "sub_refresh") && command.params["token"].is_string()
}

impl Checker for RevokedTokens {
    fn name(&self) -> &'static str {
        "revocations"
    }

    fn saw(&mut self, Observation { clock: now, what, .. }: &Observation<'_>) -> Checked {
        self.pass(*now);
        match *what {
            Observed::Came { client, upgrade, answer: Ok(_) } => {
                let is_json = matches!(upgrade.target, Target::Json { .. });
                self.clients.insert(client, BearerClient { is_json, ..BearerClient::default() });
            }
            Observed::Asked { client, command } => self.is_asked(client, command),
            Observed::Answered { client, command, answer } => {
                return self.is_answered(client, command, answer.is_ok());
            }
            Observed::Left { client, room } => {
                self.clients.get_mut(&client).into_iter().for_each(|bearer| bearer.forget(room));
            }
            Observed::Read { client, text, .. } if text["push"]["unsubscribe"]["code"] == REVOKED => {
                return self.ends_for_it(client, text["push"]["channel"].as_str());
            }
            Observed::Turn(turn) => return self.turned(*now, &turn),
            Observed::Returned { command, answer } => {
                return parts(command, answer).iter().try_for_each(|part| self.is_told(part, *now));
            }
            Observed::ShardLost { clients, .. } => {
                clients.iter().for_each(|client| drop(self.clients.remove(client)));
                // Two that are lost one after the other may not have told each other.
                if mem::replace(&mut self.is_shard_lost, true) {
                    self.known.clear();
                }
            }
            Observed::Healed { well } => return self.healed(well),
            _ => {}
        }
        Ok(())
    }
}
