//! The two modes, development and production: which one a server is in, and what production requires of its secrets.

use super::{ApiKeyEntry, Listen, ListenerKind, Settings, TokenKeyEntry};
use crate::auth;
use crate::auth::Secret;
use parlor_core::Address;
use std::net::IpAddr;

/// The least bytes of an API key in production.
pub const API_KEY_BYTES: usize = 16;
/// The least bytes of `token_secret` in production: as many as its hash has (RFC 7518 section 3.2).
pub const TOKEN_SECRET_BYTES: usize = 32;

/// Whether a setting was set.
type IsSet = fn(&Settings) -> bool;

/// Settings of a server that others reach, directly or through a proxy. Any of them ends development mode.
const PUBLIC: &[(&str, IsSet)] = &[
    ("api_key", |settings| settings.api_key.is_some()),
    ("api_keys", |settings| !settings.api_keys.is_empty()),
    ("token_secret", |settings| settings.token_secret.is_some()),
    ("token_keys", |settings| !settings.token_keys.is_empty()),
    ("token_jwks", |settings| settings.token_jwks.is_some()),
    ("allowed_origins", |settings| !settings.allowed_origins.is_empty()),
    ("public_hosts", |settings| !settings.public_hosts.is_empty()),
    ("trusted_proxies", |settings| !settings.trusted_proxies.is_empty()),
    ("internal_listen", |settings| settings.internal_listen.is_some()),
];

/// The section of `--help` about the two modes.
pub(super) fn help() -> String {
    format!(
        "Development mode\n  \
           It is on where dev = true, else where the server listens on loopback and none of {public} is set. \
           dev = true is refused on an address that others can reach. In development mode\n  \
           - clients need no token, and may join any room whose name does not begin with # \
             (allow_anonymous, and allow_subscribe or subscribe);\n  \
           - members of a room may publish to it, read its history and see who is in it \
             (allow_publish, allow_history, allow_presence, or with more values publish, history, presence);\n  \
           - pages from localhost, *.localhost or a loopback address may connect, and those that allowed_origins names; \
             programs, which send no Origin, may connect, too;\n  \
           - limits by address do not count sockets, TLS handshakes, new connections and wrong API keys from loopback addresses \
             (http_connections_per_ip, new_handshakes_per_ip, new_connections_per_ip, wrong_keys_per_ip);\n  \
           - an API key is generated and printed where none is set, and the console needs none;\n  \
           - /health, /metrics and /openapi.json need no API key;\n  \
           - API keys and token_secret may be short;\n  \
           - there is no warning about a low limit of open files.\n  \
           These are the defaults. A setting that is named here changes what it is named for, and holds in both modes: \
           allow_publish = false also holds in development mode.\n\n\
         Production mode\n  \
           It is on everywhere else. By default, clients need a token, may join any room whose name does not begin with #, \
           and only receive. Settings change each of these: allow_anonymous, allow_subscribe, allow_publish, allow_history \
           and allow_presence, or with more values subscribe, publish, history and presence. \
           /health, /metrics and /openapi.json need an API key, except at internal_listen. trusted_proxies report the addresses of clients. A page may connect if \
           allowed_origins names its origin; without that setting, if its origin is one of public_hosts and the host that \
           it connects to; without either, if its host and port are those in the request's Host. API calls need api_key or \
           one of api_keys, of at least {API_KEY_BYTES} bytes, without which an address that others can reach is refused; \
           token_secret has at least {TOKEN_SECRET_BYTES} bytes.",
        public = list(PUBLIC.iter().map(|(name, _)| *name).collect()),
    )
}

