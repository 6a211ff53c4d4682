//! Instruction counts of the server's own part of a connection, beside core's: from bytes to inputs, and from what
//! is pending to the call of the socket, which takes everything and costs nothing here.
#![allow(missing_docs, reason = "what the macros make has none")]

use dlmalloc::GlobalDlmalloc;
use gungraun::prelude::*;
use parlor::auth::TokenVerifier;
use parlor::net::driver::{Handshake, Transport};
use parlor::runtime::host::Host;
use parlor_core::api::{Command, Message};
use parlor_core::limits::Rate;
use parlor_core::test_support::client_frame;
use parlor_core::{Config, ConnId, Json, Limits, Now, Upgrade};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// A socket that has some bytes to read, and takes all that is written.
#[derive(Default)]
struct Sink {
    to_server: VecDeque<Vec<u8>>,
}

impl Transport for Sink {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(bytes) = self.to_server.pop_front() else { return Poll::Pending };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {}
}

/// A host with so many members of the room `room`.
fn host_with(members: u32, reads: &[Vec<u8>]) -> (Host<Sink>, ConnId) {
    let off = Limits {
        new_connections: Rate::OFF,
        new_connections_per_ip: Rate::OFF,
        client_commands: Rate::OFF,
        client_frames: Rate::OFF,
        ..Limits::default()
    };
    let limits = Limits { client_publishes: Rate::OFF, ..off };
    let mut host = Host::new(Config::from(limits), [7; 32], TokenVerifier::new(None));
    let mut last = None;
    for client in 0..members {
        let config = host.shard().config();
        let target = config.resolve("/ws/room?greeting=off").expect("a path that is served");
        let client = u128::from(client).to_be_bytes();
        let accepted =
            host.accept(Now::default(), Upgrade { client, target, token: None, address: None }).expect("accepted");
        let to_server = reads.iter().cloned().collect();
        let handshake = Handshake { response: b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(), early: Vec::new() };
        let conn = accepted.conn();
        host.open(accepted, Sink { to_server }, handshake);
        if reads.is_empty() {
            assert!(poll(&mut host, conn).is_pending(), "nothing is left to be read");
        }
        last = Some(conn);
    }
    host.flush(Now::default(), usize::MAX);
    (host, last.expect("a member"))
}

fn poll(host: &mut Host<Sink>, conn: ConnId) -> Poll<()> {
    host.poll_connection(Now::default(), conn, &mut Context::from_waker(Waker::noop())).map(drop)
}

fn published(publications: usize) -> Host<Sink> {
    let (mut host, _) = host_with(1000, &[]);
    for _ in 0..publications {
        let data = Json::parse(&format!("\"{}\"", "@".repeat(126))).expect("JSON").into();
        let message = Message { data, tags: BTreeMap::new(), skip_history: false, idempotency_key: None };
        let command = Command::Publish { channel: Config::default().room("room").expect("a name"), message };
        drop(host.call(Now::default(), command));
    }
    host
}

fn check_written(host: Host<Sink>) {
    let totals = host.shard().stats().totals;
    assert!(totals.frames_written >= 1000 && totals.frames_written == totals.frames_queued, "all of it is written");
}

// One publication of 128 bytes, or sixteen, are written to 1,000 plain members.
#[library_benchmark(setup = published, teardown = check_written)]
#[bench::frames_1(1)]
#[bench::frames_16(16)]
fn write(mut host: Host<Sink>) -> Host<Sink> {
    host.flush(Now::default(), usize::MAX);
    host
}

fn unread(frames: usize, bytes: usize) -> (Host<Sink>, ConnId) {
    let text = format!("{{\"type\":\"nothing\",\"text\":\"{}\"}}", "\u{e9}".repeat(bytes / 2));
    let read = client_frame(0x81, text.as_bytes()).repeat(frames);
    let (mut host, conn) = host_with(1, &[read]);
    host.tick(Now::default());
    (host, conn)
}

fn check_read((host, _): (Host<Sink>, ConnId)) {
    let totals = host.shard().stats().totals;
    assert!(totals.messages_in > 0 && totals.messages_in == totals.unknown_types, "all of it is read");
}

// A plain connection is opened, and one read brings it 16 texts of 100 bytes, or one of 8 KB, of a type that is not known.
#[library_benchmark(setup = unread, teardown = check_read)]
#[bench::frames_16(16, 70)]
#[bench::large_1(1, 8000)]
fn read((mut host, conn): (Host<Sink>, ConnId)) -> (Host<Sink>, ConnId) {
    while poll(&mut host, conn).is_ready() {}
    (host, conn)
}

library_benchmark_group!(name = shell, benchmarks = [write, read]);
main!(library_benchmark_groups = shell);
