//! The routes of upgrade requests: from the request target to the protocol and the rooms of the connection.

use crate::api::Position;
use crate::limits::{Limit, Limits};
use crate::names::{self, BadName, RoomName};
use crate::policy::Namespaces;
use crate::protocol::message_type::MessageType;
use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use percent_encoding::percent_decode_str;

/// The path of `json` clients.
pub const JSON_PATH: &str = "/connection/websocket";

/// The destination of an upgrade request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Target {
    /// The `json` protocol; rooms are joined by command.
    Json {
        /// `true` for WebSocket Pings instead of the protocol's own `{}`.
        frame_pings: bool,
    },
    /// The `plain` protocol; the URL names the rooms.
    Plain(Plain),
    /// The protocol for tests, which no URL leads to.
    #[cfg(test)]
    Octets {},
}

/// The parameters in a URL of the `plain` protocol.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Plain {
    /// The rooms, each once, in the order of the URL.
    pub rooms: Vec<RoomName>,
    /// The token, from `?token=`.
    pub token: Option<String>,
    /// `true` when a greeting is sent; `?greeting=off` turns it off.
    pub greeting: bool,
    /// The `type` of the answer to `subscribe`.
    pub subscribed: Arc<str>,
    /// The positions to recover from, from `?since=<epoch>:<offset>` or several `?since=<room>:<epoch>:<offset>`. A
    /// room may also be one that the token adds, such as the personal room.
    pub since: Vec<(RoomName, Position)>,
    /// The number of newest publications to replay in each room, from `?history=N`.
    pub history: usize,
    /// `true` when messages carry positions, from `?positions=on`.
    pub positions: bool,
    /// `true` when the client is asked to come back where the server stops, from `?reconnect=on`.
    pub reconnect: bool,
}

impl Plain {
    /// The parameters of a connection to one room that is told its positions.
    #[must_use]
    pub fn member(room: RoomName) -> Self {
        Self {
            rooms: Vec::from([room]),
            token: None,
            greeting: true,
            subscribed: Arc::from(SUBSCRIBED),
            since: Vec::new(),
            history: 0,
            positions: true,
            reconnect: false,
        }
    }
}

/// The reason for which a request target is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// No route matches the path: 404.
    NotFound,
    /// The path or the query is invalid: 400.
    Bad(String),
    /// The path or the query exceeds this limit, which the text names: 400.
    Limit(Limit, String),
    /// The room is reserved and cannot be named by clients: 403.
    Forbidden(String),
}

impl RouteError {
    /// Creates the error for a limit. `words` state what is allowed.
    fn over(limit: Limit, words: &str) -> Self {
        Self::Limit(limit, format!("{words} ({limit})"))
    }
}

/// The paths on which WebSockets are accepted: [`JSON_PATH`], the templates, then `/ws/<room>` and `/ws?room=…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Routes {
    templates: Vec<Template>,
}

/// The limits and the namespaces that a URL is checked against.
#[derive(Clone, Copy)]
struct UrlRules<'a> {
    limits: &'a Limits,
    namespaces: &'a Namespaces,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Template {
    segments: Vec<String>,
    room: String,
    subscribed: Arc<str>,
}

/// The default `type` of the answer to `subscribe`.
const SUBSCRIBED: &str = MessageType::Subscribed.text();
/// The placeholder for one segment of a path, and for that segment's text in the room's name.
pub const PLACEHOLDER: &str = "{id}";
/// The parameter that names a room.
const ROOM: &str = "room";
/// The parameters of a `plain` URL.
const PARAMETERS: [&str; 7] = [ROOM, "token", "greeting", "since", "history", "positions", "reconnect"];
/// The bytes of the longest of these parameters.
const LONGEST_PARAMETER: usize = "positions".len();
/// The parameter of the `json` protocol, as Centrifuge SDKs send it.
const FRAME_PINGS: &str = "cf_ws_frame_ping_pong";
/// The bytes of the longest parameter name when each of its characters is percent-encoded.
const LONGEST_ENCODED: usize = FRAME_PINGS.len() * 3;

