//! The tokens that a backend has taken back before their end: single ones by their `jti`, and all of a user that were issued
//! before some time.
//!
//! A shard judges tokens by its own lists, which are those of every shard of the node. They are kept in memory: a server that
//! starts anew knows of no revocation.

use crate::error::{Error, ErrorCode};
use crate::limits::{Limit, Limits};
use crate::names::UserId;
use crate::time::Now;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::ops::Bound;

/// Words for a token that was revoked.
pub(crate) const REVOKED: &str = "the token was revoked";

/// The claims of an accepted token by which it can be revoked, and its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct AcceptedToken {
    /// The user; anonymous where the token has none.
    pub user: UserId,
    /// The id of the token (`jti`).
    pub id: Option<Arc<str>>,
    /// The time at which it was issued (`iat`), in seconds since 1970.
    pub issued_at: Option<i64>,
    /// The expiry (`exp`), in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// A revocation, which holds until a time in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) enum Revocation {
    /// Of the tokens with this id.
    Token { id: Arc<str>, until: i64 },
    /// Of the tokens of a user that were issued before a time, in seconds since 1970, or do not say when.
    User { user: UserId, issued_before: i64, until: i64 },
}

impl Revocation {
    /// Returns `true` when the revocation is of this token.
    pub fn is_of(&self, token: &AcceptedToken) -> bool {
        match self {
            Self::Token { id, .. } => token.id.as_ref() == Some(id),
            Self::User { user, issued_before, .. } => {
                token.user == *user && token.issued_at.is_none_or(|issued_at| issued_at < *issued_before)
            }
        }
    }
}

/// The revocation of a user's tokens: those issued before a time are refused until another, both in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Invalidation {
    pub issued_before: i64,
    pub until: i64,
}

/// All revocations, at most `revoked_tokens` and `invalidated_users` of them. One that is over makes room for another; one
/// that holds does not.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(crate) struct Revocations {
    tokens: BTreeMap<Arc<str>, i64>,
    users: BTreeMap<UserId, Invalidation>,
}

impl Revocations {
    /// Returns `true` when nothing is revoked.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty()
    }

    /// Returns `true` for a token that is revoked at this time.
    pub fn is_revoked(&self, token: &AcceptedToken, now: Now) -> bool {
        if self.is_empty() {
            return false;
        }
        let now = seconds(now);
        let of_token = token.id.as_ref().and_then(|id| self.tokens.get(id)).is_some_and(|until| *until > now);
        of_token
            || self.users.get(&token.user).is_some_and(|of_user| {
                of_user.until > now && token.issued_at.is_none_or(|issued_at| issued_at < of_user.issued_before)
            })
    }

    /// Adds a revocation. Where there is one of the same token or user, the later of both times counts: nothing that is
    /// revoked is valid again sooner than was said. Returns the end that counts.
    ///
    /// # Errors
    /// 106 (limit exceeded) with `revoked_tokens` or `invalidated_users`, when so many hold.
    pub fn add(&mut self, revocation: &Revocation, limits: &Limits, now: Now) -> Result<i64, Error> {
        let now = seconds(now);
        match revocation {
            Revocation::Token { id, .. } if !self.tokens.contains_key(id) => {
                ensure_place(&mut self.tokens, Limit::RevokedTokens, limits.revoked_tokens, |until| *until > now)?;
            }
            Revocation::User { user, .. } if !self.users.contains_key(user) => {
                let holds = |of_user: &Invalidation| of_user.until > now;
                ensure_place(&mut self.users, Limit::InvalidatedUsers, limits.invalidated_users, holds)?;
            }
            _ => {}
        }
        Ok(self.insert(revocation))
    }

    /// Adds all revocations of another shard, which count for its bound.
    pub fn add_all(&mut self, others: &Self) {
        for (id, until) in &others.tokens {
            self.insert(&Revocation::Token { id: Arc::clone(id), until: *until });
        }
        for (user, Invalidation { issued_before, until }) in &others.users {
            let (user, issued_before, until) = (user.clone(), *issued_before, *until);
            self.insert(&Revocation::User { user, issued_before, until });
        }
    }

    fn insert(&mut self, revocation: &Revocation) -> i64 {
        match revocation {
            Revocation::Token { id, until } => {
                let known = self.tokens.entry(Arc::clone(id)).or_insert(*until);
                *known = (*known).max(*until);
                *known
            }
            Revocation::User { user, issued_before, until } => {
                let new = Invalidation { issued_before: *issued_before, until: *until };
                let known = self.users.entry(user.clone()).or_insert(new);
                known.issued_before = known.issued_before.max(new.issued_before);
                known.until = known.until.max(new.until);
                known.until
            }
        }
    }

    /// Returns the revoked tokens whose ids come after this one, in their order, with the ends.
    pub fn tokens_after(&self, after: Option<&str>, now: Now) -> impl Iterator<Item = (&Arc<str>, i64)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.tokens.range::<str, _>((start, Bound::Unbounded));
        all.map(|(id, until)| (id, *until)).filter(move |(_, until)| *until > seconds(now))
    }

    /// Returns the users after this one whose tokens are revoked, in their order.
    pub fn users_after(&self, after: Option<&str>, now: Now) -> impl Iterator<Item = (&UserId, Invalidation)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.users.range::<str, _>((start, Bound::Unbounded));
        all.map(|(user, of_user)| (user, *of_user)).filter(move |(_, of_user)| of_user.until > seconds(now))
    }

    /// Returns all entries as text, for comparisons.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        let tokens = self.tokens.iter().map(|(id, until)| format!("{id:?} until {until}"));
        let users = self.users.iter().map(|(user, of_user)| format!("{user:?} {of_user:?}"));
        tokens.chain(users)
    }
}

