//! Calls of a backend that have several parts.

use crate::guarantees::Failure;
use crate::reference::api_call::ApiCall;
use crate::reference::calls;
use crate::subjects::subject::Subject;
use crate::world::action::{Bundle, Key, Many, Part, Payload, User};
use crate::world::api::selected::PARTS;
use crate::world::api::unforeseen;
use crate::world::history_request::{self, LogQuery, RecoverFrom};
use crate::world::payload::Data;
use crate::world::state::World;

impl<S: Subject> World<S> {
    pub(in crate::world) fn bundle(&mut self, bundle: Bundle, user: User, room: usize) -> Result<(), Failure> {
        let data = [self.data(Payload::Small), self.data(Payload::Small)];
        let all = history_request::query(Part::All, &self.place(room));
        let parts = self.parts(bundle, user, room, &data, &all);
        self.batch(&parts)
    }

    /// One call with these parts.
    pub(in crate::world) fn batch(&mut self, parts: &[ApiCall<'_>]) -> Result<(), Failure> {
        let is_too_much = parts.len() > self.setup.config().limits.batch_commands;
        let call = unforeseen::batch(parts);
        if is_too_much {
            return self.refused_call(&call.method, &call.body, 106);
        }
        self.call(&call)
    }

    fn parts<'a>(
        &self,
        bundle: Bundle,
        user: User,
        room: usize,
        [first, second]: &'a [Data; 2],
        all: &'a LogQuery,
    ) -> Vec<ApiCall<'a>> {
        let who = user.index();
        let publish = |data: &'a Data| calls::publish(room, data);
        let tell = |data: &'a Data| calls::publish_user(who, data);
        let put_in = || unforeseen::subscribe(who, room, &RecoverFrom::Nothing);
        let take_out = || unforeseen::unsubscribe(who, room);
        let count = || unforeseen::presence_stats(room);
        match bundle {
            Bundle::TakeOut => vec![publish(first), take_out(), publish(second)],
            Bundle::PutIn => vec![put_in(), publish(first)],
            Bundle::Send => {
                let client = self.receiver_of(user).expect("it makes sense");
                vec![publish(first), self.send_to(client, first), publish(second)]
            }
            Bundle::Expel => vec![publish(first), calls::disconnect(who), tell(second)],
            Bundle::Remove => {
                vec![publish(first), calls::history_remove(room), publish(second), calls::history(room, all)]
            }
            Bundle::Everywhere => vec![publish(first), tell(second), unforeseen::presence(room)],
            Bundle::Misspelt => vec![publish(first), calls::refused("publish", "{}", 107), publish(second)],
            Bundle::Twice => {
                let once = |data: &'a Data| calls::publish_once(room, Key::A, data, 0);
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
            let call = calls::broadcast(&rooms, &data);
            if parts > self.setup.limits.broadcast_channels {
                return self.refused_call(&call.method, &call.body, 106);
            }
            return self.publish_call(&call, &data);
        }
        let data: Vec<Data> = (0..parts).map(|_| self.data(Payload::Small)).collect();
        let part = |(at, data)| match (many, at % 3) {
            (Many::Messages, _) => calls::publish_all(data),
            (Many::Mixed, 0) => unforeseen::presence_stats(room),
            (Many::Mixed, 1) => calls::publish_user(user, data),
            _ => calls::publish(room, data),
        };
        self.batch(&data.iter().enumerate().map(part).collect::<Vec<_>>())
    }
}
