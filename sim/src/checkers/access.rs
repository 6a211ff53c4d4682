//! Who may do what, as the README has it, judged on answers and on presence events: what is done for a client, or told to
//! it, is allowed, and what is refused for a lack of permission is not. A client reads its answers in the order in which
//! the server gave them, so that at each it knows which rooms it was in.

use super::calls::commands;
use super::placements::Placements;
use super::shown::ShownToken;
use crate::checkers::checker::Checker;
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::guarantees::{Failure, Guarantee};
use crate::world::names::prefix;
use crate::world::rules::{HISTORY, PRESENCE, PUBLISH, Right, SUBSCRIBE};
use crate::world::setup::Setup;
use parlor_core::api::{Command, Selection};
use parlor_core::{CapabilityClaim, Claims, Input, Now};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Permission denied.
const DENIED: u64 = 103;

/// Rooms, user and tokens of one connection, as far as they were seen.
#[derive(Clone, Debug, Default)]
struct SeenClient {
    shown: Vec<ShownToken>,
    /// Capabilities of its connection tokens: of the one that counts, then of those that were shown after it.
    caps: VecDeque<Vec<CapabilityClaim>>,
    rooms: BTreeSet<String>,
    /// Rooms that it has left since a command that waits for its answer: where answers come later, it was a member then.
    left: BTreeSet<String>,
    /// Commands that wait for their answers.
    waiting: usize,
    /// The rooms that a backend has put it into, or may have.
    put_in: BTreeSet<String>,
    /// It came with a token.
    in_header: bool,
    /// Its session has begun.
    is_connected: bool,
    /// Its user, once it is known.
    user: Option<String>,
    /// The rooms that its token has put it in and nothing else has, those of them that a later token names no more, and those
    /// that a backend has taken it out of.
    by_token: BTreeSet<String>,
    to_leave: BTreeSet<String>,
    /// The claims of the room token that has let it into each room.
    granted: BTreeMap<String, Claims>,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Access {
    setup: Setup,
    clients: BTreeMap<usize, SeenClient>,
    /// The rooms that a backend takes clients out of: where answers come later, one who comes meanwhile too, and a `subscribe`
    /// that is under way is refused then.
    taken_out: BTreeSet<String>,
    placements: Placements,
}

impl Access {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            clients: BTreeMap::new(),
            taken_out: BTreeSet::new(),
            placements: Placements::default(),
        }
    }

    /// Whether a client may have what this command asks for, with what it is and has shown. Where that cannot be told, the
    /// answer is that of `benefit`.
    fn may(&self, seen: &SeenClient, command: &SentCommand, benefit: bool) -> bool {
        let room = command.text("channel");
        let rules = self.setup.rules(prefix(room));
        let has_token = |room: Option<&str>| self.has_shown(seen, room);
        let has = |right: Right, is_member: bool| self.has_right(seen, room, right, is_member, benefit);
        let is_member = seen.rooms.contains(room) || benefit && seen.left.contains(room);
        match command.method.as_str() {
            "connect" => self.setup.allow_anonymous == 1 || has_token(None),
            "subscribe" | "unsubscribe" if room.starts_with('#') => false,
            "subscribe" if command.params["join_leave"] == true && !(rules.join_leave && has(PRESENCE, true)) => false,
            "subscribe" if command.params["token"].is_string() => has_token(Some(room)) && has(SUBSCRIBE, false),
            "subscribe" => has(SUBSCRIBE, false),
            "publish" => has(PUBLISH, is_member),
            "history" => rules.history_messages > 0 && has(HISTORY, is_member),
            "presence" | "presence_stats" => rules.presence_list && has(PRESENCE, is_member),
            "refresh" => has_token(None),
            "sub_refresh" => is_member && has_token(Some(room)),
            _ => true,
        }
    }

    /// Whether a client has a right in a room, by the rules there or by a token.
    fn has_right(&self, seen: &SeenClient, room: &str, right: Right, is_member: bool, benefit: bool) -> bool {
        let is_user = seen.user.as_ref().map_or(benefit, |user| !user.is_empty());
        let is_granted =
            seen.granted.get(room).is_some_and(|claims| claims.allow.iter().any(|allowed| allowed == right));
        let of_room = seen.shown.iter().filter(|shown| shown.counts(&self.setup.limits, Some(room)));
        let by_room = of_room
            .filter_map(|shown| shown.claims.as_ref())
            .any(|claims| right == SUBSCRIBE || claims.allow.iter().any(|allowed| allowed == right));
        let in_caps = |caps: &Vec<CapabilityClaim>| caps.iter().any(|entry| entry_grants(entry, right, room));
        let by_caps = if benefit {
            seen.caps.iter().any(in_caps)
        } else {
            !seen.caps.is_empty() && seen.caps.iter().all(in_caps)
        };
        self.setup.rules(prefix(room)).may(right, by_room && benefit || is_granted || by_caps, is_member, is_user)
    }

    /// A client that is told who joins or leaves a room may know it when it reads that: a push that was sent before a later
    /// token counted comes before the answer to that token.
    fn told(&self, client: usize, push: &Value) -> Result<(), Failure> {
        let is_event = push["join"].is_object() || push["leave"].is_object();
        let (Some(room), Some(seen)) = (push["channel"].as_str(), self.clients.get(&client)) else { return Ok(()) };
        let is_told = || self.setup.rules(prefix(room)).join_leave;
        if !is_event || is_told() && self.has_right(seen, room, PRESENCE, true, true) {
            return Ok(());
        }
        let expected = format_args!("client {client} not to be told who joins and leaves {room:?}");
        Err(Failure::new(Guarantee::P1, expected, push.to_string()))
    }

    /// Whether it has shown a token that counts for this: for a room, or for the connection.
    fn has_shown(&self, seen: &SeenClient, room: Option<&str>) -> bool {
        let is_its = |shown: &ShownToken| {
            let claims = shown.claims.as_ref().filter(|_| room.is_some());
            claims.zip(seen.user.as_ref()).is_none_or(|(claims, user)| claims.sub == *user)
        };
        seen.shown.iter().any(|shown| is_its(shown) && shown.counts(&self.setup.limits, room))
    }

    /// Who a client is, and where it may be put, at its connect.
    fn connected(&mut self, client: usize, command: &SentCommand, rooms: &[String]) -> Result<(), Failure> {
        let seen = self.clients.entry(client).or_default();
        seen.is_connected = true;
        let shown = seen.shown.iter().filter_map(|shown| shown.claims.clone());
        let mut whole: Vec<Claims> = shown.filter(|claims| claims.channel.is_none()).collect();
        if !command.params["token"].is_string() && !seen.in_header || whole.is_empty() {
            // A `connect` that was passed over may stand for one with a token that has the same id.
            whole.insert(0, Claims::default());
            // What grants nothing counts until a later token is accepted.
            seen.caps.push_front(Vec::new());
        }
        // What it reads comes after what it has shown: of several tokens it may have been any.
        seen.user = Some(whole[0].sub.clone()).filter(|user| whole.iter().all(|claims| claims.sub == *user));
        let is_its = |room: &String| {
            whole.iter().any(|claims| claims.channels.contains(room) || *room == format!("#{}", claims.sub))
        };
        seen.by_token = rooms.iter().cloned().collect();
        match rooms.iter().find(|room| !is_its(room)) {
            Some(room) => denied(client, command, "in rooms of its token and its own", room),
            None => Ok(()),
        }
    }

    /// A client is let in by a token for this room: the one that it has shown, if there is just one, and if that has no end.
    fn let_in(&mut self, client: usize, command: &SentCommand, result: &Value) -> Result<(), Failure> {
        let Some(seen) = self.clients.get_mut(&client) else { return Ok(()) };
        let room = command.text("channel");
        seen.by_token.remove(room);
        seen.granted.remove(room);
        if !command.params["token"].is_string() {
            return Ok(());
        }
        let claims = seen.shown.iter().filter_map(|shown| shown.claims.as_ref());
        let its: Vec<&Claims> = claims.filter(|claims| claims.channel.as_deref() == Some(room)).collect();
        let may_end = |expires: bool| its.iter().any(|claims| claims.exp.is_some() == expires);
        if !may_end(result["expires"] == true) {
            return denied(client, command, "told whether its token ends", &result.to_string());
        }
        if let [claims] = its[..]
            && claims.exp.is_none()
            && self.setup.shards == 1
        {
            let claims = claims.clone();
            seen.granted.insert(room.into(), claims);
        }
        Ok(())
    }

    /// A later token counts: rooms that only the one before it names are to be left.
    fn refreshed(&mut self, client: usize) {
        let Some(seen) = self.clients.get_mut(&client) else { return };
        let whole =
            seen.shown.iter().filter_map(|shown| shown.claims.as_ref()).filter(|claims| claims.channel.is_none());
        let named: BTreeSet<&String> = whole.skip(1).flat_map(|claims| &claims.channels).collect();
        let gone: Vec<String> =
            seen.by_token.iter().filter(|room| !room.starts_with('#') && !named.contains(room)).cloned().collect();
        let stays = |room: &String| seen.put_in.contains(room) || !seen.rooms.contains(room);
        seen.to_leave.extend(gone.into_iter().filter(|room| !stays(room)));
    }

    /// When all was read, nobody is where it may not be, and no user has more connections than may be.
    fn healed(&self, well: &[usize]) -> Result<(), Failure> {
        let all = || well.iter().filter_map(|client| Some((client, self.clients.get(client)?)));
        if let Some((client, seen)) = all().find(|(_, seen)| !seen.to_leave.is_empty()) {
            let expected = format_args!("client {client} to have left {:?}", seen.to_leave);
            return Err(Failure::new(Guarantee::G2, expected, "it has not read so"));
        }
        let Some(most) = self.setup.limits.connections_per_user.filter(|_| self.setup.shards == 1) else {
            return Ok(());
        };
        let mut users: BTreeMap<&str, usize> = BTreeMap::new();
        let known = all().filter_map(|(_, seen)| seen.user.as_deref()).filter(|user| !user.is_empty());
        known.for_each(|user| *users.entry(user).or_default() += 1);
        match users.into_iter().find(|(_, count)| *count > most.get()) {
            Some((user, count)) => {
                Err(Failure::new(Guarantee::G7, format_args!("at most {most} connections of {user}"), count))
            }
            None => Ok(()),
        }
    }

    /// A token counts until the next one is accepted; one that came with a refused `connect` never does. A `connect` in a session
    /// is refused without a look at its token.
    fn supersede(&mut self, client: usize, command: &SentCommand, is_done: bool) {
        let seen = self.clients.entry(client).or_default();
        let is_over = match command.method.as_str() {
            "refresh" => is_done,
            "connect" => !is_done && !seen.is_connected,
            _ => false,
        };
        if is_over {
            seen.caps.pop_front();
        }
    }

    fn answers(&mut self, client: usize) {
        let seen = self.clients.entry(client).or_default();
        seen.waiting = seen.waiting.saturating_sub(1);
        if seen.waiting == 0 {
            seen.left.clear();
        }
    }

    /// Whether this is a `subscribe` to a room that a backend may have taken the client out of meanwhile. On one shard it is
    /// answered before a backend is heard.
    fn may_be_taken_out(&self, command: &SentCommand) -> bool {
        self.setup.shards > 1 && command.method == "subscribe" && self.taken_out.contains(command.text("channel"))
    }

    fn turned(&mut self, now: Now, turn: &ObservedTurn<'_>) {
        if let Input::Call { command, .. } = turn.input {
            self.take_out(command);
        }
        if let (Input::Authenticated { verdict, .. }, Some(client)) = (turn.input, turn.client) {
            let claims = verdict.as_ref().ok().map(|verified| verified.claims().clone());
            let seen = self.clients.entry(client).or_default();
            if let Some(claims) = claims.as_ref().filter(|claims| claims.channel.is_none()) {
                seen.caps.push_back(claims.caps.clone());
            }
            seen.shown.push(ShownToken { claims, unix_ms: now.unix_ms });
        }
    }

    /// Notes the rooms that a call takes clients out of.
    fn take_out(&mut self, command: &Command) {
        for part in commands(command) {
            let (user, client, room) = match part {
                Command::Unsubscribe { user, client, channel } => (user, client, channel.to_string()),
                Command::Subscribe { channel, .. } => {
                    for seen in self.clients.values_mut() {
                        seen.to_leave.remove(&**channel);
                        seen.put_in.insert(channel.to_string());
                    }
                    continue;
                }
                _ => continue,
            };
            self.taken_out.insert(room.clone());
            let is_meant = |seen: &SeenClient| seen.user.as_deref() == Some(&**user) && *client == Selection::All;
            for seen in self.clients.values_mut() {
                seen.granted.remove(&room);
                // Who waits for an answer may come back before it reads that it was taken out.
                if self.setup.shards == 1 && seen.waiting == 0 && is_meant(seen) && seen.rooms.contains(&room) {
                    seen.to_leave.insert(room.clone());
                }
            }
        }
    }
}

