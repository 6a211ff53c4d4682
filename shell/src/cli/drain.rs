//! `parlor drain`: tells a server to stop as SIGTERM does, and follows it to its end.

use super::outcome::{CommandError, block_on};
use super::target::{RemoteServer, Variables};
use crate::observe::log;
use clap::{ArgMatches, Command};
use hyper::StatusCode;
use serde_json::Value;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The time for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two looks at the server.
const INTERVAL: Duration = Duration::from_millis(500);
/// The time by which the end may be later than the server said.
const SLACK: Duration = Duration::from_secs(15);

pub(super) fn arguments(command: Command) -> Command {
    RemoteServer::arguments(command)
        .about("Stops a server as SIGTERM does, shows how many connections are left, and ends when it has ended")
        .after_help(
            "A server that stops already goes on as it is, and is followed. The URL has to lead to this one server, and \
             not to a balancer in front of several.\n\n\
             Example:\n  PARLOR_API_KEY_FILE=/etc/parlor/operator.key parlor drain --url http://10.0.0.5:9000",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::with_key(flags, variables)?;
    block_on(async {
        let stop = target.call("drain", "{}".into(), PATIENCE).await?;
        let seconds = stop["seconds"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let longest = seconds.unwrap_or_default();
        say(&format!("the server stops: {} connections, within {}", stop["connections"], in_words(longest)));
        let late = |_| Err(CommandError::Failed(target.sentence(&format!("did not end within {}", in_words(longest)))));
        timeout(longest + SLACK, follow(&target, stop)).await.unwrap_or_else(late)?;
        say("the server has ended");
        Ok(())
    })
}

/// Says how many connections are left whenever it has changed, until the server has ended.
async fn follow(target: &RemoteServer, stop: Value) -> Result<(), CommandError> {
    let mut left = stop["connections"].clone();
    loop {
        sleep(INTERVAL).await;
        if is_refused(target).await? {
            return Ok(());
        }
        // A server that ends may break off an answer: whether it has ended, the next look tells.
        let Ok((StatusCode::OK, text)) = target.get("/health", PATIENCE).await else { continue };
        let health: Value = serde_json::from_str(&text).unwrap_or_default();
        if health["status"] != "stopping" {
            // Another one listens there already.
            return Ok(());
        }
        if health["connections"] != left {
            left = health["connections"].clone();
            say(&format!("{left} connections are left"));
        }
    }
}

/// Whether nobody listens at the address of the server. What takes longer, or fails otherwise, does not tell.
async fn is_refused(target: &RemoteServer) -> Result<bool, CommandError> {
    let url = target.url("/")?;
    let connected = timeout(PATIENCE, TcpStream::connect((url.host(), url.port()))).await;
    Ok(matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused))
}

fn in_words(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn say(line: &str) {
    log::print(io::stdout(), format!("{line}\n"));
}
