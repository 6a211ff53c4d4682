//! The accounts of connections that end: what they were is remembered before it is gone.

use super::Hub;
use crate::close::CloseCause;
use crate::connection::outbox::Queue;
use crate::connection::{Phase, Stage};
use crate::effect::End;
use crate::explain::{ENDED_ROOMS, EndAccount};
use crate::ids::Slot;
use crate::names::RoomName;
use crate::publication::Publication;

impl Hub {
    /// Remembers a connection as it is, before it leaves its phase to close or to end. Only the first time counts.
    pub(super) fn note_ending(&mut self, slot: Slot) {
        let conn = &self.conns[slot];
        // Of one that never was open there is nothing to tell, and those who only knock would have all others forgotten.
        if conn.record.ending().is_some() || matches!(conn.phase, Phase::Handshaking(_)) {
            return;
        }
        let mut account = self.account_of(conn, ENDED_ROOMS);
        if conn.open().is_some_and(|open| matches!(open.stage, Stage::Joining(_))) {
            // The reply to `connect`, and what waits behind it, is not sent any more.
            let joined = account.rooms.iter_mut().filter_map(|room| room.joined.as_mut());
            joined.for_each(|joined| (joined.sent_through, joined.replayed_from) = (joined.joined_at, None));
        }
        if let Some((room, prev)) = conn.record.overflow()
            && let Some(joined) = account.rooms.iter_mut().find(|at| at.room == *room).and_then(|at| at.joined.as_mut())
        {
            joined.sent_through = joined.sent_through.min(*prev);
        }
        account.state = "closing";
        account.dropped_frames = conn.record.refused_frames();
        let number = self.ended.add(account);
        self.conns[slot].record.set_ending(number);
    }

    /// Records which publication connections could not take, for which they are to be closed.
    #[cold]
    pub(super) fn note_overflow(&mut self, room: &RoomName, publication: &Publication) {
        for (conn, _) in &self.slow {
            self.conns[conn.slot].record.set_overflow(Some((room.clone(), publication.prev)));
        }
    }

    /// Counts frames that a connection is not sent any more: for the shard, and for who asks about the connection.
    pub(super) fn drop_frames(&mut self, slot: Slot, cause: CloseCause, frames: u64) {
        self.totals.drop_frames(cause, frames);
        let number = self.conns[slot].record.ending();
        if let Some(account) = number.and_then(|number| self.ended.get_mut(number)) {
            account.dropped_frames += frames;
        }
    }

    /// Records how a connection ended, before its slot is vacant.
    pub(super) fn note_end(&mut self, slot: Slot, end: &End) {
        let at_ms = self.now.unix_ms;
        let unwritten = self.conns[slot].queue().map_or(0, Queue::len) as u64;
        let record = &self.conns[slot].record;
        let Some(account) = record.ending().and_then(|number| self.ended.get_mut(number)) else { return };
        let reason = end.reason();
        account.limits = record.limits().to_vec();
        account.state = "ended";
        // Without the answers that leaving its rooms queues, which nobody reads any more.
        account.dropped_frames += unwritten;
        account.end = Some(EndAccount {
            at_ms,
            cause: end.cause,
            code: reason.code(),
            reason: reason.text().into(),
            clean: end.clean,
        });
    }
}
