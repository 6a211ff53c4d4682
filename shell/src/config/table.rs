//! Every setting, once: its key, its kind, its default and what it is for. Flags, environment variables and the keys
//! of the file follow from this table, so they say the same things.

use super::value::{ApiErrorMode, LogFormat, LogLevel, OrOff, Value};
use super::{Listen, Origins, Route};
use crate::secret::Secret;
use parlor_core::Limits;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// One line of the table.
pub(super) struct Key {
    /// As in the file.
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) heading: &'static str,
    /// Takes its value from text, or says what is wrong with it and what is allowed.
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
    pub(super) show: fn(&Settings) -> Option<String>,
}

fn assign<V: Value>(place: &mut V, text: &str) -> Result<(), String> {
    *place = V::take(text)?;
    Ok(())
}

macro_rules! settings {
    (
        settings { $($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr,)+ }
        limits { $($(#[doc = $limit_doc:literal])+ $limit:ident,)+ }
        limits_or_off { $($(#[doc = $bound_doc:literal])+ $bound:ident,)+ }
    ) => {
        /// Everything that can be set.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $key: $kind,)+
            /// The bounds of the shard.
            pub limits: Limits,
            /// Paths that lead to rooms; in the file only, as `[[routes]]`.
            pub routes: Vec<Route>,
            /// The API key that the server made up, see [`Settings::make_up_key`].
            pub made_up_key: Option<Secret<String>>,
            /// What was changed in the settings as they were written: a sentence for each change.
            pub notes: Vec<String>,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($key: $default,)+
                    limits: Limits::default(),
                    routes: Vec::new(),
                    made_up_key: None,
                    notes: Vec::new(),
                }
            }
        }

        pub(super) const KEYS: &[Key] = &[
            $(Key {
                name: stringify!($key),
                doc: concat!($($doc),+),
                heading: "Server",
                set: |settings, text| assign(&mut settings.$key, text),
                show: |settings| settings.$key.show(),
            },)+
            $(Key {
                name: stringify!($limit),
                doc: concat!($($limit_doc),+),
                heading: "Limits",
                set: |settings, text| assign(&mut settings.limits.$limit, text),
                show: |settings| settings.limits.$limit.show(),
            },)+
            $(Key {
                name: stringify!($bound),
                doc: concat!($($bound_doc),+),
                heading: "Limits",
                set: |settings, text| {
                    settings.limits.$bound = OrOff::take(text)?.0;
                    Ok(())
                },
                show: |settings| OrOff(settings.limits.$bound).show(),
            },)+
        ];

        /// Does not compile when core has a limit that the table lacks.
        const _: fn(Limits) = |Limits { $($limit: _,)+ $($bound: _,)+ }| ();
    };
}

settings! {
    settings {
        /// Address and port to listen on, localhost:8000 or 8000 for this machine only, or :8000 for every address; port 0 takes any free one.
        listen: Listen = Listen::Address(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8000))),
        /// Key that backends send with every API call, at least 16 bytes in production; development mode makes one up.
        api_key: Option<Secret<String>> = None,
        /// Secret that clients' tokens are signed with (HS256), at least 32 bytes in production; without one, no token is valid.
        token_secret: Option<Secret<String>> = None,
        /// What this node calls itself.
        node_name: String = "parlor".into(),
        /// Development mode, which allows what is said below; by default exactly where the address is loopback and no key, secret or origin is set.
        dev: Option<bool> = None,
        /// Whether clients may connect without a token; by default only in development mode.
        allow_anonymous: Option<bool> = None,
        /// Whether clients may join rooms by naming them; by default yes.
        allow_subscribe: Option<bool> = None,
        /// Whether members of a room may publish to it; by default only in development mode.
        allow_publish: Option<bool> = None,
        /// Whether members of a room may read its history; by default only in development mode.
        allow_history: Option<bool> = None,
        /// Whether members of a room may see who is in it; by default only in development mode.
        allow_presence: Option<bool> = None,
        /// Origins of web pages that may connect, such as https://app.example.com, and no others; * is any.
        allowed_origins: Origins = Origins::default(),
        /// Where this server is reached, such as https://rooms.example.com: without allowed_origins, its own pages may connect.
        public_hosts: Origins = Origins::default(),
        /// Where API calls find out that they failed: in the HTTP status (transport) or in the body of a 200 (body).
        api_error_mode: ApiErrorMode = ApiErrorMode::Transport,
        /// How much is logged: error, warn, info, debug, trace or off.
        log_level: LogLevel = LogLevel::Info,
        /// How log lines are written: text or json.
        log_format: LogFormat = LogFormat::Text,
        /// How long the head of a socket's first request, and then the body of any, may take.
        request_timeout: Duration = Duration::from_secs(5),
        /// How long a socket may stay open between two requests.
        idle_timeout: Duration = Duration::from_secs(75),
        /// Sockets that have not become a WebSocket.
        http_connections: usize = 10_000,
        /// Bytes of a request's head; at least 8192.
        header_bytes: usize = 16 << 10,
        /// Bytes of the body of an API call.
        api_body_bytes: usize = 1 << 20,
    }
    limits {
        /// From the accepted upgrade request until its answer is written.
        handshake_timeout,
        /// From the upgrade until the client has said who it is.
        authenticate_timeout,
        /// Between two pings of one connection.
        ping_interval,
        /// From a ping until anything comes from the client; shorter than ping_interval.
        pong_timeout,
        /// How long a socket may refuse bytes.
        write_timeout,
        /// From the decision to close a connection until its socket is hung up on.
        close_timeout,
        /// How long after its token's expiry a connection is closed.
        expiry_grace,
        /// Over how long connections are closed at shutdown.
        drain_timeout,
        /// Bytes of one message from a client.
        message_bytes,
        /// Bytes of one publication's payload.
        publication_bytes,
        /// Bytes of one frame to a client; at most half of outbox_bytes.
        frame_bytes,
        /// Bytes that wait for one connection's socket.
        outbox_bytes,
        /// Frames that wait for one connection's socket.
        outbox_frames,
        /// Rooms that one connection is in.
        rooms_per_connection,
        /// Bytes of a room's name.
        room_name_bytes,
        /// Names in one connection's event filter.
        filter_events,
        /// Bytes of one name in an event filter.
        filter_event_bytes,
        /// Messages that a room retains.
        history_messages,
        /// How long a room retains a message.
        history_age,
        /// Bytes that all rooms retain together.
        history_bytes,
        /// Rooms that retain something or have members.
        logs,
        /// Publications in the reply to a recovery or to a request for history.
        reply_messages,
        /// Bytes of publications, or of members, in one such reply; at most half of frame_bytes.
        reply_bytes,
        /// How long an idempotency key is remembered.
        idempotency_window,
        /// Idempotency keys that are remembered.
        idempotency_keys,
        /// Bytes of an idempotency key.
        idempotency_key_bytes,
        /// WebSocket connections.
        connections,
        /// New WebSocket connections.
        new_connections,
        /// New WebSocket connections from one IP address, which behind a proxy is the proxy's.
        new_connections_per_ip,
        /// Commands of one client; a client that has 100 of them refused within 10 s is closed.
        client_commands,
        /// Publications of one client, which are commands too.
        client_publishes,
    }
    limits_or_off {
        /// Connections of one user.
        connections_per_user,
        /// WebSocket connections from one IP address, which behind a proxy is the proxy's.
        connections_per_ip,
    }
}
