//! The checks of a hub that cost as much as it holds.

use super::{Hub, Owner};
use crate::conn::{Conn, Phase, Timer};
use crate::outbox::Queue;
use crate::registry::index;
use crate::time::Instant;

impl Hub {
    /// Checks every guarantee that can be seen in the state, by name.
    pub fn audit(&self) {
        self.registry.audit();
        assert!(self.conns.len() <= self.config.limits.connections, "G6: connections are bounded");
        assert_eq!(self.clients.len(), self.conns.len(), "G3: every client id is a connection's");
        let ended: u64 = self.totals.closed.values().sum();
        assert_eq!(self.totals.accepted, ended + self.conns.len() as u64, "G7: who is accepted ends, once");
        let mut waiting = 0;
        for (slot, conn) in &self.conns {
            self.audit_conn(index(slot), conn);
            waiting += queue(conn).map_or(0, Queue::len) as u64;
        }
        let settled = self.totals.frames_written + self.totals.frames_dropped + waiting;
        assert_eq!(self.totals.frames_queued, settled, "G8: a frame waits, is written or is dropped");
        let peers_waiting = self.peers.values().filter(|peer| peer.armed != Instant::NEVER).count();
        let from_peers: usize = self.peers.values().map(|peer| peer.connections).sum();
        let with_peer = self.conns.iter().filter(|(_, conn)| conn.peer.is_some()).count();
        assert_eq!(from_peers, with_peer, "G8: connections are counted by address");
        assert!(
            self.peers.values().all(|peer| peer.connections > 0 || peer.armed != Instant::NEVER),
            "G3: no address is kept for nothing"
        );
        let draining = self.drain.filter(|drain| drain.armed != Instant::NEVER);
        assert_eq!(
            self.timers.len(),
            self.conns.len() + usize::from(draining.is_some()) + peers_waiting,
            "G3: deadlines are somebody's"
        );
        assert!(
            self.gathers.is_empty() && self.parts.is_empty() && self.texts.is_empty() && self.slow.is_empty(),
            "a turn ends with nothing undone"
        );
    }

    fn audit_conn(&self, slot: u32, conn: &Conn) {
        assert_eq!(conn.id.slot, slot, "G7: an id names its slot");
        assert_eq!(conn.id.generation, self.generations[slot as usize], "G7: an id names the slot's present life");
        assert_eq!(self.clients.get(&conn.client), Some(&slot), "G3: a client id leads to its connection");
        assert_ne!(conn.deadlines.armed, Instant::NEVER, "G7: every connection has a deadline");
        assert_eq!(
            conn.deadlines.armed,
            conn.deadlines.earliest(),
            "G7: the earliest deadline is the one that is armed"
        );
        assert!(self.timers.holds(Owner::Conn(slot), conn.deadlines.armed), "G7: an armed deadline is in the queue");
        let seats = self.registry.seat_count(slot);
        match conn.phase.as_ref().expect("a phase is absent only within a transition") {
            Phase::Open(open) => {
                let limits = &self.config.limits;
                assert!(seats <= limits.rooms_per_connection, "G6: rooms of a connection are bounded");
                assert!(
                    open.outbox.queue().len() <= limits.outbox_frames + 2,
                    "G6: an outbox is within its frames, a Pong that has begun and one that waits"
                );
                let unready = conn.deadlines.get(Timer::Phase) != Instant::NEVER;
                assert!(open.is_ready() != unready, "G7: who has not said who it is has a deadline for that");
                let joining = self.registry.rooms_of(slot).filter(|(_, member)| !member).count();
                assert_eq!(open.joins.len(), joining, "G2: every join that was begun is waited for");
            }
            Phase::Handshaking(_) | Phase::Closing(_) => {
                assert_eq!(seats, 0, "G2: only an open connection is in a room");
            }
        }
        if let Some(queue) = queue(conn) {
            queue.audit();
        }
    }
}

/// The frames that wait for a connection's socket.
pub(super) fn queue(conn: &Conn) -> Option<&Queue> {
    match conn.phase.as_ref()? {
        Phase::Open(open) => Some(open.outbox.queue()),
        Phase::Closing(closing) => Some(closing.sealed.queue()),
        Phase::Handshaking(_) => None,
    }
}
