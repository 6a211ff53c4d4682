//! What a test has observed of servers: the codes that its clients received, and the counts that `/health` showed. A test
//! that promises a code is checked by this, whatever way the code came.

use super::Answer;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// The code of a Close frame.
    Close(u16),
    /// The code of an unsubscribe push.
    Unsubscribe(u16),
    /// The code of an error in a reply to a `json` command.
    Command(u16),
    /// The code of an error in an answer of the API.
    Api(u16),
    /// An HTTP status.
    Http(u16),
    /// The name of a limit that was counted.
    Limit(String),
    /// The name of a cause for which a connection was counted as ended.
    Cause(String),
}

thread_local! {
    static OBSERVED: RefCell<BTreeSet<Observed>> = RefCell::default();
}

pub fn note(observed: Observed) {
    OBSERVED.with_borrow_mut(|all| all.insert(observed));
}

/// Whether the test of this thread has observed this.
pub fn was_observed(observed: &Observed) -> bool {
    OBSERVED.with_borrow(|all| all.contains(observed))
}

/// Forgets what was observed so far.
pub fn forget() {
    OBSERVED.take();
}

fn code(error: &Value) -> Option<u16> {
    error["code"].as_u64().and_then(|code| code.try_into().ok())
}

pub fn note_answer(answer: &Answer) {
    note(Observed::Http(answer.status));
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    code(&body["error"]).into_iter().for_each(|code| note(Observed::Api(code)));
    body["error"]["limit"].as_str().into_iter().for_each(|limit| note(Observed::Limit(limit.into())));
}

/// Notes the codes of a message to a client of either protocol.
pub fn note_message(message: &Value) {
    let error = if message["type"] == "error" { message } else { &message["error"] };
    code(error).into_iter().for_each(|code| note(Observed::Command(code)));
    code(&message["push"]["unsubscribe"]).into_iter().for_each(|code| note(Observed::Unsubscribe(code)));
}

/// Notes the limits and causes that were counted.
pub fn note_health(health: &Value) {
    let counted = |counts: &Value| -> Vec<String> {
        let counts = counts.as_object().into_iter().flatten();
        counts.filter(|(_, count)| **count != 0).map(|(name, _)| name.clone()).collect()
    };
    counted(&health["totals"]["limits"]).into_iter().for_each(|limit| note(Observed::Limit(limit)));
    counted(&health["totals"]["closed"]).into_iter().for_each(|cause| note(Observed::Cause(cause)));
}

/// Notes the counts of a server when its test is done with it, unless it has stopped.
#[derive(Debug)]
pub struct LastLook(pub SocketAddr);

impl LastLook {
    fn health(&self) -> std::io::Result<Value> {
        let mut socket = TcpStream::connect(self.0)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let key = super::KEY;
        write!(socket, "GET /health HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").unwrap_or_default().1;
        Ok(serde_json::from_str(body).unwrap_or_default())
    }
}

impl Drop for LastLook {
    fn drop(&mut self) {
        let start = Instant::now();
        // An end is counted when it is over; the bystander stays.
        while let Ok(health) = self.health()
            && !std::thread::panicking()
        {
            note_health(&health);
            if health["connections"] == 1 || start.elapsed() > Duration::from_secs(2) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
