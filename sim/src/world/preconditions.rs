//! Whether an action makes sense where it stands; one that does not changes nothing.

use crate::subjects::subject::Subject;
use crate::world::action::{
    Action, Batch, Bundle, Cause, Client, Credential, Frames, Jump, Payload, Rule, Span, WriteBudget,
};
use crate::world::client_texts;
use crate::world::payload::Data;
use crate::world::state::{HOUR_MS, World};

impl<S: Subject> World<S> {
    /// Whether the action makes sense here. One that does not changes nothing.
    #[must_use]
    pub fn can(&self, action: &Action) -> bool {
        if !action.fits(&self.setup) {
            return false;
        }
        if S::HAS_DRIVER && !self.can_come_about(action) {
            return false;
        }
        match *action {
            Action::Accept(client, endpoint, rooms) => self.connection(client).is_none() && endpoint.leads_to(rooms),
            Action::Enter(client, rooms) | Action::AcceptSince(client, rooms, _) => {
                self.connection(client).is_none() && rooms.0 != 0
            }
            Action::Upgrade(client) => self.connection(client).is_some_and(|connection| !connection.upgraded),
            Action::Decide(client, ..) => self.connection(client).is_some_and(|connection| connection.asked),
            Action::Frames(client, Frames::Half)
                if self.connection(client).is_some_and(|connection| connection.half) =>
            {
                false
            }
            Action::Violate(client, Rule::Binary)
                if self.connection(client).is_some_and(|connection| connection.fragmented) =>
            {
                false
            }
            Action::Ping(client)
            | Action::Pong(client)
            | Action::Frames(client, _)
            | Action::Close(client, _)
            | Action::Violate(client, _) => self.is_heard(client),
            Action::Lose(client, Cause::Eof) => {
                self.connection(client).is_some_and(|connection| !connection.vanished && !connection.ended)
            }
            Action::Lose(client, _) | Action::Vanish(client) => {
                self.connection(client).is_some_and(|connection| !connection.vanished)
            }
            Action::Break(client) => self.connection(client).is_some_and(|connection| !connection.socket.broken),
            Action::Stall(client) => self.connection(client).is_some_and(|connection| !connection.socket.stalled),
            Action::Narrow(client) => self.connection(client).is_some_and(|connection| !connection.socket.narrow),
            Action::Resume(client) => {
                self.connection(client).is_some_and(|connection| connection.socket.stalled || connection.socket.narrow)
            }
            Action::Write(client, WriteBudget::Byte) => {
                self.waits(client)
                    && self.connection(client).is_some_and(|connection| !connection.socket.is_mid_frame())
            }
            Action::Write(client, _) => self.waits(client),
            Action::Flush() => self.clients().any(|client| self.is_writable(client)),
            Action::Respond() => self.clients().any(|client| self.owes(client)),
            Action::Advance(Span::Before | Span::Due | Span::Past) => self.next_deadline().is_some(),
            Action::Advance(_) => true,
            Action::Calendar(jump) => self.setup.calendar_stopped == 0 && self.may_jump(jump),
            Action::Stale(client, _) => self.stale_id(client).is_some(),
            Action::Shutdown() => !self.reference.shutting_down,
            Action::Heal() => true,
            Action::Connect(..)
            | Action::Recover(..)
            | Action::Watch(..)
            | Action::RecoverAndWatch(..)
            | Action::RecoverByToken(..)
            | Action::JoinByToken(..)
            | Action::SubRefresh(..)
            | Action::Refresh(..)
            | Action::History(..)
            | Action::Presence(..)
            | Action::PresenceStats(..)
            | Action::Join(..)
            | Action::Leave(..)
            | Action::Publish(..)
            | Action::Together(..)
            | Action::Select(..)
            | Action::Say(..) => self.can_say(action),
            Action::ApiBatch(..)
            | Action::ApiBroadcast(..)
            | Action::ApiDisconnectClient(..)
            | Action::ApiDisconnectSome(..)
            | Action::ApiDisconnectUser(..)
            | Action::ApiDisconnectWith(..)
            | Action::ApiHistory(..)
            | Action::ApiHistoryRemove(..)
            | Action::ApiList(..)
            | Action::ApiLook(..)
            | Action::ApiMisuse(..)
            | Action::ApiMuch(..)
            | Action::ApiPresence(..)
            | Action::ApiPresenceStats(..)
            | Action::ApiPublish(..)
            | Action::ApiPublishAll(..)
            | Action::ApiPublishOnce(..)
            | Action::ApiPublishUser(..)
            | Action::ApiRefresh(..)
            | Action::ApiRefreshSome(..)
            | Action::ApiSend(..)
            | Action::ApiSubscribe(..)
            | Action::ApiSubscribeSome(..)
            | Action::ApiUnsubscribe(..)
            | Action::ApiUnsubscribeSome(..) => self.can_call(action),
        }
    }

