//! Keys to sign tokens with, and the set in which a server has them.

pub use super::endpoint::{Endpoint, Reply};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// A pair of keys with a name.
pub struct Key {
    pub kid: String,
    pair: Ed25519KeyPair,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.into(), pair: Ed25519KeyPair::generate().unwrap() }
    }

    /// The public key, as a set has it.
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "alg": "EdDSA", "x": self.x()})
    }

    /// A token that names the key.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(Some(&self.kid), claims)
    }

    pub fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(String::from), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(self.pair.to_pkcs8v1().unwrap().as_ref());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// A set of these keys.
pub fn set(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// The server of a set.
impl Endpoint {
    pub fn serves(&self, keys: &[&Key]) {
        self.replies(Reply::Body(set(keys)));
    }
}