/// Whether an entry of `caps` grants a right in a room. A pattern of the simulator has one star, at its end.
fn entry_grants(CapabilityClaim { channels, matching, allow }: &CapabilityClaim, right: Right, room: &str) -> bool {
    let is_for = |name: &String| match (matching, name.strip_suffix('*')) {
        (Some(_), Some(beginning)) => room.starts_with(beginning) && !room.starts_with('#'),
        _ => name == room,
    };
    allow.iter().any(|allowed| allowed == right) && channels.iter().any(is_for)
}

fn denied(client: usize, command: &SentCommand, expected: &str, saw: &str) -> Result<(), Failure> {
    let SentCommand { method, params, .. } = command;
    Err(Failure::new(Guarantee::P1, format_args!("client {client} to be {expected} ({method} {params})"), saw))
}

impl Checker for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn saw(&mut self, Observation { now, what, .. }: &Observation<'_>) -> Result<(), Failure> {
        self.placements.saw(what)?;
        match *what {
            Observed::Came { client, answer: Ok(_), upgrade } => {
                let seen = SeenClient { in_header: upgrade.token.is_some(), ..SeenClient::default() };
                self.clients.insert(client, seen);
            }
            Observed::Turn(turn) => self.turned(*now, &turn),
            Observed::Read { client, text, .. } => return self.told(client, &text["push"]),
            Observed::Entered { client, room, .. } => {
                self.clients.entry(client).or_default().rooms.insert(room.into());
            }
            Observed::Asked { client, command } => {
                let seen = self.clients.entry(client).or_default();
                seen.waiting += 1;
                if matches!(command.method.as_str(), "subscribe" | "sub_refresh") {
                    seen.to_leave.remove(command.text("channel"));
                    seen.by_token.remove(command.text("channel"));
                }
                if matches!(command.method.as_str(), "refresh" | "sub_refresh") {
                    seen.granted.clear();
                }
            }
            Observed::Healed { well } => return self.healed(well),
            Observed::Left { client, room } => {
                let is_late = self.setup.slow_links == 1;
                let seen = self.clients.entry(client).or_default();
                seen.rooms.remove(room);
                seen.to_leave.remove(room);
                seen.by_token.remove(room);
                seen.granted.remove(room);
                seen.left.extend((is_late && seen.waiting > 0).then(|| room.into()));
            }
            Observed::Answered { client, command, answer } => {
                let Some(seen) = self.clients.get(&client) else { return Ok(()) };
                let (is_possible, is_certain) = (self.may(seen, command, true), self.may(seen, command, false));
                self.supersede(client, command, answer.is_ok());
                self.answers(client);
                match answer {
                    Ok(_) if !is_possible => return denied(client, command, "refused", "it was done"),
                    // Of several tokens it may have been any that was refused.
                    Err(DENIED) if self.may_be_taken_out(command) => {}
                    Err(DENIED) if is_certain && !command.params["token"].is_string() => {
                        return denied(client, command, "allowed", "it was refused");
                    }
                    Ok(result) if command.method == "subscribe" => return self.let_in(client, command, result),
                    Ok(_) if command.method == "refresh" => self.refreshed(client),
                    Ok(result) if command.method == "connect" => {
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
