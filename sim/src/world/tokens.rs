//! Tokens: what they say, and who checks them, the world itself or a subject that is given real ones.

use super::state::World;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::reference::arrival::TokenOutcome;
use crate::rng::Rng;
use crate::subjects::subject::{Subject, vouch};
use crate::world::action::{Client, Revoking, User, Verdict};
use crate::world::names;
use crate::world::rules::{HISTORY, PRESENCE, PUBLISH, Right, SUBSCRIBE};
use crate::world::stimulus::Stimulus;
use parlor_core::{BadToken, CapabilityClaim, Claims, Input, Json, Now, VerifiedClaims};
use serde_json::{Value, json};

/// What stands in a token before the number of its room.
const FOR: &str = "-for-";

/// The room of a token that tells it.
pub(super) fn room_of_token(token: &str) -> Option<usize> {
    token.rsplit_once(FOR)?.1.parse().ok()
}

impl<S: Subject> World<S> {
    /// A token that this client shows, for a room if there is one.
    pub(super) fn token(&mut self, client: Client, room: Option<usize>) -> String {
        let Some(mint) = S::MINT else {
            let room = room.map(|room| format!("{FOR}{room}"));
            return format!("token-of-{}{}", client.0, room.unwrap_or_default());
        };
        let mut rng = Rng::stream(self.setup.seed ^ self.minted.len() as u64, "tokens");
        let user = User(u8::try_from(rng.below(self.setup.users.max(1))).expect("a few users"));
        let is_drawn = |verdict: &Verdict| verdict.is_foreseen() || !self.setup.is_foreseen();
        let verdicts: Vec<Verdict> = Verdict::ALL.iter().copied().filter(is_drawn).collect();
        let verdict = if self.setup.users == 0 { Verdict::Nobody } else { rng.pick(&verdicts) };
        let (outcome, claims) = self.says(verdict, user, room);
        let token = mint(&claims);
        self.minted.push((token.clone(), outcome, claims));
        token
    }

    pub(super) fn decide(&mut self, client: Client, verdict: Verdict, user: User) -> Result<(), Failure> {
        self.connection_mut(client).asked = false;
        let (outcome, verdict) = self.says(verdict, user, self.asked_room(client));
        let verdict = vouch(verdict);
        self.turn(Input::Authenticated { conn: self.id(client), verdict }, &Stimulus::Decided(client.index(), outcome))
    }

    /// The outcome now of the token that was checked last, if it was read as it was written.
    pub(super) fn outcome_of(
        &mut self,
        now: Now,
        client: usize,
        verdict: &Result<VerifiedClaims, BadToken>,
    ) -> Result<TokenOutcome, Failure> {
        if let Some(connection) = &mut self.clients[client].connection {
            connection.asked = false;
        }
        let checked = self.checked.get(&client).map_or("", String::as_str);
        let known = self.minted.iter().rev().find(|(token, ..)| *token == checked);
        let (_, outcome, claims) = known.ok_or_else(|| Failure::new(Guarantee::P1, "a token of a client", checked))?;
        equal(Guarantee::P1, "the token to say", &vouch(claims.clone()), verdict)?;
        let leeway = u64::try_from(self.config().limits.token_leeway.as_millis()).expect("a short time");
        let end = claims.as_ref().ok().and_then(|claims| claims.exp).and_then(|exp| u64::try_from(exp).ok());
        let has_ended = end.is_some_and(|end| end * 1000 + leeway <= now.unix_ms);
        // Where the calendar has gone back since it was made, a token that had ended is good once more, until it ends again.
        let unforeseen = outcome.unforeseen || outcome.expired && !has_ended;
        Ok(TokenOutcome { unforeseen, ..outcome.clone() })
    }

