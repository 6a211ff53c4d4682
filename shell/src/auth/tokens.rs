//! Tokens of clients: JSON Web Tokens (RFC 7519), signed with HS256.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parlor_core::{BadToken, Claims, VerifiedClaims};
use serde_json::value::RawValue;
use std::fmt;

/// Verifies a token's signature and algorithm, and its audience and issuer where these are required. The core checks the
/// other claims.
#[derive(Clone)]
pub struct TokenVerifier {
    secret: Option<DecodingKey>,
    rules: Validation,
    audience: Option<String>,
    issuer: Option<String>,
}

impl TokenVerifier {
    /// A verifier of tokens that are signed with `secret`. Without a secret, it refuses every token.
    #[must_use]
    pub fn new(secret: Option<&str>) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        // The core checks the times: the library would read the system's clock.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let secret = secret.map(|secret| DecodingKey::from_secret(secret.as_bytes()));
        Self { secret, rules, audience: None, issuer: None }
    }

    /// Requires this audience in `aud` and this issuer in `iss`, where given.
    #[must_use]
    pub fn requiring(self, audience: Option<&str>, issuer: Option<&str>) -> Self {
        Self { audience: audience.map(String::from), issuer: issuer.map(String::from), ..self }
    }

    /// Verifies a token. Returns its claims.
    ///
    /// # Errors
    /// The reason for which the token is refused.
    pub fn verify(&self, token: &str) -> Result<VerifiedClaims, BadToken> {
        let secret = self.secret.as_ref().ok_or(BadToken::NoSecret)?;
        let token =
            jsonwebtoken::decode::<Box<RawValue>>(token, secret, &self.rules).map_err(|error| refusal(&error))?;
        let claims = Claims::parse(token.claims.get())?;
        if self.audience.as_ref().is_some_and(|audience| !claims.aud.contains(audience)) {
            return Err(BadToken::Audience);
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(BadToken::Issuer);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the verifier")]
        Ok(VerifiedClaims::vouched_for_by_verifier(claims))
    }
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

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    const SECRET: &str = "a secret of 32 bytes and some more";

    fn signed(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("it can be signed")
    }

    fn tokens(audience: Option<&str>, issuer: Option<&str>) -> TokenVerifier {
        TokenVerifier::new(Some(SECRET)).requiring(audience, issuer)
    }

    fn verdict(tokens: &TokenVerifier, claims: &Value) -> Result<(), BadToken> {
        tokens.verify(&signed(Algorithm::HS256, claims, SECRET)).map(drop)
    }

    #[test]
    fn a_token_is_refused_for_what_is_wrong_with_it() {
        let good = json!({"sub": "ada"});
        let none = tokens(None, None);
        assert_eq!(verdict(&none, &good), Ok(()));
        assert_eq!(verdict(&TokenVerifier::new(None), &good), Err(BadToken::NoSecret));
        for (token, why) in [
            (String::new(), BadToken::Malformed),
            ("a.b.c".into(), BadToken::Malformed),
            (signed(Algorithm::HS256, &good, "another secret"), BadToken::Signature),
            (signed(Algorithm::HS512, &good, SECRET), BadToken::Algorithm),
            (signed(Algorithm::HS256, &json!({"channels": 7}), SECRET), BadToken::Claim("channels")),
            (signed(Algorithm::HS256, &json!(["ada"]), SECRET), BadToken::Malformed),
        ] {
            assert_eq!(none.verify(&token), Err(why), "{token}");
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
