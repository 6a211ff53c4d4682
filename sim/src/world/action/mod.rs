//! Actions: everything that can happen in a simulated world, as one total type with a text form that reads back.
//!
//! Actions name connections, rooms and users by their number in the scenario, never by an id of the subject. An action
//! that makes no sense where it stands does nothing and is counted, so every subsequence of a trace is a trace.

mod argument;
mod frequency;
mod numbers;
mod words;
use crate::world::setup::Setup;
use argument::{Argument, Others};
pub use argument::{Numbered, Renaming};
pub use frequency::Frequency;
use frequency::{Family, NEVER, OFTEN, OFTEN_OF_THOSE_WHO_STAY, TIME, always, fault, seldom};
pub use numbers::*;
use std::fmt;
use std::str::FromStr;
pub use words::*;

impl Action {
    /// Whether it asks for a position in a log that a client or backend knows, or may.
    #[must_use]
    pub fn recalls(&self) -> bool {
        match self {
            Self::Accept(_, endpoint, _) => endpoint.has_places(),
            Self::AcceptSince(..) | Self::ApiSubscribeSome(..) => true,
            Self::Connect(_, credential) => matches!(credential, Credential::Return | Credential::ReturnOrNot),
            Self::Recover(..) | Self::RecoverAndWatch(..) | Self::RecoverByToken(..) | Self::ApiSubscribe(..) => true,
            Self::History(..) | Self::ApiHistory(..) | Self::Together(..) | Self::ApiBatch(..) => true,
            _ => false,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($($field:ident: $type:ty),*) = $word:literal, $frequency:expr;)*) => {
        /// One thing that happens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name($($type),*),)* }

        #[derive(Clone, Copy)]
        enum ActionKind { $($name,)* }

        impl Action {
            /// The first word of every kind of action, by its number.
            pub const WORDS: &[&str] = &[$($word),*];

            /// How often random runs have each kind, by its number.
            pub const FREQUENCIES: &[Frequency] = &[$($frequency),*];

            #[cfg(test)]
            const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The number of its kind.
            #[must_use]
            pub fn kind(&self) -> usize {
                match self { $(Self::$name(..) => ActionKind::$name as usize,)* }
            }

            /// Whether the scenario has everything that it names.
            #[must_use]
            pub fn fits(&self, setup: &Setup) -> bool {
                match *self { $(Self::$name($($field),*) => true $(&& $field.fits(setup))*,)* }
            }

            /// The same with the `choice`th other in the place of one argument; `None` where there are no more.
            fn with(&self, argument: usize, choice: usize, which: Others<'_>) -> Option<Self> {
                let mut at = 0;
                match *self {
                    $(Self::$name($(mut $field),*) => {
                        $(if at == argument {
                            $field = *$field.others(which).get(choice)?;
                        }
                        at += 1;)*
                        (argument < at).then_some(Self::$name($($field),*))
                    })*
                }
            }

            /// The action of this kind that these bytes stand for; `kind` is below the number of kinds.
            #[must_use]
            pub fn decode(kind: usize, bytes: [u8; 3], setup: &Setup) -> Self {
                let mut bytes = bytes.into_iter();
                $(if kind == ActionKind::$name as usize {
                    $(let $field = <$type>::draw(bytes.next().expect("at most three arguments"), setup);)*
                    return Self::$name($($field),*);
                })*
                panic!("there is no kind of action {kind}")
            }
        }

        impl fmt::Display for Action {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name($($field),*) => {
                        f.write_str($word)?;
                        $(write!(f, " {}", $field.word())?;)*
                    })*
                }
                Ok(())
            }
        }

        impl FromStr for Action {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let mut words = text.split_whitespace();
                let first = words.next().unwrap_or_default();
                let action = match first {
                    $($word => {
                        $(let word = words.next().ok_or_else(|| format!("{text:?} wants: {}", stringify!($field)))?;
                        let $field = <$type>::parse(word)
                            .ok_or_else(|| format!("{word:?} in {text:?} is no {}", stringify!($field)))?;)*
                        Self::$name($($field),*)
                    })*
                    _ => return Err(format!("{first:?} is no action")),
                };
                match words.next() {
                    None => Ok(action),
                    Some(word) => Err(format!("{word:?} in {text:?} is one word too many")),
                }
            }
        }
    };
}

