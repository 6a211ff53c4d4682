//! The checks of a hub that cost as much as it holds.

use super::agenda::Work;
use super::states::StateCounts;
use super::{Hub, Owner};
use crate::close::CloseCause;
use crate::connection::deadlines::Timer;
use crate::connection::outbox::Queue;
use crate::connection::pending::{PendingJoin, Reasons};
use crate::connection::{Conn, Open, Phase};
use crate::ids::Slot;
use alloc::vec::Vec;

impl Hub {
    /// Checks every guarantee that can be seen in the state, by name.
    pub fn audit(&self) {
        self.conns.audit();
        self.registry.audit();
        assert!(self.conns.len() <= self.bounds.of(&self.config.limits).connections, "G6: connections are bounded");
        assert_eq!(self.clients.len(), self.conns.len(), "G3: every client id is a connection's");
        let ended: u64 = self.totals.closed.values().sum();
        assert_eq!(self.totals.accepted, ended + self.conns.len() as u64, "G7: who is accepted ends, once");
        let by_peers = self.totals.closed.get(&CloseCause::PeerClose).copied().unwrap_or_default();
        assert_eq!(self.totals.peer_closes.sum(), by_peers, "G8: who closes has a code, or none");
        let mut waiting = 0;
        let mut outbox_bytes = 0;
        let mut inbound_bytes = 0;
        for (slot, conn) in self.conns.iter() {
            self.audit_conn(slot, conn);
            waiting += conn.queue().map_or(0, Queue::len) as u64;
            outbox_bytes += conn.queue().map_or(0, Queue::bytes);
            inbound_bytes += conn.open().map_or(0, |open| open.inbound.bytes());
        }
        let (unheard_frames, unheard_bytes) =
            self.unheard().map_or((0, 0), |unheard| (unheard.len() as u64, unheard.bytes()));
        assert_eq!(outbox_bytes + unheard_bytes, self.outbox_bytes, "G8: what waits for sockets counts its bytes");
        assert_eq!(inbound_bytes, self.inbound_bytes, "G8: what clients have sent and is kept counts its bytes");
        self.audit_totals();
        let mut states = StateCounts::default();
        self.conns.iter().for_each(|(_, conn)| states.add(&conn.protocol, conn.state()));
        assert_eq!(states, self.states, "G8: connections are counted by protocol and state");
        let anonymous = self.open_connections().filter(|open| open.is_ready_anonymous()).count();
        assert_eq!(anonymous, self.ready_anonymous, "G8: those who are ready without a user are counted");
        let dropped = self.totals.frames_dropped.values().sum::<u64>() + self.totals.pongs_replaced;
        let settled = self.totals.frames_written + dropped + waiting;
        let of_canary = self.frames_heard + unheard_frames;
        assert_eq!(self.totals.frames_queued, settled + of_canary, "G8: a frame waits, is written or is dropped");
        let addresses_waiting = self.addresses.values().filter(|used| used.armed.deadline().is_set()).count();
        let from_addresses: usize = self.addresses.values().map(|used| used.connections).sum();
        let with_address = self.conns.iter().filter(|(_, conn)| conn.address.is_some()).count();
        assert_eq!(from_addresses, with_address, "G8: connections are counted by address");
        assert!(
            self.addresses.values().all(|used| used.connections > 0 || used.armed.deadline().is_set()),
            "G3: no address is kept for nothing"
        );
        let draining = self.drain.filter(|drain| drain.armed.deadline().is_set());
        let tickets_waiting = usize::from(self.tickets_due.deadline().is_set());
        self.tickets.audit();
        assert_eq!(
            self.tickets_due.deadline(),
            self.tickets.deadline(),
            "G7: who waits longest for a home has a deadline"
        );
        assert_eq!(
            self.timers.len(),
            self.conns.len() + usize::from(draining.is_some()) + addresses_waiting + tickets_waiting,
            "G3: deadlines are somebody's"
        );
        assert!(self.agenda.is_done() && self.slow.is_empty(), "a turn ends with nothing undone but what it puts off");
        self.audit_put_off();
    }

