//! A defect of a historic subject: the world to search for it in, and the sign to know it by.

use crate::guarantees::{Failure, Guarantee};
use crate::search::explore::{Counterexample, Explored, Scope, search};
use crate::subjects::subject::Subject;
use crate::world::action::Action;
use crate::world::setup::Setup;
use crate::world::state::World;
/// Something that is wrong with a historic subject.
#[derive(Clone, Debug)]
pub struct HistoricDefect {
    /// Its name.
    pub name: &'static str,
    /// The guarantee that it breaks.
    pub guarantee: Guarantee,
    /// Words in what was seen, or in what the subject notes, that tell it from whatever else breaks the guarantee.
    pub sign: &'static str,
    /// In how many steps it must be found.
    pub steps: usize,
    /// The Python that does it.
    pub python: &'static str,
    /// The world.
    pub setup: Setup,
    /// All that may happen in it.
    pub actions: Vec<Action>,
}

impl HistoricDefect {
    /// Searches its scope for it. A find is an error, by the shortest trace there is.
    ///
    /// # Errors
    /// It was found, or the scope does not end.
    pub fn hunt<S: Subject + Clone>(&self) -> Result<Explored, Box<Counterexample>> {
        const STATES: usize = 100_000;
        let scope = Scope::of_everything(self.setup.clone(), self.actions.clone());
        let scope = Scope { cap: STATES, ..scope };
        search(&scope, &|failure, world: &World<S>| self.is_in(failure, world), &mut |_, _| {})
    }

    /// Whether what a search has ended with is this defect, in as few steps as it takes.
    #[must_use]
    pub fn is_found_by(&self, broken: &Counterexample) -> bool {
        broken.failure.guarantee == self.guarantee && broken.trace.actions.len() <= self.steps
    }

    fn is_in<S: Subject>(&self, failure: &Failure, world: &World<S>) -> bool {
        let notes = world.subject().notes();
        let mut words = notes.iter().chain([&failure.saw]);
        failure.guarantee == self.guarantee && words.any(|words| words.contains(self.sign))
    }
}
