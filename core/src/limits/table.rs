//! The table of limits: one row each. See the [module](super) for how to add one.

use super::value::Written;
use super::{Rate, Relation, Simulated, Value, ValueMut};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The longest duration of a limit: sums of several durations must still be representable points in time.
const LONGEST: Duration = seconds(36_500 * DAY);

const fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second, burst }
}

/// A limit of so many.
const fn count(most: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(most)
}

/// No limit.
const OFF: Option<NonZeroUsize> = None;

/// The type of a field, by the kind of the limit.
macro_rules! field {
    (Duration) => {
        Duration
    };
    (Rate) => {
        Rate
    };
    (OptionalCount) => {
        Option<NonZeroUsize>
    };
    ($number:ident) => {
        usize
    };
}

/// Expands to a relation in words.
macro_rules! words {
    (at_most) => {
        "at most "
    };
    (at_least) => {
        "at least "
    };
    (less_than) => {
        "less than "
    };
}

/// Expands to the test of a relation.
macro_rules! is_met {
    (at_most, $value:expr, $bound:expr) => {
        $value <= $bound
    };
    (at_least, $value:expr, $bound:expr) => {
        $value >= $bound
    };
    (less_than, $value:expr, $bound:expr) => {
        $value < $bound
    };
}

/// Expands to the value that a limit is compared with: a number, a duration, another limit, a multiple or a fraction of
/// one, or a value that is computed from several.
macro_rules! bound {
    ($limits:expr, $number:literal) => {
        $number
    };
    ($limits:expr, $number:literal ms) => {
        Duration::from_millis($number)
    };
    ($limits:expr, $number:literal d) => {
        seconds($number * DAY)
    };
    ($limits:expr, $other:ident) => {
        $limits.$other
    };
    ($limits:expr, computed $sum:ident) => {
        $limits.$sum()
    };
    ($limits:expr, $other:ident * $times:literal) => {
        $limits.$other.saturating_mul($times)
    };
    ($limits:expr, $other:ident / $parts:literal) => {
        $limits.$other / $parts
    };
}

/// Expands to the name of that value, in terms of the settings.
macro_rules! named {
    (computed largest_reply) => {
        "reply_bytes + rooms_per_connection * (room_name_bytes * 2 + 256) + 1024"
    };
    (computed outbox_of_replies) => {
        "rooms_per_connection * (room_name_bytes * 2 + 256) * 4"
    };
    (computed half_of_joins) => {
        "half the burst of client_joins"
    };
    (computed commands_after_connect) => {
        "one less than the burst of client_commands"
    };
    (computed frames_after_connect) => {
        "one less than the burst of client_frames"
    };
    (computed largest_filter_answer) => {
        "filter_events * (filter_event_bytes * 6 + 3) + 256"
    };
    ($($bound:tt)+) => {
        stringify!($($bound)+)
    };
}

/// Expands to a clause with that value, empty when the relation states it already.
macro_rules! which_is {
    ($limits:expr, $number:literal $($unit:ident)?) => { String::new() };
    ($limits:expr, $($bound:tt)+) => { format!(", which is {}", Written(bound!($limits, $($bound)+))) };
}

