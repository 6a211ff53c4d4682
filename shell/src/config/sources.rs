//! The sources of settings: the file, then the environment, then flags. Each overrides the one before.

use super::client_variables;
use super::kubernetes::is_for_a_service;
use super::nearest::nearest;
use super::place::{PREFIX, Place, flag, variable};
use super::table::Setting;
use super::text_file::{secret_in, text_in};
use super::value::SettingValue as _;
use super::{Settings, file, mode};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;
use std::time::Duration;

/// Settings and command, as read from a command line, an environment and a file.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) settings: Settings,
    /// A sentence for each value that is wrong and therefore is not in the settings.
    pub(super) wrongs: Vec<String>,
    pub(super) command: ProgramCommand,
}

/// A command of the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgramCommand {
    /// Run the server.
    Serve,
    /// Tell everything that is wrong with the settings.
    Check {
        /// Whether the servers that they name are asked, too.
        connects: bool,
    },
    /// Print the settings.
    Show,
    /// Print what is known of the setting with this name, else what holds in the room with this name.
    Explain {
        name: String,
        /// Whether a room is meant, also where a setting has the name.
        is_room: bool,
    },
}

/// Loads the settings from a command line, an environment, and the file that they name.
///
/// # Errors
/// A sentence about a command line or an environment that names no settings; also the text of `--help` and `--version`, which
/// lists the `others`.
pub(super) fn load(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    others: Vec<Command>,
) -> Result<Loaded, LoadError> {
    let mut flags = command().subcommands(others).try_get_matches_from(arguments).map_err(explain)?;
    let all_variables: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let any_variable = |name: &str| {
        let found = all_variables.iter().find(|(known, _)| known == name);
        found.and_then(|(_, text)| text.to_str()).map(String::from)
    };
    let (environment, mut wrongs) = known_variables(all_variables.iter().cloned());
    let mut command = ProgramCommand::Serve;
    while let Some((name, mut inner)) = flags.remove_subcommand() {
        command = match &*name {
            CHECK => ProgramCommand::Check { connects: inner.get_flag(CONNECT) },
            SHOW => ProgramCommand::Show,
            EXPLAIN => {
                let name = inner.remove_one(NAME).expect("it is required");
                ProgramCommand::Explain { name, is_room: inner.get_flag(IS_ROOM) }
            }
            CONFIG => command,
            other => return Err(format!("{other} takes no settings, and stands first: parlor {other} --help").into()),
        };
        // Flags that stand before the command are among those of the command.
        flags = inner;
    }
    let mut settings = Settings::default();
    settings.limits.log_memory = UNSET;
    let in_environment =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str());
    let in_flags = flags.get_one::<String>(CONFIG).map(|file| (file.as_str(), Place::Flag(CONFIG)));
    let file = in_flags.or_else(|| in_environment(CONFIG).map(|file| (file, Place::Variable(CONFIG))));
    if let Some((file, place)) = file {
        settings.file = Some(file.into());
        match text_in(file, &place.to_string()) {
            Ok(text) => wrongs.extend(file::read(&mut settings, file, &text, &any_variable)),
            Err(wrong) => wrongs.push(wrong),
        }
    }
    for key in Setting::all() {
        if let Some(text) = in_environment(key.name) {
            wrongs.extend(key.assign(&mut settings, text, Place::Variable(key.name)).err());
        }
        if let Some(text) = flags.get_one::<String>(key.name) {
            wrongs.extend(key.assign(&mut settings, text, Place::Flag(key.name)).err());
        }
    }
    if any_variable(client_variables::TOKEN).is_some() {
        let (token, secret) = (client_variables::TOKEN, variable("token_secret"));
        settings.notes.push(format!("{token} is for parlor listen; the secret that signs tokens is {secret}"));
    }
    wrongs.extend(read_secrets(&mut settings).err());
    if settings.limits.log_memory == UNSET {
        let ages = settings.policies().policies().map(|policy| policy.history_age).max();
        settings.limits.log_memory = ages.unwrap_or(settings.limits.history_age);
    }
    Ok(Loaded { settings, wrongs, command })
}

/// Stands for a default that follows from another setting. No limit may be as long as this.
const UNSET: Duration = Duration::MAX;

/// The reason for which no settings were loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The command line is wrong, or asks for help or the version.
    Clap(clap::Error),
    /// A sentence that says what is wrong.
    Invalid(String),
}

