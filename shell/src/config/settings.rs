//! The settings as a whole: loaded, checked against each other, and turned into the configuration of the core.

use super::api_keys::SHORT_FORM;
use super::namespaces::can_begin;
use super::place::Place;
use super::route::Route;
use super::sources::{self, LoadError, Loaded};
use super::table::Settings;
use super::{API_KEYS, AlertEntry, ApiKeyEntry, Listen, ListenerKind, LogArea, LogLevel, TOKEN_KEYS, TokenKeyEntry};
use crate::auth::{ApiKey, ApiKeys, KeyRights, Secret, TokenVerifier};
use crate::net::certificate::ServerCertificate;
use crate::net::handed_sockets::HandedSockets;
use crate::net::http_url::HttpUrl;
use parlor_core::Config;
use parlor_core::admission::route::{PLACEHOLDER, Routes, is_id};
use parlor_core::config::NODE_BYTES;
use parlor_core::names::{self, BadName};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

/// The name of the key that the console has in development mode where another one is set.
const CONSOLE_KEY: &str = "console";

impl Settings {
    /// Loads the settings from the command line, the environment and the file that they name.
    ///
    /// On `--help`, `--version` and an invalid command line, prints the text and ends the process.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and what is allowed.
    pub fn load(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, String> {
        let Loaded { settings, wrongs, .. } =
            sources::load(arguments, environment, Vec::new()).map_err(LoadError::into_message)?;
        match wrongs.into_iter().next() {
            Some(wrong) => Err(wrong),
            None => settings.check().map(|()| settings),
        }
    }

    /// Has the server listen on sockets that a service manager has handed over, in place of `listen` and `internal_listen`.
    /// Who can reach them decides the mode, as with those.
    ///
    /// # Errors
    /// A sentence that says what is wrong with them.
    pub fn listen_on(&mut self, handed: &HandedSockets) -> Result<(), String> {
        let of = |kind| Listen::of_sockets(&handed.addresses(kind).map_err(|error| error.to_string())?);
        if let Some(listen) = of(ListenerKind::Public)? {
            self.listen = listen;
        }
        if let Some(listen) = of(ListenerKind::Internal)? {
            self.internal_listen = Some(listen);
        }
        self.check()
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    /// A sentence that names the settings that contradict each other, and what to set.
    pub fn check(&self) -> Result<(), String> {
        self.contradictions().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything in the settings that contradicts itself: a sentence for each.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let mut wrongs = self.check_mode();
        wrongs.extend(self.check_internal_listen().err());
        wrongs.extend(self.check_public_hosts().err());
        wrongs.extend(self.check_node_name().err());
        wrongs.extend(self.check_certificate_pair().err());
        wrongs.extend(self.limits.contradictions());
        wrongs.extend(self.check_token_keys());
        wrongs.extend(self.check_api_keys());
        wrongs.extend(AlertEntry::contradictions(&self.alerts));
        let mut wrongs: Vec<String> = wrongs.into_iter().map(|wrong| self.with_lines(wrong)).collect();
        wrongs.extend(self.check_policies());
        wrongs.extend(self.paths(&self.rules()).1);
        wrongs
    }

    /// A sentence with the lines of the file that set what it names.
    fn with_lines(&self, mut sentence: String) -> String {
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let words: BTreeSet<&str> = sentence.split(|character| !is_word(character)).collect();
        let lines: Vec<String> = words
            .into_iter()
            .filter_map(|word| self.places.get(word))
            .filter(|place| matches!(place, Place::Line { .. }))
            .map(Place::to_string)
            .collect();
        if !lines.is_empty() {
            sentence += &format!(" ({})", lines.join("; "));
        }
        sentence
    }

    /// Warnings about valid settings that probably do not do what was meant: a sentence for each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.notes.clone();
        if !self.has_token_key() && !self.admits_anonymous() {
            warnings.push(
                "no client can connect: set token_secret, token_keys or token_jwks, or allow_anonymous = true".into(),
            );
        }
        if !self.has_api_key() && !self.is_dev() {
            warnings.push("no API call can be made: set api_key or api_keys".into());
        }
        if self.token_secret.as_ref().is_some_and(|secret| secret.expose().trim() != secret.expose()) {
            warnings.push(
                "token_secret begins or ends with white space, which is part of the secret that signs tokens".into(),
            );
        }
        let is_open = |url: &HttpUrl| !url.is_https() && !url.is_loopback();
        if let Some(url) = self.token_jwks.as_ref().filter(|url| is_open(url)) {
            warnings.push(format!(
                "token_jwks: {url} is fetched over plain HTTP: an attacker who can change the answer can make tokens; use \
                 https:// unless the network is trusted"
            ));
        }
        warnings.extend(self.alerts.iter().filter_map(|entry| {
            let url = entry.url.as_ref().map(Secret::expose).filter(|url| is_open(url))?;
            Some(format!(
                "{}: {} is told over plain HTTP, where others can read it: use https:// unless the network is trusted",
                entry.place,
                url.server()
            ))
        }));
        if !self.public_hosts.is_empty() && (self.is_dev() || !self.allowed_origins.is_empty()) {
            warnings.push(
                "public_hosts is only for production mode without allowed_origins, and has no effect here".into(),
            );
        }
        if !self.is_dev() && self.allowed_origins.is_empty() && self.public_hosts.is_empty() {
            warnings.push(
                "a page may connect where its origin is the request's Host, which DNS rebinding can forge: set \
                 public_hosts to the hosts of this server, such as https://rooms.example.com, or allowed_origins"
                    .into(),
            );
        }
        let exposed = self.internal_listen.as_ref().map(Listen::exposed).filter(|exposed| !exposed.is_empty());
        warnings.extend(exposed.map(|exposed| {
            format!(
                "other networks may reach {exposed} (internal_listen), which answers /health and /metrics without an API \
                 key and takes API keys over plain HTTP: have a firewall keep them away, or listen on a private address"
            )
        }));
        warnings
    }

    /// The configuration of the core.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn core(&self) -> Result<Config, String> {
        self.check().map(|()| self.checked_core())
    }

