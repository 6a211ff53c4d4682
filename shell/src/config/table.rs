//! Every setting, once: its key, its kind, its default and what it is for. Flags, environment variables and the keys
//! of the file follow from this table and from the table of limits, so they say the same
//! things.

use super::value::{self, ApiErrorMode, Form, LogFormat, LogLevel, SettingValue};
use super::{Listen, Origins, Proxies, Route};
use crate::auth::Secret;
use parlor_core::{Limit, Limits, UserLimit};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// One line of the table.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    /// As in the file.
    pub(super) name: &'static str,
    doc: &'static str,
    pub(super) heading: &'static str,
    kind: SettingKind,
}

/// What a setting is read into.
#[derive(Clone, Copy)]
enum SettingKind {
    /// A field of the settings.
    Field {
        form: Form,
        /// What is allowed, as the end of the sentence "it needs a value: …".
        allowed: &'static str,
        is_secret: bool,
        /// Takes its value from text, or says what is wrong with it and what is allowed.
        set: fn(&mut Settings, &str) -> Result<(), String>,
        show: fn(&Settings) -> Option<String>,
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

    /// Takes the value from text.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, and what is allowed.
    pub(super) fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        match self.kind {
            SettingKind::Field { set, .. } => set(settings, text),
            SettingKind::Limit(limit) => value::take_limit(settings.limits.place(limit), text),
        }
    }

    /// What stands for it in the file.
    pub(super) fn form(&self) -> Form {
        match self.kind {
            SettingKind::Field { form, .. } => form,
            SettingKind::Limit(_) => Form::Word,
        }
    }

    /// What is allowed, as the end of the sentence "it needs a value: …".
    pub(super) fn allowed(&self) -> &'static str {
        match self.kind {
            SettingKind::Field { allowed, .. } => allowed,
            SettingKind::Limit(limit) => value::allowed(Settings::default().limits.value(limit)),
        }
    }

    /// Whether no error may show its value.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, SettingKind::Field { is_secret: true, .. })
    }

    /// The value as [`Setting::set`] takes it; none where there is nothing to say.
    pub(super) fn show(&self, settings: &Settings) -> Option<String> {
        match self.kind {
            SettingKind::Field { show, .. } => show(settings),
            SettingKind::Limit(limit) => value::show_limit(settings.limits.value(limit)),
        }
    }

    /// What it is for, and what it has to be to others.
    pub(super) fn help(&self) -> String {
        let mut help = String::from(self.doc.trim().trim_end_matches('.'));
        if let SettingKind::Limit(limit) = self.kind {
            limit.relations().iter().for_each(|relation| help += &format!("; {}", relation.demand));
        }
        help
    }
}

fn assign<V: SettingValue>(place: &mut V, text: &str) -> Result<(), String> {
    *place = V::take(text)?;
    Ok(())
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr,)+) => {
        /// Everything that can be set.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $key: $kind,)+
            /// The bounds.
            pub limits: Limits,
            /// Paths that lead to rooms; in the file only, as `[[routes]]`.
            pub routes: Vec<Route>,
            /// The API key that the server generated, see [`Settings::generate_key`].
            pub generated_key: Option<Secret<String>>,
            /// What was changed in the settings as they were written: a sentence for each change.
            pub notes: Vec<String>,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($key: $default,)+
                    limits: Limits::default(),
                    routes: Vec::new(),
                    generated_key: None,
                    notes: Vec::new(),
                }
            }
        }

        /// The settings that are no limits.
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
                    show: |settings| settings.$key.show(),
                },
            },)+
        ];
    };
}

settings! {
    /// Address and port to listen on, localhost:8000 or 8000 for this machine only, or :8000 for every address; port 0 takes any free one.
    listen: Listen = Listen::Address(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8000))),
    /// Setting that backends send with every API call, at least 16 bytes in production; development mode makes one up.
    api_key: Option<Secret<String>> = None,
    /// File that api_key is read from, such as /run/secrets/api_key.
    api_key_file: Option<String> = None,
    /// Secret that clients' tokens are signed with (HS256), at least 32 bytes in production; without one, no token is valid.
    token_secret: Option<Secret<String>> = None,
    /// File that token_secret is read from, such as /run/secrets/token_secret.
    token_secret_file: Option<String> = None,
    /// What a token's aud must have; by default anything will do.
    token_audience: Option<String> = None,
    /// What a token's iss must be; by default anything will do.
    token_issuer: Option<String> = None,
    /// What happens at connections_per_user: the user's oldest connection goes (replace), or the new one (refuse).
    user_limit: UserLimit = UserLimit::Replace,
    /// What this node calls itself, in at most 200 bytes.
    node_name: String = "parlor".into(),
    /// Development mode, which allows what is said below; by default exactly where the address is loopback and no key, secret, origin or proxy is set.
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
    /// Origins of web pages that may connect, such as https://app.example.com, and no others; * is any.
    allowed_origins: Origins = Origins::default(),
    /// Where this server is reached, such as https://rooms.example.com: without allowed_origins, its own pages may connect.
    public_hosts: Origins = Origins::default(),
    /// Addresses of proxies, such as 127.0.0.1 or 10.0.0.0/8, whose Forwarded, else X-Forwarded-For and X-Forwarded-Proto, say where a client is.
    trusted_proxies: Proxies = Proxies::default(),
    /// Where API calls find out that they failed: in the HTTP status (transport) or in the body of a 200 (body).
    api_error_mode: ApiErrorMode = ApiErrorMode::Transport,
    /// How much is logged: error, warn, info, debug, trace or off.
    log_level: LogLevel = LogLevel::Info,
    /// How log lines are written: text or json.
    log_format: LogFormat = LogFormat::Text,
}
