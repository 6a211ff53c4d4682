//! Accounts of connections, and of what came of a publication for each of them: derived from the state, and nothing is changed.

use super::Hub;
use super::registry::MemberSince;
use crate::connection::deadlines::Timer;
use crate::connection::outbox::Queue;
use crate::connection::{Conn, Stage};
use crate::explain::{
    ConnectionAccount, DeliveryAccount, DeliveryOutcome, DeliveryPage, DeliveryPlace, JoinedAccount, MembershipAccount,
    PublicationAccount,
};
use crate::ids::{ClientId, Slot, index};
use crate::names::UserId;
use crate::protocol::ServerMessage;
use crate::publication::{EpochText, LogPosition};
use alloc::string::String;
use alloc::vec::Vec;

impl Hub {
    /// The account of a connection that exists, or of one of the last that ended. O(n) in its rooms, or in those.
    pub fn account(&self, client: ClientId) -> Option<ConnectionAccount> {
        let Some(slot) = self.clients.get(&client) else { return self.ended.find(client).cloned() };
        let conn = &self.conns[*slot];
        let left = |timer: Timer| {
            let at = conn.deadlines.get(timer).time()?;
            Some((timer.name(), at.since(self.now.mono)))
        };
        let deadlines = Timer::ALL.into_iter().filter_map(left).collect();
        Some(ConnectionAccount { deadlines, ..self.account_of(conn) })
    }

    /// The account of a connection: of one that closes, as it was when it began to.
    pub(super) fn account_of(&self, conn: &Conn) -> ConnectionAccount {
        if let Some(account) = conn.record.ending.and_then(|number| self.ended.get(number)) {
            return ConnectionAccount { state: "closing", ..account.clone() };
        }
        let record = &conn.record;
        let (queue, open) = (conn.queue(), conn.open());
        ConnectionAccount {
            conn: conn.id,
            client: conn.client,
            user: self.user_of(conn).clone(),
            protocol: conn.protocol.name(),
            state: conn.state_name(),
            since_ms: record.since_ms,
            rooms: self.membership_accounts(conn.id.slot).collect(),
            more_rooms: 0,
            events: open.map_or_else(Vec::new, |open| open.events.to_vec()),
            queued_bytes: queue.map_or(0, Queue::bytes),
            queued_frames: queue.map_or(0, Queue::len),
            blocked: queue.is_some_and(Queue::has_refused),
            dropped_frames: 0,
            pings: record.pings,
            limits: record.limits.clone(),
            deadlines: Vec::new(),
            end: None,
        }
    }

    fn user_of<'a>(&'a self, conn: &'a Conn) -> &'a UserId {
        conn.open().map_or(&self.anonymous, |open| &open.info.user)
    }

    /// The accounts of a connection's memberships, in the order in which it has them.
    pub(super) fn membership_accounts(&self, slot: Slot) -> impl Iterator<Item = MembershipAccount> {
        self.registry.accounts(slot).map(|(room, reasons, since)| MembershipAccount {
            room: room.clone(),
            joined: since.map(joined_account),
            reasons: reasons.names().collect(),
        })
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
        let mut next = None;
        if slots.len() > most {
            let (_, after, _) = slots.select_nth_unstable(most);
            next = Some(DeliveryPlace::Member(index(after.index())));
            slots.truncate(most);
        }
        slots.sort_unstable();
        (slots.into_iter().map(|slot| self.delivery_to(publication, &self.conns[slot])).collect(), next)
    }

    /// What came of a publication for one connection; `None` when the connection is not known.
    pub fn delivery(&self, publication: &PublicationAccount, client: ClientId) -> Option<DeliveryAccount> {
        match self.clients.get(&client) {
            Some(slot) if self.conns[*slot].record.ending.is_none() => {
                Some(self.delivery_to(publication, &self.conns[*slot]))
            }
            _ => self.account(client).map(|account| self.delivery_of(publication, &account)),
        }
    }

