//! The table `[[token_keys]]` of the file: more keys that tokens may be signed with, as while one replaces another.

use super::place::Place;
use super::text_file::{secret_in, without_newline};
use crate::auth::{Secret, TokenKey};
use toml::Value as Toml;

/// The keys that tokens may be signed with, `token_secret` and `token_jwks` among them, at most. Each may have to be tried.
pub const TOKEN_KEYS: usize = 4;
/// The bytes of a `kid`, at most.
const KID_BYTES: usize = 200;

/// The forms in which an entry has its key: one of them in each.
const FORMS: &str = "secret, secret_file (a file with the secret) or public_key_file (a file with a public key in PEM)";

/// A key of `[[token_keys]]`.
#[derive(Clone, Debug)]
pub struct TokenKeyEntry {
    /// The key, with its name.
    pub key: TokenKey,
    /// The key as it was read.
    text: Secret<String>,
    /// The secret; `None` for a public key.
    pub secret: Option<Secret<String>>,
    /// Where the file has it.
    pub place: Place,
}

impl TokenKeyEntry {
    /// Reads an entry.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it. No value is shown: it may be a secret.
    pub(super) fn read(value: Toml, place: Place) -> Result<Self, String> {
        let Toml::Table(values) = value else { return Err(format!("{place} is a table, with {FORMS}")) };
        let (mut kid, mut forms) = (None, Vec::new());
        for (name, value) in values {
            let Toml::String(text) = value else { return Err(format!("{place}: {name} must be text")) };
            match &*name {
                "kid" => kid = Some(text),
                "secret" | "secret_file" | "public_key_file" => forms.push((name, text)),
                _ => return Err(format!("{place}: unknown key {name:?}; expected kid, and {FORMS}")),
            }
        }
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES) {
            return Err(format!("{place}: kid must have from 1 to {KID_BYTES} bytes"));
        }
        let [(form, text)] = <[(String, String); 1]>::try_from(forms)
            .map_err(|forms| format!("{place}: expected one of {FORMS}; found {}", forms.len()))?;
        let read = if form.ends_with("_file") { secret_in(&text, &format!("{place}: {form}"))? } else { text.clone() };
        let (key, secret) = match &*form {
            "public_key_file" => {
                let key = TokenKey::public(&read);
                (key.map_err(|wrong| format!("{place}: {form} ({text}): {wrong}"))?, None)
            }
            _ => Self::secret(&read),
        };
        Ok(Self { key: key.named(kid.as_deref()), text: Secret::new(read), secret, place })
    }

    /// Everything that it says, wherever the file has it.
    pub(super) fn content(&self) -> (Option<&str>, &str, bool) {
        (self.key.kid(), self.text.expose(), self.secret.is_some())
    }

    fn secret(text: &str) -> (TokenKey, Option<Secret<String>>) {
        let secret = without_newline(text).unwrap_or(text);
        (TokenKey::secret(secret), Some(secret.into()))
    }

    /// A comment that says what the key is for.
    pub(super) fn comment(&self) -> String {
        let name = self.key.kid().map(|kid| format!("kid {kid:?}, ")).unwrap_or_default();
        format!("# [[token_keys]] {name}{} # {}\n", self.key.algorithms(), self.place)
    }
}
