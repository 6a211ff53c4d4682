//! `parlor completions`: a script by which a shell completes the command line.

use super::outcome::CommandError;
use crate::config;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};
use std::io::{self, Write};

const SHELL: &str = "SHELL";
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

pub(super) fn arguments(command: Command) -> Command {
    let shell = Arg::new(SHELL).required(true).value_parser(PossibleValuesParser::new(SHELLS));
    command
        .about("Prints a script by which a shell completes this command line")
        .arg(shell.help("The shell"))
        .after_help(
            "Examples:\n  parlor completions bash > /etc/bash_completion.d/parlor\n  \
             parlor completions zsh > \"${fpath[1]}/_parlor\"\n  \
             parlor completions fish > ~/.config/fish/completions/parlor.fish",
        )
}

/// Prints the script for the shell that the flags name. It knows these commands beside those of the server.
///
/// # Errors
/// Failed, where it cannot be written. Whoever reads it may take any time: it is more than a pipe holds.
pub(super) fn print(flags: &ArgMatches, others: Vec<Command>) -> Result<(), CommandError> {
    let command = whole(others);
    let script = match flags.get_one::<String>(SHELL).map(String::as_str) {
        Some("bash") => script(command, Bash),
        Some("zsh") => script(command, Zsh),
        _ => script(command, Fish),
    };
    let written = io::stdout().write_all(script.as_bytes());
    written.map_err(|error| CommandError::Failed(format!("cannot write the script: {error}")))
}

fn script(mut command: Command, shell: impl Generator) -> String {
    let mut bytes = Vec::new();
    generate(shell, &mut command, "parlor", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The whole command line. A setting is a flag of the commands that know it, and of no other.
fn whole(others: Vec<Command>) -> Command {
    let server = config::command().mut_args(|flag| flag.global(false));
    let settings: Vec<Arg> = server.get_arguments().cloned().collect();
    let with_settings = |command: Command| {
        let inner = |inner: Command| inner.args(&settings);
        command.mut_subcommands(inner)
    };
    server.mut_subcommands(with_settings).subcommands(others)
}
