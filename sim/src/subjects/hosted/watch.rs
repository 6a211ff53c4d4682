//! Inputs that the host hands to its machine, turn by turn.

use crate::subjects::subject::{Subject, TurnReport};
use parlor::runtime::observer::Observer;
use parlor_core::{CallId, Effect, Input, Now, Shard};
use std::cell::{Cell, RefCell};

/// Writes every turn down.
#[derive(Debug, Default)]
pub(super) struct Watch {
    turns: RefCell<Vec<TurnReport>>,
    input: Option<Input>,
    effects: Vec<Effect>,
    /// The input that is to be caused, until it has come.
    expected: RefCell<Option<String>>,
    /// The number that the world has given to its call.
    call: Cell<u64>,
}

impl Watch {
    /// This input is to come, beside those that follow from it.
    pub(super) fn expect_input(&self, input: &Input) {
        if let Input::Call { call, .. } = input {
            self.call.set(call.0);
        }
        *self.expected.borrow_mut() = Some(summary(input));
    }

    /// The turns since this was last asked.
    pub(super) fn take(&self) -> Vec<TurnReport> {
        *self.expected.borrow_mut() = None;
        self.turns.take()
    }
}

impl Observer for Watch {
    fn before(&mut self, _: Now, input: &Input) {
        self.input = Some(input.clone());
    }

    fn effect(&mut self, _: Now, effect: &Effect) {
        self.effects.push(match effect {
            Effect::Reply { result, .. } => Effect::Reply { call: CallId(self.call.get()), result: result.clone() },
            other => other.clone(),
        });
    }

    fn after(&mut self, shard: &mut Shard) {
        let input = self.input.take().expect("a turn has an input");
        let is_it = self.expected.borrow().as_ref().is_some_and(|expected| *expected == summary(&input));
        if is_it {
            *self.expected.borrow_mut() = None;
        }
        let follow_up = (!is_it).then_some(input);
        let effects = std::mem::take(&mut self.effects);
        self.turns.get_mut().push(TurnReport { follow_up, ..TurnReport::of(shard, effects) });
        Subject::audit(shard);
    }
}

/// An input in words that are the same for two that are the same. Calls are told apart by the host's own numbers.
fn summary(input: &Input) -> String {
    match input {
        Input::Call { command, .. } => format!("{command:?}"),
        other => format!("{other:?}"),
    }
}