actions! {
    /// An upgrade request comes; `rooms` are those of a `plain` URL.
    Accept(client: Client, endpoint: Endpoint, rooms: Rooms) = "accept", always(60);
    /// The last byte of the 101 is written.
    Upgrade(client: Client) = "upgrade", always(60);
    /// `connect` in json, where it has not come yet; `auth` in plain.
    Connect(client: Client, credential: Credential) = "connect", always(60);
    /// The shell has checked the token that it was asked to check.
    Decide(client: Client, verdict: Verdict, user: User) = "decide", always(40);
    /// A json client joins a room.
    Join(client: Client, room: Room) = "join", always(50);
    /// A json client joins a room and wants what it has missed.
    Recover(client: Client, room: Room, since: RecoverySince) = "recover", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client joins a room and wants to know who comes and goes.
    Watch(client: Client, room: Room) = "watch", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client joins a room and wants both.
    RecoverAndWatch(client: Client, room: Room, since: RecoverySince) = "recover-and-watch", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client shows a token for a room and wants both.
    RecoverByToken(client: Client, room: Room, since: RecoverySince) = "recover-by-token", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client shows a token for a room.
    JoinByToken(client: Client, room: Room) = "join-by-token", OFTEN_OF_THOSE_WHO_STAY.times(3);
    /// A json client shows another token for a room.
    SubRefresh(client: Client, room: Room) = "sub-refresh", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client shows another token.
    Refresh(client: Client) = "refresh", OFTEN_OF_THOSE_WHO_STAY.times(3);
    /// A json client reads a log.
    History(client: Client, room: Room, part: Part) = "history", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client asks who is in a room.
    Presence(client: Client, room: Room) = "presence", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client asks how many are in a room.
    PresenceStats(client: Client, room: Room) = "presence-stats", OFTEN_OF_THOSE_WHO_STAY;
    /// A json client leaves a room.
    Leave(client: Client, room: Room) = "leave", OFTEN;
    /// A client publishes.
    Publish(client: Client, room: Room, payload: Payload) = "publish", always(40);
    /// A json client sends several commands at once.
    Together(client: Client, batch: Batch) = "together", OFTEN;
    /// A plain client says which events it wants.
    Select(client: Client, filter: Filter) = "select", OFTEN;
    /// A client says something else.
    Say(client: Client, saying: Saying) = "say", OFTEN.or_fault(Family::Unruly);
    /// A Ping frame comes.
    Ping(client: Client) = "ping", OFTEN;
    /// A Pong frame comes.
    Pong(client: Client) = "pong", OFTEN;
    /// A Close frame comes.
    Close(client: Client, farewell: Farewell) = "close", fault(Family::Unruly);
    /// A rule of the framing is broken.
    Violate(client: Client, rule: Rule) = "violate", fault(Family::Unruly);
    /// Reading finds the socket gone.
    Lose(client: Client, cause: Cause) = "lose", fault(Family::Lost);
    /// From now on the next write fails.
    Break(client: Client) = "break", fault(Family::Lost);
    /// The client dies without a word; its socket still takes bytes.
    Vanish(client: Client) = "vanish", fault(Family::Vanished);
    /// From now on the socket takes nothing.
    Stall(client: Client) = "stall", fault(Family::Slow);
    /// From now on the socket takes half of what waits, at most.
    Narrow(client: Client) = "narrow", fault(Family::Slow);
    /// The socket takes everything again.
    Resume(client: Client) = "resume", OFTEN.or_fault(Family::Slow);
    /// The driver writes to one socket.
    Write(client: Client, budget: WriteBudget) = "write", OFTEN.times(3).or_fault(Family::Slow);
    /// The driver writes to every socket.
    Flush() = "flush", always(60);
    /// Every client that still can answers the pings and the Close that it has read.
    Respond() = "respond", always(30);
    /// A backend publishes to a room.
    ApiPublish(room: Room, payload: Payload) = "api-publish", always(40);
    /// A backend publishes to a room, once for each key.
    ApiPublishOnce(room: Room, key: Key) = "api-publish-once", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend reads a log.
    ApiHistory(room: Room, part: Part) = "api-history", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend removes what a log retains.
    ApiHistoryRemove(room: Room) = "api-history-remove", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend asks who is in a room.
    ApiPresence(room: Room) = "api-presence", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend asks how many are in a room.
    ApiPresenceStats(room: Room) = "api-presence-stats", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend puts a user's connections into a room, with what they have missed.
    ApiSubscribe(user: User, room: Room, since: RecoverySince) = "api-subscribe", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend takes a user's connections out of a room.
    ApiUnsubscribe(user: User, room: Room) = "api-unsubscribe", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend changes when a user's connections expire.
    ApiRefresh(user: User, renewal: Renewal) = "api-refresh", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend asks for several things in one call.
    ApiBatch(bundle: Bundle, user: User, room: Room) = "api-batch", OFTEN_OF_THOSE_WHO_STAY;
    /// A backend publishes to every room.
    ApiBroadcast(payload: Payload) = "api-broadcast", OFTEN;
    /// A backend sends to one connection.
    ApiSend(client: Client, payload: Payload) = "api-send", OFTEN;
    /// A backend publishes to a user.
    ApiPublishUser(user: User, payload: Payload) = "api-publish-user", OFTEN;
    /// A backend publishes to everybody.
    ApiPublishAll(payload: Payload) = "api-publish-all", OFTEN;
    /// A backend closes the connections of a user.
    ApiDisconnectUser(user: User) = "api-disconnect-user", fault(Family::Dismissed);
    /// A backend closes one connection.
    ApiDisconnectClient(client: Client) = "api-disconnect-client", fault(Family::Dismissed);
    /// A backend looks.
    ApiLook(look: Look) = "api-look", OFTEN;
    /// A backend asks for what cannot be.
    ApiMisuse(call: BadCall) = "api-misuse", OFTEN;
    /// Time passes, and the driver says so.
    Advance(span: Span) = "advance", TIME;
    /// An input comes for a connection that has ended.
    Stale(client: Client, late: Late) = "stale", fault(Family::Lost);
    /// The server is asked to stop.
    Shutdown() = "shutdown", fault(Family::Shutdown);
    /// The faults stop, what is dead goes, what is alive gets everything, and then everybody leaves.
    Heal() = "heal", NEVER;
    /// A plain client without a greeting comes in at one stroke: accepted, upgraded and, where the scenario has users,
    /// known to be one of them by a token in the URL.
    Enter(client: Client, rooms: Rooms) = "enter", NEVER;
    /// The calendar is set by an hour; the clock goes on as before.
    Calendar(jump: Jump) = "calendar", fault(Family::Calendar);
    /// A backend closes one connection with a code of its own.
    ApiDisconnectWith(client: Client, dismissal: Dismissal) = "api-disconnect-with", fault(Family::Dismissed);
    /// Several frames come at once.
    Frames(client: Client, frames: Frames) = "frames", fault(Family::Unruly);
    /// An upgrade request comes of a plain client that was in all of these rooms before. Every other client has a token too,
    /// and was in its user's own room.
    AcceptSince(client: Client, rooms: Rooms, since: RecoverySince) = "accept-since", seldom(30, 60);
    /// A backend closes some connections with a code of its own.
    ApiDisconnectSome(client: Client, selector: Selector, code: Code) = "api-disconnect-some", seldom(20, 60);
    /// A backend puts some connections into a room, with what they have missed.
    ApiSubscribeSome(client: Client, selector: Selector, room: Room) = "api-subscribe-some", seldom(20, 30);
    /// A backend takes some connections out of a room.
    ApiUnsubscribeSome(client: Client, selector: Selector, room: Room) = "api-unsubscribe-some", seldom(20, 20);
    /// A backend changes when some connections expire.
    ApiRefreshSome(client: Client, selector: Selector, renewal: Renewal) = "api-refresh-some", seldom(20, 20);
    /// A backend lists rooms or connections.
    ApiList(listing: Listing, user: User, room: Room) = "api-list", seldom(20, 40);
    /// A backend asks for many things in one call.
    ApiMuch(many: Many, user: User, room: Room) = "api-much", seldom(8, 3);
}

