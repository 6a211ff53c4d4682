//! RFC 6455 as a table: what a client sends, and what it gets, through the driver, the decoder and the state machine.
//!
//! Every row is played with its bytes in one read, in single bytes, and in pieces of seven. The session echoes text. How
//! connections close is played over sockets, too, as Autobahn's test suite does it.
#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

#[path = "../examples/echo/session.rs"]
mod session;
#[path = "../examples/echo/socket.rs"]
mod socket;

use parlor::net::driver::{Handshake, Transport};
use parlor_core::Limits;
use parlor_core::test_support::{client_frame as frame, client_frame_of_length};
use session::Session;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The largest message.
const MESSAGE_BYTES: usize = 70_000;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

/// Both ends of an invented socket that takes everything.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Ends>>);

#[derive(Default)]
struct Ends {
    to_server: VecDeque<Vec<u8>>,
    to_client: Vec<u8>,
    /// The server has ended its side.
    finished: bool,
    /// The server has dropped the socket.
    aborted: bool,
}

impl Transport for Wire {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(bytes) = self.0.borrow_mut().to_server.pop_front() else { return Poll::Pending };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.0.borrow_mut().to_client.extend(&bytes);
        Ok(bytes.len())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self) {
        self.0.borrow_mut().finished = true;
    }

    fn abort(&mut self) {
        self.0.borrow_mut().aborted = true;
    }
}

/// The frames that a client was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, [&code.to_be_bytes(), reason].concat())
}

/// One message cut into fragments.
fn fragments<const N: usize>(opcode: u8, parts: [&[u8]; N]) -> Vec<u8> {
    let first = |at| match at {
        0 if N == 1 => FIN | opcode,
        0 => opcode,
        at if at == N - 1 => FIN | CONTINUATION,
        _ => CONTINUATION,
    };
    parts.iter().enumerate().flat_map(|(at, part)| frame(first(at), part)).collect()
}

/// Reads what a server has sent: frames that are never masked or fragmented, and no longer than they have to be.
fn read(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!((first & 0xf0, second & 0x80), (FIN, 0), "whole, without reserved bits or a mask");
        let (length, rest) = match second & 0x7f {
            126 => (u16::from_be_bytes([rest[0], rest[1]]) as usize, &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (short as usize, rest),
        };
        let least = match second & 0x7f {
            126 => 126,
            127 => 65_536,
            _ => 0,
        };
        assert!(length >= least, "RFC 6455 section 5.2: the minimal number of bytes");
        let (payload, rest) = rest.split_at(length);
        seen.push(match first & 0x0f {
            TEXT => Seen::Text(String::from_utf8(payload.into()).unwrap()),
            PONG => Seen::Pong(payload.into()),
            CLOSE => Seen::Close(payload.first_chunk().copied().map(u16::from_be_bytes)),
            other => panic!("opcode {other}"),
        });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "cut: {bytes:?}");
    seen
}

/// Plays `sent` in pieces of `size`; half of them may come with the request.
fn play(sent: &[u8], size: usize) -> Vec<Seen> {
    let wire = Wire::default();
    let mut pieces = sent.chunks(size).map(Vec::from);
    let early = pieces.next().unwrap_or_default();
    wire.0.borrow_mut().to_server.extend(pieces);
    let limits = Limits {
        message_bytes: MESSAGE_BYTES,
        publication_bytes: MESSAGE_BYTES,
        rooms_per_connection: 64,
        outbox_bytes: 4 << 20,
        ..Limits::default()
    };
    let mut session = Session::new(limits, wire.clone(), Handshake { response: b"101".into(), early });
    let _ = session.poll(&mut Context::from_waker(Waker::noop()), &mut vec![0; sent.len().max(1)]);
    let ends = wire.0.borrow();
    let seen = read(ends.to_client.strip_prefix(b"101").unwrap());
    let is_closed = matches!(seen.last(), Some(Seen::Close(_)));
    assert_eq!((ends.finished, ends.aborted), (is_closed, false), "the stream ends behind a Close, and only there");
    seen
}

