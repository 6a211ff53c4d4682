//! The table `[[api_keys]]` of the file: keys that backends call the API with, each with a name and with rights of its own.

use super::place::Place;
use super::text_file::{text_in, without_newline};
use crate::auth::{ApiKey, KeyRights, Secret};
use parlor_core::names;
use toml::Value as Toml;

/// The API keys, `api_key` among them, at most. Each is compared with what a backend sends.
pub const API_KEYS: usize = 32;
/// The bytes of a name, at most.
const NAME_BYTES: usize = 64;

/// The name of the key that the setting `api_key` has, or that the server generates.
pub(super) const SHORT_FORM: &str = "api_key";

/// The fields of an entry.
const FIELDS: &str = "name, key or key_file (a file with the key), and perhaps methods and rooms";

/// An API key of `[[api_keys]]`.
#[derive(Clone, Debug)]
pub struct ApiKeyEntry {
    /// The name, which the log has.
    pub name: String,
    /// The key.
    pub key: Secret<String>,
    /// What it may be used for.
    pub rights: KeyRights,
    /// Where the file has it.
    pub place: Place,
}

impl ApiKeyEntry {
    /// Reads an entry.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it. No value is shown that may be a secret.
    pub(super) fn read(value: Toml, place: Place) -> Result<Self, String> {
        let Toml::Table(values) = value else { return Err(format!("{place} is a table, with {FIELDS}")) };
        let (mut name, mut methods, mut rooms, mut forms) = (None, None, None, Vec::new());
        for (field, value) in values {
            match &*field {
                "name" => name = Some(text(value, &field, &place)?),
                "key" | "key_file" => forms.push((text(value, &field, &place)?, field)),
                "methods" => methods = Some(texts(value, &field, &place)?),
                "rooms" => rooms = Some(texts(value, &field, &place)?),
                _ => return Err(format!("{place}: unknown key {field:?}; expected {FIELDS}")),
            }
        }
        let name = name.ok_or_else(|| format!("{place}: name is missing; the log calls the key by it"))?;
        names::check(&name, NAME_BYTES).map_err(|_| {
            format!("{place}: name must have from 1 to {NAME_BYTES} bytes, and no invisible characters")
        })?;
        let [(text, form)] = <[(String, String); 1]>::try_from(forms)
            .map_err(|forms| format!("{place}: expected one of key and key_file; found {}", forms.len()))?;
        let text = if form == "key_file" { text_in(&text, &format!("{place}: {form}"))? } else { text };
        let key = without_newline(&text).unwrap_or(&text);
        if key.is_empty() {
            return Err(format!("{place}: {form} is empty"));
        }
        let rights = KeyRights::new(methods, rooms).map_err(|wrong| format!("{place}: {wrong}"))?;
        Ok(Self { name, key: key.into(), rights, place })
    }

    /// The key, as calls are compared with it.
    pub(super) fn api_key(&self) -> ApiKey {
        ApiKey::new(&self.name, &self.key, self.rights.clone())
    }

    /// A comment that says what the key is for.
    pub(super) fn comment(&self) -> String {
        format!("# [[api_keys]] {:?}, {} # {}\n", self.name, self.rights.summary(), self.place)
    }
}

fn text(value: Toml, field: &str, place: &Place) -> Result<String, String> {
    match value {
        Toml::String(text) => Ok(text),
        _ => Err(format!("{place}: {field} must be text")),
    }
}

fn texts(value: Toml, field: &str, place: &Place) -> Result<Vec<String>, String> {
    let wrong = || format!("{place}: {field} must be an array of texts");
    let Toml::Array(values) = value else { return Err(wrong()) };
    values.into_iter().map(|value| value.as_str().map(String::from).ok_or_else(wrong)).collect()
}
