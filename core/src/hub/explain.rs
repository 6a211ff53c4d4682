//! Accounts of connections, and of what came of a publication for each of them: derived from the state, and nothing is changed.

use super::Hub;
use super::registry::{MemberSince, MembershipEntry};
use crate::connection::deadlines::Timer;
use crate::connection::frame::Frame;
use crate::connection::outbox::Queue;
use crate::connection::{Conn, Stage};
use crate::explain::{
    ConnectionAccount, DeliveryAccount, DeliveryOutcome, DeliveryPage, DeliveryPlace, JoinedAccount, MembershipAccount,
    PingAccount, PublicationAccount,
};
use crate::ids::{ClientId, Slot, index};
use crate::names::UserId;
use crate::protocol::{Protocol, ServerMessage};
use crate::publication::LogPosition;
use alloc::string::String;
use alloc::vec::Vec;

impl Hub {
    /// The account of a connection that exists, or of one of the last that ended. O(n) in its rooms, or in those.
    pub fn account(&self, client: ClientId) -> Option<ConnectionAccount> {
        let Some(slot) = self.clients.get(&client) else { return self.ended.find(client).cloned() };
        let conn = &self.conns[*slot];
        if let Some(number) = conn.record.ending() {
            return self.ended.get(number).cloned();
        }
        let left = |timer: Timer| {
            let at = conn.deadlines.get(timer).time()?;
            Some((timer.name(), at.since(self.now.mono)))
        };
        let deadlines = Timer::ALL.into_iter().filter_map(left).collect();
        Some(ConnectionAccount { deadlines, ..self.account_of(conn, usize::MAX) })
    }

    /// The account of a connection, with so many of its rooms at most: those that it has begun to join last.
    pub(super) fn account_of(&self, conn: &Conn, rooms: usize) -> ConnectionAccount {
        let record = &conn.record;
        let (queue, open) = (conn.queue(), conn.open());
        let (rooms, more_rooms) = self.registry.latest_accounts(conn.id.slot, rooms);
        ConnectionAccount {
            conn: conn.id,
            client: conn.client,
            user: self.user_of(conn).clone(),
            protocol: conn.protocol.name(),
            state: conn.state_name(),
            since_ms: record.since_ms,
            rooms: rooms.map(membership_account).collect(),
            more_rooms,
            events: open.map_or_else(Vec::new, |open| open.events.to_vec()),
            queued_bytes: queue.map_or(0, Queue::bytes),
            queued_frames: queue.map_or(0, Queue::len),
            blocked: queue.is_some_and(Queue::has_refused),
            dropped_frames: 0,
            pings: PingAccount { sent: record.pings, answered: record.answered, last_round_trip: record.round_trip() },
            limits: record.limits().to_vec(),
            deadlines: Vec::new(),
            end: None,
        }
    }

    fn user_of<'a>(&'a self, conn: &'a Conn) -> &'a UserId {
        conn.open().map_or(&self.anonymous, |open| &open.info.user)
    }

    /// The position that the members of a room have come to; `None` when there are none.
    pub fn followed_to(&self, room: &str) -> Option<u64> {
        self.registry.position(room).map(|position| position.offset)
    }

    /// The members of the room of a publication, and those that were when they ended, from a place on: at most so many. O(n) in the
    /// members.
    pub fn deliveries(&self, publication: &PublicationAccount, from: DeliveryPlace, most: usize) -> DeliveryPage {
        let (mut deliveries, next) = match from {
            DeliveryPlace::Member(first) => self.deliveries_to_members(publication, first, most),
            DeliveryPlace::Ended(_) => (Vec::new(), None),
        };
        if next.is_some() {
            return DeliveryPage { deliveries, next };
        }
        let newest = if let DeliveryPlace::Ended(newest) = from { newest } else { u64::MAX };
        let of_room = |account: &ConnectionAccount| {
            account.rooms.iter().any(|at| at.room == publication.room && at.joined.is_some())
        };
        let mut ended = self.ended.up_to(newest).filter(|(_, account)| of_room(account));
        let room_left = most - deliveries.len();
        deliveries.extend(ended.by_ref().take(room_left).map(|(_, account)| self.delivery_of(publication, account)));
        let next = ended.next().map(|(number, _)| DeliveryPlace::Ended(number));
        DeliveryPage { deliveries, next }
    }

