//! Random bytes, and keys that are made of them.

use super::secret::Secret;
use aws_lc_rs::rand;

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
}
