//! A protocol for tests, to show what a protocol is: a command is a line of words, and a message is a binary frame whose first
//! byte says what it is.

use crate::connection::frame::Frame;
use crate::connection::pending::JoinLeave;
use crate::error::{Error, ErrorCode};
use crate::json::Json;
use crate::protocol::command::{ClientCommand, Incoming, Rejected, Rest};
use crate::protocol::command_id::CommandId;
use crate::protocol::message::{Mistake, ServerMessage};
use crate::publication::{Publication, Replay};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Decodes a command: `join ROOM`, `leave ROOM` or `say ROOM JSON`.
pub(crate) fn decode(rest: Rest<'_>) -> Option<Incoming<'_>> {
    let Rest::Text(text) = rest else { return None };
    let line = text.lines().next()?;
    let used = text.len().min(line.len() + 1);
    let mut words = line.splitn(3, ' ');
    let (verb, channel, rest) = (words.next(), Cow::from(words.next().unwrap_or_default()), words.next());
    let command = match verb {
        Some("join") => {
            let (token, replay, join_leave) = (String::new(), Replay::None, JoinLeave::Untold);
            Ok(ClientCommand::Subscribe { channel, token, replay, join_leave })
        }
        Some("leave") => Ok(ClientCommand::Unsubscribe { channel }),
        Some("say") => match Json::parse(rest.unwrap_or_default()) {
            Ok(data) => Ok(ClientCommand::Publish { channel: Some(channel), data }),
            Err(_) => Err(Rejected::Error(Error::new(ErrorCode::BadRequest, "data is not JSON"))),
        },
        _ => Err(Rejected::Unreadable),
    };
    Some(Incoming { id: CommandId::NONE, is_connect: false, command, used })
}

/// Encodes a message; `None` when the protocol does not have it.
pub(crate) fn encode(message: &ServerMessage<'_>) -> Option<Frame> {
    let (kind, parts): (u8, [&[u8]; 2]) = match message {
        ServerMessage::Subscribed { .. } => (b'J', [&[], &[]]),
        ServerMessage::Unsubscribed { .. } => (b'L', [&[], &[]]),
        ServerMessage::Publication { room, publication: Publication { draft, .. } } => {
            (b'P', [room.as_bytes(), draft.data.as_bytes()])
        }
        ServerMessage::Error { error, .. } => (b'E', [&error.code.number().to_be_bytes(), error.message.as_bytes()]),
        ServerMessage::Mistake { mistake: Mistake::Unreadable, .. } => (b'?', [&[], &[]]),
        ServerMessage::Ping => return Some(Frame::ping()),
        _ => return None,
    };
    let mut bytes = Vec::from([kind]);
    for part in parts {
        bytes.extend(part);
        bytes.push(0);
    }
    Some(Frame::binary(&bytes))
}

mod tests {
    use crate::admission::route::Target;
    use crate::{Config, ConnId, Effect, Input, Instant, Now, Shard, Upgrade};
    use alloc::vec::Vec;
    use std::io::Cursor;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    const NOW: Now = Now { mono: Instant(1_000_000_000), unix_ms: 1_767_225_600_000 };

    fn open(shard: &mut Shard, client: u8, target: Target) -> ConnId {
        let upgrade = Upgrade { client: [client; 16], target, token: None, address: None };
        let conn = shard.accept(NOW, upgrade).expect("it is within the limits");
        let _ = shard.handle(NOW, Input::Upgraded { conn });
        conn
    }

    fn say(shard: &mut Shard, conn: ConnId, text: &str) -> Vec<Effect> {
        shard.handle(NOW, Input::Message { conn, message: text.into() }).collect()
    }

    /// The messages that wait for a connection, as an independent parser reads them.
    fn received(shard: &mut Shard, conn: ConnId) -> Vec<Message> {
        let Some(pending) = shard.pending(conn) else { return Vec::new() };
        let bytes = pending.slices().collect::<Vec<_>>().concat();
        let written = pending.consumed(bytes.len());
        let _ = shard.handle(NOW, written);
        let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, None);
        core::iter::from_fn(|| socket.read().ok()).collect()
    }

    fn binary(bytes: &'static [u8]) -> Message {
        Message::binary(bytes)
    }

    #[test]
    fn a_third_protocol_with_binary_frames_shares_rooms_with_the_others() {
        let mut shard = Shard::new(Config::default(), [7; 32]);
        let plain = shard.config().resolve("/ws/a?greeting=off").expect("a path of a room");
        let plain = open(&mut shard, 1, plain);
        let [first, second] = [2, 3].map(|client| open(&mut shard, client, Target::Octets {}));
        for conn in [first, second] {
            assert!(received(&mut shard, conn).is_empty(), "this protocol has no greeting");
            say(&mut shard, conn, "join a");
            assert_eq!(received(&mut shard, conn), [binary(b"J\0\0")]);
        }
        say(&mut shard, first, "say a {\"n\":1}\nsay a 2");
        let both = [binary(b"Pa\0{\"n\":1}\0"), binary(b"Pa\x002\0")];
        assert_eq!(received(&mut shard, first), both);
        assert_eq!(received(&mut shard, second), both);
        assert_eq!(received(&mut shard, plain), [Message::text("{\"n\":1}"), Message::text("2")]);
        say(&mut shard, plain, "{\"type\":\"publish\",\"data\":3}");
        assert_eq!(received(&mut shard, second), [binary(b"Pa\x003\0")]);
        say(&mut shard, second, "leave a");
        say(&mut shard, first, "say a 4");
        assert_eq!(received(&mut shard, second), [binary(b"L\0\0")], "it has left");
        shard.audit();
    }

    #[test]
    fn a_third_protocol_tells_errors_and_has_clients_closed_for_what_it_has_no_message_for() {
        let mut shard = Shard::new(Config { allow_anonymous: false, ..Config::default() }, [7; 32]);
        let conn = open(&mut shard, 1, Target::Octets {});
        say(&mut shard, conn, "what");
        assert_eq!(received(&mut shard, conn), [binary(b"?\0\0")]);
        say(&mut shard, conn, "say a {");
        assert_eq!(received(&mut shard, conn), [binary(b"E\0k\0data is not JSON\0")]);
        say(&mut shard, conn, "join a");
        let closed = received(&mut shard, conn);
        assert!(matches!(&closed[..], [Message::Close(Some(close))] if u16::from(close.code) == 3501), "{closed:?}");
    }
}
