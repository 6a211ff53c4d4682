//! The log of one room: its epoch, its top offset, and what of it is still retained.

use super::charges::Charges;
use super::members::Members;
use crate::api::HistoryQuery;
use crate::error::{Error, ErrorCode};
use crate::ids::Name;
use crate::limits::Limits;
use crate::map::Keys;
use crate::protocol::shapes::{publication_bytes, replayed_bytes};
use crate::publication::{LogPosition, Page, Publication, Replay, Replayed, epoch_text};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// What a room has said, and who is there to hear it.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub name: Name,
    epoch: u64,
    top: u64,
    retained: VecDeque<Retained>,
    bytes: usize,
    pub members: Members,
    /// When it lost its last member or was published to, whichever was later, and which of all such times of the home's
    /// logs that was.
    touched: (Instant, u64),
    /// The place that it has in the home's order of eviction.
    pub place: Option<u64>,
    /// The deadline that it has in the home's timers.
    pub armed: Instant,
}

#[derive(Clone, Debug)]
struct Retained {
    at: Instant,
    publication: Arc<Publication>,
}

impl Log {
    pub fn new(name: Name, epoch: u64, keys: Keys) -> Self {
        Self {
            name,
            epoch,
            top: 0,
            retained: VecDeque::new(),
            bytes: 0,
            members: Members::new(keys),
            touched: (Instant::default(), 0),
            place: None,
            armed: Instant::NEVER,
        }
    }

    /// The newest message's place.
    pub fn position(&self) -> LogPosition {
        LogPosition { epoch: self.epoch, offset: self.top }
    }

    /// Whether it has given a number to anything: one that has not needs no memory, its epoch is that of any other.
    pub fn is_numbered(&self) -> bool {
        self.top > 0
    }

    /// Takes the next number.
    pub fn next_offset(&mut self) -> u64 {
        self.top += 1;
        self.top
    }

    /// Marks it as last used now: it lost its last member, or was published to. `count` grows from one such time to the next.
    pub fn touch(&mut self, now: Instant, count: u64) {
        self.touched = (now, count);
    }

    /// When it was last used, as a number that grows from one use of any log to the next.
    pub fn last_used(&self) -> u64 {
        self.touched.1
    }

    /// Its place in the order of eviction, which is none while it has a member.
    pub fn eviction_order(&self) -> Option<u64> {
        self.members.is_empty().then_some(self.touched.1)
    }

    /// Keeps the newest message, and of all of them no more than a log may; one that is too large by itself takes all that
    /// was before it along.
    pub fn retain(&mut self, now: Instant, publication: Arc<Publication>, limits: &Limits, charges: &mut Charges) {
        assert_eq!(publication.offset, self.top, "G5: a log is appended to in order");
        self.bytes += publication.draft.bytes();
        charges.charge(&publication.draft);
        self.retained.push_back(Retained { at: now, publication });
        while self.retained.len() > limits.history_messages || self.bytes > limits.largest_log() {
            self.drop_oldest(charges);
        }
    }

    /// Drops what is `age` old or older.
    pub fn drop_older(&mut self, now: Instant, age: Duration, charges: &mut Charges) {
        while self.retained.front().is_some_and(|oldest| oldest.at.after(age) <= now) {
            self.drop_oldest(charges);
        }
    }

    /// Drops everything.
    pub fn drop_all(&mut self, charges: &mut Charges) {
        while !self.retained.is_empty() {
            self.drop_oldest(charges);
        }
    }

    /// Drops the oldest message that is retained.
    pub fn drop_oldest(&mut self, charges: &mut Charges) {
        let oldest = self.retained.pop_front().expect("a log that gives something up retains something");
        self.bytes -= oldest.publication.draft.bytes();
        charges.discharge(&oldest.publication.draft);
    }

    /// Whether anything is retained.
    pub fn retains(&self) -> bool {
        !self.retained.is_empty()
    }

    /// What a new member gets before anything else.
    ///
    /// # Errors
    /// 112 when it cannot have all that it has missed and wants that or nothing.
    pub fn replay(&self, replay: &Replay, limits: &Limits) -> Result<Replayed, Error> {
        match replay {
            Replay::None => Ok(Replayed::default()),
            Replay::Last(count) => {
                let query =
                    HistoryQuery { limit: i64::try_from(*count).unwrap_or(i64::MAX), since: None, reverse: true };
                let mut publications = self.page(&query, limits)?.publications;
                publications.reverse();
                Ok(Replayed { recovered: None, publications })
            }
            Replay::Since { epoch, offset, or_refuse } => match self.missed(epoch, *offset, limits) {
                Some(publications) => Ok(Replayed { recovered: Some(true), publications }),
                None if *or_refuse => Err(ErrorCode::Unrecoverable.into()),
                None => Ok(Replayed { recovered: Some(false), publications: Vec::new() }),
            },
        }
    }

