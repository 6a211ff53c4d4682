//! The steps of each connection make sense: it is somebody before it is in a room, joins and leaves in turns, has left every
//! room when it ends, and is in as many rooms as the server counts.

use crate::checkers::checker::Checked;
use crate::checkers::observation::ObservedTurn;
use crate::guarantees::{Failure, Guarantee, equal};
use parlor_core::{ConnId, ConnectionStep, Effect, RoomName, StepChange, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// The connections of all shards, as their steps have told of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    shards: BTreeMap<usize, BTreeMap<ConnId, FollowedConnection>>,
    /// Whether a step was told. A hand-written manager tells none, and is not asked to.
    are_told: bool,
}

/// A connection that is not at its end.
#[derive(Clone, Debug, Default)]
struct FollowedConnection {
    user: Option<UserId>,
    rooms: BTreeSet<RoomName>,
}

impl Steps {
    pub(super) fn turned(&mut self, turn: &ObservedTurn<'_>) -> Checked {
        let conns = self.shards.entry(turn.shard).or_default();
        for effect in turn.effects {
            match effect {
                Effect::Step(step) => {
                    self.are_told = true;
                    conns.entry(step.conn).or_default().step(step)?;
                }
                Effect::Closed { conn, .. } => {
                    let rooms = conns.remove(conn).unwrap_or_default().rooms;
                    equal(Guarantee::G4, "rooms that a connection is in at its end:", &BTreeSet::new(), &rooms)?;
                }
                _ => {}
            }
        }
        if !self.are_told {
            return Ok(());
        }
        let all = self.shards.values().flat_map(BTreeMap::values);
        let memberships = all.map(|conn| conn.rooms.len()).sum::<usize>();
        equal(Guarantee::G8, "memberships, by what was told of them:", &memberships, &turn.stats.gauges.memberships)
    }

    pub(super) fn shard_lost(&mut self, shard: usize) {
        self.shards.remove(&shard);
    }
}

impl FollowedConnection {
    fn step(&mut self, ConnectionStep { conn, change }: &ConnectionStep) -> Checked {
        match change {
            StepChange::Authenticated { user } => {
                if self.user.replace(user.clone()).as_ref() == Some(user) {
                    return Err(wrong(*conn, "another user than before", user));
                }
            }
            StepChange::Joined { room } => {
                if self.user.is_none() && !room.is_reserved() {
                    return Err(wrong(*conn, "to be somebody before it is in", room));
                }
                if !self.rooms.insert(room.clone()) {
                    return Err(wrong(*conn, "to leave before it joins again", room));
                }
            }
            StepChange::Left { room, .. } => {
                if !self.rooms.remove(room) {
                    return Err(wrong(*conn, "to be in a room that it leaves", room));
                }
            }
        }
        Ok(())
    }
}

fn wrong(conn: ConnId, expected: &str, saw: &str) -> Failure {
    Failure::new(Guarantee::G4, format_args!("{conn}: {expected}"), saw)
}
