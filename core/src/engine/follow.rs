//! The follower of one room of an engine: what it asks, what it delivers, and who becomes a member at which position.
//!
//! | state, event | a join | `Followed` | `Entry` | `Down` | `Up` | nobody left |
//! |---|---|---|---|---|---|---|
//! | cold | kept; follow, → reading | – | unfollow | joins are kept | follow if there are joins, → reading | – |
//! | reading | answered if there is a place, or kept | deliver what was missed, or restart; → live, and joins are answered. Refused: → lost, or cold without a place | kept, then handled; dropped without an offset | → lost, or cold without a place | – | – |
//! | live | answered, or read for at the engine | – | delivered, dropped, read for, or restart | → lost | – | unfollow, → cold |
//! | lost | answered, or kept | – | – | – | follow since its place, → reading | unfollow if the link is up, → cold |
//!
//! Only a position that the copy of the log holds is judged by it. A client that comes from another node may have had more than
//! this one, and one that was away for long less than the copy still has: the engine is asked about both, and its answer holds
//! since it comes in one order with the publications. While the link is down, or the room is followed again, they wait, and
//! everyone else is answered: they go on from the place of the follower, and nothing is delivered here that does not follow it.
//!
//! A refusal of the engine changes nothing: members stay at their place, joins wait, and the home has the follower ask
//! again after a pause ([`RoomFollower::retry`]). Nobody is told of a gap for it, and no join is answered as if there had been
//! an answer.
//!
//! A publication without an offset is delivered only while the room is live. What came while it was read would be delivered
//! behind those of the answer, some of which were made after it.
//!
//! An engine that contradicts itself costs a restart, which the members are told as a gap. Joins that are kept are bounded by
//! who asks, each of whom has a deadline there ([`RoomFollower::abandon`]); publications that are kept are 64 at most.

use super::{EngineError, EngineEvent, EnginePage, EngineRequest, EngineTicket};
use super::{FollowStart, LogPosition, Missed, Publication};
use crate::api::{HistoryLimit, HistoryQuery, Position};
use crate::link::follower::{Follower, Sequence};
use crate::names::RoomName;
use crate::publication::EpochText;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::mem;

/// The greatest number of publications that are kept while the follower reads. The oldest is dropped for a newer one: if it
/// was beyond the answer, the next one shows that it is missing.
const KEPT: usize = 64;

/// The home of a room as its follower needs it: the copy of the log, the members, and the link.
pub trait FollowerHome {
    /// Returns `true` when the copy of the log can tell what follows this position: it is the name of a publication in it, the
    /// one before the oldest, or the newest. An empty epoch is that of any log.
    fn holds(&self, position: &Position) -> bool;

    /// Sends a request to the engine.
    fn ask(&mut self, request: EngineRequest);

    /// Delivers the next publication to all members, and keeps it in the copy of the log if it has an offset. Without one it
    /// has no place there.
    fn deliver(&mut self, publication: &Arc<Publication>);

    /// Begins the copy of the log anew at this position. Members may have missed something and are told so.
    fn restart(&mut self, position: LogPosition);

    /// Completes a join: what is delivered next comes after `position`.
    fn admit(&mut self, join: EngineTicket, position: LogPosition, start: JoinStart);
}

/// The beginning of what a new member is sent.
#[derive(Clone, Debug)]
pub enum JoinStart {
    /// The copy of the log holds the position that the join named, if it named one.
    FromCopy,
    /// These publications are all between the position that the join named and that at which it is made.
    Recovered(Vec<Arc<Publication>>),
    /// The position that the join named is not known any more, or too much has followed it.
    Unrecovered,
}

/// The follower of one room of an engine.
#[derive(Clone, Debug)]
pub struct RoomFollower {
    room: RoomName,
    is_up: bool,
    state: FollowerState,
    /// Joins without an answer, in the order in which they came. Those that the engine was asked about are answered in it.
    joins: VecDeque<KeptJoin>,
}

