//! HTTP sockets, that is, sockets that have not become a WebSocket: their number, the number of each address, and which one
//! is displaced when `http_connections` is reached.

use parlor_core::{Address, Instant};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// The request that an HTTP socket waits for. Variants further up are displaced first, except within [`FIRST_HEAD_GRACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SocketWait {
    /// The head of its first request.
    FirstHead,
    /// Its next request.
    NextRequest,
    /// Its next request, after one that showed a valid API key.
    NextCall,
}

/// Time for the head of a first request to arrive. Until then the socket is displaced only after idle ones that have been
/// answered; otherwise, where idle sockets hold everything else, each new socket would displace the one before it.
const FIRST_HEAD_GRACE: Duration = Duration::from_secs(1);

/// The HTTP sockets of a shard.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    counts: RefCell<SocketCounts>,
    gone: Notify,
}

#[derive(Debug, Default)]
struct SocketCounts {
    total: usize,
    by_address: BTreeMap<Address, usize>,
    /// Sockets that can be displaced, by what they wait for and since when.
    waiting: BTreeMap<(SocketWait, u64), Rc<SocketState>>,
    /// Number of times that a socket began to wait: the order of the waits.
    waits: u64,
}

/// One socket.
#[derive(Debug)]
struct SocketState {
    /// The address that it counts for; None where limits by address do not apply.
    address: Option<Address>,
    since: Instant,
    /// Its key among the waiting sockets. None while a request of it is answered.
    at: Cell<Option<(SocketWait, u64)>>,
    is_counted: Cell<bool>,
    displaced: Notify,
}

/// A socket's share of `http_connections`, until this is dropped or another socket displaces it.
#[derive(Debug)]
pub(crate) struct SocketGuard {
    sockets: Rc<Sockets>,
    state: Rc<SocketState>,
}

impl Sockets {
    /// Number of sockets.
    pub(crate) fn len(&self) -> usize {
        self.counts.borrow().total
    }

    /// Number of sockets that no other one can displace, since requests of them are answered.
    pub(crate) fn busy(&self) -> usize {
        let counts = self.counts.borrow();
        counts.total - counts.waiting.len()
    }

    /// Number of sockets of an address.
    pub(crate) fn count_of(&self, address: Address) -> usize {
        self.counts.borrow().by_address.get(&address).copied().unwrap_or(0)
    }

    /// Counts a new socket, which waits for its first request.
    pub(crate) fn add(self: &Rc<Self>, address: Option<Address>, now: Instant) -> SocketGuard {
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

    /// Displaces the first of the waiting sockets and wakes its task. False where none waits.
    pub(crate) fn displace_one(&self, now: Instant) -> bool {
        let Some(state) = self.counts.borrow_mut().take_next(now) else { return false };
        state.at.set(None);
        self.remove(&state);
        state.displaced.notify_one();
        true
    }

    /// Waits until there is no socket.
    pub(crate) async fn all_gone(&self) {
        // A notification may be from an earlier time at which there was none.
        while self.len() > 0 {
            self.gone.notified().await;
        }
    }

    /// Stops counting a socket. Does nothing the second time.
    fn remove(&self, state: &SocketState) {
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
    /// Takes the socket that is displaced next.
    fn take_next(&mut self, now: Instant) -> Option<Rc<SocketState>> {
        let (first, state) = self.waiting.first_key_value()?;
        let has_just_come = first.0 == SocketWait::FirstHead && now.since(state.since) < FIRST_HEAD_GRACE;
        let idle = self.waiting.range((SocketWait::NextRequest, 0)..(SocketWait::NextCall, 0)).next();
        let at = idle.filter(|_| has_just_come).map_or(*first, |(at, _)| *at);
        self.waiting.remove(&at)
    }
}

impl SocketGuard {
    /// Lets the socket be displaced from now on, after those that wait for the same already.
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

    /// Keeps the socket from being displaced while a request of it is answered.
    pub(crate) fn mark_busy(&self) {
        if let Some(at) = self.state.at.take() {
            self.sockets.counts.borrow_mut().waiting.remove(&at);
        }
    }

    /// Waits until another socket displaces this one.
    pub(crate) async fn displaced(&self) {
        self.state.displaced.notified().await;
    }

    /// Stops counting the socket.
    pub(crate) fn release(&self) {
        self.sockets.remove(&self.state);
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.release();
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

    /// Displaces one socket after the other. Returns the order.
    fn order(sockets: &Rc<Sockets>, guards: &[&SocketGuard], now: Instant) -> Vec<usize> {
        let next = || sockets.displace_one(now).then(|| guards.iter().position(|guard| is_displaced(guard)).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn sockets_without_a_request_are_displaced_first_and_busy_ones_never() {
        let sockets = Rc::<Sockets>::default();
        let guards: Vec<SocketGuard> = (0..7).map(|_| sockets.add(None, Instant(0))).collect();
        guards[0].mark_waiting(SocketWait::NextCall);
        guards[1].mark_waiting(SocketWait::NextRequest);
        guards[2].mark_busy();
        guards[4].mark_waiting(SocketWait::NextRequest);
        // It has served another request: others wait for longer now.
        guards[1].mark_busy();
        guards[1].mark_waiting(SocketWait::NextRequest);
        guards[4].mark_waiting(SocketWait::NextRequest);
        let later = Instant(0).after(FIRST_HEAD_GRACE);
        assert_eq!((sockets.len(), sockets.busy()), (7, 1));
        assert_eq!(order(&sockets, &guards.iter().collect::<Vec<_>>(), later), [3, 5, 6, 4, 1, 0]);
        assert_eq!((sockets.len(), sockets.busy()), (1, 1), "one is answered");
        guards[2].mark_waiting(SocketWait::NextRequest);
        assert!(sockets.displace_one(later) && !sockets.displace_one(later));
        assert_eq!(sockets.len(), 0);
    }

    #[test]
    fn a_new_socket_has_a_grace_where_others_have_been_answered() {
        let sockets = Rc::<Sockets>::default();
        let guards: Vec<SocketGuard> = (0..4).map(|at| sockets.add(None, Instant(at))).collect();
        guards[1].mark_waiting(SocketWait::NextRequest);
        guards[3].mark_waiting(SocketWait::NextCall);
        assert_eq!(order(&sockets, &guards.iter().collect::<Vec<_>>(), Instant(9)), [1, 0, 2, 3]);
    }

    #[test]
    fn a_socket_is_uncounted_once() {
        let sockets = Rc::<Sockets>::default();
        let address = Address::from(IpAddr::from([192, 0, 2, 1]));
        let [first, second, third] =
            [Some(address), Some(address), None].map(|address| sockets.add(address, Instant(0)));
        assert_eq!((sockets.len(), sockets.count_of(address)), (3, 2));
        assert!(sockets.displace_one(Instant(0)));
        assert_eq!((sockets.len(), sockets.count_of(address)), (2, 1));
        // A displaced socket is not counted again.
        first.mark_waiting(SocketWait::NextCall);
        first.release();
        drop(first);
        assert_eq!((sockets.len(), sockets.count_of(address)), (2, 1));
        drop(second);
        assert_eq!((sockets.len(), sockets.count_of(address)), (1, 0));
        drop(third);
        assert!(sockets.counts.borrow().waiting.is_empty() && sockets.counts.borrow().by_address.is_empty());
        assert!(!sockets.displace_one(Instant(0)));
    }
}
