//! The log of one room: its epoch, its top offset and its retained publications.

use super::charges::Charges;
use super::members::Members;
use crate::api::{HistoryLimit, HistoryQuery};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::explain::{LogAccount, PublicationAccount, UnknownPublication};
use crate::limits::Limits;
use crate::map::Keys;
use crate::names::RoomName;
use crate::policy::Policy;
use crate::publication::{EpochText, LogPage, LogPosition, Publication, Replay, Replayed};
use crate::tallies::Recoveries;
use crate::time::{Deadline, Instant};
use crate::timers::Armed;
use crate::wire::shapes::{publication_bytes, replayed_bytes};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// The log and the members of one room.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Log {
    /// The name of the room.
    pub name: RoomName,
    epoch: u64,
    top: u64,
    retained: VecDeque<Retained>,
    bytes: usize,
    /// The members of the room.
    pub members: Members,
    /// The time of the last use (a publication, or the loss of the last member), and its number among all uses of the
    /// home's logs.
    touched: (Instant, u64),
    /// The position in the home's order of eviction, as [`Idle`](super::idle::Idle) holds it.
    pub idle_order: Option<u64>,
    /// The entry in the home's queue of timers.
    pub armed: Armed,
}

#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Retained {
    at: Instant,
    publication: Arc<Publication>,
}

/// The time for which a log without members is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogMemory {
    /// So long after its last use, and while it retains anything: nobody else has it.
    Own(Duration),
    /// So long after its last member has left, whatever it retains: an engine has it.
    OfCopy(Duration),
}

/// The count of a reason for which what was missed is not sent.
type Unrecovered = fn(&mut Recoveries) -> &mut u64;

/// The publications that a client has missed, or the count of the reason for which they are not sent.
type Missed = Result<Vec<Arc<Publication>>, Unrecovered>;

impl Log {
    /// Creates an empty log for this room, with offset 0.
    pub fn new(name: RoomName, epoch: u64, keys: Keys) -> Self {
        Self {
            name,
            epoch,
            top: 0,
            retained: VecDeque::new(),
            bytes: 0,
            members: Members::new(keys),
            touched: (Instant::default(), 0),
            idle_order: None,
            armed: Armed::NO,
        }
    }

    /// Returns the position of the newest publication; offset 0 before the first.
    pub fn position(&self) -> LogPosition {
        LogPosition { epoch: self.epoch, offset: self.top }
    }

    /// Returns `true` once a publication has got an offset. Before that the log needs no memory, since its epoch is
    /// derived from the room's name.
    pub fn is_numbered(&self) -> bool {
        self.top > 0
    }

    /// Increments the top offset and returns it.
    pub fn next_offset(&mut self) -> u64 {
        self.top += 1;
        self.top
    }

    /// Sets the last use to `now`. `count` is the number of this use, greater than those of all earlier uses of any
    /// log.
    pub fn touch(&mut self, now: Instant, count: u64) {
        self.touched = (now, count);
    }

    /// Returns the number of the last use, which orders the uses of all logs.
    pub fn last_used(&self) -> u64 {
        self.touched.1
    }

    /// Returns the position in the order of eviction; `None` while there are members.
    pub fn eviction_order(&self) -> Option<u64> {
        self.members.is_empty().then_some(self.touched.1)
    }

    /// Retains the newest publication, and drops the oldest ones above `history_messages` and [`Policy::largest_log`](crate::policy::Policy::largest_log).
    /// A publication that exceeds the bytes alone leaves the log empty.
    pub fn retain(&mut self, now: Instant, publication: Arc<Publication>, config: &Config, charges: &mut Charges) {
        let policy = config.policy(&self.name);
        assert_eq!(publication.offset, self.top, "G5: a log is appended to in order");
        self.bytes += publication.draft.bytes();
        charges.charge(&publication.draft);
        self.retained.push_back(Retained { at: now, publication });
        self.drop_above(policy, &config.limits, charges);
    }

    /// Drops the oldest publications above what the policy allows. Returns how many.
    pub fn drop_above(&mut self, policy: &Policy, limits: &Limits, charges: &mut Charges) -> usize {
        let before = self.retained.len();
        while self.retained.len() > policy.history_messages || self.bytes > policy.largest_log(limits) {
            self.drop_oldest(charges);
        }
        before - self.retained.len()
    }

