//! From a command line to the command that it names.

use super::command::{COMMANDS, OperatorCommand};
use super::serve::serve;
use crate::observe::log;
use std::ffi::OsString;
use std::io;

/// Does what a command line says. Returns the exit code: 0 done, 1 refused or failed, 2 where the command line makes no sense.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(command) = OperatorCommand::named_by(&arguments) {
        return command.run(arguments, environment);
    }
    let listed: Vec<_> = COMMANDS.iter().map(OperatorCommand::listed).collect();
    let result = serve(arguments, environment, listed);
    log::finish();
    match result {
        Ok(is_right) => u8::from(!is_right),
        Err(wrong) => {
            log::print(io::stderr(), format!("parlor: {wrong}\n"));
            1
        }
    }
}
