//! `parlor token`: a token for trying things out, signed with the secret of the server's settings.

use super::outcome::CommandError;
use super::target::Variables;
use crate::config::Settings;
use crate::observe::log;
use crate::runtime::clock::Clock;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::io;
use std::time::Duration;

const USER: &str = "USER";
const EXPIRES: &str = "expires";
const CHANNEL: &str = "channel";
const CHANNELS: &str = "channels";
const CLAIMS: &str = "claims";
const CONFIG: &str = "config";

pub(super) fn arguments(command: Command) -> Command {
    let flag = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    command
        .about("Prints a token for a user, signed with the server's token_secret")
        .arg(Arg::new(USER).required(true).help("The user (claim sub); \"\" for a connection without one"))
        .arg(flag(EXPIRES, "TIME", "Time from now until it ends, such as 90s, 15m or 12h").default_value("1h"))
        .arg(flag(CHANNEL, "ROOM", "Makes it a token for this room, and for no connection"))
        .arg(
            flag(CHANNELS, "ROOM", "Room that the connection joins by itself; may be given several times")
                .action(ArgAction::Append)
                .conflicts_with(CHANNEL),
        )
        .arg(flag(CLAIMS, "JSON", "Object with more claims, such as {\"info\": {\"name\": \"Ann\"}}; they go first"))
        .arg(flag(CONFIG, "FILE", "File of the server's settings [env: PARLOR_CONFIG]"))
        .after_help(
            "The secret is that of the server's settings: PARLOR_TOKEN_SECRET, PARLOR_TOKEN_SECRET_FILE, or what the file has; \
             never an argument. token_audience and token_issuer become aud and iss. It is for trying things out: an \
             application signs tokens itself, once it knows who the user is.\n\n\
             Examples:\n  PARLOR_TOKEN=$(parlor token ann --config parlor.toml) parlor listen lobby\n  \
             parlor token ann --expires 5m --channel orders:7",
        )
}

pub(super) fn run(flags: &ArgMatches, variables: &Variables) -> Result<(), CommandError> {
    let settings = settings(flags.get_one::<String>(CONFIG), variables)?;
    let claims = claims(flags, &settings)?;
    log::print(io::stdout(), sign(&settings, &claims)? + "\n");
    Ok(())
}

/// The settings that a server with this file and these variables has.
fn settings(file: Option<&String>, variables: &Variables) -> Result<Settings, CommandError> {
    let flags = file.into_iter().flat_map(|file| ["--config".into(), OsString::from(file)]);
    let arguments: Vec<OsString> = ["parlor".into()].into_iter().chain(flags).collect();
    Ok(Settings::load(arguments, variables.all())?)
}

fn claims(flags: &ArgMatches, settings: &Settings) -> Result<Map<String, Value>, CommandError> {
    let mut claims = match flags.get_one::<String>(CLAIMS).map(|text| serde_json::from_str(text)) {
        None => Map::new(),
        Some(Ok(Value::Object(claims))) => claims,
        Some(_) => return Err(CommandError::Usage("--claims must be a JSON object, such as {\"info\": 1}".into())),
    };
    let expires = flags.get_one::<String>(EXPIRES).map_or("1h", String::as_str);
    let lifetime = humantime::parse_duration(expires).ok().filter(|time| *time >= Duration::from_secs(1));
    let lifetime = lifetime.ok_or_else(|| {
        CommandError::Usage(format!("--expires is {expires:?}; expected a time of at least a second, such as 15m"))
    })?;
    let now = Clock::new().now().unix_ms / 1000;
    let text = |text: &String| Value::from(text.as_str());
    let rooms = flags.get_many::<String>(CHANNELS).map(|rooms| rooms.map(text).collect::<Value>());
    let own = [
        ("sub", flags.get_one(USER).map(text)),
        ("iat", Some(now.into())),
        ("exp", Some(now.saturating_add(lifetime.as_secs()).into())),
        ("channel", flags.get_one(CHANNEL).map(text)),
        ("channels", rooms),
        ("aud", settings.token_audience.as_ref().map(text)),
        ("iss", settings.token_issuer.as_ref().map(text)),
    ];
    for (name, value) in own {
        if let Some(value) = value {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(claims)
}

/// A token with these claims, by `token_secret`, else by the first secret of `token_keys`.
fn sign(settings: &Settings, claims: &Map<String, Value>) -> Result<String, CommandError> {
    let named = settings.token_keys.iter().find_map(|entry| Some((entry.secret.as_ref()?, entry.key.kid())));
    let (secret, kid) = settings.token_secret.as_ref().map(|secret| (secret, None)).or(named).ok_or_else(|| {
        CommandError::Failed(
            "no secret signs tokens here: set PARLOR_TOKEN_SECRET or PARLOR_TOKEN_SECRET_FILE, or name the server's file \
             with --config; where tokens are signed with a private key, that is not the server's"
                .into(),
        )
    })?;
    let header = Header { kid: kid.map(String::from), ..Header::default() };
    let token = encode(&header, claims, &EncodingKey::from_secret(secret.expose().as_bytes()));
    token.map_err(|error| CommandError::Failed(format!("the token cannot be signed: {error}")))
}
