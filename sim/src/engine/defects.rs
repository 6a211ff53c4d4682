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
    /// A site that follows the room again is told that what it has missed is not known, whatever that is.
    GapWithoutLoss,
}

impl EngineDefect {
    /// All of them, by name.
    pub const ALL: [(&str, Self); 8] = [
        ("a_read_before_the_subscription", Self::ReadBeforeSubscribe),
        ("a_publication_that_is_applied_twice", Self::BetweenAppliedTwice),
        ("a_link_that_is_heard_after_its_end", Self::EndedLinkHeard),
        ("an_unfollow_that_overtakes_a_follow", Self::UnfollowOvertakes),
        ("an_epoch_that_is_adopted_silently", Self::EpochAdoptedSilently),
        ("a_position_that_the_copy_judges_above_its_top", Self::JudgedAboveTop),
        ("a_trimmed_page_that_is_taken_as_whole", Self::TrimmedPageTakenAsWhole),
        ("a_gap_that_is_none", Self::GapWithoutLoss),
    ];
}
