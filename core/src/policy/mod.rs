//! Policies of rooms: who may do what there, what their logs retain, and what members are told of each other.
//!
//! A room's [`Policy`] is found once, when its name is parsed ([`RoomName::parse`](crate::RoomName::parse)), by the prefix
//! of the name before its first `:`. The name then carries the policy's [`PolicyId`], so nothing searches for it again.
//! `access.rs` decides who may do what.

pub(crate) mod access;
pub(crate) mod capabilities;
pub mod namespaces;

pub use capabilities::CapabilityClaim;
pub use namespaces::{Namespaces, PolicyId};

pub use crate::glob::Glob;
use crate::limits::Limits;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// Those who may do something in a room. Each value includes all values before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum Who {
    /// Only backends, by the API.
    Nobody,
    /// Clients with a token that grants it.
    Token,
    /// Members of the room. It is no value of `subscribe`: nobody would be the first member.
    Members,
    /// Authenticated connections.
    Users,
    /// All connections.
    Anyone,
}

impl Who {
    /// All values, in their order.
    pub const ALL: &'static [Self] = &[Self::Nobody, Self::Token, Self::Members, Self::Users, Self::Anyone];

    /// Returns the word for it in settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Token => "token",
            Self::Members => "members",
            Self::Users => "users",
            Self::Anyone => "anyone",
        }
    }
}

/// Who may do what in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Permissions {
    /// Those who may join a room by its name.
    pub subscribe: Who,
    /// Those who may publish to a room.
    pub publish: Who,
    /// Those who may read the history of a room.
    pub history: Who,
    /// Those who may read the presence of a room and be told who joins and leaves.
    pub presence: Who,
}

impl Permissions {
    /// Returns the permissions of development mode: everybody may join, and members may do everything.
    #[must_use]
    pub const fn open() -> Self {
        Self { subscribe: Who::Anyone, publish: Who::Members, history: Who::Members, presence: Who::Members }
    }

    /// Returns the permissions of production mode: everybody who is connected may join and receive, and a token has to
    /// grant the rest.
    #[must_use]
    pub const fn closed() -> Self {
        Self { subscribe: Who::Anyone, publish: Who::Token, history: Who::Token, presence: Who::Token }
    }
}

/// The policy of the rooms of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Policy {
    /// Who may do what.
    pub permissions: Permissions,
    /// The greatest number of publications that the log of a room retains.
    pub history_messages: usize,
    /// The time after which a retained publication is dropped.
    pub history_age: Duration,
    /// The greatest number of bytes that the log of a room retains, at most `history_bytes`.
    pub history_bytes_per_room: usize,
    /// `true` when the members of a room can be listed and counted.
    pub presence_list: bool,
    /// `true` when members may be told who joins and leaves.
    pub join_leave: bool,
    /// The time for which a user whose connection has ended stays listed, at most [`Policy::LONGEST_GRACE`]: see
    /// [`crate::Change`]. Zero for no time.
    pub presence_grace: Duration,
    /// The greatest number of bytes of a publication's payload, at most the limit of this name.
    pub publication_bytes: usize,
    /// The pattern that names of rooms have to match, if any.
    pub name_pattern: Option<Glob>,
}

impl Policy {
    /// The greatest `presence_grace`.
    pub const LONGEST_GRACE: Duration = Duration::from_secs(15);

    /// Returns the policy with these permissions that has the limits for values.
    #[must_use]
    pub fn new(permissions: Permissions, limits: &Limits) -> Self {
        Self {
            permissions,
            history_messages: limits.history_messages,
            history_age: limits.history_age,
            history_bytes_per_room: limits.history_bytes_per_room,
            presence_list: true,
            join_leave: true,
            presence_grace: Duration::ZERO,
            publication_bytes: limits.publication_bytes,
            name_pattern: None,
        }
    }

    /// Checks the values against each other and against the limits.
    ///
    /// # Errors
    /// Returns a sentence that names the key that is wrong, and says what is allowed.
    pub fn validate(&self, limits: &Limits) -> Result<(), String> {
        if self.permissions.subscribe == Who::Members {
            return Err("subscribe must not be members: nobody would be the first".into());
        }
        if self.publication_bytes > limits.publication_bytes {
            let most = limits.publication_bytes;
            return Err(format!("publication_bytes is {}; the limit allows at most {most}", self.publication_bytes));
        }
        if self.presence_grace > Self::LONGEST_GRACE {
            return Err(format!("presence_grace is {:?}; it must be at most 15s", self.presence_grace));
        }
        Ok(())
    }

    /// Returns `true` when logs retain publications.
    #[must_use]
    pub fn keeps_history(&self, limits: &Limits) -> bool {
        self.history_messages > 0 && !self.history_age.is_zero() && self.largest_log(limits) > 0
    }

    /// Returns the bytes that the log of one room may retain.
    #[must_use]
    pub fn largest_log(&self, limits: &Limits) -> usize {
        self.history_bytes_per_room.min(limits.history_bytes)
    }
}
