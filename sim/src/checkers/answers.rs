//! Answers are what was asked for: a result has the fields that the README names and no others, a list has only what was asked
//! for, a history is in order and within its bounds and has what was put in lately, the same idempotency key is answered the
//! same, and a client reads frames of its protocol only.

use super::calls::{CallPart, broken, parts};
use super::figures::Figures;
use super::identities::Identities;
use super::retained::RetainedLogs;
use super::shown::depth;
use crate::checkers::checker::{Checked, Checker};
use crate::checkers::observation::{Observation, Observed, ObservedTurn};
use crate::checkers::sent_command::SentCommand;
use crate::world::names::{matches, prefix};
use crate::world::setup::Setup;
use parlor_core::admission::route::Target;
use parlor_core::api::{Command, HistoryLimit, Message};
use parlor_core::{ClientId, Input};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Fields of what is said of a member, and of a publication.
const MEMBER: [&[&str]; 2] = [&["client", "user"], &["conn_info", "chan_info"]];
const PUBLICATION: [&[&str]; 2] = [&["data", "offset"], &["info", "tags"]];
/// The fields of a push beside its room.
const PUSHES: [&str; 7] = ["pub", "join", "leave", "subscribe", "unsubscribe", "message", "refresh"];
/// The frames of the plain protocol that are no publications.
const PLAIN: [&str; 9] =
    ["connection", "authenticated", "pong", "subscribed", "published", "position", "gap", "reconnect", "error"];

/// A client, as far as its answers depend on it.
#[derive(Clone, Debug, Default)]
struct KnownClient {
    id: String,
    json: bool,
}

/// The clients, and the publications that answers depend on.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    setup: Setup,
    clients: BTreeMap<usize, KnownClient>,
    /// The users that each client has shown tokens of, by its public id.
    users: BTreeMap<String, BTreeSet<String>>,
    identities: Identities,
    figures: Figures,
    retained: RetainedLogs,
}

/// An object has the first of these fields, and no others but the second.
fn only(value: &Value, [needed, others]: [&[&str]; 2]) -> Checked {
    let has = |fields: &serde_json::Map<String, Value>| {
        let is_known = |name: &String| needed.contains(&name.as_str()) || others.contains(&name.as_str());
        needed.iter().all(|name| fields.contains_key(*name)) && fields.keys().all(is_known)
    };
    match value.as_object() {
        Some(fields) if has(fields) => Ok(()),
        _ => broken(format_args!("an object of {needed:?}, with {others:?} where there is such a thing"), value),
    }
}

/// The entries of a list, by their names.
fn entries(list: &Value) -> impl Iterator<Item = (&str, &Value)> {
    list.as_object().into_iter().flatten().map(|(name, entry)| (name.as_str(), entry))
}

