//! What tokens say, and who finds it out: the world itself, or a subject that looks at real ones.

use super::World;
use crate::action::{Peer, User, Verdict};
use crate::checks::{Failure, Guarantee, equal};
use crate::oracle::{Deed, Oracle, Ruling};
use crate::rng::Rng;
use crate::speech;
use crate::subject::Subject;
use parlor_core::{BadToken, Claims, Input};

impl<S: Subject> World<S> {
    /// A token that this client shows, for a room if there is one.
    pub(super) fn token(&mut self, peer: Peer, room: Option<usize>) -> String {
        let Some(mint) = S::MINT else { return format!("token-of-{}", peer.0) };
        let mut rng = Rng::stream(self.setup.seed ^ self.minted.len() as u64, "tokens");
        let user = User(u8::try_from(rng.below(self.setup.users.max(1))).expect("a few users"));
        let verdict = if self.setup.users == 0 { Verdict::Nobody } else { rng.pick(Verdict::ALL) };
        let (ruling, claims) = self.says(verdict, user, room);
        let token = mint(&claims);
        self.minted.push((token.clone(), ruling, claims));
        token
    }

    pub(super) fn decide(&mut self, peer: Peer, verdict: Verdict, user: User) -> Result<(), Failure> {
        self.life_mut(peer).asked = false;
        let (ruling, verdict) = self.says(verdict, user, self.oracle.asked_room(peer.index()));
        self.turn(Input::Authenticated { conn: self.id(peer), verdict }, &Deed::Decided(peer.index(), ruling))
    }

    /// What the token that was looked at last says, if it was read as it was written.
    pub(super) fn ruling_of(&mut self, peer: usize, verdict: &Result<Claims, BadToken>) -> Result<Ruling, Failure> {
        if let Some(life) = &mut self.clients[peer].life {
            life.asked = false;
        }
        let known = self.minted.iter().rev().find(|(token, ..)| *token == self.checked);
        let (_, ruling, claims) =
            known.ok_or_else(|| Failure::new(Guarantee::P1, "a token of a client", &self.checked))?;
        equal(Guarantee::P1, "the token to say", claims, verdict)?;
        Ok(ruling.clone())
    }

    /// What a token of this kind means, and what it says.
    fn says(&self, verdict: Verdict, user: User, asked: Option<usize>) -> (Ruling, Result<Claims, BadToken>) {
        let now = self.moment(self.clock).unix_ms / 1000;
        let user = (verdict != Verdict::Nobody).then(|| user.index());
        let ruling = Ruling {
            forged: verdict == Verdict::Forged,
            nbf: (verdict == Verdict::Early).then_some(now + 60),
            user,
            exp: match verdict {
                Verdict::Expiring => Some(now + 20),
                Verdict::Expired => Some(now - 60),
                _ => None,
            },
            channels: match user {
                _ if verdict != Verdict::Placed => vec![],
                Some(user) if user % 2 == 1 => (0..usize::try_from(self.setup.rooms).expect("a few rooms")).collect(),
                _ => vec![0],
            },
            crowded: verdict == Verdict::Crowded,
            channel: asked.filter(|_| verdict != Verdict::OtherRoom),
            unreadable: verdict == Verdict::Unreadable,
        };
        let deep = self.setup.limits.json_depth + 1;
        let deep = ruling.unreadable.then(|| format!("{}{}", "[".repeat(deep), "]".repeat(deep)));
        let crowd = 0..=self.setup.limits.rooms_per_connection;
        let claims = Claims {
            sub: user.map(speech::user_name).unwrap_or_default(),
            exp: ruling.exp.map(|exp| i64::try_from(exp).expect("this century")),
            nbf: ruling.nbf.map(|nbf| i64::try_from(nbf).expect("this century")),
            info: deep.or_else(|| user.and_then(Oracle::token_info)),
            channels: match verdict {
                Verdict::Crowded => crowd.map(|room| format!("crowd-{room}")).collect(),
                _ => ruling.channels.iter().map(|room| speech::room_name(*room)).collect(),
            },
            channel: asked.map(|room| ruling.channel.map_or_else(|| "elsewhere".into(), |_| speech::room_name(room))),
        };
        let verdict = if ruling.forged { Err(BadToken::Invalid) } else { Ok(claims) };
        (ruling, verdict)
    }
}
