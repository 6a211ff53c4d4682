//! A key that tokens are verified with. Its kind decides which algorithms it is for, and never the token (RFC 8725 section 3.1).

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::value::RawValue;
use std::fmt;

/// A secret, or the public key of a key pair, with the name that tokens call it by (`kid`), if it has one.
#[derive(Clone)]
pub struct TokenKey {
    kid: Option<String>,
    key: DecodingKey,
    rules: Validation,
}

/// A kind of public keys: how one is taken over, the algorithm that it is for, and how the library of signatures calls that.
type Kind = (fn(&[u8]) -> DecodingKey, Algorithm, &'static dyn VerificationAlgorithm);

const KINDS: [Kind; 3] = [
    (DecodingKey::from_rsa_der, Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
    (DecodingKey::from_ec_der, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
    (DecodingKey::from_ed_der, Algorithm::EdDSA, &ED25519),
];

impl TokenKey {
    /// A secret, for HS256, HS384 and HS512.
    #[must_use]
    pub fn secret(secret: &str) -> Self {
        let algorithms = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        Self { kid: None, key: DecodingKey::from_secret(secret.as_bytes()), rules: rules(&algorithms) }
    }

    /// A public key in PEM: of RSA with 2048 to 8192 bits for RS256, of the curve P-256 for ES256, or Ed25519 for EdDSA.
    ///
    /// # Errors
    /// A sentence about a text that is none of these, which it does not show.
    pub fn public(pem: &str) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok();
        let read = |der: &[u8]| KINDS.into_iter().find_map(|(_, algorithm, _)| Self::of_public_key(algorithm, der));
        der.and_then(|der| read(&der)).ok_or_else(|| {
            "expected a public key in PEM (-----BEGIN PUBLIC KEY-----): RSA with 2048 to 8192 bits, P-256 or Ed25519".into()
        })
    }

    /// A public key for this algorithm, as DER (RFC 5280, `SubjectPublicKeyInfo`), or of a curve as its point. `None` where it
    /// is not one of the algorithm's.
    pub(super) fn of_public_key(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let (take, _, signatures) = KINDS.into_iter().find(|(_, known, _)| *known == algorithm)?;
        ParsedPublicKey::new(signatures, key).ok()?;
        if algorithm == Algorithm::RS256 && !has_rsa_size(key) {
            return None;
        }
        Some(Self { kid: None, key: take(key), rules: rules(&[algorithm]) })
    }

    /// The key under the name that tokens call it by.
    #[must_use]
    pub fn named(self, kid: Option<&str>) -> Self {
        Self { kid: kid.map(String::from), ..self }
    }

    /// The name that tokens call it by.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it is for tokens of this algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.rules.algorithms.contains(&algorithm)
    }

    /// The names of the algorithms that it is for.
    #[must_use]
    pub fn algorithms(&self) -> String {
        let names: Vec<String> = self.rules.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        names.join(", ")
    }

    /// The claims of a token whose signature is of this key.
    pub(super) fn decode(&self, token: &str) -> Result<TokenData<Box<RawValue>>, Error> {
        jsonwebtoken::decode(token, &self.key, &self.rules)
    }
}

/// Whether a key of RSA has a size that signatures are verified with; parsing alone accepts any.
fn has_rsa_size(key: &[u8]) -> bool {
    PublicEncryptingKey::from_der(key).is_ok_and(|key| (2048..=8192).contains(&key.key_size_bits()))
}

/// Rules for tokens of these algorithms. The core checks the times: the library would read the system's clock.
fn rules(algorithms: &[Algorithm]) -> Validation {
    let mut rules = Validation {
        algorithms: algorithms.to_vec(),
        validate_exp: false,
        validate_nbf: false,
        validate_aud: false,
        ..Validation::default()
    };
    rules.required_spec_claims.clear();
    rules
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = &self.rules.algorithms;
        f.debug_struct("TokenKey").field("kid", &self.kid).field("algorithms", algorithms).finish_non_exhaustive()
    }
}
