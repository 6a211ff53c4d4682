//! Tests of the input log of a shard in which an invariant breaks.
//!
//! A shard that is called as it must not be called panics, as one with a defect does. So the tests are such a caller.

use super::super::pulse::Heart;
use super::*;
use crate::config::Settings;
use crate::net::client_socket::ClientSocket;
use crate::observe::reloads::Reloads;
use parlor_core::input_log::replay::{InputReplay, ReplayEvent};
use parlor_core::policy::{Namespaces, Permissions, Policy};
use parlor_core::{Config, Now, Upgrade};
use std::any::Any;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as Listener, TcpStream as Socket};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const KEY: &str = "test-key-test-key";
const WORDS: &str = "words of a client";
/// Long enough for a noisy machine. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

/// A way to break an invariant.
type Break = fn(&mut Host<ClientSocket>, Now);

/// A shard at work, with a client in a room, and the folder of its input logs.
struct Breaking {
    address: SocketAddr,
    folder: PathBuf,
    is_to_break: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Breaking {
    /// Starts a shard whose first invariant is broken in this way once [`Breaking::last_log`] is asked for.
    fn start(name: &str, break_it: Break) -> Self {
        let folder = std::env::temp_dir().join(format!("parlor-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Arc::new(Settings {
            api_key: Some(KEY.into()),
            input_log_dir: Some(folder.to_str().unwrap().into()),
            ..Settings::default()
        });
        let (stop, stopped) = watch::channel(false);
        let is_to_break = Arc::new(AtomicBool::new(false));
        let wanted = is_to_break.clone();
        let thread = thread::spawn(move || {
            let process = ProcessLink::new(Arc::new(Reloads::new(0)), watch::channel(settings).1).0;
            run_with(&[plain(listener)], None, &process, &stopped, Heart::new().1, |shard| {
                spawn_local(break_when_wanted(shard.clone(), wanted.clone(), break_it));
            })
        });
        Self { address, folder, is_to_break, stop, thread }
    }

    /// Sends a request, and returns the socket with what was answered first.
    fn ask(&self, request: &str) -> (Socket, String) {
        let mut socket = Socket::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        (socket, String::from_utf8(answer.into()).unwrap())
    }

    /// Has a client come and be told something, and breaks the invariant. Returns what the file of it holds and its name.
    fn last_log(&self) -> (Vec<u8>, String) {
        let (_member, answer) = self.ask(
            "GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert_eq!(answer, "HTTP/1.1 101");
        let body = format!(r#"{{"channel": "room", "data": "{WORDS}"}}"#);
        let head = format!("Host: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: {}\r\n\r\n", body.len());
        let (_call, answer) = self.ask(&format!("POST /api/publish HTTP/1.1\r\n{head}{body}"));
        assert_eq!(answer, "HTTP/1.1 200");
        self.is_to_break.store(true, Ordering::Release);
        for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
            let paths: Vec<PathBuf> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(paths.len() <= 1, "{paths:?}");
            if let Some(path) = paths.first()
                && let log = fs::read(path).unwrap()
                && is_whole(&log)
            {
                assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads it");
                return (log, path.file_name().unwrap().to_str().unwrap().into());
            }
            thread::sleep(LOOK);
        }
        panic!("no whole log was written");
    }

    fn end(self) {
        self.stop.send_replace(true);
        self.thread.join().unwrap().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

async fn break_when_wanted(shard: Rc<ShardRuntime>, wanted: Arc<AtomicBool>, break_it: Break) {
    loop {
        sleep(Duration::from_millis(1)).await;
        if wanted.swap(false, Ordering::AcqRel) {
            shard.enter(break_it);
        }
    }
}

/// Whether all of a log is there; it has one segment.
fn is_whole(log: &[u8]) -> bool {
    let Ok(mut replay) = InputReplay::open(log) else { return false };
    loop {
        match replay.list() {
            Ok(Some(_)) => {}
            end => return end.is_ok(),
        }
    }
}

/// Runs a log until it panics or the record of the broken invariant comes. Returns the words of the panic and the number of steps.
fn run(log: &[u8]) -> (Option<String>, u64) {
    let mut replay = InputReplay::open(log).unwrap();
    let panicked = loop {
        match catch_unwind(AssertUnwindSafe(|| replay.run())) {
            Ok(Ok(Some(ReplayEvent::Broken))) => break None,
            Ok(Ok(Some(_))) => {}
            Ok(end) => panic!("the record of the broken invariant is missing: {end:?}"),
            Err(panic) => {
                let next = replay.run();
                assert!(matches!(next, Ok(Some(ReplayEvent::Broken))), "it broke there in the server: {next:?}");
                break Some(words(&*panic));
            }
        }
    };
    assert!(matches!(replay.run(), Ok(None)), "the record of the broken invariant is the last");
    (panicked, replay.step())
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap()
}

fn admit_two_with_one_id(host: &mut Host<ClientSocket>, now: Now) {
    let target = host.shard().config().resolve("/ws/room").unwrap();
    for _ in 0..2 {
        let _ = host.accept(now, Upgrade { client: [7; 16], target: target.clone(), token: None, address: None });
    }
}

fn introduce_namespaces(host: &mut Host<ClientSocket>, now: Now) {
    let config = host.shard().config().clone();
    let policy = Policy::new(Permissions::open(), &config.limits);
    let namespaces = Namespaces::with(policy.clone(), policy.clone(), [("chat".into(), policy)]);
    host.reconfigure(now, Config { namespaces, ..config }, Settings::default().token_verifier());
}

#[test]
fn the_log_of_a_broken_shard_panics_at_the_same_step_when_it_is_run_again() {
    for (name, break_it, expected) in [
        ("twins", admit_two_with_one_id as Break, "client ids are random"),
        ("namespaces", introduce_namespaces, "namespaces are there as before"),
    ] {
        let breaking = Breaking::start(name, break_it);
        let (log, file) = breaking.last_log();
        let (panicked, step) = run(&log);
        assert!(panicked.as_ref().is_some_and(|words| words.contains(expected)), "{name}: {panicked:?}");
        assert!(step > 5 && file.ends_with(&format!("-{step}.inputs")), "{name}: {step} of {file}");
        for secret in [WORDS, KEY] {
            assert!(!log.windows(secret.len()).any(|part| part == secret.as_bytes()), "{name}: it has {secret:?}");
        }
        breaking.end();
    }
}

#[test]
fn the_log_of_a_panic_outside_of_the_state_machine_is_run_again_without_one() {
    let breaking = Breaking::start("outside", |_, _| panic!("not in the state machine"));
    let (log, _) = breaking.last_log();
    let (panicked, step) = run(&log);
    assert!(panicked.is_none() && step >= 5, "{panicked:?} at step {step}");
    breaking.end();
}
