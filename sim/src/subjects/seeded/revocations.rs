//! Subjects that get revocations wrong: whose tokens are taken back, and whose are not.

use super::defect::{FoundBy, Misbehaviour, Seeded, defects, known_user};
use crate::guarantees::Guarantee;
use parlor_core::api::Command;
use parlor_core::{CallId, Effect, Input, Now, Shard};

/// Seconds by which the time of an invalidation is too early.
const TOO_EARLY: i64 = 1000;

/// With a limit that the reference model does not foresee: else tokens have no ids.
const IN_A_ROOM: &str = "setup conns=2 rooms=1 users=1 reply_messages=0
accept 0 json 1; upgrade 0; connect 0 token; decide 0 good 0; flush
join-by-token 0 0; decide 0 good 0; flush; api-revoke 0 of-rooms; flush; heal";

defects! {
    a_revocation_of_another_token: OtherToken breaks P1 within 400 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::RevokeToken { uid, .. }, .. } = input {
                *uid = "another".into();
            }
        }
    }
    a_revocation_that_spares_rooms: SparedRooms breaks P1 by IN_A_ROOM {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::RevokeToken { uid, .. }, .. } = input
                && uid.ends_with("-rooms")
            {
                *uid = "another".into();
            }
        }
    }
    an_invalidation_that_is_too_early: EarlyInvalidation breaks P1 within 1000 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::InvalidateUserTokens { issued_before: Some(before), .. }, .. } = input {
                *before -= TOO_EARLY;
            }
        }
    }
    a_revocation_of_all_that_a_user_has: WholeUser breaks P1 within 400 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let more = match &input {
                Input::Call { command: Command::RevokeToken { uid, expire_at }, .. } => Some((known_user(user_of(uid)), *expire_at)),
                _ => None,
            };
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            if let Some((user, expire_at)) = more {
                let command = Command::InvalidateUserTokens { user, issued_before: None, expire_at };
                let ends = shard.handle(now, Input::Call { call: CallId(u64::MAX), command });
                effects.extend(ends.filter(|effect| !matches!(effect, Effect::Reply { .. })));
            }
            effects
        }
    }
}

/// The user whom the id of a token names in front.
fn user_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(user, _)| user)
}
