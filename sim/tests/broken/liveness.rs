//! Subjects that never come right. The judges of single steps see each of them sooner; with those looking away, what
//! heals the world must find them by itself.

use crate::{Broken, Defect, choose};
use parlor_core::snapshot::RoomView;
use parlor_core::{ConnId, Effect, Input, Instant, Name, Now, Shard, Snapshot};
use parlor_sim::checks::Guarantee;
use parlor_sim::subject::Subject;
use parlor_sim::trace::Trace;
use parlor_sim::world::World;

/// All that is no question of time.
const SAFETY: &[Guarantee] = &[
    Guarantee::G2,
    Guarantee::G3,
    Guarantee::G4,
    Guarantee::G5,
    Guarantee::G6,
    Guarantee::G7,
    Guarantee::G8,
    Guarantee::P1,
];

/// What a world with this subject breaks, when nobody looks but whoever heals it.
fn broken_by<D: Defect + 'static>(steps: &str) -> Option<Guarantee> {
    let trace: Trace = format!("setup conns=2 rooms=1 users=0\n{steps}\nheal").parse().expect("a trace");
    choose::<D>();
    let mut world = World::<Broken>::overlooking(&trace.setup, SAFETY);
    trace.actions.iter().find_map(|action| world.act(action).err()).map(|failure| failure.guarantee)
}

/// Shows no byte of what waits once there has been a publication.
#[derive(Default)]
struct Stingy;

impl Defect for Stingy {
    fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
        let bytes = Subject::pending(shard, conn)?;
        Some(if shard.stats().totals.published > 0 { vec![] } else { bytes })
    }
}

/// Forgets all deadlines.
#[derive(Default)]
struct Patient;

impl Defect for Patient {
    fn handle(&mut self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
        if matches!(input, Input::Tick) { vec![] } else { shard.handle(now, input).collect() }
    }

    fn timeout(&self, _: &Shard) -> Option<Instant> {
        None
    }
}

/// Keeps a room for ever.
#[derive(Default)]
struct Hotel;

impl Defect for Hotel {
    fn snapshot(&self, shard: &Shard) -> Snapshot {
        let mut snapshot = shard.snapshot();
        if snapshot.rooms.is_empty() && shard.stats().totals.published > 0 {
            snapshot.rooms.push(RoomView { name: Name::from("r0"), members: Vec::new() });
        }
        snapshot
    }
}

/// The real machine.
#[derive(Default)]
struct Nothing;

impl Defect for Nothing {}

const DAY: &str = "enter 0 1\nenter 1 1\napi-publish 0 small\nflush\nvanish 1";

#[test]
fn a_publication_that_never_comes_breaks_l1() {
    assert_eq!(broken_by::<Stingy>(DAY), Some(Guarantee::L1));
}

#[test]
fn the_dead_who_stay_break_l2() {
    assert_eq!(broken_by::<Patient>(DAY), Some(Guarantee::L2));
}

#[test]
fn what_remains_breaks_l3() {
    assert_eq!(broken_by::<Hotel>(DAY), Some(Guarantee::L3));
}

#[test]
fn the_machine_itself_comes_right() {
    assert_eq!(broken_by::<Nothing>(DAY), None);
}
