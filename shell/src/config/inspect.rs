//! The settings in effect, for a person to read: all of them, or what holds in one room.

use super::policy_table::{KEYS, PolicyKey, PolicyTable, WrittenValue, header};
use super::table::Setting;
use super::value::Form;
use super::{AlertEntry, Settings};
use crate::net::http_url::HttpUrl;
use crate::observe::alerts::rule::{AlertRule, Threshold};
use parlor_core::Who;

/// All settings in effect as TOML, each with the place that it comes from. Secrets are hidden.
pub(super) fn show(settings: &Settings) -> String {
    let mut text = format!("# {}\n", settings.mode());
    for setting in Setting::all() {
        let name = setting.name;
        let is_older = name.strip_prefix("allow_").is_some_and(|name| key(name).is_some());
        // The names of files with secrets are in what is said of the secrets.
        if is_older || name.ends_with("_file") {
            continue;
        }
        let value = value(settings, setting);
        let source = source(settings, name);
        text += &if setting.is_secret() && settings.places.contains_key(name) {
            format!("# {name} is set, and not shown # {source}\n")
        } else {
            line(name, value, setting.form(), &source)
        };
    }
    settings.api_keys.iter().for_each(|entry| text += &entry.comment());
    settings.token_keys.iter().for_each(|entry| text += &entry.comment());
    for route in &settings.routes {
        let quoted = |text: &str| written(text, Form::Text);
        text += &format!("\n[[routes]]\npath = {}\nroom = {}\n", quoted(&route.path), quoted(&route.room));
        if let Some(word) = &route.subscribed {
            text += &format!("subscribed = {}\n", quoted(word));
        }
    }
    settings.alerts.iter().for_each(|entry| text += &alert(entry));
    for (name, table) in &settings.namespaces {
        text += &format!("\n{}\n{}", header(name), values(table));
    }
    if settings.personal.place().is_some() {
        text += &format!("\n[personal]\n{}", values(&settings.personal));
    }
    text
}

/// The value of a setting that is in effect: what follows from the mode, where it is not set. None for a secret, and where
/// nothing holds.
pub(super) fn value(settings: &Settings, setting: Setting) -> Option<String> {
    match (key(setting.name), setting.name) {
        (Some(key), _) => (key.to_text)(&settings.top_level()),
        (None, "dev") => Some(settings.is_dev().to_string()),
        (None, "allow_anonymous") => settings.core().ok().map(|config| config.allow_anonymous.to_string()),
        // A query may hold a secret.
        (None, "token_jwks") => settings.token_jwks.as_ref().map(HttpUrl::to_string),
        (None, _) => setting.to_text(settings),
    }
}

/// An alert, with the place that it comes from.
fn alert(AlertEntry { rule, url, place }: &AlertEntry) -> String {
    let AlertRule { name, figure, threshold, hold, clear, severity } = rule;
    let (side, number) = match threshold {
        Threshold::Above(most) => ("above", most),
        Threshold::Below(least) => ("below", least),
    };
    let (name, figure) = (written(name, Form::Text), written(figure.name(), Form::Text));
    let hold = written(&humantime::format_duration(*hold).to_string(), Form::Text);
    let severity = written(severity.name(), Form::Text);
    let url = url.as_ref().map(|url| format!("# url leads to {}, and is not shown\n", url.expose().server()));
    format!(
        "\n[[alerts]] # {place}\nname = {name}\nfigure = {figure}\n{side} = {number:?}\nfor = {hold}\nclear = {clear:?}\n\
         severity = {severity}\n{}",
        url.unwrap_or_default()
    )
}

