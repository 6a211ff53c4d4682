//! Bytes of TLS that a session keeps: those of a record that is not whole, and of messages that are no data.

use std::io;

/// The most bytes that a session may keep. A record is shorter, and so is all that clients say before and between data; the
/// library would keep twice as much of a message in several records.
const KEPT_BYTES: usize = 32 << 10;
/// The bytes of a record's header (RFC 8446 section 5.1).
const HEADER_BYTES: usize = 5;

/// The stream of records from a client, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; HEADER_BYTES],
    /// Bytes of the record that is not whole.
    seen: usize,
    /// Bytes that were read since the last data.
    kept: usize,
    /// The number that was last reported.
    reported: usize,
}

impl Records {
    /// Notes bytes that were read.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        self.kept += bytes.len();
        while !bytes.is_empty() {
            let missing = self.record_bytes() - self.seen;
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            if let Some(header) = self.header.get_mut(self.seen..).and_then(|header| header.get_mut(..part.len())) {
                header.copy_from_slice(part);
            }
            self.seen += part.len();
            if self.seen >= HEADER_BYTES && self.seen == self.record_bytes() {
                self.seen = 0;
            }
            bytes = rest;
        }
    }

    /// Notes that data came of what was read: nothing is kept but a record that is not whole.
    pub(super) fn gave_data(&mut self) {
        self.kept = self.seen;
    }

    /// Checks that the session keeps no more than it may.
    ///
    /// # Errors
    /// Of the kind [`io::ErrorKind::InvalidData`].
    pub(super) fn check(&self) -> io::Result<()> {
        if self.kept <= KEPT_BYTES {
            return Ok(());
        }
        let words = format!("more than {KEPT_BYTES} bytes have come that are no data");
        Err(io::Error::new(io::ErrorKind::InvalidData, words))
    }

    /// The bytes that the session keeps.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// The same, where the number differs from the last report.
    pub(super) fn take_change(&mut self) -> Option<usize> {
        (std::mem::replace(&mut self.reported, self.kept) != self.kept).then_some(self.kept)
    }

    /// The bytes of the record that is not whole, or of its header while that is not.
    fn record_bytes(&self) -> usize {
        if self.seen < HEADER_BYTES {
            return HEADER_BYTES;
        }
        HEADER_BYTES + usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [vec![23, 3, 3, high, low], vec![7; usize::from(length)]].concat()
    }

    #[test]
    fn what_is_not_whole_is_kept_whatever_the_pieces() {
        let stream = [record(0), record(3), record(300), record(16_640), record(1)].concat();
        for size in 1..=stream.len().min(400) {
            let mut records = Records::default();
            for (number, piece) in stream.chunks(size).enumerate() {
                records.read(piece);
                records.gave_data();
                let read = (number * size + size).min(stream.len());
                let begins = [0, 5, 13, 318, 16_963, 16_969].into_iter().filter(|begin| *begin <= read).max();
                assert_eq!(records.kept(), read - begins.unwrap(), "{read} bytes in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_data_is_kept_up_to_a_bound() {
        let mut records = Records::default();
        assert_eq!(records.take_change(), None);
        records.read(&record(20_000));
        assert_eq!((records.take_change(), records.take_change()), (Some(20_005), None));
        assert!(records.check().is_ok());
        records.read(&record(20_000));
        assert!(records.check().unwrap_err().to_string().contains("no data"));
        records.gave_data();
        assert!(records.check().is_ok() && records.take_change() == Some(0));
    }
}
