//! A command of a client, as the client knows it.

use serde_json::Value;

/// A command that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct SentCommand {
    /// Its number among those of its client's connection, from 1 on.
    pub number: u64,
    /// The id of its reply; 0 where there is none.
    pub id: u64,
    /// Which.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

impl SentCommand {
    /// A text among its parameters.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.params[name].as_str().unwrap_or_default()
    }
}
