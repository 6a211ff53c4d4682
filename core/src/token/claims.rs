//! The claims of a JSON Web Token (RFC 7519), and the proof that a verifier has checked them.

use crate::json::Json;
use crate::policy::capabilities::CapabilityClaim;
use crate::wire::raw;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The name of a claim, which is written in this file.
type ClaimName = &'static str;

/// The reason for which a verifier rejects a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub enum BadToken {
    /// No key is configured, so no signature is valid.
    NoKey,
    /// The token is not in the compact form (RFC 7515 section 7.1), or its claims are not one JSON object.
    Malformed,
    /// No key has the name that the token calls its key by (`kid`).
    UnknownKey,
    /// The key may be one that is fetched, and could not be fetched. A later attempt may succeed.
    KeyNotFetched,
    /// The algorithm is not that of a configured key.
    Algorithm,
    /// The signature is wrong.
    Signature,
    /// The claim with this name has the wrong type.
    Claim(#[cfg_attr(feature = "replay", serde(deserialize_with = "crate::replayed::text"))] ClaimName),
    /// The `aud` does not contain the configured audience.
    Audience,
    /// The `iss` is not the configured issuer.
    Issuer,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("none of token_secret, token_keys and token_jwks is set"),
            Self::Malformed => f.write_str("it is not a JSON Web Token"),
            Self::UnknownKey => f.write_str("its kid is that of no key"),
            Self::KeyNotFetched => f.write_str("its key could not be fetched"),
            Self::Algorithm => f.write_str("its algorithm is not that of a key"),
            Self::Signature => f.write_str("its signature is wrong"),
            Self::Claim(name) => write!(f, "its claim {name} is of the wrong type"),
            Self::Audience => f.write_str("its aud does not contain token_audience"),
            Self::Issuer => f.write_str("its iss is not token_issuer"),
        }
    }
}

/// The claims of a token. Times are compared by the shard with the time of its current input.
///
/// A claim that is `null` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct Claims {
    /// The user (`sub`); empty for an anonymous connection.
    pub sub: String,
    /// The expiry (`exp`), in seconds since 1970.
    pub exp: Option<i64>,
    /// The time before which the token is invalid (`nbf`), in seconds since 1970.
    pub nbf: Option<i64>,
    /// The time at which the token was issued (`iat`), in seconds since 1970.
    pub iat: Option<i64>,
    /// The id of the token (`jti`), by which it can be revoked. An empty one counts as absent.
    pub jti: Option<String>,
    /// The info that other members of a room are told: any JSON, as it was written.
    pub info: Option<Json>,
    /// The rooms that the server subscribes the connection to.
    pub channels: Vec<String>,
    /// The room of a room token; absent in a connection token. An empty one counts as absent.
    pub channel: Option<String>,
    /// The rights that a connection token grants in rooms (`caps`).
    pub caps: Vec<CapabilityClaim>,
    /// The rights that a room token grants besides joining (`allow`).
    pub allow: Vec<String>,
    /// The audience (`aud`).
    pub aud: Vec<String>,
    /// The issuer (`iss`).
    pub iss: Option<String>,
}

/// The claims that are used, as JSON text.
#[derive(Deserialize)]
struct RawClaims<'a> {
    #[serde(borrow, default)]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default)]
    iat: Option<&'a RawValue>,
    #[serde(borrow, default)]
    jti: Option<&'a RawValue>,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channels: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default)]
    caps: Option<&'a RawValue>,
    #[serde(borrow, default)]
    allow: Option<&'a RawValue>,
    #[serde(borrow, default)]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default)]
    iss: Option<&'a RawValue>,
}

/// An audience: one string or a list (RFC 7519 section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// Reads the claims from the payload of a token.
    ///
    /// # Errors
    /// Returns [`BadToken::Malformed`] when the payload is not a JSON object or has a claim twice, [`BadToken::Claim`]
    /// when a claim has the wrong type.
    pub fn parse(json: &str) -> Result<Self, BadToken> {
        let written: RawClaims<'_> = raw::object(json).map_err(|_| BadToken::Malformed)?;
        let aud = match claim::<Audience>("aud", written.aud)? {
            None => Vec::new(),
            Some(Audience::One(one)) => alloc::vec![one],
            Some(Audience::Several(several)) => several,
        };
        Ok(Self {
            sub: claim("sub", written.sub)?.unwrap_or_default(),
            exp: claim("exp", written.exp)?.map(whole_seconds),
            nbf: claim("nbf", written.nbf)?.map(whole_seconds),
            iat: claim("iat", written.iat)?.map(whole_seconds),
            jti: claim("jti", written.jti)?.filter(|id: &String| !id.is_empty()),
            info: written.info.map(Json::from),
            channels: claim("channels", written.channels)?.unwrap_or_default(),
            channel: claim("channel", written.channel)?.filter(|channel: &String| !channel.is_empty()),
            caps: capabilities(written.caps)?,
            allow: claim("allow", written.allow)?.unwrap_or_default(),
            aud,
            iss: claim("iss", written.iss)?,
        })
    }
}