impl LoadError {
    /// The sentence; where clap has more to say, it is printed, and the process ends.
    pub(super) fn into_message(self) -> String {
        match self {
            Self::Clap(message) => message.exit(),
            Self::Invalid(message) => message,
        }
    }
}

impl From<String> for LoadError {
    fn from(wrong: String) -> Self {
        Self::Invalid(wrong)
    }
}

const CONFIG: &str = "config";
const CHECK: &str = "check";
/// The argument of `check`.
const CONNECT: &str = "connect";
const SHOW: &str = "show";
const EXPLAIN: &str = "explain";
/// The arguments of `explain`.
const NAME: &str = "NAME";
const IS_ROOM: &str = "room";

/// The command line: a flag for each setting, and `--config`.
pub(crate) fn command() -> Command {
    let defaults = Settings::default();
    let config = Arg::new(CONFIG).long(CONFIG).value_name("FILE").help(format!(
        "TOML file with any of these settings, under their names with _ for - [env: {}]",
        variable(CONFIG)
    ));
    let settings = Setting::all().map(|key| {
        let default = key.to_text(&defaults).map(|text| format!(" [default: {text}]")).unwrap_or_default();
        let help = format!("{}{default} [env: {}]", key.help(), variable(key.name));
        let arg = Arg::new(key.name).long(flag(key.name)).value_name("VALUE").help(help).help_heading(key.heading);
        // A secret may begin with hyphens. As an unknown flag, it would be shown in the error.
        arg.allow_hyphen_values(key.is_secret()).global(true)
    });
    let inner = |name, about| Command::new(name).about(about);
    let name =
        Arg::new(NAME).required(true).help("Name of a setting, such as drain_delay, or of a room, such as chat:7");
    let is_room = Arg::new(IS_ROOM).long(IS_ROOM).action(ArgAction::SetTrue);
    let is_room = is_room.help("Takes NAME as that of a room, also where a setting has it");
    let connect = Arg::new(CONNECT).long(CONNECT).action(ArgAction::SetTrue);
    let connect =
        connect.help("Asks the servers of token_jwks and alerts, too, as the server would; alerts send nothing");
    let commands = [
        inner(CHECK, "Tells everything that is wrong with the settings; the exit code is 1 where something is").arg(connect),
        inner(SHOW, "Prints all settings in effect as TOML, without secrets"),
        inner(
            EXPLAIN,
            "Prints the purpose, value, default and allowed values of a setting; or what holds in a room, who may do what \
             there, and where each value comes from",
        )
        .args([name, is_room]),
    ];
    let commands =
        inner(CONFIG, "Checks and explains the settings, and ends").subcommand_required(true).subcommands(commands);
    Command::new("parlor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-hosted room server for WebSockets. Without settings it runs in development mode on loopback.")
        .after_help(mode::help())
        .arg(config.global(true))
        .args(settings)
        .disable_help_subcommand(true)
        .subcommand(commands.disable_help_subcommand(true))
}

/// The environment variables that are settings, by the setting's name, and a sentence for each that cannot be one.
fn known_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<(&'static str, String)>, Vec<String>) {
    let names: Vec<_> = Setting::all().map(|key| key.name).chain([CONFIG]).collect();
    let names = || names.iter().copied();
    let (mut known, mut wrongs) = (Vec::new(), Vec::new());
    for (name, text) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Some(key) = names().find(|key| variable(key) == name) else {
            if client_variables::ALL.contains(&name) || is_for_a_service(name, text.to_str()) {
                continue;
            }
            let nearest = variable(nearest(&name[PREFIX.len()..], names()));
            wrongs.push(format!("unknown environment variable {name}; did you mean {nearest}?"));
            continue;
        };
        match text.into_string() {
            Ok(text) => known.push((key, text)),
            Err(_) => wrongs.push(format!("{name} is not UTF-8")),
        }
    }
    (known, wrongs)
}

/// Reads the secrets from the files that `api_key_file` and `token_secret_file` name.
fn read_secrets(settings: &mut Settings) -> Result<(), String> {
    let (key, secret) = (settings.api_key_file.take(), settings.token_secret_file.take());
    for (name, file, is_set) in
        [("api_key", key, settings.api_key.is_some()), ("token_secret", secret, settings.token_secret.is_some())]
    {
        let Some(file) = file else { continue };
        let place = format!("{name}_file");
        if is_set {
            return Err(format!("{name} and {place} are both set; leave one of them out"));
        }
        let text = secret_in(&file, &place)?;
        let key = Setting::all().find(|key| key.name == name).expect("it is a setting");
        key.assign(settings, &text, Place::Secret { name, file })?;
    }
    Ok(())
}

