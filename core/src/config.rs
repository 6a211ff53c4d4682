//! The configuration of a shard. It changes as a whole, by [`Input::Configured`](crate::Input::Configured).

use crate::admission::route::{RouteError, Routes, Target};
use crate::limits::Limits;
use crate::names::{BadName, RoomName};
use crate::policy::{Namespaces, Permissions, Policy};
use alloc::string::String;

/// The treatment of a connection that exceeds `connections_per_user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
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
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Config {
    /// The limits.
    pub limits: Limits,
    /// `true` when a connection needs no token. It is then anonymous: user `""`.
    pub allow_anonymous: bool,
    /// The policies of rooms, by the prefix of their names.
    pub namespaces: Namespaces,
    /// The treatment of connections above `connections_per_user`.
    pub user_limit: UserLimit,
    /// `true` when `new_connections_per_ip` does not apply to loopback addresses.
    pub spares_loopback: bool,
    /// `true` to end each turn at its work budget: see [`crate::Shard::has_work`]. With `false` a turn does all its
    /// work, and an outbox may grow by as much; this is for simulations that bound their inputs between two writes
    /// themselves.
    pub bounded_turns: bool,
    /// `true` to tell the steps in the life of each connection: see [`crate::Effect::Step`].
    pub tells_steps: bool,
    /// The routes of upgrade requests.
    pub routes: Routes,
    /// The name of the node in connect replies and in `info`, at most [`NODE_BYTES`] bytes.
    pub node: String,
    /// The server's name and version in connect replies.
    pub version: String,
}

impl Config {
    /// # Panics
    /// Panics when limits or policies contradict each other.
    pub(crate) fn assert_valid(&self) {
        let valid = self.namespaces.policies().try_for_each(|policy| policy.validate(&self.limits));
        if let Err(wrong) = self.limits.validate().and(valid) {
            panic!("{wrong}");
        }
    }

    /// Returns the policy that holds in a room.
    pub(crate) fn policy(&self, room: &RoomName) -> &Policy {
        self.namespaces.get(room.policy())
    }

    /// Returns `true` when the log of a room retains publications.
    pub(crate) fn keeps_history(&self, room: &RoomName) -> bool {
        self.policy(room).keeps_history(&self.limits)
    }

    /// Finds the destination of a request target: see [`Routes::resolve`].
    ///
    /// # Errors
    /// As [`Routes::resolve`].
    pub fn resolve(&self, target: &str) -> Result<Target, RouteError> {
        self.routes.resolve(target, &self.limits, &self.namespaces)
    }

    /// Validates the name of a room, reserved or not, and finds its policy.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn room(&self, name: &str) -> Result<RoomName, BadName> {
        RoomName::parse(name, self.limits.room_name_bytes, &self.namespaces)
    }

    /// Validates the name of a room that a client may join by name, and finds its policy.
    ///
    /// # Errors
    /// Returns the first rule that the name breaks.
    pub fn client_room(&self, name: &str) -> Result<RoomName, BadName> {
        RoomName::parse_for_client(name, self.limits.room_name_bytes, &self.namespaces)
    }

    /// Returns a configuration without namespaces: these limits and permissions hold in all rooms, and all else is as
    /// [`Config::default`] has it.
    #[must_use]
    pub fn uniform(limits: Limits, allow_anonymous: bool, permissions: Permissions) -> Self {
        let policy = Policy::new(permissions, &limits);
        Self {
            limits,
            allow_anonymous,
            namespaces: Namespaces::none(policy.clone(), policy),
            user_limit: UserLimit::default(),
            spares_loopback: false,
            bounded_turns: true,
            tells_steps: false,
            routes: Routes::default(),
            node: String::from("parlor"),
            version: concat!("parlor ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// The configuration of development mode with other limits.
impl From<Limits> for Config {
    fn from(limits: Limits) -> Self {
        Self::uniform(limits, true, Permissions::open())
    }
}

/// The configuration of development mode.
impl Default for Config {
    fn default() -> Self {
        Limits::default().into()
    }
}
