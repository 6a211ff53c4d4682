//! Commands of the program: to run the server, or to print something about the settings.

use super::Settings;
use super::sources::{self, LoadError, Loaded, ProgramCommand};
use super::{connect, explain, inspect};
use std::ffi::OsString;

/// A command with the settings that it applies to.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server with these settings.
    Serve(Box<Settings>),
    /// Print this text, and end.
    Print {
        /// Lines.
        text: String,
        /// Whether the settings are right.
        is_right: bool,
    },
}

impl Invocation {
    /// Loads the settings from the command line, the environment and the file that they name, and does what the command
    /// says with them.
    ///
    /// On `--help`, `--version` and an invalid command line, prints the text and ends the process. `others` are the commands
    /// beside these that `--help` lists.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and what is allowed.
    pub(crate) fn load(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        others: Vec<clap::Command>,
    ) -> Result<Self, String> {
        let Loaded { settings, mut wrongs, command } =
            sources::load(arguments, environment, others).map_err(LoadError::into_message)?;
        wrongs.extend(settings.contradictions());
        if let ProgramCommand::Check { connects } = command {
            return Ok(check(&settings, wrongs, connects));
        }
        if let Some(wrong) = wrongs.into_iter().next() {
            return Err(wrong);
        }
        let text = match command {
            ProgramCommand::Serve | ProgramCommand::Check { .. } => return Ok(Self::Serve(Box::new(settings))),
            ProgramCommand::Show => inspect::show(&settings),
            ProgramCommand::Explain { name, is_room } => match explain::named(&name).filter(|_| !is_room) {
                Some(setting) => explain::explain(&settings, setting),
                None if !is_room && name.contains('_') => inspect::explain(&settings, &name)? + &explain::hint(&name),
                None => inspect::explain(&settings, &name)?,
            },
        };
        Ok(Self::Print { text, is_right: true })
    }
}

/// Everything that is wrong with settings, and what else is to be said of them.
fn check(settings: &Settings, mut wrongs: Vec<String>, connects: bool) -> Invocation {
    // Where it is missing a half, that was said already.
    wrongs.extend(settings.certificate().err().filter(|wrong| !wrongs.contains(wrong)));
    let mut others: Vec<String> =
        settings.warnings().into_iter().map(|warning| format!("warning: {warning}")).collect();
    // Nobody is asked for what is written wrongly.
    if connects && wrongs.is_empty() {
        for line in connect::lines(settings) {
            match line {
                Ok(line) => others.push(line),
                Err(wrong) => wrongs.push(wrong),
            }
        }
    }
    let is_right = wrongs.is_empty();
    let last = if is_right { "the settings are right" } else { "the settings are wrong" };
    let lines: Vec<String> = wrongs.into_iter().chain(others).chain([last.into()]).collect();
    Invocation::Print { text: lines.join("\n") + "\n", is_right }
}
