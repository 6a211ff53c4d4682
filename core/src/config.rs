//! The configuration of a shard, which does not change after its creation.

use crate::admission::route::Routes;
use crate::limits::Limits;
use alloc::string::String;

/// The permissions that hold without a token that grants them.
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
    /// A member of a room may read its presence.
    pub allow_presence: bool,
}

impl Policy {
    /// Returns the policy for development: every permission is granted.
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

    /// Returns the policy for production: a token is required, and clients may only join and receive.
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

/// The treatment of a connection that exceeds `connections_per_user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserLimit {
    /// It is accepted, and the user's oldest connection is closed with 3504.
    #[default]
    Replace,
    /// It is closed with 3014, after which clients retry later. The user's other connections are pinged at once, so
    /// that one whose client has gone is closed within `pong_timeout`.
    Refuse,
}

/// The greatest number of bytes in [`Config::node`], which is part of every connect reply and has no control
/// characters.
pub const NODE_BYTES: usize = 200;

/// The configuration of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// The limits.
    pub limits: Limits,
    /// The permissions.
    pub policy: Policy,
    /// The treatment of connections above `connections_per_user`.
    pub user_limit: UserLimit,
    /// `true` when `new_connections_per_ip` does not apply to loopback addresses.
    pub spares_loopback: bool,
    /// `true` to end each turn at its work budget: see [`crate::Shard::has_work`]. With `false` a turn does all its
    /// work, and an outbox may grow by as much; this is for simulations that bound their inputs between two writes
    /// themselves.
    pub bounded_turns: bool,
    /// The routes of upgrade requests.
    pub routes: Routes,
    /// The name of the node in connect replies and in `info`, at most [`NODE_BYTES`] bytes.
    pub node: String,
    /// The server's name and version in connect replies.
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
