//! Every bound of the machine, with its default. A configuration in which they contradict each other is refused.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// The bounds of one shard. Whatever refuses something because of one of these names it by its field name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted upgrade request until the last byte of the 101 is written.
    pub handshake_timeout: Duration,
    /// From the 101 until the client has said who it is.
    pub authenticate_timeout: Duration,
    /// Between two pings of one connection, whatever the traffic.
    pub ping_interval: Duration,
    /// From a ping until any complete frame comes from the client. Shorter than `ping_interval`.
    pub pong_timeout: Duration,
    /// How long a socket may refuse bytes before its connection is given up.
    pub write_timeout: Duration,
    /// From the decision to close until the socket is hung up on.
    pub close_timeout: Duration,
    /// How long after its token's expiry a connection is closed.
    pub expiry_grace: Duration,
    /// Over how long connections are closed at shutdown.
    pub drain_timeout: Duration,
    /// Bytes of one inbound message.
    pub message_bytes: usize,
    /// Bytes of one publication's payload.
    pub publication_bytes: usize,
    /// Bytes of one outbound frame, header included. At most half of `outbox_bytes`.
    pub frame_bytes: usize,
    /// Bytes that wait for one connection's socket.
    pub outbox_bytes: usize,
    /// Frames that wait for one connection's socket.
    pub outbox_frames: usize,
    /// Rooms that one connection is in, the personal one included.
    pub rooms_per_connection: usize,
    /// Bytes of a room's name.
    pub room_name_bytes: usize,
    /// Names in one connection's event filter.
    pub filter_events: usize,
    /// Bytes of one name in an event filter.
    pub filter_event_bytes: usize,
    /// Messages that a room's log retains.
    pub history_messages: usize,
    /// How long a room's log retains a message.
    pub history_age: Duration,
    /// Bytes that all logs of the node retain.
    pub history_bytes: usize,
    /// Logs that exist at once, with members or without.
    pub logs: usize,
    /// Publications in one reply to a recovery or to a history request.
    pub reply_messages: usize,
    /// Bytes of publications, or of members, in one such reply. At most half of `frame_bytes`.
    pub reply_bytes: usize,
    /// How long an idempotency key is remembered.
    pub idempotency_window: Duration,
    /// Idempotency keys that are remembered; the oldest is forgotten first.
    pub idempotency_keys: usize,
    /// Bytes of one idempotency key.
    pub idempotency_key_bytes: usize,
    /// Connections of the node.
    pub connections: usize,
    /// Connections of one user; 0 for no bound.
    pub connections_per_user: usize,
    /// Connections from one IP address; 0 for no bound.
    pub connections_per_ip: usize,
    /// New connections of the node.
    pub new_connections: Rate,
    /// New connections from one IP address.
    pub new_connections_per_ip: Rate,
    /// Commands of one client.
    pub client_commands: Rate,
    /// Publications of one client.
    pub client_publishes: Rate,
}

/// One limit, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRow {
    /// The configuration key.
    pub key: &'static str,
    /// The value: `25s`, `65536`, `100/s, burst 200`, `off`.
    pub value: String,
    /// What whoever reaches it is answered.
    pub answer: &'static str,
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Times a second in the long run; 0 for no bound.
    pub per_second: u32,
    /// Times at once.
    pub burst: u32,
}

impl Rate {
    /// No bound.
    pub const OFF: Self = Self { per_second: 0, burst: 0 };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            authenticate_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            expiry_grace: Duration::from_secs(25),
            drain_timeout: Duration::from_secs(30),
            message_bytes: 64 << 10,
            publication_bytes: 64 << 10,
            frame_bytes: 512 << 10,
            outbox_bytes: 1 << 20,
            outbox_frames: 1024,
            rooms_per_connection: 128,
            room_name_bytes: 200,
            filter_events: 32,
            filter_event_bytes: 64,
            history_messages: 100,
            history_age: Duration::from_secs(300),
            history_bytes: 256 << 20,
            logs: 100_000,
            reply_messages: 300,
            reply_bytes: 256 << 10,
            idempotency_window: Duration::from_secs(300),
            idempotency_keys: 100_000,
            idempotency_key_bytes: 200,
            connections: 100_000,
            connections_per_user: 0,
            connections_per_ip: 0,
            new_connections: Rate { per_second: 1000, burst: 2000 },
            new_connections_per_ip: Rate::OFF,
            client_commands: Rate { per_second: 100, burst: 200 },
            client_publishes: Rate { per_second: 20, burst: 40 },
        }
    }
}

