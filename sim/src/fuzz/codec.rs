//! Raw bytes of a client, through the server's own driver and host, over an invented socket.

use super::rfc6455::{self, ReaderEvent, Reading};
use super::taken::Taken;
use super::target::Teller;
use crate::subjects::hosted::pipe::{Alarm, Pipe};
use crate::world::frames::{Parser, ReceivedFrame};
use crate::world::second_reader;
use parlor::auth::TokenVerifier;
use parlor::net::driver::Handshake;
use parlor::runtime::host::{Host, Progress};
use parlor::runtime::observer::Observer;
use parlor_core::limits::Rate;
use parlor_core::{Config, ConnId, Input, Instant, Limits, Now, Shard, Upgrade, WebSocketMessage};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Reads these bytes as what a client sends once it has its 101, after three bytes that say which protocol it speaks, how
/// its bytes are cut, and how the socket takes what it is sent. The server must hear what a second reader of RFC 6455
/// hears, however the bytes are cut; what it writes must be frames with nothing after a Close, no longer than what was
/// said can be worth; and it must write the same, too, as long as it writes at the same moments.
///
/// # Panics
/// When one of these does not hold.
pub fn codec_bytes(bytes: &[u8]) {
    let CodecInput { target, cut, takes, bytes } = CodecInput::read(bytes);
    let pieces: Vec<&[u8]> = pieces(bytes, cut);

    let whole = Talk::over(target, &[bytes], usize::MAX, false);
    check_heard(&whole.heard, &rfc6455::read(bytes, limits().message_bytes));
    let cut = Talk::over(target, &pieces, usize::MAX, false);
    assert_eq!(whole.heard, cut.heard, "P1: what is heard of bytes in pieces");
    assert_eq!(whole.written, cut.written, "P1: what is answered to bytes in pieces");
    let eager = Talk::over(target, &pieces, usize::from(takes).max(1), true);
    let (heard, rest) = eager.heard.split_at(eager.skims_from.unwrap_or(eager.heard.len()));
    let before = if eager.skims_from.is_some() { whole.heard.get(..heard.len()) } else { Some(&whole.heard[..]) };
    assert_eq!(before, Some(heard), "P1: what is heard while the server writes");
    let is_end = |rest: &[ReaderEvent]| matches!(rest, [] | [ReaderEvent::Close(_)]);
    assert!(is_end(rest), "P1: {rest:?} is heard of a client that is closed");
    for talk in [&whole, &eager] {
        check_written(talk, bytes.len());
    }
}

/// How the bytes are cut, and what is said in them.
pub(super) fn tell(bytes: &[u8], tell: Teller<'_>) {
    let CodecInput { target, cut, takes, bytes } = CodecInput::read(bytes);
    let pieces = pieces(bytes, cut);
    let lengths: Vec<String> = pieces.iter().map(|piece| piece.len().to_string()).collect();
    tell(format_args!("{target}: {} bytes in pieces of {}", bytes.len(), lengths.join(" ")));
    tell(format_args!("the socket takes {} bytes at most after each", usize::from(takes).max(1)));
    let Reading { whole, broken, perhaps } = rfc6455::read(bytes, limits().message_bytes);
    whole.iter().for_each(|heard| tell(format_args!("{heard:?}")));
    if !broken.is_empty() {
        let due = if perhaps { "may be noticed" } else { "must be noticed" };
        tell(format_args!("then a broken rule {due}: {broken:?}"));
    }
}

/// The parts of an input.
struct CodecInput<'a> {
    target: &'static str,
    cut: u8,
    takes: u8,
    bytes: &'a [u8],
}

impl<'a> CodecInput<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut taken = Taken(bytes);
        let target = taken.pick(&["/connection/websocket", "/ws/a?greeting=off", "/ws/a?positions=on&history=3"]);
        let (cut, takes) = (taken.byte(), taken.byte());
        Self { target, cut, takes, bytes: taken.0 }
    }
}

const NOW: Now = Now { mono: Instant(1_000_000_000), unix_ms: 1_795_352_400_000 };
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
/// More than one read takes at once.
const MOST_BYTES: usize = 16 << 10;
/// The most bytes written for one byte read: a refused command is a byte or two, and its answer has a hundred.
const WORTH: usize = 64;
/// Bytes that come unasked, with the Close frame.
const UNASKED: usize = 1024;

fn limits() -> Limits {
    Limits {
        message_bytes: 1024,
        rooms_per_connection: 1,
        publication_bytes: 256,
        reply_bytes: 512,
        history_messages: 3,
        client_frames: Rate::OFF,
        ..Limits::default()
    }
}

/// Pieces of so many bytes each, with a byte of its own in front of each where the size is odd.
fn pieces(bytes: &[u8], cut: u8) -> Vec<&[u8]> {
    let size = usize::from(cut / 2).max(1);
    let chunks = bytes.chunks(size);
    if cut.is_multiple_of(2) {
        return chunks.collect();
    }
    chunks.flat_map(|chunk| [&chunk[..1], &chunk[1..]]).filter(|piece| !piece.is_empty()).collect()
}

/// Writes down what the server hears.
#[derive(Debug, Default)]
struct Ear(Vec<ReaderEvent>);

