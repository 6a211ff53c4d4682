//! The sources of settings: the file, then the environment, then flags. Each overrides the one before.

use super::kubernetes::is_for_a_service;
use super::table::Setting;
use super::value::{Form, SettingValue as _};
use super::{Route, Settings, mode};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;
use toml::{Table, Value as Toml};

/// Loads the settings from a command line, an environment, and the file that they name.
///
/// # Errors
/// A sentence that names the setting that is wrong; also the text of `--help` and `--version`.
pub(super) fn load(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, LoadError> {
    let flags = command().try_get_matches_from(arguments).map_err(explain)?;
    let environment = known_variables(environment)?;
    let mut settings = Settings::default();
    settings.limits.log_memory = UNSET;
    let in_environment =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str());
    let in_flags = flags.get_one::<String>(CONFIG).map(|file| (file.as_str(), format!("--{}", flag(CONFIG))));
    let file = in_flags.or_else(|| in_environment(CONFIG).map(|file| (file, variable(CONFIG))));
    if let Some((file, place)) = file {
        read_file(&mut settings, file, &place)?;
    }
    for key in Setting::all() {
        if let Some(text) = in_environment(key.name) {
            set(&mut settings, &key, text, variable(key.name))?;
        }
        if let Some(text) = flags.get_one::<String>(key.name) {
            set(&mut settings, &key, text, format!("--{}", flag(key.name)))?;
        }
    }
    read_secrets(&mut settings)?;
    if settings.limits.log_memory == UNSET {
        settings.limits.log_memory = settings.limits.history_age;
    }
    Ok(settings)
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

impl From<String> for LoadError {
    fn from(wrong: String) -> Self {
        Self::Invalid(wrong)
    }
}

const CONFIG: &str = "config";
const PREFIX: &str = "PARLOR_";

fn flag(name: &str) -> String {
    name.replace('_', "-")
}

fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// The command line: a flag for each setting, and `--config`.
fn command() -> Command {
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
        arg.allow_hyphen_values(key.is_secret())
    });
    Command::new("parlor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-hosted room server for WebSockets. Without settings it runs in development mode on loopback.")
        .after_help(mode::help())
        .arg(config)
        .args(settings)
}

/// The environment variables that are settings, by the setting's name.
fn known_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(&'static str, String)>, String> {
    let names = || Setting::all().map(|key| key.name).chain([CONFIG]);
    let mut known = Vec::new();
    for (name, text) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Some(key) = names().find(|key| variable(key) == name) else {
            if is_for_a_service(name, text.to_str()) {
                continue;
            }
            let nearest = variable(nearest(&name[PREFIX.len()..], names()));
            return Err(format!("unknown environment variable {name}; did you mean {nearest}?"));
        };
        let text = text.into_string().map_err(|_| format!("{name} is not UTF-8"))?;
        known.push((key, text));
    }
    Ok(known)
}

/// Reads the file that a setting names.
fn text_in(file: &str, place: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err(format!("{place} is empty; name a file, or leave {place} out"));
    }
    std::fs::read_to_string(file).map_err(|error| format!("{place}: cannot read {file}: {error}"))
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
        let text = text_in(&file, &place)?;
        let key = Setting::all().find(|key| key.name == name).expect("it is a setting");
        set(settings, &key, &text, format!("{place} ({file})"))?;
    }
    Ok(())
}

/// Sets everything that the file names.
fn read_file(settings: &mut Settings, file: &str, place: &str) -> Result<(), String> {
    let (text, path) = (text_in(file, place)?, Path::new(file));
    let table: Table = text.parse().map_err(|error| malformed(path, &text, &error))?;
    for (name, value) in table {
        if name == "routes" {
            settings.routes = routes(value).map_err(|error| format!("{}: {error}", path.display()))?;
            continue;
        }
        let Some(key) = Setting::all().find(|key| key.name == name) else {
            let nearest = nearest(&name, Setting::all().map(|key| key.name).chain(["routes"]));
            return Err(format!("{}: unknown key {name:?}; did you mean {nearest:?}?", path.display()));
        };
        let place = format!("{}: {name}", path.display());
        let (form, kind) = (key.form(), value.type_str());
        let text =
            text_of(value, form).ok_or_else(|| format!("{place} must be {}, not a TOML {kind}", form.allowed()))?;
        set(settings, &key, &text, place)?;
    }
    Ok(())
}

