//! Rules of a room, as the README has them: who may do what there, and what is kept.

use parlor_core::{Limits, Permissions, Policy, Who};
use std::time::Duration;

/// The rights that a token may grant, by their words there.
pub type Right = &'static str;

/// To join.
pub const SUBSCRIBE: Right = "sub";
/// To publish.
pub const PUBLISH: Right = "pub";
/// To read presence, and to be told who comes and goes.
pub const PRESENCE: Right = "prs";
/// To read history.
pub const HISTORY: Right = "hst";

/// The rules of the rooms of one namespace.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who may join.
    pub subscribe: Who,
    /// Who may publish.
    pub publish: Who,
    /// Who may read history.
    pub history: Who,
    /// Who may read presence.
    pub presence: Who,
    /// How many publications are retained.
    pub history_messages: usize,
    /// Whether members can be listed.
    pub presence_list: bool,
    /// Whether members can be told who comes and goes.
    pub join_leave: bool,
    /// How long a user whose connection has ended stays listed.
    pub presence_grace: Duration,
}

impl Rules {
    /// How many different ones [`Rules::drawn`] can draw.
    pub const DRAWN: u64 = 5 * 5 * 5 * 5 * 4 * 4 * 4;

    /// Returns the rules that a number below [`Rules::DRAWN`] stands for, with this grace.
    #[must_use]
    pub fn drawn(mut number: u64, grace: Duration, limits: &Limits) -> Self {
        let mut digit = |base: u64| {
            let digit = number % base;
            number /= base;
            usize::try_from(digit).expect("a digit")
        };
        // `members` is no value of `subscribe`.
        let joined_by = [Who::Anyone, Who::Users, Who::Token, Who::Token, Who::Nobody];
        Self {
            subscribe: joined_by[digit(5)],
            publish: Who::ALL[digit(5)],
            history: Who::ALL[digit(5)],
            presence: Who::ALL[digit(5)],
            history_messages: match digit(4) {
                0 => 0,
                1 => limits.history_messages / 2,
                _ => limits.history_messages,
            },
            presence_list: digit(4) != 0,
            join_leave: digit(4) != 0,
            presence_grace: grace,
        }
    }

    /// The policy that says the same.
    #[must_use]
    pub fn policy(&self, limits: &Limits) -> Policy {
        let Self { subscribe, publish, history, presence, history_messages, presence_list, join_leave, presence_grace } =
            *self;
        let permissions = Permissions { subscribe, publish, history, presence };
        Policy { history_messages, presence_list, join_leave, presence_grace, ..Policy::new(permissions, limits) }
    }

    /// Who has a right.
    #[must_use]
    pub fn who(&self, right: Right) -> Who {
        match right {
            SUBSCRIBE => self.subscribe,
            PUBLISH => self.publish,
            HISTORY => self.history,
            _ => self.presence,
        }
    }

    /// Whether a connection has a right, which its tokens grant it or not.
    #[must_use]
    pub fn may(&self, right: Right, is_granted: bool, is_member: bool, is_user: bool) -> bool {
        match self.who(right) {
            Who::Anyone => true,
            Who::Users => is_user || is_member || is_granted,
            Who::Members => is_member || is_granted,
            Who::Token => is_granted,
            Who::Nobody => false,
        }
    }
}
