//! Tokens that wait until their key has been fetched, the longest wait first.

use parlor_core::ConnId;
use std::collections::VecDeque;

/// The bytes of all tokens that wait, at most. Those of connections that have ended meanwhile are among them.
const WAITING_BYTES: usize = 4 << 20;

/// A queue of tokens, each with its connection.
#[derive(Debug, Default)]
pub(super) struct WaitingTokens {
    queue: VecDeque<(ConnId, String)>,
    bytes: usize,
}

impl WaitingTokens {
    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is space for this token.
    pub(super) fn has_space(&self, token: &str) -> bool {
        self.bytes + token.len() <= WAITING_BYTES
    }

    /// Adds a token.
    pub(super) fn push(&mut self, conn: ConnId, token: String) {
        self.bytes += token.len();
        self.queue.push_back((conn, token));
    }

    /// Takes the token that has waited for the longest.
    pub(super) fn pop(&mut self) -> Option<(ConnId, String)> {
        let (conn, token) = self.queue.pop_front()?;
        self.bytes -= token.len();
        Some((conn, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_tokens_are_bounded_by_their_bytes() {
        let mut waiting = WaitingTokens::default();
        let token = "t".repeat(WAITING_BYTES / 2);
        for _ in 0..2 {
            assert!(waiting.has_space(&token));
            waiting.push(ConnId::from_parts(0, 0), token.clone());
        }
        assert!(!waiting.has_space("t"));
        assert!(waiting.pop().is_some() && waiting.has_space(&token));
    }
}
