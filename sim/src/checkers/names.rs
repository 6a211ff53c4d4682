//! The names of all checkers, which `--judge` and traces take.

/// The names of all checkers.
pub const NAMES: [&str; 11] = [
    "streams",
    "recovery",
    "closes",
    "access",
    "answers",
    "bounds",
    "events",
    "absences",
    "replies",
    "revocations",
    "liveness",
];
