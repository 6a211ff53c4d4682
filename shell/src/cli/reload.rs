//! `parlor reload`: has a server read its settings and its certificate again, and waits for what comes of it.

use super::outcome::{CommandError, block_on};
use super::target::{RemoteServer, Variables};
use crate::observe::log;
use clap::{ArgMatches, Command};
use serde_json::Value;
use std::io;
use std::time::Duration;

/// A server gives up before.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn arguments(command: Command) -> Command {
    RemoteServer::arguments(command)
        .about("Has a server read its settings and its certificate again, as SIGHUP does, and waits until it has")
        .after_help(
            "The settings hold for what comes next: connections and memberships stay. The exit code is 1 where something is \
             wrong, which is said; nothing changes then.\n\n\
             Example: after a change of the file of settings\n  parlor reload --api-key-file /etc/parlor/operator.key",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::with_key(flags, variables)?;
    let result = block_on(target.call("reload", "{}".into(), PATIENCE))?;
    let mut text = format!("changed: {}\n", list(&result["changed"]));
    if result["needs_restart"].as_array().is_some_and(|names| !names.is_empty()) {
        text += &format!("in use after a restart: {}\n", list(&result["needs_restart"]));
    }
    log::print(io::stdout(), text);
    Ok(())
}

/// The names of a list of JSON.
fn list(names: &Value) -> String {
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}
