//! Each cell of the table, and what a link may do that the table does not show.

use super::*;
use crate::testing::publication;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

/// A room whose copy of the log holds these offsets of the epoch 7, and that writes down what it is told.
#[derive(Default)]
struct TestRoom {
    held: Vec<u64>,
    told: Vec<String>,
}

impl TestRoom {
    /// Returns what was told since the last time.
    fn told(&mut self) -> Vec<String> {
        mem::take(&mut self.told)
    }
}

impl FollowerHome for TestRoom {
    fn holds(&self, position: &Position) -> bool {
        ["0000000000000007", ""].contains(&&*position.epoch) && self.held.contains(&position.offset)
    }

    fn ask(&mut self, request: EngineRequest) {
        self.told.push(match request {
            EngineRequest::Follow { since, .. } => format!("follow {:?}", since.map(|since| since.offset)),
            EngineRequest::Unfollow { .. } => "unfollow".into(),
            EngineRequest::Append { .. } | EngineRequest::Forget { .. } => panic!("no follower asks for this"),
            EngineRequest::Read { ticket, query, .. } => {
                format!("read {} since {}", ticket.0, query.since.expect("a position").offset)
            }
        });
    }

    fn deliver(&mut self, publication: &Arc<Publication>) {
        self.told.push(format!("deliver {}", publication.offset));
    }

    fn restart(&mut self, position: LogPosition) {
        self.told.push(format!("restart {}/{}", position.epoch, position.offset));
    }

    fn admit(&mut self, join: EngineTicket, position: LogPosition, start: JoinStart) {
        let offsets =
            |all: Vec<Arc<Publication>>| all.iter().map(|one| one.offset.to_string()).collect::<Vec<_>>().join(" ");
        let start = match start {
            JoinStart::FromCopy => "from the copy".into(),
            JoinStart::Recovered(all) => format!("with [{}]", offsets(all)),
            JoinStart::Unrecovered => "unrecovered".into(),
        };
        self.told.push(format!("admit {} at {} {start}", join.0, position.offset));
    }
}

/// A follower and its room.
struct Test {
    follower: RoomFollower,
    room: TestRoom,
}

fn at(offset: u64) -> LogPosition {
    LogPosition { epoch: 7, offset }
}

fn all(offsets: &[u64]) -> Missed {
    Missed::All(offsets.iter().map(|offset| publication(*offset, "1")).collect())
}

fn cut(offsets: &[u64]) -> Missed {
    Missed::Cut(offsets.iter().map(|offset| publication(*offset, "1")).collect())
}

impl Test {
    fn cold() -> Self {
        Self { follower: RoomFollower::new(RoomName::from("a"), true), room: TestRoom::default() }
    }

    /// One that reads for the first time, for the join 1.
    fn reading() -> Self {
        let mut test = Self::cold();
        assert_eq!(test.join(1, None), ["follow None"]);
        test
    }

    /// One that is live at this offset, and whose copy holds that offset.
    fn live(offset: u64) -> Self {
        let mut test = Self::reading();
        assert_eq!(
            test.followed(at(offset), Missed::NotAsked),
            [format!("restart 7/{offset}"), format!("admit 1 at {offset} from the copy")]
        );
        test.room.held.push(offset);
        test
    }

    fn lost(offset: u64) -> Self {
        let mut test = Self::live(offset);
        assert!(test.event(EngineEvent::Down).is_empty());
        test
    }

    /// One that was lost at this offset and reads what it has missed.
    fn reading_since(offset: u64) -> Self {
        let mut test = Self::lost(offset);
        assert_eq!(test.event(EngineEvent::Up), [format!("follow Some({offset})")]);
        test
    }

    fn join(&mut self, ticket: u64, since: Option<u64>) -> Vec<String> {
        let since = since.map(|offset| at(offset).into());
        self.follower.join(EngineTicket(ticket), since, &mut self.room);
        self.room.told()
    }

    fn event(&mut self, event: EngineEvent) -> Vec<String> {
        self.follower.on_event(event, &mut self.room);
        self.room.told()
    }

    fn followed(&mut self, position: LogPosition, missed: Missed) -> Vec<String> {
        self.event(EngineEvent::Followed { room: "a".into(), result: Ok(FollowStart { position, missed }) })
    }

    fn follow_refused(&mut self) -> Vec<String> {
        self.event(EngineEvent::Followed { room: "a".into(), result: Err(EngineError::Refused("OOM".into())) })
    }

