//! Actions carried out: each becomes inputs of the subject, or a change of the world around it.

use crate::goals::Goal;
use crate::guarantees::Failure;
use crate::reference::stimulus::Stimulus;
use crate::subjects::subject::Subject;
use crate::world::action::{Action, Batch, Cause, Client, Credential, Jump, Payload, RecoverySince, Span, WriteBudget};
use crate::world::payload::Data;
use crate::world::state::{HOUR_MS, SECOND, World};
use crate::world::{client_texts, clients};
use parlor_core::{Input, Lost};

impl<S: Subject> World<S> {
    /// Carries out an action, and checks what comes of it. Returns whether it made sense.
    ///
    /// # Errors
    /// A guarantee that was broken.
    pub fn act(&mut self, action: &Action) -> Result<bool, Failure> {
        if !self.can(action) {
            return Ok(false);
        }
        match *action {
            Action::Accept(client, endpoint, rooms) => self.accept(client, endpoint, rooms),
            Action::AcceptSince(client, rooms, since) => self.accept_since(client, rooms, since),
            Action::Upgrade(client) => self.upgrade(client),
            Action::Enter(client, rooms) => self.enter(client, rooms),
            Action::Decide(client, verdict, user) => self.decide(client, verdict, user),
            Action::Ping(client) => self.ping(client),
            Action::Pong(client) => self.pong(client),
            Action::Frames(client, frames) => self.frames(client, frames),
            Action::Close(client, farewell) => self.close_stream(client, clients::code_of(farewell)),
            Action::Violate(client, rule) => self.violate(client, rule),
            Action::Lose(client, cause) => self.lose(client, if cause == Cause::Eof { Lost::Eof } else { Lost::Read }),
            Action::Break(client) => self.fault(|world| world.connection_mut(client).socket.broken = true),
            Action::Vanish(client) => self.fault(|world| world.connection_mut(client).vanished = true),
            Action::Stall(client) => self.fault(|world| world.connection_mut(client).socket.stalled = true),
            Action::Narrow(client) => self.fault(|world| world.connection_mut(client).socket.narrow = true),
            Action::Resume(client) => {
                self.connection_mut(client).socket.resume();
                Ok(())
            }
            Action::Calendar(jump) => self.fault(|world| {
                world.goals.reach(Goal::CalendarStep);
                world.calendar += if jump == Jump::Ahead { HOUR_MS } else { -HOUR_MS };
            }),
            Action::Write(client, budget) => self.write(client, budget),
            Action::Flush() => {
                let writable: Vec<Client> = self.clients().filter(|client| self.is_writable(*client)).collect();
                writable.into_iter().try_for_each(|client| self.write(client, WriteBudget::All))
            }
            Action::Respond() => self.clients().try_for_each(|client| self.respond(client)),
            Action::Advance(span) => self.advance(span),
            Action::Stale(client, late) => self.stale(client, late),
            Action::Shutdown() => self.turn(Input::Shutdown, &Stimulus::Shutdown),
            Action::Heal() => self.heal(),
            _ => self.say_or_call(action),
        }?;
        Ok(true)
    }

    /// The actions that are words of a client or of a backend.
    fn say_or_call(&mut self, action: &Action) -> Result<(), Failure> {
        match *action {
            Action::Connect(client, Credential::Return) => self.come_back(client, RecoverySince::Two),
            Action::Connect(client, Credential::ReturnOrNot) => self.come_back(client, RecoverySince::AllOrNothing),
            Action::Connect(client, credential) => {
                let token = (credential == Credential::Token).then(|| self.token(client, None));
                let speech = client_texts::connect(self.is_json(client), token);
                self.say(client, speech)
            }
            Action::Join(client, room) => self.say(client, client_texts::join(room.index())),
            Action::Leave(client, room) => self.say(client, client_texts::leave(room.index())),
            Action::Publish(client, room, payload) => {
                let data = self.data(payload);
                self.say(client, client_texts::publish(self.is_json(client), room.index(), data))
            }
            Action::Together(client, batch) => {
                let number = self.messages;
                let data = [self.data(Payload::Small), self.data(Payload::Small)];
                if batch != Batch::PublishTwice {
                    self.messages = number;
                }
                let token = self.token(client, None);
                self.say(client, client_texts::together(batch, &self.setup, token, data))
            }
            Action::Select(client, filter) => self.say(client, client_texts::select(filter, &self.setup)),
            Action::Say(client, saying) => {
                let data = Data::new(Payload::Small, 0, &self.setup);
                let speech = client_texts::say(self.is_json(client), saying, &self.setup, data);
                self.say(client, speech.expect("it makes sense"))
            }
            _ => self.command(action).unwrap_or_else(|| self.api_call(action)),
        }
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
