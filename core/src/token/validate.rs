//! The validation of a token: its times against those of the turn, its names and sizes against the limits.

use super::claims::{BadToken, Claims, VerifiedClaims};
use super::revocation::{AcceptedToken, REVOKED, Revocations};
use crate::close::{CloseCause, CloseReason};
use crate::config::Config;
use crate::error::{Error, ErrorCode};
use crate::json::Json;
use crate::limits::Limit;
use crate::names::{BadName, RoomName, UserId};
use crate::policy::capabilities::{Capabilities, Rights};
use crate::protocol::readable;
use crate::tallies::TokenVerdicts;
use crate::time::{Deadline, Instant, Now};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Result of validating a token's claims against the current time.
pub(crate) enum TokenVerdict {
    Good(Identity),
    /// Not valid at the current time; a new token, or the same one later, may be valid.
    OutsideValidity(OutsideValidity),
    /// Not known, since its key could not be fetched; the same token may be valid.
    Unknown,
    /// Never valid.
    Bad(TokenError),
}

/// The reason for which a token is not valid at the current time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OutsideValidity {
    /// The `nbf` is in the future.
    NotYetValid,
    /// The `exp` is in the past.
    Expired,
}

impl OutsideValidity {
    /// Returns the error for a command with this token: SDKs get a new token and repeat the command.
    pub fn error(self) -> Error {
        match self {
            Self::NotYetValid => Error::new(ErrorCode::TokenExpired, "token is not valid yet"),
            Self::Expired => ErrorCode::TokenExpired.into(),
        }
    }

    /// Returns the close reason for a connection that was to be renewed with this token: SDKs reconnect with a new
    /// token.
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::NotYetValid => CloseReason::fixed(CloseCause::Expired.reason().code(), "token is not valid yet"),
            Self::Expired => CloseCause::Expired.reason(),
        }
    }
}

/// The reason for which a token is never valid.
#[derive(Debug)]
pub(crate) enum TokenError {
    /// The verifier rejects the token. The client is not told the reason, which would help to forge one.
    Unverified(BadToken),
    /// A backend has revoked the token.
    Revoked,
    /// A claim has a value that is not allowed.
    Content { words: Cow<'static, str>, limit: Option<Limit> },
}

impl TokenError {
    pub fn content(words: impl Into<Cow<'static, str>>) -> Self {
        Self::Content { words: words.into(), limit: None }
    }

    fn of_name(what: &str, wrong: &BadName) -> Self {
        let limit = matches!(wrong, BadName::TooLong(_)).then_some(Limit::RoomNameBytes);
        Self::Content { words: format!("{what}: {wrong}").into(), limit }
    }

    fn of_error(error: Error) -> Self {
        Self::Content { words: error.message, limit: error.limit }
    }

    /// Returns the limit that the token exceeds, if any.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Content { limit, .. } => *limit,
            Self::Unverified(_) | Self::Revoked => None,
        }
    }

    /// Returns the close reason for a connection with this token.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Unverified(_) => CloseCause::InvalidToken.reason(),
            Self::Revoked => CloseCause::InvalidToken.reason().because(REVOKED),
            Self::Content { words, .. } => CloseCause::InvalidToken.reason().because(words),
        }
    }

    /// Returns the error for a command about one room with this token.
    pub fn error(self) -> Error {
        let code = ErrorCode::PermissionDenied;
        match self {
            Self::Unverified(_) => code.into(),
            Self::Revoked => Error::new(code, format!("{}: {REVOKED}", code.message())),
            Self::Content { words, limit } => {
                Error { code, message: format!("{}: {words}", code.message()).into(), limit }
            }
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified(why) => write!(f, "{why}"),
            Self::Revoked => f.write_str(REVOKED),
            Self::Content { words, .. } => f.write_str(words),
        }
    }
}

/// The user and the rights that a valid token proves.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Identity {
    pub user: UserId,
    #[serde(serialize_with = "crate::stored::content")]
    pub info: Option<Json>,
    pub channels: Vec<RoomName>,
    /// The room of a room token.
    pub channel: Option<String>,
    /// The rights by name of a room.
    pub capabilities: Capabilities,
    /// The rights in the room of a room token.
    pub allow: Rights,
    /// The time until the token expires; zero when only the leeway remains.
    pub left: Option<Duration>,
    /// The time at which the connection or the membership ends.
    pub until: Deadline,
    /// The token itself; `None` where it cannot be revoked, having neither an id nor a user.
    pub token: Option<Box<AcceptedToken>>,
}