    fn read_refused(&mut self, ticket: u64) -> Vec<String> {
        let result = Err(EngineError::NotSent);
        self.event(EngineEvent::Read { ticket: EngineTicket(ticket), room: "a".into(), result })
    }

    fn retry(&mut self) -> Vec<String> {
        self.follower.retry(&mut self.room);
        self.room.told()
    }

    fn entry(&mut self, offset: u64) -> Vec<String> {
        self.event(EngineEvent::Entry { room: "a".into(), publication: publication(offset, "1") })
    }

    /// A publication of any epoch and with any predecessor.
    fn entry_behind(&mut self, epoch: u64, prev: u64, offset: u64) -> Vec<String> {
        let publication = Arc::new(Publication { epoch, offset, prev, ..(*publication(1, "1")).clone() });
        self.event(EngineEvent::Entry { room: "a".into(), publication })
    }

    /// A publication without an offset.
    fn unlogged(&mut self) -> Vec<String> {
        self.entry_behind(7, 0, 0)
    }

    fn page(&mut self, ticket: u64, position: LogPosition, offsets: &[u64]) -> Vec<String> {
        let publications = offsets.iter().map(|offset| publication(*offset, "1")).collect();
        let result = Ok(EnginePage { publications, position });
        self.event(EngineEvent::Read { ticket: EngineTicket(ticket), room: "a".into(), result })
    }

    fn end(&mut self) -> (bool, Vec<String>) {
        (self.follower.end(&mut self.room), self.room.told())
    }
}

const NOTHING: &[String] = &[];

#[test]
fn a_cold_follower_reads_for_the_first_join_and_leaves_what_still_comes() {
    let mut test = Test::cold();
    assert_eq!(test.entry(1), ["unfollow"]);
    assert_eq!(test.followed(at(1), Missed::NotAsked), NOTHING);
    assert_eq!(test.event(EngineEvent::Down), NOTHING);
    assert_eq!(test.entry(1), NOTHING, "there is no link to leave it on");
    assert_eq!(test.event(EngineEvent::Up), NOTHING);
    assert_eq!(test.end(), (true, Vec::new()));
    assert_eq!(test.join(1, Some(4)), ["follow None"]);
}

#[test]
fn a_cold_follower_keeps_joins_while_the_link_is_down() {
    let mut test = Test::cold();
    test.event(EngineEvent::Down);
    assert_eq!(test.join(1, None), NOTHING);
    assert_eq!(test.event(EngineEvent::Up), ["follow None"]);
    assert_eq!(test.followed(at(3), Missed::NotAsked), ["restart 7/3", "admit 1 at 3 from the copy"]);
    assert!(test.follower.is_live() && !test.follower.has_joins());
}

#[test]
fn a_reading_follower_keeps_joins_and_goes_on_when_nobody_is_left() {
    let mut test = Test::reading();
    assert_eq!(test.join(2, None), NOTHING);
    test.follower.abandon(EngineTicket(1));
    assert_eq!(test.followed(at(3), Missed::NotAsked), ["restart 7/3", "admit 2 at 3 from the copy"]);
    let mut test = Test::reading();
    test.follower.abandon(EngineTicket(1));
    assert_eq!(test.end(), (false, Vec::new()), "its answer would be taken for that to a later request");
    assert_eq!(test.event(EngineEvent::Up), NOTHING);
}

#[test]
fn a_follower_that_reads_again_answers_joins_where_its_members_are() {
    let mut test = Test::reading_since(3);
    assert_eq!(test.join(2, None), ["admit 2 at 3 from the copy"]);
    assert_eq!(test.join(3, Some(3)), ["admit 3 at 3 from the copy"]);
    assert_eq!(test.followed(at(4), all(&[4])), ["deliver 4"]);
}

#[test]
fn what_waits_for_an_answer_of_a_link_is_looked_at_again_when_that_ends() {
    let mut test = Test::live(3);
    assert_eq!(test.join(2, Some(2)), ["read 2 since 2"]);
    test.room.held.push(2);
    assert_eq!(test.event(EngineEvent::Down), ["admit 2 at 3 from the copy"]);
}

#[test]
fn a_follower_that_joins_wait_for_does_not_end() {
    let mut test = Test::cold();
    test.event(EngineEvent::Down);
    test.join(1, None);
    assert_eq!(test.end(), (false, Vec::new()));
    test.follower.abandon(EngineTicket(1));
    assert_eq!(test.end(), (true, Vec::new()));
}

