//! Gaps: publications of a room that the hub has not received, and may never receive. Each member is told, or gets what it
//! missed, before anything newer.

use super::Hub;
use crate::close::CloseCause;
use crate::connection::pending::{JoinReason, PendingJoin, Reasons};
use crate::error::UnsubscribeReason;
use crate::ids::Slot;
use crate::link::follower::Sequence;
use crate::link::{HomeRequest, LeaveReason};
use crate::names::RoomName;
use crate::node::ShardId;
use crate::protocol::Start;
use crate::publication::{EpochText, LogPosition, Publication, Replay};
use crate::step::{LeaveCause, StepChange};
use alloc::vec::Vec;
use core::mem;

impl Hub {
    /// Delivers a publication if it is the next one for the members of the room.
    pub(super) fn receive(&mut self, room: &RoomName, publication: &Publication) {
        match self.registry.step(room, publication) {
            Some((Sequence::Next, list)) => self.deliver(room, list, publication),
            Some((Sequence::Gap, _)) => self.interrupt_members(room, None, true),
            Some((Sequence::Repeat, _)) => self.totals.repeats += 1,
            // The last member has left while it was on its way.
            None => {}
        }
    }

    /// The log of a room goes on at another position than its members have come to.
    #[cold]
    pub(super) fn restarted(&mut self, room: &RoomName, position: LogPosition) {
        self.interrupt_members(room, None, true);
        self.registry.set_position(room, position);
    }

    /// The log of a room is at another position than the members of the room before this new one had come to: they have
    /// missed something.
    #[cold]
    pub(super) fn notice_gap_before(&mut self, room: &RoomName, newcomer: Slot, position: LogPosition) {
        self.interrupt_members(room, Some(newcomer), true);
        self.registry.set_position(room, position);
    }

    /// Takes all members of a room but one out of its list, so that nothing newer reaches them, and begins to tell them. The
    /// home is told that they have left if it is there to hear it.
    fn interrupt_members(&mut self, room: &RoomName, but: Option<Slot>, is_home_there: bool) {
        let Some(last) = self.registry.position(room) else { return };
        let members: Vec<Slot> = self.registry.members(room).filter(|slot| Some(*slot) != but).collect();
        for slot in members {
            let join = self.next_join();
            let Some(before) = self.registry.interrupt(slot, room, join) else { continue };
            self.totals.gaps += 1;
            let cause = LeaveCause::Server(UnsubscribeReason::GAP);
            self.step(slot, |_| Some(StepChange::Left { room: room.clone(), cause }));
            if is_home_there {
                let (client, reason) = (self.conns[slot].client, LeaveReason::Left);
                self.requests.push_back(HomeRequest::Leave { room: room.clone(), client, join: before, reason });
            }
            if let Some(asked) = self.conns[slot].open_mut().and_then(|open| open.take_join(before)) {
                // Its client asks for the room anew, and is answered.
                self.join_later(slot, PendingJoin { join, ..asked });
                continue;
            }
            let reason = JoinReason::Gap(self.registry.reasons(slot, room));
            let replay =
                Replay::Since { epoch: EpochText::of(last.epoch).into(), offset: last.offset, or_refuse: false };
            let pending = PendingJoin { join, room: room.clone(), reason, replay, grant: None, asked: None };
            self.join_later(slot, pending);
        }
    }

