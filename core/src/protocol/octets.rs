//! A protocol for tests, to show what a protocol is: binary messages both ways, with payloads of any bytes.
//!
//! A client's message has commands, one after the other: a verb, a room and data. A message of the server is a verb and its
//! fields. Before a room its length has one byte, and before data it has four; a position is an epoch and an offset of eight
//! bytes each. The first byte of a number is the highest.

use crate::connection::frame::Frame;
use crate::connection::pending::{JoinLeave, Subscribed};
use crate::error::{Error, ErrorCode};
use crate::payload::Payload;
use crate::protocol::command::{ClientCommand, Incoming, Rejected, Rest};
use crate::protocol::command_id::CommandId;
use crate::protocol::history::HistoryFields;
use crate::protocol::message::{Mistake, ServerMessage};
use crate::publication::{EpochText, Publication, Replay};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Decodes the first command of a message's rest.
pub(crate) fn decode(rest: Rest<'_>) -> Option<Incoming<'_>> {
    let (command, used) = match rest {
        Rest::Binary([]) => return None,
        Rest::Binary(bytes) => match fields(bytes) {
            Some(fields) => (command(&fields), bytes.len() - fields.after.len()),
            None => (Err(Rejected::Unreadable), bytes.len()),
        },
        Rest::Text(text) => (Err(Rejected::Unreadable), text.len()),
    };
    Some(Incoming { id: CommandId::NONE, is_connect: false, command, used })
}

/// The fields of a command, and what comes after it.
struct Fields<'a> {
    verb: u8,
    room: &'a [u8],
    data: &'a [u8],
    after: &'a [u8],
}

fn fields(bytes: &[u8]) -> Option<Fields<'_>> {
    let ([verb, length], bytes) = bytes.split_first_chunk()?;
    let (room, bytes) = bytes.split_at_checked(usize::from(*length))?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let (data, after) = bytes.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some(Fields { verb: *verb, room, data, after })
}

fn command<'a>(&Fields { verb, room, data, .. }: &Fields<'a>) -> Result<ClientCommand<'a>, Rejected> {
    let not_text = |_| Error::new(ErrorCode::BadRequest, "a room is UTF-8");
    let channel = Cow::Borrowed(core::str::from_utf8(room).map_err(not_text)?);
    Ok(match verb {
        b'j' => {
            let (token, replay, join_leave) = (String::new(), replay(data), JoinLeave::Untold);
            ClientCommand::Subscribe { channel, token, replay, join_leave }
        }
        b'l' => ClientCommand::Unsubscribe { channel },
        b'p' => ClientCommand::Publish { channel: Some(channel), data: Payload::from(data.to_vec()) },
        b'h' => {
            let query = HistoryFields { limit: Some(-1), ..HistoryFields::default() };
            ClientCommand::History { channel, query }
        }
        _ => return Err(Rejected::Unreadable),
    })
}

/// Returns what a new member misses: all after its position, if it has one.
fn replay(data: &[u8]) -> Replay {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).ok();
    match data.split_at_checked(8).map(|(epoch, offset)| (number(epoch), number(offset))) {
        Some((Some(epoch), Some(offset))) => {
            Replay::Since { epoch: EpochText::of(epoch).into(), offset, or_refuse: false }
        }
        _ => Replay::None,
    }
}

/// Encodes a message; `None` when the protocol does not have it.
pub(crate) fn encode(message: &ServerMessage<'_>) -> Option<Frame> {
    let mut out = Vec::new();
    match *message {
        ServerMessage::Subscribed { subscribed: Subscribed { position, replay, .. }, .. } => {
            out.push(b'J');
            out.extend(position.epoch.to_be_bytes());
            out.extend(position.offset.to_be_bytes());
            push_all(&mut out, &replay.publications);
        }
        ServerMessage::Unsubscribed { .. } => out.push(b'L'),
        ServerMessage::Publication { room, publication } => {
            out.push(b'P');
            out.push(u8::try_from(room.len()).ok()?);
            out.extend(room.as_bytes());
            push_data(&mut out, publication);
        }
        ServerMessage::History { page, .. } => {
            out.push(b'H');
            push_all(&mut out, &page.publications);
        }
        ServerMessage::Message { data } => {
            out.push(b'M');
            out.extend(data.bytes());
        }
        ServerMessage::Error { error, .. } => {
            out.push(b'E');
            out.extend(error.code.number().to_be_bytes());
        }
        ServerMessage::Mistake { mistake: Mistake::Unreadable, .. } => out.push(b'?'),
        ServerMessage::Ping => return Some(Frame::ping()),
        _ => return None,
    }
    Some(Frame::binary(&out))
}