/// The error message about a malformed file, with the line's number. The library would quote the line, which may have a
/// secret in it.
fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("{}: line {line}: {}", path.display(), error.message())
}

fn routes(value: Toml) -> Result<Vec<Route>, String> {
    let Toml::Array(routes) = value else { return Err("routes are written as [[routes]], once for each".into()) };
    routes.into_iter().map(|route| route.try_into().map_err(|error| format!("in [[routes]]: {error}"))).collect()
}

/// A value of the file as a flag would write it. None where the form is not allowed.
fn text_of(value: Toml, form: Form) -> Option<String> {
    match value {
        Toml::String(text) => Some(text),
        Toml::Array(parts) if form == Form::List => {
            let texts: Option<Vec<&str>> = parts.iter().map(Toml::as_str).collect();
            Some(texts?.join(","))
        }
        Toml::Integer(number) if form == Form::Word => Some(number.to_string()),
        Toml::Float(number) if form == Form::Word => Some(number.to_string()),
        Toml::Boolean(truth) if form == Form::Word => Some(truth.to_string()),
        _ => None,
    }
}

/// Sets one setting from text; `place` is named in the error.
fn set(settings: &mut Settings, key: &Setting, text: &str, place: impl Display) -> Result<(), String> {
    let trimmed = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    if trimmed.is_some() {
        // `echo` and editors end a file with a newline. No value ends with one.
        settings.notes.push(format!("{place} ends with a newline, which is left out"));
    }
    key.set(settings, trimmed.unwrap_or(text)).map_err(|wrong| format!("{place}: {wrong}"))
}

/// The error message about a word where a flag is expected.
const NO_FLAG: &str = "found a word that is neither a flag nor the value of one; put a value with spaces in quotes\n";

/// Names that other programs have for some of the settings.
const FAMILIAR: &[(&str, &str)] = &[
    ("port", "listen"),
    ("host", "listen"),
    ("address", "listen"),
    ("addr", "listen"),
    ("bind", "listen"),
    ("secret", "token_secret"),
    ("jwt_secret", "token_secret"),
    ("key", "api_key"),
    ("log", "log_level"),
    ("origins", "allowed_origins"),
    ("cors_origins", "allowed_origins"),
];

/// The known name that was most probably meant. O(known names).
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> &'static str {
    let name = name.to_ascii_lowercase().replace('-', "_");
    if let Some((_, setting)) = FAMILIAR.iter().find(|(familiar, _)| *familiar == name) {
        return setting;
    }
    // A name that is one letter away comes first, then one that was written without its last words, then the nearest.
    let is_cut = |known: &str| known.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('_'));
    let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
    known.min_by_key(|known| (distance(known) > 1 && !is_cut(known), distance(known))).expect("the table is not empty")
}

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
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && !is_flag(name)
    {
        return clap::Error::raw(ErrorKind::UnknownArgument, NO_FLAG).with_cmd(&command());
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && let Some(name) = name.strip_prefix("--")
    {
        let nearest = flag(nearest(name, Setting::all().map(|key| key.name).chain([CONFIG])));
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{nearest}")));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output for a command line.
    fn said(arguments: &[&str]) -> String {
        match load(["parlor"].iter().chain(arguments).map(OsString::from), []) {
            Err(LoadError::Clap(error)) => error.to_string(),
            Err(LoadError::Invalid(wrong)) => wrong,
            Ok(settings) => format!("{settings:?}"),
        }
    }

    #[test]
    fn no_error_shows_a_secret_of_the_command_line() {
        for flag in ["--api-key", "--token-secret"] {
            for secret in ["--s3cret", "-s3cret", "--", "--s3cret=s3cret"] {
                let settings = load(["parlor", flag, secret].map(OsString::from), []).unwrap();
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
        let Err(LoadError::Invalid(wrong)) = load([OsString::from("parlor")], file) else { panic!("it is not known") };
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

    #[test]
    fn familiar_names_lead_to_settings_that_there_are() {
        for (familiar, setting) in FAMILIAR {
            assert!(Setting::all().any(|key| key.name == *setting), "{setting}");
            assert!(!Setting::all().any(|key| key.name == *familiar), "{familiar}");
        }
    }
}
