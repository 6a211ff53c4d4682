//! Counters. Gauges equal the size of what they count (G8), totals only grow.

use crate::close::{ABNORMAL, CloseCause, NO_STATUS};
use crate::limits::Limit;
pub use crate::tallies::{Evictions, PeerCloses, Recoveries, TokenVerdicts};
use alloc::collections::BTreeMap;
use core::ops::AddAssign;

/// The sizes of a shard's present state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Gauges {
    /// Connections in any phase, which are the occupied slots.
    pub connections: usize,
    /// Connections of the `json` protocol.
    pub json: ConnectionStates,
    /// Connections of the `plain` protocol.
    pub plain: ConnectionStates,
    /// Users whose personal room is occupied, which are those with a connection or an absence.
    pub users: usize,
    /// Rooms with a member or an absence.
    pub rooms: usize,
    /// Absences: users who stay listed after the end of a connection, once for each room.
    pub absences: usize,
    /// Memberships in all rooms.
    pub memberships: usize,
    /// Logs that have numbered a publication.
    pub logs: usize,
    /// Bytes that all logs retain; a payload in several logs counts once.
    pub history_bytes: usize,
    /// Bytes that wait for sockets; a shared frame counts once for each connection.
    pub outbox_bytes: usize,
    /// Bytes of frames that sockets have refused, each counted once, which `outbox_bytes_total` bounds.
    pub refused_bytes: usize,
    /// Bytes of clients' input that is not carried out yet, and of the bodies of calls that are not answered.
    pub inbound_bytes: usize,
}

/// The connections of one protocol, by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct ConnectionStates {
    /// Those that are not ready yet: their 101 is being written, their token checked, or their rooms joined.
    pub opening: usize,
    /// Those that are ready.
    pub ready: usize,
    /// Those that are closing.
    pub closing: usize,
}

impl ConnectionStates {
    /// Returns the number of connections.
    #[must_use]
    pub fn sum(&self) -> usize {
        self.opening + self.ready + self.closing
    }
}

impl AddAssign<&Self> for ConnectionStates {
    fn add_assign(&mut self, other: &Self) {
        let Self { opening, ready, closing } = *other;
        self.opening += opening;
        self.ready += ready;
        self.closing += closing;
    }
}

/// The events since the start of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Upgrade requests refused.
    pub refused: u64,
    /// Connections that ended, by cause.
    pub closed: BTreeMap<CloseCause, u64>,
    /// Those that clients have closed ([`CloseCause::PeerClose`]), by code.
    pub peer_closes: PeerCloses,
    /// Tokens that were judged, or missing where one is required.
    pub tokens: TokenVerdicts,
    /// Joins that asked for what was missed.
    pub recoveries: Recoveries,
    /// Losses because of limits.
    pub evictions: Evictions,
    /// Text messages from clients.
    pub messages_in: u64,
    /// Publications of clients and backends.
    pub published: u64,
    /// Frames put into outboxes.
    pub frames_queued: u64,
    /// Frames written to sockets whole.
    pub frames_written: u64,
    /// Frames dropped before they were written, by the cause for which their connection ended.
    pub frames_dropped: BTreeMap<CloseCause, u64>,
    /// Pongs dropped before they were written, each for a newer one of its connection.
    pub pongs_replaced: u64,
    /// Bytes written to sockets.
    pub bytes_written: u64,
    /// Refusals because of a limit, by limit.
    pub limits: BTreeMap<Limit, u64>,
    /// Errors in answers to clients.
    pub errors: u64,
    /// Messages of `plain` clients with an unknown type.
    pub unknown_types: u64,
    /// Inputs for connections that had ended.
    pub stale_inputs: u64,
    /// Inputs that have no meaning in the phase of their connection.
    pub ignored_inputs: u64,
    /// Joins that the home confirmed after they were given up.
    pub late_joins: u64,
    /// Answers of homes that came after those who waited for them had been told that there is none.
    pub late_answers: u64,
    /// Memberships that were interrupted because publications may not have reached the hub.
    pub gaps: u64,
    /// Publications that reached the hub twice, and were delivered once.
    pub repeats: u64,
    /// Times at which the clock went back and the shard kept the earlier time.
    pub clock_backsteps: u64,
}