    /// Drops the publications that are `age` old or older.
    pub fn drop_older(&mut self, now: Instant, age: Duration, charges: &mut Charges) {
        while self.retained.front().is_some_and(|oldest| oldest.at.after(age) <= now) {
            self.drop_oldest(charges);
        }
    }

    /// Drops all retained publications.
    pub fn drop_all(&mut self, charges: &mut Charges) {
        while !self.retained.is_empty() {
            self.drop_oldest(charges);
        }
    }

    /// Drops the oldest retained publication.
    ///
    /// # Panics
    /// Panics when nothing is retained.
    pub fn drop_oldest(&mut self, charges: &mut Charges) {
        let oldest = self.retained.pop_front().expect("the log to trim retains a publication");
        self.bytes -= oldest.publication.draft.bytes();
        charges.discharge(&oldest.publication.draft);
    }

    /// Returns `true` when any publication is retained.
    pub fn retains(&self) -> bool {
        !self.retained.is_empty()
    }

    /// Returns the publications that a new member receives before all others. O(n) in the retained publications.
    ///
    /// # Errors
    /// Returns 112 when the missed publications are not all available and the request is to refuse in that case.
    pub fn replay(&self, replay: &Replay, limits: &Limits, counts: &mut Recoveries) -> Result<Replayed, Error> {
        match replay {
            Replay::None => Ok(Replayed::default()),
            Replay::Last(count) => {
                let query = HistoryQuery { limit: HistoryLimit::at_most(*count), since: None, reverse: true };
                let mut publications = self.page(&query, limits)?.publications;
                publications.reverse();
                Ok(Replayed { recovered: None, publications })
            }
            Replay::Since { epoch, offset, or_refuse } => {
                Self::recover(self.missed(epoch, *offset, limits), *or_refuse, counts)
            }
        }
    }

    /// Returns what was missed, or that it is not available.
    ///
    /// # Errors
    /// Returns 112 when it is not, and the request is to refuse in that case.
    pub fn recover(missed: Missed, or_refuse: bool, counts: &mut Recoveries) -> Result<Replayed, Error> {
        match missed {
            Ok(publications) => {
                counts.recovered += 1;
                Ok(Replayed { recovered: Some(true), publications })
            }
            Err(why) => {
                *why(counts) += 1;
                if or_refuse {
                    return Err(ErrorCode::Unrecoverable.into());
                }
                Ok(Replayed { recovered: Some(false), publications: Vec::new() })
            }
        }
    }

    /// Returns all publications after a position. O(log n) in the retained publications.
    ///
    /// # Errors
    /// Returns the count of such failures: the position is of another epoch, `offset` is the name of neither a retained
    /// publication, nor of the one before the oldest, nor the top, or what follows exceeds a reply's bounds (`reply_messages`,
    /// `reply_bytes`).
    fn missed(&self, epoch: &str, offset: u64, limits: &Limits) -> Missed {
        let first = self.after(offset);
        if !self.is_epoch(epoch) {
            return Err(|counts| &mut counts.other_epoch);
        }
        let Some(first) = first else {
            return Err(|counts| &mut counts.not_retained);
        };
        if self.retained.len() - first > limits.reply_messages {
            return Err(|counts| &mut counts.too_much);
        }
        let missed = self.retained.range(first..);
        Self::within_reply(missed.map(|retained| Arc::clone(&retained.publication)).collect(), limits)
    }

    /// Returns `true` when this is the name of a retained publication, of the one before the oldest, or of the newest, so that
    /// all that follows it is known. An empty epoch is any.
    pub fn names(&self, epoch: &str, offset: u64) -> bool {
        self.is_epoch(epoch) && self.after(offset).is_some()
    }

    fn is_epoch(&self, epoch: &str) -> bool {
        epoch.is_empty() || *epoch == *EpochText::of(self.epoch)
    }

    /// Returns the place of the first retained publication after this offset; `None` when that is the name of nothing that the
    /// log knows.
    fn after(&self, offset: u64) -> Option<usize> {
        let first = self.retained.partition_point(|retained| retained.publication.offset <= offset);
        let next = self.retained.get(first).map(|retained| retained.publication.prev);
        (next.unwrap_or(self.top) == offset).then_some(first)
    }

