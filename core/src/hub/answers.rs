//! Delivery of the home's answers to the connections and calls that wait for them.

use super::gather::Caller;
use super::tickets::{Answered, Asker};
use super::{Hub, Owner};
use crate::api::{Position, PublicationView, Reply};
use crate::connection::Open;
use crate::error::{Error, ErrorCode};
use crate::ids::{ClientInfo, Slot};
use crate::limits::Limit;
use crate::link::{HomeRequest, Ticket};
use crate::node::ShardId;
use crate::protocol::ServerMessage;
use crate::publication::{LogPage, LogPosition, Publication};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Hub {
    /// The home has published what it was asked to.
    pub(super) fn published(&mut self, ticket: Ticket, position: Option<LogPosition>) {
        let Some(asker) = self.complete(ticket) else { return };
        match asker {
            Asker::Call(caller) => self.resolve(caller, Ok(Reply::Published(Position::of(position)))),
            Asker::Command { conn, id, room, .. } => {
                let message = ServerMessage::Published { id: &id, room: &room, position };
                self.with(conn, |hub, slot| hub.tell(slot, &message));
            }
            Asker::Canary => {}
            Asker::Join(_) => is_no_join(),
        }
    }

    /// The home has read a log.
    pub(super) fn history_read(&mut self, ticket: Ticket, result: Result<LogPage, Error>) {
        let Some(asker) = self.complete(ticket) else { return };
        match asker {
            Asker::Call(caller) => self.resolve(caller, result.map(history_reply)),
            Asker::Command { conn, id, room, .. } => self.with(conn, |hub, slot| match result {
                Ok(page) => hub.tell(slot, &ServerMessage::History { id: &id, room: &room, page: &page }),
                Err(error) => hub.fail(slot, &id, &error),
            }),
            Asker::Join(_) | Asker::Canary => is_no_join(),
        }
    }

    /// Tells the asker that the home has not done it, or may not have.
    #[cold]
    pub(super) fn failed(&mut self, ticket: Ticket, error: &Error) {
        if let Some(asker) = self.complete(ticket) {
            self.fail_asker(asker, error);
        }
    }

    /// The home has told who is in a room.
    pub(super) fn presence_read(&mut self, ticket: Ticket, members: Option<Vec<Arc<ClientInfo>>>) {
        let Some(asker) = self.complete(ticket) else { return };
        match asker {
            Asker::Call(caller) => {
                let result = members.map(Reply::Presence).ok_or_else(|| self.over_reply());
                self.resolve(caller, result);
            }
            Asker::Command { conn, id, .. } => self.with(conn, |hub, slot| {
                let most = hub.config.limits.reply_bytes;
                let reply = members.and_then(|members| {
                    hub.encode(slot, &ServerMessage::Presence { id: &id, members: &members, most })
                });
                match reply {
                    Some(reply) => hub.enqueue(slot, reply),
                    None => {
                        let words = format!("the list of members has more than {most} bytes");
                        hub.fail(slot, &id, &Error::limit(ErrorCode::LimitExceeded, Limit::ReplyBytes, &words));
                    }
                }
            }),
            Asker::Join(_) | Asker::Canary => is_no_join(),
        }
    }

    /// The home has counted who is in a room.
    pub(super) fn presence_counted(&mut self, ticket: Ticket, clients: usize, users: usize) {
        let Some(asker) = self.complete(ticket) else { return };
        match asker {
            Asker::Call(caller) => self.resolve(caller, Ok(Reply::PresenceStats { clients, users })),
            Asker::Command { conn, id, .. } => {
                let message = ServerMessage::PresenceStats { id: &id, clients, users };
                self.with(conn, |hub, slot| hub.tell(slot, &message));
            }
            Asker::Join(_) | Asker::Canary => is_no_join(),
        }
    }

    /// A call, or a part of one, was carried out.
    pub(super) fn done(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        let Some(asker) = self.complete(ticket) else { return };
        match asker {
            Asker::Call(caller) => self.resolve(caller, result),
            asker => panic!("G7: no client asks for this: {asker:?}"),
        }
    }

    /// Completes a ticket. Returns the receiver of the answer, whose next command may be carried out behind it; `None` when it
    /// was told before that there is none.
    pub(super) fn complete(&mut self, ticket: Ticket) -> Option<Asker> {
        match self.tickets.complete(ticket) {
            Some(answered) => Some(self.note_answer(ticket, answered)),
            None => {
                self.totals.late_answers += 1;
                None
            }
        }
    }

    /// Tells the one who has waited longest for a home that there is no answer, if that was longer than `ticket_timeout`.
    #[cold]
    pub(super) fn give_up_oldest(&mut self) {
        if let Some((ticket, answered)) = self.tickets.take_overdue(self.now.mono) {
            match self.note_answer(ticket, answered) {
                Asker::Join(conn) => self.join_overdue(conn, ticket),
                asker => self.fail_asker(asker, &no_answer()),
            }
        }
        self.arm_tickets();
    }

    /// Tells all who wait for a lost home that there is no answer. Joins are asked for once more.
    pub(super) fn fail_askers_of(&mut self, home: ShardId) {
        for ticket in self.tickets.of_shard(home) {
            if let Some(answered) = self.tickets.complete(ticket) {
                let asker = self.note_answer(ticket, answered);
                self.fail_asker(asker, &ErrorCode::Internal.into());
            }
        }
    }

    /// Arms the time at which the first of those who wait for homes has waited for too long. A turn that is over has no more to
    /// say: on one shard nobody waits then.
    #[inline]
    pub fn arm_tickets(&mut self) {
        if self.tickets.is_awaited() || self.tickets_due.deadline().is_set() {
            self.rearm_tickets();
        }
    }

    #[cold]
    fn rearm_tickets(&mut self) {
        self.timers.rearm(Owner::Tickets, &mut self.tickets_due, self.tickets.deadline());
    }

    /// Notes that the answer for this receiver has come, or that there is none.
    fn note_answer(&mut self, ticket: Ticket, answered: Answered) -> Asker {
        if let Asker::Command { conn, .. } = answered.asker
            && self.find(conn).is_some()
        {
            let was_spent = self.has_spent_credit_for(conn.slot, ticket);
            if let Some(open) = self.conns[conn.slot].open_mut() {
                self.tickets.unlink(&mut open.asked, &answered);
                self.go_on_after_answer(conn.slot, was_spent);
            }
        }
        answered.asker
    }

    /// Whether a connection is not read from because it has spent its credit, on what it asked in an earlier turn. In between
    /// the host has looked.
    pub(super) fn has_spent_credit_for(&self, slot: Slot, ticket: Ticket) -> bool {
        self.tickets.is_old(ticket) && self.conns[slot].open().is_some_and(Open::has_spent_credit)
    }

    /// Goes on with what a client has said, or listens to it again, once something that it has asked is answered.
    pub(super) fn go_on_after_answer(&mut self, slot: Slot, was_spent: bool) {
        let Some(open) = self.conns[slot].open() else { return };
        if open.inbound.has_waiting() {
            self.schedule_waiting(slot);
        } else if was_spent && !open.is_paused(&self.config.limits) {
            self.resume_reading(slot);
        }
    }

    /// The shard will not answer: it is not known whether it did what it was asked to.
    fn fail_asker(&mut self, asker: Asker, error: &Error) {
        match asker {
            Asker::Call(caller) => self.resolve(caller, Err(error.clone())),
            Asker::Command { conn, id, .. } => self.with(conn, |hub, slot| hub.fail(slot, &id, error)),
            Asker::Join(_) | Asker::Canary => {}
        }
    }

    /// Hands the result of a call, or of a part of one, to its caller.
    pub(super) fn resolve(&mut self, caller: Caller, result: Result<Reply, Error>) {
        let result = self.within_reply(caller, result);
        if let Err(error) = &result
            && self.is_of_backend(caller)
        {
            self.count_error(error);
        }
        match caller {
            Caller::Whole(call) => self.reply(call, result),
            Caller::Part { gather, at } => self.gather(gather, at, result),
            Caller::Hub { shard, ticket } => self.answer_hub(shard, ticket, result),
            Caller::Home { shard: home, errand } => {
                let result = result.map(drop);
                self.requests.push_back(HomeRequest::UserCommandDone { home, errand, result });
            }
            Caller::Nobody => {}
        }
    }
}

/// No home has answered in time.
pub(super) fn no_answer() -> Error {
    Error::limit(ErrorCode::Internal, Limit::TicketTimeout, "no answer in time")
}

fn is_no_join() -> ! {
    panic!("G7: a join is confirmed or refused")
}

fn history_reply(page: LogPage) -> Reply {
    let publication = |publication: &Arc<Publication>| PublicationView {
        offset: publication.offset,
        data: publication.draft.data.clone(),
        tags: publication.draft.tags.clone(),
        info: publication.draft.info.clone(),
    };
    Reply::History {
        publications: page.publications.iter().map(publication).collect(),
        position: Position::of(page.position),
    }
}
