//! A room as the `plain` protocol tells of it: messages, each with its position behind it where the log has it, and what
//! the server itself says.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;

/// Something that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// A message, as it was published.
    Message(String),
    /// Some messages are lost: the room's log does not retain them any more.
    Gap,
    /// The server is about to close, and asks to come back after this time, at most [`LONGEST_ABSENCE`].
    Reconnect(Duration),
    /// The server refuses something, such as to join the room.
    Refused(String),
}

/// The longest absence that is believed: a server asks for a few seconds, a backend can send anything.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// The fields of the server's own frames.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnFrame {
    #[serde(rename = "type")]
    kind: String,
    room: String,
    epoch: String,
    offset: u64,
    after_ms: Option<u64>,
    code: Option<u32>,
    message: String,
    timestamp: Option<IgnoredAny>,
}

impl OwnFrame {
    fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether it is of this kind, and says a place in the log of a room.
    fn is_place(&self, kind: &str) -> bool {
        self.kind == kind && !self.room.is_empty() && !self.epoch.is_empty()
    }
}

/// The state of a room that is followed over several connections.
#[derive(Debug, Default)]
pub(super) struct FollowedRoom {
    room: String,
    /// Epoch and offset of the newest message.
    position: Option<(String, u64)>,
    /// Whether this connection was told a position: it is in the room.
    is_member: bool,
    /// The last frame, which is a message if a position of the room comes behind it. Else it is one that the log does not
    /// have, or the server's own; its content hardly tells, since a backend may publish anything.
    held: Option<String>,
}

impl FollowedRoom {
    pub(super) fn new(room: &str) -> Self {
        Self { room: room.into(), ..Self::default() }
    }

    /// The path of a connection that goes on where the last one ended; the first one begins with so many messages.
    pub(super) fn path(&self, history: Option<u32>) -> String {
        let path = format!("/ws?room={}&greeting=off&positions=on&reconnect=on", encoded(&self.room));
        match (&self.position, history) {
            (Some((epoch, offset)), _) => format!("{path}&since={}:{offset}", encoded(epoch)),
            (None, Some(history)) => format!("{path}&history={history}"),
            (None, None) => path,
        }
    }

    /// Begins a connection.
    pub(super) fn connected(&mut self) {
        self.is_member = false;
    }

    /// Takes a frame. What it is, the next one tells: a message that the log has has its position behind it.
    pub(super) fn take(&mut self, text: String) -> Option<Followed> {
        match OwnFrame::of(&text).filter(|own| own.is_place("position")) {
            Some(position) if position.room == self.room => self.placed(position),
            // The room of a user's own, where a token puts its connection, is another one.
            Some(_) if self.held.take().is_some() => None,
            _ => {
                let before = self.release();
                self.held = Some(text);
                before
            }
        }
    }

    /// Whether it is known where to go on.
    pub(super) fn has_position(&self) -> bool {
        self.position.is_some()
    }

    /// Whether this connection is known to be in the room.
    pub(super) fn is_member(&self) -> bool {
        self.is_member
    }

    /// Whether a frame waits to be known by what comes behind it.
    pub(super) fn is_waiting(&self) -> bool {
        self.held.is_some()
    }

    /// Releases the frame that waits, since no position has come behind it: it is a message, unless it is the server's own.
    pub(super) fn release(&mut self) -> Option<Followed> {
        let text = self.held.take()?;
        let Some(own) = OwnFrame::of(&text) else { return Some(Followed::Message(text)) };
        match (&*own.kind, own.after_ms, own.code) {
            // Where another room is, that nothing was published in.
            ("position", ..) if own.is_place("position") => None,
            ("gap", ..) if own.is_place("gap") => (own.room == self.room).then_some(Followed::Gap),
            ("reconnect", Some(after_ms), _) => {
                Some(Followed::Reconnect(Duration::from_millis(after_ms).min(LONGEST_ABSENCE)))
            }
            ("error", _, Some(_)) => Some(Followed::Refused(own.message)),
            // What a connection without a token is told has no code.
            ("error", ..) if !self.is_member && own.timestamp.is_some() => Some(Followed::Refused(own.message)),
            _ => Some(Followed::Message(text)),
        }
    }

    /// The name of the room.
    pub(super) fn room(&self) -> &str {
        &self.room
    }

    /// The room's log has come to this position, with the frame that waits.
    fn placed(&mut self, position: OwnFrame) -> Option<Followed> {
        self.is_member = true;
        let text = self.held.take();
        let place = (position.epoch, position.offset);
        let known = self.position.replace(place.clone());
        let text = text?;
        let own = OwnFrame::of(&text).unwrap_or_default();
        // A gap that nothing is left behind of has its own position behind it.
        if own.is_place("gap") && own.room == self.room && (&own.epoch, own.offset) == (&place.0, place.1) {
            return Some(Followed::Gap);
        }
        // At the begin of a connection, each room says where it is.
        let is_further = known.is_some_and(|(epoch, offset)| epoch == place.0 && offset < place.1);
        (is_further || !own.is_place("position")).then_some(Followed::Message(text))
    }
}

