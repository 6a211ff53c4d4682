//! The API key of backends, and random bytes.

use super::secret::Secret;
use aws_lc_rs::{constant_time, rand};

/// Whether a key that was sent is the configured one. Takes the same time however much of it is right.
#[must_use]
pub fn is_key(sent: &[u8], configured: &Secret<String>) -> bool {
    constant_time::verify_slices_are_equal(sent, configured.expose().as_bytes()).is_ok()
}

/// Unpredictable random bytes.
///
/// # Panics
/// If the system has no randomness to give: ids and keys would be guessable then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A random API key of 16 bytes, in hexadecimal.
#[must_use]
pub fn generate_key() -> Secret<String> {
    Secret::new(random::<16>().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<16>(), random::<16>());
        assert_ne!(generate_key().expose(), generate_key().expose());
    }

    #[test]
    fn only_the_complete_key_is_accepted() {
        let key = "a key of 16 bytes";
        for length in 0..key.len() {
            assert!(!is_key(&key.as_bytes()[..length], &key.into()), "the first {length} bytes");
            assert!(!is_key(&key.as_bytes()[key.len() - length..], &key.into()), "the last {length} bytes");
        }
        assert!(!is_key(format!("{key} ").as_bytes(), &key.into()));
        assert!(is_key(key.as_bytes(), &key.into()));
    }
}
