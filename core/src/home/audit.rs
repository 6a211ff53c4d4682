//! The guarantees that can be seen in the state of a home.

use super::{Home, Log, is_occupied};
use crate::config::Config;
use crate::ids::index;

impl Home {
    /// Asserts that nothing empty is kept (G3), that every bound holds (G6) and that counts are right (G8). O(n) in the
    /// logs, members and publications.
    pub fn audit(&self, config: &Config) {
        let limits = self.bounds.of(&config.limits);
        self.idempotency.audit(limits);
        assert_eq!(self.by_name.len(), self.logs.len(), "G3: every log has one name");
        assert!(self.numbered <= limits.logs, "G6: logs are bounded");
        assert!(self.with_members <= limits.logs, "G6: rooms are bounded");
        assert!(self.absences.len() <= limits.absences, "G6: absences are bounded");
        self.absences.audit();
        let is_adjusted = self.unadjusted.is_none();
        let most_bytes = if is_adjusted { config.limits.history_bytes } else { limits.history_bytes };
        assert!(self.bytes() <= most_bytes, "G6: history is bounded");
        let mut armed = 0;
        for (at, log) in &self.logs {
            assert_eq!(self.find(&log.name), Some(index(at)), "G3: a log is found by its name");
            let is_kept = log.is_numbered() || !log.members.is_empty() || self.follows(&log.name);
            assert!(is_kept, "G3: the log of {:?} is kept without members and offsets", log.name);
            let idle = log.idle_order.is_some_and(|place| self.idle.holds(index(at), place));
            assert_eq!(idle, log.members.is_empty(), "G3: exactly the logs without members are idle");
            assert_eq!(
                log.idle_order,
                log.eviction_order(),
                "G3: an idle log is at its position in the order of eviction"
            );
            if is_adjusted {
                assert_eq!(log.armed.deadline(), self.deadline(log, config), "G6: the deadline of a log is armed");
                log.audit_bounds(config);
            }
            if log.armed.deadline().is_set() {
                armed += 1;
                assert!(self.timers.holds(index(at), log.armed), "G7: a deadline is in the queue");
            }
            let most = Self::most_members(&log.name, limits);
            assert!(log.members.len() <= most, "G6: connections of a user are bounded");
            log.audit();
        }
        let count = |which: fn(&Log) -> bool| self.logs.iter().filter(|(_, log)| which(log)).count();
        assert_eq!(self.idle.len(), count(|log| log.members.is_empty()), "G3: no evicted log is idle");
        assert_eq!(self.timers.len(), armed, "G3: no evicted log has a deadline");
        assert_eq!(self.numbered, count(Log::is_numbered), "G8: logs are counted");
        assert_eq!(self.with_members, count(is_occupied), "G8: rooms are counted");
        let users = count(|log| log.name.is_reserved() && !log.members.is_empty());
        assert_eq!(self.users, users, "G8: users are counted");
        for (room, former, _) in self.absences.iter() {
            let is_back = self.find(room).is_some_and(|at| self.logs[at as usize].members.has_user(&former.user));
            assert!(!is_back, "G2: a user who is in a room is not absent from it");
        }
        self.audit_replica();
        self.charges.audit(self.logs().flat_map(Log::publications).map(|publication| &publication.draft));
        self.fullness.audit(self.logs.iter().map(|(at, log)| (index(at), log.bytes())));
    }

