//! A site: the follower that is tried, and the copy of the log and the joins that a home would have beside it.

use super::defects::EngineDefect;
use super::server::position;
use super::tree::{EntryName, SeenEntry, ToldStart};
use parlor_core::RoomName;
use parlor_core::api::Position;
use parlor_core::engine::follow::{FollowerHome, JoinStart, RoomFollower};
use parlor_core::engine::{EngineEvent, EngineRequest, EngineTicket, LogPosition, Publication};
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;

/// What clients of a site are told, in order.
#[derive(Clone, Debug)]
pub enum ToldBySite {
    /// All members get a publication.
    Delivered(SeenEntry),
    /// All members get a publication that says this, and that no log numbers.
    DeliveredUnlogged(u8),
    /// All members may have missed something, and go on here.
    Restarted(EntryName),
    /// The client of a join is a member from here on.
    Joined {
        /// The ticket of the join.
        ticket: u64,
        /// What comes next comes after this.
        at: EntryName,
        /// What it gets at first; `None` if that is not known, as the copy of the log does not hold what it is said to.
        start: Option<ToldStart>,
    },
}

/// A site with one room.
#[derive(Clone, Debug, Hash)]
pub struct EngineSite {
    /// The follower of the room.
    pub follower: RoomFollower,
    room: SiteRoom,
    /// Only for [`EngineDefect::BetweenAppliedTwice`] and [`EngineDefect::UnloggedKept`].
    between: Vec<SeenEntry>,
}

/// The copy of the log, and joins without an answer.
#[derive(Clone, Debug)]
struct SiteRoom {
    /// What the copy begins after.
    base: EntryName,
    entries: Vec<SeenEntry>,
    /// The entries that the copy has at most.
    most: usize,
    joins: Vec<(u64, Option<EntryName>)>,
    /// Taken after each call of the follower.
    asked: Vec<EngineRequest>,
    told: Vec<ToldBySite>,
    defect: Option<EngineDefect>,
}

impl Hash for SiteRoom {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.base, &self.entries, &self.joins).hash(hasher);
    }
}

impl EngineSite {
    /// A site that does not follow the room, on a link that is up.
    #[must_use]
    pub fn new(name: RoomName, most: usize, defect: Option<EngineDefect>) -> Self {
        let room = SiteRoom {
            base: EntryName { epoch: 0, offset: 0 },
            entries: Vec::new(),
            most,
            joins: Vec::new(),
            asked: Vec::new(),
            told: Vec::new(),
            defect,
        };
        Self { follower: RoomFollower::new(name, true), room, between: Vec::new() }
    }

    /// Handles an event of the engine.
    pub fn on_event(&mut self, event: EngineEvent) -> (Vec<EngineRequest>, Vec<ToldBySite>) {
        let is_answer = matches!(event, EngineEvent::Followed { .. });
        let between = match &event {
            EngineEvent::Entry { publication, .. } if !self.follower.is_live() => Some(seen(publication)),
            _ => None,
        };
        self.follower.on_event(event, &mut self.room);
        let is_kept = |entry: &SeenEntry| match self.room.defect {
            Some(EngineDefect::BetweenAppliedTwice) => true,
            Some(EngineDefect::UnloggedKept) => entry.name.offset == 0,
            _ => false,
        };
        self.between.extend(between.filter(is_kept));
        if is_answer {
            self.room.told.extend(mem::take(&mut self.between).into_iter().map(delivered));
        }
        self.room.taken()
    }

    /// A client joins.
    pub fn join(&mut self, ticket: u64, since: Option<EntryName>) -> (Vec<EngineRequest>, Vec<ToldBySite>) {
        self.room.joins.push((ticket, since));
        self.follower.join(EngineTicket(ticket), since.map(|since| position(since).into()), &mut self.room);
        self.room.taken()
    }

    /// Whether the engine has refused something that the site is to ask for again.
    #[must_use]
    pub fn is_to_retry(&self) -> bool {
        self.follower.is_refused() && self.room.defect != Some(EngineDefect::RefusalForgotten)
    }

    /// Asks again for what the engine has refused.
    pub fn retry(&mut self) -> (Vec<EngineRequest>, Vec<ToldBySite>) {
        self.follower.retry(&mut self.room);
        self.room.taken()
    }

