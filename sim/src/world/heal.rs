//! The end of every random run: the faults stop, and what must come right in time has to come right.
//!
//! L1: a client that stays gets everything. L2: the dead are gone in bounded time. L3: when all have left and the longest
//! retention has passed, nothing remains.

use super::state::World;
use crate::checkers::observation::Observed;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::subjects::subject::{LinkWork, Subject};
use crate::world::action::{
    Action, Client, Credential, Endpoint, Farewell, Look, Payload, Room, Rooms, Span, User, Verdict,
};
use parlor_core::ConnId;
use std::time::Duration;

/// Nothing takes more rounds of reading and answering than this.
const ROUNDS: usize = 1000;

impl<S: Subject> World<S> {
    /// Heals the world and empties it.
    ///
    /// # Errors
    /// Something stays that should go, or does not come that should.
    pub(crate) fn heal(&mut self) -> Result<(), Failure> {
        if self.setup.shards > 1 {
            self.on_links(LinkWork::LetAllGo)?;
            self.deliver_all()?;
            self.on_links(LinkWork::Heal)?;
            self.hear_out()?;
        }
        self.let_die()?;
        self.bring_in()?;
        let core = self.let_die()?;
        self.serve(&core)?;
        self.look_who_is_there()?;
        let well = core.iter().filter(|client| self.is_well(**client) && !self.waits(**client));
        let well: Vec<usize> = well.map(|client| client.index()).collect();
        self.check(Observed::Healed { well: &well })?;
        self.empty(&core)
    }

    /// All who still read and answer do so until nothing waits: what they have asked is answered by then.
    fn hear_out(&mut self) -> Result<(), Failure> {
        let hearing: Vec<Client> = self.clients().filter(|client| self.hears(*client)).collect();
        hearing.iter().try_for_each(|client| self.act(&Action::Resume(*client)).map(drop))?;
        self.settle()?;
        let hearing = hearing.iter().filter(|client| self.hears(**client) && !self.waits(**client));
        let hearing: Vec<usize> = hearing.map(|client| client.index()).collect();
        self.check(Observed::Settled { hearing: &hearing })
    }

    /// A backend asks who is in which room: what plain clients are not told either.
    fn look_who_is_there(&mut self) -> Result<(), Failure> {
        let rooms = (0..self.room_count()).map(|room| Action::ApiPresence(Room(room)));
        rooms.chain([Action::ApiLook(Look::Connections)]).try_for_each(|look| self.act(&look).map(drop))
    }

    /// Lets the clients that are well stay, and the others go. Returns those that stay.
    fn let_die(&mut self) -> Result<Vec<Client>, Failure> {
        let core: Vec<Client> = self.clients().filter(|client| self.is_well(*client)).collect();
        for client in self.clients() {
            let rest = if core.contains(&client) { Action::Resume(client) } else { Action::Vanish(client) };
            self.act(&rest)?;
        }
        self.outlive_the_dead(&core)?;
        Ok(core)
    }

    /// New clients come in wherever a connection is free, in one protocol or the other, as far as the server lets them.
    fn bring_in(&mut self) -> Result<(), Failure> {
        let users = self.user_count();
        for client in self.clients().filter(|client| !self.is_alive(*client)).collect::<Vec<_>>() {
            let user = self.own_user(client);
            let credential = if users == 0 { Credential::Nothing } else { Credential::Token };
            let json = [
                Action::Accept(client, Endpoint::Json, Rooms(0)),
                Action::Upgrade(client),
                Action::Connect(client, credential),
                Action::Decide(client, Verdict::Good, user),
                Action::Join(client, Room(0)),
            ];
            let plain = [Action::Enter(client, Rooms(1))];
            for action in if client.0 % 2 == 0 { &json[..] } else { &plain[..] } {
                self.act(action)?;
            }
        }
        self.settle()
    }

