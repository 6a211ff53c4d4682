//! What a shard is told once, when it is made.

use crate::admission::route::Routes;
use crate::limits::Limits;
use alloc::string::String;

/// Who may do what without a token that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A connection needs no token. It is then anonymous: user `""`.
    pub allow_anonymous: bool,
    /// A client may join a room by naming it.
    pub allow_subscribe: bool,
    /// A member of a room may publish to it.
    pub allow_publish: bool,
    /// A member of a room may read its history.
    pub allow_history: bool,
    /// A member of a room may read who is in it.
    pub allow_presence: bool,
}

impl Policy {
    /// Development: whoever can reach the server may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self {
            allow_anonymous: true,
            allow_subscribe: true,
            allow_publish: true,
            allow_history: true,
            allow_presence: true,
        }
    }

    /// Production: a token is required, clients only join and receive.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            allow_anonymous: false,
            allow_subscribe: true,
            allow_publish: false,
            allow_history: false,
            allow_presence: false,
        }
    }
}

/// What becomes of a user's connection that is one more than `connections_per_user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserLimit {
    /// It is taken in, and the user's oldest connection is closed with 3504.
    #[default]
    Replace,
    /// It is closed with 3014, after which clients try again later. The user's other connections are pinged at once, so
    /// that one whose client is gone makes room within `pong_timeout`.
    Refuse,
}

/// The most bytes of [`Config::node`], which is in every connect reply. It has no control characters either.
pub const NODE_BYTES: usize = 200;

/// Everything that a shard is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bounds.
    pub limits: Limits,
    /// Who may do what.
    pub policy: Policy,
    /// What happens at `connections_per_user`.
    pub user_limit: UserLimit,
    /// Whether `new_connections_per_ip` is off for the addresses of this machine.
    pub spares_loopback: bool,
    /// Whether a turn ends when it has done enough: see [`crate::Shard::has_work`]. Otherwise it does all that it was asked,
    /// and an outbox may grow by as much: for a simulation, where nothing else bounds what comes in between two writes.
    pub bounded_turns: bool,
    /// Which path leads to which rooms.
    pub routes: Routes,
    /// What this node calls itself in connect replies and in `info`: at most [`NODE_BYTES`], see there.
    pub node: String,
    /// The server's name and version, as it is sent in connect replies.
    pub version: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            policy: Policy::open(),
            user_limit: UserLimit::default(),
            spares_loopback: false,
            bounded_turns: true,
            routes: Routes::default(),
            node: String::from("parlor"),
            version: concat!("parlor ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}
