//! Names of the rooms and users of a scenario.

/// The name of a room that clients may name. Two have a prefix, which means something where there are namespaces. In the order
/// of their names the first three are in that of their numbers.
#[must_use]
pub fn room_name(room: usize) -> String {
    match room {
        1 => "s:r1".into(),
        2 => "t:r2".into(),
        _ => format!("r{room}"),
    }
}

/// The prefix of a room's name.
#[must_use]
pub fn prefix(name: &str) -> &str {
    if name.starts_with('#') { "#" } else { name.split_once(':').map_or("", |(prefix, _)| prefix) }
}

/// The name of a user.
#[must_use]
pub fn user_name(user: usize) -> String {
    format!("u{user}")
}