#[derive(Clone, Debug)]
enum FollowerState {
    /// The room is not followed.
    Cold,
    /// [`EngineRequest::Follow`] is not answered yet. The place is where the members are; `None` where there are none.
    Reading { place: Option<Follower>, kept: VecDeque<Arc<Publication>> },
    /// Each publication comes.
    Live(Follower),
    /// The link is down, or the engine has refused to follow the room. The members are at this place.
    Lost(Follower),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeptJoin {
    ticket: EngineTicket,
    since: Option<Position>,
    /// `true` while [`EngineRequest::Read`] is not answered.
    is_asked: bool,
}

impl RoomFollower {
    /// Creates a follower that does not follow the room yet, over a link that is up or down.
    #[must_use]
    pub fn new(room: RoomName, is_up: bool) -> Self {
        Self { room, is_up, state: FollowerState::Cold, joins: VecDeque::new() }
    }

    /// Returns `true` when each publication comes, so that members have all that there is.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, FollowerState::Live(_))
    }

    /// Returns `true` when [`EngineRequest::Follow`] is not answered.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.state, FollowerState::Reading { .. })
    }

    /// Returns `true` when there are joins that are not answered.
    #[must_use]
    pub fn has_joins(&self) -> bool {
        !self.joins.is_empty()
    }

    /// Takes a join that names the position which its client was at. It is answered by [`FollowerHome::admit`], now or later.
    pub fn join(&mut self, ticket: EngineTicket, since: Option<Position>, room: &mut impl FollowerHome) {
        let is_first = !self.has_joins();
        self.answer(KeptJoin { ticket, since, is_asked: false }, room);
        // The others wait for a retry, as the first does.
        if self.is_up && is_first && matches!(self.state, FollowerState::Cold) {
            self.read_since(None, VecDeque::new(), room);
        }
    }

    /// Drops a join that is not waited for any longer. One that was answered is not affected.
    pub fn abandon(&mut self, ticket: EngineTicket) {
        self.joins.retain(|join| join.ticket != ticket);
    }

    /// Ends the following, since nobody has been here for a time. Returns `true` if it has ended, or had not begun. While the
    /// follower reads or has joins it goes on, and is to be asked again.
    pub fn end(&mut self, room: &mut impl FollowerHome) -> bool {
        let may_end = self.joins.is_empty() && !matches!(self.state, FollowerState::Reading { .. });
        if may_end {
            // A lost one may be followed nevertheless: the engine has refused it a second time.
            if self.is_up && !matches!(self.state, FollowerState::Cold) {
                self.unfollow(room);
            }
            self.state = FollowerState::Cold;
        }
        may_end
    }

    /// Returns `true` when the engine has refused what is still needed: the home calls [`RoomFollower::retry`] after a pause.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.is_up
            && match self.state {
                FollowerState::Cold => self.has_joins(),
                FollowerState::Reading { .. } => false,
                FollowerState::Live(_) => self.joins.iter().any(|join| !join.is_asked),
                FollowerState::Lost(_) => true,
            }
    }

    /// Asks again for what the engine has refused, if the link is up.
    pub fn retry(&mut self, room: &mut impl FollowerHome) {
        if !self.is_up {
            return;
        }
        match self.state {
            FollowerState::Lost(place) => self.read_since(Some(place), VecDeque::new(), room),
            FollowerState::Cold if self.has_joins() => self.read_since(None, VecDeque::new(), room),
            FollowerState::Live(_) => self.answer_joins(room),
            FollowerState::Cold | FollowerState::Reading { .. } => {}
        }
    }

    /// Handles an event of the link or of this room.
    pub fn on_event(&mut self, event: EngineEvent, room: &mut impl FollowerHome) {
        match event {
            EngineEvent::Up => {
                self.is_up = true;
                self.retry(room);
            }
            EngineEvent::Down => {
                self.is_up = false;
                self.joins.iter_mut().for_each(|join| join.is_asked = false);
                self.lose(room);
            }
            EngineEvent::Followed { result: Ok(start), .. } => self.followed(start, room),
            EngineEvent::Followed { result: Err(_), .. } => self.not_followed(room),
            EngineEvent::Entry { publication, .. } => self.entry(publication, room),
            EngineEvent::Read { ticket, result, .. } => self.read(ticket, result, room),
            // Those are for who asks, and for the copy: a publication itself comes like any other.
            EngineEvent::Appended { .. } | EngineEvent::Forgotten { .. } | EngineEvent::Removed { .. } => {}
        }
    }

    /// Goes on without the engine: at the place of the members, if there are any.
    fn lose(&mut self, room: &mut impl FollowerHome) {
        self.state = self.place().map_or(FollowerState::Cold, FollowerState::Lost);
        self.answer_joins(room);
    }

    /// The place of the members, from which others can go on as well; `None` where there are none.
    fn place(&self) -> Option<Follower> {
        match &self.state {
            FollowerState::Live(place) | FollowerState::Lost(place) => Some(*place),
            FollowerState::Reading { place, .. } => *place,
            FollowerState::Cold => None,
        }
    }

    /// Follows the room, or follows it once more to get what was missed.
    fn read_since(&mut self, place: Option<Follower>, kept: VecDeque<Arc<Publication>>, room: &mut impl FollowerHome) {
        room.ask(EngineRequest::Follow { room: self.room.clone(), since: place.map(Follower::position) });
        self.state = FollowerState::Reading { place, kept };
    }

    fn unfollow(&self, room: &mut impl FollowerHome) {
        room.ask(EngineRequest::Unfollow { room: self.room.clone() });
    }

    fn followed(&mut self, FollowStart { position, missed }: FollowStart, room: &mut impl FollowerHome) {
        let FollowerState::Reading { place, kept } = &mut self.state else { return };
        let (place, kept) = (*place, mem::take(kept));
        let is_cut = matches!(missed, Missed::Cut(_));
        let reached = place.and_then(|place| catch_up(place, missed, room));
        match reached.map(|place| (place, place.position())) {
            Some((place, reached)) if reached == position => self.go_live(place, kept, room),
            Some((place, reached)) if is_cut && reached.epoch == position.epoch && reached.offset < position.offset => {
                self.read_since(Some(place), kept, room);
            }
            _ => {
                room.restart(position);
                self.go_live(Follower::at(position), kept, room);
            }
        }
    }

    fn go_live(&mut self, place: Follower, kept: VecDeque<Arc<Publication>>, room: &mut impl FollowerHome) {
        self.state = FollowerState::Live(place);
        // One of another epoch is older than the answer.
        let epoch = place.position().epoch;
        for publication in kept.into_iter().filter(|kept| kept.epoch == epoch) {
            self.entry(publication, room);
        }
        self.answer_joins(room);
    }

    fn not_followed(&mut self, room: &mut impl FollowerHome) {
        if matches!(self.state, FollowerState::Reading { .. }) {
            self.lose(room);
        }
    }

    fn entry(&mut self, publication: Arc<Publication>, room: &mut impl FollowerHome) {
        match &mut self.state {
            FollowerState::Live(_) => self.receive(publication, room),
            // Its place among those of the answer is not known.
            FollowerState::Reading { .. } if publication.offset == 0 => {}
            FollowerState::Reading { kept, .. } => {
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(publication);
            }
            // It was on its way when the room was left.
            FollowerState::Cold if self.is_up => self.unfollow(room),
            FollowerState::Cold | FollowerState::Lost(_) => {}
        }
    }

    /// Applies the rule of receivers to a publication.
    fn receive(&mut self, publication: Arc<Publication>, room: &mut impl FollowerHome) {
        let FollowerState::Live(place) = &mut self.state else { return };
        let last = place.position();
        match place.step(&publication) {
            Sequence::Next => room.deliver(&publication),
            Sequence::Repeat => {}
            // Others before it have not come.
            Sequence::Gap if publication.epoch == last.epoch && publication.prev > last.offset => {
                self.read_since(Some(Follower::at(last)), VecDeque::from([publication]), room);
            }
            // The log has ended, or what came last is not in it any more.
            Sequence::Gap => {
                let before = LogPosition { epoch: publication.epoch, offset: publication.prev };
                room.restart(before);
                room.deliver(&publication);
                *place = Follower::at(LogPosition { offset: publication.offset, ..before });
            }
        }
    }

    fn read(&mut self, ticket: EngineTicket, result: Result<EnginePage, EngineError>, room: &mut impl FollowerHome) {
        let is_its = |join: &KeptJoin| join.ticket == ticket && join.is_asked;
        let Some(at) = self.joins.iter().position(is_its) else { return };
        // Unless it is answered now, it is asked again: once the follower is where the engine is, or after a refusal.
        self.joins[at].is_asked = false;
        let (FollowerState::Live(place), Ok(page)) = (&self.state, result) else { return };
        let place = *place;
        if page.position != place.position() {
            return self.read_since(Some(place), VecDeque::new(), room);
        }
        let join = self.joins.remove(at);
        let since = join.and_then(|join| join.since).unwrap_or_default();
        room.admit(ticket, place.position(), judged(page, &since));
    }

    fn answer_joins(&mut self, room: &mut impl FollowerHome) {
        for join in mem::take(&mut self.joins) {
            self.answer(join, room);
        }
    }

    /// Answers a join if it can be answered here, else keeps it.
    fn answer(&mut self, join: KeptJoin, room: &mut impl FollowerHome) {
        let is_here = join.since.as_ref().is_none_or(|since| room.holds(since));
        match self.place() {
            Some(place) if is_here && !join.is_asked => {
                room.admit(join.ticket, place.position(), JoinStart::FromCopy);
            }
            _ => self.keep(join, room),
        }
    }

    /// Keeps a join, and asks the engine about it if that can answer it as it is now.
    fn keep(&mut self, mut join: KeptJoin, room: &mut impl FollowerHome) {
        if self.is_live() && !join.is_asked {
            join.is_asked = true;
            let query = HistoryQuery { limit: HistoryLimit::Unlimited, since: join.since.clone(), reverse: false };
            room.ask(EngineRequest::Read { ticket: join.ticket, room: self.room.clone(), query });
        }
        self.joins.push_back(join);
    }
}