impl Routes {
    /// Adds a template. The segments of `path` are plain text or `{id}`; `room` may contain `{id}`.
    ///
    /// # Errors
    /// Returns a sentence that says what is wrong with the template.
    pub fn add(&mut self, path: &str, room: &str, subscribed: Option<&str>) -> Result<(), String> {
        let Some(rest) = path.strip_prefix("/ws/") else {
            return Err(format!("the route {path:?} must start with /ws/"));
        };
        let segments: Vec<String> = rest.trim_end_matches('/').split('/').map(String::from).collect();
        let placeholders = segments.iter().filter(|segment| *segment == PLACEHOLDER).count();
        if segments.iter().any(|segment| segment.is_empty() || (segment.contains('{') && segment != PLACEHOLDER)) {
            return Err(format!("a segment of the route {path:?} must be plain text or {PLACEHOLDER}"));
        }
        if placeholders > 1 {
            return Err(format!("the route {path:?} has more than one {PLACEHOLDER}"));
        }
        if room.contains(PLACEHOLDER) && placeholders == 0 {
            return Err(format!("the room {room:?} uses {PLACEHOLDER}, which its route {path:?} does not have"));
        }
        let reserved = if room.starts_with('#') { Err(BadName::Reserved) } else { Ok(()) };
        if let Err(wrong) = names::check(room, usize::MAX).and(reserved) {
            return Err(format!("the room {room:?} of the route {path:?}: {wrong}"));
        }
        let subscribed = Arc::from(subscribed.unwrap_or(SUBSCRIBED));
        self.templates.push(Template { segments, room: room.into(), subscribed });
        Ok(())
    }

    /// Returns `true` when the server sends frames with this `type` on one of the paths. O(n) in the templates.
    pub(crate) fn sends_type(&self, kind: &str) -> bool {
        let own = self.templates.iter().map(|template| &*template.subscribed);
        MessageType::ALL.iter().map(|known| known.text()).chain(own).any(|known| known == kind)
    }

    /// Finds the destination of a request target (path and query, RFC 9112 section 3.2.1).
    ///
    /// The path is split at `/` first and then percent-decoded once; a trailing `/` is ignored.
    ///
    /// # Errors
    /// Returns [`RouteError::NotFound`] for an unknown path, [`RouteError::Bad`] or [`RouteError::Limit`] for an
    /// invalid path or query, and [`RouteError::Forbidden`] for a reserved room.
    pub fn resolve(&self, target: &str, limits: &Limits, namespaces: &Namespaces) -> Result<Target, RouteError> {
        let rules = UrlRules { limits, namespaces };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        check_size(path, query, rules)?;
        let query: Vec<Parameter<'_>> = query.split('&').filter(|pair| !pair.is_empty()).map(Parameter::of).collect();
        if path == JSON_PATH {
            let frame_pings = value(&query, FRAME_PINGS).is_some_and(|on| on == "true");
            return Ok(Target::Json { frame_pings });
        }
        check_parameters(path, &query)?;
        let (rooms, subscribed) = self.rooms_of(path, &query, rules)?;
        let since = values(&query, "since").map(|text| position(&text, &rooms, rules));
        // One position above the limit is enough to refuse all of them, so the rest is not parsed.
        let since: Vec<(RoomName, Position)> =
            since.take(rules.limits.rooms_per_connection.saturating_add(1)).collect::<Result<_, _>>()?;
        if since.len() > rules.limits.rooms_per_connection {
            return Err(too_many_rooms(rules));
        }
        let history = value(&query, "history").map(|text| history(&text, rules)).transpose()?.unwrap_or(0);
        if !since.is_empty() && history > 0 {
            return Err(RouteError::Bad("use since or history, not both".into()));
        }
        Ok(Target::Plain(Plain {
            rooms,
            since,
            history,
            positions: switch(&query, "positions", false)?,
            reconnect: switch(&query, "reconnect", false)?,
            token: value(&query, "token").map(Cow::into_owned),
            greeting: switch(&query, "greeting", true)?,
            subscribed,
        }))
    }

