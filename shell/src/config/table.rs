//! The table of settings: name, kind, default and purpose of each. Flags, environment variables, keys of the file and
//! `--help` follow from this table and from the core's table of limits.

#![allow(rustdoc::bare_urls, reason = "the docs of settings are the text of --help, too")]

use super::log_levels::LogLevels;
use super::text_file::without_newline;
use super::value::{self, ApiErrorMode, Form, LogFormat, LogLevel, SettingValue};
use super::{AlertEntry, ApiKeyEntry, Listen, Origins, Place, PolicyTable, Proxies, Route, TokenKeyEntry};
use crate::auth::Secret;
use crate::net::http_url::HttpUrl;
use crate::runtime::key_fetcher::JwksTimes;
use parlor_core::policy::Glob;
use parlor_core::{Limit, Limits, UserLimit, Who};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// One row of the table.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    /// The key in the file.
    pub(super) name: &'static str,
    doc: &'static str,
    pub(super) heading: &'static str,
    kind: SettingKind,
}

/// The place that a setting is stored in.
#[derive(Clone, Copy)]
enum SettingKind {
    /// A field of the settings.
    Field {
        form: Form,
        /// The allowed values, as the end of the sentence "it needs a value: …".
        allowed: &'static str,
        is_secret: bool,
        /// Parses the value, or says what is wrong with it and what is allowed.
        set: fn(&mut Settings, &str) -> Result<(), String>,
        to_text: fn(&Settings) -> Option<String>,
    },
    /// A limit.
    Limit(Limit),
}

impl Setting {
    /// Every setting, in the order of `--help`.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let limit = |limit: &Limit| Self {
            name: limit.name(),
            doc: limit.doc(),
            heading: "Limits",
            kind: SettingKind::Limit(*limit),
        };
        FIELDS.iter().copied().chain(Limit::ALL.iter().map(limit))
    }

    /// Parses the value and stores it in the settings.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and what is allowed.
    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        match self.kind {
            SettingKind::Field { set, .. } => set(settings, text),
            SettingKind::Limit(limit) => value::parse_limit(settings.limits.value_mut(limit), text),
        }
    }

    /// Sets it to what was written at a place, and remembers the place.
    ///
    /// # Errors
    /// A sentence that says where it was, what is wrong, and what is allowed.
    pub(super) fn assign(&self, settings: &mut Settings, text: &str, place: Place) -> Result<(), String> {
        let trimmed = without_newline(text);
        if trimmed.is_some() {
            settings.notes.push(format!("{place} ends with a newline, which is left out"));
        }
        self.set(settings, trimmed.unwrap_or(text)).map_err(|wrong| format!("{place}: {wrong}"))?;
        settings.places.insert(self.name, place);
        Ok(())
    }

    /// The form of its value in the file.
    pub(super) fn form(&self) -> Form {
        match self.kind {
            SettingKind::Field { form, .. } => form,
            SettingKind::Limit(_) => Form::Word,
        }
    }

    /// The allowed values, as the end of the sentence "it needs a value: …".
    pub(super) fn allowed(&self) -> &'static str {
        match self.kind {
            SettingKind::Field { allowed, .. } => allowed,
            SettingKind::Limit(limit) => value::allowed(Settings::default().limits.value(limit)),
        }
    }

    /// Whether the value must not be in an error.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, SettingKind::Field { is_secret: true, .. })
    }

    /// The value in the form that [`Setting::set`] parses. None for a secret, and where nothing is set.
    pub(super) fn to_text(self, settings: &Settings) -> Option<String> {
        match self.kind {
            SettingKind::Field { to_text, .. } => to_text(settings),
            SettingKind::Limit(limit) => value::limit_to_text(settings.limits.value(limit)),
        }
    }

    /// Its purpose, and its required relations to other settings.
    pub(super) fn help(&self) -> String {
        let mut help = String::from(self.doc.trim().trim_end_matches('.'));
        if let SettingKind::Limit(limit) = self.kind {
            limit.relations().iter().for_each(|relation| help += &format!("; {}", relation.rule));
        }
        help
    }
}