    /// Whether it makes sense that a client says this.
    fn can_say(&self, action: &Action) -> bool {
        match *action {
            Action::Connect(client, Credential::Token) if self.talks(client, false) => true,
            Action::Recover(client, ..)
            | Action::Watch(client, _)
            | Action::RecoverAndWatch(client, ..)
            | Action::RecoverByToken(client, ..)
            | Action::JoinByToken(client, _)
            | Action::SubRefresh(client, _)
            | Action::Refresh(client)
            | Action::History(client, ..)
            | Action::Presence(client, _)
            | Action::PresenceStats(client, _) => self.talks(client, true) && self.may_command(client),
            Action::Connect(client, _) => self.talks(client, true) && !self.has_connected(client),
            Action::Join(client, _) | Action::Leave(client, _) => self.talks(client, true) && self.may_command(client),
            Action::Publish(client, ..) => self.may_command(client) && self.may_publish(1),
            Action::Together(client, Batch::ConnectAndJoin | Batch::TokenAndJoin) => {
                self.talks(client, true) && !self.has_connected(client)
            }
            Action::Together(client, batch) => {
                let may = batch != Batch::PublishTwice || self.may_publish(2);
                self.talks(client, true) && self.may_command(client) && may
            }
            Action::Select(client, _) => self.talks(client, false),
            Action::Say(client, saying) => {
                let json = self.connection(client).is_some_and(|connection| connection.json);
                let data = || Data::new(Payload::Small, 0, &self.setup);
                self.talks(client, json) && client_texts::say(json, saying, &self.setup, data()).is_some()
            }
            _ => unreachable!("every other action is decided before"),
        }
    }

    /// Whether it makes sense that a backend calls this.
    fn can_call(&self, action: &Action) -> bool {
        match *action {
            Action::ApiPublishOnce(..) => self.may_publish(1),
            Action::ApiBatch(bundle, user, _) => {
                let is_there = self.receiver_of(user).is_some();
                self.may_publish(2) && (bundle != Bundle::Send || is_there)
            }
            Action::ApiHistory(..)
            | Action::ApiHistoryRemove(_)
            | Action::ApiPresence(_)
            | Action::ApiPresenceStats(_) => true,
            Action::ApiSubscribe(..) | Action::ApiUnsubscribe(..) | Action::ApiRefresh(..) => self.setup.users > 0,
            Action::ApiPublish(..)
            | Action::ApiBroadcast(_)
            | Action::ApiPublishUser(..)
            | Action::ApiPublishAll(_) => self.may_publish(1),
            Action::ApiSend(client, _) => self.public_id(client).is_some() && self.may_publish(1),
            Action::ApiDisconnectClient(client) | Action::ApiDisconnectWith(client, _) => {
                self.public_id(client).is_some()
            }
            Action::ApiDisconnectSome(client, ..)
            | Action::ApiSubscribeSome(client, ..)
            | Action::ApiUnsubscribeSome(client, ..)
            | Action::ApiRefreshSome(client, ..) => self.setup.users > 0 && self.public_id(client).is_some(),
            Action::ApiList(..) => true,
            Action::ApiMuch(..) => self.may_publish(super::api::selected::PARTS),
            Action::ApiDisconnectUser(_) | Action::ApiLook(_) | Action::ApiMisuse(_) => true,
            _ => unreachable!("every other action is decided before"),
        }
    }

    /// Whether a driver can make an input of it. It reads nothing before the 101 is out, nor after the end of the stream,
    /// it looks at tokens as soon as it is asked to, and it knows whom it has hung up on.
    fn can_come_about(&self, action: &Action) -> bool {
        match *action {
            Action::Ping(client)
            | Action::Pong(client)
            | Action::Frames(client, _)
            | Action::Close(client, _)
            | Action::Violate(client, _) => self.connection(client).is_some_and(|connection| connection.upgraded),
            Action::Lose(client, _) => {
                let is_read = !self.reference.is_paused(client.index());
                self.connection(client).is_some_and(|connection| connection.upgraded && !connection.ended) && is_read
            }
            Action::Decide(..) | Action::Stale(..) => false,
            _ => true,
        }
    }

    /// Whether what this client says now comes behind its `connect`. In plain there is none.
    fn has_connected(&self, client: Client) -> bool {
        let json = self.talks(client, true);
        (json || self.talks(client, false)) && !(json && self.reference.is_waited_for(client.index()))
    }

    /// Whether it makes sense that this client says more than who it is. An SDK does so behind its `connect`, before it knows
    /// whether that is refused.
    fn may_command(&self, client: Client) -> bool {
        self.has_connected(client) || (self.talks(client, true) && self.reference.was_turned_down(client.index()))
    }

    /// The calendar is never set by more than a day in all, so that a run stays in its century.
    fn may_jump(&self, jump: Jump) -> bool {
        let further = if jump == Jump::Ahead { self.calendar } else { -self.calendar };
        further < 24 * HOUR_MS
    }

    fn may_publish(&self, messages: u64) -> bool {
        self.messages.saturating_add(messages) <= self.setup.messages
    }
}