/// Checks that a client that sends these bytes gets these frames.
fn row(name: &str, sent: impl AsRef<[u8]>, expected: &[Seen]) {
    let sent = sent.as_ref();
    for size in [sent.len().max(1), 1, 7] {
        assert_eq!(play(sent, size), expected, "{name}, in pieces of {size}");
    }
}

fn echo(text: impl AsRef<str>) -> Seen {
    Seen::Text(text.as_ref().into())
}

/// The connection fails with this code, and nothing after that counts.
fn fails(name: &str, sent: impl AsRef<[u8]>, code: u16) {
    let more = [sent.as_ref(), &text("more"), &frame(FIN | PING, "?")].concat();
    row(name, more, &[Seen::Close(Some(code))]);
}

#[test]
fn framing() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, MESSAGE_BYTES] {
        let payload = "x".repeat(length);
        row("a text of any length", text(&payload), &[echo(&payload)]);
    }
    row("two in a row", [text("a"), text("b")].concat(), &[echo("a"), echo("b")]);
    row("a length in more bytes than it needs", client_frame_of_length(FIN | TEXT, &[126, 0, 1], b"x"), &[echo("x")]);
    row("the same with eight", client_frame_of_length(FIN | TEXT, &[127, 0, 0, 0, 0, 0, 0, 0, 1], b"x"), &[echo("x")]);
    for bit in [0x40, 0x20, 0x10] {
        fails("a reserved bit", frame(FIN | bit | TEXT, "x"), 1002);
        fails("a reserved bit of a control frame", frame(FIN | bit | PING, "x"), 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        fails("a reserved opcode", frame(FIN | opcode, ""), 1002);
    }
    fails("a frame without a mask", [FIN | TEXT, 1, b'x'], 1002);
    fails("a length over 2^63", client_frame_of_length(FIN | TEXT, &[127, 0x80, 0, 0, 0, 0, 0, 0, 1], b"x"), 1009);
}

#[test]
fn sizes() {
    let [most, more] = ["x".repeat(MESSAGE_BYTES), "x".repeat(MESSAGE_BYTES + 1)];
    row("the largest message", text(&most), &[echo(&most)]);
    fails("a byte more", text(&more), 1009);
    fails("a header that says so", client_frame_of_length(FIN | TEXT, &[127, 0, 0, 0, 0, 0, 1, 0x11, 0x71], b""), 1009);
    let (half, rest) = most.as_bytes().split_at(MESSAGE_BYTES / 2);
    row("the largest in two fragments", fragments(TEXT, [half, rest]), &[echo(&most)]);
    fails("a byte more in a third", fragments(TEXT, [half, rest, b"x"]), 1009);
    row("an empty third", fragments(TEXT, [half, rest, b""]), &[echo(&most)]);
}

#[test]
fn fragmentation() {
    row("two fragments", fragments(TEXT, [b"a", b"b"]), &[echo("ab")]);
    row("empty fragments", fragments(TEXT, [b"", b"", b""]), &[echo("")]);
    row("the middle one is empty", fragments(TEXT, [b"a", b"", b"b"]), &[echo("ab")]);
    let many: Vec<u8> =
        [frame(TEXT, "")].into_iter().chain((0..100).map(|_| frame(CONTINUATION, "x"))).flatten().collect();
    row("a hundred fragments", [many, frame(FIN | CONTINUATION, "")].concat(), &[echo("x".repeat(100))]);
    let ping = frame(FIN | PING, "p");
    let between = [frame(TEXT, "a"), ping.clone(), frame(FIN | CONTINUATION, "b")].concat();
    row("a Ping between two fragments", between, &[Seen::Pong(b"p".into()), echo("ab")]);
    let between = [frame(TEXT, "a"), frame(FIN | PONG, "p"), frame(FIN | CONTINUATION, "b")].concat();
    row("a Pong between two fragments", between, &[echo("ab")]);
    let between = [frame(TEXT, "a"), close(1000, b""), frame(FIN | CONTINUATION, "b")].concat();
    row("a Close between two fragments", between, &[Seen::Close(Some(1000))]);
    fails("a continuation of nothing", frame(FIN | CONTINUATION, "x"), 1002);
    fails("a first continuation of nothing", frame(CONTINUATION, "x"), 1002);
    let after_end = [fragments(TEXT, [b"a", b"b"]), frame(FIN | CONTINUATION, "c")].concat();
    row("a continuation after the end", after_end, &[echo("ab"), Seen::Close(Some(1002))]);
    fails("a text in a text", [frame(TEXT, "a"), text("b")].concat(), 1002);
    fails("a binary in a text", [frame(TEXT, "a"), frame(FIN | BINARY, "b")].concat(), 1002);
}

