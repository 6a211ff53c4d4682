//! What backends ask for.

use super::Hub;
use crate::api::{Command, Connection, Info, Message, Position, Reply};
use crate::code::{CloseReason, Error, ErrorCode};
use crate::conn::{Conn, Phase, Speaks};
use crate::ids::{ClientId, Name, any_room};
use crate::link::{self, Draft, Origin, Request};
use crate::registry::index;
use crate::turn::{CallId, Effect};
use crate::wire::{json, plain};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

/// A broadcast that waits for the outcome of its parts.
#[derive(Clone, Debug)]
pub(super) struct Broadcast {
    responses: Vec<Option<Result<Position, Error>>>,
}

impl Hub {
    /// Carries out a backend's call. It is answered once, in this turn or when the broker has answered.
    pub(super) fn call(&mut self, call: CallId, command: Command) {
        let result = match command {
            Command::Publish { channel, message } => return self.call_publish(Origin::Call(call), channel, message),
            Command::PublishUser { user, message } => {
                return self.call_publish(Origin::Call(call), user.personal_room(), message);
            }
            Command::Broadcast { channels, message } if !channels.is_empty() => {
                return self.broadcast(call, &channels, &message);
            }
            Command::Broadcast { .. } => Ok(Reply::Broadcast(Vec::new())),
            Command::Send { client, data } => self.send(client, &data),
            Command::PublishAll { data } => {
                self.deliver_to_all(&data);
                Ok(Reply::Done)
            }
            Command::Disconnect { user, client, whitelist, reason } => {
                self.disconnect(&user, client, &whitelist, &reason);
                Ok(Reply::Done)
            }
            Command::Channels { pattern } => Ok(Reply::Channels(self.channels(pattern.as_deref()))),
            Command::Connections { user, channel } => {
                Ok(Reply::Connections(self.connections(user.as_ref(), channel.as_ref())))
            }
            Command::Info => Ok(Reply::Info(self.info())),
        };
        self.reply(call, result);
    }

    /// The broker has decided on a publication.
    pub(super) fn published(&mut self, from: Origin, room: &Name, result: Result<link::Position, Error>) {
        match from {
            Origin::Call(call) => self.reply(call, result.map(|position| Reply::Published(position.into()))),
            Origin::Part { call, at } => self.part_published(call, at, result.map(Position::from)),
            Origin::Json { conn, id } => self.with(conn, |hub, slot| match result {
                Ok(_) => hub.say(slot, &json::done(id, "publish")),
                Err(error) => hub.fail(slot, id, &error),
            }),
            Origin::Plain { conn, id } => self.with(conn, |hub, slot| match (result, id) {
                (Ok(position), Some(id)) => hub.say(slot, &plain::published(&id, room, position)),
                (Ok(_), None) => {}
                (Err(error), id) => hub.answer_publisher(slot, id.as_deref(), &error),
            }),
        }
    }

    /// The counts that a backend asks for.
    pub(super) fn info(&self) -> Info {
        let ready = self.conns.iter().filter(|(_, conn)| conn.ready().is_some());
        let anonymous = ready.clone().any(|(_, conn)| conn.ready().is_some_and(|open| open.info.user.is_empty()));
        Info {
            node: self.config.node.clone(),
            version: self.config.version.clone(),
            clients: ready.count(),
            users: self.registry.users().count() + usize::from(anonymous),
            channels: self.registry.rooms().count(),
        }
    }

    fn reply(&mut self, call: CallId, result: Result<Reply, Error>) {
        self.effects.push(Effect::Reply { call, result: Box::new(result) });
    }

    fn call_publish(&mut self, from: Origin, room: Name, message: Message) {
        let max = self.config.limits.publication_bytes;
        let tags = (!message.tags.is_empty())
            .then(|| serde_json::to_string(&message.tags).expect("a map of strings is always JSON"));
        let draft = Draft { data: message.data, tags, info: None, skip_history: message.skip_history };
        if draft.bytes() > max {
            let words = format!("data and tags have more than {max} bytes (publication_bytes)");
            return self.published(from, &room, Err(Error::new(ErrorCode::LimitExceeded, words)));
        }
        self.requests.push_back(Request::Publish { from, room, draft });
    }