#[test]
fn a_reading_follower_without_a_place_is_cold_when_the_link_ends_and_keeps_its_joins() {
    let mut test = Test::reading();
    assert_eq!(test.event(EngineEvent::Down), NOTHING);
    assert_eq!(test.event(EngineEvent::Up), ["follow None"]);
}

#[test]
fn a_reading_follower_delivers_what_was_missed_before_joins_are_answered() {
    let mut test = Test::reading_since(3);
    assert_eq!(test.join(2, Some(5)), NOTHING, "a client that is ahead");
    test.room.held.push(5);
    assert_eq!(test.followed(at(5), all(&[4, 5])), ["deliver 4", "deliver 5", "admit 2 at 5 from the copy"]);
    assert_eq!(test.entry(6), ["deliver 6"]);
    assert_eq!(Test::reading_since(3).followed(at(3), all(&[])), NOTHING, "nothing was missed");
}

#[test]
fn a_reading_follower_restarts_where_what_was_missed_is_not_known() {
    let nine = LogPosition { epoch: 8, offset: 9 };
    for missed in [Missed::Unknown, Missed::NotAsked, all(&[]), all(&[5, 6])] {
        assert_eq!(Test::reading_since(3).followed(at(6), missed.clone()), ["restart 7/6"], "{missed:?}");
        assert_eq!(Test::reading_since(3).followed(nine, missed), ["restart 8/9"]);
    }
    for (position, missed) in [(6, all(&[4, 5])), (6, all(&[4])), (6, cut(&[5])), (2, all(&[4])), (2, cut(&[4]))] {
        let told = Test::reading_since(3).followed(at(position), missed.clone());
        assert_eq!(told.last(), Some(&format!("restart 7/{position}")), "{missed:?}");
    }
    assert_eq!(Test::reading_since(3).followed(nine, cut(&[4])), ["deliver 4", "restart 8/9"]);
    let mut lost_again = Test::reading_since(3);
    assert_eq!(lost_again.event(EngineEvent::Down), NOTHING);
    assert_eq!(lost_again.event(EngineEvent::Up), ["follow Some(3)"], "it is where it was");
}

#[test]
fn an_answer_that_was_cut_is_gone_on_from_and_one_that_was_not_has_all() {
    let mut test = Test::reading_since(3);
    assert_eq!(test.entry(7), NOTHING);
    assert_eq!(test.followed(at(7), cut(&[])), ["follow Some(3)"], "other rooms had the whole answer");
    assert_eq!(test.followed(at(7), cut(&[4, 5])), ["deliver 4", "deliver 5", "follow Some(5)"]);
    assert_eq!(test.followed(at(7), cut(&[6, 7])), ["deliver 6", "deliver 7"], "nothing is left to ask for");
    assert_eq!(test.entry(8), ["deliver 8"]);
    let mut test = Test::reading_since(3);
    assert_eq!(test.followed(at(7), all(&[4, 5])), ["deliver 4", "deliver 5", "restart 7/7"], "6 is not retained");
}

#[test]
fn publications_that_come_while_it_reads_are_handled_after_the_answer() {
    let mut test = Test::reading_since(3);
    (4..=6).for_each(|offset| assert_eq!(test.entry(offset), NOTHING));
    assert_eq!(test.entry_behind(6, 3, 4), NOTHING, "of another epoch: it is older than the answer");
    assert_eq!(test.unlogged(), NOTHING, "nobody knows whether it is older than 5");
    assert_eq!(test.followed(at(5), all(&[4, 5])), ["deliver 4", "deliver 5", "deliver 6"]);
}

#[test]
fn no_more_than_64_publications_are_kept_and_the_newest_shows_that_one_was_dropped() {
    let mut test = Test::reading_since(3);
    (4..4 + 65).for_each(|offset| assert_eq!((test.entry(offset), test.unlogged()), (vec![], vec![])));
    assert_eq!(test.followed(at(3), all(&[])), ["follow Some(3)"], "4 was dropped, and 5 is kept");
    let missed: Vec<u64> = (4..4 + 65).collect();
    assert_eq!(test.followed(at(68), all(&missed)).len(), 65);
    assert_eq!(test.entry(69), ["deliver 69"]);
}