impl Answers {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            clients: BTreeMap::new(),
            users: BTreeMap::new(),
            identities: Identities::default(),
            figures: Figures::default(),
            retained: RetainedLogs::new(setup),
        }
    }

    fn returned(&mut self, at: u64, command: &Command, answer: &Value) -> Checked {
        if let Command::Batch(commands) = command {
            let replies = answer["replies"].as_array().map_or(0, Vec::len);
            if replies != commands.len() && answer["error"].is_null() {
                return broken(format_args!("{} replies to a batch", commands.len()), answer);
            }
        }
        parts(command, answer).iter().try_for_each(|part| self.part(at, part))
    }

    fn part(&mut self, at: u64, part: &CallPart<'_>) -> Checked {
        let Ok(result) = part.answer else { return Ok(()) };
        match part.command {
            Command::Publish { channel, message } => self.published(at, channel, message, result),
            Command::PublishUser { user, message } => self.published(at, &format!("#{user}"), message, result),
            Command::Broadcast { channels, message } => {
                only(result, [&["responses"], &[]])?;
                let responses = result["responses"].as_array().map(Vec::as_slice).unwrap_or_default();
                if responses.len() != channels.len() {
                    return broken(format_args!("{} responses", channels.len()), result);
                }
                for (room, response) in
                    channels.iter().zip(responses).filter(|(_, response)| response["error"].is_null())
                {
                    self.published(at, room, message, &response["result"])?;
                }
                Ok(())
            }
            Command::Presence { .. } => {
                only(result, [&["presence"], &[]])?;
                self.members(&result["presence"])
            }
            Command::PresenceStats { .. } => only(result, [&["num_clients", "num_users"], &[]]),
            Command::History { channel, query } => {
                only(result, [&["publications", "epoch", "offset"], &[]])?;
                let most = match query.limit {
                    HistoryLimit::PositionOnly => Some(0),
                    HistoryLimit::AtMost(most) => Some(most.get()),
                    HistoryLimit::Unlimited => None,
                };
                let is_whole = most.is_none() && query.since.is_none();
                self.history(channel, result, most, query.reverse)?;
                self.retained.read(at, channel, result, is_whole && !query.reverse)
            }
            Command::HistoryRemove { channel } => {
                self.retained.removed(channel);
                only(result, [&[], &[]])
            }
            Command::Limits => {
                only(result, [&["limits"], &[]])?;
                entries(&result["limits"]).try_for_each(|(_, row)| only(row, [&["value", "answer"], &[]]))?;
                super::figures::limits(&self.setup.limits, &result["limits"])
            }
            Command::Channels { pattern, page } => {
                only(result, [&["channels"], &["cursor"]])?;
                entries(&result["channels"]).try_for_each(|(_, room)| only(room, [&["num_clients"], &[]]))?;
                let is_meant = |name: &str, _: &Value| {
                    pattern.as_ref().is_none_or(|pattern| matches(pattern, name))
                        && page.after.as_ref().is_none_or(|after| name > after.as_str())
                };
                listed(&result["channels"], page.limit, is_meant)
            }
            Command::Connections { user, channel, page } => {
                only(result, [&["connections"], &["cursor"]])?;
                let described: [&[&str]; 2] = [&["user", "transport", "protocol", "channels"], &[]];
                entries(&result["connections"]).try_for_each(|(_, one)| only(one, described))?;
                let is_meant = |id: &str, one: &Value| {
                    let has =
                        |room: &str| one["channels"].as_array().is_some_and(|all| all.iter().any(|of| of == room));
                    user.as_ref().is_none_or(|user| one["user"] == **user)
                        && channel.as_ref().is_none_or(|room| has(room))
                        && page.after.as_ref().is_none_or(|after| *id > *after.to_string())
                };
                listed(&result["connections"], page.limit, is_meant)
            }
            Command::Info => {
                only(result, [&["nodes"], &[]])?;
                let fields = ["uid", "name", "version", "num_clients", "num_users", "num_channels", "num_subs"];
                result["nodes"].as_array().into_iter().flatten().try_for_each(|node| only(node, [&fields, &[]]))
            }
            _ => revoked(part.command, result),
        }
    }

    fn published(&mut self, at: u64, room: &str, message: &Message, result: &Value) -> Checked {
        only(result, [&["epoch", "offset"], &[]])?;
        self.retained.published(at, room, message, result)
    }

    /// The members of a room, each by its public id.
    fn members(&self, list: &Value) -> Checked {
        entries(list).try_for_each(|(id, member)| {
            if member["client"] != id {
                return broken(format_args!("a member by the id {id}"), member);
            }
            self.is_who_it_says(member)
        })
    }

    /// Who a client is told to be has shown a token that says so, or nothing.
    fn is_who_it_says(&self, member: &Value) -> Checked {
        only(member, MEMBER)?;
        let (id, user) = (member["client"].as_str().unwrap_or_default(), member["user"].as_str().unwrap_or_default());
        match self.users.get(id) {
            Some(users) if user.is_empty() || users.contains(user) => Ok(()),
            users => broken(format_args!("{id} to be one of {users:?}"), member),
        }
    }

    /// A history: how many were asked for, and whether the newest come first.
    fn history(&self, room: &str, result: &Value, most: Option<usize>, reverse: bool) -> Checked {
        let all = result["publications"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().try_for_each(|publication| only(publication, PUBLICATION))?;
        let offsets: Vec<u64> =
            all.iter().map(|publication| publication["offset"].as_u64().unwrap_or_default()).collect();
        let is_next = |pair: &[u64]| if reverse { pair[0] == pair[1] + 1 } else { pair[0] + 1 == pair[1] };
        if !offsets.windows(2).all(is_next) {
            return broken(
                format_args!("the history of {room:?} in order, reversed: {reverse}"),
                format_args!("{offsets:?}"),
            );
        }
        let messages = self.setup.rules(prefix(room)).history_messages;
        if all.len() > most.unwrap_or(usize::MAX).min(messages) {
            return broken(format_args!("at most {most:?} messages, and {messages}"), all.len());
        }
        let held: usize = all.iter().map(|publication| publication["data"].to_string().len()).sum();
        if held > self.setup.limits.history_bytes_per_room {
            return broken(format_args!("at most {} bytes retained", self.setup.limits.history_bytes_per_room), held);
        }
        self.fits(all.iter())
    }

    /// Publications of one reply are no more than it may have.
    fn fits<'a>(&self, all: impl Iterator<Item = &'a Value>) -> Checked {
        let sizes: Vec<usize> = all.map(|publication| publication.to_string().len()).collect();
        let limits = &self.setup.limits;
        let bytes = sizes.iter().sum::<usize>() + sizes.len().saturating_sub(1);
        if sizes.len() <= limits.reply_messages && bytes <= limits.reply_bytes {
            return Ok(());
        }
        let most =
            format_args!("at most {} messages in {} bytes", limits.reply_messages, limits.reply_bytes).to_string();
        broken(most, format_args!("{} in {bytes}", sizes.len()))
    }

    /// Checks the answer to a client's command.
    fn answered(&self, client: usize, command: &SentCommand, result: &Value) -> Checked {
        let room = command.text("channel");
        let turns_text =
            |char: char| matches!(char, '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        match command.method.as_str() {
            "connect" => {
                let id = self.clients.get(&client).map(|known| known.id.as_str()).unwrap_or_default();
                if result["client"] != id || result["session"] != id {
                    return broken(format_args!("client and session to be {id}"), result);
                }
                self.fits(
                    entries(&result["subs"])
                        .flat_map(|(_, start)| start["publications"].as_array().into_iter().flatten()),
                )
            }
            "subscribe" if room.contains(turns_text) || !command.params["tf"].is_null() => {
                broken(format_args!("{} to be refused", command.params), result)
            }
            "subscribe" => self.fits(result["publications"].as_array().into_iter().flatten()),
            "publish" if depth(&command.params["data"].to_string()) > self.setup.limits.json_depth => {
                broken(format_args!("{} to be refused", command.params), result)
            }
            "presence" => self.members(&result["presence"]),
            "history" => {
                let limit = command.params["limit"].as_i64().unwrap_or(0);
                self.history(room, result, usize::try_from(limit).ok(), command.params["reverse"] == true)
            }
            _ => Ok(()),
        }
    }

    /// Checks that a frame is one of the client's protocol.
    fn read(&self, client: usize, text: &Value) -> Checked {
        let Some(known) = self.clients.get(&client) else { return Ok(()) };
        if !known.json {
            let is_known = text["type"].as_str().is_none_or(|kind| PLAIN.contains(&kind));
            return if is_known || text["n"].is_u64() { Ok(()) } else { broken("a frame of the plain protocol", text) };
        }
        let push = &text["push"];
        let Some(fields) = push.as_object() else { return Ok(()) };
        if !fields.keys().all(|name| name == "channel" || PUSHES.contains(&name.as_str())) {
            return broken(format_args!("a push of {PUSHES:?}"), push);
        }
        [&push["join"]["info"], &push["leave"]["info"]]
            .into_iter()
            .filter(|info| !info.is_null())
            .try_for_each(|info| self.is_who_it_says(info))
    }

    fn turned(&mut self, turn: &ObservedTurn<'_>) -> Checked {
        if let (Input::Authenticated { verdict: Ok(verified), .. }, Some(client)) = (turn.input, turn.client) {
            let id = self.clients.get(&client).map(|known| known.id.clone()).unwrap_or_default();
            self.users.entry(id).or_default().insert(verified.claims().sub.clone());
        }
        self.figures.turned(turn, self.setup.shards)
    }
}