/// Explains the policy of a room: who may do what there, and where each value comes from.
///
/// # Errors
/// A sentence that says why there is no such room.
pub(super) fn explain(settings: &Settings, room: &str) -> Result<String, String> {
    let config = settings.core()?;
    let name =
        config.room(room).map_err(|wrong| format!("{room:?} is no room: {wrong} ({})", wrong.code().number()))?;
    let policy = config.namespaces.get(name.policy());
    let none = PolicyTable::default();
    let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
    // A name with the prefix of no namespace is no room, unless there are no namespaces at all.
    let (table, kind) = match settings.namespaces.get(prefix) {
        _ if name.is_reserved() => (&settings.personal, "[personal]".into()),
        Some(table) => (table, header(prefix)),
        None => (&none, "the top level".into()),
    };
    let all = settings.top_level();
    let mut text = format!("{name:?}: {kind} holds here, in {}\n", mode(settings));
    for (what, key, who) in [
        ("join by name", "subscribe", policy.permissions.subscribe),
        ("publish", "publish", policy.permissions.publish),
        ("read history", "history", policy.permissions.history),
        ("see presence", "presence", policy.permissions.presence),
    ] {
        let who = if name.is_reserved() && key == "subscribe" {
            "only the server, for the user's connections"
        } else {
            words(who)
        };
        text += &format!("may {what}: {who}\n");
    }
    if !policy.keeps_history(&config.limits) {
        text += "nothing is retained: history is answered with 108, and nobody recovers\n";
    }
    if !policy.presence_list {
        text += "members are not listed: presence is answered with 108\n";
    }
    if !policy.join_leave {
        text += "members are not told who joins and leaves\n";
    }
    for key in KEYS {
        let (value, at_top) = ((key.to_text)(policy), (key.to_text)(&all));
        let source = match table.place_of(key.name) {
            Some(place) => place.to_string(),
            None if name.is_reserved() && value != at_top => "as in all personal rooms".into(),
            None => format!("the top level: {}", source(settings, key.name)),
        };
        text += &line(key.name, value, key.form, &source);
    }
    Ok(text)
}

/// A line with a setting, and where its value comes from.
fn line(name: &str, value: Option<String>, form: Form, source: &str) -> String {
    match value {
        Some(value) => format!("{name} = {} # {source}\n", written(&value, form)),
        None => format!("# {name} is not set\n"),
    }
}

/// Those who may, in words.
fn words(who: Who) -> &'static str {
    match who {
        Who::Nobody => "only backends, by the API",
        Who::Token => "connections whose token grants it, and backends",
        Who::Members => "members of the room, connections whose token grants it, and backends",
        Who::Users => "authenticated connections, and backends",
        Who::Anyone => "all connections, and backends",
    }
}

/// The key of policies with this name.
fn key(name: &str) -> Option<&'static PolicyKey> {
    KEYS.iter().find(|key| key.name == name)
}

fn mode(settings: &Settings) -> &'static str {
    if settings.is_dev() { "development mode" } else { "production mode" }
}

/// Where the value of a setting comes from.
pub(super) fn source(settings: &Settings, name: &str) -> String {
    let depends_on_mode = ["subscribe", "publish", "history", "presence", "allow_anonymous", "dev"].contains(&name);
    let older = Setting::all().find(|setting| setting.name.strip_prefix("allow_") == Some(name));
    let place = settings.places.get(name).or_else(|| settings.places.get(older?.name));
    let has_query = name == "token_jwks" && settings.token_jwks.as_ref().is_some_and(HttpUrl::has_query);
    match place {
        Some(place) if has_query => format!("{place}, with a query that is not shown"),
        Some(place) => place.to_string(),
        None if depends_on_mode => format!("default of {}", mode(settings)),
        None => "default".into(),
    }
}

/// The values that a table of the file has.
fn values(table: &PolicyTable) -> String {
    let line = |WrittenValue { key, text, place }: &WrittenValue| {
        line(key.name, Some(text.clone()), key.form, &place.to_string())
    };
    table.values().iter().map(line).collect()
}

/// A value as the file has it.
fn written(value: &str, form: Form) -> String {
    let is_bare = form == Form::Word && (value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok());
    if is_bare {
        return value.into();
    }
    // TOML reads the escapes of JSON, and wants one more character escaped.
    serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007f")
}
