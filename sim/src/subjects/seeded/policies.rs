//! Subjects that get policies wrong: who may do what in which room.

use super::defect::{FoundBy, Misbehaviour, Seeded, defects};
use super::session::{retell, rooms_at_renewal};
use crate::guarantees::Guarantee;
use crate::world::rules::{HISTORY, PRESENCE, PUBLISH, SUBSCRIBE};
use parlor_core::{CapabilityClaim, Config, Effect, Input, Now, Policy, Shard, Who};

/// An entry of `caps` that grants all rights in these rooms.
fn everything_in(channels: Vec<String>) -> CapabilityClaim {
    let allow = [SUBSCRIBE, PUBLISH, PRESENCE, HISTORY].map(String::from).into();
    CapabilityClaim { channels, matching: None, allow }
}

const ANOTHERS_ROOM: &str = "setup conns=1 rooms=1 users=1
accept 0 json 0; upgrade 0; connect 0 token; decide 0 capable-of-all 0; say 0 publish-to-another; flush";

/// The token of a room lets its bearer publish there.
const ALLOWED: &str = "setup conns=2 rooms=1 users=1 allow_publish=0
accept 0 json 1; upgrade 0; connect 0 token; decide 0 good 0; flush
join-by-token 0 0; decide 0 allowing 0; flush; publish 0 0 small; flush; heal";

const EVENTS_AFTER_A_RIGHT: &str = "setup conns=2 rooms=1 users=1 allow_presence=0 judges=access
accept 0 json 0; upgrade 0; connect 0 token; decide 0 capable-of-all 0; watch 0 0; refresh 0; decide 0 good 0; flush
accept 1 json 0; upgrade 1; connect 1 nothing; join 1 0; flush";

defects! {
    a_rule_of_another_namespace: OtherNamespace breaks P1 | G5 | G2 | G8 | G6 within 100 seeds {
        fn configure(&self, config: &mut Config) {
            let mut policies: Vec<&mut Policy> = config.namespaces.policies_mut().collect();
            if let [_, _, one, another] = policies.as_mut_slice() {
                std::mem::swap(*one, *another);
            }
        }
    }
    a_right_that_outlives_its_token: Outliving breaks P1 | G2 | G8 within 300 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            if let Some(rooms) = rooms_at_renewal(shard, &input) {
                retell(&mut input, |claims| claims.caps.push(everything_in(rooms)));
            }
            shard.handle(now, input).collect()
        }
    }
    a_watch_that_outlives_its_right: OutlivingWatch breaks P1 by EVENTS_AFTER_A_RIGHT {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            if let Some(channels) = rooms_at_renewal(shard, &input) {
                let presence = CapabilityClaim { channels, matching: None, allow: vec![PRESENCE.into()] };
                retell(&mut input, |claims| claims.caps.push(presence));
            }
            shard.handle(now, input).collect()
        }
    }
    a_pattern_that_names_personal_rooms: AnyPattern breaks P1 | G2 | G8 by ANOTHERS_ROOM {
        fn hear(&self, input: &mut Input) {
            retell(input, |claims| {
                if claims.caps.iter().any(|entry| entry.channels.iter().any(|pattern| pattern == "*")) {
                    claims.caps.push(everything_in(vec!["#other".into(), "#u0".into()]));
                }
            });
        }
    }
    a_history_that_anyone_may_read: OpenHistory breaks P1 | G5 | G8 within 100 seeds {
        fn configure(&self, config: &mut Config) {
            config.namespaces.policies_mut().for_each(|policy| policy.permissions.history = Who::Anyone);
        }
    }
    a_capability_that_is_not_looked_at: Incapable breaks P1 | G2 within 400 seeds {
        fn hear(&self, input: &mut Input) {
            retell(input, |claims| claims.caps.clear());
        }
    }
    a_room_token_that_grants_nothing: NoAllowance breaks P1 by ALLOWED {
        fn hear(&self, input: &mut Input) {
            retell(input, |claims| claims.allow.clear());
        }
    }
}
