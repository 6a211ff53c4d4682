//! The state of a world for a person to read.

use super::state::World;
use super::turn::caught;
use crate::subjects::subject::Subject;
use parlor_core::snapshot::LogView;
use parlor_core::{ConnId, Snapshot};

impl<S: Subject> World<S> {
    /// Where every client's connection is, in a few words each.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.clients().map(|client| self.describe_client(client)).collect()
    }

    /// The subject's rooms with their members, its users with their connections, and its logs with
    /// their top and what they retain. Connections have the numbers of their clients.
    #[must_use]
    pub fn describe_rooms(&self) -> Vec<String> {
        let Ok(snapshot) = caught(|| self.subject.snapshot()) else { return vec!["no state can be had".into()] };
        let Snapshot { rooms, users, logs, .. } = &snapshot;
        let mut lines: Vec<String> =
            rooms.iter().map(|room| format!("room {} {{{}}}", room.name, self.numbers(&room.members))).collect();
        lines.extend(users.iter().map(|(name, conns)| format!("user {name} {{{}}}", self.numbers(conns))));
        lines.extend(logs.iter().map(describe_log));
        lines.extend(snapshot.shutting_down.then(|| "shutting down".into()));
        lines
    }

    fn numbers(&self, conns: &[ConnId]) -> String {
        let is_its = |conn: &ConnId| {
            self.clients
                .iter()
                .position(|client| client.connection.as_ref().is_some_and(|connection| connection.id == *conn))
        };
        let name = |conn| is_its(conn).map_or_else(|| conn.to_string(), |client| client.to_string());
        conns.iter().map(name).collect::<Vec<_>>().join(" ")
    }
}

fn describe_log(log: &LogView) -> String {
    let offsets: Vec<String> = log.entries.iter().map(|(offset, _)| offset.to_string()).collect();
    format!("log {} at {} [{}]", log.name, log.top, offsets.join(" "))
}
