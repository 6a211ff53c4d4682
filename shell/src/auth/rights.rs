//! The rights of an API key: which methods it may call, and which rooms its calls may be about.
//!
//! | call | it is about |
//! |---|---|
//! | `publish`, `subscribe`, `unsubscribe`, `presence`, `presence_stats`, `history`, `history_remove`, `console_ticket`, `explain` of a room or a publication | its room |
//! | `publish_user` | the personal room of its user, `#<user>` |
//! | `broadcast` | its rooms, all of which the key must cover: a broadcast to a part of them would not be noticed |
//! | `batch` | nothing itself: each of its calls is judged, and refused, alone |
//! | `send`, `publish_all`, `disconnect`, `refresh`, `channels`, `connections`, `info`, `limits`, `revoke_token`, `invalidate_user_tokens`, `revoked_tokens`, `invalidated_users`, `drain`, `reload`, `closes`, `outboxes`, `input_log`, `explain` of a connection | no room |
//!
//! A key that is for some rooms may not make the calls of the last row. They reach connections wherever these are, or tell of
//! rooms that the key does not cover: `connections` lists all rooms of each connection, even where it lists those of one room.

use crate::http::server_methods::{SERVER_METHODS, ServerMethod};
use parlor_core::api::Command;
use parlor_core::api::json::METHODS;
use parlor_core::error::{Error, ErrorCode};
use parlor_core::{RoomName, names};

/// The patterns of rooms that a key has, at most. Each room of a call may have to be compared with all of them.
pub const ROOM_PATTERNS: usize = 32;
/// The characters of a room's name that a refusal repeats, at most.
const ROOM_CHARACTERS: usize = 200;

/// The method that makes several calls.
const BATCH: &str = "batch";
/// The methods of the core whose calls are about no room.
const ABOUT_NO_ROOM: [&str; 12] = [
    "send",
    "publish_all",
    "disconnect",
    "refresh",
    "channels",
    "connections",
    "info",
    "limits",
    "revoke_token",
    "invalidate_user_tokens",
    "revoked_tokens",
    "invalidated_users",
];

/// The rights of an API key. By default, it may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRights {
    /// None for all methods.
    methods: Option<Vec<String>>,
    /// None for all rooms, and for calls that are about no room.
    rooms: Option<Vec<RoomPattern>>,
}

/// A room, or all rooms whose names have a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RoomPattern {
    Exact(String),
    Prefix(String),
}

impl KeyRights {
    /// The right to call these methods, about the rooms of these patterns; where not given, all of them.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and what is allowed.
    pub fn new(methods: Option<Vec<String>>, rooms: Option<Vec<String>>) -> Result<Self, String> {
        methods.iter().try_for_each(|methods| check_methods(methods, rooms.is_some()))?;
        let rooms = rooms.map(room_patterns).transpose()?;
        Ok(Self { methods, rooms })
    }

    /// Leaves of a call what the rights allow. In a batch, each call that they do not allow is replaced by its error.
    ///
    /// # Errors
    /// 103 (permission denied), with a message that names the method or the room. Other rooms of the key are not named.
    pub fn restrict(&self, method: &str, command: Command) -> Result<Command, Error> {
        if let Command::Batch(calls) = command {
            let each = |(method, call): (&'static str, Result<Command, Error>)| {
                (method, call.and_then(|call| self.restrict(method, call)))
            };
            return Ok(Command::Batch(calls.into_iter().map(each).collect()));
        }
        self.check_method(method)?;
        self.check_rooms(method, &command)?;
        Ok(command)
    }

    /// Whether the rights allow a call of a method that is about the server itself.
    ///
    /// # Errors
    /// 103 (permission denied), with a message that names the method.
    pub fn permit(&self, method: &str) -> Result<(), Error> {
        let is_for_rooms = self.rooms.is_some();
        self.check_method(method).and_then(|()| if is_for_rooms { Err(about_no_room(method)) } else { Ok(()) })
    }

    /// Whether the rights allow a call, about a room, of a method of the server itself.
    ///
    /// # Errors
    /// 103 (permission denied), with a message that names the method or the room.
    pub fn permit_in(&self, method: &str, room: &RoomName) -> Result<(), Error> {
        self.check_method(method).and_then(|()| self.check_room(room))
    }

    fn check_method(&self, method: &str) -> Result<(), Error> {
        match &self.methods {
            Some(methods) if !methods.iter().any(|allowed| allowed == method) => {
                Err(denied(format!("this API key may not call {method}, which its methods do not name")))
            }
            _ => Ok(()),
        }
    }