    fn deliveries_to_members(
        &self,
        publication: &PublicationAccount,
        first: u32,
        most: usize,
    ) -> (Vec<DeliveryAccount>, Option<DeliveryPlace>) {
        let mut slots: Vec<Slot> =
            self.registry.members(&publication.room).filter(|slot| index(slot.index()) >= first).collect();
        if slots.len() > most {
            slots.select_nth_unstable(most);
            slots.truncate(most + 1);
        }
        slots.sort_unstable();
        let mut frames = self.frames_of(publication);
        let mut deliveries = Vec::new();
        for slot in slots {
            if deliveries.len() == most || frames.compared > COMPARED_BYTES {
                return (deliveries, Some(DeliveryPlace::Member(index(slot.index()))));
            }
            deliveries.push(self.delivery_to(&mut frames, &self.conns[slot]));
        }
        (deliveries, None)
    }

    fn frames_of<'a>(&self, publication: &'a PublicationAccount) -> PublicationFrames<'a> {
        PublicationFrames {
            publication,
            unix_ms: self.now.unix_ms,
            frames: [const { None }; Protocol::COUNT],
            compared: 0,
        }
    }

    /// The outcome of a publication for one connection; `None` when the connection is not known.
    pub fn delivery(&self, publication: &PublicationAccount, client: ClientId) -> Option<DeliveryAccount> {
        match self.clients.get(&client) {
            Some(slot) if self.conns[*slot].record.ending().is_none() => {
                Some(self.delivery_to(&mut self.frames_of(publication), &self.conns[*slot]))
            }
            _ => self.account(client).map(|account| self.delivery_of(publication, &account)),
        }
    }

    /// The outcome of a publication for a connection that has ended, or is closing: then frames may wait yet.
    fn delivery_of(&self, publication: &PublicationAccount, account: &ConnectionAccount) -> DeliveryAccount {
        let closing = self.clients.get(&account.client).and_then(|slot| self.conns[*slot].queue());
        let unwritten = account.dropped_frames + closing.map_or(0, Queue::len) as u64;
        delivery_to_ended(publication, account, unwritten)
    }

    fn delivery_to(&self, frames: &mut PublicationFrames<'_>, conn: &Conn) -> DeliveryAccount {
        let outcome = match self.registry.account_in(conn.id.slot, &frames.publication.room) {
            None => return no_member(conn.client, DeliveryOutcome::NoMember),
            Some(None) => DeliveryOutcome::Joining,
            Some(Some((since, sent_through))) => outcome(frames, conn, since, sent_through),
        };
        DeliveryAccount {
            client: conn.client,
            user: self.user_of(conn).clone(),
            protocol: conn.protocol.name(),
            outcome,
            ended: None,
        }
    }
}

/// The bytes of waiting frames that are compared for one page, at most, and those of one more connection.
const COMPARED_BYTES: usize = 4 << 20;

/// A publication, with its frame in each protocol that was needed so far.
struct PublicationFrames<'a> {
    publication: &'a PublicationAccount,
    unix_ms: u64,
    frames: [Option<Option<Frame>>; Protocol::COUNT],
    /// The bytes of waiting frames that it was compared with.
    compared: usize,
}

impl PublicationFrames<'_> {
    /// Whether the frame for a protocol is in a queue; `None` when the protocol has none.
    fn is_in(&mut self, queue: &Queue, protocol: &Protocol) -> Option<bool> {
        let PublicationAccount { room, publication, .. } = self.publication;
        let encode = || protocol.encode(&ServerMessage::Publication { room, publication }, self.unix_ms);
        let frame = self.frames[protocol.number()].get_or_insert_with(encode).as_ref()?;
        self.compared += queue.bytes();
        Some(queue.has(frame))
    }
}

/// The outcome of a publication for a member.
fn outcome(
    frames: &mut PublicationFrames<'_>,
    conn: &Conn,
    since: MemberSince,
    sent_through: LogPosition,
) -> DeliveryOutcome {
    let publication = frames.publication;
    match place(&joined_account((since, sent_through)), publication) {
        PublicationPlace::Before => DeliveryOutcome::JoinedLater { at: since.offset },
        PublicationPlace::OtherLog => DeliveryOutcome::OnItsWay { at: None },
        PublicationPlace::After => DeliveryOutcome::OnItsWay { at: Some(sent_through.offset) },
        PublicationPlace::Filtered => DeliveryOutcome::FilterChanged,
        PublicationPlace::Live if conn.open().is_some_and(|open| leaves_out(&open.events, publication)) => {
            DeliveryOutcome::Filtered
        }
        place => written_or_waiting(frames, conn, matches!(place, PublicationPlace::Live)),
    }
}

