//! Sockets that have not become a WebSocket: how many there are, how many of each address, and which of them make room
//! when there are as many as there may be.

use parlor_core::{Address, Instant};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// What a socket waits for. Those that are further up make room first, but for one that has just come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SocketWait {
    /// The head of its first request.
    FirstHead,
    /// Its next request.
    NextRequest,
    /// Its next request, after one that showed a valid API key.
    NextCall,
}

/// So long the head of a first request may be on its way before its socket makes room ahead of one that has been answered.
/// Otherwise each newcomer would take the place of the one before it, where idle sockets hold all the others.
const FIRST_HEAD_GRACE: Duration = Duration::from_secs(1);

/// The sockets of a shard.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    counts: RefCell<SocketCounts>,
    gone: Notify,
}

#[derive(Debug, Default)]
struct SocketCounts {
    total: usize,
    by_address: BTreeMap<Address, usize>,
    /// Those that can make room, in the order in which they do: by what they wait for, and then by since when.
    waiting: BTreeMap<(SocketWait, u64), Rc<SocketState>>,
    /// Counts how often a socket began to wait.
    waits: u64,
}

/// One socket, as it is counted.
#[derive(Debug)]
struct SocketState {
    /// None where its address is not counted.
    address: Option<Address>,
    since: Instant,
    /// Where it is among those that can make room. None while a request of it is answered.
    at: Cell<Option<(SocketWait, u64)>>,
    is_counted: Cell<bool>,
    displaced: Notify,
}

/// The place of a socket. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketGuard {
    sockets: Rc<Sockets>,
    state: Rc<SocketState>,
}

impl Sockets {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.counts.borrow().total
    }

    /// How many there are of an address.
    pub(crate) fn of(&self, address: Address) -> usize {
        self.counts.borrow().by_address.get(&address).copied().unwrap_or(0)
    }

    /// Counts one more, which waits for its first request from now on.
    pub(crate) fn enter(self: &Rc<Self>, address: Option<Address>, now: Instant) -> SocketGuard {
        let state = SocketState {
            address,
            since: now,
            at: Cell::default(),
            is_counted: Cell::new(true),
            displaced: Notify::new(),
        };
        let guard = SocketGuard { sockets: self.clone(), state: Rc::new(state) };
        {
            let mut counts = self.counts.borrow_mut();
            counts.total += 1;
            if let Some(address) = address {
                *counts.by_address.entry(address).or_default() += 1;
            }
        }
        guard.mark_waiting(SocketWait::FirstHead);
        guard
    }

    /// Takes the place of the one that makes room first, and tells it. False when a request of each is answered.
    pub(crate) fn displace_one(&self, now: Instant) -> bool {
        let Some(state) = self.counts.borrow_mut().take_next(now) else { return false };
        state.at.set(None);
        self.leave(&state);
        state.displaced.notify_one();
        true
    }

    /// Waits until there are none.
    pub(crate) async fn all_gone(&self) {
        // There were none before as well: a notification may be of then.
        while self.len() > 0 {
            self.gone.notified().await;
        }
    }

    fn leave(&self, state: &SocketState) {
        if !state.is_counted.replace(false) {
            return;
        }
        let mut counts = self.counts.borrow_mut();
        if let Some(at) = state.at.take() {
            counts.waiting.remove(&at);
        }
        counts.total -= 1;
        if let Some(address) = state.address {
            let left = counts.by_address.get_mut(&address).expect("its sockets are counted");
            *left -= 1;
            if *left == 0 {
                counts.by_address.remove(&address);
            }
        }
        if counts.total == 0 {
            self.gone.notify_one();
        }
    }
}

impl SocketCounts {
    /// Takes out the one that makes room first.
    fn take_next(&mut self, now: Instant) -> Option<Rc<SocketState>> {
        let (first, state) = self.waiting.first_key_value()?;
        let has_just_come = first.0 == SocketWait::FirstHead && now.since(state.since) < FIRST_HEAD_GRACE;
        let idle = self.waiting.range((SocketWait::NextRequest, 0)..(SocketWait::NextCall, 0)).next();
        let at = idle.filter(|_| has_just_come).map_or(*first, |(at, _)| *at);
        self.waiting.remove(&at)
    }
}

