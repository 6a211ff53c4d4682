//! Recoveries that a client asks for when it comes back.

use crate::checkers::sent_command::SentCommand;
use serde_json::Value;

/// One recovery: the publications of a room after a position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecoveryRequest {
    /// Which client.
    pub client: usize,
    /// The room.
    pub room: String,
    /// The log in which it was; empty for any.
    pub epoch: String,
    /// The offset that it has had last.
    pub offset: u64,
}

impl RecoveryRequest {
    /// The recoveries that a command asks for.
    #[must_use]
    pub fn of(client: usize, command: &SentCommand) -> Vec<Self> {
        let want = |room: &str, fields: &Value| {
            let (epoch, offset) = (fields["epoch"].as_str().unwrap_or_default(), fields["offset"].as_u64());
            let want = Self { client, room: room.into(), epoch: epoch.into(), offset: offset.unwrap_or_default() };
            (fields["recover"] == true).then_some(want)
        };
        let subs = command.params["subs"].as_object().into_iter().flatten();
        let own = want(command.text("channel"), &command.params);
        subs.filter_map(|(room, fields)| want(room, fields)).chain(own).collect()
    }
}
