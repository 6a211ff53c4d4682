//! Rounds of the runtime, and what the bodies of requests take of one: to read them, and to parse them.
//!
//! In a round each task that is ready runs once. Where the bodies of hundreds of sockets are there, hundreds of tasks are
//! ready, and a message of a room waits for all of them several times on its way. So all bodies together have one share of
//! a round, and what finds it used up waits in a queue for one of the next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::task::{spawn_local, yield_now};

/// What bodies take of a round, counted in bytes that are read.
const SHARE_BYTES: usize = 256 << 10;

/// The shares of all rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// What is left of this round's share. What takes more than that at once leaves less than nothing, for which the next
    /// rounds make up.
    left: Cell<isize>,
    /// At most two for each socket, and those that gave up since the round before.
    queue: RefCell<VecDeque<Weak<Waiter>>>,
    /// Whether a task begins the next rounds.
    is_running: Cell<bool>,
}

#[derive(Debug)]
struct Waiter {
    cost: usize,
    is_admitted: Cell<bool>,
    waker: RefCell<Waker>,
}

/// A place in the queue, or none. To drop it is to give it up.
#[derive(Debug, Default)]
pub(crate) struct RoundWait(Option<Rc<Waiter>>);

impl Default for Rounds {
    fn default() -> Self {
        Self { left: Cell::new(signed(SHARE_BYTES)), queue: RefCell::default(), is_running: Cell::new(false) }
    }
}

impl Rounds {
    /// Waits until something that costs as much as reading so many bytes may be done, and takes that of the share.
    pub(crate) async fn take(self: &Rc<Self>, cost: usize) {
        let mut wait = RoundWait::default();
        poll_fn(|cx| self.poll_take(cost, &mut wait, cx)).await;
    }

    /// The same for a task that is polled. `wait` is its own until this is ready.
    pub(crate) fn poll_take(self: &Rc<Self>, cost: usize, wait: &mut RoundWait, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiter) = &wait.0 {
            if !waiter.is_admitted.get() {
                waiter.waker.borrow_mut().clone_from(cx.waker());
                return Poll::Pending;
            }
            wait.0 = None;
            return Poll::Ready(());
        }
        let taken = self.left.get() > 0 && self.queue.borrow().is_empty();
        if taken {
            self.add(-signed(cost));
        } else {
            let waiter = Waiter { cost, is_admitted: Cell::new(false), waker: RefCell::new(cx.waker().clone()) };
            let waiter = Rc::new(waiter);
            self.queue.borrow_mut().push_back(Rc::downgrade(&waiter));
            wait.0 = Some(waiter);
        }
        if self.has_more() && !self.is_running.replace(true) {
            spawn_local(run_rounds(self.clone()));
        }
        if taken { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Corrects what was taken, now that it is known.
    pub(crate) fn correct(&self, taken: usize, cost: usize) {
        self.add(signed(taken) - signed(cost));
    }

    /// What is left of this round's share, in bytes.
    #[cfg(test)]
    pub(crate) fn left(&self) -> isize {
        self.left.get()
    }

    /// Leaves nothing of so many rounds.
    #[cfg(test)]
    pub(crate) fn use_up(&self, rounds: usize) {
        self.left.set(-signed(rounds * SHARE_BYTES));
    }

    fn add(&self, bytes: isize) {
        self.left.set(self.left.get().saturating_add(bytes).min(signed(SHARE_BYTES)));
    }

    /// Whether there is something for the next round to do.
    fn has_more(&self) -> bool {
        self.left.get() <= 0 || !self.queue.borrow().is_empty()
    }

    /// Calls those whose turn it is in a round that begins.
    fn begin(&self) {
        self.add(signed(SHARE_BYTES));
        while self.left.get() > 0 {
            let Some(waiter) = self.queue.borrow_mut().pop_front() else { return };
            if let Some(waiter) = waiter.upgrade() {
                self.add(-signed(waiter.cost));
                waiter.is_admitted.set(true);
                waiter.waker.borrow().wake_by_ref();
            }
        }
    }
}

/// Begins round after round until there is nothing left for the next.
async fn run_rounds(rounds: Rc<Rounds>) {
    while rounds.has_more() {
        // Every other task that is ready runs before this one does again.
        yield_now().await;
        rounds.begin();
    }
    rounds.is_running.set(false);
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime;

    /// What tasks that take such costs, each as often as it says, have taken in each round.
    fn taken(costs: &[(usize, usize)]) -> Vec<usize> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let (rounds, total, running) = (Rc::new(Rounds::default()), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            for &(cost, times) in costs {
                let (rounds, total, running) = (rounds.clone(), total.clone(), running.clone());
                running.set(running.get() + 1);
                spawn_local(async move {
                    for _ in 0..times {
                        rounds.take(cost).await;
                        total.set(total.get() + cost);
                    }
                    running.set(running.get() - 1);
                });
            }
            let mut seen = Vec::new();
            while running.get() > 0 {
                yield_now().await;
                seen.push(total.take());
            }
            seen
        })
    }

    #[test]
    fn all_together_take_one_share_of_a_round() {
        let most = SHARE_BYTES + 999;
        let seen = taken(&[(1000, 3000); 40]);
        assert!(seen.iter().all(|round| *round <= 2 * most), "{:?}", seen.iter().max());
        // The task that begins a round is not first in it.
        assert!(seen.windows(2).all(|two| two.iter().sum::<usize>() <= 2 * most), "{seen:?}");
        assert_eq!(seen.iter().sum::<usize>(), 40 * 3000 * 1000);
    }

    #[test]
    fn rounds_make_up_for_what_takes_more_than_a_share() {
        let seen = taken(&[(10 * SHARE_BYTES, 3)]);
        assert_eq!(seen.iter().sum::<usize>(), 30 * SHARE_BYTES);
        assert!(seen.iter().all(|round| *round <= 10 * SHARE_BYTES), "{seen:?}");
        let between = seen.iter().filter(|round| **round == 0).count();
        assert!((18..=24).contains(&between), "two pauses of ten rounds: {seen:?}");
    }

    #[test]
    fn a_place_that_is_given_up_is_passed_over() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let rounds = Rc::new(Rounds::default());
            rounds.take(5 * SHARE_BYTES).await;
            let given_up = spawn_local({
                let rounds = rounds.clone();
                async move { rounds.take(1000 * SHARE_BYTES).await }
            });
            yield_now().await;
            given_up.abort();
            let next = spawn_local({
                let rounds = rounds.clone();
                async move { rounds.take(1).await }
            });
            let mut passed = 0;
            while !next.is_finished() {
                yield_now().await;
                passed += 1;
            }
            assert!(passed <= 8, "{passed}");
        });
    }

    #[test]
    fn what_was_not_needed_is_there_for_others() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let rounds = Rc::new(Rounds::default());
            for _ in 0..10 {
                rounds.take(SHARE_BYTES - 1).await;
                rounds.correct(SHARE_BYTES - 1, 0);
            }
            assert!(!rounds.is_running.get());
            rounds.correct(5 * SHARE_BYTES, 0);
            assert_eq!(rounds.left.get(), signed(SHARE_BYTES), "what is not used is not saved up");
        });
    }
}
