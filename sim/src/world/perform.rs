//! Actions carried out, as their rows say: each becomes inputs of the subject, or a change of the world around it.

use crate::goals::Goal;
use crate::guarantees::Failure;
use crate::reference::api_call::ApiCall;
use crate::reference::calls;
use crate::subjects::subject::{LinkWork, Subject};
use crate::world::action::{
    Action, Argument, Bundle, Cause, Client, Jump, RecoverySince, Span, WriteBudget, action_table,
};
use crate::world::api::{selected, unforeseen};
use crate::world::client_message::SubscribeOptions;
use crate::world::names::room_name;
use crate::world::state::{HOUR_MS, SECOND, World};
use crate::world::stimulus::Stimulus;
use crate::world::{client_texts, clients, history_request};
use parlor_core::{Input, Lost};
use serde_json::json;

macro_rules! performed {
    ($($(#[$doc:meta])* $name:ident($($field:ident: $type:ty),*) = $word:literal, $frequency:expr,
        if |$judged:ident| $makes_sense:expr => |$changed:ident| $done:expr;)*) => {
        impl<S: Subject> World<S> {
            #[expect(unused_variables, reason = "few rows look at all of their arguments")]
            fn makes_sense(&self, action: &Action) -> bool {
                match *action {
                    $(Action::$name($($field),*) => {
                        let $judged = self;
                        $makes_sense
                    })*
                }
            }

            fn perform(&mut self, action: &Action) -> Result<(), Failure> {
                match *action {
                    $(Action::$name($($field),*) => {
                        let $changed = self;
                        $done
                    })*
                }
            }
        }
    };
}

action_table!(performed);

impl<S: Subject> World<S> {
    /// Whether the action makes sense here. One that does not changes nothing.
    #[must_use]
    pub fn can(&self, action: &Action) -> bool {
        action.fits(&self.setup) && (!S::HAS_DRIVER || self.can_come_about(action)) && self.makes_sense(action)
    }

    /// Carries out an action, and checks what comes of it. Returns whether it made sense.
    ///
    /// # Errors
    /// A guarantee that was broken.
    pub fn act(&mut self, action: &Action) -> Result<bool, Failure> {
        let makes_sense = self.can(action);
        if makes_sense {
            self.perform(action)?;
        }
        Ok(makes_sense)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let writable: Vec<Client> = self.clients().filter(|client| self.is_writable(*client)).collect();
        writable.into_iter().try_for_each(|client| self.write(client, WriteBudget::All))
    }

    fn jump(&mut self, jump: Jump) -> Result<(), Failure> {
        self.fault(|world| {
            world.goals.reach(Goal::CalendarStep);
            world.calendar += if jump == Jump::Ahead { HOUR_MS } else { -HOUR_MS };
        })
    }

    fn fault(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Failure> {
        self.faulty = true;
        change(self);
        Ok(())
    }

    fn advance(&mut self, span: Span) -> Result<(), Failure> {
        let deadline = self.next_deadline().unwrap_or(self.clock);
        let to = match span {
            Span::Again => self.clock,
            Span::Back => {
                self.behind = SECOND;
                return Ok(());
            }
            Span::Unnoticed => {
                self.clock += SECOND;
                return Ok(());
            }
            Span::Little => self.clock + SECOND / 10,
            Span::Before => deadline - 1,
            Span::Due => deadline,
            Span::Past => deadline + SECOND,
            Span::Far => self.clock + 3600 * SECOND,
        };
        self.clock = self.clock.max(to);
        self.turn(Input::Tick, &Stimulus::Tick)
    }
}