    /// Returns what was missed if it fits into a reply.
    pub fn within_reply(publications: Vec<Arc<Publication>>, limits: &Limits) -> Missed {
        if publications.len() > limits.reply_messages {
            return Err(|counts| &mut counts.too_much);
        }
        let missed = Replayed { recovered: None, publications };
        if replayed_bytes(&missed) > limits.reply_bytes {
            return Err(|counts| &mut counts.too_much);
        }
        Ok(missed.publications)
    }

    /// Returns a page of the retained publications, cut after the last that fits into a reply (`reply_messages`,
    /// `reply_bytes`). O(n) in the retained publications.
    ///
    /// # Errors
    /// Returns 112 when the position is of another epoch.
    pub fn page(&self, query: &HistoryQuery, limits: &Limits) -> Result<LogPage, Error> {
        let since = query.since.as_ref();
        if since.is_some_and(|since| !since.epoch.is_empty() && *since.epoch != *EpochText::of(self.epoch)) {
            return Err(ErrorCode::Unrecoverable.into());
        }
        let most = query.limit.most().min(limits.reply_messages);
        let mut is_within = fitting(limits);
        let fits = |publication: &&Arc<Publication>| is_within(publication);
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
        Ok(LogPage { publications, position: Some(self.position()) })
    }

    /// Returns the newest publications in ascending order, of a list that begins with the newest, as many as [`Log::page`] would.
    pub fn newest_of(newest: Vec<Arc<Publication>>, most: usize, limits: &Limits) -> Vec<Arc<Publication>> {
        let newest = newest.into_iter().take(most.min(limits.reply_messages));
        let mut publications: Vec<_> = newest.take_while(fitting(limits)).collect();
        publications.reverse();
        publications
    }

    /// Cuts a page that was read elsewhere where [`Log::page`] would.
    pub fn cut(page: LogPage, query: &HistoryQuery, limits: &Limits) -> LogPage {
        let publications = page.publications.into_iter().take(query.limit.most().min(limits.reply_messages));
        LogPage { publications: publications.take_while(fitting(limits)).collect(), position: page.position }
    }

    /// Returns `true` when so many of the newest publications, or all that there are, are retained here.
    pub fn has_newest(&self, most: usize) -> bool {
        let before = self.retained.front().map_or(self.top, |oldest| oldest.publication.prev);
        self.retained.len() >= most || before == 0
    }

    /// Begins the log anew at a position that another log has come to, with nothing retained.
    pub fn begin_at(&mut self, position: LogPosition, charges: &mut Charges) {
        self.drop_all(charges);
        (self.epoch, self.top) = (position.epoch, position.offset);
    }

    /// Takes the offset of the next publication of the log that this one is the copy of.
    pub fn go_on_to(&mut self, publication: &Publication) {
        let is_next = publication.epoch == self.epoch && publication.prev == self.top;
        assert!(is_next, "G5: a copy gets what follows its newest");
        self.top = publication.offset;
    }

    /// Returns the account of the log.
    pub fn account(&self, memory: LogMemory, now: Instant) -> LogAccount {
        let oldest = self.retained.front();
        LogAccount {
            epoch: EpochText::of(self.epoch).into(),
            top: self.top,
            oldest: oldest.map(|oldest| oldest.publication.offset),
            oldest_age: oldest.map(|oldest| now.since(oldest.at)),
            retained: self.retained.len(),
            bytes: self.bytes,
            forgotten_in: self.forgotten_at(memory).time().map(|at| at.since(now)),
        }
    }

    /// Returns the account of a retained publication; an empty epoch is any. O(log n) in those.
    ///
    /// # Errors
    /// Returns the reason for which it is not known.
    pub fn publication_account(
        &self,
        epoch: &str,
        offset: u64,
        now: Instant,
    ) -> Result<PublicationAccount, UnknownPublication> {
        let own = EpochText::of(self.epoch);
        if !epoch.is_empty() && *own != *epoch {
            return Err(UnknownPublication::OtherEpoch(own.into()));
        }
        if offset > self.top {
            return Err(UnknownPublication::NotYet(self.top));
        }
        let oldest = || self.retained.front().map(|oldest| oldest.publication.offset);
        let at = self.retained.partition_point(|retained| retained.publication.offset < offset);
        let found = self.retained.get(at).filter(|retained| retained.publication.offset == offset);
        let Retained { at: published, publication } = found.ok_or_else(|| UnknownPublication::NotRetained(oldest()))?;
        Ok(PublicationAccount {
            room: self.name.clone(),
            age: now.since(*published),
            newer: self.retained.len() - at - 1,
            event: publication.draft.data.event_type(),
            publication: Arc::clone(publication),
        })
    }

