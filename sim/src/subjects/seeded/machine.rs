//! Subjects that break the guarantees of the machine.

use super::defect::{FoundBy, Misbehaviour, Seeded, defects, known, known_user};
use crate::guarantees::Guarantee;
use crate::subjects::subject::{Subject, release_canary};
use parlor_core::api::{Command, Message};
use parlor_core::explain::{DeliveryAccount, DeliveryOutcome};
use parlor_core::snapshot::{ConnView, PhaseView, RoomView};
use parlor_core::{
    CallId, CloseCause, Config, ConnId, ConnectionStep, Effect, Input, Instant, LeaveCause, Now, Shard, Snapshot,
    Stats, StepChange, WebSocketMessage,
};
use std::cell::Cell;

/// Where the frames of these bytes begin, if the first of them is whole.
pub(super) fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some([0x81 | 0x88..=0x8A, length, rest @ ..]) = bytes.get(at..) {
        let (header, length) = match (length, rest) {
            (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (0..126, _) => (2, usize::from(*length)),
            _ => break,
        };
        frames.push(at..(at + header + length).min(bytes.len()));
        at += header + length;
    }
    frames
}

fn is_publication(frame: &[u8]) -> bool {
    frame.windows(6).any(|window| window == br#","pub""#)
}

/// The publications that wait behind each other for one connection.
fn publications(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    frames(bytes).into_iter().filter(|range| is_publication(&bytes[range.clone()])).collect()
}

/// The first two publications, if they are of one length.
fn alike(bytes: &[u8]) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    both_alike(publications(bytes))
}

/// The first two answers to commands, if they are of one length.
fn alike_answers(bytes: &[u8]) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let is_answer = |frame: &[u8]| frame.windows(6).any(|window| window == br#"{"id":"#);
    both_alike(frames(bytes).into_iter().filter(|range| is_answer(&bytes[range.clone()])).collect())
}

fn both_alike(frames: Vec<std::ops::Range<usize>>) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut frames = frames.into_iter();
    let (first, second) = (frames.next()?, frames.next()?);
    (first.len() == second.len()).then_some((first, second))
}

