//! Revocations: the lists of each hub, and the search for what was opened with the tokens.
//!
//! A revocation is in the list before the search begins, so a token that is judged meanwhile is refused. What was accepted
//! before is found wherever it waits: a connection has its token, and a join its grant, before a home is asked for anything.
//! The call is answered when every hub of the node has looked at all of its connections. A shard that takes the place of a
//! lost one gets the lists of the others.

use super::Hub;
use super::agenda::Work;
use super::gather::{Caller, Whole};
use super::sweep::{Sweep, SweepTask};
use super::walk::PLACES_PER_STEP;
use crate::api::json::revocation_bytes;
use crate::api::{InvalidatedUser, Page, Reply};
use crate::close::CloseCause;
use crate::connection::Open;
use crate::connection::pending::{JoinReason, PendingJoin, Reasons};
use crate::error::{Error, ErrorCode, UnsubscribeReason};
use crate::ids::Slot;
use crate::link::{LinkContent, NodeCall};
use crate::names::{RoomName, UserId};
use crate::node::ShardId;
use crate::token::revocation::{AcceptedToken, REVOKED, Revocation, Revocations, seconds};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Seconds for which a revocation holds where the token's end is not known: 30 days.
const DEFAULT_SECONDS: i64 = 30 * 24 * 60 * 60;

/// The end of a token that has none.
const NEVER: i64 = i64::MAX;

impl Hub {
    /// Revokes the tokens with an id. Where no end is given, that of the tokens is asked for first.
    pub(super) fn call_revoke_token(&mut self, caller: Caller, id: Arc<str>, expire_at: Option<i64>) {
        if let Some(until) = expire_at {
            return self.revoke_at_all(caller, Revocation::Token { id, until });
        }
        let gather = self.begin_gather(caller, Whole::EndOf(Arc::clone(&id)), self.node.shards().len());
        self.call_all(gather, &NodeCall::FindEnd { id });
    }

    /// Revokes the tokens with an id until the end that the hubs of the node know, if any.
    pub(super) fn revoke_until_end(&mut self, caller: Caller, id: Arc<str>, found: Result<Reply, Error>) {
        let now = seconds(self.now);
        let until = match found {
            Ok(Reply::Revoked { until: Some(end) }) if end != NEVER => {
                let leeway = self.config.limits.token_leeway.as_millis().div_ceil(1000);
                end.saturating_add(i64::try_from(leeway).unwrap_or(i64::MAX)).max(now.saturating_add(1))
            }
            _ => now.saturating_add(DEFAULT_SECONDS),
        };
        self.revoke_at_all(caller, Revocation::Token { id, until });
    }

    /// Revokes tokens of a user.
    pub(super) fn call_invalidate(
        &mut self,
        caller: Caller,
        user: UserId,
        issued_before: Option<i64>,
        expire_at: Option<i64>,
    ) {
        let now = seconds(self.now);
        // Tokens tell the second in which they were issued: those of this second may be older than the call.
        let issued_before = issued_before.unwrap_or(now.saturating_add(1));
        let until = expire_at.unwrap_or(now.saturating_add(DEFAULT_SECONDS));
        self.revoke_at_all(caller, Revocation::User { user, issued_before, until });
    }

    fn revoke_at_all(&mut self, caller: Caller, revocation: Revocation) {
        let (Revocation::Token { until, .. } | Revocation::User { until, .. }) = &revocation;
        let now = seconds(self.now);
        if *until <= now {
            let words = format!("expire_at is {until}; it must be in the future, which begins after {now}");
            return self.resolve(caller, Err(Error::new(ErrorCode::BadRequest, words)));
        }
        self.call_node(caller, NodeCall::Revoke(revocation));
    }

    /// Revokes tokens in this shard.
    pub(super) fn revoke(&mut self, caller: Caller, revocation: Revocation) {
        match self.revocations.add(&revocation, &self.config.limits, self.now) {
            Ok(until) => self.sweep(caller, SweepTask::End { of: revocation, until }),
            Err(error) => self.resolve(caller, Err(error)),
        }
    }

    /// Looks for the latest end of the tokens with an id in this shard.
    pub(super) fn find_end(&mut self, caller: Caller, id: Arc<str>) {
        self.sweep(caller, SweepTask::FindEnd { id, latest: None });
    }

    /// Hands all revocations to the shard that takes the place of a lost one, which knows of none.
    pub(super) fn hand_over_revocations(&mut self, lost: ShardId) {
        if !self.revocations.is_empty() {
            self.send(lost, LinkContent::Revocations(Box::new(self.revocations.clone())));
        }
    }

    /// Takes over the revocations of another shard.
    pub(super) fn take_revocations(&mut self, others: &Revocations) {
        self.revocations.add_all(others);
        self.sweep(Caller::Nobody, SweepTask::EndAll);
    }

    fn sweep(&mut self, caller: Caller, task: SweepTask) {
        self.agenda.first(Work::Sweep(Box::new(Sweep { caller, task, at: 0 })));
    }

    /// Looks at some more connections, up to the first of which something ends.
    pub(super) fn sweep_on(&mut self, mut sweep: Box<Sweep>) {
        let (start, places) = (sweep.at, self.conns.capacity());
        let last = places.min(start + PLACES_PER_STEP);
        let mut is_ended = false;
        while sweep.at < last && !is_ended {
            is_ended = self.sweep_place(sweep.at, &mut sweep.task);
            sweep.at += 1;
        }
        self.budget.visit(sweep.at - start);
        if sweep.at < places {
            return self.agenda.first(Work::Sweep(sweep));
        }
        let until = match sweep.task {
            SweepTask::FindEnd { latest, .. } => latest,
            SweepTask::End { until, .. } => Some(until),
            SweepTask::EndAll => None,
        };
        self.resolve(sweep.caller, Ok(Reply::Revoked { until }));
    }

