//! What a JSON Web Token says (RFC 7519), and who may say that it is true.

use crate::protocol::raw;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why a verifier does not vouch for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadToken {
    /// No secret is configured, so that no signature is good.
    NoSecret,
    /// It is not the compact form of a token, or its claims are not one JSON object.
    Malformed,
    /// Its algorithm is not the configured one.
    Algorithm,
    /// Its signature is wrong.
    Signature,
    /// This claim is not of the type that it must be.
    Claim(&'static str),
    /// Its `aud` does not have the configured audience.
    Audience,
    /// Its `iss` is not the configured issuer.
    Issuer,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str("no token_secret is set"),
            Self::Malformed => f.write_str("it is not a JSON Web Token"),
            Self::Algorithm => f.write_str("its algorithm is not HS256"),
            Self::Signature => f.write_str("its signature is wrong"),
            Self::Claim(name) => write!(f, "its claim {name} is of the wrong type"),
            Self::Audience => f.write_str("its aud does not have token_audience"),
            Self::Issuer => f.write_str("its iss is not token_issuer"),
        }
    }
}

/// What a token says. Times are judged by the shard, against the time it is given.
///
/// A claim that is `null` is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claims {
    /// Whose connection it is; empty for nobody's.
    pub sub: String,
    /// When it ends, in seconds since 1970.
    pub exp: Option<i64>,
    /// Before when it is not valid, in seconds since 1970.
    pub nbf: Option<i64>,
    /// What others may know about the user: any JSON, kept as it was written.
    pub info: Option<String>,
    /// The rooms that the connection is put in.
    pub channels: Vec<String>,
    /// In the token of a subscription, and in no other: the room that it is for. An empty one is absent.
    pub channel: Option<String>,
    /// Whom it is for.
    pub aud: Vec<String>,
    /// Who has issued it.
    pub iss: Option<String>,
}

/// The claims that mean something, as they are written.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channels: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default)]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default)]
    iss: Option<&'a RawValue>,
}

/// One string, or several (RFC 7519 section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// Reads the payload of a token.
    ///
    /// # Errors
    /// [`BadToken::Malformed`] when it is not a JSON object or has a claim twice, [`BadToken::Claim`] when one is of the
    /// wrong type.
    pub fn parse(json: &str) -> Result<Self, BadToken> {
        let written: Written<'_> = raw::object(json).map_err(|_| BadToken::Malformed)?;
        let aud = match claim::<Audience>("aud", written.aud)? {
            None => Vec::new(),
            Some(Audience::One(one)) => alloc::vec![one],
            Some(Audience::Several(several)) => several,
        };
        Ok(Self {
            sub: claim("sub", written.sub)?.unwrap_or_default(),
            exp: claim("exp", written.exp)?.map(whole_seconds),
            nbf: claim("nbf", written.nbf)?.map(whole_seconds),
            info: written.info.map(raw::one_line),
            channels: claim("channels", written.channels)?.unwrap_or_default(),
            channel: claim("channel", written.channel)?.filter(|channel: &String| !channel.is_empty()),
            aud,
            iss: claim("iss", written.iss)?,
        })
    }
}

/// Reads one claim, unless it is absent.
fn claim<'a, T: Deserialize<'a>>(name: &'static str, written: Option<&'a RawValue>) -> Result<Option<T>, BadToken> {
    written.map(|json| serde_json::from_str(json.get()).map_err(|_| BadToken::Claim(name))).transpose()
}

/// A NumericDate may have a fraction (RFC 7519 section 2), which is cut off.
fn whole_seconds(date: f64) -> i64 {
    date as i64
}

/// Claims that a verifier vouches for: signature and algorithm are right, audience and issuer are the configured ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifiedClaims(Box<Claims>);

impl VerifiedClaims {
    /// Vouches for claims: for verifiers alone, after they have checked the token that says them. Clippy refuses every
    /// other call.
    #[must_use]
    pub fn vouched_for_by_verifier(claims: Claims) -> Self {
        Self(Box::new(claims))
    }

    /// What the token says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0
    }

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
            1 },"channels":["a"],"channel":"b","aud":"x","iss":"y","iat":1}"#;
        let expected = Claims {
            sub: "ada".into(),
            exp: Some(1_700_000_000),
            nbf: Some(5),
            info: Some(r#"{ "n":            1 }"#.into()),
            channels: vec!["a".into()],
            channel: Some("b".into()),
            aud: vec!["x".into()],
            iss: Some("y".into()),
        };
        assert_eq!(Claims::parse(text), Ok(expected));
        assert_eq!(Claims::parse(r#"{"aud":["x","y"]}"#).map(|claims| claims.aud), Ok(vec!["x".into(), "y".into()]));
        assert_eq!(Claims::parse("{}"), Ok(Claims::default()));
        assert_eq!(Claims::parse(r#"{"channel":""}"#), Ok(Claims::default()));
    }

    #[test]
    fn a_claim_that_is_null_is_absent() {
        for name in ["sub", "exp", "nbf", "info", "channels", "channel", "aud", "iss", "jti"] {
            assert_eq!(Claims::parse(&alloc::format!("{{\"{name}\":null}}")), Ok(Claims::default()), "{name}");
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_named() {
        for (name, value) in [
            ("sub", "7"),
            ("exp", "\"soon\""),
            ("nbf", "true"),
            ("channels", "\"a\""),
            ("channels", "[null]"),
            ("channel", "[\"a\"]"),
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
