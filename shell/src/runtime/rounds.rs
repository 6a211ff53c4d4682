//! The share of each round of the runtime that request bodies and TLS handshakes may take: reading and parsing bodies, and
//! signing.
//!
//! In a round each task that is ready runs once. With bodies or handshakes on hundreds of sockets, hundreds of tasks are
//! ready, and a publication waits for all of them several times on its way. So all of them together have one share of a
//! round; what finds the share used up waits in a queue for a later round.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::task::{spawn_local, yield_now};

/// The share of one round, in bytes read.
const SHARE_BYTES: usize = 256 << 10;

/// The share of the current round, and the queue for the next ones.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// Bytes left of this round's share. Below zero after a read that cost more; the next rounds make up for it.
    left: Cell<isize>,
    /// At most two waiters for each socket, and those dropped since the last round.
    queue: RefCell<VecDeque<Weak<Waiter>>>,
    /// Whether the task runs that begins the next rounds.
    is_running: Cell<bool>,
}

/// One entry of the queue, shared with the task that waits.
#[derive(Debug)]
struct Waiter {
    cost: usize,
    is_admitted: Cell<bool>,
    waker: RefCell<Waker>,
}

/// The wait of one task, or none. Dropping it leaves the queue.
#[derive(Debug, Default)]
pub(crate) struct RoundWait(Option<Rc<Waiter>>);

impl Default for Rounds {
    fn default() -> Self {
        Self { left: Cell::new(signed(SHARE_BYTES)), queue: RefCell::default(), is_running: Cell::new(false) }
    }
}

impl Rounds {
    /// Waits until the share has something left, then takes `cost` bytes of it.
    pub(crate) async fn take(self: &Rc<Self>, cost: usize) {
        let mut wait = RoundWait::default();
        poll_fn(|cx| self.poll_take(cost, &mut wait, cx)).await;
    }

    /// [`Rounds::take`] for a task that is polled, which keeps `wait` until this is ready.
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

    /// Replaces the `taken` bytes of an estimate by the actual `cost`.
    pub(crate) fn correct(&self, taken: usize, cost: usize) {
        self.add(signed(taken) - signed(cost));
    }

    /// Bytes left of this round's share.
    #[cfg(test)]
    pub(crate) fn left(&self) -> isize {
        self.left.get()
    }

    /// Uses up the shares of `rounds` rounds.
    #[cfg(test)]
    pub(crate) fn use_up(&self, rounds: usize) {
        self.left.set(-signed(rounds * SHARE_BYTES));
    }

    fn add(&self, bytes: isize) {
        self.left.set(self.left.get().saturating_add(bytes).min(signed(SHARE_BYTES)));
    }

    /// Whether another round is needed: the share is used up, or tasks wait.
    fn has_more(&self) -> bool {
        self.left.get() <= 0 || !self.queue.borrow().is_empty()
    }

    /// Begins a round: refills the share and admits waiters while it lasts.
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

/// Begins round after round until no task waits and the share is above zero.
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

    /// The bytes taken in each round by one task for each `(cost, times)`.
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
    fn all_tasks_together_take_one_share_of_a_round() {
        let most = SHARE_BYTES + 999;
        let seen = taken(&[(1000, 3000); 40]);
        assert!(seen.iter().all(|round| *round <= 2 * most), "{:?}", seen.iter().max());
        // The task that begins a round is not first in it.
        assert!(seen.windows(2).all(|two| two.iter().sum::<usize>() <= 2 * most), "{seen:?}");
        assert_eq!(seen.iter().sum::<usize>(), 40 * 3000 * 1000);
    }

    #[test]
    fn a_task_over_its_share_is_followed_by_empty_rounds() {
        let seen = taken(&[(10 * SHARE_BYTES, 3)]);
        assert_eq!(seen.iter().sum::<usize>(), 30 * SHARE_BYTES);
        assert!(seen.iter().all(|round| *round <= 10 * SHARE_BYTES), "{seen:?}");
        let between = seen.iter().filter(|round| **round == 0).count();
        assert!((18..=24).contains(&between), "two pauses of ten rounds: {seen:?}");
    }

    #[test]
    fn a_cancelled_wait_is_skipped() {
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
    fn an_unused_share_is_returned() {
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
