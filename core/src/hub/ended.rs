//! The connections that ended last, or are closing, as they were when they began to.

use crate::explain::{ConnectionAccount, ENDED_CONNECTIONS};
use crate::ids::ClientId;
use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// The connections that ended last, or are closing, the newest last. Each has a number: 0, 1, 2, …
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Ended {
    accounts: VecDeque<Box<ConnectionAccount>>,
    /// The number of the next one.
    next: u64,
}

impl Ended {
    /// Remembers a connection, in place of the oldest one where there are [`ENDED_CONNECTIONS`]. Returns its number.
    pub fn add(&mut self, account: ConnectionAccount) -> u64 {
        if self.accounts.len() == ENDED_CONNECTIONS {
            self.accounts.pop_front();
        }
        self.accounts.push_back(Box::new(account));
        self.next += 1;
        self.next - 1
    }

    /// The one of this number, unless it is forgotten.
    pub fn get(&self, number: u64) -> Option<&ConnectionAccount> {
        self.accounts.get(self.place(number)?).map(|account| &**account)
    }

    /// The one with this public id. O(n).
    pub fn find(&self, client: ClientId) -> Option<&ConnectionAccount> {
        self.accounts.iter().rev().map(|account| &**account).find(|account| account.client == client)
    }

    /// Those up to this number, the newest first, each with its number.
    pub fn up_to(&self, newest: u64) -> impl Iterator<Item = (u64, &ConnectionAccount)> {
        let accounts = self.accounts.iter().rev().map(|account| &**account);
        (0..self.next).rev().zip(accounts).skip_while(move |(number, _)| *number > newest)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut ConnectionAccount> {
        let place = self.place(number)?;
        self.accounts.get_mut(place).map(|account| &mut **account)
    }

    fn place(&self, number: u64) -> Option<usize> {
        let first = self.next - self.accounts.len() as u64;
        usize::try_from(number.checked_sub(first)?).ok()
    }
}