macro_rules! limits {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $variant:ident: $kind:ident = $default:expr, $answer:literal;
        $(requires $demand:ident ($($bound:tt)+) because $reason:literal;)*
        $(simulated $($world:literal)? $(in $percent:literal percent [$($drawn:expr),+])?;)?
    )+) => {
        /// The limits of the server. Every refusal because of a limit names it.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
        #[cfg_attr(feature = "replay", derive(serde::Deserialize))]
        pub struct Limits {
            $(
                $(#[doc = $doc])+
                $(#[doc = concat!("\n\nIt is ", words!($demand), "`", named!($($bound)+), "`: ", $reason, ".")])*
                pub $name: field!($kind),
            )+
        }

        /// A limit, named in refusals and counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[cfg_attr(feature = "replay", derive(serde::Deserialize))]
        pub enum Limit {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limit {
            /// All limits, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the configuration key.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)+ }
            }

            /// Returns the description.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }

            /// Returns the answer when the limit is reached.
            #[must_use]
            pub const fn answer(self) -> &'static str {
                match self { $(Self::$variant => $answer,)+ }
            }

            /// Returns the relations to other limits and to numbers.
            #[must_use]
            pub const fn relations(self) -> &'static [Relation] {
                match self {
                    $(Self::$variant => &[$(Relation {
                        rule: concat!(words!($demand), named!($($bound)+)),
                        reason: $reason,
                    }),*],)+
                }
            }

            /// Returns the values that a simulation draws.
            #[must_use]
            #[allow(clippy::needless_update, reason = "some rows say all of it")]
            pub const fn simulated(self) -> Simulated {
                /// A row without a `simulated` clause.
                const SILENT: Simulated = Simulated { default: None, drawn: &[], percent: 0 };
                match self {
                    $(Self::$variant => Simulated {
                        $($(default: Some($world),)? $(drawn: &[$($drawn),+], percent: $percent,)?)?
                        ..SILENT
                    },)+
                }
            }
        }

        impl Limits {
            /// Returns the value of a limit.
            #[must_use]
            pub const fn value(&self, limit: Limit) -> Value {
                match limit { $(Limit::$variant => Value::$kind(self.$name),)+ }
            }

            /// Returns a mutable reference to the value of a limit.
            pub const fn value_mut(&mut self, limit: Limit) -> ValueMut<'_> {
                match limit { $(Limit::$variant => ValueMut::$kind(&mut self.$name),)+ }
            }

            /// Checks the relations between the limits.
            ///
            /// # Errors
            /// Returns a sentence about the first relation that does not hold, with both values and the reason.
            pub fn validate(&self) -> Result<(), String> {
                self.contradictions().into_iter().next().map_or(Ok(()), Err)
            }

            /// Returns a sentence about each relation between the limits that does not hold, with both values and the
            /// reason.
            #[must_use]
            pub fn contradictions(&self) -> Vec<String> {
                let mut wrongs = Vec::new();
                for limit in Limit::ALL {
                    if let Value::Duration(time) = self.value(*limit) && time > LONGEST {
                        wrongs.push(format!("{limit} = {} must be at most 36500 d: whatever is longer has no end", Written(time)));
                    }
                }
                $($(
                    if !is_met!($demand, self.$name, bound!(self, $($bound)+)) {
                        let name = stringify!($name);
                        let rule = concat!(words!($demand), named!($($bound)+));
                        let which_is = which_is!(self, $($bound)+);
                        let value = self.value(Limit::$variant);
                        wrongs.push(format!("{name} = {value} must be {rule}{which_is}: {}", $reason));
                    }
                )*)+
                wrongs
            }
        }
    };
}

