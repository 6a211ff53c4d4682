//! The table `[[api_keys]]` of the file: keys that backends call the API with, each with a name and with rights of its own.

use super::place::{PREFIX, Place};
use super::text_file::{secret_in, without_newline};
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
const FIELDS: &str = "name; key, key_file (a file with the key) or key_variable (an environment variable with it); and \
                      perhaps methods and rooms";

/// An API key of `[[api_keys]]`.
#[derive(Clone, Debug)]
pub struct ApiKeyEntry {
    /// The name, which the log has.
    pub name: String,
    /// The key.
    pub key: Secret<String>,
    /// The methods that it may call, and the rooms that its calls may be about.
    pub rights: KeyRights,
    /// Where the file has it.
    pub place: Place,
}

impl ApiKeyEntry {
    /// Everything that it says, wherever the file has it.
    pub(super) fn content(&self) -> (&str, &str, &KeyRights) {
        (&self.name, self.key.expose(), &self.rights)
    }

    /// Reads an entry. `variable` is the value of an environment variable.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it. No value is shown that may be a secret.
    pub(super) fn read(value: Toml, place: Place, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let Toml::Table(values) = value else { return Err(format!("{place} is a table, with {FIELDS}")) };
        let (mut name, mut methods, mut rooms, mut forms) = (None, None, None, Vec::new());
        for (field, value) in values {
            match &*field {
                "name" => name = Some(text(value, &field, &place)?),
                "key" | "key_file" | "key_variable" => forms.push((text(value, &field, &place)?, field)),
                "methods" => methods = Some(texts(value, &field, &place)?),
                "rooms" => rooms = Some(texts(value, &field, &place)?),
                _ => return Err(format!("{place}: unknown key {field:?}; expected {FIELDS}")),
            }
        }
        let name = name.ok_or_else(|| format!("{place}: name is missing; the log calls the key by it"))?;
        names::check(&name, NAME_BYTES).map_err(|_| {
            format!("{place}: name must have from 1 to {NAME_BYTES} bytes, and no invisible characters")
        })?;
        let [(text, form)] = <[(String, String); 1]>::try_from(forms).map_err(|forms| {
            format!("{place}: expected one of key, key_file and key_variable; found {}", forms.len())
        })?;
        let key = secret(text, &form, &format!("{place}: {form}"), variable)?;
        let rights = KeyRights::new(methods, rooms).map_err(|wrong| format!("{place}: {wrong}"))?;
        Ok(Self { name, key, rights, place })
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

/// The key, from where the field at this place says that it is.
fn secret(
    text: String,
    form: &str,
    place: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret<String>, String> {
    let text = match form {
        "key_file" => secret_in(&text, place)?,
        // One that is no setting would be refused as a setting that is mistyped.
        "key_variable" if text.starts_with(PREFIX) => {
            return Err(format!("{place}: variables that begin with {PREFIX} are settings; give it another name"));
        }
        // Not shown: it may be the key, in the wrong field.
        "key_variable" => variable(&text).ok_or_else(|| format!("{place}: the environment has no such variable"))?,
        _ => text,
    };
    let key = without_newline(&text).unwrap_or(&text);
    if key.is_empty() { Err(format!("{place} is empty")) } else { Ok(key.into()) }
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
