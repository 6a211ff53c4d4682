//! The program itself, as a person or a script starts it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running server. It is killed if its test does not end it.
pub struct Program {
    pub child: Child,
    /// The output until the server was ready.
    pub printed: Vec<String>,
    /// The first of its addresses.
    pub address: SocketAddr,
    pub addresses: Vec<SocketAddr>,
}

impl Program {
    pub fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, Stdio::piped())
    }

    /// Starts it with the log going somewhere else.
    pub fn start_with(flags: &[&str], log: impl Into<Stdio>) -> Self {
        Self::run(Self::command("127.0.0.1:0").args(flags), log)
    }

    /// Starts it somewhere else.
    pub fn start_at(listen: &str, flags: &[&str]) -> Self {
        Self::run(Self::command(listen).args(flags), Stdio::piped())
    }

    /// Starts it with a command of its own.
    pub fn run(command: &mut Command, log: impl Into<Stdio>) -> Self {
        Self::of(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap())
    }

    /// A process that is on its way, once it is ready.
    pub fn of(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        let addresses: Vec<SocketAddr> = loop {
            let line = lines.next().expect("it is ready some day").unwrap();
            if let Some(addresses) = line.strip_prefix("parlor is listening on ") {
                let addresses = addresses.split(" and ").map(|url| url.split_once("://").unwrap().1);
                break addresses.map(|address| address.parse().unwrap()).collect();
            }
            printed.push(line);
        };
        Self { child, printed, address: addresses[0], addresses }
    }

    fn command(listen: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.args(["--listen", listen]);
        command
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    pub fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Everything that it printed and logged, to its end.
    pub fn said(mut self) -> String {
        let printed = self.printed.join("\n");
        printed + &self.log()
    }

    /// The log, once the program has ended.
    pub fn log(&mut self) -> String {
        let mut log = String::new();
        self.child.stderr.take().expect("its log is a pipe").read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