/// A value of a query: all but the unreserved characters of RFC 3986 section 2.3 are encoded.
fn encoded(text: &str) -> PercentEncode<'_> {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: u64) -> String {
        format!(r#"{{"type":"position","room":"a b","epoch":"e","offset":{offset}}}"#)
    }

    #[test]
    fn a_connection_goes_on_behind_the_newest_message() {
        let mut room = FollowedRoom::new("a b");
        let path = "/ws?room=a%20b&greeting=off&positions=on&reconnect=on";
        assert_eq!((room.path(None), room.path(Some(3))), (path.into(), format!("{path}&history=3")));
        assert_eq!(room.take("\"hello\"".into()), None);
        assert_eq!(room.take(position(7)), Some(Followed::Message("\"hello\"".into())));
        assert_eq!(room.path(Some(3)), format!("{path}&since=e:7"));
    }

    #[test]
    fn a_loss_is_one_of_this_room_with_or_without_messages_behind_it() {
        let mut room = FollowedRoom::new("a b");
        let gap = r#"{"type":"gap","room":"a b","epoch":"e","offset":9}"#;
        assert_eq!((room.take(gap.into()), room.take(position(9))), (None, Some(Followed::Gap)));
        assert_eq!((room.take(gap.into()), room.take("8".into())), (None, Some(Followed::Gap)));
        assert_eq!(room.take(position(8)), Some(Followed::Message("8".into())));
        for sent in [r#"{"type":"gap"}"#, r#"{"type":"gap","room":"a b","epoch":"","offset":0}"#] {
            assert_eq!((room.take(sent.into()), room.release()), (None, Some(Followed::Message(sent.into()))));
        }
        assert!(room.path(None).ends_with("&since=e:8"), "{room:?}");
    }

    #[test]
    fn a_message_without_a_position_is_printed_and_a_late_position_counts() {
        let mut room = FollowedRoom::new("a b");
        for skipped in ["1", r#"{"type":"position"}"#, r#"{"type":"position","room":"a b"}"#, r#"{"type":"error"}"#] {
            assert_eq!((room.take(skipped.into()), room.release()), (None, Some(Followed::Message(skipped.into()))));
        }
        assert_eq!((room.take("2".into()), room.take("3".into())), (None, Some(Followed::Message("2".into()))));
        assert_eq!((room.has_position(), room.release()), (false, Some(Followed::Message("3".into()))));
        assert_eq!((room.take(position(3)), room.is_waiting()), (None, false));
        assert!(room.path(None).ends_with("&since=e:3"), "{room:?}");
    }

    #[test]
    fn what_a_backend_publishes_is_printed_even_if_it_looks_like_the_servers_own() {
        for published in [
            r#"{"type":"error","code":1,"message":"disk full"}"#,
            r#"{"type":"gap"}"#,
            r#"{"type":"gap","room":"a b","epoch":"e","offset":7}"#,
            r#"{"type":"position"}"#,
            r#"{"type":7}"#,
            "[1]",
        ] {
            let mut room = FollowedRoom::new("a b");
            assert_eq!(room.take(published.into()), None);
            assert_eq!(room.take(position(1)), Some(Followed::Message(published.into())));
            assert!(!room.is_waiting());
        }
    }

    #[test]
    fn what_is_of_another_room_is_no_message() {
        let mut room = FollowedRoom::new("a b");
        let of_user = || position(4).replace("a b", "#ann");
        assert_eq!((room.take(of_user()), room.take("1".into())), (None, None));
        assert_eq!((room.take(of_user()), room.is_waiting()), (None, false));
        assert_eq!((room.has_position(), room.take("2".into())), (false, None));
        assert_eq!(room.take(position(1)), Some(Followed::Message("2".into())));
        assert_eq!((room.take(of_user()), room.take(position(1))), (None, None));
        assert_eq!((room.take(of_user()), room.take(position(2))), (None, Some(Followed::Message(of_user()))));
    }

    #[test]
    fn the_servers_own_frames_are_known_by_what_does_not_follow() {
        let mut room = FollowedRoom::new("a b");
        assert_eq!(room.take(r#"{"type":"reconnect","after_ms":40}"#.into()), None);
        let refused = r#"{"type":"error","code":103,"message":"permission denied"}"#;
        assert_eq!(room.take(refused.into()), Some(Followed::Reconnect(Duration::from_millis(40))));
        assert!(room.is_waiting());
        assert_eq!(room.take("1".into()), Some(Followed::Refused("permission denied".into())));
        assert!(!room.is_member());
        let no_token = r#"{"type":"error","message":"a token is required","timestamp":"2026-01-01T00:00:00Z"}"#;
        let said = (room.release(), room.take(no_token.into()), room.release());
        let refused = Followed::Refused("a token is required".into());
        assert_eq!(said, (Some(Followed::Message("1".into())), None, Some(refused)));
        assert_eq!(room.take("1".into()), None);
        assert_eq!(room.take(position(1)), Some(Followed::Message("1".into())));
        assert!(room.is_member());
        assert_eq!((room.take(no_token.into()), room.release()), (None, Some(Followed::Message(no_token.into()))));
        room.connected();
        assert!(!room.is_member() && room.has_position());
    }

    #[test]
    fn an_absence_of_years_is_not_believed() {
        let mut room = FollowedRoom::new("a b");
        assert_eq!(room.take(r#"{"type":"reconnect","after_ms":9999999999999}"#.into()), None);
        assert_eq!(room.release(), Some(Followed::Reconnect(LONGEST_ABSENCE)));
    }
}
