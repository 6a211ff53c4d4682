//! What a service manager is told: that the server is ready, lives, reloads and stops (sd_notify(3)).

#![allow(clippy::disallowed_methods, reason = "tests have their own clock")]

mod common;

use common::program::Program;
use common::{Client, PATIENCE};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A service manager, as far as it listens.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parlor-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned() }
    }

    fn start(&self, watchdog: Option<Duration>, flags: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.args(["--listen", "127.0.0.1:0"]).args(flags).env("NOTIFY_SOCKET", &self.path);
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        Program::run(&mut command, Stdio::piped())
    }

    /// What it is told next, within this time.
    fn hears(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut message = [0; 512];
        let bytes = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..bytes].to_vec()).unwrap())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[test]
fn a_service_manager_follows_the_server() {
    let manager = Manager::new("notify");
    let mut program = manager.start(None, &[]);
    assert_eq!(manager.hears(PATIENCE).as_deref(), Some("READY=1\n"));
    program.signal("HUP");
    let reloading = manager.hears(PATIENCE).unwrap();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a reload");
    assert!(time.trim_end().parse::<u64>().is_ok(), "{reloading}");
    assert_eq!(manager.hears(PATIENCE).as_deref(), Some("READY=1\n"));
    let mut slow = Client::connect(program.address, "/ws/room?greeting=off");
    program.signal("TERM");
    assert_eq!(manager.hears(PATIENCE).as_deref(), Some("STOPPING=1\n"));
    assert_eq!(manager.hears(PATIENCE).as_deref(), Some("EXTEND_TIMEOUT_USEC=30000000\n"));
    assert_eq!(slow.close().0, 3001);
    slow.send_close(3001);
    slow.half_close();
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_watchdog_is_told_while_the_shard_lives() {
    let manager = Manager::new("watchdog");
    let _program = manager.start(Some(Duration::from_secs(1)), &[]);
    assert_eq!(manager.hears(PATIENCE).as_deref(), Some("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(manager.hears(PATIENCE).as_deref(), Some("WATCHDOG=1\n"));
    }
}
