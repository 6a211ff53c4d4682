//! How users are written, and what their tokens say of them.

/// How a user is written; anonymous is the empty name.
pub(super) fn user_text(user: Option<usize>) -> String {
    user.map(crate::world::names::user_name).unwrap_or_default()
}

/// Information that the tokens of every other user have about them.
#[must_use]
pub fn info_of(user: usize) -> Option<String> {
    (user % 2 == 1).then(|| format!(r#"{{"name":"user {user}"}}"#))
}