    /// A client does not wait any longer.
    pub fn abandon(&mut self, ticket: u64) {
        self.room.joins.retain(|(other, _)| *other != ticket);
        self.follower.abandon(EngineTicket(ticket));
    }

    /// Whether the copy of the log has all of these.
    #[must_use]
    pub fn has_all(&self, entries: &[SeenEntry]) -> bool {
        entries.iter().all(|entry| self.room.entries.contains(entry))
    }

    /// Nobody has been here for a time.
    pub fn end(&mut self) -> (Vec<EngineRequest>, Vec<ToldBySite>) {
        if self.follower.end(&mut self.room) {
            self.room.base = EntryName { epoch: 0, offset: 0 };
            self.room.entries.clear();
        }
        self.room.taken()
    }
}

impl SiteRoom {
    fn taken(&mut self) -> (Vec<EngineRequest>, Vec<ToldBySite>) {
        (mem::take(&mut self.asked), mem::take(&mut self.told))
    }

    /// What the copy has after a place that it knows.
    fn after(&self, since: EntryName) -> Option<Vec<SeenEntry>> {
        if since == self.base {
            return Some(self.entries.clone());
        }
        let at = self.entries.iter().position(|entry| entry.name == since)?;
        Some(self.entries[at + 1..].to_vec())
    }
}

impl FollowerHome for SiteRoom {
    fn holds(&self, since: &Position) -> bool {
        let is_it = |name: EntryName| Position::from(position(name)) == *since;
        let top = self.entries.last().map_or(self.base, |newest| newest.name);
        let is_above = is_it(EntryName { offset: since.offset, ..top }) && since.offset > top.offset;
        is_it(self.base)
            || self.entries.iter().any(|entry| is_it(entry.name))
            || (is_above && self.defect == Some(EngineDefect::JudgedAboveTop))
    }

    fn ask(&mut self, request: EngineRequest) {
        self.asked.push(request);
    }

    fn deliver(&mut self, publication: &Arc<Publication>) {
        let entry = seen(publication);
        self.told.push(delivered(entry));
        if entry.name.offset != 0 {
            self.entries.push(entry);
        }
        if self.entries.len() > self.most {
            self.base = self.entries.remove(0).name;
        }
    }

    fn restart(&mut self, position: LogPosition) {
        let base = name(position);
        let is_silent = self.defect == Some(EngineDefect::EpochAdoptedSilently) && base.epoch != self.base.epoch;
        self.base = base;
        self.entries.clear();
        if !is_silent {
            self.told.push(ToldBySite::Restarted(base));
        }
    }

    fn admit(&mut self, join: EngineTicket, position: LogPosition, start: JoinStart) {
        let at = self.joins.iter().position(|(ticket, _)| *ticket == join.0).expect("a join is answered once");
        let (ticket, since) = self.joins.remove(at);
        let start = match (since, start) {
            (None, JoinStart::FromCopy) => Some(ToldStart::Fresh),
            (Some(since), JoinStart::FromCopy) => match self.after(since) {
                None if self.defect == Some(EngineDefect::JudgedAboveTop) => Some(ToldStart::Unrecovered),
                after => after.map(ToldStart::Recovered),
            },
            (_, JoinStart::Recovered(publications)) => {
                Some(ToldStart::Recovered(publications.iter().map(seen).collect()))
            }
            (_, JoinStart::Unrecovered) => Some(ToldStart::Unrecovered),
        };
        self.told.push(ToldBySite::Joined { ticket, at: name(position), start });
    }
}

fn delivered(entry: SeenEntry) -> ToldBySite {
    if entry.name.offset == 0 { ToldBySite::DeliveredUnlogged(entry.content) } else { ToldBySite::Delivered(entry) }
}

fn name(position: LogPosition) -> EntryName {
    EntryName { epoch: position.epoch, offset: position.offset }
}

fn seen(publication: &Arc<Publication>) -> SeenEntry {
    let name = EntryName { epoch: publication.epoch, offset: publication.offset };
    SeenEntry { name, content: publication.draft.data.bytes()[0] }
}
