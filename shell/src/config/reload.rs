//! Settings that were read again: what of them is in use from now on, and what only after a restart.

use super::table::Setting;
use super::{AlertEntry, ApiKeyEntry, PolicyTable, Route, Settings, TokenKeyEntry};
use crate::auth::Secret;
use std::collections::BTreeMap;

/// Settings that follow others while the server runs.
#[derive(Debug)]
pub(crate) struct FollowingSettings {
    /// The settings from now on: those that were read, with what cannot change as it was.
    pub(crate) settings: Settings,
    /// The names of those that change.
    pub(crate) changed: Vec<String>,
    /// The names of those that were read, and stay as they were until a restart.
    pub(crate) needs_restart: Vec<String>,
}

/// A setting that is read at the start alone, and how it is left as it was.
type AtStart = (&'static str, fn(&mut Settings, &Settings));

/// Sockets and threads that are made once, and what clients and receivers were told.
const AT_START: &[AtStart] = &[
    ("listen", |settings, before| settings.listen = before.listen.clone()),
    ("internal_listen", |settings, before| settings.internal_listen.clone_from(&before.internal_listen)),
    ("tls_cert", |settings, before| settings.tls_cert.clone_from(&before.tls_cert)),
    ("tls_key", |settings, before| settings.tls_key.clone_from(&before.tls_key)),
    ("token_jwks", |settings, before| settings.token_jwks.clone_from(&before.token_jwks)),
    ("node_name", |settings, before| settings.node_name.clone_from(&before.node_name)),
    ("log_level", |settings, before| settings.log_level = before.log_level.clone()),
    ("log_format", |settings, before| settings.log_format = before.log_format),
    ("input_log_bytes", |settings, before| settings.input_log_bytes = before.input_log_bytes),
    ("input_log_dir", |settings, before| settings.input_log_dir.clone_from(&before.input_log_dir)),
    ("input_log_payloads", |settings, before| settings.input_log_payloads = before.input_log_payloads),
    // Clients were told of it, and the time for an answer is shorter.
    ("ping_interval", |settings, before| settings.limits.ping_interval = before.limits.ping_interval),
    ("pong_timeout", |settings, before| settings.limits.pong_timeout = before.limits.pong_timeout),
    // Revocations that hold until the end of a token were made with it.
    ("token_leeway", |settings, before| settings.limits.token_leeway = before.limits.token_leeway),
];

impl Settings {
    /// These settings, which were read again, in place of those before.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and that nothing changes.
    pub(crate) fn following(mut self, before: &Self) -> Result<FollowingSettings, String> {
        self.check()?;
        let mut needs_restart = Vec::new();
        for (name, keep) in AT_START {
            if !self.has_same(before, name) {
                needs_restart.push(String::from(*name));
                keep(&mut self, before);
            }
        }
        needs_restart.extend(self.keep_namespaces(before));
        if !self.has_api_key() {
            self.generated_key.clone_from(&before.generated_key);
            self.console_key.clone_from(&before.console_key);
        }
        if self.is_dev() != before.is_dev() {
            let name = |is_dev: bool| if is_dev { "development mode" } else { "production mode" };
            let (now, then) = (name(self.is_dev()), name(before.is_dev()));
            return Err(format!("the settings are those of {now} now, and the server runs in {then}: restart it"));
        }
        self.check().map_err(|wrong| {
            let kept = needs_restart.join(", ");
            format!("{wrong}; the server has to be restarted, since it goes on with what it has of {kept}")
        })?;
        let changed = Setting::all().filter(|setting| !self.has_same(before, setting.name)).map(|it| it.name.into());
        let changed = changed.chain(self.changed_tables(before)).collect();
        Ok(FollowingSettings { settings: self, changed, needs_restart })
    }

    fn has_same(&self, before: &Self, name: &str) -> bool {
        let setting = Setting::all().find(|setting| setting.name == name).expect("a setting of the table");
        let secrets = |settings: &Self| match name {
            "api_key" => settings.api_key.as_ref().map(Secret::expose).cloned(),
            "token_secret" => settings.token_secret.as_ref().map(Secret::expose).cloned(),
            _ => None,
        };
        setting.to_text(self) == setting.to_text(before) && secrets(self) == secrets(before)
    }

    /// Leaves the namespaces that there were, since rooms may have members there. Returns the names of those that are kept.
    fn keep_namespaces(&mut self, before: &Self) -> Vec<String> {
        if self.namespaces.is_empty() != before.namespaces.is_empty() {
            self.namespaces.clone_from(&before.namespaces);
            return vec!["namespaces".into()];
        }
        let mut kept = Vec::new();
        for (name, table) in before.namespaces.iter().filter(|(name, _)| !name.is_empty()) {
            if !self.namespaces.contains_key(name) {
                self.namespaces.insert(name.clone(), table.clone());
                kept.push(namespace(name));
            }
        }
        kept
    }

    /// The tables of the file that differ, wherever they stand in it.
    fn changed_tables(&self, before: &Self) -> Vec<String> {
        let tables = [
            ("routes", differ(&self.routes, &before.routes, Route::content)),
            ("token_keys", differ(&self.token_keys, &before.token_keys, TokenKeyEntry::content)),
            ("api_keys", differ(&self.api_keys, &before.api_keys, ApiKeyEntry::content)),
            ("alerts", differ(&self.alerts, &before.alerts, AlertEntry::content)),
            ("personal", texts(&self.personal) != texts(&before.personal)),
        ];
        let tables = tables.into_iter().filter(|(_, is_other)| *is_other).map(|(name, _)| name.into());
        let is_other = |(name, table): &(&String, &PolicyTable)| {
            before.namespaces.get(*name).is_none_or(|known| texts(known) != texts(table))
        };
        let others = self.namespaces.iter().filter(is_other).map(|(name, _)| name);
        let gone = before.namespaces.keys().filter(|name| !self.namespaces.contains_key(*name));
        tables.chain(others.chain(gone).map(|name| namespace(name))).collect()
    }
}

/// The name of a namespace's table; the one for names without a prefix has none.
fn namespace(name: &str) -> String {
    if name.is_empty() { "namespaces.\"\"".into() } else { format!("namespaces.{name}") }
}

/// Whether tables say something else, wherever they stand.
fn differ<'t, T, C: PartialEq>(now: &'t [T], before: &'t [T], content: fn(&'t T) -> C) -> bool {
    !now.iter().map(content).eq(before.iter().map(content))
}

/// The values of a table, wherever they stand in it.
fn texts(table: &PolicyTable) -> BTreeMap<&'static str, &str> {
    table.values().iter().map(|value| (value.key.name, value.text.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_at_the_start_alone_is_a_setting() {
        let named: Vec<&str> = AT_START.iter().map(|(name, _)| *name).collect();
        assert!(named.iter().all(|name| Setting::all().any(|setting| setting.name == *name)), "{named:?}");
    }
}