fn assign<V: SettingValue>(value: &mut V, text: &str) -> Result<(), String> {
    *value = V::parse_or_explain(text)?;
    Ok(())
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr,)+) => {
        /// All settings of the server.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $key: $kind,)+
            /// The limits.
            pub limits: Limits,
            /// Paths that lead to rooms; in the file only, as `[[routes]]`.
            pub routes: Vec<Route>,
            /// Keys that tokens may be signed with beside `token_secret`; in the file only, as `[[token_keys]]`.
            pub token_keys: Vec<TokenKeyEntry>,
            /// Keys of backends beside `api_key`; in the file only, as `[[api_keys]]`.
            pub api_keys: Vec<ApiKeyEntry>,
            /// Alerts that the server raises and clears by itself; in the file only, as `[[alerts]]`.
            pub alerts: Vec<AlertEntry>,
            /// Policies of rooms whose names have a prefix, or have none (`""`); in the file only, as
            /// `[namespaces.chat]`.
            pub namespaces: BTreeMap<String, PolicyTable>,
            /// Policy of personal rooms; in the file only, as `[personal]`.
            pub personal: PolicyTable,
            /// The file that was read; none where no file was named.
            pub file: Option<String>,
            /// Where each setting was written, by its name; without those that were not.
            pub places: BTreeMap<&'static str, Place>,
            /// The times at which `token_jwks` is fetched, which are fixed but for tests.
            pub jwks_times: JwksTimes,
            /// The API key that the server generated, see [`Settings::generate_key`].
            pub generated_key: Option<Secret<String>>,
            /// The API key that the console is given in development mode, see [`Settings::generate_key`].
            pub console_key: Option<Secret<String>>,
            /// Changes that loading made to values as they were written: a sentence for each.
            pub notes: Vec<String>,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($key: $default,)+
                    limits: Limits::default(),
                    routes: Vec::new(),
                    token_keys: Vec::new(),
                    api_keys: Vec::new(),
                    alerts: Vec::new(),
                    namespaces: BTreeMap::new(),
                    personal: PolicyTable::default(),
                    file: None,
                    places: BTreeMap::new(),
                    jwks_times: JwksTimes::default(),
                    generated_key: None,
                    console_key: None,
                    notes: Vec::new(),
                }
            }
        }

        /// The settings that are not limits.
        const FIELDS: &[Setting] = &[
            $(Setting {
                name: stringify!($key),
                doc: concat!($($doc),+),
                heading: "Server",
                kind: SettingKind::Field {
                    form: <$kind as SettingValue>::FORM,
                    allowed: <$kind as SettingValue>::ALLOWED,
                    is_secret: <$kind as SettingValue>::IS_SECRET,
                    set: |settings, text| assign(&mut settings.$key, text),
                    to_text: |settings| settings.$key.to_text(),
                },
            },)+
        ];
    };
}

