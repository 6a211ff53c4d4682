//! Goals: events that a batch of runs must reach, since one in which nothing interesting happened proves little.

use std::fmt;

macro_rules! goals {
    ($($name:ident = $sentence:literal,)*) => {
        /// Something that a batch of runs must have seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is documented by its sentence")]
        pub enum Goal { $($name,)* }

        impl Goal {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The event, as a sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

goals! {
    Delivered = "a publication reached a member",
    DeliveredInJson = "a publication reached a json member",
    DeliveredInPlain = "a publication reached a plain member",
    DeliveredAfterFault = "a publication reached a member after a fault of a transport",
    Personal = "a publication reached a personal room",
    Refused = "a client was refused a publication",
    Unreadable = "a client was refused a publication that others could not read",
    ServersType = "a client was refused a publication that looked like the server's own",
    Slow = "a slow connection was closed",
    SlowHalfWritten = "a slow connection was closed with a half-written frame",
    PeerClosedHalfWritten = "a peer closed when a frame was half-written",
    CloseHalfWritten = "a Close frame took two writes",
    PeerClosedWhileClosing = "a peer closed while the server was closing",
    EndedByBoth = "both ended a stream after a Close",
    EndedHalfWritten = "a client ended its stream when a frame was half-written",
    LostHandshaking = "a socket was lost during the handshake",
    LostOpen = "a socket was lost while open",
    LostClosing = "a socket was lost while closing",
    HandshakeLapsed = "a handshake took too long",
    AuthenticateLapsed = "a client did not say who it is",
    NoPong = "a ping was not answered",
    Unfinished = "a message that had begun did not end",
    PingAnswered = "a ping was answered",
    WriteLapsed = "a socket took nothing for too long",
    CloseLapsed = "a peer did not close",
    Expired = "a connection outlived its token",
    InvalidToken = "a bad token closed a connection",
    TokenExpired = "an expired token was answered with an error",
    FrameRate = "a client was closed for frames that came too fast",
    RoomLimit = "a token named too many rooms",
    BadRequest = "what is not the protocol closed a connection",
    Violation = "broken framing closed a connection",
    Disconnected = "a backend closed a connection",
    ClosedInOrder = "frames that waited went out before a Close",
    ShutDownWithPeersInEveryPhase = "the server stopped with connections in every phase",
    ConnectionLimit = "a connection was refused because there are too many",
    StaleInput = "an input came for a connection that had ended",
    SlotReused = "a slot was used for the third time",
    Absent = "a user whose connection had ended stayed listed in a room",
    BackInTime = "a user came back to a room that it was absent from",
    AbsenceOver = "a user did not come back to a room in time",
    AbsenceRefused = "a user left at once because too many are absent",
    LogReplaced = "a log began where another had ended",
    Trimmed = "a log dropped a message because it had too many",
    Aged = "a log dropped a message because it was too old",
    UserTwice = "a user had two connections at once",
    ClockBack = "the clock went back",
    CalendarStep = "somebody set the calendar",
    Recovered = "a client recovered what it had missed",
    RecoveredNothing = "a client that had missed nothing recovered",
    RecoveredAtConnect = "a connect reply brought what was missed",
    UnrecoveredTrimmed = "what was missed was not retained any more",
    UnrecoveredEpoch = "a client came back to another log",
    UnrecoveredBeyond = "a client claimed to have had more than there was",
    Unrecoverable = "a client that wanted all or nothing got nothing",
    RecoveredWatching = "a client recovered and watched from then on",
    RecoveredByToken = "a client recovered in a room that its token let it into",
    Gap = "a plain client was told of a gap",
    PositionTold = "a plain client asked where its rooms are",
    HistoryRead = "a log was read",
    HistoryReversed = "a log was read from its end",
    HistoryOfAnotherEpoch = "a log was read that is not there any more",
    HistoryRemoved = "a log with members lost what it retained",
    TooDeep = "a publication or a token was nested too deep",
    ReplyTooLarge = "an answer had too many bytes",
    LogsFull = "a log could not begin because every other has members",
    PublishedOnce = "a key was used twice and published once",
    KeyForgotten = "a key was forgotten",
    PresenceRead = "a client asked who is in a room",
    PresenceTooLarge = "a room had too many members to list",
    SawJoin = "somebody saw another one come",
    SawLeave = "somebody saw another one go",
    Renamed = "somebody told late who it is",
    Refreshed = "a connection showed a new token",
    JoinedByToken = "a client joined a room by a token",
    RoomRefreshed = "a client showed a new token for a room",
    RoomExpired = "a membership outlived its token",
    PongDeadlineStoodStill = "a client that was not listened to was not ended for its silence",
    Batched = "a backend asked for several things in one call",
    ConnectionRate = "an address came too often",
    PutIn = "a backend put a connection into a room",
    UserLimit = "a user's oldest connection made room for a new one",
    UserRefused = "a user's new connection was refused because there are too many",
    TokenTooCapable = "a token named more in its capabilities than it may",
    TokenTooWordy = "a token said too much of its user",
    JoinRate = "a client was refused one more room for coming too fast",
    TokenTooLong = "a token named a room by too long a name",
    TokenInHeader = "a json client was known by the token of its request",
    CommandRate = "a client asked too often",
    PublishRate = "a client published too often",
    TooManyRefusals = "a client that would not slow down was closed",
    ServedInTheEnd = "a client that was well in the end read what was sent then",
    Overloaded = "a connection was closed because there were too many logs",
    RecoveredInThree = "a connect reply brought what was missed in three rooms",
    ChosenCode = "a backend closed a connection with a code of its own",
    MeantNobody = "a backend meant a connection that was not the user's",
    ListedByPattern = "rooms were listed by a pattern",
    ListedSome = "connections were listed by their user or their room",
    ListedInParts = "a list came in parts",
    ListedOn = "a list went on behind its cursor",
    BatchedMuch = "a batch had more than a hundred parts",
    BroadcastMuch = "a broadcast named more than a hundred rooms",
    FilterOfTooMany = "a filter of too many events was refused",
    TextTooLarge = "a text was larger than a message may be",
    NarrowFrames = "a client read in a world of small frames",
    TokenRevoked = "a connection was closed for a token that was revoked",
    LinkLate = "a message between shards came after a tick that was later",
    AnsweredLater = "a call was answered after a later one had come",
    CalledWhileJoining = "a backend called while a client's join was under way",
    DecidedWhileJoining = "a token was checked while a client's join was under way",
    LeftWhileJoining = "a client left while a join of it was under way",
    ShardLostWithMembers = "a shard was lost with members of rooms",
    ShardLostWhileJoining = "a shard was lost while a client of another one joined",
    ShardLostWithCalls = "a shard was lost with calls that it had not answered",
    HomeLost = "a shard was lost with rooms that clients of others were in",
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Goals that only a node of several shards reaches.
pub const OF_SHARDS: [Goal; 9] = [
    Goal::LinkLate,
    Goal::AnsweredLater,
    Goal::CalledWhileJoining,
    Goal::DecidedWhileJoining,
    Goal::LeftWhileJoining,
    Goal::ShardLostWithMembers,
    Goal::ShardLostWhileJoining,
    Goal::ShardLostWithCalls,
    Goal::HomeLost,
];

/// The goals that one run has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goals([u128; 2]);

impl Goals {
    /// Reaches one.
    pub fn reach(&mut self, goal: Goal) {
        let (word, bit) = place(goal);
        self.0[word] |= bit;
    }

    /// Reaches one where this is so.
    pub fn reach_if(&mut self, goal: Goal, is_reached: bool) {
        if is_reached {
            self.reach(goal);
        }
    }

    /// How many were reached.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it was reached.
    #[must_use]
    pub fn has(self, goal: Goal) -> bool {
        let (word, bit) = place(goal);
        self.0[word] & bit != 0
    }
}

/// Which word a goal is in, and which bit of it.
fn place(goal: Goal) -> (usize, u128) {
    (goal as usize / 128, 1 << (goal as usize % 128))
}

impl std::ops::BitOr for Goals {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }
}

/// In how many runs of a batch each goal was reached.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Self {
        Self(vec![0; Goal::ALL.len()])
    }
}

impl Coverage {
    /// Adds a run.
    pub fn add(&mut self, goals: Goals) {
        for goal in Goal::ALL.iter().filter(|goal| goals.has(**goal)) {
            self.0[*goal as usize] += 1;
        }
    }

    /// In how many runs it was reached.
    #[must_use]
    pub fn count(&self, goal: Goal) -> u64 {
        self.0[goal as usize]
    }

    /// How many goals were reached at all.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.0.iter().filter(|count| **count > 0).count()
    }

    /// The goals that no run has reached.
    #[must_use]
    pub fn missed(&self) -> Vec<Goal> {
        Goal::ALL.iter().copied().filter(|goal| self.count(*goal) == 0).collect()
    }
}

/// In how many runs each was reached, the rarest first.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut goals = Goal::ALL.to_vec();
        goals.sort_by_key(|goal| self.count(*goal));
        goals.iter().try_for_each(|goal| writeln!(f, "{:8}  {goal}", self.count(*goal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_the_runs_that_reached_a_goal() {
        assert!(Goal::ALL.len() <= 256, "a goal is a bit");
        let mut goals = Goals::default();
        goals.reach(Goal::Delivered);
        let mut coverage = Coverage::default();
        coverage.add(goals);
        coverage.add(goals);
        assert_eq!(coverage.count(Goal::Delivered), 2);
        assert_eq!(coverage.missed().len(), Goal::ALL.len() - 1);
        assert_eq!(coverage.reached(), 1);
        let report = coverage.to_string();
        assert_eq!(report.lines().count(), Goal::ALL.len());
        assert_eq!(report.lines().last(), Some("       2  a publication reached a member"), "the rarest come first");
    }
}