    /// The node holds no more than it may, or nothing that could be given up for it.
    fn audit_totals(&self) {
        let refused = self.conns.iter().filter_map(|(_, conn)| conn.queue()).flat_map(Queue::refused);
        self.refused_frames.audit(refused);
        let limits = &self.config.limits;
        let refuses = |open: &Open| open.outbox.queue().has_refused();
        let is_within = self.refused_frames.bytes() <= limits.outbox_bytes_total;
        assert!(is_within || !self.open_connections().any(refuses), "G6: what sockets have refused is bounded");
        let is_within = self.inbound_bytes + self.bodies <= limits.inbound_bytes_total;
        assert!(is_within || self.inbound_bytes == 0, "G6: what clients have sent and is kept is bounded");
    }

    fn open_connections(&self) -> impl Iterator<Item = &Open> {
        self.conns.iter().filter_map(|(_, conn)| conn.open())
    }

    /// Checks what holds when nothing is on its way to or from a home.
    pub fn audit_settled(&self) {
        assert!(self.tickets.is_empty(), "G7: every ticket is completed");
    }

    /// Every call that is not answered has its next part among what was put off, or waits for another shard or for a part that
    /// is a call of several parts itself.
    fn audit_put_off(&self) {
        let gather = |work: &Work| match work {
            Work::Batch { gather, .. } | Work::Broadcast { gather, .. } => Some(*gather),
            Work::Walk(walk) => walk.caller.gather(),
            Work::Sweep(sweep) => sweep.caller.gather(),
            Work::Message { .. } | Work::Waiting(_) | Work::Enter(_) | Work::Check { .. } => None,
        };
        let asked = self.tickets.gathers();
        let inner = self.gathers.values().filter_map(|gathering| gathering.caller.gather());
        let mut put_off: Vec<u64> = self.agenda.put_off().filter_map(gather).chain(asked).chain(inner).collect();
        put_off.sort_unstable();
        // Several parts wait for homes, and the last one that was begun may be put off beside those that follow it.
        put_off.dedup();
        let mut waiting: Vec<u64> = self.gathers.keys().copied().collect();
        waiting.sort_unstable();
        assert_eq!(put_off, waiting, "G7: a call is answered once all of it is done");
    }