    fn broadcast(&mut self, call: CallId, channels: &[String], message: &Message) {
        self.broadcasts.insert(call, Broadcast { responses: vec![None; channels.len()] });
        for (at, channel) in channels.iter().enumerate() {
            match any_room(channel, self.config.limits.room_name_bytes) {
                Ok(room) => self.call_publish(Origin::Part { call, at }, room, message.clone()),
                Err(wrong) => {
                    let error = Error::new(ErrorCode::BadRequest, format!("channel {channel:?}: {wrong}"));
                    self.part_published(call, at, Err(error));
                }
            }
        }
    }

    fn part_published(&mut self, call: CallId, at: usize, result: Result<Position, Error>) {
        let broadcast = self.broadcasts.get_mut(&call).expect("a broadcast waits for all of its parts");
        broadcast.responses[at] = Some(result);
        if broadcast.responses.iter().all(Option::is_some) {
            let broadcast = self.broadcasts.swap_remove(&call);
            let responses = broadcast.into_iter().flat_map(|done| done.responses).flatten().collect();
            self.reply(call, Ok(Reply::Broadcast(responses)));
        }
    }

    fn send(&mut self, client: ClientId, data: &str) -> Result<Reply, Error> {
        let ready = self.clients.get(&client).filter(|slot| self.conns[**slot as usize].ready().is_some());
        let Some(slot) = ready.copied() else {
            return Err(Error::new(ErrorCode::BadRequest, format!("client: no connection has the id {client}")));
        };
        self.deliver_to(slot, data);
        Ok(Reply::Done)
    }

    fn disconnect(&mut self, user: &Name, client: Option<ClientId>, whitelist: &[ClientId], reason: &CloseReason) {
        let slots: Vec<u32> = match client {
            Some(client) => self.clients.get(&client).copied().into_iter().collect(),
            None => self.registry.connections_of(user).collect(),
        };
        for slot in slots {
            let conn = &self.conns[slot as usize];
            let meant = match conn.phase.as_ref() {
                Some(Phase::Handshaking(_)) => user.is_empty(),
                Some(Phase::Open(open)) => user.is_empty() || open.info.user == *user,
                _ => false,
            };
            if meant && !whitelist.contains(&conn.client) {
                self.close(slot, reason.clone());
            }
        }
    }

    fn channels(&self, pattern: Option<&str>) -> Vec<(Name, usize)> {
        let matching = self.registry.rooms().filter(|(room, _)| pattern.is_none_or(|pattern| matches(pattern, room)));
        let mut rooms: Vec<(Name, usize)> = matching.map(|(room, members)| (room.clone(), members)).collect();
        rooms.sort_unstable();
        rooms
    }

    fn connections(&self, user: Option<&Name>, channel: Option<&Name>) -> Vec<Connection> {
        let all = self.conns.iter().filter(|(_, conn)| conn.ready().is_some());
        let in_room = |slot: u32| channel.is_none_or(|channel| self.registry.is_member(slot, channel));
        let described = all.map(|(slot, conn)| (index(slot), self.describe(conn)));
        let meant = |(slot, conn): &(u32, Connection)| user.is_none_or(|user| conn.user == *user) && in_room(*slot);
        described.filter(meant).map(|(_, connection)| connection).collect()
    }

    fn describe(&self, conn: &Conn) -> Connection {
        let user = conn.open().map_or_else(Name::empty, |open| open.info.user.clone());
        let profile = match conn.speaks {
            Speaks::Json { .. } => "json",
            Speaks::Plain(_) => "plain",
        };
        let rooms = self.registry.rooms_of(conn.id.slot).filter(|(_, member)| *member);
        Connection { client: conn.client, user, profile, channels: rooms.map(|(room, _)| room.clone()).collect() }
    }
}

/// Whether a name matches a pattern in which `*` stands for any characters and `?` for one.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to take up again when the last `*` has to stand for one character more.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                (p, n) = (after, from);
                retry = Some((after, from + 1));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;
    use alloc::string::String;

    #[test]
    fn patterns() {
        let cases = [
            ("*", "", true),
            ("a*", "abc", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("?", "ä", true),
            ("?", "", false),
            ("*b*", "abc", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("**x", "yx", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{}", String::from(pattern) + " ~ " + name);
        }
    }
}