#[test]
fn control_frames() {
    let bytes: Vec<u8> = (0..125).collect();
    for payload in [&b""[..], b"x", &[0, 0xff, 0xfe], &bytes] {
        row("a Ping with any payload", frame(FIN | PING, payload), &[Seen::Pong(payload.into())]);
        row("a Pong that nobody asked for", frame(FIN | PONG, payload), &[]);
    }
    row(
        "two Pings",
        [frame(FIN | PING, "1"), frame(FIN | PING, "2")].concat(),
        &[Seen::Pong(b"1".into()), Seen::Pong(b"2".into())],
    );
    for opcode in [CLOSE, PING, PONG] {
        fails("a control frame of 126 bytes", frame(FIN | opcode, [0x0f; 126]), 1002);
        fails("a control frame in fragments", frame(opcode, ""), 1002);
    }
}

#[test]
fn closing() {
    row("a Close without a code", frame(FIN | CLOSE, ""), &[Seen::Close(None)]);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999] {
        row("a Close is answered with its code", close(code, b"bye"), &[Seen::Close(Some(code))]);
    }
    row("the longest reason", close(1000, &[b'x'; 123]), &[Seen::Close(Some(1000))]);
    fails("a reason that is too long", close(1000, &[b'x'; 124]), 1002);
    fails("half a code", frame(FIN | CLOSE, [3]), 1002);
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        fails("a code that must not be sent", close(code, b""), 1002);
    }
    fails("a reason that is not UTF-8", close(1000, &[0xce, 0xba, 0xff]), 1007);
    row(
        "nothing counts after a Close",
        [close(1000, b""), text("x"), close(1001, b"")].concat(),
        &[Seen::Close(Some(1000))],
    );
    let queued = [text("x"), frame(FIN | PING, "p"), close(1000, b"")].concat();
    row("what came before it is answered", queued, &[echo("x"), Seen::Pong(b"p".into()), Seen::Close(Some(1000))]);
}

/// The closing cases of Autobahn's test suite, by their numbers there: what a client sends, and what it gets.
fn closing_cases() -> Vec<(String, Vec<u8>, Vec<Seen>)> {
    let case = |name: &str, sent: &[Vec<u8>], expected: &[Seen]| (name.to_owned(), sent.concat(), expected.to_vec());
    let closed = |code| [Seen::Close(Some(code))];
    let (hello, normal) = (text("Hello World!"), close(1000, b""));
    let large = "BAsd7&jh23".repeat((256 << 10) / 10);
    let not_utf_8 = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    let mut cases = vec![
        case("7.1.1", &[hello.clone(), normal.clone()], &[echo("Hello World!"), Seen::Close(Some(1000))]),
        case("7.1.2", &[normal.clone(), frame(FIN | CLOSE, "")], &closed(1000)),
        case("7.1.3", &[normal.clone(), frame(FIN | PING, "")], &closed(1000)),
        case("7.1.4", &[normal.clone(), hello.clone()], &closed(1000)),
        case(
            "7.1.5",
            &[frame(TEXT, "fragment1"), normal.clone(), frame(FIN | CONTINUATION, "fragment2")],
            &closed(1000),
        ),
        case(
            "7.1.6",
            &[text(&large), hello, normal.clone(), frame(FIN | PING, "")],
            &[echo(large), echo("Hello World!"), Seen::Close(Some(1000))],
        ),
        case("7.3.1", &[frame(FIN | CLOSE, "")], &[Seen::Close(None)]),
        case("7.3.2", &[frame(FIN | CLOSE, "a")], &closed(1002)),
        case("7.3.3", &[normal], &closed(1000)),
        case("7.3.4", &[close(1000, b"Hello World!")], &closed(1000)),
        case("7.3.5", &[close(1000, &[b'*'; 123])], &closed(1000)),
        case("7.3.6", &[close(1000, &[b'*'; 124])], &closed(1002)),
        case("7.5.1", &[close(1000, not_utf_8)], &closed(1007)),
    ];
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (group, codes, answer) in
        [("7.7", &valid[..], None), ("7.9", &invalid, Some(1002)), ("7.13", &[5000, 65_535], Some(1002))]
    {
        let sent = |(at, code): (usize, &u16)| {
            case(&format!("{group}.{}", at + 1), &[close(*code, b"")], &closed(answer.unwrap_or(*code)))
        };
        cases.extend(codes.iter().enumerate().map(sent));
    }
    cases
}