limits! {
    /// Sockets that have not become a WebSocket.
    http_connections HttpConnections: Count = 10_000, "503";
    requires at_least (1) because "every WebSocket begins as such a socket";

    /// Such sockets of one address, which is one of IPv4 or an IPv6 /64; those of trusted_proxies are not counted, nor in development mode those of loopback addresses.
    http_connections_per_ip HttpConnectionsPerIp: OptionalCount = count(1000), "429";

    /// Sockets beyond http_connections that are answered when all of those have a request under way; but for /health/live and /health/ready by 503.
    probe_connections ProbeConnections: Count = 16, "503";
    requires at_least (1) because "a server that cannot be asked how it is counts as dead";

    /// Longest time in which the head of a socket's first request, and the body of any request, has to arrive.
    request_timeout RequestTimeout: Duration = seconds(5), "408";
    requires at_least (1 ms) because "no request comes in no time";

    /// Longest time that a socket stays open between two requests.
    idle_timeout IdleTimeout: Duration = seconds(75), "the socket is closed";
    requires at_least (1 ms) because "an answer takes time to be written";

    /// Longest time that a socket that is no WebSocket stays open after its last answer is written, so that the client can read it.
    linger_timeout LingerTimeout: Duration = seconds(1), "the socket is dropped";
    requires at_least (1 ms) because "a socket that is dropped with bytes unread may lose the answer";

    /// Bytes of a request's head, which has at most 100 header lines.
    header_bytes HeaderBytes: Bytes = 16 << 10, "431";
    requires at_least (8192) because "the HTTP library reads no less at once";

    /// Bytes of the body of an API call.
    api_body_bytes ApiBodyBytes: Bytes = 1 << 20, "413 (106)";
    requires at_least (2) because "the shortest call is {}";
    simulated 1024;

    /// Rooms that one broadcast names.
    broadcast_channels BroadcastChannels: Count = 10_000, "413 (106); nothing is done";
    requires at_least (1) because "a broadcast is for a room";
    simulated in 10 percent [1, 2];

    /// Calls in one batch.
    batch_commands BatchCommands: Count = 1000, "413 (106); nothing is done";
    requires at_least (1) because "a batch has a call";
    simulated in 10 percent [1, 2];

    /// Bytes of the answer to an API call: of what is read, and 100 for each room that is written to. Beside them are the
    /// refusals in a batch, of at most 200 bytes for each call in it that does not fit.
    api_reply_bytes ApiReplyBytes: Bytes = 4 << 20, "413 (106); nothing is done";
    requires at_least (1000) because "what is written is answered";

    /// Parameters in the query of a URL, those included that mean nothing here.
    url_parameters UrlParameters: Count = 500, "400";
    requires at_least (1) because "a room may be named there";

    /// Messages that a URL may ask for with `history`; 0 for none.
    url_history UrlHistory: Count = 100, "400";

    /// Bytes of the segment of a path that stands for `{id}` in a route.
    route_id_bytes RouteIdBytes: Bytes = 64, "400";
    requires at_least (1) because "no room could be reached by a route with {id}";

    /// Longest time in which the answer to an accepted upgrade request has to be written.
    handshake_timeout HandshakeTimeout: Duration = seconds(5), "the socket is dropped";
    requires at_least (1 ms) because "an answer takes time to be written";
    simulated in 50 percent [1];

    /// Longest time from the upgrade until the client has authenticated.
    authenticate_timeout AuthenticateTimeout: Duration = seconds(10), "close 3502";
    requires at_least (1 ms) because "no client says who it is in no time";
    simulated in 50 percent [2];

    /// Time between two pings of one connection, whatever the traffic.
    ping_interval PingInterval: Duration = seconds(25), "a ping";
    requires at_most (20 d)
        because "SDKs are told of it, and count to the next ping in milliseconds of 31 bits";
    simulated in 66 percent [11, 60];

    /// Longest time from a ping until a complete frame comes from the client.
    pong_timeout PongTimeout: Duration = seconds(10), "close 3012";
    requires at_least (1 ms) because "no answer comes in no time";
    requires less_than (ping_interval) because "one ping at a time waits for its answer";
    simulated in 50 percent [3];

    /// Longest time that a command or a call waits for the home of its room, on another shard.
    ticket_timeout TicketTimeout: Duration = seconds(5), "error 100; during a connect: close 3004";
    requires at_least (1 ms) because "an answer takes time to come";
    simulated 1 in 50 percent [2];

    /// Commands of one `json` client that wait for the homes of their rooms, on other shards; of a `plain` client, 1.
    commands_in_flight CommandsInFlight: Count = 16, "the client is not read from";
    requires at_least (1) because "a client has something to say";
    simulated in 50 percent [1, 2];

    /// Longest time from the first byte of a message, or of any frame, until its last byte.
    message_timeout MessageTimeout: Duration = seconds(30), "close 3012";
    requires at_least (1 ms) because "no message comes in no time";
    simulated in 50 percent [1, 4];

    /// Longest time that a socket may refuse bytes before its connection is closed.
    write_timeout WriteTimeout: Duration = seconds(5), "close 3009";
    requires at_least (1 ms) because "a socket that takes a frame in two parts would be given up between them";
    simulated in 66 percent [1, 9];

    /// Longest time from the decision to close a connection until its socket is dropped.
    close_timeout CloseTimeout: Duration = seconds(5), "the socket is dropped";
    requires at_least (1 ms) because "a Close frame takes time to be written";
    simulated in 50 percent [1];

    /// Time after a token's expiry at which its connection is closed.
    expiry_grace ExpiryGrace: Duration = seconds(25), "close 3005; a room: unsubscribe 2501";
    simulated in 50 percent [0];

    /// Time before its nbf and after its exp for which a token is still accepted, since clocks differ.
    token_leeway TokenLeeway: Duration = seconds(10), "error 109; refresh: close 3005";
    simulated in 50 percent [0];

    /// Longest time from the first Close of a shutdown until every socket is dropped.
    drain_timeout DrainTimeout: Duration = seconds(120), "close 3001, paced";
    requires at_least (close_timeout * 2)
        because "closes are paced, and the last connection has close_timeout to answer";

    /// Bytes of one message from a client.
    message_bytes MessageBytes: Bytes = 128 << 10, "close 1009";
    requires at_most (frame_bytes / 4)
        because "what a client sends comes back to it with its envelope, and may be escaped on the way";
    requires at_least (rooms_per_connection * 1024)
        because "SDKs send the connect and a subscribe for every room in one message, and never come back after 1009";
    simulated 4096;

    /// Messages of one client that wait to be handled.
    waiting_messages WaitingMessages: Count = 256, "close 3501";
    requires at_least (1) because "a message may come while a token is being checked";
    simulated in 20 percent [1, 2];

    /// Bytes of all unfinished input: messages that have arrived in part, commands that wait, bodies of API calls.
    inbound_bytes_total InboundBytesTotal: Bytes = 256 << 20, "close 3013 for the connection with most of it; a body: 503";
    requires at_least (message_bytes) because "one message could not be read";
    requires at_least (api_body_bytes) because "one body could not be read";
    simulated in 50 percent [4096, 9000];

    /// Bytes of one publication's payload.
    publication_bytes PublicationBytes: Bytes = 64 << 10, "API: 413 (106); client: error 107";
    requires at_least (1) because "nothing could be published";
    requires at_most (frame_bytes / 4)
        because "a frame holds the publication, its envelope, and the publisher's info and tags beside it";
    simulated 1024 in 75 percent [64, 200, 4000];

    /// How deep JSON that is passed on may be nested: payloads, and what tokens say of users.
    json_depth JsonDepth: Count = 64, "error 107; a token: close 3500, a room's: error 103";
    requires at_least (1) because "a payload may be an object";
    simulated in 75 percent [1, 2, 10];

    /// Digits of one number in JSON that is passed on.
    json_number_digits JsonNumberDigits: Count = 400, "error 107; a token: close 3500, a room's: error 103";
    requires at_least (1) because "a number has a digit";
    simulated in 50 percent [10];

    /// Bytes of `info` in a token: what the others in a room are told of its bearer, with every message.
    info_bytes InfoBytes: Bytes = 4 << 10, "close 3500; a room's token: error 103";
    requires at_most (frame_bytes / 8)
        because "a frame holds what a connection's token says of a publisher and what the room's says, beside the publication";
    simulated 512;

    /// Bytes of the id of a token (`jti`), by which it can be revoked.
    token_id_bytes TokenIdBytes: Bytes = 200, "close 3500; a room's token: error 103; API: 400 (107)";
    requires at_least (1) because "an id has a character";

    /// Bytes of all names and patterns of rooms in the `caps` of a token, with which rooms are compared; 0 for none.
    caps_bytes CapsBytes: Bytes = 4 << 10, "close 3500; a room's token: error 103";
    simulated in 10 percent [0, 4];

    /// Bytes of one frame to a client, header included.
    frame_bytes FrameBytes: Bytes = 512 << 10, "close 3008";
    requires at_most (outbox_bytes / 2) because "a client that is about to read one frame may be sent another";
    requires at_least (computed largest_reply)
        because "a connect reply is one frame: reply_bytes, and what is said of rooms_per_connection rooms, whose names of room_name_bytes may be escaped";
    requires at_least (computed largest_filter_answer)
        because "the answer to a filter repeats filter_events names of filter_event_bytes, and escapes a character to six bytes";
    simulated 16384;

    /// Bytes that wait for one connection's socket.
    outbox_bytes OutboxBytes: Bytes = 1 << 20, "close 3008";
    requires at_least (computed outbox_of_replies)
        because "its last quarter is for what is said of rooms_per_connection rooms that a token or a backend puts a client into at once";
    simulated in 66 percent [32768, 65536];

    /// Frames that wait for one connection's socket.
    outbox_frames OutboxFrames: Count = 1024, "close 3008";
    requires at_least (1) because "nothing could be sent at all";
    simulated in 85 percent [1, 2, 3, 4, 8, 16];

    /// Bytes of all frames that sockets have refused; one that several connections wait for counts once.
    outbox_bytes_total OutboxBytesTotal: Bytes = 1 << 30, "close 3008 for the connection that has taken no byte for the longest";
    requires at_least (outbox_bytes) because "one connection could not have the outbox that it may have";

    /// Rooms that one connection is in, the user's own included.
    rooms_per_connection RoomsPerConnection: Count = 128, "error 106; URL: 400; token: close 3505";
    requires at_least (1) because "a connection is there for its rooms";
    requires at_most (computed half_of_joins)
        because "an SDK that comes back asks for all of them at once, and may do so twice: the burst of client_joins is at least twice as many";
    requires at_most (computed commands_after_connect)
        because "an SDK that comes back sends its connect and a subscribe for every room at once: where that is refused, it is closed for coming back, for ever";
    requires at_most (computed frames_after_connect)
        because "an SDK that comes back may send its connect and a subscribe for every room in a frame each";
    simulated 4 in 20 percent [1, 2, 3];

    /// Bytes of a room's name.
    room_name_bytes RoomNameBytes: Bytes = 200, "error 107; URL: 400";
    requires at_least (1) because "no room has an empty name";
    simulated in 20 percent [9, 20];

    /// Names in one connection's event filter; 0 for no filters.
    filter_events FilterEvents: Count = 32, "an error frame";
    simulated in 20 percent [0, 1, 2];

    /// Bytes of one name in an event filter.
    filter_event_bytes FilterEventBytes: Bytes = 64, "an error frame";
    requires at_least (1) because "a name has a character; filter_events = 0 is for no filters";
    simulated in 20 percent [1, 2];

    /// Messages that a room retains; 0 for no history.
    history_messages HistoryMessages: Count = 100, "the room's oldest message is dropped";
    simulated in 83 percent [0, 1, 2, 2, 10];

    /// Longest time that a room retains a message; 0s for no history.
    history_age HistoryAge: Duration = seconds(300), "the message is dropped";
    simulated in 50 percent [0, 3, 30];

    /// Bytes that all rooms retain together, where a payload that several of them retain counts once; 0 for no history.
    history_bytes HistoryBytes: Bytes = 256 << 20, "the oldest messages of the fullest room are dropped";
    simulated in 30 percent [60, 100, 250, 400, 1000];

    /// Bytes that one room retains; 0 for no history.
    history_bytes_per_room HistoryBytesPerRoom: Bytes = 4 << 20, "the room's oldest messages are dropped";
    simulated in 20 percent [40, 100, 200, 600];

    /// Time for which the log of a room is remembered although it retains nothing, counted from when the room lost its last member or was last published to; by default as long as the longest history_age of a namespace.
    log_memory LogMemory: Duration = seconds(300), "the log is dropped: a client that comes back does not recover";
    simulated in 66 percent [0, 2, 30, 900];

    /// Logs that are remembered, and rooms that have members, each.
    logs Logs: Count = 250_000, "the log that was idle for the longest is dropped; a join: error 106 or close 3004";
    requires at_least (connections * 2)
        because "whoever comes back after an interruption finds the log of its user's room and of another that it was alone in";
    simulated in 80 percent [2, 4, 4];

    /// Users whose connection has ended and whom `presence_grace` keeps listed, counted once for each room; 0 for none.
    absences Absences: Count = 250_000, "a user whose connection ends leaves at once";
    simulated in 20 percent [0, 1, 2];

    /// Revoked tokens that are remembered until their revocation ends; 0 for none.
    revoked_tokens RevokedTokens: Count = 100_000, "413 (106)";
    simulated in 30 percent [0, 1, 2];

    /// Users whose tokens were invalidated, remembered until that ends; 0 for none.
    invalidated_users InvalidatedUsers: Count = 100_000, "413 (106)";
    simulated in 30 percent [0, 1];

    /// Publications in one reply to a recovery, of all its rooms together, or to a request for history; 0 for none.
    reply_messages ReplyMessages: Count = 300, "recovered: false; history is cut";
    simulated in 20 percent [1, 2, 3];

    /// Bytes of publications, or of members, in one such reply, as they are encoded; 0 for none.
    reply_bytes ReplyBytes: Bytes = 256 << 10, "recovered: false; history is cut; presence: error 106";
    requires at_most (frame_bytes / 2) because "a reply is one frame, which has more in it than publications";
    simulated 8192 in 20 percent [30, 60, 90, 200, 700];

    /// Time for which an idempotency key is remembered; 0s for not at all.
    idempotency_window IdempotencyWindow: Duration = seconds(300), "the key is forgotten";
    simulated in 20 percent [2];

    /// Idempotency keys that are remembered, of which the oldest is forgotten first; 0 for none.
    idempotency_keys IdempotencyKeys: Count = 100_000, "the oldest key is forgotten";
    simulated 100 in 20 percent [1, 2];

    /// Bytes of an idempotency key.
    idempotency_key_bytes IdempotencyKeyBytes: Bytes = 200, "400 (107)";
    requires at_least (1) because "a key has a character; idempotency_keys = 0 is for remembering none";
    simulated 16 in 30 percent [1, 2];

    /// WebSocket connections.
    connections Connections: Count = 100_000, "503";
    requires at_least (1) because "nobody could connect";
    simulated 1000 in 30 percent [1, 1, 2, 2, 3, 4, 5, 6];

    /// Connections of one user.
    connections_per_user ConnectionsPerUser: OptionalCount = OFF, "close 3504, or 3014 where user_limit is refuse";
    simulated in 20 percent [1, 2];

    /// WebSocket connections from one address, which is one of IPv4 or an IPv6 /64; behind a proxy that trusted_proxies does not name it is the proxy's.
    connections_per_ip ConnectionsPerIp: OptionalCount = OFF, "429";
    simulated in 20 percent [1, 3];

    /// New WebSocket connections.
    new_connections NewConnections: Rate = rate(1000, 2000), "503";
    simulated 0 in 20 percent [1, 5];

    /// New WebSocket connections from one such address; off for loopback addresses in development mode.
    new_connections_per_ip NewConnectionsPerIp: Rate = rate(200, 1000), "429";
    simulated 0 in 20 percent [1, 3];

    /// TLS handshakes, which are counted when the first bytes of one have come; more are not begun.
    new_handshakes NewHandshakes: Rate = rate(1000, 2000), "the socket is closed";
    simulated 0;

    /// TLS handshakes from one such address; off for loopback addresses in development mode.
    new_handshakes_per_ip NewHandshakesPerIp: Rate = rate(200, 1000), "the socket is closed";
    simulated 0;

    /// Calls with a wrong API key from one such address, whose right keys are served all the same; off for loopback addresses in development mode.
    wrong_keys_per_ip WrongKeysPerIp: Rate = rate(1, 20), "429 (111)";
    simulated 0;

    /// Frames of one client, whatever is in them: messages and fragments of messages, empty ones too, Pings and Pongs.
    client_frames ClientFrames: Rate = rate(1000, 2000), "close 3013";
    simulated 0 in 20 percent [5, 20];

    /// Commands of one client.
    client_commands ClientCommands: Rate = rate(100, 200), "error 111; see client_refusals";
    simulated 0 in 20 percent [5, 20];

    /// Publications of one client, which are commands too.
    client_publishes ClientPublishes: Rate = rate(20, 40), "error 111; see client_refusals";
    simulated 0 in 20 percent [1, 3];

    /// Rooms that one client asks to join by `subscribe`. Refused joins do not count for `client_refusals`.
    client_joins ClientJoins: Rate = rate(20, 256), "error 111";
    simulated 0 in 20 percent [2, 8];

    /// Refusals, within 10 s, of one client's commands and publications that came too fast.
    client_refusals ClientRefusals: OptionalCount = count(100), "close 3013";
    simulated in 50 percent [1, 3];
}
