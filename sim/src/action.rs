//! What can happen in a simulated world: one total type, with a text form that reads back.
//!
//! Actions name connections, rooms and users by their number in the scenario, never by an id of the subject. An action
//! that makes no sense where it stands does nothing and is counted, so every subsequence of a trace is a trace.

use crate::setup::Setup;
use std::fmt;
use std::str::FromStr;

/// What an action is about: one word of its text.
trait Argument: Sized + Copy {
    fn word(self) -> String;
    fn parse(word: &str) -> Option<Self>;
    /// Made of one random byte, within what the scenario has.
    fn draw(byte: u8, setup: &Setup) -> Self;
    /// Whether the scenario has it.
    fn fits(self, setup: &Setup) -> bool;
    /// What may stand in its place.
    fn others(self, which: Others<'_>) -> Vec<Self>;
}

/// What may stand in the place of an argument.
#[derive(Clone, Copy)]
enum Others<'a> {
    /// What comes before it in the list of its kind: the first is the simplest.
    Simpler,
    /// Every client, room, set of rooms or user of the scenario in the place of another.
    Elsewhere(&'a Setup),
    /// Its name after a renaming.
    Renamed(Renaming),
}

/// Something that has a number in the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// A client.
    Peer,
    /// A room.
    Room,
    /// A user.
    User,
}

/// Another number for all that had one.
#[derive(Clone, Copy, Debug)]
pub struct Renaming {
    /// What.
    pub what: Numbered,
    /// The number that it had.
    pub from: u8,
    /// The number that it has now.
    pub to: u8,
}

impl Renaming {
    fn of(self, what: Numbered, number: u8) -> u8 {
        if self.what == what && self.from == number { self.to } else { number }
    }

    fn of_set(self, _: Numbered, rooms: u8) -> u8 {
        let bit = 1 << self.from;
        if self.what == Numbered::Room && rooms & bit != 0 { rooms & !bit | 1 << self.to } else { rooms }
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident below $bound:expr, renamed by $rename:ident $what:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub u8);

        impl $name {
            /// Where it is in a table of its kind.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }

        impl Argument for $name {
            fn word(self) -> String {
                self.0.to_string()
            }
            fn parse(word: &str) -> Option<Self> {
                word.parse().ok().map(Self)
            }
            fn draw(byte: u8, setup: &Setup) -> Self {
                let bound: fn(&Setup) -> u64 = $bound;
                Self(u8::try_from(u64::from(byte) % bound(setup).clamp(1, 256)).expect("the rest of a byte"))
            }
            fn fits(self, setup: &Setup) -> bool {
                let bound: fn(&Setup) -> u64 = $bound;
                u64::from(self.0) < bound(setup)
            }
            fn others(self, which: Others<'_>) -> Vec<Self> {
                match which {
                    Others::Simpler => (0..self.0).map(Self).collect(),
                    Others::Elsewhere(setup) => (0..=u8::MAX).map(Self).filter(|other| other.fits(setup)).collect(),
                    Others::Renamed(renaming) => vec![Self(renaming.$rename(Numbered::$what, self.0))],
                }
            }
        }
    )*};
}

numbers! {
    /// A simulated client. It has one connection at a time.
    Peer below |setup| setup.conns, renamed by of Peer;
    /// A room that clients may name.
    Room below |setup| setup.rooms, renamed by of Room;
    /// A set of rooms, a bit for each.
    Rooms below |setup| 1 << setup.rooms, renamed by of_set Room;
    /// A user who has a name.
    User below |setup| setup.users, renamed by of User;
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }

        impl Argument for $name {
            fn word(self) -> String {
                match self { $(Self::$variant => $word,)* }.into()
            }
            fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
            fn draw(byte: u8, _: &Setup) -> Self {
                Self::ALL[usize::from(byte) % Self::ALL.len()]
            }
            fn fits(self, _: &Setup) -> bool {
                true
            }
            fn others(self, which: Others<'_>) -> Vec<Self> {
                match which {
                    Others::Simpler => Self::ALL.iter().copied().take_while(|other| *other != self).collect(),
                    Others::Elsewhere(_) | Others::Renamed(_) => vec![self],
                }
            }
        }
    )*};
}

