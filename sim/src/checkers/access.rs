//! Who may do what, as the README has it, judged on answers: what is done for a client is allowed, and what is refused for
//! a lack of permission is not. A client reads its answers in the order in which the server gave them, so that at each it
//! knows which rooms it was in.

use super::shown::ShownToken;
use crate::checkers::checker::Checker;
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::guarantees::{Failure, Guarantee};
use crate::world::setup::Allowed;
use parlor_core::{Claims, Input, Limits, Now};
use std::collections::{BTreeMap, BTreeSet};

/// Permission denied.
const DENIED: u64 = 103;

/// Rooms, user and tokens of one connection, as far as they were seen.
#[derive(Clone, Debug, Default)]
struct SeenClient {
    shown: Vec<ShownToken>,
    rooms: BTreeSet<String>,
    /// It came with a token.
    in_header: bool,
    /// Its user, once it is known.
    user: Option<String>,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Access {
    allowed: Allowed,
    limits: Limits,
    standings: BTreeMap<usize, SeenClient>,
}

impl Access {
    pub(super) fn new(allowed: Allowed, limits: Limits) -> Self {
        Self { allowed, limits, standings: BTreeMap::new() }
    }

    /// Whether a client may have what this command asks for, with what it is and has shown.
    fn may(&self, standing: &SeenClient, command: &SentCommand) -> bool {
        let allowed = self.allowed;
        let room = command.text("channel");
        let is_member = standing.rooms.contains(room);
        let has_token = |room: Option<&str>| self.has_shown(standing, room);
        match command.method.as_str() {
            "connect" => allowed.anonymous || has_token(None),
            "subscribe" if room.starts_with('#') => false,
            "subscribe" if command.params["join_leave"] == true && !allowed.presence => false,
            "subscribe" if command.params["token"].is_string() => has_token(Some(room)),
            "subscribe" => allowed.subscribe,
            "unsubscribe" => !room.starts_with('#'),
            "publish" => allowed.publish && is_member,
            "history" => allowed.history && is_member,
            "presence" | "presence_stats" => allowed.presence && is_member,
            "refresh" => has_token(None),
            "sub_refresh" => is_member && has_token(Some(room)),
            _ => true,
        }
    }

    /// Whether it has shown a token that counts for this: for a room, or for the connection.
    fn has_shown(&self, standing: &SeenClient, room: Option<&str>) -> bool {
        let is_its = |shown: &ShownToken| {
            let claims = shown.claims.as_ref().filter(|_| room.is_some());
            claims.zip(standing.user.as_ref()).is_none_or(|(claims, user)| claims.sub == *user)
        };
        standing.shown.iter().any(|shown| is_its(shown) && shown.counts(&self.limits, room))
    }

    /// Who a client is, and where it may be put, at its connect.
    fn connected(&mut self, client: usize, command: &SentCommand, rooms: &[String]) -> Result<(), Failure> {
        let standing = self.standings.entry(client).or_default();
        let shown = standing.shown.iter().filter_map(|shown| shown.claims.clone());
        let mut whole: Vec<Claims> = shown.filter(|claims| claims.channel.is_none()).collect();
        if !command.params["token"].is_string() && !standing.in_header || whole.is_empty() {
            whole = vec![Claims::default()];
        }
        // What it reads comes after what it has shown: of several tokens it may have been any.
        standing.user = Some(whole[0].sub.clone()).filter(|user| whole.iter().all(|claims| claims.sub == *user));
        let is_its = |room: &String| {
            whole.iter().any(|claims| claims.channels.contains(room) || *room == format!("#{}", claims.sub))
        };
        match rooms.iter().find(|room| !is_its(room)) {
            Some(room) => denied(client, command, "in rooms of its token and its own", room),
            None => Ok(()),
        }
    }

    fn turned(&mut self, now: Now, turn: &ObservedTurn<'_>) {
        if let (Input::Authenticated { verdict, .. }, Some(client)) = (turn.input, turn.client) {
            let claims = verdict.as_ref().ok().map(|verified| verified.claims().clone());
            self.standings.entry(client).or_default().shown.push(ShownToken { claims, unix_ms: now.unix_ms });
        }
    }
}

fn denied(client: usize, command: &SentCommand, expected: &str, saw: &str) -> Result<(), Failure> {
    let SentCommand { method, params, .. } = command;
    Err(Failure::new(Guarantee::P1, format_args!("client {client} to be {expected} ({method} {params})"), saw))
}

impl Checker for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn saw(&mut self, Observation { now, what }: &Observation<'_>) -> Result<(), Failure> {
        match *what {
            Observed::Came { client, answer: Ok(_), upgrade } => {
                let standing = SeenClient { in_header: upgrade.token.is_some(), ..SeenClient::default() };
                self.standings.insert(client, standing);
            }
            Observed::Turn(turn) => self.turned(*now, &turn),
            Observed::Entered { client, room, .. } => {
                self.standings.entry(client).or_default().rooms.insert(room.into());
            }
            Observed::Left { client, room } => drop(self.standings.entry(client).or_default().rooms.remove(room)),
            Observed::Answered { client, command, answer } => {
                let Some(standing) = self.standings.get(&client) else { return Ok(()) };
                match (answer, self.may(standing, command)) {
                    (Ok(_), false) => return denied(client, command, "refused", "it was done"),
                    // Of several tokens it may have been any that was refused.
                    (Err(DENIED), true) if !command.params["token"].is_string() => {
                        return denied(client, command, "allowed", "it was refused");
                    }
                    (Ok(result), _) if command.method == "connect" => {
                        let subs = result["subs"].as_object().into_iter().flatten();
                        let rooms: Vec<String> = subs.map(|(room, _)| room.clone()).collect();
                        return self.connected(client, command, &rooms);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}
