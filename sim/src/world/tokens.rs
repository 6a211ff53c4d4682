//! Tokens: what they say, and who checks them, the world itself or a subject that is given real ones.

use super::state::World;
use crate::guarantees::{Failure, Guarantee, equal};
use crate::reference::arrival::{TokenCapability, TokenOutcome};
use crate::reference::model::ReferenceModel;
use crate::reference::stimulus::Stimulus;
use crate::rng::Rng;
use crate::subjects::subject::{Subject, vouch};
use crate::world::action::{Client, User, Verdict};
use crate::world::names;
use crate::world::rules::{HISTORY, PRESENCE, PUBLISH, SUBSCRIBE};
use parlor_core::{BadToken, CapabilityClaim, Claims, Input, Json, VerifiedClaims};

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
            // Where nothing foresees it, a token tells which room it is for.
            let room = room.filter(|_| self.reference.is_none()).map(|room| format!("{FOR}{room}"));
            return format!("token-of-{}{}", client.0, room.unwrap_or_default());
        };
        let mut rng = Rng::stream(self.setup.seed ^ self.minted.len() as u64, "tokens");
        let user = User(u8::try_from(rng.below(self.setup.users.max(1))).expect("a few users"));
        let verdict = if self.setup.users == 0 { Verdict::Nobody } else { rng.pick(Verdict::ALL) };
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

    /// The outcome of the token that was checked last, if it was read as it was written.
    pub(super) fn outcome_of(
        &mut self,
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
        Ok(outcome.clone())
    }

    /// The outcome of a token of this kind, and its claims.
    fn says(&self, verdict: Verdict, user: User, asked: Option<usize>) -> (TokenOutcome, Result<Claims, BadToken>) {
        let now = self.moment(self.clock).unix_ms / 1000;
        let user = (verdict != Verdict::Nobody).then(|| user.index());
        let leeway = self.config().limits.token_leeway.as_secs();
        let rooms = usize::from(self.room_count());
        let outcome = TokenOutcome {
            forged: verdict == Verdict::Forged,
            nbf: match verdict {
                Verdict::Early => Some(now + leeway + 60),
                Verdict::Soon => Some(now + leeway / 2),
                _ => None,
            },
            user,
            exp: match verdict {
                Verdict::Expiring => Some(now + 20),
                Verdict::Expired => Some(now - leeway - 60),
                Verdict::Recent => Some(now - leeway / 2),
                _ => None,
            },
            info: match verdict {
                Verdict::Renamed => user.map(|user| format!(r#"{{"again":true,"name":"user {user}"}}"#)),
                _ => user.and_then(ReferenceModel::token_info),
            },
            channels: match verdict {
                Verdict::Placed if user.is_some_and(|user| user % 2 == 1) => (0..rooms).collect(),
                Verdict::Placed => vec![0],
                Verdict::Both => (0..rooms.min(2)).collect(),
                Verdict::Moved => (1..rooms).collect(),
                _ => vec![],
            },
            crowded: verdict == Verdict::Crowded,
            long: verdict == Verdict::LongRoom,
            wordy: verdict == Verdict::LongInfo,
            caps: match verdict {
                Verdict::Capable => vec![
                    TokenCapability { name: "s:".into(), is_prefix: true, rights: vec![SUBSCRIBE, PUBLISH] },
                    TokenCapability { name: "t:r2".into(), is_prefix: false, rights: vec![SUBSCRIBE, HISTORY] },
                    TokenCapability { name: "r0".into(), is_prefix: false, rights: vec![SUBSCRIBE] },
                ],
                Verdict::CapableOfAll => vec![TokenCapability {
                    name: String::new(),
                    is_prefix: true,
                    rights: vec![SUBSCRIBE, PUBLISH, PRESENCE, HISTORY],
                }],
                _ => vec![],
            },
            allow: if verdict == Verdict::Allowing { vec![PUBLISH, PRESENCE, HISTORY] } else { vec![] },
            channel: match (verdict, asked) {
                (Verdict::OtherRoom, _) | (Verdict::Misplaced, Some(_)) => None,
                (Verdict::Misplaced, None) => Some(0),
                (_, asked) => asked,
            },
            unreadable: verdict == Verdict::Unreadable,
        };
        let deep = self.setup.limits.json_depth + 1;
        let deep = outcome.unreadable.then(|| format!("{}{}", "[".repeat(deep), "]".repeat(deep)));
        let wordy = || format!("\"{}\"", "x".repeat(self.config().limits.info_bytes - 1));
        let bad_info = deep.or_else(|| outcome.wordy.then(wordy));
        let crowd = 0..=self.setup.limits.rooms_per_connection;
        let claims = Claims {
            sub: user.map(names::user_name).unwrap_or_default(),
            exp: outcome.exp.map(|exp| i64::try_from(exp).expect("this century")),
            nbf: outcome.nbf.map(|nbf| i64::try_from(nbf).expect("this century")),
            info: bad_info.or_else(|| outcome.info.clone()).map(|info| Json::parse(&info).expect("it is JSON")),
            channels: match verdict {
                Verdict::LongRoom => vec!["x".repeat(self.config().limits.room_name_bytes + 1)],
                Verdict::Crowded => crowd.map(|room| format!("crowd-{room}")).collect(),
                _ => outcome.channels.iter().map(|room| names::room_name(*room)).collect(),
            },
            channel: match (outcome.channel, verdict) {
                (Some(room), _) => Some(names::room_name(room)),
                (None, Verdict::OtherRoom) => asked.map(|_| "elsewhere".into()),
                (None, _) => None,
            },
            caps: outcome.caps.iter().map(claim).collect(),
            allow: outcome.allow.iter().map(|right| String::from(*right)).collect(),
            ..Claims::default()
        };
        let verdict = if outcome.forged { Err(BadToken::Signature) } else { Ok(claims) };
        (outcome, verdict)
    }
}

/// A capability as a token has it.
fn claim(TokenCapability { name, is_prefix, rights }: &TokenCapability) -> CapabilityClaim {
    CapabilityClaim {
        channels: vec![if *is_prefix { format!("{name}*") } else { name.clone() }],
        matching: is_prefix.then(|| "wildcard".into()),
        allow: rights.iter().map(|right| String::from(*right)).collect(),
    }
}
