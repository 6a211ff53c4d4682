//! Tests of a busy shard: which requests wait, and which do not.

use super::super::pulse::Heart;
use super::*;
use crate::config::Settings;
use crate::net::certificate::ServerCertificate;
use crate::observe::reloads::Reloads;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener, TcpStream as Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::thread;

const KEY: &str = "test-key-test-key";
/// Long enough for a noisy machine. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for the server to do what it does at once.
const WHILE: Duration = Duration::from_millis(300);

/// A shard that a test keeps busy.
struct Running {
    address: SocketAddr,
    busy: Arc<AtomicBool>,
    is_busy: Arc<AtomicBool>,
    /// The least bytes that were left of a round.
    least: Arc<AtomicIsize>,
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Running {
    /// Starts a shard. `keep_busy` is called in each round while the shard is to be busy.
    fn start(change: impl FnOnce(&mut Settings), keep_busy: fn(&ShardRuntime)) -> Self {
        Self::start_with(change, keep_busy, None)
    }

    /// The same, over TLS where there is a certificate.
    fn start_with(
        change: impl FnOnce(&mut Settings),
        keep_busy: fn(&ShardRuntime),
        certificate: Option<Arc<ServerCertificate>>,
    ) -> Self {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let busy = Arc::new(AtomicBool::new(false));
        let mut settings = Settings { api_key: Some(KEY.into()), ..Settings::default() };
        change(&mut settings);
        let settings = Arc::new(settings);
        let (is_busy, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicIsize::new(0)));
        let seen = (busy.clone(), is_busy.clone(), least.clone());
        let thread = thread::spawn(move || {
            let process = ProcessLink::new(Arc::new(Reloads::new(0)), watch::channel(settings).1).0;
            run_with(
                &[super::Listener { certificate, ..plain(listener) }],
                None,
                &process,
                &stopped,
                Heart::new().1,
                |shard| {
                    let (shard, (busy, is_busy, least)) = (shard.clone(), seen.clone());
                    spawn_local(async move {
                        loop {
                            least.fetch_min(shard.rounds.left(), Ordering::AcqRel);
                            if busy.load(Ordering::Acquire) {
                                is_busy.store(true, Ordering::Release);
                                keep_busy(&shard);
                            }
                            yield_now().await;
                        }
                    });
                },
            )
        });
        Self { address, busy, is_busy, least, stop, thread }
    }

    /// Makes the shard busy, and returns once it is.
    fn keep_busy(&self) {
        self.busy.store(true, Ordering::Release);
        while !self.is_busy.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn connect(&self) -> Socket {
        let socket = Socket::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Sends the head of a call and as much of its body as the server takes within [`WHILE`]. Returns the number of bytes.
    fn call(&self, key: &str, body: &[u8]) -> (Socket, usize) {
        let mut socket = self.connect();
        let head = format!(
            "POST /api/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.set_write_timeout(Some(WHILE)).unwrap();
        let mut sent = 0;
        while let Some(rest) = body.get(sent..).filter(|rest| !rest.is_empty()) {
            match socket.write(rest) {
                Ok(bytes) => sent += bytes,
                Err(_) => break,
            }
        }
        (socket, sent)
    }

    fn end(self) {
        self.busy.store(false, Ordering::Release);
        self.stop.send_replace(true);
        self.thread.join().unwrap().unwrap();
    }
}

/// Uses up the rounds until this is called again.
fn use_up_the_rounds(shard: &ShardRuntime) {
    shard.rounds.use_up(10_000);
}

/// Blocks the shard for longer than a client has to answer a ping.
fn stand_still(_: &ShardRuntime) {
    thread::sleep(PONG_TIMEOUT + LATE * 2);
}

const PONG_TIMEOUT: Duration = Duration::from_millis(600);

/// The start of the next answer's first line. None when it does not come within `patience`.
fn status(socket: &mut Socket, patience: Duration) -> Option<String> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).ok().map(|()| String::from_utf8(answer.into()).unwrap())
}

fn publication(bytes: usize) -> Vec<u8> {
    format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(bytes)).into()
}

