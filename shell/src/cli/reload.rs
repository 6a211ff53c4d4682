//! `parlor reload`: has a server read its files again, and waits for what comes of it.

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
        .about("Has a server read its files again, as SIGHUP does, and waits until it has")
        .after_help(
            "The exit code is 1 where something could not be used, which is said; what was in use before stays in use.\n\n\
             Example: after a new certificate\n  parlor reload --api-key-file /etc/parlor/operator.key",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::with_key(flags, variables)?;
    let result = block_on(target.call("reload", "{}".into(), PATIENCE))?;
    let (read, changed) = (list(&result["reloaded"]), list(&result["changed"]));
    log::print(io::stdout(), format!("read again: {read}; changed: {changed}\n"));
    Ok(())
}

/// The names of a list of JSON.
fn list(names: &Value) -> String {
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}
