//! `parlor health`: asks whether a server is ready, or alive, as supervisors of containers do.

use super::outcome::{CommandError, block_on};
use super::target::{RemoteServer, Variables};
use crate::observe::log;
use clap::{Arg, ArgAction, ArgMatches, Command};
use hyper::StatusCode;
use std::io;
use std::time::Duration;

pub(super) const NAME: &str = "health";
const LIVE: &str = "live";
const READY: &str = "ready";
/// The time for the answer. A supervisor gives up later.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) fn arguments(command: Command) -> Command {
    let flag = |name, help| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
    RemoteServer::url_argument(command)
        .about("Asks whether a server is ready, and prints its word; the exit code is 0 where it is, else 1")
        .arg(flag(READY, "Asks whether it takes connections (/health/ready); the default"))
        .arg(flag(LIVE, "Asks whether it runs at all (/health/live)").conflicts_with(READY))
        .after_help("Example: a check of a container\n  HEALTHCHECK CMD [\"parlor\", \"health\"]")
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::without_key(flags, variables)?;
    let path = if flags.get_flag(LIVE) { "/health/live" } else { "/health/ready" };
    let (status, word) = block_on(target.get(path, PATIENCE))?;
    if status != StatusCode::OK && status != StatusCode::SERVICE_UNAVAILABLE {
        return Err(target.refused(status, &word));
    }
    let word = word.trim_end();
    if !is_word(word) {
        return Err(CommandError::Failed(target.sentence("does not answer as a Parlor does")));
    }
    log::print(io::stdout(), format!("{word}\n"));
    match status {
        StatusCode::OK => Ok(()),
        _ => Err(CommandError::Failed(target.sentence(&format!("is not {READY} ({status})")))),
    }
}

/// Whether a text may be the word of a server, and not the page of anything else.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_server_is_a_short_one() {
        for word in ["ok", "degraded", "stalled", "stopping", "restarting"] {
            assert!(is_word(word), "{word}");
        }
        for other in ["", "<html>", "ok\u{1b}[31m", "it works", &"x".repeat(65)] {
            assert!(!is_word(other), "{other:?}");
        }
    }
}
