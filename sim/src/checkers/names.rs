//! The names of all checkers, which `--judge` and traces take.

/// The names of all checkers.
pub const NAMES: [&str; 9] =
    ["streams", "recovery", "closes", "access", "bounds", "events", "absences", "replies", "liveness"];