impl Identity {
    /// Returns the seconds until the token expires, rounded for replies: at least 1, since SDKs interpret 0 as "never".
    pub fn ttl(&self) -> Option<u64> {
        self.left.map(|left| left.as_secs().max(1))
    }
}

impl TokenVerdict {
    /// Returns the verdict for a use as a connection token, which must not have a `channel`.
    pub fn of_connection(self) -> Self {
        match self {
            Self::Good(Identity { channel: Some(_), .. }) => Self::Bad(TokenError::content(
                "it has the claim channel, so it is valid for a room and not for a connection",
            )),
            other => other,
        }
    }

    /// Returns the count of tokens that are judged like this one.
    pub fn count<'c>(&self, counts: &'c mut TokenVerdicts) -> &'c mut u64 {
        match self {
            Self::Good(_) => &mut counts.accepted,
            Self::OutsideValidity(OutsideValidity::Expired) => &mut counts.expired,
            Self::OutsideValidity(OutsideValidity::NotYetValid) => &mut counts.not_yet_valid,
            Self::Unknown => &mut counts.key_not_fetched,
            Self::Bad(TokenError::Revoked) => &mut counts.revoked,
            Self::Bad(TokenError::Content { .. }) => &mut counts.content,
            Self::Bad(TokenError::Unverified(why)) => match why {
                BadToken::NoKey | BadToken::UnknownKey | BadToken::Algorithm => &mut counts.key,
                BadToken::KeyNotFetched => &mut counts.key_not_fetched,
                BadToken::Malformed | BadToken::Claim(_) => &mut counts.malformed,
                BadToken::Signature => &mut counts.signature,
                BadToken::Audience | BadToken::Issuer => &mut counts.audience,
            },
        }
    }

    /// Returns the reason for which the token is not valid, for the operator.
    pub fn failure(&self) -> Option<&dyn fmt::Display> {
        match self {
            Self::Good(_) => None,
            Self::OutsideValidity(OutsideValidity::NotYetValid) => Some(&"its nbf is in the future"),
            Self::OutsideValidity(OutsideValidity::Expired) => Some(&"its exp has passed"),
            Self::Unknown => Some(&BadToken::KeyNotFetched),
            Self::Bad(error) => Some(error),
        }
    }
}

/// Returns the error for a command whose token has a key that could not be fetched: SDKs repeat the command later.
pub(crate) fn unknown_key_error() -> Error {
    Error::new(ErrorCode::Internal, "the key of the token could not be fetched")
}

/// The time and the limits that tokens are validated against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validator<'a> {
    pub now: Now,
    pub config: &'a Config,
    pub revocations: &'a Revocations,
}

