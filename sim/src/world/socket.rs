//! The simulated transport: what a socket takes, and a judge of every byte that it is given.

use crate::guarantees::{Failure, Guarantee};
use crate::world::action::WriteBudget;
use crate::world::frames::{Parser, ReceivedFrame};

/// The most bytes that are encrypted at a time: more than a small frame, and less than two.
pub const RECORD_BYTES: usize = 100;

/// The server's side of one connection.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    parser: Parser,
    /// It takes nothing for now.
    pub stalled: bool,
    /// It takes half of what waits, at most.
    pub narrow: bool,
    /// It was stalled when it was last written to: the driver waits until it can be written to again.
    pub blocked: bool,
    /// The next write fails.
    pub broken: bool,
    /// A Close frame has come through: nothing may follow it.
    pub closed: bool,
    /// What is encrypted and has not come through: it comes next.
    pub encrypted: Vec<u8>,
    /// Everything that came through, where a second reader is to read it in the end.
    pub record: Option<Vec<u8>>,
}

impl Socket {
    /// A socket that takes everything. `recorded`: what comes through is kept.
    #[must_use]
    pub fn new(recorded: bool) -> Self {
        Self { record: recorded.then(Vec::new), ..Self::default() }
    }

    /// Whether the client has a part of a frame.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.parser.is_mid_frame()
    }

    /// How many frames of what waits it has not taken all of.
    #[must_use]
    pub fn count(&self, pending: &[u8]) -> usize {
        self.parser.count(pending)
    }

    /// From now on it takes everything.
    pub fn resume(&mut self) {
        (self.stalled, self.narrow, self.blocked) = (false, false, false);
    }

    /// How many of these bytes it takes; `None` when writing fails.
    pub fn offer(&mut self, pending: &[u8], budget: WriteBudget) -> Option<usize> {
        if self.broken {
            return None;
        }
        let taken = match budget {
            _ if self.stalled => 0,
            WriteBudget::Refuse => 0,
            WriteBudget::Byte => 1,
            WriteBudget::All if self.narrow => pending.len().div_ceil(2),
            WriteBudget::Half => pending.len().div_ceil(2),
            WriteBudget::Frame => self.parser.to_frame_end(pending),
            WriteBudget::All => pending.len(),
        };
        self.blocked = self.stalled;
        Some(taken)
    }

    /// Encrypts a record of what is left of `pending` once `taken` bytes have come through, unless there is one.
    ///
    /// # Errors
    /// What is encrypted is not offered again as it was.
    pub fn encrypt(&mut self, pending: &[u8], taken: usize) -> Result<(), Failure> {
        if !pending.starts_with(&self.encrypted) {
            let words = format_args!("{:02x?}, which is encrypted, to come next", self.encrypted);
            return Err(Failure::new(Guarantee::G1, words, format_args!("{pending:02x?}")));
        }
        self.encrypted.drain(..taken.min(self.encrypted.len()));
        let rest = &pending[taken..];
        if self.encrypted.is_empty() {
            self.encrypted.extend_from_slice(&rest[..rest.len().min(RECORD_BYTES)]);
        }
        Ok(())
    }

    /// Takes these bytes, checks them (nothing after a Close frame, no frame cut by another), and returns the frames
    /// that the client now has.
    ///
    /// # Errors
    /// The stream is not one that a server may send.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<ReceivedFrame>, Failure> {
        if self.closed && !bytes.is_empty() {
            return Err(Failure::new(Guarantee::G1, "no byte after the Close frame", format_args!("{bytes:02x?}")));
        }
        if let Some(record) = &mut self.record {
            record.extend_from_slice(bytes);
        }
        let frames = self
            .parser
            .feed(bytes)
            .map_err(|broken| Failure::new(Guarantee::G1, "whole frames of RFC 6455", broken))?;
        let close = frames.iter().position(|frame| matches!(frame, ReceivedFrame::Close(_)));
        self.closed |= close.is_some();
        let last = close.is_none_or(|at| at + 1 == frames.len() && !self.parser.is_mid_frame());
        if !last {
            return Err(Failure::new(Guarantee::G1, "nothing after the Close frame", format_args!("{frames:?}")));
        }
        Ok(frames)
    }
}
