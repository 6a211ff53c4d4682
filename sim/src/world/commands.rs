//! The actions that are commands of a client in the json protocol: recovery, history, presence and tokens.

use crate::guarantees::Failure;
use crate::subjects::subject::Subject;
use crate::world::action::{Action, Client, RecoverySince};
use crate::world::client_message::SubscribeOptions;
use crate::world::names::{room_name, user_name};
use crate::world::state::World;
use crate::world::{client_texts, history_request};

impl<S: Subject> World<S> {
    /// Sends the command of a json client; `None` where the action is none of these.
    pub(super) fn command(&mut self, action: &Action) -> Option<Result<(), Failure>> {
        let (client, speech) = match *action {
            Action::Recover(client, room, since) => {
                let want = history_request::want(since, &self.place(room.index()));
                (
                    client,
                    client_texts::subscribe(room.index(), SubscribeOptions { want, ..SubscribeOptions::default() }),
                )
            }
            Action::Watch(client, room) => (
                client,
                client_texts::subscribe(room.index(), SubscribeOptions { watch: true, ..SubscribeOptions::default() }),
            ),
            Action::RecoverAndWatch(client, room, since) => {
                let want = history_request::want(since, &self.place(room.index()));
                (client, client_texts::subscribe(room.index(), SubscribeOptions { want, watch: true, token: None }))
            }
            Action::RecoverByToken(client, room, since) => {
                let want = history_request::want(since, &self.place(room.index()));
                let token = Some(self.token(client, Some(room.index())));
                (client, client_texts::subscribe(room.index(), SubscribeOptions { want, watch: true, token }))
            }
            Action::JoinByToken(client, room) => {
                let token = Some(self.token(client, Some(room.index())));
                (
                    client,
                    client_texts::subscribe(room.index(), SubscribeOptions { token, ..SubscribeOptions::default() }),
                )
            }
            Action::SubRefresh(client, room) => {
                (client, client_texts::sub_refresh(room.index(), self.token(client, Some(room.index()))))
            }
            Action::Refresh(client) => (client, client_texts::refresh(self.token(client, None))),
            Action::History(client, room, part) => {
                (client, client_texts::history(room.index(), history_request::query(part, &self.place(room.index()))))
            }
            Action::Presence(client, room) => (client, client_texts::presence(room.index(), false)),
            Action::PresenceStats(client, room) => (client, client_texts::presence(room.index(), true)),
            _ => return None,
        };
        Some(self.say(client, speech))
    }

    /// `connect` of a client that was here before.
    pub(super) fn come_back(&mut self, client: Client, since: RecoverySince) -> Result<(), Failure> {
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
