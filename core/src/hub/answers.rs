//! Delivery of the home's answers to the connections and calls that wait for them.

use super::Hub;
use super::gather::Caller;
use super::tickets::Asker;
use crate::api::{Position, PublicationView, Reply};
use crate::error::{Error, ErrorCode};
use crate::ids::ClientInfo;
use crate::limits::Limit;
use crate::link::{HomeRequest, Ticket};
use crate::protocol::ServerMessage;
use crate::publication::{LogPage, LogPosition, Publication};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Hub {
    /// The home has published what it was asked to.
    pub(super) fn published(&mut self, ticket: Ticket, position: Option<LogPosition>) {
        match self.complete(ticket) {
            Asker::Call(caller) => self.resolve(caller, Ok(Reply::Published(Position::of(position)))),
            Asker::Command { conn, id, room } => {
                let message = ServerMessage::Published { id: &id, room: &room, position };
                self.with(conn, |hub, slot| hub.tell(slot, &message));
            }
        }
    }

    /// The home has read a log.
    pub(super) fn history_read(&mut self, ticket: Ticket, result: Result<LogPage, Error>) {
        match self.complete(ticket) {
            Asker::Call(caller) => self.resolve(caller, result.map(history_reply)),
            Asker::Command { conn, id, room } => self.with(conn, |hub, slot| match result {
                Ok(page) => hub.tell(slot, &ServerMessage::History { id: &id, room: &room, page: &page }),
                Err(error) => hub.fail(slot, &id, &error),
            }),
        }
    }

    /// The home has told who is in a room.
    pub(super) fn presence_read(&mut self, ticket: Ticket, members: Option<Vec<Arc<ClientInfo>>>) {
        match self.complete(ticket) {
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
        }
    }

    /// The home has counted who is in a room.
    pub(super) fn presence_counted(&mut self, ticket: Ticket, clients: usize, users: usize) {
        match self.complete(ticket) {
            Asker::Call(caller) => self.resolve(caller, Ok(Reply::PresenceStats { clients, users })),
            Asker::Command { conn, id, .. } => {
                let message = ServerMessage::PresenceStats { id: &id, clients, users };
                self.with(conn, |hub, slot| hub.tell(slot, &message));
            }
        }
    }

    /// A call, or a part of one, was carried out.
    pub(super) fn done(&mut self, ticket: Ticket, result: Result<Reply, Error>) {
        match self.complete(ticket) {
            Asker::Call(caller) => self.resolve(caller, result),
            asker @ Asker::Command { .. } => panic!("G7: no client asks for this: {asker:?}"),
        }
    }

    /// Completes a ticket. Returns the receiver of the answer, whose next command may be carried out behind it.
    fn complete(&mut self, ticket: Ticket) -> Asker {
        let asker = self.tickets.complete(ticket);
        self.note_answer(&asker);
        asker
    }

    /// Notes that an answer for this receiver has come.
    fn note_answer(&mut self, asker: &Asker) {
        let Asker::Command { conn, .. } = asker else { return };
        if self.find(*conn).is_none() {
            return;
        }
        let Some(open) = self.conns[conn.slot].open_mut() else { return };
        open.asked -= 1;
        if open.asked == 0 {
            self.schedule_waiting(conn.slot);
        }
    }

    /// The shard will not answer: it is not known whether it did what it was asked to.
    pub(super) fn fail_asker(&mut self, asker: Asker) {
        let error = Error::from(ErrorCode::Internal);
        self.note_answer(&asker);
        match asker {
            Asker::Call(caller) => self.resolve(caller, Err(error)),
            Asker::Command { conn, id, .. } => self.with(conn, |hub, slot| hub.fail(slot, &id, &error)),
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
