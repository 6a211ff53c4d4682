//! Every bound of the machine, with its default. A configuration in which they contradict each other is refused.

use alloc::format;
use alloc::string::String;
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
    /// Connections of the node.
    pub connections: usize,
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
            connections: 100_000,
        }
    }
}

impl Limits {
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