words! {
    /// How a connection is asked for.
    Door {
        /// Profile `json`.
        Json = "json",
        /// Profile `json`, pings as WebSocket Pings.
        JsonPings = "json-frame-pings",
        /// Profile `json`, a token in a header.
        JsonHeader = "json-header",
        /// Profile `plain` without a token.
        Plain = "plain",
        /// Profile `plain`, a token in the query.
        PlainToken = "plain-token",
        /// Profile `plain`, a token in a header.
        PlainHeader = "plain-header",
        /// Profile `plain` without a greeting.
        PlainQuiet = "plain-quiet",
        /// Profile `plain` without a greeting, with positions.
        PlainPlaces = "plain-places",
        /// The same, from the message before the newest on.
        PlainSince = "plain-since",
        /// The same, from a place in another log on.
        PlainElse = "plain-else",
        /// The same, with the newest two messages.
        PlainHistory = "plain-history",
    }
    /// What a client shows.
    Credential {
        /// Nothing.
        Nothing = "nothing",
        /// A token.
        Token = "token",
        /// A token, and where it was in the rooms that the token puts it in.
        Return = "return",
        /// The same, from the beginning of each room on, or not at all.
        ReturnOrNot = "return-or-not",
    }
    /// From where on a client wants what it has missed.
    Since {
        /// From the newest message on.
        Top = "top",
        /// From the one before it on.
        One = "one",
        /// From the one before that on.
        Two = "two",
        /// From the beginning.
        Zero = "zero",
        /// From beyond the newest message on.
        Beyond = "beyond",
        /// From a place in another log on.
        Else = "else",
        /// From the message before the newest on, in whatever log there is.
        Any = "any",
        /// From the beginning, or not at all.
        AllOrNothing = "all-or-nothing",
        /// From a place in another log on, or not at all.
        ElseOrNothing = "else-or-nothing",
    }
    /// What of a log somebody reads.
    Part {
        /// Its position.
        Position = "position",
        /// As much as there is.
        All = "all",
        /// One message.
        One = "one",
        /// More than a reply may have.
        Many = "many",
        /// What came after the newest but one.
        Since = "since",
        /// One message from the beginning.
        First = "first",
        /// The newest first.
        Reverse = "reverse",
        /// What came before the newest, the newest of it first.
        Before = "before",
        /// What came before the first.
        BeforeAll = "before-all",
        /// What came in another log.
        Else = "else",
    }
    /// The parts of one call of a backend, in this order. They are about one room and one user.
    Bundle {
        /// A publication, the user taken out of the room, another publication.
        TakeOut = "publish-take-out-publish",
        /// The user put into the room, a publication.
        PutIn = "put-in-publish",
        /// A publication, a message to the client with the user's number, another publication.
        Send = "publish-send-publish",
        /// A publication, the user's connections closed, a publication to the user.
        Expel = "publish-disconnect-publish",
        /// A publication, the log emptied, another publication, the log read.
        Remove = "publish-remove-read",
        /// A publication to the room, one to the user, and who is in the room.
        Everywhere = "publish-everywhere",
        /// A publication, a part that is not understood, another publication.
        Misspelt = "publish-misspelt-publish",
        /// A publication with a key, and the same once more.
        Twice = "publish-once-twice",
        /// The user put into the room and taken out again, and how many are in it after each.
        Visit = "put-in-take-out",
    }
    /// A key that calls are told apart by.
    Key {
        /// One.
        A = "a",
        /// Another.
        B = "b",
        /// One byte too long.
        TooLong = "too-long",
        /// As long as is allowed.
        Longest = "longest",
    }
    /// When connections expire from now on.
    Renewal {
        /// In 20 s.
        Soon = "soon",
        /// Never.
        Never = "never",
        /// At once.
        Expired = "expired",
    }
    /// What a token turns out to say.
    Verdict {
        /// Who it is.
        Good = "good",
        /// Who it is, and that it ends 20 s from now.
        Expiring = "expiring",
        /// It ended a minute ago.
        Expired = "expired",
        /// It begins in a minute.
        Early = "early",
        /// Who it is, and to put the connection in the first room.
        Placed = "placed",
        /// Who it is, and more rooms than a connection may be in.
        Crowded = "crowded",
        /// A good token of nobody.
        Nobody = "nobody",
        /// Who it is, and, where it is for a room, another one.
        OtherRoom = "other-room",
        /// Its signature is wrong.
        Forged = "forged",
        /// Who it is, and of it what is nested deeper than is allowed.
        Unreadable = "unreadable-info",
        /// Who it is, and to put the connection in the first two rooms.
        Both = "both",
        /// Who it is, and to put the connection in all rooms but the first.
        Moved = "moved",
        /// Who it is, with another info.
        Renamed = "renamed",
        /// It begins in half of the time by which clocks may differ.
        Soon = "soon",
        /// It ended half of that time ago.
        Recent = "recent",
        /// Who it is, for a room where it has to be a connection's, and for none where it has to be a room's.
        Misplaced = "misplaced",
        /// Who it is, and to put the connection in a room whose name is one byte too long.
        LongRoom = "long-room",
        /// Who it is, with a byte too many about it.
        LongInfo = "long-info",
    }
    /// A publication's payload.
    Payload {
        /// An object with a number that no other payload of the run has.
        Small = "small",
        /// With `"type":"a"`.
        TypeA = "type-a",
        /// With `"type":"b"`.
        TypeB = "type-b",
        /// With newlines between its tokens.
        Multiline = "multiline",
        /// As large as is allowed.
        Large = "large",
        /// One byte larger than is allowed.
        TooLarge = "too-large",
        /// With a tag beside it, where a backend publishes.
        Tagged = "tagged",
        /// Kept out of the log, where a backend publishes.
        Unlogged = "unlogged",
        /// Nested as deep as is allowed.
        Deep = "deep",
        /// Nested deeper than is allowed.
        TooDeep = "too-deep",
        /// With a number of more digits than are allowed.
        LongNumber = "long-number",
        /// With half of a surrogate pair in the name of a field.
        Surrogate = "surrogate",
        /// With a `type` that only the server uses.
        ServersType = "servers-type",
        /// The same, escaped.
        EscapedType = "escaped-type",
        /// The same, behind another `type`.
        SecondType = "second-type",
    }
    /// Several commands in one text.
    Batch {
        /// Connect, then join every room.
        ConnectAndJoin = "connect-and-join",
        /// The same with a token.
        TokenAndJoin = "token-and-join",
        /// Leave the first room and join it again.
        Rejoin = "rejoin",
        /// More messages that need no answer than may come at once.
        Flood = "flood",
        /// Publish twice to the first room.
        PublishTwice = "publish-twice",
        /// Join the first room, then text that is not JSON.
        JoinAndBreak = "join-and-break",
    }
    /// Which events a `plain` client asks for.
    Filter {
        /// All of them.
        All = "all",
        /// Type `a`.
        A = "a",
        /// Types `a` and `b`.
        Both = "a+b",
        /// More than are allowed.
        TooMany = "too-many",
        /// A name that is one byte too long.
        TooLong = "too-long",
    }
    /// Text that a client may send besides.
    Saying {
        /// The profile's ping.
        Ping = "ping",
        /// The profile's pong.
        Pong = "pong",
        /// A message to the server that needs no answer.
        Send = "send",
        /// Where its rooms are.
        Position = "position",
        /// `connect` once more.
        Connect = "connect-again",
        /// A call that is not available.
        Rpc = "rpc",
        /// A method or type that does not exist.
        Unknown = "unknown",
        /// A command without an id.
        NoId = "no-id",
        /// Not JSON.
        Malformed = "malformed",
        /// JSON, but not an object.
        NotObject = "not-object",
        /// Joining a room without a name.
        EmptyName = "empty-name",
        /// Joining a room whose name is one byte too long.
        LongName = "long-name",
        /// Joining a room whose name has a control character in it.
        ControlName = "control-name",
        /// Joining somebody else's personal room.
        Reserved = "reserved-name",
        /// Publishing nothing.
        NoData = "no-data",
        /// Publishing to a room that the client is not in.
        Elsewhere = "publish-elsewhere",
        /// Joining a room whose name turns the text around it.
        BidiName = "bidi-name",
        /// Leaving a personal room.
        LeaveReserved = "leave-reserved-name",
        /// Asking who is in no room.
        NoChannel = "no-channel",
        /// Joining a room with a filter by tags.
        Filtered = "tags-filter",
    }
    /// The Close frame of a peer.
    Farewell {
        /// 1000.
        Normal = "1000",
        /// 1001.
        Away = "1001",
        /// An application's own code.
        Custom = "4321",
        /// A frame without a code.
        Empty = "empty",
    }
    /// Frames that ask for nothing.
    Frames {
        /// Pings.
        Pings = "pings",
        /// Pongs.
        Pongs = "pongs",
        /// Empty fragments of a message.
        Fragments = "fragments",
        /// One, and not all of it.
        Half = "half",
    }
    /// A broken rule of the framing.
    Rule {
        /// 1002.
        Protocol = "protocol",
        /// 1003.
        Binary = "binary",
        /// 1007.
        Utf8 = "utf8",
        /// 1009.
        TooLarge = "too-large",
    }
    /// How a socket is found to be gone.
    Cause {
        /// The peer ended its half of the stream.
        Eof = "eof",
        /// The peer reset the connection.
        Reset = "reset",
    }
    /// How much a socket takes.
    Budget {
        /// Nothing: it would block.
        Refuse = "refuse",
        /// One byte, which cuts the header of the frame.
        Byte = "byte",
        /// Half of what waits.
        Half = "half",
        /// To the end of the frame.
        Frame = "frame",
        /// Everything.
        All = "all",
    }
    /// What a backend looks at.
    Look {
        /// The rooms.
        Channels = "channels",
        /// The connections.
        Connections = "connections",
        /// The node.
        Info = "info",
        /// Its limits.
        Limits = "limits",
    }
    /// A call that is refused before the machine sees it.
    BadCall {
        /// A method that does not exist.
        Unknown = "unknown",
        /// A body that is not JSON.
        Malformed = "malformed",
        /// A publication without a room.
        NoChannel = "no-channel",
        /// A publication without data.
        NoData = "no-data",
        /// A message for nobody.
        NoUser = "no-user",
        /// A message for a connection that does not exist.
        NoClient = "no-client",
        /// Several calls, one of which has a method that does not exist.
        OddPart = "odd-part",
        /// A user is taken out of the personal room.
        LeaveReserved = "leave-reserved-name",
        /// A message for a user whose name turns the text around it.
        BidiUser = "bidi-user",
        /// A message for a connection by an id that none can have.
        OddClient = "odd-client",
        /// Connections by such an id are closed: nobody is meant, and nothing is refused.
        CloseNobody = "close-nobody",
        /// A field that comes twice.
        TwiceField = "twice-field",
    }
    /// How far time goes.
    Span {
        /// Nowhere: the same instant again.
        Again = "again",
        /// Back by a second, for the next input, whatever that is.
        Back = "back",
        /// A second on, and nobody says so: whatever comes next comes before the tick.
        Unnoticed = "unnoticed",
        /// 100 ms.
        Little = "little",
        /// To the nanosecond before the next deadline.
        Before = "before",
        /// To the next deadline.
        Due = "due",
        /// One second past the next deadline.
        Past = "past",
        /// One hour, in one step.
        Far = "far",
    }
    /// Where to the calendar is set.
    Jump {
        /// An hour ahead.
        Ahead = "ahead",
        /// An hour back.
        Back = "back",
    }
    /// A code that a backend disconnects with.
    Dismissal {
        /// One after which SDKs reconnect.
        Temporary = "3100",
        /// The first after which they do not.
        Final = "3500",
        /// The last of those.
        Last = "3999",
        /// One of the application's.
        Custom = "4000",
    }
    /// Which connections a backend means, by that of a client and its user.
    Selector {
        /// The user's, by its public id.
        Client = "client",
        /// The user's, by its session.
        Session = "session",
        /// The user's, by both.
        Both = "client-and-session",
        /// The user's, by its public id and the session of nobody.
        Torn = "client-and-other-session",
        /// Another user's, by its public id.
        Stranger = "client-of-another",
        /// Anybody's, by its session.
        Lone = "session-alone",
        /// All of the user's but this one.
        AllBut = "all-but-client",
        /// All of the user's but those by ids that none can have.
        AllButNobody = "all-but-nobody",
    }
    /// A code that a backend chooses for a Close.
    Code {
        /// The first there is.
        First = "3000",
        /// The last after which SDKs reconnect.
        LastTemporary = "3499",
        /// One that the server has for another reason.
        Servers = "3008",
        /// An application's, after which SDKs reconnect.
        OwnTemporary = "4499",
        /// An application's, after which they do not.
        OwnFinal = "4500",
        /// The last there is.
        Last = "4999",
        /// One below the first.
        TooLow = "2999",
        /// One above the last.
        TooHigh = "5000",
    }
    /// What a backend lists, and which part of it.
    Listing {
        /// Rooms that a client may name.
        Named = "rooms-like-r",
        /// The room, by one of its characters.
        One = "rooms-like-one",
        /// Personal rooms.
        Own = "rooms-like-own",
        /// Rooms with a 0 somewhere.
        Zero = "rooms-like-0",
        /// Rooms by a pattern that is one byte too long.
        LongPattern = "rooms-like-too-much",
        /// One room.
        FirstRoom = "rooms-first",
        /// Two rooms behind those that were listed last.
        NextRooms = "rooms-next",
        /// All rooms behind those that were listed last.
        RestOfRooms = "rooms-rest",
        /// The user's connections.
        OfUser = "connections-of-user",
        /// Connections in the room.
        InRoom = "connections-in-room",
        /// The user's connections in the room.
        OfUserInRoom = "connections-of-user-in-room",
        /// One connection.
        First = "connections-first",
        /// Two connections behind those that were listed last.
        Next = "connections-next",
        /// All connections behind those that were listed last.
        Rest = "connections-rest",
        /// A part of no connection.
        OfNone = "part-of-none",
        /// A part that is too large.
        TooMany = "part-too-large",
        /// Behind a cursor that there cannot be.
        OddCursor = "odd-cursor",
    }
    /// A call with many parts, about one room and one user.
    Many {
        /// A broadcast that names the room again and again.
        Rooms = "broadcast",
        /// A batch of publications to the room.
        Publications = "publications",
        /// A batch of messages to everybody.
        Messages = "messages",
        /// A batch of publications to the room and the user, and of questions who is there.
        Mixed = "mixed",
    }
    /// What comes late, for a connection that has ended.
    Late {
        /// `Upgraded`.
        Upgraded = "upgraded",
        /// `Message`.
        Message = "message",
        /// `Ping`.
        Ping = "ping",
        /// `Pong`.
        Pong = "pong",
        /// `PeerClosed`.
        PeerClosed = "peer-closed",
        /// `Violation`.
        Violation = "violation",
        /// `Lost`.
        Lost = "lost",
        /// `Flushed`.
        Flushed = "flushed",
        /// `Authenticated`.
        Authenticated = "authenticated",
        /// `Fragment`.
        Fragment = "fragment",
        /// `HalfFrame`.
        HalfFrame = "half-frame",
    }
}