    fn outlive_the_dead(&mut self, core: &[Client]) -> Result<(), Failure> {
        let limits = self.config().limits;
        let longest = limits.handshake_timeout
            + limits.authenticate_timeout
            + limits.ping_interval
            + limits.pong_timeout
            + limits.close_timeout;
        // Where tokens are checked in the end, a client may become ready with others whose leaves it is told: once these are
        // written, it is read from again, and has the time for a pong once more.
        let longest = longest + limits.pong_timeout;
        let is_dead_there =
            |world: &Self| world.clients().any(|client| world.is_alive(client) && !core.contains(&client));
        self.wait(longest, is_dead_there)?;
        if is_dead_there(self) {
            let left = self.describe().join(", ");
            let expected = format_args!("the dead to be gone within {longest:?}");
            self.heed(Err(Failure::new(Guarantee::L2, expected, left)))?;
        }
        let well: Vec<usize> = core.iter().map(|client| client.index()).collect();
        self.check(Observed::Outlived { well: &well })
    }

    /// Lets deadlines pass for as long as it is worth it, and no longer than this.
    fn wait(&mut self, longest: Duration, is_worth: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let end = self.clock() + u64::try_from(longest.as_nanos()).expect("less than centuries");
        let mut last = (None, 0);
        while is_worth(self) {
            self.settle()?;
            let at = self.subject().poll_timeout();
            last = (at, if at == last.0 { last.1 + 1 } else { 0 });
            // A deadline that stays would be waited for without end where no check objects to it.
            if last.1 > ROUNDS || at.is_none_or(|at| at.0 > end) {
                break;
            }
            self.act(&Action::Advance(Span::Due))?;
        }
        Ok(())
    }