    fn check_room(&self, room: &str) -> Result<(), Error> {
        match &self.rooms {
            Some(patterns) if !patterns.iter().any(|pattern| pattern.covers(room)) => {
                Err(denied(format!("this API key may not use the room {:?}, which its rooms do not name", cut(room))))
            }
            _ => Ok(()),
        }
    }

    fn check_rooms(&self, method: &str, command: &Command) -> Result<(), Error> {
        if self.rooms.is_none() {
            return Ok(());
        }
        let check = |room: &str| self.check_room(room);
        match command {
            Command::Publish { channel, .. }
            | Command::Subscribe { channel, .. }
            | Command::Unsubscribe { channel, .. }
            | Command::Presence { channel }
            | Command::PresenceStats { channel }
            | Command::History { channel, .. }
            | Command::HistoryRemove { channel } => check(channel),
            Command::PublishUser { user, .. } => check(&user.personal_room()),
            Command::Broadcast { channels, .. } => channels.iter().try_for_each(|room| check(room)),
            // The core reads no batch in a batch.
            Command::Batch(_)
            | Command::Send { .. }
            | Command::PublishAll { .. }
            | Command::Disconnect { .. }
            | Command::Refresh { .. }
            | Command::Channels { .. }
            | Command::Connections { .. }
            | Command::RevokeToken { .. }
            | Command::InvalidateUserTokens { .. }
            | Command::RevokedTokens { .. }
            | Command::InvalidatedUsers { .. }
            | Command::Info
            | Command::Limits => Err(about_no_room(method)),
        }
    }

    /// The rights in a few words, for a person who reads the settings.
    #[must_use]
    pub fn summary(&self) -> String {
        let methods = self.methods.as_ref().map_or("all methods".into(), |methods| methods.join(", "));
        let rooms = self.rooms.as_ref().map(|rooms| rooms.iter().map(RoomPattern::text).collect::<Vec<_>>());
        match rooms {
            Some(rooms) => format!("{methods}; rooms {}", rooms.join(", ")),
            None => methods,
        }
    }
}

impl RoomPattern {
    /// Reads a name, or a prefix and `*`.
    fn parse(text: &str) -> Result<Self, String> {
        let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        if name.contains('*') {
            return Err(format!("{text:?}: a * is allowed at the end only"));
        }
        if !(is_prefix && name.is_empty()) {
            names::check(name, usize::MAX).map_err(|wrong| format!("{text:?}: {wrong}"))?;
        }
        Ok(if is_prefix { Self::Prefix(name.into()) } else { Self::Exact(name.into()) })
    }

    /// Whether a room is one of those. Personal rooms, whose names begin with `#`, are not among those of `*`: as in the
    /// claim `caps` of a token, they have to be meant.
    fn covers(&self, room: &str) -> bool {
        match self {
            Self::Exact(name) => name == room,
            Self::Prefix(prefix) => room.starts_with(&**prefix) && (!prefix.is_empty() || !room.starts_with('#')),
        }
    }

    /// The pattern as it was written.
    fn text(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Prefix(prefix) => format!("{prefix}*"),
        }
    }
}

fn check_methods(methods: &[String], is_for_rooms: bool) -> Result<(), String> {
    if methods.is_empty() {
        return Err("methods is empty, so that the key could not be used; leave it out for all methods".into());
    }
    for method in methods {
        let known = || {
            let own = SERVER_METHODS.iter().map(|known| known.name);
            METHODS.iter().map(|known| known.name).filter(|known| *known != BATCH).chain(own)
        };
        if method == BATCH {
            return Err("methods: \"batch\" needs no right; name the methods that may be called in one, too".into());
        }
        if !known().any(|known| known == method) {
            let known: Vec<&str> = known().collect();
            return Err(format!("methods: there is no method {method:?}; expected some of {}", known.join(", ")));
        }
        let is_about_the_server = ServerMethod::named(method).is_some_and(|method| !method.kind.is_about_a_room());
        if is_for_rooms && (ABOUT_NO_ROOM.contains(&&**method) || is_about_the_server) {
            return Err(format!("methods: {method:?} is about no room, and the key is for some rooms only"));
        }
    }
    Ok(())
}

fn room_patterns(texts: Vec<String>) -> Result<Vec<RoomPattern>, String> {
    if texts.is_empty() || texts.len() > ROOM_PATTERNS {
        let count = texts.len();
        return Err(format!("rooms has {count} patterns; expected from 1 to {ROOM_PATTERNS}, or no rooms for all"));
    }
    let parse = |text: String| RoomPattern::parse(&text);
    texts.into_iter().map(parse).collect::<Result<_, _>>().map_err(|wrong| format!("rooms: {wrong}"))
}

