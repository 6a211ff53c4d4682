//! The keys of a JSON Web Key Set (RFC 7517) that tokens may be verified with. A set is public, so no secret is taken from it.

use super::token_key::TokenKey;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The entries of a set, at most. Each may have to be tried.
pub const JWK_SET_KEYS: usize = 32;

/// The usable keys of a set.
#[derive(Debug)]
pub(crate) struct JwkSet {
    /// At least one, and at most [`JWK_SET_KEYS`].
    pub(crate) keys: Vec<TokenKey>,
    /// Number of the other entries.
    pub(crate) skipped: usize,
}

/// The text of a set (RFC 7517 section 5).
#[derive(Deserialize)]
struct JwkSetText<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl JwkSet {
    /// Reads a set. Entries that cannot be used are skipped (RFC 7517 section 5).
    ///
    /// # Errors
    /// The end of a sentence about the server's answer.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        let JwkSetText { keys: entries } =
            serde_json::from_slice(json).map_err(|_| "is not a JWKS: expected a JSON object with the array keys")?;
        if entries.len() > JWK_SET_KEYS {
            return Err(format!("has {} keys; expected at most {JWK_SET_KEYS}", entries.len()));
        }
        let usable = |entry: &&RawValue| serde_json::from_str(entry.get()).ok().as_ref().and_then(key);
        let keys: Vec<TokenKey> = entries.iter().filter_map(usable).collect();
        let skipped = entries.len() - keys.len();
        if keys.is_empty() {
            return Err(format!(
                "has no key for RS256, ES256 or EdDSA that is meant for signatures; entries of another kind: {skipped}"
            ));
        }
        Ok(Self { keys, skipped })
    }
}

/// The key of an entry; `None` where it is of another kind, or meant for something else than signatures.
fn key(jwk: &Jwk) -> Option<TokenKey> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let common = &jwk.common;
    let is_meant = common.key_algorithm.is_none_or(|meant| meant == KeyAlgorithm::from(algorithm))
        && common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !is_meant {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let key = match key.kind() {
        DecodingKeyKind::SecretOrDer(key) => TokenKey::of_public_key(algorithm, key),
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            let key: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().ok()?;
            TokenKey::of_public_key(algorithm, key.as_ref())
        }
    };
    key.map(|key| key.named(common.key_id.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rsa;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    fn rsa(size: rsa::KeySize) -> Value {
        let pair = rsa::KeyPair::generate(size).expect("a key");
        let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(parts.n), "e": URL_SAFE_NO_PAD.encode(parts.e)})
    }

    fn ec(curve: &str, pair: &EcdsaKeyPair) -> Value {
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        json!({"kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }

    fn p256() -> Value {
        ec("P-256", &EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    fn ed25519() -> Value {
        let pair = Ed25519KeyPair::generate().expect("a key");
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key())})
    }

    /// The entry with more members, or other ones.
    fn with(mut entry: Value, more: Value) -> Value {
        let more = more.as_object().expect("members").clone();
        entry.as_object_mut().expect("an entry").extend(more);
        entry
    }

    fn read(entries: &[Value]) -> Result<JwkSet, String> {
        JwkSet::read(json!({"keys": entries, "more": 1}).to_string().as_bytes())
    }

    #[test]
    fn each_kind_of_key_is_for_its_algorithm() {
        let signs = json!({"use": "sig", "key_ops": ["verify"], "kid": "k", "x5c": ["..."]});
        for (entry, algorithm) in [(rsa(rsa::KeySize::Rsa2048), "RS256"), (p256(), "ES256"), (ed25519(), "EdDSA")] {
            for entry in [entry.clone(), with(entry.clone(), json!({"alg": algorithm})), with(entry, signs.clone())] {
                let set = read(std::slice::from_ref(&entry)).expect("a set");
                assert_eq!(
                    (set.keys[0].algorithms(), set.keys.len(), set.skipped),
                    (algorithm.into(), 1, 0),
                    "{entry}"
                );
                assert_eq!(set.keys[0].kid(), entry["kid"].as_str());
            }
        }
    }

    #[test]
    fn what_is_no_such_key_is_skipped() {
        let p384 = ec("P-384", &EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key"));
        let others = [
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "..."}),
            json!({"kty": "OKP", "crv": "X25519", "x": ed25519()["x"]}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            with(rsa(rsa::KeySize::Rsa2048), json!({"alg": "PS256"})),
            with(rsa(rsa::KeySize::Rsa2048), json!({"alg": "RS512"})),
            with(p256(), json!({"alg": "EdDSA"})),
            with(p256(), json!({"use": "enc"})),
            with(p256(), json!({"key_ops": ["encrypt", "wrapKey"]})),
            with(p256(), json!({"crv": "P-384"})),
            with(p256(), json!({"y": p256()["y"]})),
            with(ed25519(), json!({"x": "c2hvcnQ"})),
            with(ed25519(), json!({"kid": 7})),
            with(ed25519(), json!({"x": "no base64!"})),
            p384,
            json!({}),
            json!("key"),
            json!(null),
        ];
        for other in &others {
            let set = read(&[other.clone(), ed25519()]).expect("a set");
            assert_eq!((set.keys.len(), set.skipped), (1, 1), "{other}");
        }
        let wrong = read(&others).expect_err("it has none");
        assert!(wrong.ends_with(&format!("entries of another kind: {}", others.len())), "{wrong}");
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, "<html>", "\u{0}"] {
            assert!(JwkSet::read(text.as_bytes()).expect_err("it is none").starts_with("is not a JWKS"), "{text}");
        }
        assert!(JwkSet::read(&[0xff]).is_err());
        assert_eq!(read(&vec![ed25519(); JWK_SET_KEYS]).map(|set| set.keys.len()), Ok(JWK_SET_KEYS));
        assert_eq!(read(&vec![ed25519(); JWK_SET_KEYS + 1]).expect_err("too many"), "has 33 keys; expected at most 32");
    }
}
