//! The table `[[routes]]` of the file: paths that lead to rooms.

use super::place::Place;

/// A path that leads to a room.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Segments of plain text or `{id}`, after `/ws/`.
    pub path: String,
    /// The room's name; `{id}` is replaced by that segment of the path.
    pub room: String,
    /// The `type` of the answer to `subscribe`.
    #[serde(default)]
    pub subscribed: Option<String>,
    /// Where the file has it.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl Route {
    /// Everything that it says, wherever the file has it.
    pub(super) fn content(&self) -> (&str, &str, Option<&str>) {
        (&self.path, &self.room, self.subscribed.as_deref())
    }
}