impl Limits {
    /// Every limit with its value and what comes of reaching it.
    #[must_use]
    pub fn rows(&self) -> Vec<LimitRow> {
        let time = |key, value: Duration, answer| LimitRow { key, value: format!("{value:?}"), answer };
        let size = |key, value: usize, answer| LimitRow { key, value: format!("{value}"), answer };
        let off = |key, value: usize, answer| match value {
            0 => LimitRow { key, value: "off".into(), answer },
            _ => size(key, value, answer),
        };
        let rate = |key, Rate { per_second, burst }: Rate, answer| match per_second {
            0 => LimitRow { key, value: "off".into(), answer },
            _ => LimitRow { key, value: format!("{per_second}/s, burst {burst}"), answer },
        };
        alloc::vec![
            time("handshake_timeout", self.handshake_timeout, "the socket is dropped"),
            time("authenticate_timeout", self.authenticate_timeout, "close 3502"),
            time("ping_interval", self.ping_interval, "a ping"),
            time("pong_timeout", self.pong_timeout, "close 3012"),
            time("write_timeout", self.write_timeout, "close 3009"),
            time("close_timeout", self.close_timeout, "the socket is dropped"),
            time("expiry_grace", self.expiry_grace, "close 3005; a room: unsubscribe 2501"),
            time("drain_timeout", self.drain_timeout, "close 3001, paced"),
            size("message_bytes", self.message_bytes, "close 1009"),
            size("publication_bytes", self.publication_bytes, "API: 413 (106); client: error 107"),
            size("frame_bytes", self.frame_bytes, "close 3008"),
            size("outbox_bytes", self.outbox_bytes, "close 3008"),
            size("outbox_frames", self.outbox_frames, "close 3008"),
            size("rooms_per_connection", self.rooms_per_connection, "error 106; URL: 400; token: close 3505"),
            size("room_name_bytes", self.room_name_bytes, "error 107; URL: 400"),
            size("filter_events", self.filter_events, "an error frame"),
            size("filter_event_bytes", self.filter_event_bytes, "an error frame"),
            size("history_messages", self.history_messages, "the oldest message goes"),
            time("history_age", self.history_age, "the message goes"),
            size("history_bytes", self.history_bytes, "the oldest log without members goes; else error 106"),
            size("logs", self.logs, "the oldest log without members goes; else error 106 or close 3004"),
            size("reply_messages", self.reply_messages, "recovered: false; history is cut"),
            size("reply_bytes", self.reply_bytes, "recovered: false; history is cut; presence: error 106"),
            time("idempotency_window", self.idempotency_window, "the key is forgotten"),
            size("idempotency_keys", self.idempotency_keys, "the oldest key is forgotten"),
            size("idempotency_key_bytes", self.idempotency_key_bytes, "400 (107)"),
            size("connections", self.connections, "503"),
            off("connections_per_user", self.connections_per_user, "close 3504"),
            off("connections_per_ip", self.connections_per_ip, "429"),
            rate("new_connections", self.new_connections, "503"),
            rate("new_connections_per_ip", self.new_connections_per_ip, "429"),
            rate("client_commands", self.client_commands, "error 111; close 3013 after 100 refusals within 10 s"),
            rate("client_publishes", self.client_publishes, "error 111; close 3013 after 100 refusals within 10 s"),
        ]
    }

    /// Checks that the limits fit together.
    ///
    /// # Errors
    /// A sentence that names the two limits that do not, with their values.
    pub fn validate(&self) -> Result<(), String> {
        let at_most = |name: &str, value: usize, other: &str, bound: usize| {
            if value > bound {
                return Err(format!("{name} = {value} must be at most {other}, which is {bound}"));
            }
            Ok(())
        };
        at_most("frame_bytes", self.frame_bytes, "half of outbox_bytes", self.outbox_bytes / 2)?;
        // A frame holds one publication, its envelope, and the publisher's info and tags beside it.
        let room = self.frame_bytes / 4;
        at_most("publication_bytes", self.publication_bytes, "a quarter of frame_bytes", room)?;
        at_most("message_bytes", self.message_bytes, "a quarter of frame_bytes", room)?;
        at_most("reply_bytes", self.reply_bytes, "half of frame_bytes", self.frame_bytes / 2)?;
        if self.pong_timeout >= self.ping_interval {
            return Err(format!(
                "pong_timeout = {:?} must be shorter than ping_interval = {:?}",
                self.pong_timeout, self.ping_interval
            ));
        }
        for (name, value) in [
            ("connections", self.connections),
            ("logs", self.logs),
            ("outbox_frames", self.outbox_frames),
            ("rooms_per_connection", self.rooms_per_connection),
            ("room_name_bytes", self.room_name_bytes),
        ] {
            if value == 0 {
                return Err(format!("{name} = 0 must be at least 1"));
            }
        }
        Ok(())
    }
}
