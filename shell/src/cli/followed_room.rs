//! A room as the `plain` protocol tells of it: messages, each with its position behind it, and what the server itself says.

use serde::Deserialize;

/// Something that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// A message, as it was published.
    Message(String),
    /// Some messages are lost: the room's log does not retain them any more.
    Gap,
    /// The server is about to close, and asks to come back after these milliseconds.
    Reconnect(u64),
    /// The server refuses something, such as to join the room.
    Refused(String),
}

/// The fields of the server's own frames.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnFrame {
    #[serde(rename = "type")]
    kind: String,
    room: String,
    epoch: String,
    offset: u64,
    after_ms: u64,
    message: String,
}

/// The state of a room that is followed over several connections.
#[derive(Debug, Default)]
pub(super) struct FollowedRoom {
    room: String,
    /// Epoch and offset of the newest message.
    position: Option<(String, u64)>,
    /// The last frame, which is a message if a position comes behind it. Else it is the server's own, or was sent to this
    /// connection; its content does not tell, since a backend may publish anything.
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

    /// Takes a frame. What it is, the next one tells: a message has its position behind it.
    pub(super) fn take(&mut self, text: String) -> Option<Followed> {
        let Some(position) = own_frame(&text).filter(|own| own.kind == "position") else {
            let before = self.release();
            self.held = Some(text);
            return before;
        };
        let held = self.held.take();
        // The room of a user's own, where a token puts its connection, is another one.
        if position.room != self.room {
            return None;
        }
        self.position = Some((position.epoch, position.offset));
        held.map(Followed::Message)
    }

    /// Whether it is known where to go on.
    pub(super) fn has_position(&self) -> bool {
        self.position.is_some()
    }

    /// Whether a frame waits to be known by what comes behind it.
    pub(super) fn is_waiting(&self) -> bool {
        self.held.is_some()
    }

    /// What the frame that waits says, now that no position has come behind it. None where that is not about the room.
    pub(super) fn release(&mut self) -> Option<Followed> {
        let own = own_frame(&self.held.take()?)?;
        match &*own.kind {
            "gap" => {
                self.position = Some((own.epoch, own.offset));
                Some(Followed::Gap)
            }
            "reconnect" => Some(Followed::Reconnect(own.after_ms)),
            "error" => Some(Followed::Refused(own.message)),
            _ => None,
        }
    }

    /// The name of the room.
    pub(super) fn room(&self) -> &str {
        &self.room
    }
}

fn own_frame(text: &str) -> Option<OwnFrame> {
    serde_json::from_str(text).ok()
}

/// A value of a query (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
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
        let gap = r#"{"type":"gap","room":"a b","epoch":"f","offset":2}"#;
        assert_eq!(room.take(gap.into()), None);
        assert_eq!(room.release(), Some(Followed::Gap));
        assert_eq!(room.path(None), format!("{path}&since=f:2"));
    }

    #[test]
    fn what_a_backend_publishes_is_printed_even_if_it_looks_like_the_servers_own() {
        for published in [r#"{"type":"error","message":"disk full"}"#, r#"{"type":"gap"}"#, r#"{"type":7}"#, "[1]"] {
            let mut room = FollowedRoom::new("a b");
            assert_eq!(room.take(published.into()), None);
            assert_eq!(room.take(position(1)), Some(Followed::Message(published.into())));
            assert!(!room.is_waiting());
        }
    }

    #[test]
    fn what_is_of_another_room_or_of_none_is_no_message() {
        let mut room = FollowedRoom::new("a b");
        assert_eq!(room.take("1".into()), None);
        assert_eq!(room.take(position(4).replace("a b", "#ann")), None);
        assert_eq!((room.has_position(), room.take("2".into()), room.take("3".into())), (false, None, None));
        assert_eq!(room.take(position(1)), Some(Followed::Message("3".into())));
    }

    #[test]
    fn the_servers_own_frames_are_known_by_what_does_not_follow() {
        let mut room = FollowedRoom::new("a b");
        assert_eq!(room.take(r#"{"type":"reconnect","after_ms":40}"#.into()), None);
        let refused = r#"{"type":"error","code":103,"message":"permission denied"}"#;
        assert_eq!(room.take(refused.into()), Some(Followed::Reconnect(40)));
        assert!(room.is_waiting());
        assert_eq!(room.take("1".into()), Some(Followed::Refused("permission denied".into())));
        assert_eq!(room.take(position(1)), Some(Followed::Message("1".into())));
    }
}
