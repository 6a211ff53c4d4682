//! When an action makes sense where it stands; one that does not changes nothing. Its row in the table of actions names what
//! of this it needs.

use crate::subjects::subject::Subject;
use crate::world::action::{
    Action, Batch, Cause, Client, Credential, Frames, Jump, Payload, Rule, Saying, Span, WriteBudget,
};
use crate::world::client_message::Speech;
use crate::world::client_texts;
use crate::world::connection::Connection;
use crate::world::payload::Data;
use crate::world::state::{HOUR_MS, World};

impl<S: Subject> World<S> {
    /// Whether this client has a connection of which this is true.
    pub(super) fn is(&self, client: Client, what: impl FnOnce(&Connection) -> bool) -> bool {
        self.connection(client).is_some_and(what)
    }

    pub(super) fn may_connect(&self, client: Client, credential: Credential) -> bool {
        let in_plain = credential == Credential::Token && self.talks(client, false);
        in_plain || (self.talks(client, true) && !self.has_connected(client))
    }

    /// Whether it makes sense that this client sends a command of the json protocol.
    pub(super) fn may_ask(&self, client: Client) -> bool {
        self.talks(client, true) && self.may_command(client)
    }

    pub(super) fn may_send(&self, client: Client, batch: Batch) -> bool {
        match batch {
            Batch::ConnectAndJoin | Batch::TokenAndJoin => self.talks(client, true) && !self.has_connected(client),
            Batch::PublishTwice => self.may_ask(client) && self.may_publish(2),
            _ => self.may_ask(client),
        }
    }

    /// What this client says besides; `None` where it cannot.
    pub(super) fn saying(&self, client: Client, saying: Saying) -> Option<Speech> {
        let json = self.connection(client).is_some_and(|connection| connection.json);
        let data = Data::new(Payload::Small, 0, &self.setup);
        let speech = client_texts::say(json, saying, &self.setup, data);
        speech.filter(|_| self.talks(client, json))
    }

    pub(super) fn may_send_frames(&self, client: Client, frames: Frames) -> bool {
        let has_begun = frames == Frames::Half && self.is(client, |connection| connection.half);
        self.is_heard(client) && !has_begun
    }

    pub(super) fn may_violate(&self, client: Client, rule: Rule) -> bool {
        let has_begun = rule == Rule::Binary && self.is(client, |connection| connection.fragmented);
        self.is_heard(client) && !has_begun
    }

    pub(super) fn may_be_lost(&self, client: Client, cause: Cause) -> bool {
        self.is(client, |connection| !connection.vanished && (cause != Cause::Eof || !connection.ended))
    }

    pub(super) fn may_write(&self, client: Client, budget: WriteBudget) -> bool {
        let is_cut = budget == WriteBudget::Byte && self.is(client, |connection| connection.socket.is_mid_frame());
        self.waits(client) && !is_cut
    }

    pub(super) fn may_advance(&self, span: Span) -> bool {
        !matches!(span, Span::Before | Span::Due | Span::Past) || self.next_deadline().is_some()
    }

    /// Whether a backend can name some of the connections of this client's user.
    pub(super) fn may_select(&self, client: Client) -> bool {
        self.setup.users > 0 && self.public_id(client).is_some()
    }

    /// Whether a driver can make an input of it. It reads nothing before the 101 is out, nor after the end of the stream,
    /// it looks at tokens as soon as it is asked to, and it knows whom it has hung up on.
    pub(super) fn can_come_about(&self, action: &Action) -> bool {
        match *action {
            Action::Ping(client)
            | Action::Pong(client)
            | Action::Frames(client, _)
            | Action::Close(client, _)
            | Action::Violate(client, _) => self.connection(client).is_some_and(|connection| connection.upgraded),
            Action::Lose(client, _) => {
                let is_read = !self.is_paused(client);
                self.connection(client).is_some_and(|connection| connection.upgraded && !connection.ended) && is_read
            }
            Action::Decide(..) | Action::Stale(..) => false,
            _ => true,
        }
    }

    /// Whether what this client says now comes behind its `connect`. In plain there is none.
    pub(super) fn has_connected(&self, client: Client) -> bool {
        let json = self.talks(client, true);
        (json || self.talks(client, false)) && !(json && self.is_waited_for(client))
    }

    /// Whether it makes sense that this client says more than who it is. An SDK does so behind its `connect`, before it knows
    /// whether that is refused.
    pub(super) fn may_command(&self, client: Client) -> bool {
        self.has_connected(client) || (self.talks(client, true) && self.was_turned_down(client))
    }

    /// The calendar is never set by more than a day in all, so that a run stays in its century.
    pub(super) fn may_jump(&self, jump: Jump) -> bool {
        let further = if jump == Jump::Ahead { self.calendar } else { -self.calendar };
        self.setup.calendar_stopped == 0 && further < 24 * HOUR_MS
    }

    pub(super) fn may_publish(&self, messages: u64) -> bool {
        self.messages.saturating_add(messages) <= self.setup.messages
    }
}
