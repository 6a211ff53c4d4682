//! Defects that were put in on purpose, to show that each guarantee and each rule of a session can be broken and that it
//! is noticed: the real machine with one small change each, in how it is configured, in what it understands, in what it
//! does, or in what it says of itself.

mod absences;
mod defect;
mod hunt;
mod liveness;
mod machine;
mod policies;
mod revocations;
mod session;
mod stored;

pub use defect::{DefectiveMachine, Seeded};
pub use hunt::{Find, LEAST, OTHERWISE};

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Seeded> {
    let first = machine::ALL.iter().chain(session::ALL).chain(liveness::ALL);
    first.chain(policies::ALL).chain(absences::ALL).chain(revocations::ALL)
}

/// The one of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Seeded> {
    all().find(|seeded| seeded.name == name)
}
