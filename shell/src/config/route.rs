//! A path that leads to a room, as `[[routes]]` in the file writes it.

/// A path that leads to a room.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Segments of plain text or `{id}`, after `/ws/`.
    pub path: String,
    /// The room's name, with `{id}` for what stood in its place.
    pub room: String,
    /// The `type` of the answer to `subscribe`.
    #[serde(default)]
    pub subscribed: Option<String>,
}