    /// The outcome of a token of this kind, and its claims.
    fn says(&self, verdict: Verdict, user: User, asked: Option<usize>) -> (TokenOutcome, Result<Claims, BadToken>) {
        let now = self.moment(self.clock).unix_ms / 1000;
        let user = (verdict != Verdict::Nobody).then(|| user.index());
        let leeway = self.config().limits.token_leeway.as_secs();
        let rooms = usize::from(self.room_count());
        let channels: Vec<usize> = match verdict {
            Verdict::Placed if user.is_some_and(|user| user % 2 == 1) => (0..rooms).collect(),
            Verdict::Placed => vec![0],
            Verdict::Both => (0..rooms.min(2)).collect(),
            Verdict::Moved => (1..rooms).collect(),
            _ => vec![],
        };
        let info = match verdict {
            Verdict::Renamed => user.map(|user| format!(r#"{{"again":true,"name":"user {user}"}}"#)),
            _ => user.and_then(token_info),
        };
        let outcome = TokenOutcome {
            unforeseen: !verdict.is_foreseen(),
            forged: verdict == Verdict::Forged,
            expired: verdict == Verdict::Expired,
            user,
            info: info.clone(),
            channels: channels.clone(),
        };
        let deep = self.setup.limits.json_depth + 1;
        let info = match verdict {
            Verdict::Unreadable => Some(format!("{}{}", "[".repeat(deep), "]".repeat(deep))),
            Verdict::LongInfo => Some(format!("\"{}\"", "x".repeat(self.config().limits.info_bytes - 1))),
            _ => info,
        };
        let seconds = |at: u64| i64::try_from(at).expect("this century");
        let crowd = 0..=self.setup.limits.rooms_per_connection;
        let claims = Claims {
            sub: user.map(names::user_name).unwrap_or_default(),
            exp: match verdict {
                Verdict::Expiring => Some(seconds(now + 20)),
                Verdict::Expired => Some(seconds(now - leeway - 60)),
                Verdict::Recent => Some(seconds(now - leeway / 2)),
                _ => None,
            },
            nbf: match verdict {
                Verdict::Early => Some(seconds(now + leeway + 60)),
                Verdict::Soon => Some(seconds(now + leeway / 2)),
                _ => None,
            },
            info: info.map(|info| Json::parse(&info).expect("it is JSON")),
            channels: match verdict {
                Verdict::LongRoom => vec!["x".repeat(self.config().limits.room_name_bytes + 1)],
                Verdict::Crowded => crowd.map(|room| format!("crowd-{room}")).collect(),
                _ => channels.into_iter().map(names::room_name).collect(),
            },
            channel: match (verdict, asked) {
                (Verdict::OtherRoom, asked) => asked.map(|_| "elsewhere".into()),
                (Verdict::Misplaced, Some(_)) => None,
                (Verdict::Misplaced, None) => Some(names::room_name(0)),
                (_, asked) => asked.map(names::room_name),
            },
            caps: match verdict {
                Verdict::Capable => vec![
                    claim("s:*", vec![SUBSCRIBE, PUBLISH]),
                    claim("t:r2", vec![SUBSCRIBE, HISTORY]),
                    claim("r0", vec![SUBSCRIBE]),
                ],
                Verdict::CapableOfAll => vec![claim("*", vec![SUBSCRIBE, PUBLISH, PRESENCE, HISTORY])],
                _ => vec![],
            },
            jti: self.has_ids().then(|| self.token_id(user, asked.is_some())),
            iat: user.filter(|user| self.has_ids() && user % 2 == 0).map(|_| seconds(now)),
            allow: if verdict == Verdict::Allowing { words(vec![PUBLISH, PRESENCE, HISTORY]) } else { words(vec![]) },
            ..Claims::default()
        };
        let verdict = if outcome.forged { Err(BadToken::Signature) } else { Ok(claims) };
        (outcome, verdict)
    }
}

impl<S: Subject> World<S> {
    /// Whether tokens can be revoked: the reference model, which has no such tokens, tells fewer states apart.
    fn has_ids(&self) -> bool {
        !self.setup.is_foreseen()
    }

    /// The id of a token that is made now: those of a user's rooms have one, and those of a user's connections two.
    fn token_id(&self, user: Option<usize>, is_of_room: bool) -> String {
        let user = user.map(names::user_name).unwrap_or_default();
        let part = self.moment(self.clock).unix_ms / 10_000 % 2;
        if is_of_room { format!("{user}-rooms") } else { format!("{user}-{part}") }
    }

    /// The method and the body of a call that revokes tokens, or lists those that are revoked.
    pub(super) fn revocation(&self, user: usize, revoking: Revoking) -> (&'static str, Value) {
        let now = self.moment(self.clock).unix_ms / 1000;
        let of_token = |is_of_room| json!({ "uid": self.token_id(Some(user), is_of_room) });
        let of_user = json!({ "user": names::user_name(user), "issued_before": now + 1 });
        let (method, mut body) = match revoking {
            Revoking::Token | Revoking::TokenSoon => ("revoke_token", of_token(false)),
            Revoking::OfRooms | Revoking::OfRoomsSoon => ("revoke_token", of_token(true)),
            Revoking::User | Revoking::UserSoon => ("invalidate_user_tokens", of_user),
            Revoking::ListTokens => ("revoked_tokens", json!({})),
            Revoking::ListUsers => ("invalidated_users", json!({})),
        };
        if matches!(revoking, Revoking::TokenSoon | Revoking::OfRoomsSoon | Revoking::UserSoon) {
            body["expire_at"] = (now + 20).into();
        }
        (method, body)
    }
}

/// A capability as a token has it, for a room or for those that begin in one way.
fn claim(name: &str, rights: Vec<Right>) -> CapabilityClaim {
    let matching = name.ends_with('*').then(|| "wildcard".into());
    CapabilityClaim { channels: vec![name.into()], matching, allow: words(rights) }
}

/// Rights as a token has them.
fn words<T: FromIterator<String>>(rights: Vec<Right>) -> T {
    rights.into_iter().map(String::from).collect()
}

/// Information about this user in the tokens of the scenario: every other user has some.
fn token_info(user: usize) -> Option<String> {
    (user % 2 == 1).then(|| format!(r#"{{"name":"user {user}"}}"#))
}