/// Returns the time in whole seconds since 1970.
pub(crate) fn seconds(now: Now) -> i64 {
    i64::try_from(now.unix_ms / 1000).unwrap_or(i64::MAX)
}

/// Forgets what is over where there is no room for one more. O(n) then.
fn ensure_place<K: Ord, V>(
    entries: &mut BTreeMap<K, V>,
    limit: Limit,
    most: usize,
    holds: impl Fn(&V) -> bool,
) -> Result<(), Error> {
    if entries.len() >= most {
        entries.retain(|_, entry| holds(entry));
    }
    if entries.len() < most {
        return Ok(());
    }
    let words = format!("{most} revocations hold already, and none ends for another");
    Err(Error::limit(ErrorCode::LimitExceeded, limit, &words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const NOW: Now = Now { mono: crate::time::Instant(0), unix_ms: 1_000_999 };

    fn at(seconds: u64) -> Now {
        Now { unix_ms: seconds * 1000, ..NOW }
    }

    fn token(user: &str, id: Option<&str>, issued_at: Option<i64>) -> AcceptedToken {
        let user = if user.is_empty() { UserId::anonymous() } else { UserId::from(user) };
        AcceptedToken { user, id: id.map(Arc::from), issued_at, expires_at: None }
    }

    fn of_token(id: &str, until: i64) -> Revocation {
        Revocation::Token { id: id.into(), until }
    }

    fn of_user(user: &str, issued_before: i64, until: i64) -> Revocation {
        Revocation::User { user: user.into(), issued_before, until }
    }

    fn listed(revocations: &Revocations, now: Now) -> Vec<(String, i64)> {
        revocations.tokens_after(None, now).map(|(id, until)| (String::from(&**id), until)).collect()
    }

    #[test]
    fn a_token_is_revoked_by_its_id_until_the_time_that_was_said() {
        let mut revocations = Revocations::default();
        revocations.add(&of_token("t", 1002), &Limits::default(), NOW).expect("there is room");
        let is_revoked = |id, now| revocations.is_revoked(&token("ada", id, Some(5)), now);
        assert!(is_revoked(Some("t"), NOW) && is_revoked(Some("t"), at(1001)));
        assert!(!is_revoked(Some("t"), at(1002)) && !is_revoked(Some("u"), NOW) && !is_revoked(None, NOW));
    }

    #[test]
    fn tokens_of_a_user_are_revoked_by_the_time_at_which_they_were_issued() {
        let mut revocations = Revocations::default();
        revocations.add(&of_user("ada", 900, 1002), &Limits::default(), NOW).expect("there is room");
        let is_revoked = |user, issued_at, now| revocations.is_revoked(&token(user, Some("t"), issued_at), now);
        assert!(is_revoked("ada", Some(899), NOW) && is_revoked("ada", None, at(1001)));
        assert!(!is_revoked("ada", Some(900), NOW) && !is_revoked("ada", None, at(1002)));
        assert!(!is_revoked("eve", None, NOW) && !is_revoked("", None, NOW));
    }

    #[test]
    fn a_later_revocation_extends_an_earlier_one_and_never_shortens_it() {
        let mut revocations = Revocations::default();
        let limits = Limits { revoked_tokens: 1, invalidated_users: 1, ..Limits::default() };
        for (issued_before, until) in [(900, 2000), (800, 3000), (950, 1500)] {
            revocations.add(&of_token("t", until), &limits, NOW).expect("it has a place");
            revocations.add(&of_user("ada", issued_before, until), &limits, NOW).expect("it has a place");
        }
        assert_eq!(listed(&revocations, NOW), [(String::from("t"), 3000)]);
        let users: Vec<_> = revocations.users_after(None, NOW).map(|(_, of_user)| of_user).collect();
        assert_eq!(users, [Invalidation { issued_before: 950, until: 3000 }]);
    }

    #[test]
    fn the_lists_are_bounded_and_only_what_is_over_makes_room() {
        let limits = Limits { revoked_tokens: 2, invalidated_users: 1, ..Limits::default() };
        let mut revocations = Revocations::default();
        for (id, until) in [("a", 1005), ("b", 1010)] {
            revocations.add(&of_token(id, until), &limits, NOW).expect("there is room");
        }
        let error = revocations.add(&of_token("c", 1020), &limits, at(1004)).expect_err("both hold");
        assert_eq!(error.limit, Some(Limit::RevokedTokens));
        assert_eq!(&*error.message, "2 revocations hold already, and none ends for another (revoked_tokens)");
        revocations.add(&of_token("c", 1020), &limits, at(1005)).expect("one is over");
        assert_eq!(listed(&revocations, at(1005)), [(String::from("b"), 1010), (String::from("c"), 1020)]);
        revocations.add(&of_user("ada", 1, 1005), &limits, NOW).expect("there is room");
        let error = revocations.add(&of_user("eve", 1, 1010), &limits, NOW).expect_err("it holds");
        assert_eq!(error.limit, Some(Limit::InvalidatedUsers));
        revocations.add(&of_user("eve", 1, 1010), &limits, at(1005)).expect("it is over");
    }

    #[test]
    fn parts_of_the_lists_have_what_holds_behind_a_key() {
        let mut revocations = Revocations::default();
        for (name, until) in [("c", 2000), ("a", 2000), ("d", 1005), ("b", 2000)] {
            revocations.add(&of_token(name, until), &Limits::default(), NOW).expect("there is room");
            revocations.add(&of_user(name, 1, until), &Limits::default(), NOW).expect("there is room");
        }
        let tokens: Vec<&str> = revocations.tokens_after(Some("a"), at(1005)).map(|(id, _)| &**id).collect();
        let users: Vec<&str> = revocations.users_after(Some("a"), at(1005)).map(|(user, _)| user.as_str()).collect();
        assert_eq!((tokens, users), (["b", "c"].into(), ["b", "c"].into()));
    }

    #[test]
    fn a_shard_takes_over_what_another_knows() {
        let limits = Limits { revoked_tokens: 1, ..Limits::default() };
        let (mut mine, mut others) = (Revocations::default(), Revocations::default());
        mine.add(&of_token("a", 2000), &limits, NOW).expect("there is room");
        others.add(&of_token("b", 3000), &limits, NOW).expect("there is room");
        others.add(&of_user("ada", 1, 3000), &limits, NOW).expect("there is room");
        mine.add_all(&others);
        assert_eq!(listed(&mine, NOW), [(String::from("a"), 2000), (String::from("b"), 3000)]);
        assert!(mine.is_revoked(&token("ada", None, None), NOW));
    }
}
