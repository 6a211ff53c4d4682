//! A failure's report: the trace is made short, printed, and saved so that one command repeats it.

use parlor_sim::guarantees::{Failure, Guarantee};
use parlor_sim::search::report::{self, COMMAND};
use parlor_sim::search::run::run;
use parlor_sim::search::shrink::{Minimality, Shrunk, shorten, shrink};
use parlor_sim::subjects::subject::Subject;
use parlor_sim::world::trace::Trace;
use std::process::ExitCode;

/// A subject by the name that `replay` knows it by, and how its traces are made short.
#[derive(Clone, Copy)]
pub struct NamedSubject<'a> {
    pub name: &'a str,
    pub shrink: fn(&Trace, Guarantee) -> Shrunk,
}

impl<'a> NamedSubject<'a> {
    /// A subject whose worlds can be searched.
    pub fn new<S: Subject + Clone>(name: &'a str) -> Self {
        Self { name, shrink: shrink::<S> }
    }

    /// One whose worlds cannot be put back to where they were.
    #[cfg_attr(not(feature = "driver"), expect(dead_code, reason = "there is no other"))]
    pub fn unsearched<S: Subject>(name: &'a str) -> Self {
        const WHY: &str = "the driver's tasks cannot be put back to where they were";
        let shrink =
            |trace: &Trace, guarantee| Shrunk { trace: shorten::<S>(trace, guarantee), proof: Minimality::Open(WHY) };
        Self { name, shrink }
    }
}

/// Makes the trace short, tells it and saves it. `origin` is the command that it came from.
pub fn fail<S: Subject>(subject: NamedSubject<'_>, trace: &Trace, failure: &Failure, origin: &str) -> ExitCode {
    // What is told of a panic is in the report; a thousand shorter runs would each tell it again.
    std::panic::set_hook(Box::new(|_| {}));
    say!("\n{}: {} actions, to be made fewer", failure.guarantee, trace.actions.len());
    let Shrunk { trace, proof } = (subject.shrink)(trace, failure.guarantee);
    // What is short breaks the same guarantee, perhaps in another way: what is told is what it does.
    let failure = run::<S>(&trace.setup, &trace.actions).failure.map_or_else(|| failure.clone(), |(_, other)| other);
    tell::<S>(subject, &failure, &trace, proof, origin)
}

/// Tells and saves a trace that is short.
pub fn tell<S: Subject>(
    subject: NamedSubject<'_>,
    failure: &Failure,
    trace: &Trace,
    proof: Minimality,
    origin: &str,
) -> ExitCode {
    let guarantee = failure.guarantee;
    let path = std::env::temp_dir().join(format!("parlor-sim-{guarantee}-{}.trace", std::process::id()));
    let named = if subject.name == "parlor" { String::new() } else { format!(" --subject {}", subject.name) };
    let (file, repeat) = match std::fs::write(&path, format!("# {guarantee}, by {origin}\n{trace}")) {
        Ok(()) => (path.display().to_string(), format!("{} replay {}{named}", COMMAND, path.display())),
        Err(error) => (format!("not saved: {}: {error}", path.display()), origin.to_owned()),
    };
    say!("\n{}", report::shrunk::<S>(failure, trace, proof, &repeat));
    say!("saved:  {file}\nbefore: {origin}\n\n{trace}");
    ExitCode::from(guarantee.exit_code())
}
