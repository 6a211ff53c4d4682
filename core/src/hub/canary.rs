//! The canary: a member of a room that nobody else can name, which hears what is published there. What it publishes goes the whole
//! way that any publication goes, through the home of the room and the outbox of a member, so that a host can tell whether
//! publications arrive. It is in no count, list or limit.

use super::Hub;
use super::tickets::Asker;
use crate::connection::deadlines::Deadlines;
use crate::connection::outbox::Queue;
use crate::connection::pending::{JoinLeave, JoinReason, Reasons};
use crate::connection::record::Record;
use crate::connection::{Conn, Handshaking, Open, Phase, Stage};
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::json::Json;
use crate::link::HomeRequest;
use crate::names::RoomName;
use crate::payload::Payload;
use crate::protocol::Protocol;
use crate::publication::{Draft, Replay};
use alloc::sync::Arc;

impl Hub {
    /// The canary, once there is one.
    pub fn canary(&self) -> Option<ConnId> {
        self.conns.canary()
    }

    /// The frames that wait to be heard.
    pub(super) fn unheard(&self) -> Option<&Queue> {
        self.conns[self.conns.canary()?.slot].queue()
    }

    /// Publishes a number in the canary's room.
    pub(super) fn release_canary(&mut self, number: u64) {
        if self.canary_room.is_none() {
            self.hatch();
        }
        let Some(room) = self.canary_room.clone().filter(|_| self.unheard().is_none_or(Queue::is_empty)) else {
            return;
        };
        // It is not numbered: nobody comes back for it.
        let data = Payload::Json(Json::encode(&number));
        let draft = Draft { data, tags: None, info: None, skip_history: true, shared: false };
        let ticket = self.ticket(&room, Asker::Canary);
        self.requests.push_back(HomeRequest::Publish { ticket, room, draft, idempotency_key: None });
    }

    /// The canary has got what waited.
    pub(super) fn canary_heard(&mut self) {
        let Some(canary) = self.conns.canary() else { return };
        let Some(open) = self.conns[canary.slot].open_mut() else { return };
        let bytes = open.outbox.queue().bytes();
        self.outbox_bytes -= bytes;
        self.frames_heard += open.outbox.flushed(bytes, &mut self.refused_frames).frames;
    }

    /// Makes the canary, which joins its room. The home of that is in this shard: no other one can keep it waiting, or be lost.
    fn hatch(&mut self) {
        let mut rooms = (0..).map(RoomName::of_canary);
        let room = rooms.find(|room| self.node.home_of(room) == self.shard).expect("each shard has homes");
        // All zeros: ids of clients are random.
        let client = ClientId([0; 16]);
        let info = ClientInfo { client, user: self.anonymous.clone(), info: None, room_info: None };
        let open = Open { stage: Stage::Ready, ..Handshaking { token: None }.upgraded(Arc::new(info), 1) };
        let (protocol, record) = (Protocol::of_canary(), Record::since(self.now.unix_ms));
        let (phase, deadlines) = (Phase::Open(open), Deadlines::NONE);
        let make = |id| Conn { id, client, address: None, protocol, phase, deadlines, record };
        let id = self.conns.insert_canary(make);
        self.join(id.slot, &room, JoinReason::ServerSide(Reasons::CLIENT), Replay::None, JoinLeave::Untold, None);
        self.canary_room = Some(room);
    }
}