impl Settings {
    /// Whether the server is in development mode: it listens on loopback, and either `dev` is true, or `dev` is not set and
    /// neither is any setting of a server that others reach.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.others_reach().is_empty() && self.dev.unwrap_or_else(|| PUBLIC.iter().all(|(_, is_set)| !is_set(self)))
    }

    /// The addresses that others can reach, as they were written, with the setting that each is in.
    fn others_reach(&self) -> Vec<(ListenerKind, String)> {
        let internal = self.internal_listen.iter().map(|listen| (ListenerKind::Internal, listen.public()));
        let all = [(ListenerKind::Public, self.listen.public())].into_iter().chain(internal);
        all.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }

    /// The mode of the server and the reason, as the first line of its output says it.
    #[must_use]
    pub fn mode(&self) -> String {
        let set: Vec<&str> = PUBLIC.iter().filter(|(_, is_set)| is_set(self)).map(|(name, _)| *name).collect();
        let production = |why: &str| format!("production mode, since {why}");
        let development =
            |why: &str| format!("development mode, since {why}: any client that can connect may do everything");
        let reached: Vec<String> = self.others_reach().into_iter().map(|(_, addresses)| addresses).collect();
        match self.dev {
            _ if !reached.is_empty() => production(&format!("others can reach {}", reached.join(", "))),
            Some(true) => development("dev = true"),
            Some(false) => production("dev = false"),
            None if set.is_empty() => {
                let unset = list(PUBLIC.iter().map(|(name, _)| *name).collect());
                development(&format!("it listens on loopback and sets none of {unset}"))
            }
            None if set.len() == 1 => production(&format!("{} is set", set[0])),
            None => production(&format!("{} are set", list(set))),
        }
    }

    /// Whether limits of sockets by address apply to this address. They do not apply to a trusted proxy, which serves many
    /// clients, nor in development mode to this machine.
    #[must_use]
    pub fn counts_sockets_of(&self, address: IpAddr) -> bool {
        !self.trusted_proxies.contains(address) && self.counts_wrong_keys_of(address)
    }

    /// Whether wrong API keys from this address are limited: all but those of this machine in development mode.
    #[must_use]
    pub fn counts_wrong_keys_of(&self, address: IpAddr) -> bool {
        !(self.is_dev() && Address::from(address).is_loopback())
    }

    /// The API key that may do everything: the configured one, else the generated one.
    #[must_use]
    pub fn key(&self) -> Option<&Secret<String>> {
        self.api_key.as_ref().or(self.generated_key.as_ref())
    }

    /// Whether an API key is set.
    pub(super) fn has_api_key(&self) -> bool {
        self.api_key.is_some() || !self.api_keys.is_empty()
    }

    /// The addresses of this kind; None where there are none.
    #[must_use]
    pub fn listeners(&self, kind: ListenerKind) -> Option<&Listen> {
        match kind {
            ListenerKind::Public => Some(&self.listen),
            ListenerKind::Internal => self.internal_listen.as_ref(),
        }
    }

    /// Generates the API keys of this run, in development mode where none is set: one, and another for the console, which
    /// nobody has to type in. They do not end development mode.
    pub fn generate_key(&mut self) {
        if self.is_dev() && !self.has_api_key() {
            self.generated_key = Some(auth::generate_key());
            self.console_key = Some(auth::generate_key());
        }
    }

    /// Checks the address and the secrets against the mode. Returns a sentence for each contradiction.
    pub(super) fn check_mode(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        for (kind, public) in self.others_reach() {
            if self.dev == Some(true) {
                wrongs.push(format!("dev = true is allowed on loopback addresses only, and {public} is not one"));
            }
            if !self.has_api_key() {
                let setting = kind.setting();
                let (flag, port) = (setting.replace('_', "-"), self.listeners(kind).map_or(0, Listen::port));
                wrongs.push(format!(
                    "others can reach {public} ({setting}), so the server needs an API key: set --api-key, \
                     PARLOR_API_KEY, or api_key or api_keys in the file; --{flag} localhost:{port} is for this machine \
                     only"
                ));
            }
        }
        self.api_key.iter().for_each(|key| wrongs.extend(self.check_api_key("api_key", key)));
        for ApiKeyEntry { key, place, .. } in &self.api_keys {
            wrongs.extend(self.check_api_key(&format!("{place}: key"), key));
        }
        if !self.is_dev() {
            wrongs.extend(check_length("token_secret", self.token_secret.as_ref(), TOKEN_SECRET_BYTES).err());
            for TokenKeyEntry { secret, place, .. } in &self.token_keys {
                wrongs.extend(check_length(&format!("{place}: secret"), secret.as_ref(), TOKEN_SECRET_BYTES).err());
            }
        }
        wrongs
    }

    /// Checks that calls can have a key in their head, and its length against the mode.
    fn check_api_key(&self, name: &str, key: &Secret<String>) -> Vec<String> {
        let (length, most) = (key.expose().len(), self.limits.header_bytes);
        let mut wrongs = Vec::from_iter(check_header(name, key).err());
        if length >= most {
            wrongs.push(format!(
                "{name} has {length} bytes; it must have fewer than header_bytes = {most}, which bound the head of a call"
            ));
        }
        if !self.is_dev() {
            wrongs.extend(check_length(name, Some(key), API_KEY_BYTES).err());
        }
        wrongs
    }
}

/// "a", "a and b", "a, b and c".
fn list(mut names: Vec<&str>) -> String {
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last.into() } else { format!("{} and {last}", names.join(", ")) }
}

/// Checks that a value can be sent in a header unchanged (RFC 9110 section 5.5).
fn check_header(name: &str, secret: &Secret<String>) -> Result<(), String> {
    let value = secret.expose();
    let wrong = if value.trim() != value {
        "begins or ends with white space, which is lost in a header"
    } else if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        "has characters that cannot be sent in a header"
    } else {
        return Ok(());
    };
    Err(format!("{name} {wrong}, so that no call could match it; allowed are visible ASCII characters"))
}

/// Checks that a secret has at least `least` bytes, where it is set.
fn check_length(name: &str, secret: Option<&Secret<String>>, least: usize) -> Result<(), String> {
    match secret.map(|secret| secret.expose().len()) {
        Some(length) if length < least => Err(format!(
            "{name} has {length} bytes and must have at least {least} outside development mode; \
             `openssl rand -hex {least}` makes one, and dev = true on a loopback address allows any"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Setting;
    use super::*;

    #[test]
    fn every_setting_of_a_server_for_others_ends_development_mode() {
        let others = ["allowed_origins", "public_hosts", "trusted_proxies", "internal_listen"];
        for name in ["api_key", "token_secret", "token_jwks"].into_iter().chain(others) {
            let (known, ends) =
                (Setting::all().any(|key| key.name == name), PUBLIC.iter().any(|(public, _)| *public == name));
            assert_eq!(known, ends, "{name}");
        }
    }
}
