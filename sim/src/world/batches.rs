//! Calls of a backend that have several parts.

use super::World;
use crate::guarantees::Failure;
use crate::reference::api_call::Call;
use crate::subjects::subject::Subject;
use crate::world::action::{Bundle, Client, Key, Part, Payload, User};
use crate::world::history_request::Query;
use crate::world::history_request::Want;
use crate::world::request;
use crate::world::speech::{self, Data};

/// The method of a part, its body, and what it means.
type Piece<'a> = (&'static str, String, Call<'a>);

impl<S: Subject> World<S> {
    /// The client with this user's number, if there has been one.
    pub(super) fn receiver_of(&self, user: User) -> Option<Client> {
        let client = Client(user.0);
        (client.index() < self.clients.len() && self.public_id(client).is_some()).then_some(client)
    }

    pub(super) fn several(&mut self, bundle: Bundle, user: User, room: usize) -> Result<(), Failure> {
        let data = [self.data(Payload::Small), self.data(Payload::Small)];
        let all = request::query(Part::All, &self.place(room));
        let pieces = self.pieces(bundle, user, room, &data, &all);
        self.batch(pieces)
    }

    /// One call with these parts.
    pub(super) fn batch(&mut self, pieces: Vec<Piece<'_>>) -> Result<(), Failure> {
        let commands: Vec<String> =
            pieces.iter().map(|(method, body, _)| format!(r#"{{"{method}":{body}}}"#)).collect();
        let body = format!(r#"{{"commands":[{}]}}"#, commands.join(","));
        if pieces.len() > self.setup.config().limits.batch_commands {
            return self.refused_call("batch", &body, 106);
        }
        let parts: Vec<(&str, Call<'_>)> = pieces.into_iter().map(|(method, _, call)| (method, call)).collect();
        self.call("batch", &body, Call::Batch(&parts))
    }

    fn pieces<'a>(
        &self,
        bundle: Bundle,
        user: User,
        room: usize,
        [first, second]: &'a [Data; 2],
        all: &'a Query,
    ) -> Vec<Piece<'a>> {
        let who = user.index();
        let publish = |data: &'a Data| piece(speech::announce(&[room], data), Call::Publish(room, data));
        let tell = |data: &'a Data| piece(speech::tell(who, data), Call::Tell(who, data));
        let put_in =
            || ("subscribe", request::put_in(who, room, &Want::Nothing), Call::PutIn(who, room, &Want::Nothing));
        let take_out = || ("unsubscribe", request::take_out(who, room), Call::TakeOut(who, room));
        let count = || ("presence_stats", request::in_room(room), Call::PresenceStats(room));
        match bundle {
            Bundle::TakeOut => vec![publish(first), take_out(), publish(second)],
            Bundle::PutIn => vec![put_in(), publish(first)],
            Bundle::Send => {
                let client = self.receiver_of(user).expect("it makes sense");
                vec![publish(first), self.send_to(client, first), publish(second)]
            }
            Bundle::Expel => vec![publish(first), ("disconnect", speech::expel(who), Call::Expel(who)), tell(second)],
            Bundle::Remove => vec![
                publish(first),
                ("history_remove", request::in_room(room), Call::Remove(room)),
                publish(second),
                ("history", request::read_log(room, all), Call::History(room, all)),
            ],
            Bundle::Everywhere => {
                vec![publish(first), tell(second), ("presence", request::in_room(room), Call::Presence(room))]
            }
            Bundle::Misspelt => vec![publish(first), ("publish", "{}".into(), Call::Wrong(107)), publish(second)],
            Bundle::Twice => {
                let once = |data: &'a Data| {
                    let (body, key) = request::once(room, Key::A, data, 0);
                    ("publish", body, Call::Once(room, key.expect("a short one"), data))
                };
                vec![once(first), once(second)]
            }
            Bundle::Visit => vec![put_in(), count(), take_out(), count()],
        }
    }
}

fn piece<'a>((method, body): (&'static str, String), call: Call<'a>) -> Piece<'a> {
    (method, body, call)
}
