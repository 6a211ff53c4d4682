//! Names of the rooms and users of a scenario.

/// The name of a room that clients may name.
#[must_use]
pub fn room_name(room: usize) -> String {
    format!("r{room}")
}

/// The name of a user.
#[must_use]
pub fn user_name(user: usize) -> String {
    format!("u{user}")
}
