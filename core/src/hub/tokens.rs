//! Tokens: their check, and the end of a connection whose token is no good.

use super::Hub;
use crate::close::CloseCause;
use crate::connection::pending::{PendingAuth, PendingConnect};
use crate::effect::Effect;
use crate::ids::Slot;
use crate::policy::access;
use crate::protocol::{CommandId, Mistake, ServerMessage, Start};
use crate::tallies::TokenVerdicts;
use crate::token::validate::{Identity, OutsideValidity, TokenError, TokenVerdict, Validator, unknown_key_error};
use crate::token::{BadToken, VerifiedClaims};
use alloc::boxed::Box;
use alloc::string::{String, ToString};

impl Hub {
    /// Validates tokens at the time of this turn.
    pub(super) fn validator(&self) -> Validator<'_> {
        Validator { now: self.now, config: &self.config, revocations: &self.revocations }
    }

    /// Has a token's signature checked. What the client says meanwhile waits.
    pub(super) fn authenticate(&mut self, slot: Slot, token: String, pending: PendingAuth) {
        let conn = &mut self.conns[slot];
        let id = conn.id;
        let Some(open) = conn.open_mut() else { return };
        assert!(open.pending_auth.is_none(), "who has a token checked is not heard until that is done");
        open.pending_auth = Some(pending);
        self.effects.push(Effect::Authenticate { conn: id, token: Box::new(token) });
    }

    /// The signature has been checked.
    pub(super) fn authenticated(&mut self, slot: Slot, verified: Result<VerifiedClaims, BadToken>) {
        let Some(pending) = self.conns[slot].open_mut().and_then(|open| open.pending_auth.take()) else {
            self.totals.ignored_inputs += 1;
            return;
        };
        let verdict = self.validator().evaluate(verified);
        let verdict = if pending.is_for_room() { verdict } else { verdict.of_connection() };
        if let Some(why) = verdict.failure() {
            let why = why.to_string();
            self.token_refused(slot, &why, |counts| verdict.count(counts));
        }
        match pending {
            PendingAuth::Connect(connect) => self.connect_authenticated(slot, *connect, verdict),
            PendingAuth::Refresh { id } => self.refreshed(slot, &id, verdict),
            PendingAuth::Subscribe(asked) => self.subscribe_with(slot, *asked, verdict),
            PendingAuth::SubRefresh { id, room } => self.room_refreshed(slot, &id, &room, verdict),
        }
        self.schedule_waiting(slot);
    }

    /// The first token was checked.
    fn connect_authenticated(&mut self, slot: Slot, mut connect: PendingConnect, verdict: TokenVerdict) {
        let is_told = self.conns[slot].protocol.start() == Start::OnConnect;
        match verdict {
            TokenVerdict::Good(mut identity) => {
                connect.ttl = identity.ttl();
                self.accept_token(slot, &mut identity);
                self.ask_for_session(slot, connect, identity);
            }
            verdict if !is_told && access::admits_anonymous(&self.config) => {
                self.begin_session(slot, connect, None, Some(&verdict));
            }
            TokenVerdict::Bad(error) => self.refuse_token(slot, &error),
            TokenVerdict::OutsideValidity(outside) if is_told => {
                self.connect_refused(slot);
                self.fail(slot, &connect.id, &outside.error());
            }
            TokenVerdict::Unknown if is_told => {
                self.connect_refused(slot);
                self.fail(slot, &connect.id, &unknown_key_error());
            }
            TokenVerdict::Unknown => self.close(slot, CloseCause::Unanswered),
            TokenVerdict::OutsideValidity(OutsideValidity::NotYetValid) => {
                self.close_outside_validity(slot, OutsideValidity::NotYetValid)
            }
            TokenVerdict::OutsideValidity(OutsideValidity::Expired) => self.close(slot, CloseCause::InvalidToken),
        }
    }

    /// A later token was checked.
    fn refreshed(&mut self, slot: Slot, id: &CommandId, verdict: TokenVerdict) {
        let conn = &self.conns[slot];
        let Some(open) = conn.open() else { return };
        let may_tell_user = conn.protocol.start() == Start::AtOnce && open.info.user.is_anonymous();
        match verdict {
            TokenVerdict::Good(identity) if open.info.user != identity.user && !may_tell_user => {
                self.close_as_anothers(slot)
            }
            TokenVerdict::Good(mut identity) => {
                let is_known = open.info.user == identity.user;
                self.accept_token(slot, &mut identity);
                if is_known { self.renew(slot, identity, id) } else { self.ask_for_renewal(slot, identity, id) }
            }
            // SDKs take an error here for final; closed, they come back with a token that is new.
            TokenVerdict::OutsideValidity(outside) if !may_tell_user => self.close_outside_validity(slot, outside),
            verdict => self.tell_refused(slot, id, &verdict),
        }
    }

    /// Keeps what a revocation of this token looks for. What follows from the token comes later: should it be revoked while
    /// the connection waits for a home, the connection ends.
    fn accept_token(&mut self, slot: Slot, identity: &mut Identity) {
        self.totals.tokens.accepted += 1;
        if let Some(open) = self.conns[slot].open_mut() {
            open.token = identity.token.take();
        }
    }

    /// Tells a client that its token was refused, with the limit that it exceeds. The connection ends where the protocol has
    /// no message for that.
    pub(super) fn tell_refused(&mut self, slot: Slot, id: &CommandId, verdict: &TokenVerdict) {
        match verdict {
            TokenVerdict::Good(_) => {}
            TokenVerdict::OutsideValidity(outside) => self.fail(slot, id, &outside.error()),
            TokenVerdict::Unknown => self.fail(slot, id, &unknown_key_error()),
            TokenVerdict::Bad(error) => {
                let mistake = Mistake::InvalidToken(error);
                if self.tell_error(slot, &ServerMessage::Mistake { id, mistake }) {
                    self.count_limit_of(slot, error.limit());
                } else {
                    self.refuse_token(slot, error);
                }
            }
        }
    }

    /// Reports the reason for which a token was refused, and counts it.
    pub(super) fn token_refused(&mut self, slot: Slot, why: &str, count: impl FnOnce(&mut TokenVerdicts) -> &mut u64) {
        *count(&mut self.totals.tokens) += 1;
        let conn = self.conns[slot].id;
        self.effects.push(Effect::TokenRefused { conn, why: Box::new(why.into()) });
    }

    /// Ends a connection whose token is of another user than it has.
    pub(super) fn close_as_anothers(&mut self, slot: Slot) {
        const WHY: &str = "the token belongs to another user";
        self.token_refused(slot, WHY, |tokens| &mut tokens.foreign);
        self.close_because(slot, CloseCause::BadRequest, WHY);
    }

    /// Ends a connection that has shown a token which proves nothing.
    pub(super) fn refuse_token(&mut self, slot: Slot, error: &TokenError) {
        self.count_limit_of(slot, error.limit());
        self.close_with(slot, CloseCause::InvalidToken, error.close_reason());
    }

    /// Ends a connection whose token is not valid at this moment.
    pub(super) fn close_outside_validity(&mut self, slot: Slot, outside: OutsideValidity) {
        self.close_with(slot, CloseCause::Expired, outside.close_reason());
    }
}