/// Reads one claim; `None` when it is absent.
fn claim<'a, T: Deserialize<'a>>(name: &'static str, written: Option<&'a RawValue>) -> Result<Option<T>, BadToken> {
    written.map(|json| serde_json::from_str(json.get()).map_err(|_| BadToken::Claim(name))).transpose()
}

/// Reads the entries of `caps`; a derived `Deserialize` alone would accept an array for an entry too.
fn capabilities(written: Option<&RawValue>) -> Result<Vec<CapabilityClaim>, BadToken> {
    let entries: Vec<&RawValue> = claim("caps", written)?.unwrap_or_default();
    entries.into_iter().map(|entry| raw::object(entry.get()).map_err(|_| BadToken::Claim("caps"))).collect()
}

/// Truncates a NumericDate, which may have a fraction (RFC 7519 section 2), to whole seconds.
fn whole_seconds(date: f64) -> i64 {
    date as i64
}

/// Claims that a verifier has checked: signature and algorithm are right, audience and issuer are the configured ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub struct VerifiedClaims(Box<Claims>);

impl VerifiedClaims {
    /// Marks claims as checked. Only verifiers call this, after they have checked the token; Clippy refuses every other
    /// call.
    #[must_use]
    pub fn vouched_for_by_verifier(claims: Claims) -> Self {
        Self(Box::new(claims))
    }

    /// Returns the claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0
    }

    /// Returns the same claims with another info.
    pub(crate) fn with_info(&self, info: Option<Json>) -> Self {
        Self(Box::new(Claims { info, ..Claims::clone(&self.0) }))
    }

    /// Returns the claims by value.
    pub(crate) fn into_claims(self) -> Claims {
        *self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn claims_are_read_as_tokens_have_them() {
        let text = r#"{"sub":"ada","exp":1700000000.9,"nbf":5,"info":{ "n":
            1 },"channels":["a"],"channel":"b",
            "caps":[{"channels":["news:*"],"match":"wildcard","allow":["sub"]}],"allow":["pub"],"aud":"x","iss":"y","iat":1.5,"jti":"z"}"#;
        let expected = Claims {
            sub: "ada".into(),
            exp: Some(1_700_000_000),
            nbf: Some(5),
            iat: Some(1),
            jti: Some("z".into()),
            info: Json::parse(r#"{ "n":            1 }"#).ok(),
            channels: vec!["a".into()],
            channel: Some("b".into()),
            caps: vec![CapabilityClaim {
                channels: vec!["news:*".into()],
                matching: Some("wildcard".into()),
                allow: vec!["sub".into()],
            }],
            allow: vec!["pub".into()],
            aud: vec!["x".into()],
            iss: Some("y".into()),
        };
        assert_eq!(Claims::parse(text), Ok(expected));
        assert_eq!(Claims::parse(r#"{"aud":["x","y"]}"#).map(|claims| claims.aud), Ok(vec!["x".into(), "y".into()]));
        assert_eq!(Claims::parse("{}"), Ok(Claims::default()));
        assert_eq!(Claims::parse(r#"{"channel":"","jti":""}"#), Ok(Claims::default()));
    }

    #[test]
    fn a_claim_that_is_null_is_absent() {
        for name in ["sub", "exp", "nbf", "iat", "info", "channels", "channel", "caps", "allow", "aud", "iss", "jti"] {
            assert_eq!(Claims::parse(&alloc::format!("{{\"{name}\":null}}")), Ok(Claims::default()), "{name}");
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_named() {
        for (name, value) in [
            ("sub", "7"),
            ("exp", "\"soon\""),
            ("nbf", "true"),
            ("iat", "\"now\""),
            ("jti", "7"),
            ("channels", "\"a\""),
            ("channels", "[null]"),
            ("channel", "[\"a\"]"),
            ("caps", "{}"),
            ("caps", "[[[\"a\"],null,[\"sub\"]]]"),
            ("caps", r#"[{"channels":"a","allow":["sub"]}]"#),
            ("allow", "\"pub\""),
            ("aud", "7"),
            ("iss", "{}"),
        ] {
            let text = alloc::format!("{{\"{name}\":{value}}}");
            assert_eq!(Claims::parse(&text), Err(BadToken::Claim(name)), "{text}");
        }
        for text in ["", "7", "[]", "[\"ada\"]", "{", r#"{"sub":"ada","sub":"eve"}"#] {
            assert_eq!(Claims::parse(text), Err(BadToken::Malformed), "{text}");
        }
        assert_eq!(BadToken::Claim("exp").to_string(), "its claim exp is of the wrong type");
    }
}
