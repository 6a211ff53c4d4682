//! Commands of clients that take more than a text: what they have missed, and several at once.

use crate::guarantees::Failure;
use crate::subjects::subject::Subject;
use crate::world::action::{Batch, Client, Credential, Payload, RecoverySince, Room};
use crate::world::client_message::SubscribeOptions;
use crate::world::names::{room_name, user_name};
use crate::world::state::World;
use crate::world::{client_texts, history_request};

impl<S: Subject> World<S> {
    pub(super) fn connect(&mut self, client: Client, credential: Credential) -> Result<(), Failure> {
        match credential {
            Credential::Return => self.come_back(client, RecoverySince::Two),
            Credential::ReturnOrNot => self.come_back(client, RecoverySince::AllOrNothing),
            Credential::Token | Credential::Nothing => {
                let token = (credential == Credential::Token).then(|| self.token(client, None));
                let speech = client_texts::connect(self.is_json(client), token);
                self.say(client, speech)
            }
        }
    }

    pub(super) fn subscribe(&mut self, client: Client, room: Room, options: SubscribeOptions) -> Result<(), Failure> {
        self.say(client, client_texts::subscribe(room.index(), options))
    }

    /// The same with what the client has missed since then.
    pub(super) fn recover(
        &mut self,
        client: Client,
        room: Room,
        since: RecoverySince,
        options: SubscribeOptions,
    ) -> Result<(), Failure> {
        let want = history_request::want(since, &self.place(room.index()));
        self.subscribe(client, room, SubscribeOptions { want, ..options })
    }

    /// Several commands in one text.
    pub(super) fn together(&mut self, client: Client, batch: Batch) -> Result<(), Failure> {
        let number = self.messages;
        let data = [self.data(Payload::Small), self.data(Payload::Small)];
        if batch != Batch::PublishTwice {
            self.messages = number;
        }
        let token = self.token(client, None);
        self.say(client, client_texts::together(batch, &self.setup, token, data))
    }

    /// `connect` of a client that was here before.
    fn come_back(&mut self, client: Client, since: RecoverySince) -> Result<(), Failure> {
        let rooms = usize::from(self.room_count());
        let users = usize::try_from(self.setup.users).expect("a few users");
        let own = (0..users).map(|user| (rooms + user, format!("#{}", user_name(user))));
        let named = (0..rooms).map(|room| (room, room_name(room))).chain(own);
        let subs = named.map(|(room, name)| (room, name, history_request::want(since, &self.place(room))));
        let most = self.config().limits.rooms_per_connection;
        let subs = subs.take(most).collect();
        let token = self.token(client, None);
        self.say(client, client_texts::come_back(token, subs))
    }
}
