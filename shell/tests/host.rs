//! The host over a transport that does what a test says: the driver's every corner, without sockets and time.

use parlor::auth::TokenVerifier;
use parlor::net::driver::{Handshake, Transport};
use parlor::runtime::host::{Answer, Host, Progress};
use parlor_core::api::{Command, Message, Reply};
use parlor_core::test_support::client_frame as frame;
use parlor_core::{CloseCause, Config, ConnId, Instant, Json, Limit, Limits, Now, Upgrade};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Both ends of an invented socket.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<Ends>>);

#[derive(Default)]
struct Ends {
    /// Each is one read.
    to_server: VecDeque<Vec<u8>>,
    to_client: Vec<u8>,
    /// Bytes that it still takes.
    room: usize,
    reads: usize,
    writes: usize,
    /// The slices of the last write.
    slices: usize,
    /// The stream is to end, and the socket was full.
    ending: bool,
    finished: bool,
    /// Bytes that were read and are no data yet, and their number at the last report.
    kept: (usize, usize),
    /// Every read fails.
    reset: bool,
    hung_up: Option<HungUp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HungUp {
    InPeace,
    Aborted,
}

impl Transport for Pipe {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut ends = self.0.borrow_mut();
        ends.finished |= ends.ending && ends.room > 0;
        if ends.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let Some(bytes) = ends.to_server.pop_front() else { return Poll::Pending };
        ends.reads += 1;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ends = self.0.borrow_mut();
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(ends.room).collect();
        if bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        ends.room -= bytes.len();
        ends.writes += 1;
        ends.slices = slices.len();
        ends.to_client.extend(&bytes);
        Ok(bytes.len())
    }

    fn kept(&self) -> usize {
        self.0.borrow().kept.0
    }

