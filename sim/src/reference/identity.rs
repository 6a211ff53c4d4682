//! Who a connection is: its token, its user, and the rooms that it begins in.

use super::arrival::TokenOutcome;
use super::connection::ExpectedTimer;
use super::model::{ReferenceModel, nanos};
use crate::world::names::user_name;
use parlor_core::CloseCause;
use serde_json::{Value, json};

impl ReferenceModel {
    pub(super) fn decided(&mut self, client: usize, token: &TokenOutcome) {
        let Some(conn) = self.conn(client).filter(|conn| conn.is_open() && conn.asked) else { return };
        conn.asked = false;
        if token.unforeseen {
            return self.give_up();
        }
        if !conn.entry.json {
            self.decided_plain(client, token);
        } else if token.forged {
            self.close(client, CloseCause::InvalidToken);
        } else if token.expired {
            // What was sent behind this `connect` will be sent again behind the next.
            conn.turned_down = true;
            self.refuse(client, 1, 109);
        } else {
            self.welcome(client, token);
        }
        self.settle();
        self.hear_waiting(client);
    }

    /// Lets a json client in: puts it into the rooms that it starts in, and answers its `connect`.
    pub(super) fn welcome(&mut self, client: usize, token: &TokenOutcome) {
        self.identify(client, token);
        let mut subs = json!({});
        for room in self.placed(token) {
            let replay = self.join(client, room, &Default::default(), false).expect("it wants nothing");
            subs[&*self.names[room]] = self.start(room, &replay);
        }
        let interval = self.config.limits.ping_interval;
        let ping_at = self.clock + nanos(interval);
        let (node, version) = (self.config.node.clone(), self.config.version.clone());
        let conn = self.conn(client).expect("it is open");
        conn.arm(ExpectedTimer::Ping, ping_at);
        let client_id = conn.client_id.to_string();
        let mut result = json!({ "client": client_id, "version": version, "session": client_id, "node": node });
        if !conn.entry.frame_pings {
            result["ping"] = interval.as_secs().into();
            result["pong"] = true.into();
        }
        if subs != json!({}) {
            result["subs"] = subs;
        }
        self.reply(client, 1, "connect", result);
    }

    /// From now on the connection has said who it is.
    pub(super) fn identify(&mut self, client: usize, token: &TokenOutcome) {
        let conn = self.conns[client].as_mut().expect("it is open");
        conn.disarm(ExpectedTimer::Authenticate);
        (conn.ready, conn.asked, conn.user) = (true, false, token.user);
        conn.info.clone_from(&token.info);
    }

    /// A connection as those see it who read its publications.
    pub(super) fn info(&self, client: usize) -> Value {
        let conn = self.conns[client].as_ref().expect("it is there");
        let mut info = json!({ "client": conn.client_id.to_string(), "user": user_text(conn.user) });
        if let Some(text) = &conn.info {
            info["conn_info"] = serde_json::from_str(text).expect("it is JSON");
        }
        info
    }

    pub(super) fn own_room(&self, user: usize) -> usize {
        self.names.len() - self.users + user
    }

    /// The rooms that come with a token: the user's own, and those that it names.
    pub(super) fn placed(&self, token: &TokenOutcome) -> Vec<usize> {
        token.user.map(|user| self.own_room(user)).into_iter().chain(token.channels.iter().copied()).collect()
    }
}

/// How a user is written; anonymous is the empty name.
pub(super) fn user_text(user: Option<usize>) -> String {
    user.map(user_name).unwrap_or_default()
}