fn push_all(out: &mut Vec<u8>, publications: &[Arc<Publication>]) {
    publications.iter().for_each(|publication| push_data(out, publication));
}

fn push_data(out: &mut Vec<u8>, publication: &Publication) {
    let data = publication.draft.data.bytes();
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(data);
}

mod tests {
    use crate::admission::route::Target;
    use crate::api::{Command, Message as ApiMessage};
    use crate::policy::{Permissions, Who};
    use crate::testing::client_info;
    use crate::token::{Claims, VerifiedClaims};
    use crate::{
        CallId, ClientId, Config, ConnId, Input, Instant, Limits, Now, Payload, Shard, Upgrade, WebSocketMessage,
    };
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use serde_json::{Value, json};
    use std::io::Cursor;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    const NOW: Now = Now { mono: Instant(1_000_000_000), unix_ms: 1_767_225_600_000 };
    /// Bytes that are no UTF-8, end a line and end a C string.
    const BYTES: [u8; 4] = [0xFF, b'\n', 0, b'"'];
    const BASE64: &str = "\"/woAIg==\"";

    /// A shard where anybody may do everything.
    fn shard() -> Shard {
        shard_with(Limits::default(), true)
    }

    fn shard_with(limits: Limits, anonymous: bool) -> Shard {
        let permissions = Permissions { publish: Who::Anyone, history: Who::Anyone, ..Permissions::open() };
        Shard::new(Config::uniform(limits, anonymous, permissions), [7; 32])
    }

    fn accept(shard: &mut Shard, client: u8, target: Target, token: Option<&str>) -> ConnId {
        let upgrade = Upgrade { client: [client; 16], target, token: token.map(String::from), address: None };
        let conn = shard.accept(NOW, upgrade).expect("it is within the limits");
        input(shard, Input::Upgraded { conn });
        conn
    }

    fn octets(shard: &mut Shard, client: u8) -> ConnId {
        accept(shard, client, Target::Octets {}, None)
    }

    fn plain(shard: &mut Shard, client: u8) -> ConnId {
        let target = shard.config().resolve("/ws/a?greeting=off").expect("a path of a room");
        accept(shard, client, target, None)
    }

    fn json(shard: &mut Shard, client: u8) -> ConnId {
        let target = shard.config().resolve("/connection/websocket").expect("a path that is served");
        let conn = accept(shard, client, target, None);
        say(shard, conn, r#"{"id":1,"connect":{}}"#);
        read(shard, conn);
        conn
    }

    fn input(shard: &mut Shard, input: Input) {
        shard.handle(NOW, input).for_each(drop);
        while shard.has_work() {
            shard.resume(NOW).for_each(drop);
        }
        shard.audit();
    }

    fn say(shard: &mut Shard, conn: ConnId, message: impl Into<WebSocketMessage>) {
        input(shard, Input::Message { conn, message: message.into() });
    }

    /// A command in room `a`.
    fn command(verb: u8, data: &[u8]) -> Vec<u8> {
        [&[verb, 1, b'a'], &(data.len() as u32).to_be_bytes()[..], data].concat()
    }

    /// A message of the server with these data, each with its length.
    fn told(begin: &[u8], data: &[&[u8]]) -> Message {
        let data = data.iter().flat_map(|data| [&(data.len() as u32).to_be_bytes()[..], data].concat());
        Message::binary(begin.iter().copied().chain(data).collect::<Vec<u8>>())
    }

    /// The messages that wait for a connection, as an independent parser reads them.
    fn read(shard: &mut Shard, conn: ConnId) -> Vec<Message> {
        let Some(pending) = shard.pending(conn) else { return Vec::new() };
        let bytes = pending.slices().collect::<Vec<_>>().concat();
        let written = pending.consumed(bytes.len());
        input(shard, written);
        let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, None);
        core::iter::from_fn(|| socket.read().ok()).collect()
    }

