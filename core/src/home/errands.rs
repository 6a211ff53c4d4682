//! Commands for users that hubs are carrying out.

use crate::error::Error;
use crate::ids::index;
use crate::link::{HomeEvent, Ticket};
use crate::node::ShardId;
use crate::stored::places;
use alloc::vec::Vec;
use slab::Slab;

/// The commands that are not done everywhere.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) struct Errands {
    #[serde(with = "crate::stored::places")]
    under_way: Slab<Errand>,
    /// The number of commands that there have been, modulo 2^32.
    begun: u32,
}

/// A command that hubs are carrying out.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
struct Errand {
    serial: u32,
    /// The hub that has asked; `None` when it was lost.
    asker: Option<ShardId>,
    ticket: Ticket,
    /// The hubs that have not answered.
    waiting: Vec<ShardId>,
    result: Result<(), Error>,
}

/// The answer for the hub that has asked.
pub(super) type Answer = (ShardId, HomeEvent);

impl Errands {
    /// Puts the vacant places in the order in which a table that is read has them.
    pub fn settle_places(&mut self) {
        places::put_in_order(&mut self.under_way);
    }

    /// Begins to wait for these hubs, of which there is at least one.
    pub fn begin(&mut self, asker: ShardId, ticket: Ticket, waiting: Vec<ShardId>) -> Ticket {
        self.begun = self.begun.wrapping_add(1);
        let serial = self.begun;
        let errand = Errand { serial, asker: Some(asker), ticket, waiting, result: Ok(()) };
        Ticket { at: index(self.under_way.insert(errand)), serial }
    }

    /// A hub has carried a command out, or could not. The answer, once all hubs have, is the first error, if there is one.
    ///
    /// # Panics
    /// Panics when the hub was not waited for.
    pub fn done(&mut self, hub: ShardId, Ticket { at, serial }: Ticket, result: Result<(), Error>) -> Option<Answer> {
        let at = at as usize;
        let errand = self.under_way.get_mut(at).filter(|errand| errand.serial == serial);
        let errand = errand.expect("G7: a hub answers a command that is under way");
        let place = errand.waiting.iter().position(|waiting| *waiting == hub);
        errand.waiting.swap_remove(place.expect("G7: a hub answers a command once"));
        if errand.result.is_ok() {
            errand.result = result;
        }
        self.finish(at)
    }

    /// Waits no longer for a hub that was lost, nor answers it. Returns the answers that only waited for it.
    pub fn lose_hub(&mut self, hub: ShardId) -> Vec<Answer> {
        let places: Vec<usize> = self.under_way.iter().map(|(at, _)| at).collect();
        let without = |at: usize| {
            let errand = &mut self.under_way[at];
            errand.asker = errand.asker.filter(|asker| *asker != hub);
            errand.waiting.retain(|waiting| *waiting != hub);
            self.finish(at)
        };
        places.into_iter().filter_map(without).collect()
    }

    /// Returns `true` when no command is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    fn finish(&mut self, at: usize) -> Option<Answer> {
        if !self.under_way[at].waiting.is_empty() {
            return None;
        }
        let Errand { asker, ticket, result, .. } = self.under_way.remove(at);
        Some((asker?, HomeEvent::UserCommandDone { ticket, result }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use alloc::vec;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const ASKER: ShardId = ShardId::FIRST;
    const TICKET: Ticket = Ticket { at: 7, serial: 9 };

    fn hubs() -> [ShardId; 3] {
        [0, 1, 2].map(ShardId::at)
    }

    fn result(answer: Option<Answer>) -> Option<Result<(), Error>> {
        let (asker, HomeEvent::UserCommandDone { ticket, result }) = answer? else { panic!("it is an answer") };
        assert_eq!((asker, ticket), (ASKER, TICKET));
        Some(result)
    }

    #[test]
    fn the_answer_comes_with_the_last_hub_and_is_the_first_error() {
        let mut errands = Errands::default();
        let [a, b, c] = hubs();
        let errand = errands.begin(ASKER, TICKET, vec![a, b, c]);
        let error = |code: ErrorCode| Err(Error::from(code));
        assert!(errands.done(b, errand, error(ErrorCode::LimitExceeded)).is_none());
        assert!(errands.done(a, errand, error(ErrorCode::Internal)).is_none());
        assert_eq!(result(errands.done(c, errand, Ok(()))), Some(error(ErrorCode::LimitExceeded)));
        assert!(errands.is_empty());
    }

    #[test]
    fn nobody_is_answered_for_a_lost_asker_and_no_lost_hub_is_waited_for() {
        let mut errands = Errands::default();
        let [a, b, c] = hubs();
        let of_lost = errands.begin(c, TICKET, vec![a, b]);
        let for_lost = errands.begin(ASKER, TICKET, vec![b, c]);
        assert!(errands.lose_hub(c).is_empty());
        assert!(errands.done(a, of_lost, Ok(())).is_none() && errands.done(b, of_lost, Ok(())).is_none());
        assert_eq!(result(errands.done(b, for_lost, Ok(()))), Some(Ok(())));
        errands.begin(ASKER, TICKET, vec![b]);
        assert_eq!(
            errands.lose_hub(b).into_iter().filter_map(|answer| result(Some(answer))).collect::<Vec<_>>(),
            [Ok(())]
        );
        assert!(errands.is_empty());
    }

    #[test]
    fn a_hub_answers_a_command_once() {
        let mut errands = Errands::default();
        let [a, b, _] = hubs();
        let before = errands.begin(ASKER, TICKET, vec![a]);
        errands.done(a, before, Ok(()));
        let errand = errands.begin(ASKER, TICKET, vec![a, b]);
        assert_eq!(before.at, errand.at);
        catch_unwind(AssertUnwindSafe(|| errands.done(a, before, Ok(())))).expect_err("it is another command's place");
        errands.done(a, errand, Ok(()));
        catch_unwind(AssertUnwindSafe(|| errands.done(a, errand, Ok(())))).expect_err("it has answered");
    }
}
