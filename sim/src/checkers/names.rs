//! The names of all checkers, which `--judge` and traces take.

/// The names of all checkers.
pub const NAMES: [&str; 12] = [
    "streams",
    "recovery",
    "closes",
    "access",
    "answers",
    "bounds",
    "events",
    "accounts",
    "absences",
    "replies",
    "revocations",
    "liveness",
];
