//! The decision who may do what: no other file asks a permission or a grant. Only reserved names are refused earlier, where
//! they are parsed.

use super::capabilities::Rights;
use super::{Policy, Who};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::names::RoomName;
use alloc::format;

/// An operation in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// To join the room by its name.
    Subscribe,
    /// To leave the room, or to be in it until another time.
    Unsubscribe,
    /// To publish.
    Publish,
    /// To read the history.
    History,
    /// To list or count the members.
    Presence,
    /// To be told who joins and leaves, as a member.
    JoinLeave,
}

/// The one who acts.
#[derive(Clone, Copy)]
pub(crate) enum Actor<'a> {
    /// A backend, whose API key was checked.
    Backend,
    /// A connection.
    Client(Standing<'a>),
}

/// The standing of a connection in a room, each part looked up only where it decides.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a> {
    /// Returns `true` once the home has confirmed that the connection is a member.
    pub is_member: &'a dyn Fn() -> bool,
    /// Returns `true` when the connection has a user.
    pub is_user: &'a dyn Fn() -> bool,
    /// Returns the rights that its tokens grant in the room. It looks at every pattern of a token.
    pub granted: &'a dyn Fn() -> Rights,
}

/// Decides whether an actor may do something in a room.
///
/// # Errors
/// Returns 103 for what the policy does not permit to this actor, and 108 for what it offers to no actor.
pub(crate) fn decide(config: &Config, room: &RoomName, actor: Actor<'_>, operation: Operation) -> Result<(), Error> {
    // Only the server joins and leaves a personal room: a user outside of it would not be reached.
    if room.is_reserved() && matches!(operation, Operation::Subscribe | Operation::Unsubscribe) {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let policy = config.policy(room);
    if let Actor::Client(standing) = actor {
        permit(policy, standing, operation)?;
    }
    match operation {
        Operation::History if !policy.keeps_history(&config.limits) => Err(ErrorCode::NotAvailable.into()),
        Operation::Presence if !policy.presence_list => Err(ErrorCode::NotAvailable.into()),
        Operation::JoinLeave if !policy.join_leave => {
            Err(Error::new(ErrorCode::NotAvailable, "join_leave is not available in this room"))
        }
        _ => Ok(()),
    }
}

/// Decides whether a connection may be ready without a token.
pub(crate) fn admits_anonymous(config: &Config) -> bool {
    config.allow_anonymous
}

fn permit(policy: &Policy, standing: Standing<'_>, operation: Operation) -> Result<(), Error> {
    let permissions = &policy.permissions;
    let (who, right, what) = match operation {
        Operation::Unsubscribe => return Ok(()),
        Operation::Subscribe => (permissions.subscribe, Rights::SUBSCRIBE, "subscribe"),
        Operation::Publish => (permissions.publish, Rights::PUBLISH, "publish"),
        Operation::History => (permissions.history, Rights::HISTORY, "read history"),
        Operation::Presence => (permissions.presence, Rights::PRESENCE, "read presence"),
        Operation::JoinLeave => (permissions.presence, Rights::PRESENCE, "read presence, which join_leave needs"),
    };
    // Presence events come to members only.
    let is_member = || operation == Operation::JoinLeave || (standing.is_member)();
    let is_among = match who {
        Who::Nobody | Who::Token => false,
        Who::Members => is_member(),
        Who::Users => (standing.is_user)() || is_member(),
        Who::Anyone => true,
    };
    if is_among || who != Who::Nobody && (standing.granted)().contains(right) {
        return Ok(());
    }
    let words = match who {
        Who::Token if operation == Operation::Subscribe => "a token for this room is required".into(),
        Who::Token => format!("a token has to grant to {what}"),
        Who::Members => format!("only members of the room, and those whose token grants it, may {what}"),
        Who::Users => format!("only authenticated connections may {what}"),
        // `anyone` permits every connection, so only `nobody` comes here.
        Who::Nobody | Who::Anyone => format!("only backends may {what}"),
    };
    Err(Error::new(ErrorCode::PermissionDenied, format!("{}: {words}", ErrorCode::PermissionDenied.message())))
}