    fn take_kept(&mut self) -> Option<usize> {
        let (kept, reported) = &mut self.0.borrow_mut().kept;
        (std::mem::replace(reported, *kept) != *kept).then_some(*kept)
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.borrow().room > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn finish(&mut self) {
        let mut ends = self.0.borrow_mut();
        // The end takes room as bytes do, as that of TLS.
        (ends.ending, ends.finished) = (true, ends.room > 0);
    }

    fn abort(&mut self) {
        self.0.borrow_mut().hung_up = Some(HungUp::Aborted);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // The other end is the test's own.
        if Rc::strong_count(&self.0) == 2 {
            self.0.borrow_mut().hung_up.get_or_insert(HungUp::InPeace);
        }
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A host with one connection, in the room `room`.
struct Scene {
    host: Host<Pipe>,
    conn: ConnId,
    pipe: Pipe,
    wakes: Arc<Wakes>,
}

/// Takes a connection in, to the room `room`, and gives it a socket.
fn open(host: &mut Host<Pipe>, client: u8, early: &[u8]) -> (ConnId, Pipe) {
    let config = host.shard().config();
    let target = config.resolve("/ws/room?greeting=off").unwrap();
    let upgrade = Upgrade { client: [client; 16], target, token: None, address: None };
    let accepted = host.accept(Now::default(), upgrade).unwrap();
    let pipe = Pipe::default();
    let conn = accepted.conn();
    host.open(accepted, pipe.clone(), Handshake { response: RESPONSE.into(), early: early.into() });
    (conn, pipe)
}

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
const PING: &[u8] = b"{\"type\":\"ping\"}";

impl Scene {
    fn new(early: &[u8]) -> Self {
        let mut host = Host::new(Config::default(), [7; 32], TokenVerifier::new(None));
        let (conn, pipe) = open(&mut host, 1, early);
        Self { host, conn, pipe, wakes: Arc::default() }
    }

    /// A connection whose 101 is out.
    fn open() -> Self {
        let mut scene = Self::new(b"");
        scene.gets(RESPONSE.len());
        assert_eq!(scene.takes(), RESPONSE);
        scene
    }

    /// The socket takes so many more bytes.
    fn gets(&mut self, room: usize) {
        self.pipe.0.borrow_mut().room += room;
        self.run();
    }

    fn sends(&mut self, bytes: &[u8]) {
        self.pipe.0.borrow_mut().to_server.push_back(bytes.into());
        self.run();
    }

    /// Polls the connection and flushes, as a runtime would, and says whether its task has ended.
    fn run(&mut self) -> bool {
        for _ in 0..1000 {
            let waker = self.wakes.clone().into();
            let polled = self.host.poll_connection(Now::default(), self.conn, &mut Context::from_waker(&waker));
            self.host.flush(Now::default(), usize::MAX);
            if polled != Poll::Ready(Progress::Yield) {
                return polled.is_ready();
            }
        }
        panic!("its task never rests");
    }

    /// The output since the last call.
    fn takes(&self) -> Vec<u8> {
        std::mem::take(&mut self.pipe.0.borrow_mut().to_client)
    }

    /// Whether its stream has ended.
    fn is_finished(&self) -> bool {
        self.pipe.0.borrow().finished
    }

    fn hung_up(&self) -> Option<HungUp> {
        self.pipe.0.borrow().hung_up
    }

    fn closed(&self, cause: CloseCause) -> u64 {
        self.host.shard().stats().totals.closed.get(&cause).copied().unwrap_or(0)
    }
}

#[test]
fn a_refused_token_is_logged_with_the_address_of_its_client() {
    let mut host = Host::new(Config::default(), [7; 32], TokenVerifier::new(None));
    let accepted = [1, 2].map(|client| {
        let config = host.shard().config();
        let target = config.resolve("/ws/room?token=forged").unwrap();
        let address = Some([10, 0, 0, client].into());
        host.accept(Now::default(), Upgrade { client: [client; 16], target, token: None, address }).unwrap()
    });
    // Sockets come in the order in which the requests are done with.
    for (client, accepted) in (1..).zip(accepted) {
        let (conn, pipe) = (accepted.conn(), Pipe::default());
        pipe.0.borrow_mut().room = usize::MAX;
        host.open(accepted, pipe, Handshake { response: RESPONSE.into(), early: vec![] });
        let _ = host.poll_connection(Now::default(), conn, &mut Context::from_waker(Waker::noop()));
        let refused = host.take_refused_tokens().expect("the token is forged");
        assert_eq!(refused.address, Some([10, 0, 0, client].into()));
    }
}

#[test]
fn a_101_written_byte_by_byte_is_followed_by_replies_to_early_frames() {
    let mut scene = Scene::new(&frame(0x81, PING));
    for length in 1..RESPONSE.len() {
        scene.gets(1);
        assert_eq!(scene.host.shard().stats().totals.messages_in, 0, "after {length} bytes");
    }
    scene.gets(1);
    assert_eq!(scene.host.shard().stats().totals.messages_in, 1);
    assert_eq!(scene.takes(), RESPONSE);
    scene.gets(1000);
    assert!(scene.takes().starts_with(&[0x81]));
}

#[test]
fn a_full_socket_is_not_written_to_until_it_is_writable() {
    let mut scene = Scene::open();
    let woken = scene.wakes.0.load(Ordering::Relaxed);
    scene.sends(&[frame(0x81, PING), frame(0x81, PING)].concat());
    assert_eq!(scene.takes(), b"");
    assert!(scene.wakes.0.load(Ordering::Relaxed) > woken, "its task is woken to wait for it");
    let mut whole = Vec::new();
    for _ in 0..100 {
        scene.gets(7);
        whole.extend(scene.takes());
    }
    assert_eq!(scene.host.shard().stats().gauges.outbox_bytes, 0);
    let length = usize::from(whole[1]) + 2;
    assert_eq!(whole.len(), 2 * length, "two frames, whole: {whole:?}");
    assert_eq!(whole[..length], whole[length..], "the clock stands still, so they are the same");
}

#[test]
fn waiting_frames_are_written_together() {
    let mut scene = Scene::open();
    scene.sends(&frame(0x81, PING).repeat(60));
    let writes = scene.pipe.0.borrow().writes;
    scene.gets(1 << 20);
    assert_eq!(scene.host.shard().stats().totals.frames_written, 60);
    assert_eq!(scene.pipe.0.borrow().writes, writes + 1);
}

#[test]
fn after_a_violation_everything_is_read_and_ignored() {
    let mut scene = Scene::open();
    scene.pipe.0.borrow_mut().room = 1000;
    scene.sends(&[frame(0x82, b"binary"), frame(0x81, PING)].concat());
    assert_eq!(scene.takes()[..4], [0x88, 20, 0x03, 0xeb], "a Close with 1003, and nothing else");
    assert!(scene.is_finished(), "the stream ends with it");
    let reads = scene.pipe.0.borrow().reads;
    scene.sends(&frame(0x81, PING));
    assert_eq!(scene.pipe.0.borrow().reads, reads + 1);
    assert_eq!((scene.host.shard().stats().totals.messages_in, scene.hung_up()), (0, None));
    scene.sends(b"");
    assert_eq!((scene.closed(CloseCause::Binary), scene.hung_up()), (1, Some(HungUp::InPeace)));
    assert!(scene.run());
}

#[test]
fn the_end_of_a_stream_leaves_when_a_full_socket_takes_it() {
    let mut scene = Scene::open();
    let close = [0x88, 2, 0x03, 0xe9];
    scene.sends(&frame(0x88, [0x03, 0xe9]));
    let woken = scene.wakes.0.load(Ordering::Relaxed);
    // Just the Close frame, and no more.
    scene.pipe.0.borrow_mut().room = close.len();
    let waker = scene.wakes.clone().into();
    let _ = scene.host.poll_connection(Now::default(), scene.conn, &mut Context::from_waker(&waker));
    scene.host.flush(Now::default(), usize::MAX);
    assert_eq!((scene.takes().as_slice(), scene.is_finished()), (&close[..], false));
    assert!(scene.wakes.0.load(Ordering::Relaxed) > woken, "its task is woken to wait until the socket takes it");
    scene.gets(1);
    assert!(scene.is_finished());
}

#[test]
fn after_a_close_input_is_ignored_and_the_socket_ends_normally() {
    let mut scene = Scene::open();
    scene.sends(&frame(0x88, [0x03, 0xe9]));
    scene.sends(&frame(0x81, PING));
    assert_eq!((scene.pipe.0.borrow().reads, scene.host.shard().stats().totals.messages_in), (2, 0));
    scene.gets(1000);
    assert_eq!(scene.takes(), [0x88, 2, 0x03, 0xe9]);
    assert_eq!((scene.is_finished(), scene.hung_up()), (true, None), "what it still sends is read");
    scene.sends(b"");
    assert_eq!((scene.closed(CloseCause::PeerClose), scene.hung_up()), (1, Some(HungUp::InPeace)));
    assert!(scene.run());
    assert_eq!(scene.host.open_connections(), 0);
}

#[test]
fn the_end_of_the_stream_ends_the_connection() {
    let mut scene = Scene::open();
    scene.sends(&frame(0x81, PING)[..3]);
    scene.sends(b"");
    assert_eq!((scene.closed(CloseCause::PeerEof), scene.hung_up()), (1, Some(HungUp::InPeace)));
}

#[test]
fn the_rest_of_a_frame_follows_the_end_of_the_clients_stream() {
    let mut scene = Scene::open();
    scene.sends(&[frame(0x81, PING), frame(0x81, PING)].concat());
    scene.gets(3);
    scene.sends(b"");
    assert_eq!((scene.closed(CloseCause::PeerEof), scene.hung_up()), (0, None));
    scene.gets(1000);
    let whole = scene.takes();
    assert_eq!(whole.len(), usize::from(whole[1]) + 2, "one frame, whole, and nothing after it: {whole:?}");
    assert_eq!((scene.closed(CloseCause::PeerEof), scene.hung_up()), (1, Some(HungUp::InPeace)));
}

#[test]
fn a_client_that_always_has_more_input_yields_to_others() {
    let mut scene = Scene::open();
    let often = std::iter::repeat_n(frame(0x81, b"{}"), 100);
    scene.pipe.0.borrow_mut().to_server.extend(often);
    let waker = scene.wakes.clone().into();
    let mut turns = 0;
    while scene.host.poll_connection(Now::default(), scene.conn, &mut Context::from_waker(&waker)).is_ready() {
        turns += 1;
    }
    assert!(turns >= 10, "it was served in {turns} turns");
    assert_eq!(scene.host.shard().stats().totals.messages_in, 100);
}

#[test]
fn a_101_that_cannot_be_written_ends_the_connection() {
    let mut scene = Scene::new(b"");
    assert!(!scene.run());
    let due = scene.host.shard().poll_timeout().unwrap();
    assert_eq!(due.since(Instant(0)), Limits::default().handshake_timeout);
    scene.host.tick(Now { mono: due, unix_ms: 0 });
    assert_eq!((scene.closed(CloseCause::HandshakeTimeout), scene.hung_up()), (1, Some(HungUp::Aborted)));
}

/// Members of one room whose sockets take whatever they are given.
struct Room {
    host: Host<Pipe>,
    members: Vec<(ConnId, Pipe)>,
}

impl Room {
    fn new(limits: Limits) -> Self {
        let mut host = Host::new(Config::from(limits), [7; 32], TokenVerifier::new(None));
        let members: Vec<(ConnId, Pipe)> = (1..=8).map(|client| open(&mut host, client, b"")).collect();
        for (conn, pipe) in &members {
            pipe.0.borrow_mut().room = usize::MAX;
            let polled = host.poll_connection(Now::default(), *conn, &mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
        Self { host, members }
    }

    /// A backend publishes so often, and no flush comes in between.
    fn publish(&mut self, times: usize, data: &str) {
        for _ in 0..times {
            let data = Json::parse(data).expect("JSON").into();
            let message = Message { data, tags: BTreeMap::new(), skip_history: false, idempotency_key: None };
            let channel = Config::default().room("room").expect("a name");
            drop(self.host.call(Now::default(), Command::Publish { channel, message }));
        }
    }

    /// Nobody was closed, and everybody has been given so many frames.
    fn has_given(&mut self, frames: usize) {
        assert_eq!(self.host.open_connections(), self.members.len());
        self.host.flush(Now::default(), usize::MAX);
        assert_eq!(self.host.shard().stats().totals.frames_written, (frames * self.members.len()) as u64);
    }

    fn writes(&self) -> usize {
        self.members.iter().map(|(_, pipe)| pipe.0.borrow().writes).sum()
    }
}

#[test]
fn small_frames_are_sent_as_one_slice_and_large_ones_are_not_copied() {
    let slices = |lengths: &[usize]| {
        let mut room = Room::new(Limits::default());
        lengths.iter().for_each(|length| room.publish(1, &format!("\"{}\"", "x".repeat(*length))));
        room.has_given(lengths.len());
        assert_eq!(room.writes(), 2 * 8, "the 101 and one more");
        room.members[0].1.0.borrow().slices
    };
    assert_eq!(slices(&[30_000]), 1, "one frame");
    assert_eq!(slices(&[100; 200]), 1);
    assert_eq!(slices(&[10, 3000]), 1, "small on average");
    assert_eq!(slices(&[5000, 5000]), 2);
}

#[test]
fn frames_written_together_arrive_whole_for_any_write_size() {
    let mut room = Room::new(Limits::default());
    let mut expected = Vec::new();
    for number in 0..100 {
        let data = format!("\"{number}{}\"", "x".repeat(number * 20));
        room.publish(1, &data);
        match data.len() {
            short @ ..126 => expected.extend([0x81, short as u8]),
            long => expected.extend([0x81, 126, (long >> 8) as u8, long as u8]),
        }
        expected.extend(data.into_bytes());
    }
    let (conn, pipe) = room.members[0].clone();
    pipe.0.borrow_mut().to_client.clear();
    pipe.0.borrow_mut().room = 1;
    let mut step = 1;
    for _ in 0..1000 {
        room.host.flush(Now::default(), usize::MAX);
        step = step * 2 % 4099;
        pipe.0.borrow_mut().room += step;
        poll_once(&mut room.host, conn);
    }
    assert_eq!(pipe.0.borrow().to_client, expected);
    room.has_given(100);
}

#[test]
fn a_client_is_not_slow_because_the_host_has_not_written_yet() {
    let mut room = Room::new(Limits { outbox_frames: 16, ..Limits::default() });
    room.publish(1000, "1");
    room.has_given(1000);

    let mut room = Room::new(Limits { outbox_frames: 16, ..Limits::default() });
    let (talker, pipe) = room.members[0].clone();
    let line = frame(0x81, br#"{"type":"publish","data":1}"#).repeat(100);
    pipe.0.borrow_mut().to_server.push_back(line);
    let _ = room.host.poll_connection(Now::default(), talker, &mut Context::from_waker(Waker::noop()));
    // Of these, 40 are within client_publishes.
    assert_eq!(room.host.shard().stats().totals.published, 40);
    assert_eq!(room.host.open_connections(), 8);
}

#[test]
fn bytes_that_wait_for_a_flush_are_bounded_for_any_number_of_calls() {
    let mut room = Room::new(Limits { outbox_frames: 16, ..Limits::default() });
    room.publish(1000, "1");
    let waiting = room.host.shard().stats().gauges.outbox_bytes;
    assert!(waiting <= 8 * 16 * 3, "{waiting} bytes wait, and a frame has 3");
}

#[test]
fn a_client_is_not_slow_because_of_bytes_that_the_host_has_not_written_yet() {
    let limits = Limits::default();
    let data = format!("\"{}\"", "x".repeat(limits.publication_bytes - 2));
    let mut room = Room::new(limits);
    room.publish(50, &data);
    room.has_given(50);
}

#[test]
fn a_client_that_reads_nothing_is_slow_and_the_others_are_not() {
    let mut room = Room::new(Limits { outbox_frames: 16, ..Limits::default() });
    let (slow, pipe) = room.members[0].clone();
    pipe.0.borrow_mut().room = 0;
    for _ in 0..16 {
        room.publish(1, "1");
        room.host.flush(Now::default(), usize::MAX);
    }
    assert_eq!(room.host.shard().snapshot().rooms[0].members.len(), 8);
    room.publish(1, "1");
    room.host.flush(Now::default(), usize::MAX);
    let members = &room.host.shard().snapshot().rooms[0].members;
    assert!(members.len() == 7 && !members.contains(&slow), "{members:?}");
}

#[test]
fn a_few_messages_are_sent_in_one_write() {
    let mut room = Room::new(Limits::default());
    let before = room.writes();
    room.publish(60, "1");
    assert_eq!(room.writes(), before, "they wait for a flush");
    room.has_given(60);
    assert_eq!(room.writes(), before + room.members.len());
}

#[test]
fn answers_to_a_client_with_many_commands_are_written_between_them() {
    let mut room = Room::new(Limits::default());
    room.publish(4, &format!("\"{}\"", "x".repeat(60_000)));
    room.host.flush(Now::default(), usize::MAX);
    let config = room.host.shard().config();
    let target = config.resolve("/connection/websocket").unwrap();
    let upgrade = Upgrade { client: [9; 16], target, token: None, address: None };
    let accepted = room.host.accept(Now::default(), upgrade).unwrap();
    let pipe = Pipe::default();
    pipe.0.borrow_mut().room = usize::MAX;
    let commands = (3..20).map(|id| format!(r#"{{"id":{id},"history":{{"channel":"room","limit":-1}}}}"#));
    let mut early = frame(0x81, br#"{"id":1,"connect":{}}"#);
    early.extend(frame(0x81, br#"{"id":2,"subscribe":{"channel":"room"}}"#));
    early.extend(commands.flat_map(|command| frame(0x81, command.as_bytes())));
    let conn = accepted.conn();
    room.host.open(accepted, pipe.clone(), Handshake { response: RESPONSE.into(), early });
    let _ = room.host.poll_connection(Now::default(), conn, &mut Context::from_waker(Waker::noop()));
    room.host.flush(Now::default(), usize::MAX);
    assert_eq!(room.host.open_connections(), 9);
    assert!(pipe.0.borrow().to_client.len() > 17 * 240_000, "17 answers of 240 kB are more than an outbox holds");
}

/// A batch of so many publications to `room`.
fn batch(publications: usize) -> Command {
    let message = |number: usize| Message {
        data: Json::parse(&number.to_string()).expect("a number").into(),
        tags: BTreeMap::new(),
        skip_history: false,
        idempotency_key: None,
    };
    let channel = || Config::default().room("room").unwrap();
    let publish = |number| ("publish", Ok(Command::Publish { channel: channel(), message: message(number) }));
    Command::Batch((0..publications).map(publish).collect())
}

/// Of two members of a room, the one that does not read refuses what it is offered of a large call: the call is under way.
struct UnderWay {
    host: Host<Pipe>,
    answer: Answer,
    slow: ConnId,
    pipe: Pipe,
}

impl UnderWay {
    fn new() -> Self {
        let limits = Limits { outbox_frames: 16, ..Limits::default() };
        let mut host = Host::new(Config::from(limits), [7; 32], TokenVerifier::new(None));
        let [(reader, reads), (slow, pipe)] = [1, 2].map(|client| open(&mut host, client, b""));
        reads.0.borrow_mut().room = usize::MAX;
        pipe.0.borrow_mut().room = RESPONSE.len();
        [reader, slow].into_iter().for_each(|conn| poll_once(&mut host, conn));
        let mut answer = host.call(Now::default(), batch(40));
        host.flush(Now::default(), usize::MAX);
        assert!(!host.needs_flush() && answer.try_recv().is_err(), "it is waited for");
        Self { host, answer, slow, pipe }
    }
}

fn poll_once(host: &mut Host<Pipe>, conn: ConnId) {
    let _ = host.poll_connection(Now::default(), conn, &mut Context::from_waker(Waker::noop()));
}

#[test]
fn a_call_does_not_wait_for_a_connection_that_has_ended() {
    let UnderWay { mut host, mut answer, slow, pipe } = UnderWay::new();
    pipe.0.borrow_mut().reset = true;
    poll_once(&mut host, slow);
    assert_eq!(host.open_connections(), 1);
    assert!(host.needs_flush());
    while host.needs_flush() {
        host.flush(Now::default(), usize::MAX);
    }
    assert!(answer.try_recv().is_ok_and(|answer| answer.is_ok()));
}

#[test]
fn calls_under_way_at_once_are_each_given_their_own_answer() {
    let UnderWay { mut host, answer: mut first, slow, pipe } = UnderWay::new();
    let mut second = host.call(Now::default(), batch(1));
    pipe.0.borrow_mut().room = usize::MAX;
    poll_once(&mut host, slow);
    while host.needs_flush() {
        host.flush(Now::default(), usize::MAX);
    }
    for (answer, publications) in [(&mut first, 40), (&mut second, 1)] {
        let Ok(Ok(Reply::Batch(replies))) = answer.try_recv() else { panic!("a call of {publications} has no answer") };
        assert_eq!(replies.len(), publications);
    }
}

#[test]
fn a_flush_writes_the_longest_waiting_connections_up_to_its_limit() {
    let mut room = Room::new(Limits::default());
    let before: Vec<usize> = room.members.iter().map(|(_, pipe)| pipe.0.borrow().writes).collect();
    let order = [3, 0, 7, 1];
    for member in order {
        let (conn, pipe) = room.members[member].clone();
        pipe.0.borrow_mut().to_server.push_back(frame(0x81, PING));
        poll_once(&mut room.host, conn);
    }
    for member in order {
        let written = |room: &Room| {
            let writes = room.members.iter().zip(&before).map(|((_, pipe), before)| pipe.0.borrow().writes - before);
            writes.collect::<Vec<_>>()
        };
        let mut expected = written(&room);
        expected[member] += 1;
        room.host.flush(Now::default(), 1);
        assert_eq!(written(&room), expected);
    }
}

#[test]
fn a_task_that_outlives_its_connection_does_not_affect_the_slots_next_one() {
    let mut host = Host::new(Config::default(), [7; 32], TokenVerifier::new(None));
    let (old, pipe) = open(&mut host, 1, b"");
    pipe.0.borrow_mut().room = usize::MAX;
    pipe.0.borrow_mut().to_server.push_back(Vec::new());
    (0..2).for_each(|_| poll_once(&mut host, old));
    assert_eq!(host.open_connections(), 0);
    let (new, pipe) = open(&mut host, 2, b"");
    assert_eq!((new.slot(), new != old), (old.slot(), true));
    pipe.0.borrow_mut().room = usize::MAX;
    poll_once(&mut host, new);
    pipe.0.borrow_mut().to_server.push_back(frame(0x81, PING));
    let polled = host.poll_connection(Now::default(), old, &mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(Progress::Ended));
    assert_eq!(pipe.0.borrow().reads, 0);
}

/// The bytes that a client got after its 101.
fn texts(pipe: &Pipe) -> Vec<u8> {
    pipe.0.borrow().to_client[RESPONSE.len()..].to_vec()
}

#[test]
fn a_call_waits_between_its_parts_for_a_socket_that_refuses_bytes() {
    let limits = Limits { outbox_frames: 16, ..Limits::default() };
    let mut host = Host::new(Config::from(limits), [7; 32], TokenVerifier::new(None));
    let (reader, reads) = open(&mut host, 1, b"");
    let (slow, takes) = open(&mut host, 2, b"");
    reads.0.borrow_mut().room = usize::MAX;
    takes.0.borrow_mut().room = RESPONSE.len();
    let at = |ms: u64| Now { mono: Instant(ms * 1_000_000), unix_ms: 0 };
    let poll = |host: &mut Host<Pipe>, conn, now| {
        let _ = host.poll_connection(now, conn, &mut Context::from_waker(Waker::noop()));
    };
    [reader, slow].into_iter().for_each(|conn| poll(&mut host, conn, at(0)));
    let mut answer = host.call(at(1), batch(40));
    host.flush(at(1), usize::MAX);
    assert_eq!(texts(&reads).len(), 4 * 3, "a quarter of an outbox");
    assert!(!host.needs_flush() && answer.try_recv().is_err(), "the other has not taken its part");
    assert_eq!(host.poll_timeout(), Some(at(51).mono), "and has 50 ms for that");
    takes.0.borrow_mut().room = 1;
    poll(&mut host, slow, at(20));
    assert!(host.needs_flush(), "a byte is enough");
    host.flush(at(20), usize::MAX);
    host.flush(at(20), usize::MAX);
    assert_eq!(texts(&reads).len(), 8 * 3);
    assert!(!host.needs_flush());
    host.tick(at(50));
    assert!(!host.needs_flush());
    host.tick(at(51));
    while host.needs_flush() {
        host.flush(at(51), usize::MAX);
    }
    assert_eq!(texts(&reads).len(), 10 * 3 + 30 * 4, "the reader gets all of it");
    assert!(answer.try_recv().is_ok_and(|answer| answer.is_ok()));
    assert_eq!(host.shard().snapshot().rooms[0].members, [reader], "the other is slow");
}

/// The message that pauses a connection and most of a record come in one piece.
#[test]
fn what_a_session_keeps_counts_while_its_client_is_not_read_from() {
    let limits =
        Limits { outbox_frames: 8, inbound_bytes_total: 300_000, api_body_bytes: 100_000, ..Limits::default() };
    let mut host = Host::new(Config::from(limits), [7; 32], TokenVerifier::new(None));
    let (conn, pipe) = open(&mut host, 1, b"");
    pipe.0.borrow_mut().room = RESPONSE.len();
    let poll = |host: &mut Host<Pipe>| {
        let _ = host.poll_connection(Now::default(), conn, &mut Context::from_waker(Waker::noop()));
        host.flush(Now::default(), usize::MAX);
    };
    poll(&mut host);
    pipe.0.borrow_mut().to_server.push_back(frame(0x81, PING).repeat(3));
    pipe.0.borrow_mut().kept.0 = 400_000;
    (0..3).for_each(|_| poll(&mut host));
    let totals = host.shard().stats().totals;
    assert_eq!((totals.messages_in, totals.limits.get(&Limit::InboundBytesTotal)), (3, Some(&1)));
}

#[test]
fn a_client_that_does_not_read_its_replies_is_not_read_from() {
    let limits = Limits { outbox_frames: 8, ..Limits::default() };
    let mut host = Host::new(Config::from(limits), [7; 32], TokenVerifier::new(None));
    let (conn, pipe) = open(&mut host, 1, b"");
    pipe.0.borrow_mut().room = RESPONSE.len();
    let wakes = Arc::<Wakes>::default();
    let poll = |host: &mut Host<Pipe>| {
        let waker = wakes.clone().into();
        let _ = host.poll_connection(Now::default(), conn, &mut Context::from_waker(&waker));
        host.flush(Now::default(), usize::MAX);
    };
    poll(&mut host);
    pipe.0.borrow_mut().to_server.extend([frame(0x81, PING).repeat(5), frame(0x81, PING)]);
    (0..3).for_each(|_| poll(&mut host));
    assert_eq!(host.shard().stats().totals.messages_in, 3, "more than a quarter of its outbox waits");
    assert_eq!(pipe.0.borrow().reads, 1);
    pipe.0.borrow_mut().room = usize::MAX;
    let before = wakes.0.load(Ordering::Relaxed);
    poll(&mut host);
    assert!(wakes.0.load(Ordering::Relaxed) > before, "it is listened to again");
    (0..3).for_each(|_| poll(&mut host));
    assert_eq!((host.shard().stats().totals.messages_in, pipe.0.borrow().reads), (6, 2));
    let texts = texts(&pipe);
    assert_eq!(String::from_utf8_lossy(&texts).matches(r#""type":"pong""#).count(), 6, "each is answered");
}