/// The error message about a word where a flag is expected.
const NO_FLAG: &str = "found a word that is neither a flag nor the value of one; put a value with spaces in quotes; \
                       parlor --help lists the commands, such as config check\n";

/// The error about a command line. The library does not know which values a flag without one allows.
fn explain(error: clap::Error) -> LoadError {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
        return LoadError::Clap(suggest(error));
    };
    let has_no_value =
        matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.is_empty());
    let written = arg.split(' ').next().unwrap_or_default();
    let key = Setting::all().find(|key| written.strip_prefix("--").is_some_and(|name| name == flag(key.name)));
    match key.filter(|_| error.kind() == ErrorKind::InvalidValue && has_no_value) {
        Some(key) if key.allowed() == bool::ALLOWED => {
            LoadError::Invalid(format!("{written} needs a value: {}; write {written} true", key.allowed()))
        }
        Some(key) => LoadError::Invalid(format!("{written} needs a value: {}", key.allowed())),
        None => LoadError::Clap(suggest(error)),
    }
}

/// The error about an unknown flag, with the nearest known one in place of the library's suggestion. A word that is no flag
/// is not shown: it may be the rest of a secret that was not quoted.
fn suggest(mut error: clap::Error) -> clap::Error {
    let is_flag =
        |name: &str| name.starts_with("--") && name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
    let is_word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => error.kind() == ErrorKind::UnknownArgument && !is_flag(name),
        _ => error.kind() == ErrorKind::InvalidSubcommand,
    };
    if is_word {
        return clap::Error::raw(ErrorKind::UnknownArgument, NO_FLAG).with_cmd(&command());
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && let Some(name) = name.strip_prefix("--")
    {
        let known: Vec<_> = Setting::all().map(|key| key.name).chain([CONFIG]).collect();
        let nearest = flag(nearest(name, known.iter().copied()));
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{nearest}")));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output for a command line.
    fn said(arguments: &[&str]) -> String {
        match load(["parlor"].iter().chain(arguments).map(OsString::from), [], Vec::new()) {
            Err(LoadError::Clap(error)) => error.to_string(),
            Err(LoadError::Invalid(wrong)) => wrong,
            Ok(loaded) => format!("{loaded:?}"),
        }
    }

    #[test]
    fn no_error_shows_a_secret_of_the_command_line() {
        for flag in ["--api-key", "--token-secret"] {
            for secret in ["--s3cret", "-s3cret", "--", "--s3cret=s3cret"] {
                let Loaded { settings, .. } =
                    load(["parlor", flag, secret].map(OsString::from), [], Vec::new()).unwrap();
                let secrets = [settings.api_key, settings.token_secret];
                assert!(secrets.iter().flatten().any(|known| known.expose() == secret), "{flag} {secret}");
            }
            for arguments in [
                &[flag, "a", "s3cret"][..],
                &[flag, "a", "-s3cret"],
                &[flag, "a", "--S3cret"],
                &[flag, "a", flag, "s3cret"],
                &[&format!("{flag}s=s3cret")],
                &[&format!("{flag}=s3cret"), "--api-key", "--s3cret", "--listn=1"],
                &["s3cret", flag],
                &[&format!("{flag}=--s3cret")],
            ] {
                let said = said(arguments).to_lowercase();
                assert!(!said.contains("s3cret"), "{arguments:?}: {said}");
            }
        }
        assert!(said(&["--lisen=1"]).contains("--listen"));
        let file = [(OsString::from("PARLOR_TOKEN_SECRET_FIL"), OsString::from("s3cret"))];
        let wrong = load([OsString::from("parlor")], file, Vec::new()).unwrap().wrongs.remove(0);
        assert!(wrong.contains("did you mean PARLOR_TOKEN_SECRET_FILE?") && !wrong.contains("s3cret"), "{wrong}");
    }

    #[test]
    fn no_setting_looks_like_what_kubernetes_sets() {
        for key in Setting::all() {
            for value in [None, Some("tcp://10.0.0.1:80")] {
                assert!(!is_for_a_service(&variable(key.name), value), "{}", key.name);
            }
        }
    }
}
