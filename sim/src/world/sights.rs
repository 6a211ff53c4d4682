//! Goals that a state and the figures show: what has come of an input, whoever foresees it.

use crate::goals::{Goal, Goals};
use crate::world::names::prefix;
use crate::world::setup::Setup;
use crate::world::stimulus::Stimulus;
use parlor_core::snapshot::{ConnView, LogView, PhaseView};
use parlor_core::stats::Totals;
use parlor_core::{CloseCause, Limit, RoomName, Snapshot};

/// Why connections have ended.
const BY_CAUSE: [(CloseCause, Goal); 20] = [
    (CloseCause::Protocol, Goal::Violation),
    (CloseCause::Expired, Goal::Expired),
    (CloseCause::Slow, Goal::Slow),
    (CloseCause::WriteTimeout, Goal::WriteLapsed),
    (CloseCause::NoPong, Goal::NoPong),
    (CloseCause::Unfinished, Goal::Unfinished),
    (CloseCause::UserFull, Goal::UserRefused),
    (CloseCause::InvalidToken, Goal::InvalidToken),
    (CloseCause::TokenRequired, Goal::InvalidToken),
    (CloseCause::BadRequest, Goal::BadRequest),
    (CloseCause::Stale, Goal::AuthenticateLapsed),
    (CloseCause::HandshakeTimeout, Goal::HandshakeLapsed),
    (CloseCause::Backend, Goal::Disconnected),
    (CloseCause::UserConnections, Goal::UserLimit),
    (CloseCause::Rooms, Goal::RoomLimit),
    (CloseCause::Overloaded, Goal::Overloaded),
    (CloseCause::Rate, Goal::TooManyRefusals),
    (CloseCause::Binary, Goal::Violation),
    (CloseCause::Utf8, Goal::Violation),
    (CloseCause::TooLarge, Goal::Violation),
];

/// What was refused for a limit.
const BY_LIMIT: [(Limit, Goal); 13] = [
    (Limit::NewConnectionsPerIp, Goal::ConnectionRate),
    (Limit::Connections, Goal::ConnectionLimit),
    (Limit::ClientFrames, Goal::FrameRate),
    (Limit::ClientCommands, Goal::CommandRate),
    (Limit::ClientPublishes, Goal::PublishRate),
    (Limit::ClientJoins, Goal::JoinRate),
    (Limit::CapsBytes, Goal::TokenTooCapable),
    (Limit::InfoBytes, Goal::TokenTooWordy),
    (Limit::RoomNameBytes, Goal::TokenTooLong),
    (Limit::JsonDepth, Goal::TooDeep),
    (Limit::FilterEvents, Goal::FilterOfTooMany),
    (Limit::Logs, Goal::LogsFull),
    (Limit::ReplyBytes, Goal::ReplyTooLarge),
];

/// The goals that the figures show.
pub(super) fn in_totals(totals: &Totals) -> Goals {
    let mut goals = Goals::default();
    let causes = BY_CAUSE.iter().filter(|(cause, _)| totals.closed.contains_key(cause)).map(|(_, goal)| *goal);
    let limits = BY_LIMIT.iter().filter(|(limit, _)| totals.limits.contains_key(limit)).map(|(_, goal)| *goal);
    causes.chain(limits).for_each(|goal| goals.reach(goal));
    goals
}

/// The goals that the states before and after an input show.
pub(super) fn in_states(
    setup: &Setup,
    stimulus: &Stimulus<'_>,
    of: Option<&ConnView>,
    before: &Snapshot,
    after: &Snapshot,
) -> Goals {
    let mut goals = Goals::default();
    if let Some(of) = of {
        on_connection(stimulus, of, after, &mut goals);
        if matches!(stimulus, Stimulus::Lost(..)) && is_absence_refused(setup, of, before, after) {
            goals.reach(Goal::AbsenceRefused);
        }
    }
    let is_gone = |conn: &ConnView| after.conns.iter().all(|other| other.id != conn.id);
    let is_closing = |conn: &ConnView| matches!(conn.phase, PhaseView::Closing { .. });
    if matches!(stimulus, Stimulus::Tick) && before.conns.iter().any(|conn| is_closing(conn) && is_gone(conn)) {
        goals.reach(Goal::CloseLapsed);
    }
    let has_phase = |which: fn(&PhaseView) -> bool| before.conns.iter().any(|conn| which(&conn.phase));
    if matches!(stimulus, Stimulus::Shutdown)
        && has_phase(|phase| *phase == PhaseView::Handshaking)
        && has_phase(|phase| matches!(phase, PhaseView::Open { .. }))
        && has_phase(|phase| matches!(phase, PhaseView::Closing { .. }))
    {
        goals.reach(Goal::ShutDownWithPeersInEveryPhase);
    }
    for conn in &after.conns {
        closing(conn, &mut goals);
        if conn.id.generation() >= 2 {
            goals.reach(Goal::SlotReused);
        }
        let earlier = before.conns.iter().find(|earlier| earlier.id == conn.id);
        earlier.into_iter().for_each(|earlier| changed(earlier, conn, &mut goals));
    }
    if after.users.iter().any(|(_, conns)| conns.len() > 1) {
        goals.reach(Goal::UserTwice);
    }
    for log in &after.logs {
        match before.logs.iter().find(|earlier| earlier.name == log.name && earlier.epoch == log.epoch) {
            Some(earlier) => of_log(earlier, log, stimulus, &mut goals),
            None if !after.evicted.is_empty() => goals.reach(Goal::LogReplaced),
            None => {}
        }
    }
    if after.absences.iter().any(|absence| !before.absences.contains(absence)) {
        goals.reach(Goal::Absent);
    }
    if before.absences.iter().any(|absence| !after.absences.contains(absence)) {
        let is_over = matches!(stimulus, Stimulus::Tick);
        goals.reach(if is_over { Goal::AbsenceOver } else { Goal::BackInTime });
    }
    if before.keys.iter().any(|key| !after.keys.contains(key)) {
        goals.reach(Goal::KeyForgotten);
    }
    goals
}