    /// Returns the time at which the oldest retained publication reaches `age`; none when none is retained.
    pub fn ages_out(&self, age: Duration) -> Deadline {
        Deadline::from_option(self.retained.front().map(|oldest| oldest.at.after(age)))
    }

    /// Returns the time of the last publication, or of the loss of the last member.
    pub fn touched_at(&self) -> Instant {
        self.touched.0
    }

    /// Returns the time at which the log is evicted; none while it has a member, or retains a publication and is no copy.
    pub fn forgotten_at(&self, memory: LogMemory) -> Deadline {
        match (self.members.is_empty(), memory) {
            (false, _) => Deadline::NONE,
            (true, LogMemory::OfCopy(linger)) => self.touched.0.after(linger).into(),
            (true, LogMemory::Own(_)) if self.retains() => Deadline::NONE,
            (true, LogMemory::Own(memory)) if self.is_numbered() => self.touched.0.after(memory).into(),
            (true, LogMemory::Own(_)) => Instant::default().into(),
        }
    }

    /// Returns the bytes that are retained, including those that other logs retain too.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the retained publications, oldest first.
    pub fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.retained.iter().map(|retained| &*retained.publication)
    }

    /// Asserts that no more is retained than the policy allows.
    pub fn audit_bounds(&self, config: &Config) {
        let policy = config.policy(&self.name);
        assert!(self.retained.len() <= policy.history_messages, "G6: a log is bounded in publications");
        assert!(self.bytes <= policy.largest_log(&config.limits), "G6: a log is bounded in bytes");
    }

    /// Asserts that order and counts hold. O(n) in the members and publications.
    pub fn audit(&self) {
        self.members.audit();
        let is_next = |publication: &Publication, prev: &mut u64| {
            let is_next = publication.prev == *prev && publication.offset > *prev;
            *prev = publication.offset;
            is_next
        };
        let mut prev = self.publications().next().map_or(self.top, |oldest| oldest.prev);
        let is_chain = self.publications().all(|publication| is_next(publication, &mut prev));
        assert!(is_chain && prev == self.top, "G5: a log has no hole");
        assert_eq!(
            self.bytes,
            self.publications().map(|publication| publication.draft.bytes()).sum::<usize>(),
            "G8: a log counts its bytes"
        );
    }
}

/// Returns the test whether one more publication fits into a reply, for as long as all have.
fn fitting(limits: &Limits) -> impl FnMut(&Arc<Publication>) -> bool {
    // The first publication needs no comma.
    let mut left = limits.reply_bytes.saturating_add(1);
    move |publication| {
        let bytes = publication_bytes(publication) + 1;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audit_finds, publication};

    fn log() -> Log {
        let mut log = Log::new(RoomName::from("a"), 7, Keys(1, 2));
        for data in ["1", "22", "333"] {
            let offset = log.next_offset();
            log.retain(Instant(offset), publication(offset, data), &Config::default(), &mut Charges::new(Keys(1, 2)));
        }
        log
    }

    #[test]
    fn the_audit_reports_each_broken_invariant() {
        fn bounded(history_messages: usize, history_bytes_per_room: usize) -> Config {
            Config::from(Limits { history_messages, history_bytes_per_room, ..Limits::default() })
        }
        audit_finds(
            || (log(), bounded(3, 9999)),
            |(log, config)| {
                log.audit();
                log.audit_bounds(config)
            },
            &[
                ("G6: a log is bounded in publications", |(_, config): &mut (Log, Config)| *config = bounded(2, 9999)),
                ("G6: a log is bounded in bytes", |(_, config)| *config = bounded(3, 5)),
                ("G5: a log has no hole", |(log, _)| drop(log.retained.remove(1))),
                ("G5: a log has no hole", |(log, _)| drop(log.retained.pop_back())),
                ("G5: a log has no hole", |(log, _)| log.top += 1),
                ("G8: a log counts its bytes", |(log, _)| log.bytes += 1),
            ],
        );
    }
}