settings! {
    /// Addresses with ports to listen on: localhost:8000 or 8000 for this machine only, :8000 for every address; port 0 takes any free one.
    listen: Listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)).into(),
    /// Addresses with ports, written as in listen, which alone then answer what is for backends and operators: /api, and without a key /health, /metrics and /openapi.json. They speak plain HTTP. By default listen answers everything.
    internal_listen: Option<Listen> = None,
    /// File with the certificate by which the server speaks TLS at every address of listen, in PEM, with its chain, the server's own first; by default it speaks none. It is read again when it changes, and on SIGHUP.
    tls_cert: Option<String> = None,
    /// File with the private key of tls_cert, in PEM.
    tls_key: Option<String> = None,
    /// Key that backends send with every API call, at least 16 bytes in production; development mode generates one. It may do everything; the file may have more keys, with fewer rights (api_keys).
    api_key: Option<Secret<String>> = None,
    /// File that api_key is read from, such as /run/secrets/api_key.
    api_key_file: Option<String> = None,
    /// Secret that clients' tokens are signed with (HS256, HS384 or HS512), at least 32 bytes in production. The file may have more keys (token_keys); without any, no token is valid.
    token_secret: Option<Secret<String>> = None,
    /// File that token_secret is read from, such as /run/secrets/token_secret.
    token_secret_file: Option<String> = None,
    /// URL of a JWKS, such as https://login.example.com/.well-known/jwks.json, with the public keys of tokens (RS256, ES256 or EdDSA). It is fetched at the start, every 10 minutes, and when a token has a kid that is not known.
    token_jwks: Option<HttpUrl> = None,
    /// Audience that a token must have in aud; by default any, or none.
    token_audience: Option<String> = None,
    /// Issuer that a token must have in iss; by default any, or none.
    token_issuer: Option<String> = None,
    /// Connection that is closed at connections_per_user: the user's oldest one (replace) or the new one (refuse).
    user_limit: UserLimit = UserLimit::Replace,
    /// Name of this node, at most 200 bytes.
    node_name: String = "parlor".into(),
    /// Whether development mode is on, see below; by default where the address is loopback and no key, secret, origin or proxy is set.
    dev: Option<bool> = None,
    /// Whether clients may connect without a token; by default only in development mode.
    allow_anonymous: Option<bool> = None,
    /// Whether clients may join rooms by naming them; by default yes.
    allow_subscribe: Option<bool> = None,
    /// Whether members of a room may publish to it; by default only in development mode.
    allow_publish: Option<bool> = None,
    /// Whether members of a room may read its history; by default only in development mode.
    allow_history: Option<bool> = None,
    /// Whether members of a room may see who is in it; by default only in development mode.
    allow_presence: Option<bool> = None,
    /// Who may join a room by naming it: nobody, token, users or anyone; by default anyone. The same as allow_subscribe, with more values.
    subscribe: Option<Who> = None,
    /// Who may publish to a room; by default members in development mode, else token. The same as allow_publish, with more values.
    publish: Option<Who> = None,
    /// Who may read the history of a room; by default members in development mode, else token. The same as allow_history, with more values.
    history: Option<Who> = None,
    /// Who may see who is in a room; by default members in development mode, else token. The same as allow_presence, with more values.
    presence: Option<Who> = None,
    /// Whether the members of a room can be listed and counted.
    presence_list: bool = true,
    /// Whether members of a room may be told who joins and leaves.
    join_leave: bool = true,
    /// Time for which a user whose connection has ended stays listed in its rooms, at most 15s; 0s for none.
    presence_grace: Duration = Duration::ZERO,
    /// Pattern that names of rooms must match, except those of personal rooms, with * for any characters and ? for one; by default none.
    name_pattern: Option<Glob> = None,
    /// Origins of web pages that may connect, such as https://app.example.com, and no others; * is any.
    allowed_origins: Origins = Origins::default(),
    /// Hosts of this server, such as https://rooms.example.com: without allowed_origins, pages of these hosts may connect to them.
    public_hosts: Origins = Origins::default(),
    /// Addresses of proxies, such as 127.0.0.1 or 10.0.0.0/8, whose Forwarded, else X-Forwarded-For and X-Forwarded-Proto, give a client's address and scheme.
    trusted_proxies: Proxies = Proxies::default(),
    /// How an API call reports an error: by the HTTP status (transport) or in the body of a 200 (body).
    api_error_mode: ApiErrorMode = ApiErrorMode::Transport,
    /// Whether the console is served: the page at / which shows what happens on the server, by the rights of an API key. With internal_listen, it is there alone.
    console: bool = true,
    /// Time from the signal to stop, at which the server is not ready any more, until it refuses what comes; none in development mode.
    drain_delay: Duration = Duration::from_secs(5),
    /// Whether /health/ready is 503 also where a limit of the whole server is reached, which otherwise is 200 with the word degraded.
    ready_strict: bool = false,
    /// Least severe level that is logged: error, warn, info, debug, trace or off; areas may have another, as in info, connections=debug.
    log_level: LogLevels = LogLevel::Info.into(),
    /// Format of log lines: text or json.
    log_format: LogFormat = LogFormat::Text,
    /// Bytes of the input log, which is kept in memory: the last of everything that goes into the state machine, by which any moment can be run again, where input_log_dir is set; 0 for none.
    input_log_bytes: usize = 16 << 20,
    /// Folder that input logs are written to, when an operator asks for one and when an invariant does not hold. It must exist, and be writable for nobody else; by default none is written.
    input_log_dir: Option<String> = None,
    /// Whether input logs have the payloads of messages, in place of filler of the same length.
    input_log_payloads: bool = false,
}