    fn audit_conn(&self, slot: Slot, conn: &Conn) {
        assert_eq!(self.clients.get(&conn.client), Some(&slot), "G3: a client id leads to its connection");
        assert!(conn.deadlines.armed.deadline().is_set(), "G7: every connection has a deadline");
        assert_eq!(
            conn.deadlines.armed.deadline(),
            conn.deadlines.earliest(),
            "G7: the earliest deadline is the one that is armed"
        );
        assert!(self.timers.holds(Owner::Conn(slot), conn.deadlines.armed), "G7: an armed deadline is in the queue");
        let memberships = self.registry.membership_count(slot);
        match &conn.phase {
            Phase::Open(open) => {
                let limits = self.bounds.of(&self.config.limits);
                // The rooms that the token withdraws are left once it is the user's.
                let most = limits.rooms_per_connection + usize::from(open.awaits_user());
                assert!(memberships <= most, "G6: rooms of a connection are bounded");
                open.inbound.audit();
                assert_eq!(
                    open.inbound.is_unfinished(),
                    conn.deadlines.get(Timer::Message).is_set(),
                    "G7: what has begun has a deadline"
                );
                self.tickets.audit_asked(conn.id, &open.asked);
                let unready = conn.deadlines.get(Timer::Phase).is_set();
                assert!(open.is_ready() != unready, "G7: who has not said who it is has a deadline for that");
                let joining = self.registry.membership_states(slot).filter(|(_, member)| !member).count();
                // One that is a member may have asked for the room once more.
                let is_first = |pending: &&PendingJoin| !self.registry.is_member(slot, &pending.room);
                let first = open.joins.iter().filter(is_first).count();
                assert_eq!(first, joining, "G2: every join that was begun is waited for");
                let goes_on = |work: &Work| matches!(work, Work::Enter(id) if *id == conn.id);
                assert!(
                    !open.has_unasked() || !open.outbox.queue().is_empty() || self.agenda.put_off().any(goes_on),
                    "G7: a join waits for a client to read, or for its turn"
                );
                let is_check = |work: &&Work| matches!(work, Work::Check { conn: id, .. } if *id == conn.id);
                assert_eq!(
                    self.agenda.put_off().filter(is_check).count(),
                    usize::from(open.is_unchecked),
                    "G7: rooms that a token may forbid are looked at, once"
                );
                let mut named = self.registry.with_reason(slot, Reasons::TOKEN);
                assert!(
                    named.all(|(room, _)| open.granted.contains(room)),
                    "G2: a token names the rooms that it gives"
                );
            }
            Phase::Changing => panic!("G7: a transition sets another phase"),
            Phase::Handshaking(_) | Phase::Closing(_) => {
                assert_eq!(memberships, 0, "G2: only an open connection is in a room");
            }
        }
        if let Some(queue) = conn.queue() {
            queue.audit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::address::Address;
    use crate::close::CloseCause;
    use crate::config::Config;
    use crate::connection::pending::{JoinLeave, JoinReason, Reasons};
    use crate::hub::gather::Caller;
    use crate::hub::states::ConnectionState;
    use crate::hub::tickets::Asker;
    use crate::ids::ConnId;
    use crate::input::{CallId, Input};
    use crate::limits::Limits;
    use crate::link::JoinId;
    use crate::map::Keys;
    use crate::names::RoomName;
    use crate::publication::Replay;
    use crate::testing::{accept_from_loopback, audit_finds, confirm_join};
    use crate::time::{Deadline, Instant};
    use crate::timers::Armed;
    use alloc::rc::Rc;
    use core::net::IpAddr;
    use core::num::NonZeroUsize;

    fn config(limits: Limits) -> Rc<Config> {
        Rc::new(Config::from(Limits { connections_per_ip: NonZeroUsize::new(10), ..limits }))
    }

    /// A member, and one whose handshake is not through.
    fn busy() -> Hub {
        let config = config(Limits::default());
        let mut hub = Hub::new(Rc::clone(&config), Keys(1, 2));
        let conn = accept_from_loopback(&mut hub, &config, 1, "/ws/a");
        hub.handle(Input::Upgraded { conn });
        accept_from_loopback(&mut hub, &config, 2, "/ws/a");
        confirm_join(&mut hub);
        hub
    }

    #[test]
    fn the_audit_reports_each_broken_invariant_of_a_hub() {
        audit_finds(
            busy,
            |hub| {
                hub.audit();
                hub.audit_settled();
            },
            &[
                ("G6: connections are bounded", |hub| {
                    hub.config = config(Limits { connections: 1, ..Limits::default() });
                }),
                ("G3: every client id is a connection's", |hub| hub.clients.clear()),
                ("G7: who is accepted ends, once", |hub| hub.totals.accepted += 1),
                ("G8: a frame waits, is written or is dropped", |hub| hub.totals.frames_queued += 1),
                ("G8: what waits for sockets counts its bytes", |hub| hub.outbox_bytes += 1),
                ("G8: what clients have sent and is kept counts its bytes", |hub| hub.inbound_bytes += 1),
                ("G6: what clients have sent and is kept is bounded", |hub| {
                    hub.inbound_bytes += hub.config.limits.inbound_bytes_total + 1;
                    let more = hub.inbound_bytes;
                    hub.conns[Slot::at(0)].open_mut().expect("it is open").inbound.is_unread(more);
                }),
                ("G8: connections are counted by protocol and state", |hub| {
                    let protocol = hub.conns[Slot::at(0)].protocol.clone();
                    hub.states.change(&protocol, ConnectionState::Ready, ConnectionState::Closing);
                }),
                ("G8: who closes has a code, or none", |hub| hub.totals.peer_closes.other += 1),
                ("G8: those who are ready without a user are counted", |hub| hub.ready_anonymous += 1),
                ("G8: connections are counted by address", |hub| hub.addresses[0].connections += 1),
                ("G3: no address is kept for nothing", |hub| {
                    let empty = crate::hub::AddressUse { connections: 0, ..hub.addresses[0] };
                    hub.addresses.insert(Address::from(IpAddr::from([10, 0, 0, 1])), empty);
                }),
                ("G3: deadlines are somebody's", |hub| {
                    hub.timers.rearm(Owner::Drain, &mut { Armed::NO }, Instant(9).into())
                }),
                ("G7: every ticket is completed", |hub| {
                    let asker = Asker::Call(Caller::Whole(CallId(1)));
                    hub.tickets.issue(crate::ShardId::FIRST, asker, Instant(9));
                    hub.arm_tickets();
                }),
                ("G7: who waits longest for a home has a deadline", |hub| {
                    hub.tickets.issue(crate::ShardId::FIRST, Asker::Call(Caller::Whole(CallId(1))), Instant(9));
                }),
                ("a turn ends with nothing undone but what it puts off", |hub| {
                    hub.slow.push((ConnId::from_parts(0, 0), CloseCause::Slow))
                }),
            ],
        );
    }

    #[test]
    fn the_audit_reports_each_broken_invariant_of_a_connection() {
        audit_finds(
            busy,
            Hub::audit,
            &[
                ("G7: an id names its slot", |hub| hub.conns[Slot::at(0)].id.slot = Slot::at(1)),
                ("G7: an id names the slot's present life", |hub| hub.conns.spoil_generation(Slot::at(0))),
                ("G3: a client id leads to its connection", |hub| hub.clients[0] = Slot::at(1)),
                ("G7: a transition sets another phase", |hub| drop(hub.conns[Slot::at(0)].take_phase())),
                ("G7: every connection has a deadline", |hub| hub.conns[Slot::at(0)].deadlines.armed = Armed::NO),
                ("G7: the earliest deadline is the one that is armed", |hub| {
                    hub.conns[Slot::at(0)].deadlines.set(Timer::Write, Instant(1).into());
                }),
                ("G7: an armed deadline is in the queue", |hub| {
                    let mut armed = hub.conns[Slot::at(0)].deadlines.armed;
                    hub.timers.rearm(Owner::Conn(Slot::at(0)), &mut armed, Deadline::NONE);
                }),
                ("G6: rooms of a connection are bounded", |hub| {
                    hub.config = config(Limits { rooms_per_connection: 0, ..Limits::default() });
                }),
                ("G7: who has not said who it is has a deadline", |hub| {
                    hub.conns[Slot::at(0)].deadlines.set(Timer::Phase, Instant(u64::MAX - 1).into());
                }),
                ("G7: what has begun has a deadline", |hub| {
                    hub.change_inbound(Slot::at(0), |inbound| inbound.frame_begun(0));
                    hub.inbound_bytes = 1;
                }),
                ("G7: rooms that a token may forbid are looked at, once", |hub| {
                    hub.conns[Slot::at(0)].open_mut().expect("it is open").is_unchecked = true;
                }),
                ("G2: every join that was begun is waited for", |hub| {
                    hub.registry.begin_join(
                        Slot::at(0),
                        &RoomName::from("b"),
                        JoinId(99),
                        JoinLeave::Untold,
                        Reasons::CLIENT,
                    );
                }),
                ("G8: answers that are waited for are counted", |hub| {
                    hub.conns[Slot::at(0)].open_mut().expect("it is open").asked.count = 1;
                }),
                ("G7: a join waits for a client to read, or for its turn", |hub| {
                    let (room, join) = (RoomName::from("b"), JoinId(99));
                    hub.registry.begin_join(Slot::at(0), &room, join, JoinLeave::Untold, Reasons::API);
                    let (reason, replay) = (JoinReason::ServerSide(Reasons::API), Replay::Last(1));
                    let pending = PendingJoin { join, room, reason, replay, grant: None, asked: None };
                    let open = hub.conns[Slot::at(0)].open_mut().expect("it is open");
                    open.outbox = crate::connection::outbox::Outbox::default();
                    open.joins.push(pending);
                }),
                ("G2: a token names the rooms that it gives", |hub| {
                    assert!(hub.registry.add_reason(Slot::at(0), "a", Reasons::TOKEN));
                }),
                ("G2: only an open connection is in a room", |hub| {
                    hub.registry.begin_join(
                        Slot::at(1),
                        &RoomName::from("b"),
                        JoinId(99),
                        JoinLeave::Untold,
                        Reasons::CLIENT,
                    );
                }),
            ],
        );
    }
}