/// The end of a revocation, a page of them, or nothing.
fn revoked(command: &Command, result: &Value) -> Checked {
    let (name, entry, page): (_, &[&str], _) = match command {
        Command::RevokeToken { .. } | Command::InvalidateUserTokens { .. } => {
            return only(result, [&["expire_at"], &[]]);
        }
        Command::RevokedTokens { page } => ("tokens", &["expire_at"], page),
        Command::InvalidatedUsers { page } => ("users", &["issued_before", "expire_at"], page),
        _ => return only(result, [&[], &[]]),
    };
    only(result, [&[name], &["cursor"]])?;
    entries(&result[name]).try_for_each(|(_, one)| only(one, [entry, &[]]))?;
    listed(&result[name], page.limit, |key, _| page.after.as_ref().is_none_or(|after| key > after.as_str()))
}

/// A list has at most so many entries, each of which was asked for.
fn listed(list: &Value, limit: Option<usize>, is_meant: impl Fn(&str, &Value) -> bool) -> Checked {
    let count = entries(list).count();
    if limit.is_some_and(|limit| count > limit) {
        return broken(format_args!("at most {limit:?} entries"), count);
    }
    match entries(list).find(|(name, entry)| !is_meant(name, entry)) {
        Some((name, entry)) => broken("nothing in a list that was not asked for", format_args!("{name}: {entry}")),
        None => Ok(()),
    }
}

impl Checker for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn saw(&mut self, Observation { clock: now, what, .. }: &Observation<'_>) -> Checked {
        self.identities.saw(what)?;
        let at = now.mono.0;
        match *what {
            Observed::Came { client, upgrade, answer: Ok(_) } => {
                let id = ClientId(upgrade.client).to_string();
                self.users.entry(id.clone()).or_default();
                self.clients.insert(client, KnownClient { id, json: matches!(upgrade.target, Target::Json { .. }) });
                Ok(())
            }
            Observed::Asked { command, .. } => {
                if command.method == "publish" {
                    self.retained.put_in(command.text("channel"), command.params["data"].to_string().len());
                    self.figures.put_in(command.params["data"].to_string().len());
                }
                Ok(())
            }
            Observed::Turn(turn) => self.turned(&turn),
            Observed::ShardLost { .. } => {
                self.retained = RetainedLogs::new(&self.setup);
                Ok(())
            }
            Observed::Returned { command, answer } => self.returned(at, command, answer),
            Observed::Read { client, text, .. } => self.read(client, text),
            Observed::Answered { client, command, answer: Ok(result) } => self.answered(client, command, result),
            _ => Ok(()),
        }
    }
}
