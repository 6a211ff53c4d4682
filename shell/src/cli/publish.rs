//! `parlor publish`: publishes to a room or to a user.

use super::outcome::{CommandError, block_on};
use super::target::{RemoteServer, Variables};
use crate::observe::log;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

const FIRST: &str = "first";
const SECOND: &str = "second";
const USER: &str = "user";
const TEXT: &str = "text";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const SKIP_HISTORY: &str = "skip-history";
/// The bytes that are read from standard input, at most. A server takes less.
const INPUT_BYTES: u64 = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn arguments(command: Command) -> Command {
    let flag = |name, help| Arg::new(name).long(name).help(help);
    let word = |name, value, help| Arg::new(name).value_name(value).help(help).allow_negative_numbers(true);
    RemoteServer::arguments(command)
        .about("Publishes to a room, and prints the position of the message in its log")
        .override_usage("parlor publish [OPTIONS] ROOM [DATA|-]\n       parlor publish [OPTIONS] --user USER [DATA|-]")
        .arg(word(FIRST, "ROOM", "Name of the room"))
        .arg(word(SECOND, "DATA", "What to publish: JSON, else text; - or nothing is standard input"))
        .arg(flag(USER, "Publishes to the personal room of this user, in place of a room").value_name("USER"))
        .arg(flag(TEXT, "Takes DATA as text, also where it is JSON").action(ArgAction::SetTrue))
        .arg(
            flag(IDEMPOTENCY_KEY, "Key by which the server knows a repeated call, and publishes once")
                .value_name("KEY"),
        )
        .arg(flag(SKIP_HISTORY, "Delivers it without retaining it").action(ArgAction::SetTrue))
        .after_help(
            "Examples:\n  parlor publish lobby '{\"text\": \"hello\"}'\n  date | parlor publish lobby -\n  \
             parlor publish --user ann 'your report is ready'",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let target = RemoteServer::with_key(flags, variables)?;
    let mut words = [FIRST, SECOND].into_iter().filter_map(|word| flags.get_one::<String>(word)).map(String::as_str);
    let user = flags.get_one::<String>(USER);
    let (method, place, name) = match user {
        Some(user) => ("publish_user", "user", user.as_str()),
        None => ("publish", "channel", words.next().ok_or_else(|| usage("the name of a room is missing"))?),
    };
    let data = words.next().filter(|data| *data != "-");
    if words.next().is_some() {
        return Err(usage("--user takes the place of the room: what follows is one word of data"));
    }
    let data = match data {
        Some(data) => data.into(),
        None => input()?,
    };
    let mut body = BTreeMap::from([(place, raw(name)), ("data", payload(&data, flags.get_flag(TEXT))?)]);
    if let Some(key) = flags.get_one::<String>(IDEMPOTENCY_KEY) {
        body.insert("idempotency_key", raw(key));
    }
    if flags.get_flag(SKIP_HISTORY) {
        body.insert("skip_history", raw(true));
    }
    let body = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    let position = block_on(target.call(method, body, PATIENCE))?;
    let (offset, epoch) = (&position["offset"], position["epoch"].as_str().unwrap_or_default());
    log::print(io::stdout(), format!("offset={offset} epoch={epoch}\n"));
    Ok(())
}

fn usage(wrong: &str) -> CommandError {
    CommandError::Usage(format!("{wrong}; parlor publish --help shows examples"))
}

/// Reads standard input, without the newline at its end.
fn input() -> Result<String, CommandError> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(INPUT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read standard input: {error}"))?;
    if bytes.len() as u64 > INPUT_BYTES {
        return Err(format!("standard input has more than {INPUT_BYTES} bytes").into());
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "standard input is not UTF-8".to_owned())?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// The payload of these words: the JSON that they are, as it is written, else text. What begins as an object, a list or a
/// string of JSON was meant to be one.
fn payload(words: &str, is_text: bool) -> Result<Box<RawValue>, CommandError> {
    if is_text {
        return Ok(raw(words));
    }
    match RawValue::from_string(words.trim().into()) {
        Ok(value) => Ok(value),
        Err(error) if words.trim_start().starts_with(['{', '[', '"']) => {
            Err(usage(&format!("DATA begins as JSON and is none ({error}); --text publishes it as it is")))
        }
        Err(_) => Ok(raw(words)),
    }
}

fn raw(value: impl Serialize) -> Box<RawValue> {
    to_raw_value(&value).expect("text and truth values are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_is_published_as_it_is_written_and_the_rest_as_text() {
        for (words, expected) in [
            ("{\"b\": 1, \"a\": 1.00}", "{\"b\": 1, \"a\": 1.00}"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("null", "null"),
            ("hello", "\"hello\""),
            ("", "\"\""),
        ] {
            assert_eq!(payload(words, false).unwrap().get(), expected);
            assert_eq!(payload(words, true).unwrap().get(), serde_json::to_string(words).unwrap());
        }
        for words in ["{\"a\": }", "[", "\"hello"] {
            let wrong = payload(words, false).unwrap_err();
            assert!(matches!(&wrong, CommandError::Usage(words) if words.contains("--text")), "{wrong:?}");
        }
    }
}