    /// The configuration of the core, of settings that were checked.
    pub(crate) fn checked_core(&self) -> Config {
        let rules = self.rules();
        Config {
            user_limit: self.user_limit,
            spares_loopback: self.is_dev(),
            routes: self.paths(&rules).0,
            node: self.node_name.clone(),
            version: crate::VERSION.into(),
            tells_steps: self.log_level.of(LogArea::Connections) >= LogLevel::Debug,
            ..rules
        }
    }

    /// The certificate and the key of `tls_cert` and `tls_key`; None where the server speaks no TLS.
    ///
    /// # Errors
    /// A sentence that names the setting and the file.
    pub fn certificate(&self) -> Result<Option<ServerCertificate>, String> {
        self.check_certificate_pair()?;
        let Some((cert, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) else { return Ok(None) };
        ServerCertificate::load(cert, key).map(Some).map_err(|wrong| self.with_lines(wrong))
    }

    /// Checks that a certificate comes with its key.
    fn check_certificate_pair(&self) -> Result<(), String> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), Some(_)) | (None, None) => Ok(()),
            (Some(_), None) => Err("tls_cert has no key; set tls_key to the file of its private key".into()),
            (None, Some(_)) => Err("tls_key has no certificate; set tls_cert to the file of its certificate".into()),
        }
    }

    /// Checks that no address is both for clients and for backends and operators.
    fn check_internal_listen(&self) -> Result<(), String> {
        let taken = self.internal_listen.as_ref().map(|internal| internal.taken_by(&self.listen)).unwrap_or_default();
        if taken.is_empty() {
            return Ok(());
        }
        Err(format!("internal_listen: {taken} is among the addresses of listen already; give it another port"))
    }

    /// Checks `node_name`, which is in every connect reply and in the log.
    fn check_node_name(&self) -> Result<(), String> {
        let bytes = self.node_name.len();
        if bytes > NODE_BYTES {
            return Err(format!("node_name has {bytes} bytes; it must have at most {NODE_BYTES}"));
        }
        names::check(&self.node_name, NODE_BYTES).map_err(|wrong| format!("node_name: {wrong}"))
    }

    /// Whether tokens can be verified, be it with keys that have to be fetched.
    fn has_token_key(&self) -> bool {
        self.has_own_token_key() || self.token_jwks.is_some()
    }

    /// Whether tokens can be verified without a key that has to be fetched.
    #[must_use]
    pub(crate) fn has_own_token_key(&self) -> bool {
        self.token_secret.is_some() || !self.token_keys.is_empty()
    }

    /// The verifier of tokens: with `token_secret` and `token_keys`, and without those of `token_jwks`, for `token_audience` and
    /// `token_issuer`.
    #[must_use]
    pub(crate) fn token_verifier(&self) -> TokenVerifier {
        TokenVerifier::new(self.token_secret.as_ref().map(|secret| secret.expose().as_str()))
            .with_keys(self.token_keys.iter().map(|entry| entry.key.clone()))
            .requiring(self.token_audience.as_deref(), self.token_issuer.as_deref())
    }

    /// The API keys: the one that may do everything, which is configured or generated, and those of the file.
    #[must_use]
    pub fn api_key_set(&self) -> ApiKeys {
        let main = self.key().map(|key| ApiKey::new(SHORT_FORM, key, KeyRights::default()));
        let console = self
            .console_key
            .iter()
            .filter(|_| self.console)
            .map(|key| ApiKey::new(CONSOLE_KEY, key, KeyRights::default()));
        ApiKeys::new(main.into_iter().chain(console).chain(self.api_keys.iter().map(ApiKeyEntry::api_key)).collect())
    }

    /// Checks the API keys against each other. Returns a sentence for each contradiction.
    fn check_api_keys(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        let count = self.api_keys.len() + usize::from(self.api_key.is_some());
        if count > API_KEYS {
            wrongs.push(format!("there are {count} API keys, api_key among them; expected at most {API_KEYS}"));
        }
        let mut names: BTreeSet<&str> = self.api_key.iter().map(|_| SHORT_FORM).collect();
        let mut keys: BTreeSet<&str> = self.api_key.iter().map(|key| key.expose().as_str()).collect();
        for ApiKeyEntry { name, key, place, .. } in &self.api_keys {
            if !names.insert(name) {
                wrongs.push(format!("{place}: another API key has the name {name:?}"));
            }
            // Which of the two a call is made with could not be told.
            if !keys.insert(key.expose()) {
                wrongs.push(format!("{place}: the key of {name:?} is that of another API key, too"));
            }
        }
        wrongs
    }

    /// Checks the keys of tokens against each other. Returns a sentence for each contradiction.
    fn check_token_keys(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        let others = [self.token_secret.is_some(), self.token_jwks.is_some()];
        let count = self.token_keys.len() + others.into_iter().filter(|is_set| *is_set).count();
        if count > TOKEN_KEYS {
            let words = "keys of tokens, token_secret and token_jwks among them; expected at most";
            wrongs.push(format!("there are {count} {words} {TOKEN_KEYS}"));
        }
        let mut kids = BTreeSet::new();
        for TokenKeyEntry { key, place, .. } in &self.token_keys {
            if let Some(kid) = key.kid().filter(|kid| !kids.insert(*kid)) {
                wrongs.push(format!("{place}: another key has the kid {kid:?}"));
            }
        }
        wrongs
    }

    /// Checks that `public_hosts` names hosts by which pages are served.
    fn check_public_hosts(&self) -> Result<(), String> {
        let hosts = &self.public_hosts;
        if hosts.any {
            return Err("public_hosts must name hosts; allowed_origins = * lets any page connect".into());
        }
        match hosts.iter().find(|host| !host.is_http()) {
            Some(host) => {
                Err(format!("public_hosts: {host} never matches: a host is written with http:// or https://"))
            }
            None => Ok(()),
        }
    }

    /// Whether a client may be connected without a token: as set, else only in development mode.
    fn admits_anonymous(&self) -> bool {
        self.allow_anonymous.unwrap_or(self.is_dev())
    }

    /// The time that a stop takes at most.
    #[must_use]
    pub(crate) fn longest_stop(&self) -> Duration {
        let limits = &self.limits;
        self.stop_delay() + limits.drain_timeout + limits.linger_timeout
    }

    /// The time from the beginning of a stop in which everything is served as before: nobody balances a server that is being
    /// developed with.
    #[must_use]
    pub(crate) fn stop_delay(&self) -> Duration {
        if self.is_dev() { Duration::ZERO } else { self.drain_delay }
    }

    /// The configuration as far as limits and policies go.
    fn rules(&self) -> Config {
        Config {
            allow_anonymous: self.admits_anonymous(),
            namespaces: self.policies(),
            ..Config::from(self.limits.clone())
        }
    }

    /// Checks that a route can match, behind the routes before it, and that its room is valid.
    fn check_route(&self, rules: &Config, route: &Route, before: &[Route]) -> Result<(), String> {
        let Route { path, room, .. } = route;
        let whole = |path: &str| String::from(path.trim_end_matches('/'));
        if let Some(character) = path.chars().find(|character| matches!(character, '?' | '#' | '%')) {
            return Err(format!(
                "the route {path:?} never matches: a path has no {character:?}, and is written decoded, without a query"
            ));
        }
        if before.iter().any(|other| whole(&other.path) == whole(path)) {
            return Err(format!("the route {path:?} is written twice; only the first one would match"));
        }
        let prefix = room.split_once(':').map_or("", |(prefix, _)| prefix);
        if prefix.contains(PLACEHOLDER) && !self.namespaces.is_empty() {
            return self.check_prefix_of_route(rules, route, prefix);
        }
        let (start, has_id) = room.split_once(PLACEHOLDER).map_or((&**room, false), |(start, _)| (start, true));
        match rules.client_room(&room.replace(PLACEHOLDER, "x")) {
            Ok(_) => Ok(()),
            // Another id may lead to a name that matches.
            Err(BadName::Pattern(pattern)) if has_id && can_begin(&pattern, start, |_| true) => Ok(()),
            Err(wrong) => Err(format!("the room {room:?} of the route {path:?} is not valid: {wrong}")),
        }
    }

    /// Checks that the prefix of a route's room, which depends on the path, is a namespace for some path. A request whose
    /// path makes it another one is refused.
    fn check_prefix_of_route(&self, rules: &Config, route: &Route, prefix: &str) -> Result<(), String> {
        let Route { path, room, .. } = route;
        let mut why = format!("no segment of a path makes {prefix:?} one of the namespaces");
        for id in self.namespaces.keys().filter_map(|name| id_that_makes(prefix, name)) {
            match rules.client_room(&room.replace(PLACEHOLDER, id)) {
                Ok(_) => return Ok(()),
                Err(wrong) => why = wrong.to_string(),
            }
        }
        Err(format!("the room {room:?} of the route {path:?} is not valid: {why}"))
    }

    /// The table that paths are looked up in, and what is wrong with the routes: a sentence for each.
    fn paths(&self, rules: &Config) -> (Routes, Vec<String>) {
        let mut routes = Routes::default();
        let mut wrongs = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            let added = self
                .check_route(rules, route, &self.routes[..index])
                .and_then(|()| routes.add(&route.path, &route.room, route.subscribed.as_deref()));
            let place = route.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            wrongs.extend(added.err().map(|wrong| place + &wrong));
        }
        (routes, wrongs)
    }
}

/// The segment of a path that makes a text with [`PLACEHOLDER`] in it this name.
fn id_that_makes<'n>(text: &str, name: &'n str) -> Option<&'n str> {
    let count = text.matches(PLACEHOLDER).count();
    let bytes = name.len().checked_sub(text.len() - count * PLACEHOLDER.len())?.checked_div(count)?;
    let start = text.find(PLACEHOLDER)?;
    let id = name.get(start..start + bytes)?;
    (is_id(id) && text.replace(PLACEHOLDER, id) == name).then_some(id)
}