thread_local! {
    /// Turns since the defect was chosen: one trace shows it then each time, whatever other threads do.
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

defects! {
    bytes_after_the_close_frame: AfterClose breaks G1 within 20 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            let ends = frames(&bytes).last().is_some_and(|last| bytes[last.start] == 0x88);
            bytes.extend([0x89, 0].iter().filter(|_| ends));
            Some(bytes)
        }
    }
    a_close_frame_cut_short: CutFrame breaks G1 within 20 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            if let [0x88, length, ..] = bytes[..] {
                bytes[1] = length.min(1);
            }
            Some(bytes)
        }
    }
    a_wake_after_the_end: WakesTheDead breaks G1 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            let dead = effects.iter().find_map(|effect| match effect {
                Effect::Closed { conn, .. } => Some(Effect::Wake(*conn)),
                _ => None,
            });
            effects.extend(dead);
            effects
        }
    }
    a_member_that_has_left: Ghost breaks G2 | P1 | G5 within 150 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            let is_in = |conn: &ConnId| shard.snapshot().rooms.iter().any(|room| room.members.contains(conn));
            match &mut input {
                Input::Message { conn, message: WebSocketMessage::Text(text) } if is_in(conn) => {
                    *text = text.replace(r#""unsubscribe":"#, r#""ping":"#);
                }
                _ => {}
            }
            shard.handle(now, input).collect()
        }
    }
    a_room_that_outlives_its_members: EmptyRoom breaks G3 within 20 seeds {
        fn snapshot(&self, shard: &Shard) -> Snapshot {
            let mut snapshot = shard.snapshot();
            if shard.stats().totals.published > 3 && snapshot.rooms.is_empty() {
                snapshot.rooms.push(RoomView { name: known("r0"), members: Vec::new() });
            }
            snapshot
        }
    }
    a_user_who_outlives_the_connections: StaleUser breaks G3 within 20 seeds {
        fn snapshot(&self, shard: &Shard) -> Snapshot {
            let mut snapshot = shard.snapshot();
            if shard.stats().totals.accepted > 5 && !snapshot.users.iter().any(|(name, _)| &**name == "u0") {
                snapshot.users.insert(0, (known_user("u0"), Vec::new()));
            }
            snapshot
        }
    }
    an_event_that_is_not_told: LostEvent breaks G4 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let effects = shard.handle(now, input);
            effects.filter(|effect| !matches!(effect, Effect::Event(event) if event.seq == 4)).collect()
        }
    }
    a_frame_that_waits_told_as_written: SaidToBeWritten breaks G8 within 100 seeds {
        fn explain(&self, deliveries: &mut Vec<DeliveryAccount>) {
            for delivery in deliveries {
                if delivery.outcome == DeliveryOutcome::Queued {
                    delivery.outcome = DeliveryOutcome::FullyWritten;
                }
            }
        }
    }
    a_member_that_nothing_is_told_of: LeftOut breaks G8 within 100 seeds {
        fn explain(&self, deliveries: &mut Vec<DeliveryAccount>) {
            deliveries.truncate(1);
        }
    }
    a_member_told_to_have_come_later: SaidToBeLate breaks G8 within 100 seeds {
        fn explain(&self, deliveries: &mut Vec<DeliveryAccount>) {
            for delivery in deliveries.iter_mut().filter(|delivery| delivery.ended.is_none()) {
                delivery.outcome = DeliveryOutcome::JoinedLater { at: 0 };
            }
        }
    }
    a_canary_that_does_not_come_back: LostCanary breaks L1 within 20 seeds {
        fn release_canary(&self, shard: &mut Shard, now: Now, number: u64) -> bool {
            number < 5 && release_canary(shard, now, number)
        }
    }
    a_canary_that_counts: CountedCanary breaks G8 within 20 seeds {
        fn stats(&self, shard: &Shard) -> Stats {
            let mut stats = shard.stats();
            stats.gauges.memberships += usize::from(shard.canary().is_some());
            stats
        }
    }
    an_event_that_is_told_twice: RepeatedEvent breaks G4 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let effects = shard.handle(now, input);
            let twice = |effect: Effect| if matches!(effect, Effect::Event(_)) { vec![effect.clone(), effect] } else { vec![effect] };
            effects.flat_map(twice).collect()
        }
    }
    a_publication_that_does_not_come: Hole breaks G5 | L1 within 40 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            let short = publications(&bytes).into_iter().rfind(|range| range.len() < 125);
            if let Some(range) = short {
                bytes[range.start] = 0x8A;
            }
            Some(bytes)
        }
    }
    frames_that_are_never_written: Hoarder breaks G5 | L1 within 20 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            Subject::pending(shard, conn).filter(|_| shard.stats().totals.published < 5)
        }
    }
    a_publication_that_comes_twice: Repeat breaks G5 within 150 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            if let Some((first, second)) = alike(&bytes) {
                bytes.copy_within(first, second.start);
            }
            Some(bytes)
        }
    }
    an_answer_that_comes_twice: AnswersTwice breaks P1 within 150 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            if let Some((first, second)) = alike_answers(&bytes) {
                bytes.copy_within(first, second.start);
            }
            Some(bytes)
        }
    }
    two_replies_that_change_places: SwappedReplies breaks P1 within 1500 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            if let Some((first, second)) = alike_answers(&bytes) {
                let (head, tail) = bytes.split_at_mut(second.start);
                head[first].swap_with_slice(&mut tail[..second.len()]);
            }
            Some(bytes)
        }
    }
    two_publications_that_change_places: Swap breaks G5 within 150 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let mut bytes = Subject::pending(shard, conn)?;
            if let Some((first, second)) = alike(&bytes) {
                let (head, tail) = bytes.split_at_mut(second.start);
                head[first].swap_with_slice(&mut tail[..second.len()]);
            }
            Some(bytes)
        }
    }
    a_publication_to_whoever_is_not_in_the_room: Stranger breaks G5 within 40 seeds {
        fn pending(&self, shard: &Shard, conn: ConnId) -> Option<Vec<u8>> {
            let bytes = Subject::pending(shard, conn)?;
            let text: Vec<u8> = bytes.clone();
            let at = text.windows(19).position(|window| window == br#""channel":"r0","pub"#);
            Some(at.map_or(bytes, |at| {
                let mut bytes = text;
                bytes[at + 12] = b'1';
                bytes
            }))
        }
    }
    a_publication_to_everybody: Everybody breaks G5 within 40 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let has_room = shard.config().limits.outbox_frames > 8;
            let echo = match &input {
                Input::Call { command: Command::Publish { message: Message { data, .. }, .. }, .. } if has_room => Some(data.clone()),
                _ => None,
            };
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            if let Some(data) = echo {
                let call = CallId(u64::MAX);
                let more = shard.handle(now, Input::Call { call, command: Command::PublishAll { data } });
                effects.extend(more.filter(|effect| !matches!(effect, Effect::Reply { .. })));
            }
            effects
        }
    }
    an_outbox_without_bounds: Unbounded breaks G6 | G7 | P1 within 60 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.outbox_frames = 1 << 40;
            config.limits.outbox_bytes = 1 << 40;
            config.limits.outbox_bytes_total = 1 << 40;
        }
    }
    a_second_end: SecondEnd breaks G7 | G8 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            let ended = effects.iter().find(|effect| matches!(effect, Effect::Closed { .. })).cloned();
            effects.extend(ended);
            effects
        }
    }
    an_end_that_is_not_told: NoEnd breaks G7 | G8 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            shard.handle(now, input).filter(|effect| !matches!(effect, Effect::Closed { .. })).collect()
        }
    }
    a_leave_that_is_not_told: NoLeave breaks G4 | G8 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let is_leave = |step: &ConnectionStep| matches!(step.change, StepChange::Left { cause: LeaveCause::Client, .. });
            shard.handle(now, input).filter(|effect| !matches!(effect, Effect::Step(step) if is_leave(step))).collect()
        }
    }
    a_stream_that_is_not_ended: NoFinish breaks G1 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            shard.handle(now, input).filter(|effect| !matches!(effect, Effect::Finish(_))).collect()
        }
    }
    a_close_whose_number_decides_what_is_dropped: ByNumber breaks G1 | G5 | G7 | P1 within 1000 seeds {
        fn snapshot(&self, shard: &Shard) -> Snapshot {
            let mut snapshot = shard.snapshot();
            for conn in &mut snapshot.conns {
                if matches!(conn.phase, PhaseView::Closing { cause: CloseCause::Backend, code: 3100 | 3500 | 3999 }) {
                    let close = conn.outbox.pop();
                    conn.outbox.truncate(usize::from(conn.half_written > 0));
                    conn.outbox.extend(close);
                }
            }
            snapshot
        }
    }
    a_deadline_that_is_forgotten: Sleepless breaks G7 within 20 seeds {
        fn timeout(&self, shard: &Shard) -> Option<Instant> {
            let closing = |conn: &ConnView| matches!(conn.phase, PhaseView::Closing { .. });
            shard.poll_timeout().filter(|_| !shard.snapshot().conns.iter().any(closing))
        }
    }
    a_deadline_that_comes_late: LateDeadline breaks G7 | G3 | G10 | G2 within 20 seeds {
        fn handle(&self, shard: &mut Shard, mut now: Now, input: Input) -> Vec<Effect> {
            if shard.poll_timeout() == Some(now.mono) {
                now.mono.0 -= 1;
            }
            shard.handle(now, input).collect()
        }
    }
    a_gauge_that_drifts: Drift breaks G8 within 20 seeds {
        fn stats(&self, shard: &Shard) -> Stats {
            let mut stats = shard.stats();
            stats.gauges.memberships += usize::from(stats.totals.accepted > 4);
            stats
        }
    }
    an_order_that_depends_on_chance: Chance breaks G9 within 80 seeds {
        fn reset(&self) {
            TURNS.set(0);
        }

        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            // What a log is told of changes nothing of the count.
            if effects.iter().all(|effect| matches!(effect, Effect::Wake(_) | Effect::Step(_))) {
                let turns = TURNS.replace(TURNS.get() + 1);
                if turns.is_multiple_of(3) && effects.iter().all(|effect| matches!(effect, Effect::Wake(_))) {
                    effects.reverse();
                }
            }
            effects
        }
    }
    a_panic: Panic breaks G10 within 210 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            assert!(!matches!(&input, Input::Message { message, .. } if message.text() == Some("7")), "unexpected number");
            shard.handle(now, input).collect()
        }
    }
    a_panic_of_whoever_only_looks: BlindSpot breaks G10 within 20 seeds {
        fn snapshot(&self, shard: &Shard) -> Snapshot {
            assert!(shard.stats().totals.published != 3, "three");
            shard.snapshot()
        }
    }
    a_deadline_that_never_passes: Spin breaks G10 within 20 seeds {
        fn timeout(&self, shard: &Shard) -> Option<Instant> {
            shard.poll_timeout().map(|at| if shard.stats().totals.published > 2 { Instant(0) } else { at })
        }
    }
    a_wake_that_is_forgotten: NoWake breaks P1 within 20 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            shard.handle(now, input).filter(|effect| !matches!(effect, Effect::Wake(_))).collect()
        }
    }
    an_answer_that_is_another: WrongAnswer breaks P1 | L1 within 40 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            if let Input::Message { message: WebSocketMessage::Text(text), .. } = &mut input {
                *text = text.replace(r#""id":10,"#, r#""id":11,"#);
            }
            shard.handle(now, input).collect()
        }
    }
}