/// Delivers what was missed since a place. Returns the place that this has led to; `None` where what was missed is not known,
/// or does not follow the place.
fn catch_up(mut place: Follower, missed: Missed, room: &mut impl FollowerHome) -> Option<Follower> {
    let (Missed::All(publications) | Missed::Cut(publications)) = missed else { return None };
    for publication in publications {
        match place.step(&publication) {
            Sequence::Next => room.deliver(&publication),
            Sequence::Repeat => {}
            Sequence::Gap => return None,
        }
    }
    Some(place)
}

/// Judges a page that was read from the position of a client up to the place of the follower: it has all that the client has
/// missed if each publication follows the one before it, from that position to the newest. What was never retained is missing
/// in the middle.
fn judged(page: EnginePage, since: &Position) -> JoinStart {
    let EnginePage { publications, position } = page;
    let is_of_log = since.epoch.is_empty() || *since.epoch == *EpochText::of(position.epoch);
    let mut reached = Follower::at(LogPosition { epoch: position.epoch, offset: since.offset });
    let is_whole = publications.iter().all(|publication| reached.step(publication) == Sequence::Next);
    if is_of_log && is_whole && reached.position() == position {
        JoinStart::Recovered(publications)
    } else {
        JoinStart::Unrecovered
    }
}

/// Hashes the state, with each publication as its name.
impl Hash for RoomFollower {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let hash = |hasher: &mut H, position: LogPosition| (position.epoch, position.offset).hash(hasher);
        (self.is_up, mem::discriminant(&self.state), &self.joins).hash(hasher);
        match &self.state {
            FollowerState::Cold => {}
            FollowerState::Live(place) | FollowerState::Lost(place) => hash(hasher, place.position()),
            FollowerState::Reading { place, kept } => {
                place.is_some().hash(hasher);
                place.iter().for_each(|place| hash(hasher, place.position()));
                kept.len().hash(hasher);
                for publication in kept {
                    (publication.epoch, publication.offset, publication.prev).hash(hasher);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
