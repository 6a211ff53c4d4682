//! The outcome of a command.

use std::io::{self, Write};
use tokio::runtime;

/// The reason for which a command was not carried out: a line for a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommandError {
    /// It was refused, or failed.
    Failed(String),
    /// The command line, or a variable of the environment, makes no sense.
    Usage(String),
}

impl From<String> for CommandError {
    fn from(wrong: String) -> Self {
        Self::Failed(wrong)
    }
}

/// Runs to its end what a command does with a server.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let done = runtime.block_on(work);
    // A name that is still being looked up does not hold up the end.
    runtime.shutdown_background();
    done
}

/// Prints a line, or several, at once: a command that goes on printing stops where nobody reads.
///
/// # Errors
/// The output is closed, or failed.
pub(super) fn print_lines(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
