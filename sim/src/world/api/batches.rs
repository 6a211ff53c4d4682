//! Calls of a backend that have several parts.

use crate::guarantees::Failure;
use crate::reference::api_call::ApiCall;
use crate::subjects::subject::Subject;
use crate::world::action::{Bundle, Key, Many, Part, Payload, User};
use crate::world::api::bodies;
use crate::world::api::selected::PARTS;
use crate::world::history_request;
use crate::world::history_request::{LogQuery, RecoverFrom};
use crate::world::payload::Data;
use crate::world::state::World;

/// The method of a part, its body, and what it means.
type Piece<'a> = (&'static str, String, ApiCall<'a>);

impl<S: Subject> World<S> {
    pub(in crate::world) fn bundle(&mut self, bundle: Bundle, user: User, room: usize) -> Result<(), Failure> {
        let data = [self.data(Payload::Small), self.data(Payload::Small)];
        let all = history_request::query(Part::All, &self.place(room));
        let pieces = self.pieces(bundle, user, room, &data, &all);
        self.batch(pieces)
    }

    /// One call with these parts.
    pub(in crate::world) fn batch(&mut self, pieces: Vec<Piece<'_>>) -> Result<(), Failure> {
        let commands: Vec<String> =
            pieces.iter().map(|(method, body, _)| format!(r#"{{"{method}":{body}}}"#)).collect();
        let body = format!(r#"{{"commands":[{}]}}"#, commands.join(","));
        if pieces.len() > self.setup.config().limits.batch_commands {
            return self.refused_call("batch", &body, 106);
        }
        let parts: Vec<(&str, ApiCall<'_>)> = pieces.into_iter().map(|(method, _, call)| (method, call)).collect();
        self.call("batch", &body, ApiCall::Batch(&parts))
    }

    fn pieces<'a>(
        &self,
        bundle: Bundle,
        user: User,
        room: usize,
        [first, second]: &'a [Data; 2],
        all: &'a LogQuery,
    ) -> Vec<Piece<'a>> {
        let who = user.index();
        let publish = |data: &'a Data| piece(bodies::publish(&[room], data), ApiCall::Publish(room, data));
        let tell = |data: &'a Data| piece(bodies::publish_user(who, data), ApiCall::PublishUser(who, data));
        let put_in = || {
            (
                "subscribe",
                bodies::subscribe(who, room, &RecoverFrom::Nothing),
                ApiCall::Subscribe(who, room, &RecoverFrom::Nothing),
            )
        };
        let take_out = || ("unsubscribe", bodies::unsubscribe(who, room), ApiCall::Unsubscribe(who, room));
        let count = || ("presence_stats", bodies::channel(room), ApiCall::PresenceStats(room));
        match bundle {
            Bundle::TakeOut => vec![publish(first), take_out(), publish(second)],
            Bundle::PutIn => vec![put_in(), publish(first)],
            Bundle::Send => {
                let client = self.receiver_of(user).expect("it makes sense");
                vec![publish(first), self.send_to(client, first), publish(second)]
            }
            Bundle::Expel => {
                vec![
                    publish(first),
                    ("disconnect", bodies::disconnect(who), ApiCall::DisconnectUser(who)),
                    tell(second),
                ]
            }
            Bundle::Remove => vec![
                publish(first),
                ("history_remove", bodies::channel(room), ApiCall::HistoryRemove(room)),
                publish(second),
                ("history", bodies::history(room, all), ApiCall::History(room, all)),
            ],
            Bundle::Everywhere => {
                vec![publish(first), tell(second), ("presence", bodies::channel(room), ApiCall::Presence(room))]
            }
            Bundle::Misspelt => vec![publish(first), ("publish", "{}".into(), ApiCall::Refused(107)), publish(second)],
            Bundle::Twice => {
                let once = |data: &'a Data| {
                    let (body, key) = bodies::publish_once(room, Key::A, data, 0);
                    ("publish", body, ApiCall::PublishOnce(room, key.expect("a short one"), data))
                };
                vec![once(first), once(second)]
            }
            Bundle::Visit => vec![put_in(), count(), take_out(), count()],
        }
    }

    pub(in crate::world) fn much(&mut self, many: Many, user: usize, room: usize) -> Result<(), Failure> {
        let parts = usize::try_from(PARTS).expect("a small number");
        if many == Many::Rooms {
            let data = self.data(Payload::Small);
            let rooms = vec![room; parts];
            let (method, body) = bodies::publish(&rooms, &data);
            if parts > self.setup.limits.broadcast_channels {
                return self.refused_call(method, &body, 106);
            }
            return self.publish_call((method, body), ApiCall::Broadcast(&rooms, &data), &data);
        }
        let data: Vec<Data> = (0..parts).map(|_| self.data(Payload::Small)).collect();
        let mut pieces: Vec<(&'static str, String, ApiCall<'_>)> = Vec::new();
        for (at, data) in data.iter().enumerate() {
            let ((method, body), call) = match (many, at % 3) {
                (Many::Messages, _) => (bodies::publish_all(data), ApiCall::PublishAll(data)),
                (Many::Mixed, 0) => (("presence_stats", bodies::channel(room)), ApiCall::PresenceStats(room)),
                (Many::Mixed, 1) => (bodies::publish_user(user, data), ApiCall::PublishUser(user, data)),
                _ => (bodies::publish(&[room], data), ApiCall::Publish(room, data)),
            };
            pieces.push((method, body, call));
        }
        self.batch(pieces)
    }
}

fn piece<'a>((method, body): (&'static str, String), call: ApiCall<'a>) -> Piece<'a> {
    (method, body, call)
}
