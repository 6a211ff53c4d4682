//! The lines of the log about calls that change something: which API key made them, what they are about, and how they ended.
//! Each call of a batch has a line of its own. Calls that only read have none.
//!
//! To write a line takes half as long as a publication. So the shard gathers what the lines say, for [`GATHER_TIME`], and
//! hands it to a thread that writes them: their timestamps are later than the calls by about as much.

use super::log;
use parlor_core::api::json::METHODS;
use parlor_core::api::{Command, Reply, Selection};
use parlor_core::error::Error;
use parlor_core::{ClientId, RoomName, UserId};
use std::cell::RefCell;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::field::display;
use tracing::{Level, enabled, info};

/// The time for which lines are gathered before they are handed to the thread.
const GATHER_TIME: Duration = Duration::from_millis(10);
/// The lines that are gathered at most, before they are handed over at once.
const GATHERED_LINES: usize = 1024;
/// The hand-overs that wait for the thread, at most. What comes beyond them is dropped and counted, as other lines are.
const HAND_OVERS: usize = 8;

/// The content of one line.
#[derive(Debug)]
struct CallLine {
    key: Arc<str>,
    address: IpAddr,
    method: &'static str,
    target: CallTarget,
    outcome: CallOutcome,
}

impl CallLine {
    fn write(&self) {
        let Self { key, address, method, target: CallTarget { room, rooms, user, client, token }, outcome } = self;
        let CallOutcome { result, code, refused } = outcome;
        let (room, user, client) = (room.as_deref(), user.as_deref(), client.map(display));
        let token = token.as_deref();
        let address = display(address);
        info!(target: log::API, key = &**key, method, room, rooms, user, client, token, result, code, refused, address, "API call");
    }
}

/// Whether lines about calls are logged.
fn is_logged() -> bool {
    enabled!(target: log::API, Level::INFO)
}

/// The room, user, client or token that a call is about, where it changes something.
#[derive(Debug, Default)]
struct CallTarget {
    room: Option<RoomName>,
    /// Number of rooms of a broadcast.
    rooms: Option<usize>,
    user: Option<UserId>,
    client: Option<ClientId>,
    /// The id (`jti`) of a token that is revoked.
    token: Option<String>,
}

impl CallTarget {
    /// None for a call that only reads.
    fn of(command: &Command) -> Option<Self> {
        let one = |selection: &Selection| match selection {
            Selection::One(client) => Some(*client),
            Selection::All | Selection::NoMatch => None,
        };
        let nothing = Self::default();
        Some(match command {
            command if command.only_reads() => return None,
            Command::Publish { channel, .. } | Command::HistoryRemove { channel } => {
                Self { room: Some(channel.clone()), ..nothing }
            }
            Command::Broadcast { channels, .. } => Self { rooms: Some(channels.len()), ..nothing },
            Command::PublishUser { user, .. } => Self { user: Some(user.clone()), ..nothing },
            Command::Send { client, .. } => Self { client: Some(*client), ..nothing },
            Command::Subscribe { user, client, channel, .. } | Command::Unsubscribe { user, client, channel } => {
                Self { room: Some(channel.clone()), user: Some(user.clone()), client: one(client), ..nothing }
            }
            Command::Disconnect { user, client, .. } | Command::Refresh { user, client, .. } => {
                let user = Some(user.clone()).filter(|user| !user.is_anonymous());
                Self { user, client: one(client), ..nothing }
            }
            Command::RevokeToken { uid, .. } => Self { token: Some(uid.clone()), ..nothing },
            Command::InvalidateUserTokens { user, .. } => Self { user: Some(user.clone()), ..nothing },
            _ => nothing,
        })
    }
}

/// How a call ended.
#[derive(Debug)]
struct CallOutcome {
    result: &'static str,
    /// The code of the error.
    code: Option<u16>,
    /// Number of rooms of a broadcast that refused it.
    refused: Option<usize>,
}

impl CallOutcome {
    /// The outcome with this result; None where nobody waited for it.
    fn of(result: Option<&Result<Reply, Error>>) -> Self {
        let done = Self { result: "done", code: None, refused: None };
        match result {
            Some(Ok(Reply::Broadcast(results))) => {
                Self { refused: Some(results.iter().filter(|result| result.is_err()).count()), ..done }
            }
            Some(Ok(_)) => done,
            Some(Err(error)) => Self { result: "refused", code: Some(error.code.number()), ..done },
            None => Self { result: "unknown", ..done },
        }
    }
}

/// A call that is being made. Where it is dropped before its end, its lines say so.
#[derive(Debug)]
pub(crate) struct CallRecord<'l> {
    log: &'l CallLog,
    key: Arc<str>,
    address: IpAddr,
    /// The call, or those of a batch; None for one that has no line.
    calls: Vec<(&'static str, Option<CallTarget>)>,
    is_batch: bool,
}

