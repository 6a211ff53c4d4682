//! The actions of a session that is under way: recovery, history, presence and tokens.

use super::World;
use crate::guarantees::Failure;
use crate::reference::api_call::Call;
use crate::subjects::subject::Subject;
use crate::world::action::{Action, Client, Key, Payload, Renewal, Since};
use crate::world::request::{self, Place};
use crate::world::speech::{Asking, room_name, user_name};

impl<S: Subject> World<S> {
    /// What a json client asks for; `None` where the action is none of these.
    pub(super) fn request(&mut self, action: &Action) -> Option<Result<(), Failure>> {
        let (client, speech) = match *action {
            Action::Recover(client, room, since) => {
                let want = request::want(since, &self.place(room.index()));
                (client, request::subscribe(room.index(), Asking { want, ..Asking::default() }))
            }
            Action::Watch(client, room) => {
                (client, request::subscribe(room.index(), Asking { watch: true, ..Asking::default() }))
            }
            Action::RecoverAndWatch(client, room, since) => {
                let want = request::want(since, &self.place(room.index()));
                (client, request::subscribe(room.index(), Asking { want, watch: true, token: None }))
            }
            Action::RecoverByToken(client, room, since) => {
                let want = request::want(since, &self.place(room.index()));
                let token = Some(self.token(client, Some(room.index())));
                (client, request::subscribe(room.index(), Asking { want, watch: true, token }))
            }
            Action::JoinByToken(client, room) => {
                let token = Some(self.token(client, Some(room.index())));
                (client, request::subscribe(room.index(), Asking { token, ..Asking::default() }))
            }
            Action::SubRefresh(client, room) => {
                (client, request::sub_refresh(room.index(), self.token(client, Some(room.index()))))
            }
            Action::Refresh(client) => (client, request::refresh(self.token(client, None))),
            Action::History(client, room, part) => {
                (client, request::history(room.index(), request::query(part, &self.place(room.index()))))
            }
            Action::Presence(client, room) => (client, request::presence(room.index(), false)),
            Action::PresenceStats(client, room) => (client, request::presence(room.index(), true)),
            _ => return None,
        };
        Some(self.say(client, speech))
    }

    /// What a backend asks of rooms and sessions; `None` where the action is none of these.
    pub(super) fn manage(&mut self, action: &Action) -> Option<Result<(), Failure>> {
        Some(match *action {
            Action::ApiPublishOnce(room, key) => self.publish_once(room.index(), key),
            Action::ApiHistory(room, part) => {
                let query = request::query(part, &self.place(room.index()));
                let body = request::read_log(room.index(), &query);
                if query.is_impossible() {
                    self.refused_call("history", &body, 107)
                } else {
                    self.call("history", &body, Call::History(room.index(), &query))
                }
            }
            Action::ApiHistoryRemove(room) => {
                self.call("history_remove", &request::in_room(room.index()), Call::Remove(room.index()))
            }
            Action::ApiPresence(room) => {
                self.call("presence", &request::in_room(room.index()), Call::Presence(room.index()))
            }
            Action::ApiPresenceStats(room) => {
                self.call("presence_stats", &request::in_room(room.index()), Call::PresenceStats(room.index()))
            }
            Action::ApiSubscribe(user, room, since) => {
                let want = request::want(since, &self.place(room.index())).or_without();
                let body = request::put_in(user.index(), room.index(), &want);
                self.call("subscribe", &body, Call::PutIn(user.index(), room.index(), &want))
            }
            Action::ApiUnsubscribe(user, room) => {
                let body = request::take_out(user.index(), room.index());
                self.call("unsubscribe", &body, Call::TakeOut(user.index(), room.index()))
            }
            Action::ApiRefresh(user, renewal) => {
                let exp = self.expiry_of(renewal);
                let body = request::renew(user.index(), renewal, exp);
                self.call("refresh", &body, Call::Renew(user.index(), renewal, exp))
            }
            _ => return None,
        })
    }

    /// When a connection is to expire from now on.
    pub(super) fn expiry_of(&mut self, renewal: Renewal) -> Option<u64> {
        (renewal == Renewal::Soon).then(|| self.now().unix_ms / 1000 + 20)
    }

    /// `connect` of a client that was here before.
    pub(super) fn come_back(&mut self, client: Client, since: Since) -> Result<(), Failure> {
        let rooms = usize::from(self.room_count());
        let users = usize::try_from(self.setup.users).expect("a few users");
        let own = (0..users).map(|user| (rooms + user, format!("#{}", user_name(user))));
        let named = (0..rooms).map(|room| (room, room_name(room))).chain(own);
        let subs = named.map(|(room, name)| (room, name, request::want(since, &self.place(room))));
        let most = self.config().limits.rooms_per_connection;
        let subs = subs.take(most).collect();
        let token = self.token(client, None);
        self.say(client, request::come_back(token, subs))
    }

    fn publish_once(&mut self, room: usize, key: Key) -> Result<(), Failure> {
        let data = self.data(Payload::Small);
        match request::once(room, key, &data, self.setup.limits.idempotency_key_bytes) {
            (body, Some(number)) => self.call("publish", &body, Call::Once(room, number, &data)),
            (body, None) => self.refused_call("publish", &body, 107),
        }
    }

    pub(super) fn place(&self, room: usize) -> Place {
        self.oracle().place_of(room)
    }
}
