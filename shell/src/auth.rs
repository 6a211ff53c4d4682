//! Who is who: tokens of clients, the key of backends, and randomness that cannot be guessed.

use crate::secret::Secret;
use aws_lc_rs::{constant_time, rand};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parlor_core::{BadToken, Claims};
use std::fmt;

/// Checks signature and algorithm of tokens (RFC 7519), HS256 only. What they say is for the shard to judge.
#[derive(Clone)]
pub struct Tokens {
    secret: Option<DecodingKey>,
    rules: Validation,
}

impl Tokens {
    /// Accepts tokens that are signed with `secret`; without one, none.
    #[must_use]
    pub fn new(secret: Option<&str>) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        // The library would read the system's clock.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        Self { secret: secret.map(|secret| DecodingKey::from_secret(secret.as_bytes())), rules }
    }

    /// What a token says.
    ///
    /// # Errors
    /// [`BadToken::Invalid`] when it is malformed or not signed with the secret, or there is no secret.
    pub fn verify(&self, token: &str) -> Result<Claims, BadToken> {
        let secret = self.secret.as_ref().ok_or(BadToken::Invalid)?;
        jsonwebtoken::decode(token, secret, &self.rules).map(|token| token.claims).map_err(|_| BadToken::Invalid)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Whether a key that was sent is the one that is configured, in time that does not tell how much of it is right.
#[must_use]
pub fn is_key(sent: &[u8], configured: &Secret<String>) -> bool {
    constant_time::verify_slices_are_equal(sent, configured.expose().as_bytes()).is_ok()
}

/// Random bytes that nobody can guess.
///
/// # Panics
/// When the system has no randomness to give: nothing can be kept apart then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A key for one run, in hexadecimal.
#[must_use]
pub fn made_up_key() -> Secret<String> {
    Secret::new(random::<16>().iter().map(|byte| format!("{byte:02x}")).collect())
}