    /// What came of a publication for a connection that has ended, or is closing: then frames may wait yet.
    fn delivery_of(&self, publication: &PublicationAccount, account: &ConnectionAccount) -> DeliveryAccount {
        let closing = self.clients.get(&account.client).and_then(|slot| self.conns[*slot].queue());
        let unwritten = account.dropped_frames + closing.map_or(0, Queue::len) as u64;
        delivery_to_ended(publication, account, unwritten)
    }

    fn delivery_to(&self, publication: &PublicationAccount, conn: &Conn) -> DeliveryAccount {
        let outcome = match self.registry.account_in(conn.id.slot, &publication.room) {
            None => DeliveryOutcome::NoMember,
            Some(None) => DeliveryOutcome::Joining,
            Some(Some((since, sent_through))) => self.outcome(publication, conn, since, sent_through),
        };
        DeliveryAccount {
            client: conn.client,
            user: self.user_of(conn).clone(),
            protocol: conn.protocol.name(),
            outcome,
            ended: None,
        }
    }

    fn outcome(
        &self,
        publication: &PublicationAccount,
        conn: &Conn,
        since: MemberSince,
        sent_through: LogPosition,
    ) -> DeliveryOutcome {
        let joined = joined_account((since, sent_through));
        match place(&joined, publication) {
            PublicationPlace::Before => DeliveryOutcome::JoinedLater { at: since.offset },
            PublicationPlace::After => DeliveryOutcome::OnItsWay { at: sent_through.offset },
            PublicationPlace::Filtered => DeliveryOutcome::FilterChanged,
            PublicationPlace::Live if conn.open().is_some_and(|open| leaves_out(&open.events, publication)) => {
                DeliveryOutcome::Filtered
            }
            place => self.written_or_waiting(publication, conn, matches!(place, PublicationPlace::Live)),
        }
    }

    /// The outcome of a publication that was put into a connection's outbox, or is part of a reply that was.
    fn written_or_waiting(&self, publication: &PublicationAccount, conn: &Conn, is_live: bool) -> DeliveryOutcome {
        let Some(open) = conn.open().filter(|open| !matches!(open.stage, Stage::Joining(_))) else {
            return DeliveryOutcome::AwaitsReply;
        };
        let queue = open.outbox.queue();
        let message = ServerMessage::Publication { room: &publication.room, publication: &publication.publication };
        let frame = conn.protocol.encode(&message, self.now.unix_ms).filter(|_| is_live);
        match frame.map(|frame| queue.has(&frame)) {
            _ if queue.is_empty() => DeliveryOutcome::FullyWritten,
            Some(false) => DeliveryOutcome::FullyWritten,
            Some(true) if conn.protocol.names_publications() => DeliveryOutcome::Queued,
            _ => DeliveryOutcome::Sent { unwritten: queue.len() as u64 },
        }
    }
}

fn joined_account((since, sent_through): (MemberSince, LogPosition)) -> JoinedAccount {
    JoinedAccount {
        at_ms: since.unix_ms,
        epoch: EpochText::of(since.epoch).into(),
        joined_at: since.offset,
        replayed_from: (since.replayed_from > 0).then_some(since.replayed_from),
        filter_changed_at: (since.filter_changed_at > 0).then_some(since.filter_changed_at),
        sent_through: sent_through.offset,
    }
}

/// What came of a publication for a connection that was a member when it began to close, with so many frames unwritten.
fn delivery_to_ended(publication: &PublicationAccount, account: &ConnectionAccount, unwritten: u64) -> DeliveryAccount {
    let joined = account.rooms.iter().find(|at| at.room == publication.room).map(|at| at.joined.as_ref());
    let outcome = match joined {
        None => DeliveryOutcome::NoMember,
        Some(None) => DeliveryOutcome::Joining,
        Some(Some(joined)) => match place(joined, publication) {
            PublicationPlace::Before => DeliveryOutcome::JoinedLater { at: joined.joined_at },
            PublicationPlace::After => DeliveryOutcome::EndedBefore { at: joined.sent_through },
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
}

fn place(joined: &JoinedAccount, publication: &PublicationAccount) -> PublicationPlace {
    let offset = publication.offset();
    if *joined.epoch != *publication.epoch() {
        // A log that begins anew takes its members along: who is still in an older one has not come to it.
        PublicationPlace::After
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
