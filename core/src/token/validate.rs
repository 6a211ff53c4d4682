//! The validation of a token: its times against those of the turn, its names and sizes against the limits.

use super::claims::{BadToken, Claims, VerifiedClaims};
use crate::close::{CloseCause, CloseReason};
use crate::error::{Error, ErrorCode};
use crate::ids::{BadName, Name};
use crate::limits::{Limit, Limits};
use crate::protocol::readable;
use crate::time::{Instant, Now};
use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Result of validating a token's claims against the current time.
pub(crate) enum TokenVerdict {
    Good(Identity),
    /// Nothing now: another one, or the same one later, may be good.
    Untimely(Untimely),
    /// Nothing ever.
    Bad(Flaw),
}

/// A token that is not valid at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Untimely {
    /// Its `nbf` is to come.
    Early,
    /// Its `exp` has passed.
    Late,
}

impl Untimely {
    /// What a command is answered that came with it: SDKs get a new token and try again.
    pub fn error(self) -> Error {
        match self {
            Self::Early => Error::new(ErrorCode::TokenExpired, "token is not valid yet"),
            Self::Late => ErrorCode::TokenExpired.into(),
        }
    }

    /// What a connection is closed with that was to be renewed with it: SDKs come back with a new token.
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::Early => CloseReason::fixed(CloseCause::Expired.reason().code(), "token is not valid yet"),
            Self::Late => CloseCause::Expired.reason(),
        }
    }
}

/// Why a token proves nothing.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// The verifier does not vouch for it. Whoever has made it up is not told why.
    Unverified(BadToken),
    /// What it says cannot be.
    Content { words: Cow<'static, str>, limit: Option<Limit> },
}

impl Flaw {
    pub fn content(words: impl Into<Cow<'static, str>>) -> Self {
        Self::Content { words: words.into(), limit: None }
    }

    fn of_name(what: &str, wrong: BadName) -> Self {
        let limit = matches!(wrong, BadName::TooLong(_)).then_some(Limit::RoomNameBytes);
        Self::Content { words: format!("{what}: {wrong}").into(), limit }
    }

    fn of_error(error: Error) -> Self {
        Self::Content { words: error.message, limit: error.limit }
    }

    /// The limit that it breaks.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Content { limit, .. } => *limit,
            Self::Unverified(_) => None,
        }
    }

    /// What a connection is closed with that has shown it.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Unverified(_) => CloseCause::InvalidToken.reason(),
            Self::Content { words, .. } => CloseCause::InvalidToken.reason().because(words),
        }
    }

    /// What a command is answered that is about one room.
    pub fn error(self) -> Error {
        let code = ErrorCode::PermissionDenied;
        match self {
            Self::Unverified(_) => code.into(),
            Self::Content { words, limit } => {
                Error { code, message: format!("{}: {words}", code.message()).into(), limit }
            }
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified(why) => write!(f, "{why}"),
            Self::Content { words, .. } => f.write_str(words),
        }
    }
}

/// Who a token says that its bearer is.
pub(crate) struct Identity {
    pub user: Name,
    pub info: Option<String>,
    pub channels: Vec<Name>,
    /// The room that it is for, in the token of a subscription.
    pub channel: Option<String>,
    /// How long it is to the token's end; nothing where that is past and the token is good for the leeway only.
    pub left: Option<Duration>,
    /// When what it allows ends.
    pub until: Instant,
}

impl Identity {
    /// How long it is to its end in whole seconds, as replies have it: at least 1, which SDKs take for "soon" where 0 is
    /// "never".
    pub fn ttl(&self) -> Option<u64> {
        self.left.map(|left| left.as_secs().max(1))
    }
}

impl TokenVerdict {
    /// The same where the token has to be a connection's: one with `channel` is a room's.
    pub fn of_connection(self) -> Self {
        match self {
            Self::Good(Identity { channel: Some(_), .. }) => {
                Self::Bad(Flaw::content("it has a channel, so it is a room's and no connection's"))
            }
            other => other,
        }
    }

