//! Mistakes that can be put into the model, each of which the comparison with a server has to find.

use parlor_core::redis::RespValue;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelMistake {
    /// Keys stay although their time is over.
    ExpiryForgotten,
    /// A range of a stream leaves out the entry that it begins with.
    RangeBehindItsStart,
    /// A client's own message comes on the other side of its reply.
    OwnMessageMisplaced,
    /// A null of a command becomes nil in a script, where Redis makes it false.
    NullAsNil,
}

impl ModelMistake {
    /// All of them, by the names that the program knows.
    pub const ALL: [(&'static str, Self); 4] = [
        ("expiry_forgotten", Self::ExpiryForgotten),
        ("range_behind_its_start", Self::RangeBehindItsStart),
        ("own_message_misplaced", Self::OwnMessageMisplaced),
        ("null_as_nil", Self::NullAsNil),
    ];

    /// The answer to a command, with this mistake.
    #[must_use]
    pub fn in_answer(self, command: &[u8], answer: RespValue) -> RespValue {
        match (self, answer) {
            (Self::RangeBehindItsStart, RespValue::Array(mut entries)) if command.eq_ignore_ascii_case(b"XRANGE") => {
                entries.drain(..entries.len().min(1));
                RespValue::Array(entries)
            }
            (_, answer) => answer,
        }
    }
}