    /// Looks at the connection in a place. Returns whether anything ended.
    fn sweep_place(&mut self, place: usize, task: &mut SweepTask) -> bool {
        let Some(open) = self.conns.at(place).and_then(|conn| conn.open()) else { return false };
        match task {
            SweepTask::FindEnd { id, latest } => {
                let tokens = open.token.as_deref().into_iter().chain(room_tokens(open).map(|(_, token)| token));
                let ends = tokens.filter(|token| token.id.as_ref() == Some(id));
                *latest = ends.map(|token| token.expires_at.unwrap_or(NEVER)).chain(*latest).max();
                false
            }
            SweepTask::End { of, .. } => self.end_revoked(Slot::at(place), |_, token| of.is_of(token)),
            SweepTask::EndAll => {
                self.end_revoked(Slot::at(place), |hub, token| hub.revocations.is_revoked(token, hub.now))
            }
        }
    }

    /// Ends a connection that has a revoked token, or its subscriptions that have one.
    fn end_revoked(&mut self, slot: Slot, is_revoked: impl Fn(&Self, &AcceptedToken) -> bool) -> bool {
        let Some(open) = self.conns[slot].open() else { return false };
        if open.token.as_ref().is_some_and(|token| is_revoked(self, token)) {
            self.close(slot, CloseCause::Revoked);
            return true;
        }
        let revoked = room_tokens(open).filter(|(_, token)| is_revoked(self, token));
        let rooms: Vec<RoomName> = revoked.map(|(room, _)| room.clone()).collect();
        for room in &rooms {
            self.end_join_above_others(slot, room);
            self.room_token_ended(slot, room, UnsubscribeReason::REVOKED);
        }
        !rooms.is_empty()
    }

    /// Takes a client's request for a room back whose token is revoked, where the connection is there, or comes there, for other
    /// reasons as well: those go on.
    fn end_join_above_others(&mut self, slot: Slot, room: &RoomName) {
        let Some(rest) = self.registry.reasons(slot, room).difference(Reasons::CLIENT) else { return };
        let is_member = self.registry.is_member(slot, room);
        let Some(open) = self.conns[slot].open_mut() else { return };
        let was_spent = open.has_spent_credit();
        let is_revoked = |pending: &PendingJoin| pending.room == *room && pending.grant.is_some();
        let Some(at) = open.joins.iter().position(is_revoked) else { return };
        let mut pending = open.joins.remove(at);
        pending.grant = None;
        let reason = core::mem::replace(&mut pending.reason, JoinReason::ServerSide(rest));
        if !is_member {
            open.joins.insert(at, pending);
        }
        if let JoinReason::ClientRequest { id } = reason {
            let error = Error::new(ErrorCode::PermissionDenied, format!("permission denied: {REVOKED}"));
            self.fail(slot, &id, &error);
        }
        self.withdraw_reason(slot, room, Reasons::CLIENT, UnsubscribeReason::REVOKED);
        self.end_forbidden_watch(slot, room);
        self.rename_in(slot, room);
        self.go_on_after_answer(slot, was_spent);
    }

    /// Lists revoked tokens.
    pub(super) fn list_revoked_tokens(&mut self, caller: Caller, page: &Page<String>) {
        let all = self.revocations.tokens_after(page.after.as_deref(), self.now);
        let entry = |(id, until): (&Arc<str>, i64)| (Arc::clone(id), until);
        let part = part(all.map(entry), page.limit, self.left_of(caller), |(id, _)| id);
        let result = part.map(|(tokens, next)| Reply::RevokedTokens { tokens, next });
        self.answer_list(caller, result);
    }

    /// Lists users of whom tokens were revoked.
    pub(super) fn list_invalidated_users(&mut self, caller: Caller, page: &Page<String>) {
        let all = self.revocations.users_after(page.after.as_deref(), self.now);
        let entries = all.map(|(user, of_user)| InvalidatedUser {
            user: user.clone(),
            issued_before: of_user.issued_before,
            until: of_user.until,
        });
        let part = part(entries, page.limit, self.left_of(caller), |entry| &entry.user);
        let result = part.map(|(users, next)| Reply::InvalidatedUsers { users, next });
        self.answer_list(caller, result);
    }

    fn answer_list(&mut self, caller: Caller, result: Option<Reply>) {
        let result = result.ok_or_else(|| self.over_reply());
        self.resolve(caller, result);
    }
}

/// Returns the rooms of a connection for which it has, or is to have, a membership by a token of the room, with the token.
fn room_tokens(open: &Open) -> impl Iterator<Item = (&RoomName, &AcceptedToken)> {
    let asked = open.joins.iter().filter_map(|pending| pending.grant.as_deref());
    open.grants.iter().chain(asked).filter_map(|grant| Some((&grant.room, grant.token.as_deref()?)))
}

/// Returns the first entries, and the key of the last where there are more; `None` where they have more bytes than an answer
/// may have.
fn part<T>(
    entries: impl Iterator<Item = T>,
    limit: Option<usize>,
    most_bytes: usize,
    key: fn(&T) -> &str,
) -> Option<(Vec<T>, Option<String>)> {
    let (mut part, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        if limit == Some(part.len()) {
            let next = part.last().map(|last| String::from(key(last)));
            return Some((part, next));
        }
        bytes += revocation_bytes(key(&entry));
        if bytes > most_bytes {
            return None;
        }
        part.push(entry);
    }
    Some((part, None))
}
