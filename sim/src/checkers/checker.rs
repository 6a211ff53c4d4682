//! One property checker.

use crate::checkers::observation::Observation;
use crate::guarantees::Failure;

/// One property.
pub trait Checker {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Takes in what was seen.
    ///
    /// # Errors
    /// The property does not hold.
    fn saw(&mut self, seen: &Observation<'_>) -> Result<(), Failure>;
}

/// The result of a check: the property does not hold where it is a failure.
pub(super) type Checked = Result<(), Failure>;
