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
pub(crate) enum Waits {
    /// The head of its first request.
    FirstHead,
    /// Its next request.
    NextRequest,
    /// Its next request, after one that showed a valid API key.
    NextCall,
}

/// So long the head of a first request may be on its way before its socket makes room ahead of one that has been answered.
/// Otherwise each newcomer would take the place of the one before it, where idle sockets hold all the others.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The sockets of a shard.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    counts: RefCell<Counts>,
    gone: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: BTreeMap<Address, usize>,
    /// Those that can make room, in the order in which they do: by what they wait for, and then by since when.
    waiting: BTreeMap<(Waits, u64), Rc<Ticket>>,
    /// Counts how often a socket began to wait.
    waits: u64,
}

/// One socket, as it is counted.
#[derive(Debug)]
struct Ticket {
    /// None where its address is not counted.
    address: Option<Address>,
    since: Instant,
    /// Where it is among those that can make room. None while a request of it is answered.
    at: Cell<Option<(Waits, u64)>>,
    is_counted: Cell<bool>,
    made_room: Notify,
}

/// The place of a socket. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    sockets: Rc<Sockets>,
    ticket: Rc<Ticket>,
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
    pub(crate) fn enter(self: &Rc<Self>, address: Option<Address>, now: Instant) -> Place {
        let ticket =
            Ticket { address, since: now, at: Cell::default(), is_counted: Cell::new(true), made_room: Notify::new() };
        let place = Place { sockets: self.clone(), ticket: Rc::new(ticket) };
        {
            let mut counts = self.counts.borrow_mut();
            counts.total += 1;
            if let Some(address) = address {
                *counts.by_address.entry(address).or_default() += 1;
            }
        }
        place.waits(Waits::FirstHead);
        place
    }

    /// Takes the place of the one that makes room first, and tells it. False when a request of each is answered.
    pub(crate) fn make_room(&self, now: Instant) -> bool {
        let Some(ticket) = self.counts.borrow_mut().take_first(now) else { return false };
        ticket.at.set(None);
        self.leave(&ticket);
        ticket.made_room.notify_one();
        true
    }

    /// Waits until there are none.
    pub(crate) async fn all_gone(&self) {
        // There were none before as well: a notification may be of then.
        while self.len() > 0 {
            self.gone.notified().await;
        }
    }

    fn leave(&self, ticket: &Ticket) {
        if !ticket.is_counted.replace(false) {
            return;
        }
        let mut counts = self.counts.borrow_mut();
        if let Some(at) = ticket.at.take() {
            counts.waiting.remove(&at);
        }
        counts.total -= 1;
        if let Some(address) = ticket.address {
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

impl Counts {
    /// Takes out the one that makes room first.
    fn take_first(&mut self, now: Instant) -> Option<Rc<Ticket>> {
        let (first, ticket) = self.waiting.first_key_value()?;
        let has_just_come = first.0 == Waits::FirstHead && now.since(ticket.since) < ON_ITS_WAY;
        let idle = self.waiting.range((Waits::NextRequest, 0)..(Waits::NextCall, 0)).next();
        let at = idle.filter(|_| has_just_come).map_or(*first, |(at, _)| *at);
        self.waiting.remove(&at)
    }
}

impl Place {
    /// The socket can make room from now on, after those that wait for the same already.
    pub(crate) fn waits(&self, waits: Waits) {
        let ticket = &self.ticket;
        if !ticket.is_counted.get() || ticket.at.get().is_some_and(|(before, _)| before == waits) {
            return;
        }
        self.answers();
        let mut counts = self.sockets.counts.borrow_mut();
        counts.waits += 1;
        let at = (waits, counts.waits);
        ticket.at.set(Some(at));
        counts.waiting.insert(at, ticket.clone());
    }

    /// A request of the socket is answered: it cannot make room.
    pub(crate) fn answers(&self) {
        if let Some(at) = self.ticket.at.take() {
            self.sockets.counts.borrow_mut().waiting.remove(&at);
        }
    }

    /// Waits until the socket has to make room. Its place is another one's by then.
    pub(crate) async fn taken(&self) {
        self.ticket.made_room.notified().await;
    }

    /// Frees the place.
    pub(crate) fn leave(&self) {
        self.sockets.leave(&self.ticket);
    }
}

impl Drop for Place {
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

    fn is_taken(place: &Place) -> bool {
        pin!(place.taken()).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Lets one make room after the other, and tells in which order they did.
    fn order(sockets: &Rc<Sockets>, places: &[&Place], now: Instant) -> Vec<usize> {
        let next = || sockets.make_room(now).then(|| places.iter().position(|place| is_taken(place)).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn those_that_showed_least_make_room_first_and_those_that_are_answered_never() {
        let sockets = Rc::<Sockets>::default();
        let places: Vec<Place> = (0..7).map(|_| sockets.enter(None, Instant(0))).collect();
        places[0].waits(Waits::NextCall);
        places[1].waits(Waits::NextRequest);
        places[2].answers();
        places[4].waits(Waits::NextRequest);
        // It is asked again: others wait for longer now.
        places[1].answers();
        places[1].waits(Waits::NextRequest);
        places[4].waits(Waits::NextRequest);
        let later = Instant(0).after(ON_ITS_WAY);
        assert_eq!(order(&sockets, &places.iter().collect::<Vec<_>>(), later), [3, 5, 6, 4, 1, 0]);
        assert_eq!(sockets.len(), 1, "one is answered");
        places[2].waits(Waits::NextRequest);
        assert!(sockets.make_room(later) && !sockets.make_room(later));
        assert_eq!(sockets.len(), 0);
    }

    #[test]
    fn who_has_just_come_is_given_a_while_where_others_have_been_answered() {
        let sockets = Rc::<Sockets>::default();
        let places: Vec<Place> = (0..4).map(|at| sockets.enter(None, Instant(at))).collect();
        places[1].waits(Waits::NextRequest);
        places[3].waits(Waits::NextCall);
        assert_eq!(order(&sockets, &places.iter().collect::<Vec<_>>(), Instant(9)), [1, 0, 2, 3]);
    }

    #[test]
    fn a_place_is_given_back_once() {
        let sockets = Rc::<Sockets>::default();
        let address = Address::from(IpAddr::from([192, 0, 2, 1]));
        let [first, second, third] =
            [Some(address), Some(address), None].map(|address| sockets.enter(address, Instant(0)));
        assert_eq!((sockets.len(), sockets.of(address)), (3, 2));
        assert!(sockets.make_room(Instant(0)));
        assert_eq!((sockets.len(), sockets.of(address)), (2, 1));
        // What it does from now on counts for nothing.
        first.waits(Waits::NextCall);
        first.leave();
        drop(first);
        assert_eq!((sockets.len(), sockets.of(address)), (2, 1));
        drop(second);
        assert_eq!((sockets.len(), sockets.of(address)), (1, 0));
        drop(third);
        assert!(sockets.counts.borrow().waiting.is_empty() && sockets.counts.borrow().by_address.is_empty());
        assert!(!sockets.make_room(Instant(0)));
    }
}
