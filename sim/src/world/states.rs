//! What a state alone shows to be wrong, or the step from one to the next, whoever foresees it: something empty that stays, and
//! bounds that are not kept.

use super::names::prefix;
use super::setup::Setup;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::world::stimulus::Stimulus;
use parlor_core::Snapshot;
use parlor_core::snapshot::LogView;
use parlor_core::stats::Gauges;

/// G3: nothing that is empty stays.
pub(super) fn check_nothing_is_empty(after: &Snapshot) -> Result<(), Failure> {
    let rooms = after.rooms.iter().map(|room| (room.name.as_str(), room.members.is_empty()));
    let users = after.users.iter().map(|(user, conns)| (user.as_str(), conns.is_empty()));
    match rooms.chain(users).find(|(_, is_empty)| *is_empty) {
        Some((name, _)) => Err(Failure::new(Guarantee::G3, "nothing empty", format_args!("{name:?} is empty"))),
        None => Ok(()),
    }
}

/// G6: no room retains more than it may, and, on one shard, no user has more connections than there may be.
pub(super) fn check_bounds(setup: &Setup, after: &Snapshot) -> Result<(), Failure> {
    for log in &after.logs {
        let most = (setup.rules(prefix(&log.name)).history_messages, setup.limits.history_bytes_per_room);
        let saw = (log.entries.len(), bytes(log));
        if saw.0 > most.0 || saw.1 > most.1 {
            let expected = format_args!("{:?} to retain at most {most:?} messages and bytes", log.name);
            return Err(Failure::new(Guarantee::G6, expected, format_args!("{saw:?}")));
        }
    }
    let most = setup.limits.connections_per_user.filter(|_| setup.shards == 1);
    let crowd = after.users.iter().find(|(_, conns)| most.is_some_and(|most| conns.len() > most.get()));
    match crowd {
        Some((user, conns)) => {
            let expected = format_args!("at most {most:?} connections of {user:?}");
            Err(Failure::new(Guarantee::G6, expected, conns.len()))
        }
        None => Ok(()),
    }
}

/// G8: the gauges of one shard equal what its state has of memberships and absences.
pub(super) fn check_gauges(setup: &Setup, gauges: &Gauges, after: &Snapshot) -> Result<(), Failure> {
    if setup.shards > 1 {
        return Ok(());
    }
    let memberships: usize = after.rooms.iter().map(|room| room.members.len()).sum();
    let (expected, saw) = ((memberships, after.absences.len()), (gauges.memberships, gauges.absences));
    equal(Guarantee::G8, "memberships and absences:", &expected, &saw)
}

/// What a publication is charged for at most beside its payload.
const BESIDE: usize = 200;

/// G6: where there is too much in all, no room gives up anything as long as another one retains much more. A room that is not
/// published to meanwhile retains no less before than it does afterwards, and what several rooms retain is charged once.
pub(super) fn check_fairness(
    stimulus: &Stimulus<'_>,
    now: u64,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<(), Failure> {
    if !matches!(stimulus, Stimulus::Call(call) if call.method.starts_with("publish")) {
        return Ok(());
    }
    let of_before = |log: &LogView| before.logs.iter().find(|of| of.name == log.name && of.epoch == log.epoch);
    let quiet =
        || after.logs.iter().filter_map(|log| Some((of_before(log)?, log))).filter(|(of, log)| of.top == log.top);
    let is_its = |log: &LogView, line: &String| {
        let others = after.logs.iter().filter(|other| other.name != log.name);
        others.flat_map(|other| &other.entries).all(|(_, other)| other != line)
    };
    let own = |log: &LogView| -> usize {
        log.entries.iter().filter(|(_, line)| is_its(log, line)).map(|(_, line)| line.len()).sum()
    };
    let most = quiet().map(|(_, log)| own(log)).max().unwrap_or_default();
    let has_lost = |(of, log): &(&LogView, &LogView)| {
        let is_due = of.ages_out.is_none_or(|at| at.0 <= now);
        !is_due && log.entries.len() < of.entries.len()
    };
    let charged = |log: &LogView| bytes(log) + BESIDE * log.entries.len();
    match quiet().filter(has_lost).find(|(of, _)| charged(of) < most) {
        Some((of, _)) => {
            let expected = format_args!("the fullest log to give up, where one retains {most} bytes");
            Err(Failure::new(Guarantee::G6, expected, format_args!("{:?}, which had {} bytes", of.name, bytes(of))))
        }
        None => Ok(()),
    }
}

fn bytes(log: &LogView) -> usize {
    log.entries.iter().map(|(_, line)| line.len()).sum()
}