impl SocketGuard {
    /// The socket can make room from now on, after those that wait for the same already.
    pub(crate) fn mark_waiting(&self, wait: SocketWait) {
        let state = &self.state;
        if !state.is_counted.get() || state.at.get().is_some_and(|(before, _)| before == wait) {
            return;
        }
        self.mark_busy();
        let mut counts = self.sockets.counts.borrow_mut();
        counts.waits += 1;
        let at = (wait, counts.waits);
        state.at.set(Some(at));
        counts.waiting.insert(at, state.clone());
    }

    /// A request of the socket is answered: it cannot make room.
    pub(crate) fn mark_busy(&self) {
        if let Some(at) = self.state.at.take() {
            self.sockets.counts.borrow_mut().waiting.remove(&at);
        }
    }

    /// Waits until the socket has to make room. Its place is another one's by then.
    pub(crate) async fn displaced(&self) {
        self.state.displaced.notified().await;
    }

    /// Frees the place.
    pub(crate) fn leave(&self) {
        self.sockets.leave(&self.state);
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_displaced(guard: &SocketGuard) -> bool {
        pin!(guard.displaced()).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Lets one make room after the other, and tells in which order they did.
    fn order(sockets: &Rc<Sockets>, guards: &[&SocketGuard], now: Instant) -> Vec<usize> {
        let next = || sockets.displace_one(now).then(|| guards.iter().position(|guard| is_displaced(guard)).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn those_that_showed_least_make_room_first_and_those_that_are_answered_never() {
        let sockets = Rc::<Sockets>::default();
        let guards: Vec<SocketGuard> = (0..7).map(|_| sockets.enter(None, Instant(0))).collect();
        guards[0].mark_waiting(SocketWait::NextCall);
        guards[1].mark_waiting(SocketWait::NextRequest);
        guards[2].mark_busy();
        guards[4].mark_waiting(SocketWait::NextRequest);
        // It is asked again: others wait for longer now.
        guards[1].mark_busy();
        guards[1].mark_waiting(SocketWait::NextRequest);
        guards[4].mark_waiting(SocketWait::NextRequest);
        let later = Instant(0).after(FIRST_HEAD_GRACE);
        assert_eq!(order(&sockets, &guards.iter().collect::<Vec<_>>(), later), [3, 5, 6, 4, 1, 0]);
        assert_eq!(sockets.len(), 1, "one is answered");
        guards[2].mark_waiting(SocketWait::NextRequest);
        assert!(sockets.displace_one(later) && !sockets.displace_one(later));
        assert_eq!(sockets.len(), 0);
    }

    #[test]
    fn who_has_just_come_is_given_a_while_where_others_have_been_answered() {
        let sockets = Rc::<Sockets>::default();
        let guards: Vec<SocketGuard> = (0..4).map(|at| sockets.enter(None, Instant(at))).collect();
        guards[1].mark_waiting(SocketWait::NextRequest);
        guards[3].mark_waiting(SocketWait::NextCall);
        assert_eq!(order(&sockets, &guards.iter().collect::<Vec<_>>(), Instant(9)), [1, 0, 2, 3]);
    }

    #[test]
    fn a_place_is_given_back_once() {
        let sockets = Rc::<Sockets>::default();
        let address = Address::from(IpAddr::from([192, 0, 2, 1]));
        let [first, second, third] =
            [Some(address), Some(address), None].map(|address| sockets.enter(address, Instant(0)));
        assert_eq!((sockets.len(), sockets.of(address)), (3, 2));
        assert!(sockets.displace_one(Instant(0)));
        assert_eq!((sockets.len(), sockets.of(address)), (2, 1));
        // What it does from now on counts for nothing.
        first.mark_waiting(SocketWait::NextCall);
        first.leave();
        drop(first);
        assert_eq!((sockets.len(), sockets.of(address)), (2, 1));
        drop(second);
        assert_eq!((sockets.len(), sockets.of(address)), (1, 0));
        drop(third);
        assert!(sockets.counts.borrow().waiting.is_empty() && sockets.counts.borrow().by_address.is_empty());
        assert!(!sockets.displace_one(Instant(0)));
    }
}