impl Validator<'_> {
    /// Evaluates the claims of a token whose signature was checked.
    pub fn evaluate(self, verified: Result<VerifiedClaims, BadToken>) -> TokenVerdict {
        let claims = match verified {
            Ok(claims) => claims.into_claims(),
            Err(BadToken::KeyNotFetched) => return TokenVerdict::Unknown,
            Err(why) => return TokenVerdict::Bad(TokenError::Unverified(why)),
        };
        if let Some(outside) = self.check_validity(&claims) {
            return TokenVerdict::OutsideValidity(outside);
        }
        match self.identity(claims) {
            Ok(identity) if self.is_revoked(&identity) => TokenVerdict::Bad(TokenError::Revoked),
            Ok(identity) => TokenVerdict::Good(identity),
            Err(error) => TokenVerdict::Bad(error),
        }
    }

    fn is_revoked(self, identity: &Identity) -> bool {
        !self.revocations.is_empty()
            && identity.token.as_ref().is_some_and(|token| self.revocations.is_revoked(token, self.now))
    }

    /// Clocks differ, so a token is valid from `token_leeway` before its `nbf` until `token_leeway` after its `exp`.
    fn check_validity(self, claims: &Claims) -> Option<OutsideValidity> {
        let now = i128::from(self.now.unix_ms);
        let leeway = i128::try_from(self.config.limits.token_leeway.as_millis()).unwrap_or(i128::MAX / 2);
        let at = |seconds: i64| i128::from(seconds) * 1000;
        if claims.exp.is_some_and(|exp| at(exp) + leeway <= now) {
            Some(OutsideValidity::Expired)
        } else if claims.nbf.is_some_and(|nbf| at(nbf) > now + leeway) {
            Some(OutsideValidity::NotYetValid)
        } else {
            None
        }
    }

    fn identity(self, claims: Claims) -> Result<Identity, TokenError> {
        let max = self.config.limits.room_name_bytes;
        let user = if claims.sub.is_empty() { Ok(UserId::anonymous()) } else { UserId::parse(&claims.sub, max) };
        let user = user.map_err(|wrong| TokenError::of_name("sub", &wrong))?;
        let mut known = BTreeSet::new();
        let mut channels: Vec<RoomName> = Vec::new();
        for channel in &claims.channels {
            let room = self.config.client_room(channel).map_err(|wrong| TokenError::of_name("channels", &wrong))?;
            if known.insert(room.clone()) {
                channels.push(room);
            }
        }
        if let Some(channel) = &claims.channel {
            self.config.client_room(channel).map_err(|wrong| TokenError::of_name("channel", &wrong))?;
        }
        let info = claims.info.as_deref().unwrap_or_default();
        let most = self.config.limits.info_bytes;
        if info.len() > most {
            let words = format!("info has more than {most} bytes");
            return Err(TokenError::of_error(Error::limit(ErrorCode::BadRequest, Limit::InfoBytes, &words)));
        }
        readable::check(info, &self.config.limits).map_err(|wrong| TokenError::of_error(wrong.error("info")))?;
        let token = self.accepted(&claims, &user)?;
        let left = claims.exp.map(|exp| self.time_to(exp));
        let until = Deadline::from_option(claims.exp.map(|exp| self.end_of(exp)));
        let capabilities = Capabilities::read(&claims.caps, &self.config.limits).map_err(TokenError::of_error)?;
        let allow = Rights::parse(&claims.allow).map_err(TokenError::content)?;
        let allow = if claims.channel.is_some() { allow.union(Rights::SUBSCRIBE) } else { Rights::NONE };
        let (info, channel) = (claims.info, claims.channel);
        Ok(Identity { user, info, channels, channel, capabilities, allow, left, until, token })
    }

    /// Returns what is kept of a token, so that its revocation finds it.
    fn accepted(self, claims: &Claims, user: &UserId) -> Result<Option<Box<AcceptedToken>>, TokenError> {
        let most = self.config.limits.token_id_bytes;
        if claims.jti.as_ref().is_some_and(|id| id.len() > most) {
            let words = format!("jti has more than {most} bytes");
            return Err(TokenError::of_error(Error::limit(ErrorCode::BadRequest, Limit::TokenIdBytes, &words)));
        }
        let id = claims.jti.as_deref().map(Arc::from);
        if id.is_none() && user.is_anonymous() {
            return Ok(None);
        }
        let (issued_at, expires_at) = (claims.iat, claims.exp);
        Ok(Some(Box::new(AcceptedToken { user: user.clone(), id, issued_at, expires_at })))
    }

    /// Returns the time from this turn to a time in seconds since 1970; zero when that is past.
    pub fn time_to(self, unix_seconds: i64) -> Duration {
        Duration::from_millis(unix_ms(unix_seconds).saturating_sub(self.now.unix_ms))
    }

    /// Returns the time at which a connection ends whose token expires at this time, in seconds since 1970:
    /// `expiry_grace` later, but not while the token is valid, since the client would reconnect with the same token at
    /// once.
    pub fn end_of(self, unix_seconds: i64) -> Instant {
        let limits = &self.config.limits;
        let grace = limits.expiry_grace.max(limits.token_leeway);
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let left = unix_ms(unix_seconds).saturating_add(grace).saturating_sub(self.now.unix_ms);
        self.now.mono.after(Duration::from_millis(left))
    }
}

/// Converts a time from seconds to milliseconds since 1970; 0 for a time before 1970.
fn unix_ms(unix_seconds: i64) -> u64 {
    u64::try_from(unix_seconds).unwrap_or(0).saturating_mul(1000)
}
