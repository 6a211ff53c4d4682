//! The last connections that ended, for a person who asks why.

use parlor_core::explain::ENDED_CONNECTIONS;
use parlor_core::{ClientId, End, Now};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// The connections that are remembered, at most: as many as the core can tell of.
pub const CLOSES: usize = ENDED_CONNECTIONS;
/// The connections that are listed, at most.
pub const LISTED: usize = 100;
/// The bytes of a user's id that are remembered, at most.
const USER_BYTES: usize = 200;

/// The last connections that ended, the newest last.
#[derive(Debug, Default)]
pub struct CloseLog(VecDeque<ClosedConnection>);

/// A connection that ended.
#[derive(Debug)]
struct ClosedConnection {
    /// Milliseconds since 1970.
    at: u64,
    client: ClientId,
    user: Box<str>,
    address: Option<IpAddr>,
    cause: &'static str,
    code: u16,
    reason: String,
    lasted: Duration,
    is_console: bool,
}

/// The parts of a connection that its end does not tell.
#[derive(Debug)]
pub struct EndedConnection {
    /// The public id.
    pub client: ClientId,
    /// The user of its token; empty where it had none.
    pub user: Box<str>,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The time from its 101 to its end.
    pub lasted: Duration,
    /// Whether the console listened by it.
    pub is_console: bool,
}

impl CloseLog {
    /// Remembers a connection that ended, in place of the oldest one where there are [`CLOSES`].
    pub fn add(&mut self, now: Now, connection: EndedConnection, end: &End) {
        let EndedConnection { client, mut user, address, lasted, is_console } = connection;
        if user.len() > USER_BYTES {
            let end = (0..=USER_BYTES).rev().find(|end| user.is_char_boundary(*end)).unwrap_or_default();
            user = user[..end].into();
        }
        if self.0.len() == CLOSES {
            self.0.pop_front();
        }
        let reason = end.reason();
        self.0.push_back(ClosedConnection {
            at: now.unix_ms,
            client,
            user,
            address,
            cause: end.cause.name(),
            code: reason.code(),
            reason: reason.text().into(),
            lasted,
            is_console,
        });
    }

    /// The last [`LISTED`] of them as JSON, the newest first.
    #[must_use]
    pub fn view(&self) -> Value {
        self.0.iter().rev().take(LISTED).map(ClosedConnection::view).collect()
    }

    /// The address that a connection came from, as far as it is known. O(n).
    #[must_use]
    pub fn address_of(&self, client: ClientId) -> Option<IpAddr> {
        self.0.iter().rev().find(|closed| closed.client == client)?.address
    }
}

impl ClosedConnection {
    fn view(&self) -> Value {
        let Self { at, client, user, address, cause, code, reason, lasted, is_console } = self;
        json!({
            "time_ms": at,
            "client": client.to_string(),
            "user": user,
            "address": address.map(|address| address.to_string()).unwrap_or_default(),
            "cause": cause,
            "code": code,
            "reason": reason,
            "seconds": lasted.as_secs_f64(),
            "console": is_console,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::{CloseCause, Instant};

    #[test]
    fn only_the_last_ones_are_remembered_and_the_newest_is_first() {
        let mut closes = CloseLog::default();
        let cause = CloseCause::Slow;
        for number in 0..=CLOSES {
            let user = "\u{e9}".repeat(number).into();
            let connection = EndedConnection {
                client: ClientId([0; 16]),
                user,
                address: None,
                lasted: Duration::from_millis(1500),
                is_console: false,
            };
            let now = Now { mono: Instant(0), unix_ms: number as u64 };
            closes.add(now, connection, &End::new(cause, &cause.reason(), false));
        }
        let view = closes.view();
        let times: Vec<_> = view.as_array().unwrap().iter().map(|close| close["time_ms"].as_u64().unwrap()).collect();
        let last = CLOSES as u64;
        assert_eq!(times, (last + 1 - LISTED as u64..=last).rev().collect::<Vec<_>>());
        assert_eq!(closes.0.len(), CLOSES);
        let newest = &view[0];
        assert_eq!(
            (&newest["cause"], &newest["code"], &newest["seconds"]),
            (&json!("slow_consumer"), &json!(3008), &json!(1.5))
        );
        assert_eq!(newest["user"].as_str().unwrap().len(), USER_BYTES, "a name is cut between two characters");
    }
}
