//! What a client that comes back asks for.

use crate::checkers::sent_command::SentCommand;
use serde_json::Value;

/// What a client wants to have of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecoveryRequest {
    /// Which client.
    pub client: usize,
    /// The room.
    pub room: String,
    /// The log in which it was; empty for any.
    pub epoch: String,
    /// What it has had last.
    pub offset: u64,
}

impl RecoveryRequest {
    /// What a command wants.
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
