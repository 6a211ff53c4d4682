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

    /// What waits to be heard.
    pub(super) fn unheard(&self) -> Option<&Queue> {
        self.conns[self.conns.canary()?.slot].queue()
    }

    /// Whether the home of its room has made the canary a member.
    pub(super) fn canary_is_member(&self) -> bool {
        self.conns
            .canary()
            .is_some_and(|canary| self.registry.is_member(canary.slot, &RoomName::of_canary(self.shard.index())))
    }

    /// Publishes a number in the canary's room.
    pub(super) fn release_canary(&mut self, number: u64) {
        if self.conns.canary().is_none() {
            self.hatch();
        }
        if !self.unheard().is_none_or(Queue::is_empty) {
            return;
        }
        let room = RoomName::of_canary(self.shard.index());
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

    /// Makes the canary, which joins its room.
    fn hatch(&mut self) {
        // All zeros, but for the shard: ids of clients are random.
        let mut client = [0; 16];
        client[..2].copy_from_slice(&u16::to_le_bytes(self.shard.index() as u16));
        let client = ClientId(client);
        let info = ClientInfo { client, user: self.anonymous.clone(), info: None, room_info: None };
        let open = Open { stage: Stage::Ready, ..Handshaking { token: None }.upgraded(Arc::new(info), 1) };
        let (protocol, record) = (Protocol::of_canary(), Record::since(self.now.unix_ms));
        let (phase, deadlines) = (Phase::Open(open), Deadlines::NONE);
        let make = |id| Conn { id, client, address: None, protocol, phase, deadlines, record };
        let id = self.conns.insert_canary(make);
        let reason = JoinReason::ServerSide(Reasons::CLIENT);
        self.join(id.slot, &RoomName::of_canary(self.shard.index()), reason, Replay::None, JoinLeave::Untold, None);
    }
}