    /// Why it proves nothing, for those who look for that.
    pub fn failure(&self) -> Option<&dyn fmt::Display> {
        match self {
            Self::Good(_) => None,
            Self::Untimely(Untimely::Early) => Some(&"its nbf is to come"),
            Self::Untimely(Untimely::Late) => Some(&"its exp has passed"),
            Self::Bad(flaw) => Some(flaw),
        }
    }
}

/// The time and the limits that tokens are validated against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validator<'a> {
    pub now: Now,
    pub limits: &'a Limits,
}

impl Validator<'_> {
    /// Validates the claims of a token whose signature was checked.
    pub fn evaluate(self, verified: Result<VerifiedClaims, BadToken>) -> TokenVerdict {
        let claims = match verified {
            Ok(claims) => claims.into_claims(),
            Err(why) => return TokenVerdict::Bad(Flaw::Unverified(why)),
        };
        if let Some(untimely) = self.untimely(&claims) {
            return TokenVerdict::Untimely(untimely);
        }
        match self.identity(claims) {
            Ok(identity) => TokenVerdict::Good(identity),
            Err(flaw) => TokenVerdict::Bad(flaw),
        }
    }

    /// Clocks differ: a token is good for `token_leeway` before it begins and after it ends.
    fn untimely(self, claims: &Claims) -> Option<Untimely> {
        let now = i128::from(self.now.unix_ms);
        let leeway = i128::try_from(self.limits.token_leeway.as_millis()).unwrap_or(i128::MAX / 2);
        let at = |seconds: i64| i128::from(seconds) * 1000;
        if claims.exp.is_some_and(|exp| at(exp) + leeway <= now) {
            Some(Untimely::Late)
        } else if claims.nbf.is_some_and(|nbf| at(nbf) > now + leeway) {
            Some(Untimely::Early)
        } else {
            None
        }
    }

    fn identity(self, claims: Claims) -> Result<Identity, Flaw> {
        let max = self.limits.room_name_bytes;
        let user = if claims.sub.is_empty() { Ok(Name::empty()) } else { Name::user(&claims.sub, max) };
        let user = user.map_err(|wrong| Flaw::of_name("sub", wrong))?;
        let mut known = BTreeSet::new();
        let mut channels: Vec<Name> = Vec::new();
        for channel in &claims.channels {
            let room = Name::client_room(channel, max).map_err(|wrong| Flaw::of_name("channels", wrong))?;
            if known.insert(room.clone()) {
                channels.push(room);
            }
        }
        if let Some(channel) = &claims.channel {
            Name::client_room(channel, max).map_err(|wrong| Flaw::of_name("channel", wrong))?;
        }
        let info = claims.info.as_deref().unwrap_or_default();
        let most = self.limits.info_bytes;
        if info.len() > most {
            let words = format!("info has more than {most} bytes");
            return Err(Flaw::of_error(Error::limit(ErrorCode::BadRequest, Limit::InfoBytes, &words)));
        }
        readable::check(info, self.limits).map_err(|wrong| Flaw::of_error(wrong.error("info")))?;
        let left = claims.exp.map(|exp| self.time_to(exp));
        let until = claims.exp.map_or(Instant::NEVER, |exp| self.end_of(exp));
        Ok(Identity { user, info: claims.info, channels, channel: claims.channel, left, until })
    }

    /// How long it is from this turn to a time in seconds since 1970; nothing where that is past.
    pub fn time_to(self, unix_seconds: i64) -> Duration {
        Duration::from_millis(unix_ms(unix_seconds).saturating_sub(self.now.unix_ms))
    }

    /// When something ends whose token ends at this time, in seconds since 1970: `expiry_grace` later, and not while the
    /// token is good. What is closed then would come back with the same one at once.
    pub fn end_of(self, unix_seconds: i64) -> Instant {
        let limits = self.limits;
        let grace = limits.expiry_grace.max(limits.token_leeway);
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let left = unix_ms(unix_seconds).saturating_add(grace).saturating_sub(self.now.unix_ms);
        self.now.mono.after(Duration::from_millis(left))
    }
}

/// A time in seconds since 1970 in milliseconds; 0 for one before that.
fn unix_ms(unix_seconds: i64) -> u64 {
    u64::try_from(unix_seconds).unwrap_or(0).saturating_mul(1000)
}
