//! Which connections a backend means, and what it lists: some of them, in parts, by pattern.

use super::connection::ExpectedConnection;
use super::expect::CURSOR;
use super::model::ReferenceModel;
use super::names::user_text;
use super::selection::{ConnectionSelection, ListQuery};
use crate::goals::Goal;
use crate::world::names::matches;
use serde_json::{Map, Value, json};

impl ReferenceModel {
    /// The rooms that have members, each with what is said of it.
    pub(super) fn rooms_listed(&self) -> impl Iterator<Item = (String, Value)> {
        let occupied = self.rooms.iter().zip(&*self.names).filter(|(members, _)| !members.is_empty());
        occupied.map(|(members, name)| (name.to_string(), json!({ "num_clients": members.len() })))
    }

    /// A connection's entry in a list, under its client id.
    pub(super) fn listed(&self, conn: &ExpectedConnection) -> (String, Value) {
        let described = json!({
            "user": user_text(conn.user),
            "transport": "websocket",
            "protocol": if conn.entry.json { "json" } else { "plain" },
            "channels": self.rooms_of(conn),
        });
        (conn.client_id.to_string(), described)
    }

    /// The part of a list that is asked for, with a cursor where there is more.
    pub(super) fn list(&mut self, list: &ListQuery<'_>) -> Value {
        let mut all: Vec<(String, Value)> = if list.of_rooms {
            let is_meant = |(name, _): &(String, Value)| list.pattern.is_none_or(|pattern| matches(pattern, name));
            self.rooms_listed().filter(is_meant).collect()
        } else {
            let is_in = |client: &usize| list.room.is_none_or(|room| self.rooms[room].contains(client));
            let meant = (0..self.conns.len()).filter(is_in).filter_map(|client| self.conns[client].as_ref());
            let is_users =
                |conn: &&ExpectedConnection| conn.ready && list.user.is_none_or(|user| conn.user == Some(user));
            meant.filter(is_users).map(|conn| self.listed(conn)).collect()
        };
        all.retain(|(key, _)| list.after.is_none_or(|after| key.as_str() > after));
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let has_more = list.limit.is_some_and(|limit| all.len() > limit);
        all.truncate(list.limit.unwrap_or(usize::MAX));
        self.note_list(list, all.len(), has_more);
        let mut answer = json!({});
        answer[if list.of_rooms { "channels" } else { "connections" }] = all.into_iter().collect::<Map<_, _>>().into();
        if has_more {
            answer["cursor"] = CURSOR.into();
        }
        answer
    }

    fn note_list(&mut self, list: &ListQuery<'_>, count: usize, has_more: bool) {
        let is_filtered = (list.user.is_some() || list.room.is_some()) && count > 0;
        for (goal, is_reached) in [
            (Goal::ListedByPattern, list.pattern.is_some() && count > 0),
            (Goal::ListedSome, is_filtered),
            (Goal::ListedInParts, has_more),
            (Goal::ListedOn, list.after.is_some() && count > 0),
        ] {
            if is_reached {
                self.goals.reach(goal);
            }
        }
    }

    /// A backend closes connections with a code that it has chosen.
    pub(super) fn dismiss(&mut self, user: Option<usize>, meant: ConnectionSelection, code: u16) {
        let is_meant = |conn: &ExpectedConnection| (user.is_none() || conn.user == user) && meant.has(conn.client_id);
        let spared = |conn: &&ExpectedConnection| {
            conn.user == user && matches!(meant, ConnectionSelection::AllBut(_)) && !meant.has(conn.client_id)
        };
        let (of_meant, of_spared) = (self.count(|conn| is_meant(conn)), self.count(|conn| spared(&conn)));
        if of_meant > 0 && of_spared > 0 {
            self.goals.reach(Goal::Spared);
        }
        if of_meant > 0 && user.is_some() && matches!(meant, ConnectionSelection::One(_)) {
            self.goals.reach(Goal::MeantOne);
        }
        if of_meant > 0 && code != 3503 {
            self.goals.reach(Goal::ChosenCode);
        }
        self.close_all(code, is_meant);
    }

    pub(super) fn count(&self, which: impl Fn(&ExpectedConnection) -> bool) -> usize {
        self.conns.iter().flatten().filter(|conn| which(conn)).count()
    }
}
