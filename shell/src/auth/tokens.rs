//! Tokens of clients: JSON Web Tokens (RFC 7519), and which of the keys one was signed with.

use super::key_source::KeySource;
use super::token_key::TokenKey;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Header, decode_header};
use parlor_core::{BadToken, Claims, VerifiedClaims};
use serde_json::value::RawValue;

/// Verifies a token's signature and algorithm, and its audience and issuer where these are required. The core checks the
/// other claims.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    keys: Vec<TokenKey>,
    source: Option<KeySource>,
    audience: Option<String>,
    issuer: Option<String>,
}

impl TokenVerifier {
    /// A verifier of tokens that are signed with `secret`. Without a secret, a [key](Self::with_keys) or a
    /// [source](Self::with_source) of keys, it refuses every token.
    #[must_use]
    pub fn new(secret: Option<&str>) -> Self {
        Self { keys: secret.map(TokenKey::secret).into_iter().collect(), source: None, audience: None, issuer: None }
    }

    /// Accepts tokens that are signed with one of these keys, too.
    #[must_use]
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = TokenKey>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// Accepts tokens that are signed with one of the keys that this source has at the time, too.
    #[must_use]
    pub fn with_source(mut self, source: Option<KeySource>) -> Self {
        self.source = source;
        self
    }

    /// The source of keys that are fetched.
    pub(crate) fn source(&self) -> Option<&KeySource> {
        self.source.as_ref()
    }

    /// Requires this audience in `aud` and this issuer in `iss`, where given.
    #[must_use]
    pub fn requiring(self, audience: Option<&str>, issuer: Option<&str>) -> Self {
        Self { audience: audience.map(String::from), issuer: issuer.map(String::from), ..self }
    }

    /// Verifies a token. Returns its claims.
    ///
    /// # Errors
    /// The reason for which the token is refused. With [`BadToken::KeyNotFetched`], the next fetch may bring its key.
    pub fn verify(&self, token: &str) -> Result<VerifiedClaims, BadToken> {
        let claims = Claims::parse(self.claims(token)?.get())?;
        if self.audience.as_ref().is_some_and(|audience| !claims.aud.contains(audience)) {
            return Err(BadToken::Audience);
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(BadToken::Issuer);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the verifier")]
        Ok(VerifiedClaims::vouched_for_by_verifier(claims))
    }

    /// The claims of a token, as JSON, which the first key that fits vouches for: the keys with its `kid`, or where none has it
    /// those without a name, or of a token without a `kid` all of them. Fetched keys come last.
    fn claims(&self, token: &str) -> Result<Box<RawValue>, BadToken> {
        let fetched = self.source.as_ref().map(|source| source.fetched().keys.clone());
        if self.keys.is_empty() && fetched.is_none() {
            return Err(BadToken::NoKey);
        }
        let header = decode_header(token).map_err(|error| refusal(&error))?;
        let kid = header.kid.as_deref();
        let all = || self.keys.iter().chain(fetched.iter().flatten().flat_map(|keys| keys.iter()));
        let known_kid = kid.filter(|_| all().any(|key| key.kid() == kid));
        let mut keys = all().filter(|key| kid.is_none() || key.kid() == known_kid).peekable();
        let mut refused = if keys.peek().is_some() { BadToken::Algorithm } else { BadToken::UnknownKey };
        for key in keys.filter(|key| key.is_for(header.alg)) {
            match key.decode(token) {
                Ok(token) => return Ok(token.claims),
                Err(error) => refused = refusal(&error),
            }
        }
        let awaits_key = fetched.is_some_and(|keys| may_be_fetched(&header, known_kid.is_some(), keys.is_some()));
        Err(if awaits_key { BadToken::KeyNotFetched } else { refused })
    }
}

/// Whether the next fetch may bring the key of a token that no key vouches for. A secret is never fetched.
fn may_be_fetched(header: &Header, is_kid_known: bool, was_fetched: bool) -> bool {
    let is_public = matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA);
    is_public && if header.kid.is_some() { !is_kid_known } else { !was_fetched }
}

