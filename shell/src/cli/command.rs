//! The table of the commands that speak with a server, and how each ends.

use super::outcome::CommandError;
use super::target::Variables;
use super::{completions, drain, explain, health, input_log, listen, publish, reload, token};
use crate::observe::log;
use clap::{Arg, ArgMatches, Command};
use std::ffi::OsString;
use std::io;

/// The exit code of what was refused, or failed.
const FAILED: u8 = 1;
/// The exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// The argument that takes what comes behind a command in the wrong place.
const REST: &str = "rest";

/// One row of the table.
pub(super) struct OperatorCommand {
    pub(super) name: &'static str,
    /// Its flags and its help, without the name.
    arguments: fn(Command) -> Command,
    run: fn(&ArgMatches, &Variables) -> Result<(), CommandError>,
}

/// All of them, in the order of `--help`.
pub(super) static COMMANDS: [OperatorCommand; 9] = [
    OperatorCommand { name: "publish", arguments: publish::arguments, run: publish::run },
    OperatorCommand { name: "listen", arguments: listen::arguments, run: listen::run },
    OperatorCommand { name: health::NAME, arguments: health::arguments, run: health::run },
    OperatorCommand { name: "explain", arguments: explain::arguments, run: explain::run },
    OperatorCommand { name: "drain", arguments: drain::arguments, run: drain::run },
    OperatorCommand { name: "reload", arguments: reload::arguments, run: reload::run },
    OperatorCommand { name: "input-log", arguments: input_log::arguments, run: input_log::run },
    OperatorCommand { name: "token", arguments: token::arguments, run: token::run },
    OperatorCommand { name: "completions", arguments: completions::arguments, run: print_completions },
];

impl OperatorCommand {
    /// The command that a command line names by its first word.
    pub(super) fn named_by(arguments: &[OsString]) -> Option<&'static Self> {
        let name = arguments.get(1)?.to_str()?;
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// Its command line.
    pub(super) fn command(&self) -> Command {
        (self.arguments)(Command::new(self.name))
    }

    /// The same without its flags, for a list of commands. Whatever comes behind it is taken.
    pub(super) fn listed(&self) -> Command {
        let about = self.command().get_about().cloned().unwrap_or_default();
        let rest = Arg::new(REST).num_args(0..).trailing_var_arg(true).allow_hyphen_values(true).hide(true);
        Command::new(self.name).about(about).arg(rest)
    }

    /// Does what the command line says, and tells the exit code: 0 done, 1 refused or failed, 2 usage. Of `health`, which
    /// is for supervisors, 0 and 1 only.
    pub(super) fn run(
        &self,
        arguments: Vec<OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> u8 {
        let usage = if self.name == health::NAME { FAILED } else { USAGE };
        let parser = self.command().bin_name(format!("parlor {}", self.name));
        let done = match parser.try_get_matches_from(arguments.into_iter().skip(1)) {
            Ok(matches) => (self.run)(&matches, &Variables::new(environment)),
            Err(said) => {
                let is_wrong = said.use_stderr();
                // Where nobody reads it, nothing can be said.
                let _ = said.print();
                return if is_wrong { usage } else { 0 };
            }
        };
        let (code, wrong) = match done {
            Ok(()) => return 0,
            Err(CommandError::Failed(wrong)) => (FAILED, wrong),
            Err(CommandError::Usage(wrong)) => (usage, wrong),
        };
        // Words of a server may be in it.
        log::print(io::stderr(), format!("parlor {}: {}\n", self.name, log::escaped(&wrong)));
        code
    }
}

/// Prints the script of `completions`, which knows all commands.
fn print_completions(flags: &ArgMatches, _: &Variables) -> Result<(), CommandError> {
    completions::print(flags, COMMANDS.iter().map(OperatorCommand::command).collect())
}