/// The gauges and totals of a shard at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Stats {
    /// The sizes of the present state.
    pub gauges: Gauges,
    /// The events since the start.
    pub totals: Totals,
}

impl AddAssign<&Self> for Gauges {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            connections,
            json,
            plain,
            users,
            rooms,
            absences,
            memberships,
            logs,
            history_bytes,
            outbox_bytes,
            refused_bytes,
            inbound_bytes,
        } = other;
        self.connections += connections;
        self.json += json;
        self.plain += plain;
        self.users += users;
        self.rooms += rooms;
        self.absences += absences;
        self.memberships += memberships;
        self.logs += logs;
        self.history_bytes += history_bytes;
        self.outbox_bytes += outbox_bytes;
        self.refused_bytes += refused_bytes;
        self.inbound_bytes += inbound_bytes;
    }
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            accepted,
            refused,
            closed,
            peer_closes,
            tokens,
            recoveries,
            evictions,
            messages_in,
            published,
            frames_queued,
            frames_written,
            frames_dropped,
            pongs_replaced,
            bytes_written,
            limits,
            errors,
            unknown_types,
            stale_inputs,
            ignored_inputs,
            late_joins,
            late_answers,
            clock_backsteps,
            gaps,
            repeats,
        } = other;
        self.accepted += accepted;
        self.refused += refused;
        add(&mut self.closed, closed);
        self.peer_closes += peer_closes;
        self.tokens += tokens;
        self.recoveries += recoveries;
        self.evictions += evictions;
        self.messages_in += messages_in;
        self.published += published;
        self.frames_queued += frames_queued;
        self.frames_written += frames_written;
        add(&mut self.frames_dropped, frames_dropped);
        self.pongs_replaced += pongs_replaced;
        self.bytes_written += bytes_written;
        add(&mut self.limits, limits);
        self.errors += errors;
        self.unknown_types += unknown_types;
        self.stale_inputs += stale_inputs;
        self.ignored_inputs += ignored_inputs;
        self.late_joins += late_joins;
        self.late_answers += late_answers;
        self.clock_backsteps += clock_backsteps;
        self.gaps += gaps;
        self.repeats += repeats;
    }
}

fn add<K: Copy + Ord>(counts: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    others.iter().for_each(|(key, count)| *counts.entry(*key).or_default() += count);
}

impl Totals {
    /// Counts the end of a connection, with the code of its Close frame.
    pub fn count_end(&mut self, cause: CloseCause, code: u16) {
        *self.closed.entry(cause).or_default() += 1;
        if cause == CloseCause::PeerClose {
            let closes = &mut self.peer_closes;
            *match code {
                1000 => &mut closes.normal,
                1001 => &mut closes.going_away,
                NO_STATUS | ABNORMAL => &mut closes.none,
                _ => &mut closes.other,
            } += 1;
        }
    }

    /// Counts frames that are dropped since their connection ends.
    pub(crate) fn drop_frames(&mut self, cause: CloseCause, frames: u64) {
        if frames > 0 {
            *self.frames_dropped.entry(cause).or_default() += frames;
        }
    }
}

/// Adds what another shard of the same node counts.
impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        self.gauges += &other.gauges;
        self.totals += &other.totals;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stats_of_two_shards_are_added() {
        let mut stats = Stats::default();
        stats.gauges.rooms = 2;
        stats.totals.accepted = 3;
        stats.gauges.plain = ConnectionStates { opening: 1, ready: 2, closing: 3 };
        stats.totals.closed.insert(CloseCause::Slow, 1);
        stats.totals.evictions.absences = 5;
        stats.totals.limits.insert(Limit::Logs, 4);
        let one = stats.clone();
        stats += &one;
        assert_eq!((stats.gauges.rooms, stats.totals.accepted), (4, 6));
        assert_eq!(stats.totals.closed, [(CloseCause::Slow, 2)].into());
        assert_eq!(stats.totals.limits, [(Limit::Logs, 8)].into());
        assert_eq!((stats.gauges.plain.sum(), stats.totals.evictions.absences), (12, 10));
    }
}