/// The outcome of a publication that was put into a connection's outbox, or is part of a reply that was.
fn written_or_waiting(frames: &mut PublicationFrames<'_>, conn: &Conn, is_live: bool) -> DeliveryOutcome {
    let Some(open) = conn.open().filter(|open| !matches!(open.stage, Stage::Joining(_))) else {
        return DeliveryOutcome::AwaitsReply;
    };
    let queue = open.outbox.queue();
    if queue.is_empty() {
        return DeliveryOutcome::FullyWritten;
    }
    // What was missed may be part of a reply, whose frame it does not tell.
    match is_live.then(|| frames.is_in(queue, &conn.protocol)).flatten() {
        Some(false) => DeliveryOutcome::FullyWritten,
        Some(true) if conn.protocol.names_publications() => DeliveryOutcome::Queued,
        _ => DeliveryOutcome::Sent { unwritten: queue.len() as u64 },
    }
}

/// The account of a connection that is not in the room, of which who asks about the room learns nothing else.
fn no_member(client: ClientId, outcome: DeliveryOutcome) -> DeliveryAccount {
    DeliveryAccount { client, user: UserId::anonymous(), protocol: "", outcome, ended: None }
}

fn membership_account((room, reasons, since): MembershipEntry<'_>) -> MembershipAccount {
    MembershipAccount { room: room.clone(), joined: since.map(joined_account), reasons }
}

fn joined_account((since, sent_through): (MemberSince, LogPosition)) -> JoinedAccount {
    JoinedAccount {
        at_ms: since.unix_ms,
        epoch: since.epoch,
        joined_at: since.offset,
        replayed_from: (since.replayed_from > 0).then_some(since.replayed_from),
        filter_changed_at: (since.filter_changed_at > 0).then_some(since.filter_changed_at),
        sent_through: sent_through.offset,
    }
}

/// The outcome of a publication for a connection that was a member when it began to close, with so many frames unwritten.
fn delivery_to_ended(publication: &PublicationAccount, account: &ConnectionAccount, unwritten: u64) -> DeliveryAccount {
    let joined = account.rooms.iter().find(|at| at.room == publication.room).map(|at| at.joined.as_ref());
    let outcome = match joined {
        None if account.more_rooms > 0 => return no_member(account.client, DeliveryOutcome::NotRemembered),
        None => return no_member(account.client, DeliveryOutcome::NoMember),
        Some(None) => DeliveryOutcome::Joining,
        Some(Some(joined)) => match place(joined, publication) {
            PublicationPlace::Before => DeliveryOutcome::JoinedLater { at: joined.joined_at },
            PublicationPlace::OtherLog => DeliveryOutcome::EndedBefore { at: None },
            PublicationPlace::After => DeliveryOutcome::EndedBefore { at: Some(joined.sent_through) },
            PublicationPlace::Filtered => DeliveryOutcome::FilterChanged,
            PublicationPlace::Live if leaves_out(&account.events, publication) => DeliveryOutcome::Filtered,
            PublicationPlace::Live | PublicationPlace::Replayed if unwritten == 0 => DeliveryOutcome::FullyWritten,
            PublicationPlace::Live | PublicationPlace::Replayed => DeliveryOutcome::Sent { unwritten },
        },
    };
    DeliveryAccount {
        client: account.client,
        user: account.user.clone(),
        protocol: account.protocol,
        outcome,
        ended: account.end.as_ref().map(|end| end.cause),
    }
}

/// The place of a publication among those of a membership.
enum PublicationPlace {
    /// Before it began.
    Before,
    /// Among those that the member was sent as missed.
    Replayed,
    /// Among those that it was sent since by a filter that has changed, or was not sent.
    Filtered,
    /// Among those that it was sent since.
    Live,
    /// Behind those.
    After,
    /// In another log than the one that the member had come to: a log that begins anew takes its members along, so it is a newer
    /// one.
    OtherLog,
}

fn place(joined: &JoinedAccount, publication: &PublicationAccount) -> PublicationPlace {
    let offset = publication.offset();
    if joined.epoch != publication.publication.epoch {
        PublicationPlace::OtherLog
    } else if offset > joined.sent_through {
        PublicationPlace::After
    } else if offset > joined.joined_at && joined.filter_changed_at.is_some_and(|at| offset <= at) {
        PublicationPlace::Filtered
    } else if offset > joined.joined_at {
        PublicationPlace::Live
    } else if joined.replayed_from.is_some_and(|from| offset >= from) {
        PublicationPlace::Replayed
    } else {
        PublicationPlace::Before
    }
}

/// Whether a filter for events leaves a publication out.
fn leaves_out(events: &[String], publication: &PublicationAccount) -> bool {
    !events.is_empty() && !publication.event.as_ref().is_some_and(|event| events.contains(event))
}
