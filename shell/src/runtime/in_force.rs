//! The settings that are in use, and what is made of them. A reload replaces all of it at once.

use crate::auth::ApiKeys;
use crate::config::Settings;
use crate::http::openapi::Document;
use parlor_core::Config;
use std::sync::Arc;

/// Settings with what is made of them.
pub(crate) struct SettingsInForce {
    pub(crate) settings: Arc<Settings>,
    /// The configuration of the core, by which calls are parsed.
    pub(crate) config: Config,
    /// The API keys of backends.
    pub(crate) api_keys: ApiKeys,
    /// The description of the API, served as `/openapi.json`.
    pub(crate) document: Document,
}

impl SettingsInForce {
    /// These settings, with the configuration that the core has made of theirs.
    pub(crate) fn new(settings: Arc<Settings>, config: Config) -> Self {
        Self { api_keys: settings.api_key_set(), document: Document::default(), settings, config }
    }
}