    /// A shard was lost, with all that its home knew. What was asked of it is not answered, joins are asked for anew, and the
    /// members of its rooms may have missed something. O(n) in the memberships.
    pub(super) fn shard_lost(&mut self, shard: ShardId) {
        self.tickets.forget(shard);
        self.agenda.forget(shard);
        self.fail_askers_of(shard);
        let rooms = self.registry.rooms().map(|(room, _)| room);
        let lost: Vec<RoomName> = rooms.filter(|room| self.node.home_of(room) == shard).cloned().collect();
        for room in lost {
            self.interrupt_members(&room, None, false);
        }
        let slots: Vec<Slot> = self.conns.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.ask_again(slot, shard);
        }
        self.hand_over_revocations(shard);
    }

    /// Has the joins that a lost home has not answered asked for once more.
    fn ask_again(&mut self, slot: Slot, shard: ShardId) {
        let node = self.node;
        let Some(open) = self.conns[slot].open_mut() else { return };
        let is_lost = |pending: &PendingJoin| pending.asked.is_some() && node.home_of(&pending.room) == shard;
        let (lost, kept): (Vec<_>, Vec<_>) = mem::take(&mut open.joins).into_iter().partition(is_lost);
        open.joins = kept;
        for pending in lost {
            self.join_later(slot, pending);
        }
    }

    /// Goes on with a member that may have missed something. A client that has asked for its rooms asks again once it is told:
    /// for this room alone, or with a new connection where the server has subscribed it too. One that has them from its URL
    /// joins again without asking, and gets what it missed, or a `gap`.
    pub(super) fn enter_after_gap(&mut self, slot: Slot, pending: PendingJoin, reasons: Reasons) {
        match self.conns[slot].protocol.start() {
            Start::AtOnce => self.ask_home(slot, pending),
            Start::OnConnect if reasons == Reasons::CLIENT => {
                self.server_unsubscribe(slot, &pending.room, UnsubscribeReason::GAP);
                self.schedule_waiting(slot);
            }
            Start::OnConnect => self.close(slot, CloseCause::Gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ids::ConnId;
    use crate::input::Input;
    use crate::map::Keys;
    use crate::testing::{accept_from_loopback, confirm_join, publication};
    use crate::token::{Claims, VerifiedClaims};
    use alloc::rc::Rc;
    use alloc::string::String;

    fn hub(url: &str) -> (Hub, ConnId) {
        let config = Rc::new(Config::default());
        let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
        let conn = accept_from_loopback(&mut hub, &config, 1, url);
        hub.handle(Input::Upgraded { conn });
        (hub, conn)
    }

    /// Carries out all commands, and returns what the connection has been sent since the last time.
    fn told(hub: &mut Hub, conn: ConnId) -> String {
        while hub.next_command() {}
        let Some((queue, _)) = hub.queue(conn) else { return String::new() };
        let text: String = queue.slices().map(|frame| String::from_utf8_lossy(&frame[2..])).collect();
        let bytes = queue.bytes();
        hub.handle(Input::Flushed { conn, bytes });
        while hub.next_command() {}
        text
    }

    fn say(hub: &mut Hub, conn: ConnId, text: &str) {
        hub.handle(Input::Message { conn, message: text.into() });
        while hub.next_command() {}
    }

    /// Returns a hub with a `json` client that is a member of the room `a`, as it has asked.
    fn json_member() -> (Hub, ConnId) {
        let (mut hub, conn) = hub("/connection/websocket");
        say(&mut hub, conn, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
        confirm_join(&mut hub);
        told(&mut hub, conn);
        (hub, conn)
    }

    fn receive(hub: &mut Hub, offset: u64) {
        hub.receive(&RoomName::from("a"), &publication(offset, "\"news\""));
    }

    #[test]
    fn a_publication_that_comes_twice_is_delivered_once() {
        let (mut hub, conn) = json_member();
        receive(&mut hub, 1);
        receive(&mut hub, 1);
        assert_eq!(told(&mut hub, conn).matches("news").count(), 1);
        assert_eq!((hub.totals.repeats, hub.totals.gaps), (1, 0));
    }

    #[test]
    fn after_a_gap_a_json_client_is_told_to_subscribe_again() {
        let (mut hub, conn) = json_member();
        receive(&mut hub, 2);
        let frames = told(&mut hub, conn);
        assert!(frames.contains("\"code\":2500") && !frames.contains("news"), "{frames}");
        assert!(
            matches!(hub.requests.make_contiguous(), [HomeRequest::Leave { .. }]),
            "the home has no member that the hub has not"
        );
        hub.audit();
    }

    #[test]
    fn after_a_gap_in_a_room_of_its_token_a_json_client_connects_again() {
        let (mut hub, conn) = hub("/connection/websocket");
        say(&mut hub, conn, "{\"id\":1,\"connect\":{\"token\":\"t\"}}");
        let claims = Claims { sub: "ada".into(), ..Claims::default() };
        #[expect(clippy::disallowed_methods, reason = "the test is the verifier")]
        let verdict = Ok(VerifiedClaims::vouched_for_by_verifier(claims));
        hub.handle(Input::Authenticated { conn, verdict });
        confirm_join(&mut hub);
        told(&mut hub, conn);
        hub.receive(&RoomName::from("#ada"), &publication(2, "1"));
        let frames = told(&mut hub, conn);
        assert!(frames.contains("insufficient state") && hub.find(conn).is_none_or(|conn| conn.open().is_none()));
    }

    #[test]
    fn after_a_gap_a_plain_client_joins_again_from_where_it_was() {
        let (mut hub, conn) = hub("/ws/a");
        confirm_join(&mut hub);
        receive(&mut hub, 1);
        told(&mut hub, conn);
        receive(&mut hub, 3);
        assert_eq!(told(&mut hub, conn), "");
        let [HomeRequest::Leave { .. }, HomeRequest::Join { replay, .. }] = hub.requests.make_contiguous() else {
            panic!("it leaves and joins")
        };
        assert_eq!(*replay, Replay::Since { epoch: EpochText::of(7).into(), offset: 1, or_refuse: false });
        receive(&mut hub, 4);
        assert_eq!(told(&mut hub, conn), "", "nothing newer comes before what it has missed");
        hub.arm_tickets();
        hub.audit();
    }

    #[test]
    fn a_new_member_shows_the_others_that_they_have_missed_something() {
        let (mut hub, conn) = hub("/ws/a");
        confirm_join(&mut hub);
        receive(&mut hub, 1);
        let config = Rc::clone(&hub.config);
        let other = accept_from_loopback(&mut hub, &config, 2, "/ws/a");
        hub.handle(Input::Upgraded { conn: other });
        // The home has forgotten the room meanwhile: its log begins anew.
        confirm_join(&mut hub);
        told(&mut hub, conn);
        let room = RoomName::from("a");
        assert_eq!(hub.registry.members(&room).collect::<Vec<_>>(), [other.slot]);
        assert_eq!(hub.totals.gaps, 1);
    }
}