#[test]
fn a_live_follower_answers_joins_from_the_copy_or_asks_the_engine() {
    let mut test = Test::live(3);
    assert_eq!(test.join(2, None), ["admit 2 at 3 from the copy"]);
    assert_eq!(test.join(3, Some(3)), ["admit 3 at 3 from the copy"]);
    assert_eq!(test.join(4, Some(2)), ["read 4 since 2"]);
    assert_eq!(test.join(5, Some(4)), ["read 5 since 4"], "a client that is ahead");
    assert_eq!(test.page(4, at(3), &[3]), ["admit 4 at 3 with [3]"]);
    assert_eq!(test.entry(4), ["deliver 4"]);
    assert_eq!(test.page(5, at(4), &[]), ["admit 5 at 4 with []"]);
    assert_eq!(test.page(5, at(4), &[]), NOTHING, "nobody waits for it");
}

#[test]
fn a_page_that_does_not_follow_the_position_or_is_cut_recovers_nothing() {
    for (since, top, offsets) in [(1, 3, &[3][..]), (1, 3, &[2]), (2, 3, &[]), (9, 3, &[]), (1, 3, &[3, 4])] {
        let mut test = Test::live(3);
        test.join(2, Some(since));
        assert_eq!(test.page(2, at(top), offsets), ["admit 2 at 3 unrecovered"], "since {since}: {offsets:?}");
    }
    let mut test = Test::live(3);
    let since = LogPosition { epoch: 8, offset: 3 }.into();
    test.follower.join(EngineTicket(2), Some(since), &mut test.room);
    test.room.told();
    assert_eq!(test.page(2, at(3), &[]), ["admit 2 at 3 unrecovered"], "another log");
}

#[test]
fn a_page_in_the_middle_of_which_something_is_missing_recovers_nothing() {
    let mut test = Test::live(3);
    test.join(2, Some(0));
    assert_eq!(test.page(2, at(3), &[1, 3]), ["admit 2 at 3 unrecovered"], "2 was never retained");
}

#[test]
fn a_position_without_an_epoch_is_of_any_log() {
    let mut test = Test::live(3);
    test.follower.join(EngineTicket(2), Some(Position { epoch: String::new(), offset: 2 }), &mut test.room);
    test.room.told();
    assert_eq!(test.page(2, at(3), &[3]), ["admit 2 at 3 with [3]"]);
    test.follower.join(EngineTicket(3), Some(Position { epoch: String::new(), offset: 3 }), &mut test.room);
    assert_eq!(test.room.told(), ["admit 3 at 3 from the copy"]);
}

#[test]
fn a_page_at_another_position_shows_that_something_is_missing() {
    let mut test = Test::live(3);
    test.join(2, Some(1));
    assert_eq!(test.page(2, at(4), &[2, 3, 4]), ["follow Some(3)"]);
    assert_eq!(test.followed(at(4), all(&[4])), ["deliver 4", "read 2 since 1"]);
    assert_eq!(test.page(2, at(4), &[2, 3, 4]), ["admit 2 at 4 with [2 3 4]"]);
}

#[test]
fn a_page_that_comes_while_it_reads_is_asked_for_again() {
    let mut test = Test::live(3);
    test.join(2, Some(1));
    assert_eq!(test.entry(5), ["follow Some(3)"]);
    assert_eq!(test.page(2, at(5), &[2, 3, 4, 5]), NOTHING);
    assert_eq!(test.followed(at(5), all(&[4, 5])), ["deliver 4", "deliver 5", "read 2 since 1"]);
}

#[test]
fn a_page_that_comes_after_what_was_missed_is_taken() {
    let mut test = Test::live(3);
    test.join(2, Some(1));
    assert_eq!(test.entry(5), ["follow Some(3)"]);
    assert_eq!(test.followed(at(5), all(&[4, 5])), ["deliver 4", "deliver 5"], "it is not asked for twice");
    assert_eq!(test.page(2, at(5), &[2, 3, 4, 5]), ["admit 2 at 5 with [2 3 4 5]"]);
}