/// What an input did to the connection that it is about.
fn on_connection(stimulus: &Stimulus<'_>, of: &ConnView, after: &Snapshot, goals: &mut Goals) {
    let is_closing = matches!(of.phase, PhaseView::Closing { .. });
    let is_half = of.half_written > 0;
    match stimulus {
        // What waits for a plain client when it comes in was retained.
        Stimulus::Upgraded(_) if is_sent_publications(of, after) => goals.reach(Goal::Recovered),
        Stimulus::PeerClosed(..) if is_closing => goals.reach(Goal::PeerClosedWhileClosing),
        Stimulus::PeerClosed(..) if is_half => goals.reach(Goal::PeerClosedHalfWritten),
        Stimulus::Lost(_, cause) => {
            goals.reach(match of.phase {
                PhaseView::Handshaking => Goal::LostHandshaking,
                PhaseView::Open { .. } => Goal::LostOpen,
                PhaseView::Closing { .. } => Goal::LostClosing,
            });
            let is_end = *cause == CloseCause::PeerEof;
            if is_end && is_half && !is_closing {
                goals.reach(Goal::EndedHalfWritten);
            }
            if is_end && is_closing && after.conns.iter().all(|conn| conn.id != of.id) {
                goals.reach(Goal::EndedByBoth);
            }
        }
        _ => {}
    }
}

/// Whether the last connection of a user has ended, and the user has left a room at once that has a grace, since as many are
/// absent as may be.
fn is_absence_refused(setup: &Setup, of: &ConnView, before: &Snapshot, after: &Snapshot) -> bool {
    let PhaseView::Open { user, rooms, .. } = &of.phase else { return false };
    let is_last = before.users.iter().any(|(name, conns)| name == user && conns.len() == 1);
    let is_absent = |room: &RoomName| after.absences.iter().any(|view| view.user == *user && view.room == *room);
    let has_left = |room: &RoomName| !setup.rules(prefix(room)).presence_grace.is_zero() && !is_absent(room);
    let is_full = setup.shards == 1 && before.absences.len() >= setup.limits.absences;
    is_full && is_last && rooms.iter().any(|(room, is_member)| *is_member && has_left(room))
}

fn is_sent_publications(of: &ConnView, after: &Snapshot) -> bool {
    let waiting = after.conns.iter().filter(|conn| conn.id == of.id).flat_map(|conn| &conn.outbox);
    waiting.into_iter().any(|frame| String::from_utf8_lossy(frame).contains(r#"{"n":"#))
}

fn closing(conn: &ConnView, goals: &mut Goals) {
    let PhaseView::Closing { cause, .. } = conn.phase else { return };
    let is_half = conn.half_written > 0;
    if is_half && conn.outbox.len() == 1 {
        goals.reach(Goal::CloseHalfWritten);
    }
    match cause {
        CloseCause::Slow if is_half => goals.reach(Goal::SlowHalfWritten),
        CloseCause::Shutdown | CloseCause::Expired | CloseCause::Backend if conn.outbox.len() > 1 => {
            goals.reach(Goal::ClosedInOrder);
        }
        _ => {}
    }
}

fn changed(earlier: &ConnView, now: &ConnView, goals: &mut Goals) {
    let (PhaseView::Open { user: before, stage: was, .. }, PhaseView::Open { user, .. }) = (&earlier.phase, &now.phase)
    else {
        return;
    };
    if *was == "ready" && before.is_empty() && !user.is_empty() {
        goals.reach(Goal::Renamed);
    }
    let deadline = |view: &ConnView| view.deadlines.iter().find(|(timer, _)| *timer == "pong").map(|(_, at)| *at);
    match (deadline(earlier), deadline(now)) {
        (Some(_), None) => goals.reach(Goal::PingAnswered),
        (Some(before), Some(after)) if before != after => goals.reach(Goal::PongDeadlineStoodStill),
        _ => {}
    }
}

fn of_log(earlier: &LogView, now: &LogView, stimulus: &Stimulus<'_>, goals: &mut Goals) {
    let first = |log: &LogView| log.entries.first().map(|(offset, _)| *offset);
    if earlier.entries.is_empty() || first(earlier) == first(now) {
        return;
    }
    goals.reach(match stimulus {
        Stimulus::Tick => Goal::Aged,
        Stimulus::Call(_) if now.entries.is_empty() && now.top == earlier.top => Goal::HistoryRemoved,
        _ => Goal::Trimmed,
    });
}