    /// The only message that waits, which is JSON.
    fn read_json(shard: &mut Shard, conn: ConnId) -> Value {
        let messages = read(shard, conn);
        let [Message::Text(text)] = &messages[..] else { panic!("{messages:?}") };
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_payload_reaches_each_client_in_the_form_of_its_protocol() {
        let mut shard = shard();
        let (json, plain) = (json(&mut shard, 1), plain(&mut shard, 2));
        let [first, second] = [3, 4].map(|client| octets(&mut shard, client));
        say(&mut shard, json, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
        read(&mut shard, json);
        for conn in [first, second] {
            assert!(read(&mut shard, conn).is_empty(), "this protocol has no greeting");
            say(&mut shard, conn, command(b'j', b""));
            assert_eq!(read(&mut shard, conn)[0].clone().into_data()[..1], *b"J");
        }
        say(&mut shard, first, [command(b'p', &BYTES), command(b'p', b"")].concat());
        let both = [told(b"P\x01a", &[&BYTES]), told(b"P\x01a", &[b""])];
        assert_eq!(read(&mut shard, first), both);
        assert_eq!(read(&mut shard, second), both);
        assert_eq!(read(&mut shard, plain), [Message::text(BASE64), Message::text("\"\"")]);
        let of_json = read(&mut shard, json);
        assert!(of_json[0].to_text().expect("text").contains(&format!(r#""pub":{{"data":{BASE64},"#)), "{of_json:?}");
        say(&mut shard, json, r#"{"id":3,"publish":{"channel":"a","data":{"é": 1}}}"#);
        say(&mut shard, plain, r#"{"type":"publish","data":[2]}"#);
        let both = ["{\"é\": 1}", "[2]"].map(|text| told(b"P\x01a", &[text.as_bytes()]));
        assert_eq!(read(&mut shard, second), both);
        say(&mut shard, second, command(b'l', b""));
        say(&mut shard, first, command(b'p', b"4"));
        assert_eq!(read(&mut shard, second), [Message::binary(&b"L"[..])], "it has left");
    }

    #[test]
    fn a_payload_is_recovered_and_read_from_the_log_in_the_form_of_each_protocol() {
        let mut shard = shard();
        let (json, conn) = (json(&mut shard, 1), octets(&mut shard, 2));
        say(&mut shard, conn, [command(b'j', b""), command(b'l', b"")].concat());
        let start = read(&mut shard, conn)[0].clone().into_data()[1..].to_vec();
        say(&mut shard, json, r#"{"id":2,"publish":{"channel":"a","data":{"n":1}}}"#);
        read(&mut shard, json);
        say(&mut shard, conn, [command(b'p', &BYTES), command(b'h', b""), command(b'j', &start)].concat());
        let data = [b"{\"n\":1}", &BYTES[..]];
        let rejoined = told(&[&b"J"[..], &start].concat(), &data);
        assert_eq!(read(&mut shard, conn), [told(b"H", &data), rejoined]);

        let data = json!([{ "n": 1 }, serde_json::from_str::<Value>(BASE64).expect("JSON")]);
        let data_of = |publications: &Value| -> Value {
            publications.as_array().expect("a list").iter().map(|publication| publication["data"].clone()).collect()
        };
        say(&mut shard, json, r#"{"id":3,"history":{"channel":"a","limit":-1}}"#);
        let page = read_json(&mut shard, json);
        assert_eq!(data_of(&page["history"]["publications"]), data);
        say(&mut shard, json, r#"{"id":4,"subscribe":{"channel":"a","recover":true,"offset":0}}"#);
        let subscribed = read_json(&mut shard, json);
        assert_eq!(data_of(&subscribed["subscribe"]["publications"]), data, "{subscribed}");
    }

    #[test]
    fn bytes_count_against_limits_as_their_base64() {
        let mut shard = shard_with(Limits { publication_bytes: 10, ..Limits::default() }, true);
        let (conn, plain) = (octets(&mut shard, 1), plain(&mut shard, 2));
        say(&mut shard, conn, [command(b'p', &[0; 6]), command(b'p', &[0; 7])].concat());
        assert_eq!(read(&mut shard, conn), [Message::binary(&b"E\0k"[..])], "7 bytes are 14 in JSON");
        assert_eq!(read(&mut shard, plain), [Message::text("\"AAAAAAAA\"")]);
        assert_eq!(shard.stats().gauges.history_bytes, 10 + client_info(1).bytes());
    }

    #[test]
    fn bytes_pass_no_filter_of_events_and_are_no_frame_of_the_server() {
        let mut shard = shard();
        let (conn, plain, all) = (octets(&mut shard, 1), plain(&mut shard, 2), self::plain(&mut shard, 3));
        say(&mut shard, plain, r#"{"type":"subscribe","events":["pong","x"]}"#);
        read(&mut shard, plain);
        say(&mut shard, conn, command(b'p', br#"{"type":"pong"}"#));
        assert_eq!(read(&mut shard, all), [Message::text("\"eyJ0eXBlIjoicG9uZyJ9\"")]);
        assert!(read(&mut shard, plain).is_empty(), "a string has no type");
    }

    #[test]
    fn a_call_publishes_and_sends_bytes() {
        let mut shard = shard();
        let (conn, plain) = (octets(&mut shard, 1), plain(&mut shard, 2));
        say(&mut shard, conn, command(b'j', b""));
        read(&mut shard, conn);
        let data = Payload::from(BYTES.to_vec());
        let message =
            ApiMessage { data: data.clone(), tags: BTreeMap::new(), skip_history: false, idempotency_key: None };
        let channels = Vec::from(["a".into(), "b".into()]);
        let client = ClientId([1; 16]);
        for command in [Command::Broadcast { channels, message }, Command::Send { client, data }] {
            input(&mut shard, Input::Call { call: CallId(1), command });
        }
        let sent = Message::binary([&b"M"[..], &BYTES].concat());
        assert_eq!(read(&mut shard, conn), [told(b"P\x01a", &[&BYTES]), sent]);
        assert_eq!(read(&mut shard, plain), [Message::text(BASE64)]);
        assert_eq!(shard.stats().gauges.history_bytes, BASE64.len(), "both logs share the bytes");
    }

    #[test]
    fn binary_messages_wait_in_order_like_text() {
        let mut shard = shard();
        let conn = accept(&mut shard, 1, Target::Octets {}, Some("t"));
        for message in [[command(b'j', b""), command(b'p', b"1")].concat(), command(b'p', &BYTES)] {
            say(&mut shard, conn, message);
        }
        assert!(read(&mut shard, conn).is_empty(), "its token is being checked");
        let claims = Claims { sub: "ann".into(), ..Claims::default() };
        #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
        let verdict = Ok(VerifiedClaims::vouched_for_by_verifier(claims));
        input(&mut shard, Input::Authenticated { conn, verdict });
        let published = [told(b"P\x01a", &[b"1"]), told(b"P\x01a", &[&BYTES])];
        assert_eq!(read(&mut shard, conn)[1..], published);
    }

    #[test]
    fn a_third_protocol_tells_errors_and_has_clients_closed_for_what_it_has_no_message_for() {
        let mut shard = shard_with(Limits::default(), false);
        let conn = octets(&mut shard, 1);
        let unreadable = || Message::binary(&b"?"[..]);
        say(&mut shard, conn, "text");
        assert_eq!(read(&mut shard, conn), [unreadable()]);
        for cut in 1..command(b'p', b"1").len() {
            say(&mut shard, conn, command(b'p', b"1")[..cut].to_vec());
            assert_eq!(read(&mut shard, conn), [unreadable()], "cut after {cut}");
        }
        say(&mut shard, conn, [&b"j\x01\xFF"[..], &[0; 4]].concat());
        assert_eq!(read(&mut shard, conn), [Message::binary(&b"E\0k"[..])]);
        say(&mut shard, conn, command(b'j', b""));
        let closed = read(&mut shard, conn);
        assert!(matches!(&closed[..], [Message::Close(Some(close))] if u16::from(close.code) == 3501), "{closed:?}");
    }
}