impl Observer for Ear {
    fn before(&mut self, _: Now, input: &Input) {
        self.0.push(match input {
            Input::Message { message: WebSocketMessage::Text(text), .. } => ReaderEvent::Text(text.clone()),
            Input::Message { message: WebSocketMessage::Binary(bytes), .. } => ReaderEvent::Binary(bytes.clone()),
            Input::Fragment { .. } => ReaderEvent::Fragment,
            Input::Ping { payload, .. } => ReaderEvent::Ping(payload.clone()),
            Input::Pong { .. } => ReaderEvent::Pong,
            Input::PeerClosed { code, .. } => ReaderEvent::Close(*code),
            Input::Violation { rule, .. } => ReaderEvent::Broken(*rule),
            _ => return,
        });
    }

    fn after(&mut self, shard: &mut Shard) {
        shard.audit();
    }
}

/// One client's bytes, and what came of them.
struct Talk {
    heard: Vec<ReaderEvent>,
    /// How much was heard when the server began to look for a Close frame only.
    skims_from: Option<usize>,
    written: Vec<u8>,
}

impl Talk {
    /// The pieces come one after the other. `eager`: what waits is written after each, and so many bytes are taken then.
    fn over(target: &str, pieces: &[&[u8]], takes: usize, eager: bool) -> Self {
        let mut line = Line::open(target);
        for piece in pieces.iter().flat_map(|piece| piece.chunks(MOST_BYTES)) {
            line.pipe.deliver(piece);
            line.run();
            if eager {
                line.write(takes);
            }
        }
        while line.write(usize::MAX) > 0 {}
        Self { heard: line.host.observer().0.clone(), skims_from: line.skims_from, written: line.written }
    }
}

/// A host with one connection.
struct Line {
    host: Host<Pipe, Ear>,
    conn: ConnId,
    pipe: Pipe,
    alarm: Arc<Alarm>,
    skims_from: Option<usize>,
    written: Vec<u8>,
}

impl Line {
    fn open(target: &str) -> Self {
        let config = Config::from(limits());
        let target = config.resolve(target).expect("a path that is served");
        let mut host = Host::observed(config, [7; 32], TokenVerifier::new(None), Ear::default());
        let upgrade = Upgrade { client: [1; 16], target, token: None, address: None };
        let accepted = host.accept(NOW, upgrade).expect("within the limits");
        let pipe = Pipe::default();
        let conn = accepted.conn();
        host.open(accepted, pipe.clone(), Handshake { response: RESPONSE.into(), early: Vec::new() });
        let mut line = Self { host, conn, pipe, alarm: Alarm::ringing(), skims_from: None, written: Vec::new() };
        line.pipe.grant(RESPONSE.len());
        line.run();
        assert_eq!(line.pipe.take_all(), RESPONSE, "the 101");
        line
    }

    /// Polls the connection until it waits for something.
    fn run(&mut self) {
        while self.alarm.is_ringing() {
            self.alarm.silence();
            let waker = Waker::from(Arc::clone(&self.alarm));
            match self.host.poll_connection(NOW, self.conn, &mut Context::from_waker(&waker)) {
                Poll::Ready(Progress::Yield) => self.alarm.ring(),
                Poll::Ready(Progress::Ended) | Poll::Pending => {}
            }
        }
    }

    /// Has the server write, and takes at most so many bytes. Returns how many it took.
    fn write(&mut self, takes: usize) -> usize {
        if self.host.shard().pending(self.conn).is_some_and(|pending| pending.is_last()) {
            self.skims_from = self.skims_from.or(Some(self.host.observer().0.len()));
        }
        self.pipe.grant(takes);
        self.host.flush(NOW, usize::MAX);
        self.run();
        let taken = self.pipe.take_all();
        self.written.extend_from_slice(&taken);
        taken.len()
    }
}

/// Whether a frame closes a client for a binary message.
fn is_refusal(frame: Option<&ReceivedFrame>) -> bool {
    matches!(frame, Some(ReceivedFrame::Close(Some(1003))))
}

fn check_heard(heard: &[ReaderEvent], reading: &Reading) {
    let (whole, after) = heard.split_at(reading.whole.len().min(heard.len()));
    assert_eq!(whole, reading.whole, "P1: what was said");
    let broken: Vec<ReaderEvent> = reading.broken.iter().copied().map(ReaderEvent::Broken).collect();
    match after {
        [] => assert!(broken.is_empty() || reading.perhaps, "P1: {broken:?} is not noticed"),
        [rule] => assert!(broken.contains(rule), "P1: {rule:?} where {broken:?} was due"),
        _ => panic!("P1: {after:?} was never said"),
    }
}

fn check_written(Talk { heard, written, .. }: &Talk, read: usize) {
    let frames = Parser::default().feed(written).expect("G1: whole frames of RFC 6455");
    let closes = frames.iter().position(|frame| matches!(frame, ReceivedFrame::Close(_)));
    assert!(closes.is_none_or(|at| at + 1 == frames.len()), "G1: {frames:?} go on after a Close");
    second_reader::check(written).expect("tungstenite reads the same");
    let says = |heard: &&ReaderEvent| matches!(heard, ReaderEvent::Text(_) | ReaderEvent::Binary(_));
    if let Some(ReaderEvent::Binary(_)) = heard.iter().find(says) {
        let last = frames.last();
        assert!(is_refusal(last), "P1: {last:?} where both protocols are text");
    }
    let most = UNASKED + WORTH * read;
    assert!(written.len() <= most, "G6: {} bytes for {read}, at most {most}", written.len());
}
