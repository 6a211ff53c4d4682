//! Subjects that never come right. The checks of single steps would see each of them sooner; with those looking away, what
//! heals the world must find them by itself.

use super::defect::{FoundBy, Misbehaviour, Seeded, defects, known};
use crate::guarantees::Guarantee;
use crate::subjects::subject::Subject;
use parlor_core::snapshot::RoomView;
use parlor_core::{ConnId, Effect, Input, Instant, Now, Shard, Snapshot};

const DAY: &str = "setup conns=2 rooms=1 users=0 overlooked=G2+G3+G4+G5+G6+G7+G8+P1
enter 0 1
enter 1 1
api-publish 0 small
flush
vanish 1
heal";

defects! {
    a_publication_that_never_comes: Stingy breaks L1 by DAY {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let bytes = Subject::pending(shard, conn)?;
            Some(if shard.stats().totals.published > 0 { vec![] } else { bytes })
        }
    }
    dead_who_stay: Patient breaks L2 by DAY {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            if matches!(input, Input::Tick) { vec![] } else { shard.handle(now, input).collect() }
        }

        fn timeout(&self, _: &Shard) -> Option<Instant> {
            None
        }
    }
    a_room_that_is_kept_for_ever: Hotel breaks L3 by DAY {
        fn snapshot(&self, shard: &Shard) -> Snapshot {
            let mut snapshot = shard.snapshot();
            if snapshot.rooms.is_empty() && shard.stats().totals.published > 0 {
                snapshot.rooms.push(RoomView { name: known("r0"), members: Vec::new() });
            }
            snapshot
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DAY;
    use crate::search::run::run;
    use crate::world::trace::Trace;
    use parlor_core::Shard;

    #[test]
    fn the_correct_machine_passes_the_liveness_trace() {
        let day: Trace = DAY.parse().expect("a trace");
        assert_eq!(run::<Shard>(&day.setup, &day.actions).failure, None);
    }
}
