//! The steps of connections as lines of the log: opened, authenticated, joined, left, closed.

use super::log;
use crate::runtime::connections::Accepted;
use crate::runtime::observer::Observer;
use parlor_core::{ClientId, ConnId, ConnectionStep, Effect, End, Input, Instant, Now, Pending, Shard, StepChange};
use std::collections::BTreeMap;
use std::net::IpAddr;
use tracing::debug;
use tracing::field::display;

/// The open connections, each with the content of its last line.
#[derive(Debug, Default)]
pub(crate) struct ConnectionLog {
    open: BTreeMap<ConnId, LoggedConnection>,
}

/// An open connection.
#[derive(Debug)]
struct LoggedConnection {
    client: ClientId,
    address: Option<IpAddr>,
    protocol: &'static str,
    since: Instant,
    /// Empty while it is anonymous, or not known.
    user: String,
    messages_in: u64,
    /// Bytes of those messages.
    bytes_in: u64,
    frames_out: u64,
    bytes_out: u64,
}

impl Observer for ConnectionLog {
    fn accepted(&mut self, now: Now, accepted: &Accepted, shard: &Shard) {
        let followed = LoggedConnection {
            client: accepted.client(),
            address: accepted.address(),
            protocol: shard.protocol(accepted.conn()).unwrap_or_default(),
            since: now.mono,
            user: String::new(),
            messages_in: 0,
            bytes_in: 0,
            frames_out: 0,
            bytes_out: 0,
        };
        self.open.insert(accepted.conn(), followed);
    }

    fn wrote(&mut self, conn: ConnId, pending: &Pending<'_>, bytes: usize) {
        if let Some(followed) = self.open.get_mut(&conn) {
            followed.frames_out += pending.frames_within(bytes) as u64;
            followed.bytes_out += bytes as u64;
        }
    }

    fn before(&mut self, _now: Now, input: &Input) {
        match input {
            Input::Upgraded { conn } => self.opened(*conn),
            Input::Message { conn, message } => {
                if let Some(followed) = self.open.get_mut(conn) {
                    followed.messages_in += 1;
                    followed.bytes_in += message.len() as u64;
                }
            }
            _ => {}
        }
    }

    fn effect(&mut self, now: Now, effect: &Effect) {
        match effect {
            Effect::Step(step) => self.step(step),
            Effect::Closed { conn, end } => self.closed(now, *conn, end),
            _ => {}
        }
    }
}

impl ConnectionLog {
    fn opened(&self, conn: ConnId) {
        let Some(LoggedConnection { client, address, protocol, .. }) = self.open.get(&conn) else { return };
        let address = address.map(display);
        debug!(target: log::CONNECTIONS, %conn, %client, address, protocol, "opened");
    }

    fn step(&mut self, ConnectionStep { conn, change }: &ConnectionStep) {
        let Some(followed) = self.open.get_mut(conn) else { return };
        if let StepChange::Authenticated { user } = change {
            followed.user = user.to_string();
        }
        let (client, user) = (followed.client, &*followed.user);
        match change {
            StepChange::Authenticated { .. } => {
                let event = if user.is_empty() { "admitted without a user" } else { "authenticated" };
                debug!(target: log::CONNECTIONS, %conn, %client, user, "{event}");
            }
            // That comes with the user.
            StepChange::Joined { room } | StepChange::Left { room, .. } if room.is_reserved() => {}
            StepChange::Joined { room } => {
                debug!(target: log::CONNECTIONS, %conn, %client, user, room = &**room, "joined");
            }
            StepChange::Left { room, cause } => {
                debug!(target: log::CONNECTIONS, %conn, %client, user, room = &**room, cause = cause.name(), "left");
            }
        }
    }

    fn closed(&mut self, now: Now, conn: ConnId, end: &End) {
        let Some(followed) = self.open.remove(&conn) else { return };
        let LoggedConnection { client, address, protocol, since, user, messages_in, bytes_in, frames_out, bytes_out } =
            followed;
        let (cause, reason, user) = (end.cause.name(), end.reason(), &*user);
        let (code, reason) = (reason.code(), reason.text());
        let (address, duration_seconds) = (address.map(display), now.mono.since(since).as_secs_f64());
        debug!(
            target: log::CONNECTIONS, %conn, %client, user, address, protocol, cause, code, reason, duration_seconds, messages_in,
            bytes_in, frames_out, bytes_out, "closed"
        );
    }
}

/// Writes the last line of the connections that end with their shard: no effect tells of them.
impl Drop for ConnectionLog {
    fn drop(&mut self) {
        for (conn, LoggedConnection { client, user, .. }) in &self.open {
            debug!(target: log::CONNECTIONS, %conn, %client, user, cause = "dropped", "closed");
        }
    }
}