#[test]
fn a_live_follower_applies_the_rule_of_receivers() {
    let mut test = Test::live(3);
    assert_eq!(test.entry(4), ["deliver 4"]);
    assert_eq!(test.entry(4), NOTHING, "a repeat");
    assert_eq!(test.entry_behind(7, 4, 900), ["deliver 900"], "offsets are names, and may jump");
    assert_eq!(test.unlogged(), ["deliver 0"], "no log numbers it");
    assert_eq!(test.entry(4), NOTHING, "the place is where it was");
    assert_eq!(test.entry_behind(7, 4, 901), ["restart 7/4", "deliver 901"], "900 is not in the log any more");
    assert_eq!(test.entry_behind(8, 0, 1), ["restart 8/0", "deliver 1"], "the log has ended");
    assert_eq!(test.entry_behind(8, 1, 2), ["deliver 2"]);
}

#[test]
fn a_live_follower_reads_what_is_missing_before_what_came_too_early() {
    let mut test = Test::live(3);
    assert_eq!(test.entry(6), ["follow Some(3)"]);
    assert_eq!(test.followed(at(6), all(&[4, 5, 6])), ["deliver 4", "deliver 5", "deliver 6"]);
    assert_eq!(test.entry(8), ["follow Some(6)"]);
    assert_eq!(test.followed(at(8), Missed::Unknown), ["restart 7/8"]);
}

#[test]
fn a_live_follower_that_nobody_needs_unfollows() {
    let mut test = Test::live(3);
    assert_eq!(test.event(EngineEvent::Up), NOTHING);
    assert_eq!(test.followed(at(9), Missed::Unknown), NOTHING);
    test.join(2, Some(1));
    assert_eq!(test.end(), (false, Vec::new()), "a join waits for the engine");
    test.follower.abandon(EngineTicket(2));
    assert_eq!(test.end(), (true, vec!["unfollow".into()]));
    assert_eq!(test.page(2, at(3), &[2, 3]), NOTHING);
    assert_eq!(test.join(3, None), ["follow None"]);
}

#[test]
fn a_lost_follower_answers_at_its_place_what_the_copy_can_answer_and_keeps_the_rest() {
    let mut test = Test::lost(3);
    assert_eq!(test.join(2, None), ["admit 2 at 3 from the copy"]);
    assert_eq!(test.join(3, Some(3)), ["admit 3 at 3 from the copy"]);
    assert_eq!(test.join(4, Some(4)), NOTHING, "a client that is ahead");
    assert_eq!(test.entry(4), NOTHING);
    assert_eq!(test.followed(at(4), all(&[4])), NOTHING);
    assert_eq!(test.event(EngineEvent::Down), NOTHING);
    assert_eq!(test.end(), (false, Vec::new()));
    assert_eq!(test.event(EngineEvent::Up), ["follow Some(3)"]);
    assert_eq!(test.followed(at(4), all(&[4])), ["deliver 4", "read 4 since 4"]);
    assert_eq!(test.page(4, at(4), &[]), ["admit 4 at 4 with []"]);
}

#[test]
fn a_lost_follower_that_nobody_needs_is_cold() {
    let mut test = Test::lost(3);
    assert_eq!(test.end(), (true, Vec::new()), "there is no link to leave it on");
    assert_eq!(test.event(EngineEvent::Up), NOTHING);
}

#[test]
fn a_publication_without_an_offset_is_for_live_rooms_alone() {
    assert_eq!(Test::cold().unlogged(), ["unfollow"]);
    assert_eq!(Test::reading().unlogged(), NOTHING);
    assert_eq!(Test::lost(3).unlogged(), NOTHING);
    let mut test = Test::live(3);
    assert_eq!(test.entry_behind(8, 0, 0), ["deliver 0"], "whatever its epoch says");
    assert_eq!(test.entry(4), ["deliver 4"]);
    assert_eq!(test.entry(6), ["follow Some(4)"]);
    assert_eq!(test.unlogged(), NOTHING);
    assert_eq!(test.followed(at(6), all(&[5, 6])), ["deliver 5", "deliver 6"]);
}

#[test]
fn a_first_follow_that_is_refused_is_asked_again_after_a_pause() {
    let mut test = Test::reading();
    assert_eq!(test.follow_refused(), NOTHING);
    assert!(test.follower.is_refused() && !test.follower.is_live());
    assert_eq!(test.join(2, None), NOTHING, "it waits for the retry, too");
    assert_eq!(test.retry(), ["follow None"]);
    assert!(!test.follower.is_refused());
    assert_eq!(test.retry(), NOTHING);
    assert_eq!(
        test.followed(at(3), Missed::NotAsked),
        ["restart 7/3", "admit 1 at 3 from the copy", "admit 2 at 3 from the copy"]
    );
    let mut test = Test::reading();
    test.follow_refused();
    test.follower.abandon(EngineTicket(1));
    assert!(!test.follower.is_refused(), "nobody needs it");
    assert_eq!((test.retry(), test.join(2, None)), (vec![], vec!["follow None".into()]));
}