/// No action has more arguments.
const ARGUMENTS: usize = 3;

impl Action {
    /// The same with one argument simpler, in every way there is.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        (0..ARGUMENTS).flat_map(|argument| self.others(argument, Others::Simpler)).collect()
    }

    /// The same done by and to every client, room and user that there is.
    #[must_use]
    pub fn everywhere(&self, setup: &Setup) -> Vec<Self> {
        let mut all = vec![*self];
        for argument in 0..ARGUMENTS {
            let varied = |action: &Self| action.others(argument, Others::Elsewhere(setup));
            let more: Vec<Self> = all.iter().flat_map(varied).collect();
            all = if more.is_empty() { all } else { more };
        }
        all
    }

    /// The same where something has another number.
    #[must_use]
    pub fn renamed(&self, renaming: Renaming) -> Self {
        let rename = |action: Self, argument| action.with(argument, 0, Others::Renamed(renaming)).unwrap_or(action);
        (0..ARGUMENTS).fold(*self, rename)
    }

    fn others(&self, argument: usize, which: Others<'_>) -> Vec<Self> {
        (0..).map_while(|choice| self.with(argument, choice, which)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_text() {
        let setup = Setup::default();
        for kind in 0..Action::WORDS.len() {
            for byte in 0..=255 {
                let action = Action::decode(kind, [byte, byte.rotate_left(3), byte.rotate_left(5)], &setup);
                assert_eq!(action.to_string().parse(), Ok(action));
                assert_eq!(action.kind(), kind);
            }
        }
    }

    #[test]
    fn every_kind_is_named_after_its_word() {
        for (name, word) in Action::NAMES.iter().zip(Action::WORDS) {
            let capitalized = |part: &str| part[..1].to_uppercase() + &part[1..];
            assert_eq!(word.split('-').map(capitalized).collect::<String>(), **name);
        }
    }

    fn texts(actions: Vec<Action>) -> Vec<String> {
        actions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_action_has_simpler_ones_and_the_same_ones_elsewhere() {
        let action: Action = "decide 1 expired 1".parse().unwrap();
        let simpler = ["decide 0 expired 1", "decide 1 good 1", "decide 1 expiring 1", "decide 1 expired 0"];
        assert_eq!(texts(action.simpler()), simpler);
        let setup = Setup { conns: 1, users: 2, ..Setup::default() };
        assert_eq!(texts(action.everywhere(&setup)), ["decide 0 expired 0", "decide 0 expired 1"]);
        assert_eq!(texts(Action::Flush().everywhere(&setup)), ["flush"]);
        assert_eq!(Action::Flush().simpler(), []);
    }

    #[test]
    fn a_renaming_changes_what_it_is_about_and_nothing_else() {
        let renamed = |text: &str, what, from, to| {
            text.parse::<Action>().unwrap().renamed(Renaming { what, from, to }).to_string()
        };
        assert_eq!(renamed("decide 2 good 2", Numbered::Client, 2, 0), "decide 0 good 2");
        assert_eq!(renamed("decide 2 good 2", Numbered::User, 2, 1), "decide 2 good 1");
        assert_eq!(renamed("join 2 2", Numbered::Room, 2, 0), "join 2 0");
        assert_eq!(renamed("accept 2 plain 6", Numbered::Room, 2, 0), "accept 2 plain 3");
        assert_eq!(renamed("join 2 2", Numbered::Room, 1, 0), "join 2 2");
    }

    #[test]
    fn what_is_no_action_is_named() {
        assert_eq!("dance 1".parse::<Action>(), Err("\"dance\" is no action".into()));
        assert_eq!("join 1".parse::<Action>(), Err("\"join 1\" wants: room".into()));
        assert_eq!("join 1 x".parse::<Action>(), Err("\"x\" in \"join 1 x\" is no room".into()));
        assert_eq!("flush 1".parse::<Action>(), Err("\"1\" in \"flush 1\" is one word too many".into()));
    }
}