impl Door {
    /// Whether it leads to rooms as a URL must: json names none, plain at least one, and one where it names a place.
    #[must_use]
    pub fn leads_to(self, rooms: Rooms) -> bool {
        match self {
            Self::Json | Self::JsonPings | Self::JsonHeader => true,
            Self::PlainSince | Self::PlainElse => rooms.0.count_ones() == 1,
            _ => rooms.0 != 0,
        }
    }

    /// Whether the connection is greeted.
    #[must_use]
    pub fn is_greeted(self) -> bool {
        !self.has_places() && self != Self::PlainQuiet
    }

    /// Whether the client is told where its rooms are.
    #[must_use]
    pub fn has_places(self) -> bool {
        matches!(self, Self::PlainPlaces | Self::PlainSince | Self::PlainElse | Self::PlainHistory)
    }
}

impl Action {
    /// Whether somebody asks for a place in a log that it knows, or may.
    #[must_use]
    pub fn recalls(&self) -> bool {
        match self {
            Self::Accept(_, door, _) => door.has_places(),
            Self::AcceptSince(..) | Self::PutInSome(..) => true,
            Self::Connect(_, credential) => matches!(credential, Credential::Return | Credential::ReturnOrNot),
            Self::Recover(..) | Self::RecoverAndWatch(..) | Self::RecoverByToken(..) | Self::PutIn(..) => true,
            Self::History(..) | Self::ReadLog(..) | Self::Together(..) | Self::Several(..) => true,
            _ => false,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($($field:ident: $type:ty),*) = $word:literal,)*) => {
        /// One thing that happens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name($($type),*),)* }

        #[derive(Clone, Copy)]
        enum Kind { $($name,)* }

        impl Action {
            /// The first word of every kind of action, by its number.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The number of its kind.
            #[must_use]
            pub fn kind(&self) -> usize {
                match self { $(Self::$name(..) => Kind::$name as usize,)* }
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
                $(if kind == Kind::$name as usize {
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
                        $(let word = words.next().ok_or_else(|| format!("{text:?} wants a {}", stringify!($field)))?;
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
    Accept(peer: Peer, door: Door, rooms: Rooms) = "accept",
    /// The last byte of the 101 is written.
    Upgrade(peer: Peer) = "upgrade",
    /// `connect` in json, where it has not come yet; `auth` in plain.
    Connect(peer: Peer, credential: Credential) = "connect",
    /// The shell has checked the token that it was asked to check.
    Decide(peer: Peer, verdict: Verdict, user: User) = "decide",
    /// A json client joins a room.
    Join(peer: Peer, room: Room) = "join",
    /// A json client joins a room and wants what it has missed.
    Recover(peer: Peer, room: Room, since: Since) = "recover",
    /// A json client joins a room and wants to know who comes and goes.
    Watch(peer: Peer, room: Room) = "watch",
    /// A json client joins a room and wants both.
    RecoverAndWatch(peer: Peer, room: Room, since: Since) = "recover-and-watch",
    /// A json client shows a token for a room and wants both.
    RecoverByToken(peer: Peer, room: Room, since: Since) = "recover-by-token",
    /// A json client shows a token for a room.
    JoinByToken(peer: Peer, room: Room) = "join-by-token",
    /// A json client shows another token for a room.
    SubRefresh(peer: Peer, room: Room) = "sub-refresh",
    /// A json client shows another token.
    Refresh(peer: Peer) = "refresh",
    /// A json client reads a log.
    History(peer: Peer, room: Room, part: Part) = "history",
    /// A json client asks who is in a room.
    Presence(peer: Peer, room: Room) = "presence",
    /// A json client asks how many are in a room.
    PresenceStats(peer: Peer, room: Room) = "presence-stats",
    /// A json client leaves a room.
    Leave(peer: Peer, room: Room) = "leave",
    /// A client publishes.
    Publish(peer: Peer, room: Room, payload: Payload) = "publish",
    /// A json client sends several commands at once.
    Together(peer: Peer, batch: Batch) = "together",
    /// A plain client says which events it wants.
    Select(peer: Peer, filter: Filter) = "select",
    /// A client says something else.
    Say(peer: Peer, saying: Saying) = "say",
    /// A Ping frame comes.
    Ping(peer: Peer) = "ping",
    /// A Pong frame comes.
    Pong(peer: Peer) = "pong",
    /// A Close frame comes.
    Close(peer: Peer, farewell: Farewell) = "close",
    /// A rule of the framing is broken.
    Violate(peer: Peer, rule: Rule) = "violate",
    /// Reading finds the socket gone.
    Lose(peer: Peer, cause: Cause) = "lose",
    /// From now on the next write fails.
    Break(peer: Peer) = "break",
    /// The client dies without a word; its socket still takes bytes.
    Vanish(peer: Peer) = "vanish",
    /// From now on the socket takes nothing.
    Stall(peer: Peer) = "stall",
    /// From now on the socket takes half of what waits, at most.
    Narrow(peer: Peer) = "narrow",
    /// The socket takes everything again.
    Resume(peer: Peer) = "resume",
    /// The driver writes to one socket.
    Write(peer: Peer, budget: Budget) = "write",
    /// The driver writes to every socket.
    Flush() = "flush",
    /// Every client that still can answers the pings and the Close that it has read.
    Respond() = "respond",
    /// A backend publishes to a room.
    Announce(room: Room, payload: Payload) = "api-publish",
    /// A backend publishes to a room, once for each key.
    Once(room: Room, key: Key) = "api-publish-once",
    /// A backend reads a log.
    ReadLog(room: Room, part: Part) = "api-history",
    /// A backend removes what a log retains.
    Remove(room: Room) = "api-history-remove",
    /// A backend asks who is in a room.
    Members(room: Room) = "api-presence",
    /// A backend asks how many are in a room.
    Count(room: Room) = "api-presence-stats",
    /// A backend puts a user's connections into a room, with what they have missed.
    PutIn(user: User, room: Room, since: Since) = "api-subscribe",
    /// A backend takes a user's connections out of a room.
    TakeOut(user: User, room: Room) = "api-unsubscribe",
    /// A backend changes when a user's connections expire.
    Renew(user: User, renewal: Renewal) = "api-refresh",
    /// A backend asks for several things in one call.
    Several(bundle: Bundle, user: User, room: Room) = "api-batch",
    /// A backend publishes to every room.
    Broadcast(payload: Payload) = "api-broadcast",
    /// A backend sends to one connection.
    Send(peer: Peer, payload: Payload) = "api-send",
    /// A backend publishes to a user.
    Tell(user: User, payload: Payload) = "api-publish-user",
    /// A backend publishes to everybody.
    TellAll(payload: Payload) = "api-publish-all",
    /// A backend closes the connections of a user.
    Expel(user: User) = "api-disconnect-user",
    /// A backend closes one connection.
    Kick(peer: Peer) = "api-disconnect-client",
    /// A backend looks.
    Look(look: Look) = "api-look",
    /// A backend asks for what cannot be.
    Misuse(call: BadCall) = "api-misuse",
    /// Time passes, and the driver says so.
    Advance(span: Span) = "advance",
    /// An input comes for a connection that has ended.
    Stale(peer: Peer, late: Late) = "stale",
    /// The server is asked to stop.
    Shutdown() = "shutdown",
    /// The faults stop, what is dead goes, what is alive gets everything, and then everybody leaves.
    Heal() = "heal",
    /// A plain client without a greeting comes in at one stroke: accepted, upgraded and, where the scenario has users,
    /// known to be one of them by a token in the URL.
    Enter(peer: Peer, rooms: Rooms) = "enter",
    /// Somebody sets the calendar by an hour; the clock goes on as before.
    Calendar(jump: Jump) = "calendar",
    /// A backend closes one connection with a code of its own.
    Dismiss(peer: Peer, dismissal: Dismissal) = "api-disconnect-with",
    /// Several frames come at once.
    Frames(peer: Peer, frames: Frames) = "frames",
    /// An upgrade request comes of a plain client that was in all of these rooms before. Every other client has a token too,
    /// and was in its user's own room.
    AcceptSince(peer: Peer, rooms: Rooms, since: Since) = "accept-since",
    /// A backend closes some connections with a code of its own.
    ExpelSome(peer: Peer, selector: Selector, code: Code) = "api-disconnect-some",
    /// A backend puts some connections into a room, with what they have missed.
    PutInSome(peer: Peer, selector: Selector, room: Room) = "api-subscribe-some",
    /// A backend takes some connections out of a room.
    TakeOutSome(peer: Peer, selector: Selector, room: Room) = "api-unsubscribe-some",
    /// A backend changes when some connections expire.
    RenewSome(peer: Peer, selector: Selector, renewal: Renewal) = "api-refresh-some",
    /// A backend lists rooms or connections.
    List(listing: Listing, user: User, room: Room) = "api-list",
    /// A backend asks for many things in one call.
    Much(many: Many, user: User, room: Room) = "api-much",
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
        assert_eq!(renamed("decide 2 good 2", Numbered::Peer, 2, 0), "decide 0 good 2");
        assert_eq!(renamed("decide 2 good 2", Numbered::User, 2, 1), "decide 2 good 1");
        assert_eq!(renamed("join 2 2", Numbered::Room, 2, 0), "join 2 0");
        assert_eq!(renamed("accept 2 plain 6", Numbered::Room, 2, 0), "accept 2 plain 3");
        assert_eq!(renamed("join 2 2", Numbered::Room, 1, 0), "join 2 2");
    }

    #[test]
    fn what_is_no_action_is_named() {
        assert_eq!("dance 1".parse::<Action>(), Err("\"dance\" is no action".into()));
        assert_eq!("join 1".parse::<Action>(), Err("\"join 1\" wants a room".into()));
        assert_eq!("join 1 x".parse::<Action>(), Err("\"x\" in \"join 1 x\" is no room".into()));
        assert_eq!("flush 1".parse::<Action>(), Err("\"1\" in \"flush 1\" is one word too many".into()));
    }
}