#[test]
fn long_calls_wait_for_a_round_and_short_ones_do_not() {
    let running = Running::start(|_| (), use_up_the_rounds);
    running.keep_busy();
    let (mut long, _) = running.call(KEY, &publication(60_000));
    let (mut short, _) = running.call(KEY, &publication(1));
    assert_eq!(status(&mut short, PATIENCE).as_deref(), Some("HTTP/1.1 200"));
    assert_eq!(status(&mut long, WHILE), None);
    running.busy.store(false, Ordering::Release);
    assert_eq!(status(&mut long, PATIENCE).as_deref(), Some("HTTP/1.1 200"));
    running.end();
}

#[test]
fn the_body_of_a_refused_call_is_skipped_in_rounds() {
    let running = Running::start(|_| (), use_up_the_rounds);
    running.keep_busy();
    // More than the system takes for a socket that is not read from.
    let body = publication(64 << 20);
    let (mut refused, sent) = running.call("another-key-another-key", &body);
    assert_eq!(status(&mut refused, PATIENCE).as_deref(), Some("HTTP/1.1 401"));
    assert!(sent < body.len(), "all {sent} bytes were read");
    running.end();
}

#[test]
fn rounds_make_up_for_the_parsing_of_a_long_call() {
    let running = Running::start(|_| (), |_| ());
    let (mut long, _) = running.call(KEY, &publication(1_000_000));
    assert_eq!(status(&mut long, PATIENCE).as_deref(), Some("HTTP/1.1 413"));
    // The answer may be here before the next round has begun.
    thread::sleep(WHILE);
    assert!(running.least.load(Ordering::Acquire) < -4_000_000, "{:?}", running.least);
    running.end();
}

/// A certificate for localhost, and the configuration of a client that trusts it.
fn certificate() -> (ServerCertificate, rustls::ClientConfig) {
    let folder = std::env::temp_dir().join(format!("parlor-busy-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let issued = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    fs::write(&cert, issued.cert.pem()).unwrap();
    fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let certificate = ServerCertificate::load(&cert, &key).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    (certificate, rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn handshakes_wait_for_a_round() {
    let (certificate, config) = certificate();
    let running = Running::start_with(|_| (), use_up_the_rounds, Some(Arc::new(certificate)));
    running.keep_busy();
    let mut session = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut socket = running.connect();
    socket.set_read_timeout(Some(WHILE)).unwrap();
    let waits = session.complete_io(&mut socket).unwrap_err().kind();
    assert!([io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&waits), "{waits:?}");
    running.busy.store(false, Ordering::Release);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    drop(socket);
    running.end();
}

/// The next frame of the server: its opcode and its payload.
fn frame(socket: &mut Socket) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    socket.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            socket.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).unwrap();
    (head[0] & 0xf, payload)
}

#[test]
fn a_pause_of_the_server_closes_no_client() {
    const PING: u8 = 9;
    const CLOSE: u8 = 8;
    let quick = |settings: &mut Settings| {
        settings.limits.ping_interval = PONG_TIMEOUT * 2;
        settings.limits.pong_timeout = PONG_TIMEOUT;
    };
    let running = Running::start(quick, stand_still);
    let mut client = running.connect();
    let request = "GET /ws/room?greeting=off HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    while frame(&mut client).0 != PING {}
    running.keep_busy();
    running.busy.store(false, Ordering::Release);
    // An answer as long as this one takes several rounds to read.
    let length: u16 = 60_000;
    let mut answer = vec![0x81, 0x80 | 126];
    answer.extend(length.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(vec![b'x'; usize::from(length)]);
    client.write_all(&answer).unwrap();
    let next = loop {
        let (opcode, payload) = frame(&mut client);
        if [PING, CLOSE].contains(&opcode) {
            break (opcode, String::from_utf8_lossy(&payload).into_owned());
        }
    };
    assert_eq!(next, (PING, String::new()), "it was heard before it was judged");
    drop(client);
    running.end();
}