/// The library's error, without any content of the token.
fn refusal(error: &Error) -> BadToken {
    match error.kind() {
        ErrorKind::InvalidSignature => BadToken::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm | ErrorKind::InvalidAlgorithmName => {
            BadToken::Algorithm
        }
        _ => BadToken::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, encode};
    use serde_json::{Value, json};

    const SECRET: &str = "a secret of 32 bytes and some more";

    fn signed(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("it can be signed")
    }

    fn tokens(audience: Option<&str>, issuer: Option<&str>) -> TokenVerifier {
        TokenVerifier::new(Some(SECRET)).requiring(audience, issuer)
    }

    fn tokens_of(keys: impl IntoIterator<Item = TokenKey>) -> TokenVerifier {
        TokenVerifier::new(None).with_keys(keys)
    }

    fn verdict(tokens: &TokenVerifier, claims: &Value) -> Result<(), BadToken> {
        tokens.verify(&signed(Algorithm::HS256, claims, SECRET)).map(drop)
    }

    #[test]
    fn a_token_is_refused_for_what_is_wrong_with_it() {
        let good = json!({"sub": "ada"});
        let none = tokens(None, None);
        assert_eq!(verdict(&none, &good), Ok(()));
        assert_eq!(verdict(&TokenVerifier::new(None), &good), Err(BadToken::NoKey));
        for (token, why) in [
            (String::new(), BadToken::Malformed),
            ("a.b.c".into(), BadToken::Malformed),
            (signed(Algorithm::HS256, &good, "another secret"), BadToken::Signature),
            (signed(Algorithm::HS256, &json!({"channels": 7}), SECRET), BadToken::Claim("channels")),
            (signed(Algorithm::HS256, &json!(["ada"]), SECRET), BadToken::Malformed),
        ] {
            assert_eq!(none.verify(&token), Err(why), "{token}");
        }
    }

    /// A DER as PEM (RFC 7468).
    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    /// A pair of keys.
    struct Pair {
        algorithm: Algorithm,
        signs: EncodingKey,
        private_pem: String,
        public_pem: String,
    }

    /// A pair of each kind.
    fn pairs() -> [Pair; 3] {
        let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let ed = Ed25519KeyPair::generate().expect("a key");
        let rsa_private: Pkcs8V1Der<'_> = rsa.as_der().expect("DER");
        let pair =
            |algorithm, signs: fn(&[u8]) -> EncodingKey, private: &[u8], public: Result<PublicKeyX509Der<'_>, _>| {
                let (private_pem, public) = (pem("PRIVATE KEY", private), public.expect("DER"));
                Pair { algorithm, signs: signs(private), private_pem, public_pem: pem("PUBLIC KEY", public.as_ref()) }
            };
        [
            // Signing takes the form of PKCS #1, which that of PKCS #8 ends with.
            pair(
                Algorithm::RS256,
                |der| EncodingKey::from_rsa_der(&der[26..]),
                rsa_private.as_ref(),
                rsa.public_key().as_der(),
            ),
            pair(
                Algorithm::ES256,
                EncodingKey::from_ec_der,
                ec.to_pkcs8v1().expect("DER").as_ref(),
                ec.public_key().as_der(),
            ),
            pair(
                Algorithm::EdDSA,
                EncodingKey::from_ed_der,
                ed.to_pkcs8v1().expect("DER").as_ref(),
                ed.public_key().as_der(),
            ),
        ]
    }

    /// A token with this algorithm and `kid`.
    fn named(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
        let header = Header { kid: kid.map(String::from), ..Header::new(algorithm) };
        encode(&header, &json!({"sub": "ada"}), key).expect("it can be signed")
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_kind_alone() {
        let pairs = pairs();
        let signed_tokens = pairs.each_ref().map(|pair| (pair.algorithm, named(pair.algorithm, None, &pair.signs)));
        for Pair { algorithm, public_pem, .. } in &pairs {
            let verifier = tokens_of([TokenKey::public(public_pem).expect("a key")]);
            for (of_token, token) in &signed_tokens {
                let expected = if of_token == algorithm { Ok(()) } else { Err(BadToken::Algorithm) };
                assert_eq!(verifier.verify(token).map(drop), expected, "{algorithm:?} {of_token:?}");
            }
            // The public key is known to everybody, and must not be taken for a secret (RFC 8725 section 2.1).
            let forged = signed(Algorithm::HS256, &json!({"sub": "ada"}), public_pem);
            assert_eq!(verifier.verify(&forged), Err(BadToken::Algorithm));
        }
        let all = tokens_of(pairs.iter().map(|pair| TokenKey::public(&pair.public_pem).expect("a key")));
        let unsigned =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(r#"{"sub":"ada"}"#));
        assert!(all.verify(&unsigned).is_err());
        for (_, token) in &signed_tokens {
            assert!(all.verify(token).is_ok());
        }
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = signed(algorithm, &json!({"sub": "ada"}), SECRET);
            assert_eq!(tokens(None, None).verify(&token).map(drop), Ok(()));
        }
    }

    #[test]
    fn a_key_is_chosen_by_its_name_or_tried_in_order() {
        let key = |name: Option<&str>, secret: &str| TokenKey::secret(secret).named(name);
        let token = |kid, secret: &str| named(Algorithm::HS256, kid, &EncodingKey::from_secret(secret.as_bytes()));
        let rotated = tokens_of([key(Some("new"), "N"), key(Some("old"), "O")]);
        for (kid, secret, verdict) in [
            (Some("new"), "N", Ok(())),
            (Some("old"), "O", Ok(())),
            (Some("old"), "N", Err(BadToken::Signature)),
            (Some("third"), "N", Err(BadToken::UnknownKey)),
            (None, "N", Ok(())),
            (None, "O", Ok(())),
            (None, "X", Err(BadToken::Signature)),
        ] {
            assert_eq!(rotated.verify(&token(kid, secret)).map(drop), verdict, "{kid:?} {secret}");
        }
        let one_is_unnamed = tokens_of([key(Some("new"), "N"), key(None, "O")]);
        assert_eq!(one_is_unnamed.verify(&token(Some("any"), "O")).map(drop), Ok(()));
        assert_eq!(one_is_unnamed.verify(&token(Some("any"), "N")), Err(BadToken::Signature));
        assert!(one_is_unnamed.verify(&token(Some(&"k".repeat(100_000)), "N")).is_err());
    }

    #[test]
    fn no_other_text_is_a_public_key() {
        let curve = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        let public: PublicKeyX509Der<'_> = curve.public_key().as_der().expect("DER");
        let private = pairs().map(|pair| pair.private_pem);
        let others = [String::new(), "s3cret".into(), pem("PUBLIC KEY", b"s3cret"), pem("PUBLIC KEY", public.as_ref())];
        for text in private.iter().chain(&others) {
            let wrong = TokenKey::public(text).expect_err("it is none");
            assert!(wrong.starts_with("expected a public key in PEM"), "{wrong}");
        }
    }

    #[test]
    fn audience_and_issuer_are_checked_if_they_are_set() {
        let both = tokens(Some("chat"), Some("https://login.example"));
        for (claims, verdict_of_both) in [
            (json!({"aud": "chat", "iss": "https://login.example"}), Ok(())),
            (json!({"aud": ["mail", "chat"], "iss": "https://login.example"}), Ok(())),
            (json!({"aud": ["mail"], "iss": "https://login.example"}), Err(BadToken::Audience)),
            (json!({"aud": "chat room", "iss": "https://login.example"}), Err(BadToken::Audience)),
            (json!({"iss": "https://login.example"}), Err(BadToken::Audience)),
            (json!({"aud": null, "iss": "https://login.example"}), Err(BadToken::Audience)),
            (json!({"aud": "chat", "iss": "https://login.example/"}), Err(BadToken::Issuer)),
            (json!({"aud": "chat"}), Err(BadToken::Issuer)),
        ] {
            assert_eq!(verdict(&both, &claims), verdict_of_both, "{claims}");
            assert_eq!(verdict(&tokens(None, None), &claims), Ok(()), "where nothing is demanded, anything will do");
        }
        assert_eq!(verdict(&tokens(Some("chat"), None), &json!({"aud": "chat", "iss": "anybody"})), Ok(()));
        assert_eq!(verdict(&tokens(None, Some("me")), &json!({"aud": "anything", "iss": "me"})), Ok(()));
    }
}
