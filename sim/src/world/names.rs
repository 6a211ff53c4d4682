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

/// Whether a name is what a pattern stands for, tried out character by character.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name.chars();
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(&pattern[1..], &name[at..]))
        }
        Some(wanted) => {
            let is_met = rest.next().is_some_and(|char| wanted == '?' || wanted == char);
            is_met && matches(&pattern[wanted.len_utf8()..], rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_pattern_matches_names() {
        for (pattern, name, expected) in [
            ("r*", "r0", true),
            ("r*", "#u0", false),
            ("?0", "r0", true),
            ("?0", "#u0", false),
            ("*0*", "#u0", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} ~ {name}");
        }
    }
}