    /// Asserts what holds when nothing is on its way to or from a hub.
    pub fn audit_settled(&self) {
        assert!(self.errands.is_empty(), "G7: every command for a user is answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Expiry, Selection};
    use crate::home::idle::Idle;
    use crate::home::members::Member;
    use crate::ids::{ClientInfo, ConnId};
    use crate::link::{HomeRequest, JoinId, Ticket, UserCommand};
    use crate::map::Keys;
    use crate::names::{RoomName, UserId};
    use crate::node::ShardId;
    use crate::publication::Replay;
    use crate::testing::{audit_finds, client_info, draft};
    use crate::time::Instant;
    use crate::timers::{Armed, Timers};
    use alloc::sync::Arc;

    /// Returns the info of a connection of a user.
    fn ada() -> Arc<ClientInfo> {
        Arc::new(ClientInfo { user: UserId::from("ada"), ..(*client_info(2)).clone() })
    }

    /// Creates a home with a room that has a member, a room that only its log keeps, and an idempotency key.
    fn busy() -> (Home, Config) {
        let config = Config::default();
        let mut home = Home::new(Keys(1, 2), Keys(3, 4));
        let (conn, join) = (ConnId::from_parts(0, 0), JoinId(1));
        let joins = HomeRequest::Join {
            ticket: Ticket { at: 0, serial: 1 },
            conn,
            join,
            room: RoomName::from("a"),
            member: client_info(1),
            replay: Replay::None,
            is_return: false,
        };
        home.handle(Instant(1), ShardId::FIRST, joins, &config);
        for room in ["a", "b"].map(RoomName::from) {
            home.publish_once(Instant(1), &room, draft("1"), Some("key".into()), &config);
        }
        (home, config)
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        audit_finds(
            busy,
            |(home, config)| home.audit(config),
            &[
                ("G6: idempotency keys are bounded", |(_, config)| config.limits.idempotency_keys = 1),
                ("G3: every log has one name", |(home, _)| drop(home.by_name.pop())),
                ("G6: logs are bounded", |(_, config)| config.limits.logs = 1),
                ("G6: history is bounded", |(_, config)| config.limits.history_bytes = 1),
                ("G3: a log is found by its name", |(home, _)| home.logs[0].name = RoomName::from("c")),
                ("G6: rooms are bounded", |(home, config)| home.with_members = config.limits.logs + 1),
                ("is kept without members and offsets", |(home, _)| {
                    home.logs[1] = home.new_log(&RoomName::from("b"));
                }),
                ("G3: exactly the logs without members are idle", |(home, _)| home.idle = Idle::default()),
                ("G3: an idle log is at its position in the order of eviction", |(home, _)| {
                    home.logs[1].touch(Instant(1), 9)
                }),
                ("G6: the deadline of a log is armed", |(home, _)| home.logs[0].armed = Armed::NO),
                ("G7: a deadline is in the queue", |(home, _)| home.timers = Timers::default()),
                ("G3: no evicted log is idle", |(home, _)| {
                    home.idle.set(9, &mut None, home.logs[1].idle_order);
                }),
                ("G3: no evicted log has a deadline", |(home, _)| {
                    home.timers.rearm(9, &mut { Armed::NO }, Instant(9).into());
                }),
                ("G8: logs are counted", |(home, _)| home.numbered -= 1),
                ("G8: rooms are counted", |(home, _)| home.with_members += 1),
                ("G8: users are counted", |(home, _)| home.users += 1),
                ("G6: connections of a user are bounded", |(home, config)| {
                    let log = &mut home.logs[0];
                    home.by_name.swap_remove(&log.name);
                    log.name = RoomName::from("#ada");
                    log.members.insert(Member::new(ada(), ShardId::FIRST, JoinId(2), false));
                    home.by_name.insert(log.name.clone(), 0);
                    config.limits.connections_per_user = core::num::NonZero::new(1);
                }),
                ("G6: absences are bounded", |(home, config)| {
                    config.limits.absences = 0;
                    home.absences.begin(&RoomName::from("b"), ada(), Instant(9));
                }),
                ("G2: a user who is in a room is not absent from it", |(home, _)| {
                    home.logs[0].members.insert(Member::new(ada(), ShardId::FIRST, JoinId(2), false));
                    home.absences.begin(&RoomName::from("a"), ada(), Instant(9));
                }),
                ("G8: history counts its bytes", |(home, _)| home.charges.charge(&draft("1"))),
                ("G8: a log is in the bucket of its bytes", |(home, _)| home.fullness.set(0, 9)),
            ],
        );
    }

    #[test]
    fn the_audit_of_a_settled_home_reports_a_command_that_nobody_answers() {
        audit_finds(
            || {
                let (mut home, config) = busy();
                let room = RoomName::from("#ada");
                let join = HomeRequest::Join {
                    ticket: Ticket { at: 1, serial: 2 },
                    conn: ConnId::from_parts(1, 0),
                    join: JoinId(2),
                    room,
                    member: ada(),
                    replay: Replay::None,
                    is_return: false,
                };
                home.handle(Instant(1), ShardId::FIRST, join, &config);
                home
            },
            Home::audit_settled,
            &[("G7: every command for a user is answered", |home| {
                let command = UserCommand::Refresh { client: Selection::All, expiry: Expiry::Never };
                let ticket = Ticket { at: 0, serial: 1 };
                home.run_errand(ShardId::FIRST, ticket, &RoomName::from("#ada"), &Arc::new(command));
            })],
        );
    }
}