impl CallRecord<'_> {
    /// Gathers the lines.
    pub(crate) fn finish(mut self, result: &Result<Reply, Error>) {
        let calls = mem::take(&mut self.calls).into_iter();
        match result {
            Ok(Reply::Batch(results)) if self.is_batch => {
                calls.zip(results).for_each(|((method, target), (_, result))| self.add(method, target, Some(result)));
            }
            result => calls.for_each(|(method, target)| self.add(method, target, Some(result))),
        }
    }

    fn add(&self, method: &'static str, target: Option<CallTarget>, result: Option<&Result<Reply, Error>>) {
        if let Some(target) = target {
            let (key, address, outcome) = (self.key.clone(), self.address, CallOutcome::of(result));
            self.log.add(CallLine { key, address, method, target, outcome });
        }
    }
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        for (method, target) in mem::take(&mut self.calls) {
            self.add(method, target, None);
        }
    }
}

/// The lines of a shard about calls. The last ones are written when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    gathered: RefCell<Vec<CallLine>>,
    is_gathering: Notify,
    /// None before the first hand-over.
    writer: RefCell<Option<CallWriter>>,
}

impl CallLog {
    /// The record of a call. None where it would have no line.
    pub(crate) fn begin(
        &self,
        key: &Arc<str>,
        address: IpAddr,
        method: &str,
        command: &Command,
    ) -> Option<CallRecord<'_>> {
        if !is_logged() {
            return None;
        }
        let target = |call: &Result<Command, Error>| call.as_ref().ok().and_then(CallTarget::of);
        let calls: Vec<_> = match command {
            Command::Batch(calls) => calls.iter().map(|(method, call)| (*method, target(call))).collect(),
            command => {
                let known = METHODS.iter().find(|known| known.name == method)?;
                vec![(known.name, CallTarget::of(command))]
            }
        };
        let is_batch = matches!(command, Command::Batch(_));
        let has_line = calls.iter().any(|(_, target)| target.is_some());
        has_line.then(|| CallRecord { log: self, key: key.clone(), address, calls, is_batch })
    }

    /// Gathers the line of a call about the server itself, or about a room.
    pub(crate) fn note(
        &self,
        key: &Arc<str>,
        address: IpAddr,
        method: &'static str,
        room: Option<RoomName>,
        error: Option<&Error>,
    ) {
        if is_logged() {
            let (result, code) = match error {
                None => ("done", None),
                Some(error) => ("refused", Some(error.code.number())),
            };
            let outcome = CallOutcome { result, code, refused: None };
            let target = CallTarget { room, ..CallTarget::default() };
            self.add(CallLine { key: key.clone(), address, method, target, outcome });
        }
    }

    /// Hands gathered lines over, as long as it is polled.
    pub(crate) async fn run(&self) {
        loop {
            self.is_gathering.notified().await;
            sleep(GATHER_TIME).await;
            self.hand_over();
        }
    }

    fn add(&self, line: CallLine) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.is_empty() {
            self.is_gathering.notify_one();
        }
        gathered.push(line);
        if gathered.len() >= GATHERED_LINES {
            drop(gathered);
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        let lines = self.gathered.take();
        if lines.is_empty() {
            return;
        }
        let mut writer = self.writer.borrow_mut();
        if writer.is_none() {
            *writer = CallWriter::start();
        }
        match &*writer {
            Some(writer) => writer.take(lines),
            // The system gives no thread.
            None => lines.iter().for_each(CallLine::write),
        }
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        self.hand_over();
        if let Some(CallWriter { lines, thread }) = self.writer.take() {
            drop(lines);
            // A panic of it is in the log.
            let _ = thread.join();
        }
    }
}

/// The thread that writes the lines.
#[derive(Debug)]
struct CallWriter {
    lines: SyncSender<Vec<CallLine>>,
    thread: JoinHandle<()>,
}

impl CallWriter {
    /// None where the system gives no thread.
    fn start() -> Option<Self> {
        let (lines, handed_over) = sync_channel::<Vec<CallLine>>(HAND_OVERS);
        let write = move || handed_over.iter().flatten().for_each(|line| line.write());
        let thread = thread::Builder::new().name("calls".into()).spawn(write).ok()?;
        Some(Self { lines, thread })
    }

    /// Takes lines, or drops and counts them. Never waits.
    fn take(&self, lines: Vec<CallLine>) {
        let count = lines.len() as u64;
        if self.lines.try_send(lines).is_err() {
            log::count_dropped(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn lines_are_handed_over_before_there_are_many() {
        let log = CallLog::default();
        for _ in 0..GATHERED_LINES * 3 + 1 {
            let outcome = CallOutcome::of(None);
            let (address, target) = (Ipv4Addr::LOCALHOST.into(), CallTarget::default());
            log.add(CallLine { key: "key".into(), address, method: "publish", target, outcome });
        }
        assert_eq!(log.gathered.borrow().len(), 1);
        assert!(log.writer.borrow().is_some());
    }
}