/// Sends this to the echo server in pieces of `size`, answers its Close, and asserts that the connection has ended within a
/// second, at both ends and without a reset.
fn close_over_socket(sent: &[u8], size: usize) -> Vec<Seen> {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: echo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let server = thread::spawn(move || socket::serve(listener.accept().unwrap().0));
    let start = Instant::now();
    client.write_all(REQUEST).unwrap();
    let mut writer = client.try_clone().unwrap();
    let (pieces, size) = (sent.to_vec(), size.max(1));
    // Whoever writes much has to read meanwhile.
    let writing = thread::spawn(move || pieces.chunks(size).all(|piece| writer.write_all(piece).is_ok()));
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("the stream ends, and is not reset");
    assert!(writing.join().unwrap(), "all of it can be sent");
    client.write_all(&close(1000, b"")).expect("the server still reads");
    client.shutdown(Shutdown::Write).unwrap();
    server.join().unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "it took {:?}", start.elapsed());
    assert!(client.take_error().unwrap().is_none(), "the stream is not reset later either");
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("a 101") + 4;
    read(&bytes[head..])
}

#[test]
fn a_connection_that_is_closed_ends_at_once_as_autobahn_would_have_it() {
    for (name, sent, expected) in closing_cases() {
        // What is long in pieces of a thousand: it takes a write for each.
        for size in [sent.len(), if sent.len() < 1000 { 1 } else { 1000 }] {
            assert_eq!(close_over_socket(&sent, size), expected, "{name}, in pieces of {size}");
        }
    }
}

#[test]
fn binary_messages() {
    fails("a binary message", frame(FIN | BINARY, [0, 1]), 1003);
    fails("an empty one", frame(FIN | BINARY, ""), 1003);
    fails("one in fragments", fragments(BINARY, [b"a", b"b"]), 1003);
    row("after a text", [text("a"), frame(FIN | BINARY, "b")].concat(), &[echo("a"), Seen::Close(Some(1003))]);
}

#[test]
fn utf_8() {
    for valid in [
        "κόσμε",
        "\u{0}",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "\n",
        "{}\n{}",
    ] {
        row("valid UTF-8", text(valid), &[echo(valid)]);
        for at in 0..=valid.len() {
            let (one, two) = valid.as_bytes().split_at(at);
            row("cut anywhere", fragments(TEXT, [one, two]), &[echo(valid)]);
            let between = [frame(TEXT, one), frame(FIN | PING, ""), frame(FIN | CONTINUATION, two)].concat();
            row("with a Ping in the cut", between, &[Seen::Pong(vec![]), echo(valid)]);
        }
    }
    let invalid: [&[u8]; 14] = [
        b"\x80",
        b"\xbf",
        b"a\xff",
        b"\xfe",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xce",
        b"\xf0\x9f\x98",
    ];
    for bytes in invalid {
        fails("invalid UTF-8", text(bytes), 1007);
        fails("in the second fragment", fragments(TEXT, [b"ok", bytes]), 1007);
        fails("with valid text after it", fragments(TEXT, [bytes, b"ok"]), 1007);
    }
}
