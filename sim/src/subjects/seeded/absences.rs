//! Subjects that get absences wrong: users who stay listed for a time after the end of a connection.

use super::defect::{FoundBy, Misbehaviour, Seeded, defects};
use super::machine::frames;
use crate::guarantees::Guarantee;
use crate::subjects::subject::Subject;
use parlor_core::{Config, ConnId, Limit, Now, Refused, Shard, Upgrade};
use std::ops::Range;
use std::time::Duration;

/// The payload of a short frame.
fn payload(frame: &Range<usize>, bytes: &[u8]) -> Range<usize> {
    let header = if bytes[frame.start + 1] == 126 { 4 } else { 2 };
    frame.start + header..frame.end
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

defects! {
    a_grace_that_is_not_kept: NoGrace breaks G2 | G4 | P1 within 100 seeds {
        fn configure(&self, config: &mut Config) {
            config.namespaces.policies_mut().for_each(|policy| policy.presence_grace = Duration::ZERO);
        }
    }
    a_grace_that_is_too_short: ShortGrace breaks G2 | G4 | P1 within 100 seeds {
        fn configure(&self, config: &mut Config) {
            config.namespaces.policies_mut().for_each(|policy| policy.presence_grace /= 2);
        }
    }
    a_grace_that_holds_a_limit: HeldLimit breaks P1 | G7 | G6 within 300 seeds {
        fn accept(&self, shard: &mut Shard, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
            let gauges = shard.stats().gauges;
            if gauges.absences > 0 && gauges.connections + gauges.absences >= shard.config().limits.connections {
                return Err(Refused::Limit(Limit::Connections));
            }
            shard.accept(now, request)
        }
    }
    a_leave_that_is_told_twice: SecondLeave breaks P1 | G4 within 2000 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            let all: Vec<_> = frames(&bytes).iter().map(|frame| payload(frame, &bytes)).collect();
            let is_leave = |payload: &&Range<usize>| has(&bytes[(*payload).clone()], br#","leave":"#);
            let Some(leave) = all.iter().find(is_leave).cloned() else { return Some(bytes) };
            let is_join = |other: &&Range<usize>| has(&bytes[(*other).clone()], br#","join":"#) && other.len() >= leave.len();
            if let Some(join) = all.iter().filter(|other| other.start > leave.start).find(is_join).cloned() {
                // Spaces behind an object mean nothing.
                bytes[join.clone()].fill(b' ');
                bytes.copy_within(leave, join.start);
            }
            Some(bytes)
        }
    }
}
