//! Arguments that are one word of a list.

use super::argument::{Argument, Others};
use super::numbers::Rooms;
use crate::world::setup::Setup;

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
    Endpoint {
        /// Protocol `json`.
        Json = "json",
        /// Protocol `json`, pings as WebSocket Pings.
        JsonPings = "json-frame-pings",
        /// Protocol `json`, a token in a header.
        JsonHeader = "json-header",
        /// Protocol `plain` without a token.
        Plain = "plain",
        /// Protocol `plain`, a token in the query.
        PlainToken = "plain-token",
        /// Protocol `plain`, a token in a header.
        PlainHeader = "plain-header",
        /// Protocol `plain` without a greeting.
        PlainQuiet = "plain-quiet",
        /// Protocol `plain` without a greeting, with positions.
        PlainPlaces = "plain-places",
        /// The same, from the message before the newest on.
        PlainSince = "plain-since",
        /// The same, from a place in another log on.
        PlainElse = "plain-else",
        /// The same, with the newest two messages.
        PlainHistory = "plain-history",
    }
    /// Credentials that a client shows.
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
    RecoverySince {
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
    /// The part of a log that is read.
    Part {
        /// Its position.
        Position = "position",
        /// As much as there is.
        All = "all",
        /// One message.
        One = "one",
        /// More than a reply may have.
        Many = "many",
        /// Publications after the newest but one.
        Since = "since",
        /// One message from the beginning.
        First = "first",
        /// The newest first.
        Reverse = "reverse",
        /// Publications before the newest, the newest of them first.
        Before = "before",
        /// Publications before the first.
        BeforeAll = "before-all",
        /// Publications of another log.
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
    /// Tokens of a user that are revoked.
    Revoking {
        /// A connection's, of those that are made now, or were in some of the 10 s before.
        Token = "token",
        /// The same, for 20 s.
        TokenSoon = "token-soon",
        /// Those of rooms.
        OfRooms = "of-rooms",
        /// The same, for 20 s.
        OfRoomsSoon = "of-rooms-soon",
        /// All of a user that were made before now.
        User = "user",
        /// The same, for 20 s.
        UserSoon = "user-soon",
        /// Nothing: the revoked tokens are listed.
        ListTokens = "list-tokens",
        /// Nothing: the users are listed.
        ListUsers = "list-users",
    }
    /// Content of a token, as its check finds it.
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
        /// A good token without a user.
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
        /// Who it is, and rights in some rooms.
        Capable = "capable",
        /// Who it is, and all rights in all rooms that a pattern can name.
        CapableOfAll = "capable-of-all",
        /// Who it is, and, where it is for a room, all rights there.
        Allowing = "allowing",
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
        /// The protocol's ping.
        Ping = "ping",
        /// The protocol's pong.
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
        /// Joining another user's personal room.
        Reserved = "reserved-name",
        /// Publishing nothing.
        NoData = "no-data",
        /// Publishing to a room that the client is not in, of a namespace that there is not where there are any.
        Elsewhere = "publish-elsewhere",
        /// Joining a room whose name turns the text around it.
        BidiName = "bidi-name",
        /// Leaving a personal room.
        LeaveReserved = "leave-reserved-name",
        /// Asking who is in no room.
        NoChannel = "no-channel",
        /// Joining a room with a filter by tags.
        Filtered = "tags-filter",
        /// Publishing to the personal room of somebody else.
        AnothersRoom = "publish-to-another",
    }
    /// The Close frame of a client.
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
        /// The client ended its half of the stream.
        Eof = "eof",
        /// The client reset the connection.
        Reset = "reset",
    }
    /// How much a socket takes.
    WriteBudget {
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
    /// A call of a backend without parameters, by its method.
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
        /// A message for a user without a name.
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
        /// Connections by such an id are closed: none is meant, and nothing is refused.
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
        /// A second on without a tick: the next input comes before the tick.
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
        /// The user's, by its public id and a session that there is not.
        Torn = "client-and-other-session",
        /// Another user's, by its public id.
        Stranger = "client-of-another",
        /// One of any user, by its session.
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
    /// A list that a backend asks for, and which part of it.
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
    /// An input that comes late, for a connection that has ended.
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
        PeerClosed = "client-closed",
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

impl Endpoint {
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
