//! What can be wrong on purpose, in the model of the engine or around the follower.

/// A defect that a search has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineDefect {
    /// What was missed is read before the room is subscribed to.
    ReadBeforeSubscribe,
    /// What comes between the confirmation and what was read is delivered once more after that.
    BetweenAppliedTwice,
    /// What is on its way when a link ends comes on the next.
    EndedLinkHeard,
    /// A room is unfollowed after it is followed again.
    UnfollowOvertakes,
    /// Members are not told that another log has begun.
    EpochAdoptedSilently,
    /// The copy of the log judges a position that is above its newest.
    JudgedAboveTop,
    /// A page is taken as all that was missed, though its beginning is not retained any more.
    TrimmedPageTakenAsWhole,
    /// An answer that was cut at its bound is told as all that was missed.
    CutTakenAsWhole,
    /// What is not retained is taken for what an answer had no room for.
    UnretainedTakenAsCut,
    /// A request that is refused is told as one whose answer has no publications.
    RefusalTakenAsEmptyAnswer,
    /// What was refused is not asked for again.
    RefusalForgotten,
    /// What no log numbers and comes before an answer is delivered after it.
    UnloggedKept,
    /// A site that follows the room again is told that what it has missed is not known, whatever that is.
    GapWithoutLoss,
}

impl EngineDefect {
    /// All of them, by name.
    pub const ALL: [(&str, Self); 13] = [
        ("a_read_before_the_subscription", Self::ReadBeforeSubscribe),
        ("a_publication_that_is_applied_twice", Self::BetweenAppliedTwice),
        ("a_link_that_is_heard_after_its_end", Self::EndedLinkHeard),
        ("an_unfollow_that_overtakes_a_follow", Self::UnfollowOvertakes),
        ("an_epoch_that_is_adopted_silently", Self::EpochAdoptedSilently),
        ("a_position_that_the_copy_judges_above_its_top", Self::JudgedAboveTop),
        ("a_trimmed_page_that_is_taken_as_whole", Self::TrimmedPageTakenAsWhole),
        ("a_cut_answer_that_is_taken_as_whole", Self::CutTakenAsWhole),
        ("a_loss_that_is_taken_for_a_cut_answer", Self::UnretainedTakenAsCut),
        ("a_refusal_that_is_taken_for_an_empty_answer", Self::RefusalTakenAsEmptyAnswer),
        ("a_refusal_that_is_forgotten", Self::RefusalForgotten),
        ("an_unlogged_publication_that_is_kept", Self::UnloggedKept),
        ("a_gap_that_is_none", Self::GapWithoutLoss),
    ];
}