    fn rooms_of(
        &self,
        path: &str,
        query: &[Parameter<'_>],
        rules: UrlRules<'_>,
    ) -> Result<(Vec<RoomName>, Arc<str>), RouteError> {
        if path == "/ws" {
            match query.iter().filter(|parameter| parameter.name == ROOM).count() {
                0 => return Err(RouteError::Bad("name a room: /ws/<room> or /ws?room=<room>".into())),
                // Duplicates are not removed first: the bound also limits the work for one URL.
                count if count > rules.limits.rooms_per_connection => return Err(too_many_rooms(rules)),
                _ => {}
            }
            let rooms = distinct(values(query, ROOM), rules)?;
            return Ok((rooms, Arc::from(SUBSCRIBED)));
        }
        let (room, subscribed) = self.room_of(path, rules)?;
        Ok((distinct([Cow::from(room)].into_iter(), rules)?, subscribed))
    }

    /// Returns the room that the path names, and the `type` of the answer to `subscribe`.
    fn room_of(&self, path: &str, rules: UrlRules<'_>) -> Result<(String, Arc<str>), RouteError> {
        let rest = path.strip_prefix("/ws/").ok_or(RouteError::NotFound)?;
        let longest = self.templates.iter().map(|template| template.segments.len()).fold(1, usize::max);
        if rest.split('/').take(longest + 1).count() > longest {
            return Err(RouteError::NotFound);
        }
        let segments = decode(rest)?;
        let most = rules.limits.route_id_bytes;
        let mut is_id_too_long = false;
        for template in &self.templates {
            let Some(id) = template.id_in(&segments) else { continue };
            if id.len() <= most {
                return Ok((template.room.replace(PLACEHOLDER, id), template.subscribed.clone()));
            }
            is_id_too_long = true;
        }
        match <[String; 1]>::try_from(segments) {
            Ok([room]) => Ok((room, Arc::from(SUBSCRIBED))),
            Err(_) if is_id_too_long => Err(RouteError::over(
                Limit::RouteIdBytes,
                &format!("the segment that stands for {PLACEHOLDER} must have at most {most} bytes"),
            )),
            Err(_) => Err(RouteError::NotFound),
        }
    }
}

impl Template {
    /// Returns the segment that matches [`PLACEHOLDER`] when all segments match; empty for a template without a
    /// placeholder.
    fn id_in<'a>(&self, segments: &'a [String]) -> Option<&'a str> {
        if segments.len() != self.segments.len() {
            return None;
        }
        let mut id = "";
        for (pattern, given) in self.segments.iter().zip(segments) {
            if pattern == PLACEHOLDER && is_id(given) {
                id = given;
            } else if pattern != given {
                return None;
            }
        }
        Some(id)
    }
}

/// Checks that the path is one of a WebSocket and that the query is within `url_parameters`, before anything is
/// decoded.
fn check_size(path: &str, query: &str, rules: UrlRules<'_>) -> Result<(), RouteError> {
    if path != JSON_PATH && path != "/ws" && !path.starts_with("/ws/") {
        return Err(RouteError::NotFound);
    }
    let most = rules.limits.url_parameters;
    if query.bytes().filter(|byte| *byte == b'&').count() < most {
        return Ok(());
    }
    Err(RouteError::over(Limit::UrlParameters, &format!("the URL has too many parameters; at most {most} are allowed")))
}

/// Returns the rooms without duplicates, in order.
fn distinct<'q>(named: impl Iterator<Item = Cow<'q, str>>, rules: UrlRules<'_>) -> Result<Vec<RoomName>, RouteError> {
    let mut known = BTreeSet::new();
    let mut rooms = Vec::new();
    for room in named {
        let room =
            RoomName::parse_for_client(&room, rules.limits.room_name_bytes, rules.namespaces).map_err(bad_name)?;
        if known.insert(room.clone()) {
            rooms.push(room);
        }
    }
    Ok(rooms)
}

fn bad_name(wrong: BadName) -> RouteError {
    match wrong {
        BadName::Reserved => RouteError::Forbidden(wrong.to_string()),
        BadName::TooLong(_) => RouteError::Limit(Limit::RoomNameBytes, wrong.to_string()),
        wrong => RouteError::Bad(wrong.to_string()),
    }
}

fn too_many_rooms(rules: UrlRules<'_>) -> RouteError {
    let words = format!("too many rooms; a connection may be in at most {}", rules.limits.rooms_per_connection);
    RouteError::over(Limit::RoomsPerConnection, &words)
}

/// Parses a position with its room, which is the only room of the URL when it is not named.
fn position(text: &str, rooms: &[RoomName], rules: UrlRules<'_>) -> Result<(RoomName, Position), RouteError> {
    let mut parts = text.rsplitn(3, ':');
    let offset = parts.next().and_then(|offset| offset.parse().ok());
    let (Some(offset), Some(epoch)) = (offset, parts.next()) else {
        return Err(RouteError::Bad("since must be <epoch>:<offset> or <room>:<epoch>:<offset>".into()));
    };
    let room = match (parts.next(), rooms) {
        (Some(room), _) => RoomName::parse(room, rules.limits.room_name_bytes, rules.namespaces).map_err(bad_name)?,
        (None, [room]) => room.clone(),
        (None, _) => return Err(RouteError::Bad("with several rooms since must be <room>:<epoch>:<offset>".into())),
    };
    Ok((room, Position { epoch: epoch.into(), offset }))
}

