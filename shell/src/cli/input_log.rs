//! `parlor input-log`: has a server write its input log, and says where it is.

use super::outcome::{CommandError, block_on};
use super::target::{RemoteServer, Variables};
use crate::observe::log;
use clap::{ArgMatches, Command};
use std::io;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn arguments(command: Command) -> Command {
    RemoteServer::arguments(command)
        .about("Has a server write its input log to a file, by which what it did can be run again")
        .after_help(
            "The file is on the machine of the server, in the folder that its input_log_dir names, and only its user can read \
             it. parlor-sim replay FILE runs it.\n\n\
             Example:\n  parlor input-log --api-key-file /etc/parlor/operator.key",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::with_key(flags, variables)?;
    let written = block_on(target.call("input_log", "{}".into(), PATIENCE))?;
    let file = written["file"].as_str().unwrap_or_default();
    let extent = match (written["from_start"].as_bool(), written["run_steps"].as_u64()) {
        (Some(true), _) => "from the start".into(),
        (_, Some(steps @ 1..)) => format!("the last {steps} from a state"),
        _ => "inputs only: what came before them is not in it".into(),
    };
    let line = format!("{file}: {} steps, {extent}", written["steps"]);
    log::print(io::stdout(), format!("{}\n", log::escaped(&line)));
    Ok(())
}