    /// All that came after a position, or nothing: when it is a position in another log or above the top, when some of it
    /// is not retained any more, or when it is more than a reply may hold.
    fn missed(&self, epoch: &str, offset: u64, limits: &Limits) -> Option<Vec<Arc<Publication>>> {
        let missing = usize::try_from(self.top.checked_sub(offset)?).ok()?;
        let known = epoch.is_empty() || epoch == epoch_text(self.epoch);
        if !known || missing > self.retained.len().min(limits.reply_messages) {
            return None;
        }
        let missed = self.retained.range(self.retained.len() - missing..);
        let missed = Replayed {
            recovered: None,
            publications: missed.map(|retained| Arc::clone(&retained.publication)).collect(),
        };
        (replayed_bytes(&missed) <= limits.reply_bytes).then_some(missed.publications)
    }

    /// A part of what is retained, cut at the last message that fits a reply.
    ///
    /// # Errors
    /// 112 when the position is in another log, 107 when nothing can be before it.
    pub fn page(&self, query: &HistoryQuery, limits: &Limits) -> Result<Page, Error> {
        let since = query.since.as_ref();
        if since.is_some_and(|since| !since.epoch.is_empty() && since.epoch != epoch_text(self.epoch)) {
            return Err(ErrorCode::Unrecoverable.into());
        }
        let most = usize::try_from(query.limit).unwrap_or(usize::MAX).min(limits.reply_messages);
        // The first of them needs no comma.
        let mut left = limits.reply_bytes.saturating_add(1);
        let fits = |publication: &&Arc<Publication>| {
            let bytes = publication_bytes(publication) + 1;
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        };
        let all = self.retained.iter().map(|retained| &retained.publication);
        let publications = if query.reverse {
            let below = since.map_or(u64::MAX, |since| since.offset);
            all.rev()
                .skip_while(|publication| publication.offset >= below)
                .take(most)
                .take_while(fits)
                .cloned()
                .collect()
        } else {
            let above = since.map_or(0, |since| since.offset);
            all.skip_while(|publication| publication.offset <= above).take(most).take_while(fits).cloned().collect()
        };
        Ok(Page { publications, position: Some(self.position()) })
    }

    /// When the oldest retained message is to be dropped.
    pub fn ages_out(&self, age: Duration) -> Instant {
        self.retained.front().map_or(Instant::NEVER, |oldest| oldest.at.after(age))
    }

    /// When there is no reason left to remember it; never while it has a member or retains something.
    pub fn forgotten_at(&self, memory: Duration) -> Instant {
        match (self.members.is_empty() && self.retained.is_empty(), self.is_numbered()) {
            (true, true) => self.touched.0.after(memory),
            (true, false) => Instant::default(),
            (false, _) => Instant::NEVER,
        }
    }

    /// Bytes retained, with all of what other logs retain too.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is retained, oldest first.
    pub fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.retained.iter().map(|retained| &*retained.publication)
    }

    /// Checks bounds, order and counts.
    pub fn audit(&self, limits: &Limits) {
        self.members.audit();
        assert!(self.retained.len() <= limits.history_messages, "G6: a log is bounded");
        assert!(self.bytes <= limits.largest_log(), "G6: a log is bounded in bytes");
        let offsets = self.publications().map(|publication| publication.offset);
        let first = self.top - self.retained.len() as u64 + 1;
        let newest_known =
            self.retained.is_empty() || self.retained.back().is_some_and(|last| last.publication.offset == self.top);
        assert!(newest_known && offsets.eq(first..=self.top), "G5: a log has no hole");
        assert_eq!(
            self.bytes,
            self.publications().map(|publication| publication.draft.bytes()).sum::<usize>(),
            "G8: a log counts its bytes"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, publication};

    fn log() -> Log {
        let mut log = Log::new(Name::from("a"), 7, Keys(1, 2));
        for data in ["1", "22", "333"] {
            let offset = log.next_offset();
            log.retain(Instant(offset), publication(offset, data), &Limits::default(), &mut Charges::new(Keys(1, 2)));
        }
        log
    }

    #[test]
    fn its_audit_finds_what_is_wrong() {
        let make = || (log(), Limits { history_messages: 3, ..Limits::default() });
        audit_finds(
            make,
            |(log, limits)| log.audit(limits),
            &[
                ("G6: a log is bounded", |(_, limits)| limits.history_messages = 2),
                ("G6: a log is bounded in bytes", |(_, limits)| limits.history_bytes_per_room = 5),
                ("G5: a log has no hole", |(log, _)| drop(log.retained.remove(1))),
                ("G5: a log has no hole", |(log, _)| drop(log.retained.pop_back())),
                ("G5: a log has no hole", |(log, _)| log.top += 1),
                ("G8: a log counts its bytes", |(log, _)| log.bytes += 1),
            ],
        );
    }
}