fn history(text: &str, rules: UrlRules<'_>) -> Result<usize, RouteError> {
    let most = rules.limits.url_history;
    let words = format!("history must be a whole number from 0 to {most}");
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(count) if count <= most => Ok(count),
        // A number that does not fit into `usize` exceeds every limit.
        _ if is_number => Err(RouteError::over(Limit::UrlHistory, &words)),
        _ => Err(RouteError::Bad(words)),
    }
}

/// Refuses a parameter of a `plain` URL that would have no effect but seems intended: a mistyped name, or a room when
/// the path names one already. Other unknown parameters are ignored, since pages written for other servers send them.
fn check_parameters(path: &str, query: &[Parameter<'_>]) -> Result<(), RouteError> {
    for Parameter { name, .. } in query {
        if name == ROOM && path != "/ws" {
            return Err(RouteError::Bad(
                "the path already names a room; for several use /ws?room=<room>&room=<room>".into(),
            ));
        }
        if PARAMETERS.contains(&&**name) {
            continue;
        }
        if let Some(meant) = PARAMETERS.iter().find(|known| is_mistyped(name, known)) {
            return Err(RouteError::Bad(format!("unknown parameter {name} in the URL; did you mean {meant}?")));
        }
    }
    Ok(())
}

/// Returns `true` when the name is `known` in another case, or differs by one inserted, missing, wrong or swapped
/// character.
fn is_mistyped(name: &str, known: &str) -> bool {
    // The lengths of such names differ by one at most.
    if name == known || name.len() > known.len() + 1 || name.len() + 1 < known.len() {
        return false;
    }
    // The name is lowered without an allocation, since a query may have many parameters.
    let mut lower = [0; LONGEST_PARAMETER + 1];
    let Some(lower) = lower.get_mut(..name.len()) else { return false };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    let (name, known) = (&*lower, known.as_bytes());
    let same = name.iter().zip(known).take_while(|(one, other)| one == other).count();
    let (name, known) = (&name[same..], &known[same..]);
    match (name, known) {
        ([], []) => true,
        ([a, b, rest @ ..], [c, d, others @ ..]) if (a, b) == (d, c) && rest == others => true,
        ([_, rest @ ..], [_, others @ ..]) if rest == others => true,
        ([_, rest @ ..], known) if rest == known => true,
        (name, [_, others @ ..]) => name == others,
        _ => false,
    }
}

/// Parses a parameter that is `on` or `off`.
fn switch(query: &[Parameter<'_>], key: &str, default: bool) -> Result<bool, RouteError> {
    match value(query, key).as_deref() {
        None => Ok(default),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(RouteError::Bad(format!("{key} must be on or off"))),
    }
}

/// Returns `true` when a segment of a path is one that the placeholder of a template can stand for.
#[must_use]
pub fn is_id(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !segment.is_empty() && segment.bytes().all(allowed)
}

fn decode(path: &str) -> Result<Vec<String>, RouteError> {
    let decoded = |segment| percent_decode_str(segment).decode_utf8().map(Cow::into_owned);
    let segments: Result<Vec<String>, _> = path.split('/').map(decoded).collect();
    segments.map_err(|_| RouteError::Bad("the path is not UTF-8".into()))
}

/// A parameter of a query, in the encoding of forms (application/x-www-form-urlencoded).
struct Parameter<'q> {
    /// The decoded name; not decoded when it is too long to be a known one.
    name: Cow<'q, str>,
    /// The encoded value, which is decoded only when it is needed.
    value: &'q str,
}

impl<'q> Parameter<'q> {
    fn of(pair: &'q str) -> Self {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = if name.len() > LONGEST_ENCODED { name.into() } else { decoded(name) };
        Self { name, value }
    }
}

fn values<'q>(query: &[Parameter<'q>], key: &str) -> impl Iterator<Item = Cow<'q, str>> {
    query.iter().filter(move |parameter| parameter.name == key).map(|parameter| decoded(parameter.value))
}

fn value<'q>(query: &[Parameter<'q>], key: &str) -> Option<Cow<'q, str>> {
    values(query, key).next()
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.into();
    }
    let spaced = if text.contains('+') { Cow::from(text.replace('+', " ")) } else { text.into() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}
