//! Listening sockets that a service manager hands over (sd_listen_fds(3)).

mod common;

use common::program::Program;
use common::{Client, KEY, get};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

/// A command that starts the program with a socket as its first, under a name.
fn handed(socket: OwnedFd, name: &str, flags: &[&str]) -> Command {
    let mut command = Command::new("sh");
    // A shell keeps its number, by which the program knows that it is meant, when it becomes the program.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_parlor")]).args(flags).stdin(Stdio::from(socket));
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name).stderr(Stdio::piped());
    command
}

fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn copied(socket: &TcpListener) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn the_server_listens_on_what_it_is_handed() {
    let (socket, address) = listener("127.0.0.1:0");
    // A client that comes before the server is there waits for it.
    let early = std::thread::spawn(move || get(address, "/health/ready").status);
    let program = Program::run(&mut handed(copied(&socket), "parlor.socket", &[]), Stdio::piped());
    assert_eq!(early.join().unwrap(), 200);
    assert_eq!(program.addresses, [address], "and on nothing else");
    let mut client = Client::connect(address, "/ws/room");
    assert_eq!(client.receive()["type"], "connection");
}

#[test]
fn who_can_reach_a_socket_decides_the_mode() {
    let (socket, _) = listener("0.0.0.0:0");
    let output = handed(copied(&socket), "parlor.socket", &[]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("0.0.0.0:") && words.contains("needs an API key"), "{words}");
}

#[test]
fn a_socket_of_the_name_internal_is_for_operators() {
    let (socket, address) = listener("127.0.0.1:0");
    let flags = ["--listen", "127.0.0.1:0", "--api-key", KEY];
    let program = Program::run(&mut handed(copied(&socket), "internal", &flags), Stdio::piped());
    assert!(!program.addresses.contains(&address));
    assert_eq!(get(address, "/metrics").status, 200);
    assert_eq!(get(program.address, "/metrics").status, 404);
}

#[test]
fn what_is_no_listening_socket_is_an_error_that_names_it() {
    let (socket, address) = listener("127.0.0.1:0");
    let stream = std::net::TcpStream::connect(address).unwrap();
    drop(socket);
    for (fd, why) in
        [(OwnedFd::from(stream), "it does not listen"), (std::fs::File::open("/dev/null").unwrap().into(), "")]
    {
        let output = handed(fd, "web", &[]).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("socket 1 of the service manager (\"web\")") && words.contains(why), "{words}");
    }
}