#[test]
fn members_of_a_room_that_is_not_followed_any_more_stay_at_their_place() {
    let mut test = Test::live(3);
    test.room.held.push(2);
    assert_eq!(test.join(2, Some(1)), ["read 2 since 1"]);
    assert_eq!(test.entry(5), ["follow Some(3)"]);
    assert_eq!(test.follow_refused(), NOTHING);
    assert!(test.follower.is_refused());
    assert_eq!(test.entry(6), NOTHING, "it may be followed nevertheless");
    assert_eq!(test.join(3, Some(2)), ["admit 3 at 3 from the copy"]);
    assert_eq!(test.page(2, at(6), &[2, 3, 4, 5, 6]), NOTHING);
    assert_eq!(test.retry(), ["follow Some(3)"]);
    assert_eq!(test.followed(at(6), cut(&[4])), ["deliver 4", "follow Some(4)"]);
    assert_eq!(test.follow_refused(), NOTHING);
    assert_eq!(test.event(EngineEvent::Down), NOTHING);
    assert_eq!(test.retry(), NOTHING, "there is no link to ask on");
    assert_eq!(test.event(EngineEvent::Up), ["follow Some(4)"]);
    assert_eq!(test.followed(at(6), all(&[5, 6])), ["deliver 5", "deliver 6", "read 2 since 1"]);
}

#[test]
fn a_room_whose_follow_was_refused_is_left_for_certain() {
    let mut test = Test::reading_since(3);
    test.follow_refused();
    assert_eq!(test.end(), (true, vec!["unfollow".into()]));
    assert!(!test.follower.is_refused());
    for mut test in [Test::cold(), Test::live(3), Test::lost(3)] {
        assert_eq!((test.follow_refused(), test.follower.is_refused()), (vec![], false), "nobody waits for it");
    }
}

#[test]
fn a_join_whose_page_is_refused_is_not_answered_but_asked_about_again() {
    let mut test = Test::live(3);
    test.join(2, Some(1));
    assert_eq!(test.read_refused(2), NOTHING);
    assert!(test.follower.is_refused() && test.follower.is_live());
    assert_eq!(test.entry(4), ["deliver 4"]);
    assert_eq!(test.page(2, at(4), &[2, 3, 4]), NOTHING, "that is not its answer");
    assert_eq!(test.retry(), ["read 2 since 1"]);
    assert_eq!((test.follower.is_refused(), test.retry()), (false, vec![]));
    assert_eq!(test.page(2, at(4), &[2, 3, 4]), ["admit 2 at 4 with [2 3 4]"]);
    test.join(3, Some(1));
    assert_eq!(test.entry(6), ["follow Some(4)"]);
    assert_eq!((test.read_refused(3), test.follower.is_refused()), (vec![], false), "it is asked about soon");
    assert_eq!(test.followed(at(6), all(&[5, 6])), ["deliver 5", "deliver 6", "read 3 since 1"]);
}

#[test]
fn a_question_that_a_link_has_not_answered_is_asked_on_the_next() {
    let mut test = Test::live(3);
    test.join(2, Some(1));
    test.event(EngineEvent::Down);
    assert_eq!(test.page(2, at(3), &[2, 3]), NOTHING, "nothing of an ended link counts");
    test.event(EngineEvent::Up);
    assert_eq!(test.followed(at(3), all(&[])), ["read 2 since 1"]);
}

#[test]
fn only_equal_states_have_equal_hashes() {
    use core::hash::BuildHasher;
    let hash = |test: &Test| crate::map::Keys(1, 2).hash_one(&test.follower);
    let mut kept = Test::reading_since(3);
    kept.entry(4);
    let mut asked = Test::live(3);
    asked.join(2, Some(1));
    let tests = [
        Test::cold(),
        Test::reading(),
        Test::live(3),
        Test::live(4),
        Test::lost(3),
        Test::reading_since(3),
        kept,
        asked,
    ];
    for (at, test) in tests.iter().enumerate() {
        assert!(tests[..at].iter().all(|other| hash(other) != hash(test)), "{:?}", test.follower);
    }
    assert_eq!(hash(&Test::live(3)), hash(&Test::live(3)));
}
