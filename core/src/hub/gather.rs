//! Calls that are answered in parts, and the room that is left in such an answer.

use crate::api::{Command, Reply};
use crate::error::Error;
use crate::input::CallId;
use alloc::vec::{self, Vec};

/// The call of a backend that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// A call that makes one request.
    Whole(CallId),
    /// Part `at` of a call that makes several requests and gathers their answers under the number `gather`.
    Part { gather: u64, at: usize },
}

/// A call whose parts are answered one by one.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    pub caller: Caller,
    /// The method of each part, in a batch; nothing in a broadcast.
    pub methods: Option<Vec<&'static str>>,
    pub results: Vec<Option<Result<Reply, Error>>>,
    /// The parts of a batch from this one on, while the one before it is not answered.
    pub rest: Option<(usize, vec::IntoIter<Result<Command, Error>>)>,
    /// The number of parts that are still to come. To count them would be O(parts) each time.
    pub missing: usize,
    /// The room that is left in its answer.
    pub budget: ReplyBudget,
}

/// Room that is left in the answer to one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyBudget {
    /// Bytes; none from the first part on that did not fit.
    pub left: usize,
}

/// Bytes of the answer to a write, for each room.
pub(super) const WRITE_BYTES: usize = 100;

/// Bytes around the answers of a batch, and around one of them beside its method.
pub(super) const AROUND_BYTES: usize = 20;

impl ReplyBudget {
    pub fn new(most: usize) -> Self {
        Self { left: most.saturating_sub(AROUND_BYTES) }
    }

    /// Nothing fits any more.
    pub fn end(&mut self) {
        self.left = 0;
    }

    /// Takes so many bytes, or all that is left where those are fewer. False then: nothing fits any more.
    pub fn take(&mut self, bytes: usize) -> bool {
        let rest = self.left.checked_sub(bytes.saturating_add(AROUND_BYTES));
        self.left = rest.unwrap_or(0);
        rest.is_some()
    }
}