/// The start of a name that may be too long to be one.
fn cut(room: &str) -> &str {
    room.char_indices().nth(ROOM_CHARACTERS).map_or(room, |(end, _)| &room[..end])
}

fn about_no_room(method: &str) -> Error {
    denied(format!("this API key is for some rooms and may not call {method}, which is about no room"))
}

fn denied(message: String) -> Error {
    Error::new(ErrorCode::PermissionDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::Config;
    use parlor_core::api::json;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| String::from(*text)).collect()
    }

    fn for_rooms(rooms: &[&str]) -> KeyRights {
        KeyRights::new(None, Some(texts(rooms))).expect("they are right")
    }

    fn for_methods(methods: &[&str]) -> KeyRights {
        KeyRights::new(Some(texts(methods)), None).expect("they are right")
    }

    /// A valid body of each method, about the room or the user where it is about one.
    fn body(method: &str, room: &str) -> String {
        let user = room.strip_prefix('#').unwrap_or("ann");
        match method {
            "publish" => format!(r#"{{"channel": "{room}", "data": 1}}"#),
            "broadcast" => format!(r#"{{"channels": ["{room}"], "data": 1}}"#),
            "publish_user" => format!(r#"{{"user": "{user}", "data": 1}}"#),
            "publish_all" => r#"{"data": 1}"#.into(),
            "send" => r#"{"client": "00000000-0000-0000-0000-000000000000", "data": 1}"#.into(),
            "batch" => r#"{"commands": []}"#.into(),
            "subscribe" | "unsubscribe" => format!(r#"{{"user": "ann", "channel": "{room}"}}"#),
            "disconnect" | "refresh" | "invalidate_user_tokens" => r#"{"user": "ann"}"#.into(),
            "revoke_token" => r#"{"uid": "t"}"#.into(),
            "connections" | "presence" | "presence_stats" | "history" | "history_remove" => {
                format!(r#"{{"channel": "{room}"}}"#)
            }
            "channels" | "info" | "limits" | "revoked_tokens" | "invalidated_users" => "{}".into(),
            _ => panic!("{method} has no body here"),
        }
    }

    /// The result of a call: the message of the error where it is refused.
    fn called(rights: &KeyRights, method: &str, body: &str) -> Result<Command, String> {
        let command = json::parse(method, body.as_bytes(), &Config::default()).expect("the body is valid");
        rights.restrict(method, command).map_err(|error| {
            assert_eq!(error.code, ErrorCode::PermissionDenied);
            error.message.into_owned()
        })
    }

    #[test]
    fn a_key_without_limits_may_do_everything() {
        for method in METHODS {
            assert!(called(&KeyRights::default(), method.name, &body(method.name, "a")).is_ok(), "{}", method.name);
        }
    }

    #[test]
    fn a_key_calls_its_methods_and_no_other() {
        for allowed in METHODS.iter().filter(|method| method.name != BATCH) {
            let rights = for_methods(&[allowed.name]);
            for method in METHODS {
                let expected = [allowed.name, BATCH].contains(&method.name);
                let result = called(&rights, method.name, &body(method.name, "a"));
                assert_eq!(result.is_ok(), expected, "{} with {}", method.name, allowed.name);
                assert!(result.err().is_none_or(|message| message.contains(method.name)));
            }
        }
    }

    #[test]
    fn a_key_for_rooms_uses_these_and_calls_nothing_that_is_about_no_room() {
        for method in METHODS.iter().map(|method| method.name).filter(|method| *method != BATCH) {
            let is_about_a_room = !ABOUT_NO_ROOM.contains(&method);
            let (mine, other) = if method == "publish_user" { ("#ann", "#bob") } else { ("ci:7", "chat:7") };
            let rights = for_rooms(&[mine]);
            assert_eq!(called(&rights, method, &body(method, mine)).is_ok(), is_about_a_room, "{method}");
            let message = called(&rights, method, &body(method, other)).unwrap_err();
            let named = if is_about_a_room { other } else { method };
            assert!(message.contains(named) && !message.contains("ci:7"), "{message}");
        }
    }

    #[test]
    fn the_server_itself_needs_a_key_that_names_the_method_and_no_rooms() {
        for ServerMethod { name, .. } in SERVER_METHODS.iter().filter(|method| !method.kind.is_about_a_room()) {
            assert!(KeyRights::default().permit(name).is_ok() && for_methods(&[name]).permit(name).is_ok());
            for rights in [for_methods(&["info"]), for_rooms(&["*"])] {
                assert!(rights.permit(name).unwrap_err().message.contains(name));
            }
            assert!(KeyRights::new(Some(texts(&[name])), Some(texts(&["a"]))).unwrap_err().contains("about no room"));
        }
    }

    #[test]
    fn a_ticket_of_the_console_needs_a_key_that_names_the_method_and_the_room() {
        let room = |name: &str| Config::default().room(name).expect("it is a name");
        let method = "console_ticket";
        assert!(KeyRights::default().permit_in(method, &room("ci:7")).is_ok());
        let rights = KeyRights::new(Some(texts(&[method])), Some(texts(&["ci:*"]))).expect("they are right");
        assert!(rights.permit_in(method, &room("ci:7")).is_ok());
        assert!(rights.permit_in(method, &room("chat:7")).unwrap_err().message.contains("chat:7"));
        assert!(for_methods(&["history"]).permit_in(method, &room("ci:7")).unwrap_err().message.contains(method));
    }

    #[test]
    fn a_pattern_is_a_name_or_a_prefix_and_personal_rooms_have_to_be_meant() {
        for (pattern, room, expected) in [
            ("ci", "ci", true),
            ("ci", "ci:7", false),
            ("ci:7", "ci:77", false),
            ("ci:*", "ci:7", true),
            ("ci:*", "ci:", true),
            ("ci:*", "ci", false),
            ("ci:*", "CI:7", false),
            ("ci:*", "x-ci:7", false),
            ("*", "anything", true),
            ("*", "#ann", false),
            ("#*", "#ann", true),
            ("#*", "ann", false),
            ("#ann", "#ann", true),
            ("#ann", "#anna", false),
        ] {
            assert_eq!(RoomPattern::parse(pattern).unwrap().covers(room), expected, "{pattern} and {room}");
        }
    }

    #[test]
    fn a_broadcast_needs_all_of_its_rooms() {
        let rights = for_rooms(&["ci:*", "news"]);
        let broadcast = |rooms: &str| called(&rights, "broadcast", &format!(r#"{{"channels": [{rooms}], "data": 1}}"#));
        assert!(broadcast(r#""ci:1", "news", "ci:2""#).is_ok());
        assert!(broadcast(r#""ci:1", "chat", "news""#).unwrap_err().contains("\"chat\""));
        let long = "x".repeat(100_000);
        assert!(broadcast(&format!("{long:?}")).unwrap_err().len() < 300, "no long name is repeated");
    }

    #[test]
    fn each_call_of_a_batch_is_judged_alone() {
        let rights = KeyRights::new(Some(texts(&["publish", "history"])), Some(texts(&["ci:*"]))).unwrap();
        let commands = r#"{"commands": [
            {"publish": {"channel": "ci:1", "data": 1}}, {"publish": {"channel": "chat", "data": 1}},
            {"presence": {"channel": "ci:1"}}, {"history": {"channel": "ci:1"}}, {"info": {}}, {"publish": {}}]}"#;
        let Ok(Command::Batch(calls)) = called(&rights, "batch", commands) else { panic!("a batch is allowed") };
        let codes: Vec<_> = calls.iter().map(|(_, call)| call.as_ref().err().map(|error| error.code)).collect();
        let denied = Some(ErrorCode::PermissionDenied);
        assert_eq!(codes, [None, denied, denied, None, denied, Some(ErrorCode::BadRequest)]);
    }

    #[test]
    fn wrong_rights_are_explained() {
        for (methods, rooms, why) in [
            (Some(&["publsh"][..]), None, "no method \"publsh\"; expected some of publish, broadcast,"),
            (Some(&["batch"]), None, "\"batch\" needs no right"),
            (Some(&[]), None, "methods is empty"),
            (Some(&["publish", "info"]), Some(&["a"][..]), "\"info\" is about no room"),
            (None, Some(&[]), "rooms has 0 patterns; expected from 1 to 32"),
            (None, Some(&["a"; 33]), "rooms has 33 patterns"),
            (None, Some(&["a*b"]), "rooms: \"a*b\": a * is allowed at the end only"),
            (None, Some(&["a**"]), "allowed at the end only"),
            (None, Some(&[""]), "must not be empty"),
            (None, Some(&["a\n"]), "must not contain U+000A"),
        ] {
            let error = KeyRights::new(methods.map(texts), rooms.map(texts)).unwrap_err();
            assert!(error.contains(why) && !error.contains(", batch"), "{error}");
        }
        assert!(KeyRights::new(None, Some(texts(&["a"; 32]))).is_ok());
    }

    #[test]
    fn rights_are_summed_up_as_they_were_written() {
        assert_eq!(KeyRights::default().summary(), "all methods");
        let rights = KeyRights::new(Some(texts(&["publish", "history"])), Some(texts(&["ci:*", "#ann"]))).unwrap();
        assert_eq!(rights.summary(), "publish, history; rooms ci:*, #ann");
    }
}
