//! `parlor explain`: what a server knows of a connection, of a publication and whom it reached, or of a room.

use super::outcome::{CommandError, block_on, print_lines};
use super::target::{RemoteServer, Variables};
use crate::observe::log;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value};
use std::time::Duration;

const ROOM: &str = "room";
const OFFSET: &str = "offset";
const EPOCH: &str = "epoch";
const CLIENT: &str = "client";
const JSON: &str = "json";
/// The connections that are asked for at once.
const PAGE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn arguments(command: Command) -> Command {
    let flag = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    RemoteServer::arguments(command)
        .about("Explains a connection, a publication and whom it reached, or a room")
        .override_usage(
            "parlor explain [OPTIONS] --client ID\n       parlor explain [OPTIONS] ROOM\n       parlor explain [OPTIONS] \
             ROOM OFFSET [--epoch EPOCH] [--client ID]",
        )
        .arg(Arg::new(ROOM).value_name("ROOM").help("Name of the room"))
        .arg(
            Arg::new(OFFSET)
                .value_name("OFFSET")
                .value_parser(value_parser!(u64))
                .help("Offset of the publication, as the answer to its publish told it"),
        )
        .arg(flag(EPOCH, "EPOCH", "Epoch that the offset is of; without it, that of the room's log now").requires(OFFSET))
        .arg(flag(CLIENT, "ID", "Public id of a connection: it alone is explained"))
        .arg(Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).help("Prints the answer as JSON, one object for each page"))
        .after_help(
            "A connection is known while it exists, and as one of the last 1,000 that ended. A publication is known while its \
             log retains it.\n\n\
             Examples:\n  parlor explain --client 0b6f1f0e-3d0f-4a3c-8f55-0a3e2f3d9b11\n  parlor explain lobby\n  \
             parlor explain lobby 42",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::with_key(flags, variables)?;
    let mut body = question(flags)?;
    loop {
        let body_text = Value::Object(body.clone()).to_string();
        let answer = block_on(target.call("explain", body_text, PATIENCE))?;
        let is_first = !body.contains_key("cursor");
        if !is_first && answer["publication"].is_null() {
            let why = plain(&answer["why"]);
            return Err(CommandError::Failed(format!("the list is not complete: {why}")));
        }
        let text =
            if flags.get_flag(JSON) { log::escaped(&answer.to_string()).into() } else { words(&answer, is_first) };
        // Nobody reads on: what is left need not be asked for.
        if print_lines(text.trim_end()).is_err() {
            return Ok(());
        }
        let Some(next) = answer["cursor"].as_str() else { return Ok(()) };
        body.insert("cursor".into(), next.into());
        // The next page is to be about the same publication.
        body.insert("epoch".into(), answer["publication"]["epoch"].clone());
    }
}

/// The body of the call.
fn question(flags: &ArgMatches) -> Result<Map<String, Value>, CommandError> {
    let text = |name| flags.get_one::<String>(name).map(|value| Value::from(value.as_str()));
    let offset = flags.get_one::<u64>(OFFSET).map(|offset| Value::from(*offset));
    let room = text(ROOM);
    match (&room, &offset, text(CLIENT)) {
        (None, _, None) => return Err(usage("the name of a room, or --client, is missing")),
        (Some(_), None, Some(_)) => return Err(usage("--client with a room needs the offset of a publication")),
        _ => {}
    }
    let limit = offset.is_some().then(|| Value::from(PAGE));
    let fields =
        [("channel", room), ("offset", offset), ("epoch", text(EPOCH)), ("client", text(CLIENT)), ("limit", limit)];
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}

fn usage(wrong: &str) -> CommandError {
    CommandError::Usage(format!("{wrong}; parlor explain --help shows examples"))
}

/// An answer as lines for a person.
fn words(answer: &Value, is_first: bool) -> String {
    let mut out = String::new();
    let mut line = |text: String| out.extend([log::escaped(&text).as_ref(), "\n"]);
    if is_first {
        line(plain(&answer["why"]));
        for part in ["connection", "room", "publication"] {
            for (name, value) in answer[part].as_object().into_iter().flatten() {
                lines(name, value, &mut line);
            }
        }
    }
    for delivery in answer["deliveries"].as_array().into_iter().flatten() {
        let word = |name: &str| plain(&delivery[name]);
        let ended = delivery["ended"].as_str().map(|cause| format!(" (ended: {cause})")).unwrap_or_default();
        line(format!("{}  {:<12}  {:?}{ended}: {}", word("client"), word("outcome"), word("user"), word("why")));
    }
    out
}

/// The lines of a field: one, or one for each part of it.
fn lines(name: &str, value: &Value, line: &mut impl FnMut(String)) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| line(format!("  {name}: {}", parts(item))));
        }
        Value::Object(_) => line(format!("  {name}: {}", parts(value))),
        _ => line(format!("  {name}: {}", plain(value))),
    }
}

/// The fields of an object in one line.
fn parts(value: &Value) -> String {
    let part = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::Object(_) => Some(parts(value)),
        _ => Some(format!("{name}={}", plain(value))),
    };
    let parts: Vec<String> = value.as_object().into_iter().flatten().filter_map(part).collect();
    parts.join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
