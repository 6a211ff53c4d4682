//! The API keys of backends. What a backend sends is compared with all of them, in the same time whatever it is.

use super::rights::KeyRights;
use super::secret::Secret;
use aws_lc_rs::{constant_time, digest};
use std::fmt;
use std::sync::Arc;

/// The bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// An API key: its name, which the log has, and its rights. The key itself is not kept.
#[derive(Clone)]
pub struct ApiKey {
    name: Arc<str>,
    digest: [u8; DIGEST_BYTES],
    rights: KeyRights,
}

impl ApiKey {
    /// A key with this name and these rights.
    #[must_use]
    pub fn new(name: &str, key: &Secret<String>, rights: KeyRights) -> Self {
        Self { name: name.into(), digest: sha256(key.expose().as_bytes()), rights }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The rights.
    #[must_use]
    pub fn rights(&self) -> &KeyRights {
        &self.rights
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("rights", &self.rights).finish_non_exhaustive()
    }
}

/// All API keys of a server.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);

impl ApiKeys {
    /// These keys.
    #[must_use]
    pub fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys.into_iter().map(Arc::new).collect())
    }

    /// Whether there is no key, so that no call can be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that was sent. O(keys), and does not end at the one that is found: the time depends on the length of what was
    /// sent alone, and neither on how much of it is right nor on the length of any key, since digests are compared.
    #[must_use]
    pub fn find(&self, sent: &[u8]) -> Option<&Arc<ApiKey>> {
        let digest = sha256(sent);
        let mut found = None;
        for key in &self.0 {
            if constant_time::verify_slices_are_equal(&key.digest, &digest).is_ok() {
                found = Some(key);
            }
        }
        found
    }

    /// The same key among these, which may have other rights here. None where it is not among them.
    #[must_use]
    pub fn current(&self, key: &ApiKey) -> Option<&Arc<ApiKey>> {
        self.0.iter().find(|own| own.digest == key.digest)
    }
}

fn sha256(text: &[u8]) -> [u8; DIGEST_BYTES] {
    digest::digest(&digest::SHA256, text).as_ref().try_into().expect("it has 256 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[(&str, &str)]) -> ApiKeys {
        ApiKeys::new(keys.iter().map(|(name, key)| ApiKey::new(name, &(*key).into(), KeyRights::default())).collect())
    }

    fn found<'k>(keys: &'k ApiKeys, sent: &str) -> Option<&'k str> {
        keys.find(sent.as_bytes()).map(|key| &**key.name())
    }

    #[test]
    fn only_a_complete_key_is_accepted() {
        let key = "a key of 16 bytes";
        let keys = keys(&[("one", key), ("two", "another key of 22 bytes")]);
        for length in 0..key.len() {
            assert_eq!(found(&keys, &key[..length]), None, "the first {length} bytes");
            assert_eq!(found(&keys, &key[key.len() - length..]), None, "the last {length} bytes");
        }
        assert_eq!(found(&keys, &format!("{key} ")), None);
        assert_eq!(found(&keys, key), Some("one"));
        assert_eq!(found(&keys, "another key of 22 bytes"), Some("two"));
        assert_eq!(found(&ApiKeys::default(), ""), None);
    }

    #[test]
    fn keys_are_not_printed() {
        let (keys, digest) = (keys(&[("one", "to be or not to be")]), sha256(b"to be or not to be"));
        let said = format!("{keys:?}");
        assert!(said.contains("one") && !said.contains("to be"), "{said}");
        assert!(!said.contains(&format!("{}, {}", digest[0], digest[1])), "{said}");
    }
}