    /// Everyone reads and answers until nothing waits.
    fn settle(&mut self) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            if !(self.act(&Action::Flush())? | self.act(&Action::Respond())? | self.check_tokens()?) {
                return Ok(());
            }
        }
        let left = self.describe().join(", ");
        let expected = format_args!("nothing to wait any more after {ROUNDS} rounds");
        self.heed(Err(Failure::new(Guarantee::L1, expected, left)))
    }

    /// Checks the tokens that wait for it: a client that has said more meanwhile is not
    /// listened to until then, and so cannot even leave.
    fn check_tokens(&mut self) -> Result<bool, Failure> {
        let decide = |client| Action::Decide(client, Verdict::Good, self.own_user(client));
        let all: Vec<Action> = self.clients().map(decide).collect();
        all.iter().try_fold(false, |is_any, decide| Ok(is_any | self.act(decide)?))
    }

    fn own_user(&self, client: Client) -> User {
        User(client.0.checked_rem(self.user_count()).unwrap_or(0))
    }

    /// Publishes to every room, every user and all connections, and checks that those who are there get it.
    fn serve(&mut self, core: &[Client]) -> Result<(), Failure> {
        let rooms = (0..self.room_count()).map(|room| Action::ApiPublish(Room(room), Payload::Small));
        let users = (0..self.user_count()).map(|user| Action::ApiPublishUser(User(user), Payload::Small));
        for action in rooms.chain(users).chain([Action::ApiPublishAll(Payload::Small)]) {
            self.settle()?;
            let room = self.room_of(&action);
            let top = |world: &Self| room.map(|room| world.place(room).1);
            let (receivers, before) = (self.receivers(core, room), top(self));
            let is_sent = self.act(&action)?;
            // Where a log has no place for it, a message is refused.
            let is_accepted = is_sent && (room.is_none() || top(self) != before);
            self.settle()?;
            self.check_receivers(if is_accepted { &receivers } else { &[] })?;
        }
        match core.iter().find(|client| self.waits(**client)) {
            None => Ok(()),
            Some(client) => self.heed(Err(self.has_missed(*client))),
        }
    }

    /// The room that this is sent to; `None` where it is sent to everybody.
    fn room_of(&self, action: &Action) -> Option<usize> {
        match action {
            Action::ApiPublish(room, _) => Some(room.index()),
            Action::ApiPublishUser(user, _) => Some(self.own_room(user.index())),
            _ => None,
        }
    }

    /// Who of the core must get what is sent there, each with its connection.
    fn receivers(&self, core: &[Client], room: Option<usize>) -> Vec<(Client, ConnId)> {
        let is_in = |client: Client| room.is_none_or(|room| self.is_in(client, room));
        let is_sent = |client: &Client| self.hears_all(*client) && is_in(*client);
        let there = core.iter().filter(|client| self.is_well(**client) && is_sent(client));
        there.filter_map(|client| Some((*client, self.conn(*client)?))).collect()
    }

    /// L1, at each client's own parser: the newest message has come to all of them but those who were closed for it.
    fn check_receivers(&mut self, receivers: &[(Client, ConnId)]) -> Result<(), Failure> {
        for (client, conn) in receivers {
            if self.conn(*client) != Some(*conn) || !self.is_well(*client) {
                continue;
            }
            if self.newest(*client) != Some(self.messages()) {
                return self.heed(Err(self.has_missed(*client)));
            }
            self.reach(Goal::ServedInTheEnd);
        }
        Ok(())
    }

    fn has_missed(&self, client: Client) -> Failure {
        let newest = self.newest(client).map_or_else(|| "nothing".into(), |number| format!("message {number}"));
        let saw = format!("{newest} is its newest; {}", self.describe().join(", "));
        Failure::new(Guarantee::L1, format_args!("client {} to get message {}", client.0, self.messages()), saw)
    }

    fn empty(&mut self, core: &[Client]) -> Result<(), Failure> {
        for client in core {
            // A client that is told that others leave reads that first.
            self.settle()?;
            self.act(&Action::Close(*client, Farewell::Normal))?;
        }
        self.settle()?;
        let config = self.config();
        let (limits, policies) = (&config.limits, config.namespaces.policies());
        let grace = policies.map(|policy| policy.presence_grace).max().unwrap_or_default();
        let longest = limits.history_age.max(limits.log_memory).max(limits.idempotency_window).max(grace);
        self.wait(longest, |world| world.subject().poll_timeout().is_some())?;
        let (gauges, after) = (self.subject().stats().gauges, self.subject().snapshot());
        let timeout = self.subject().poll_timeout();
        self.heed(equal(Guarantee::L3, "all gauges at zero:", &parlor_core::stats::Gauges::default(), &gauges))?;
        self.heed(equal(Guarantee::L3, "nothing to wait for:", &None, &timeout))?;
        let remains =
            !(after.conns.is_empty() && after.rooms.is_empty() && after.users.is_empty() && after.logs.is_empty());
        let remain = || Failure::new(Guarantee::L3, "nothing to remain", format_args!("{after:?}"));
        self.heed(if remains { Err(remain()) } else { Ok(()) })?;
        self.check(Observed::Emptied { gauges: &gauges, timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::setup::Setup;
    use parlor_core::Shard;

    fn world(steps: &[&str]) -> World<Shard> {
        let mut world = World::new(&Setup { conns: 2, rooms: 2, users: 0, ..Setup::default() });
        for step in steps {
            assert_eq!(world.act(&step.parse().expect("an action")), Ok(true), "{step}");
        }
        world
    }

    #[test]
    fn a_client_without_the_newest_message_fails_the_healing() {
        let mut world = world(&["enter 0 1", "enter 1 2"]);
        let announce = Action::ApiPublish(Room(0), Payload::Small);
        let receivers = world.receivers(&[Client(0), Client(1)], Some(0));
        assert_eq!(receivers.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [Client(0)]);
        assert_eq!(world.act(&announce), Ok(true));
        let failure = world.check_receivers(&receivers).expect_err("nothing was written");
        assert_eq!((failure.guarantee, failure.expected.as_str()), (Guarantee::L1, "client 0 to get message 1"));
        world.settle().expect("it settles");
        assert_eq!(world.check_receivers(&receivers), Ok(()));
        assert!(world.goals().has(Goal::ServedInTheEnd));
    }

    #[test]
    fn a_client_with_a_filter_does_not_fail_the_healing() {
        let world = world(&["enter 0 1", "select 0 a"]);
        assert_eq!(world.receivers(&[Client(0)], Some(0)), []);
    }
}
