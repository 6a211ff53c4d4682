//! Bytes that come from a Redis server, whole and in pieces.

use super::taken::Taken;
use super::target::Teller;
use crate::redis::wire;
use parlor_core::redis::{RespDecoder, RespError, RespLimits, RespValue};

/// Reads these bytes as what a server sends, after one that says how they are cut. The same is read however they are cut,
/// and each value, sent again, is read as the same.
///
/// # Panics
/// When one of these does not hold.
pub fn resp_decode(bytes: &[u8]) {
    let (pieces, bytes) = read(bytes);
    let (values, end) = decoded([bytes]);
    assert_eq!(decoded(pieces), (values.clone(), end), "P1: what is read of bytes in pieces");
    for value in values {
        let mut again = Vec::new();
        wire::encode(&value, &mut again);
        // A number may have been longer than it is when it is written again, and never shorter.
        assert!(again.len() <= limits().bytes, "P1: {value:?} is sent in no more bytes");
        assert_eq!(decoded([&again[..]]), (vec![value], None), "P1: what is read of a value that is sent again");
    }
}

/// The values, and what ends them.
pub(super) fn tell(bytes: &[u8], tell: Teller<'_>) {
    let (pieces, bytes) = read(bytes);
    tell(format_args!("{} bytes in pieces of {}", bytes.len(), pieces.size));
    let (values, end) = decoded([bytes]);
    values.iter().for_each(|value| tell(format_args!("{value:?}")));
    if let Some(error) = end {
        tell(format_args!("then an error: {error}"));
    }
}

/// Bytes in pieces of one size.
#[derive(Clone, Copy)]
struct CutBytes<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl<'a> IntoIterator for CutBytes<'a> {
    type Item = &'a [u8];
    type IntoIter = std::slice::Chunks<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.bytes.chunks(self.size)
    }
}

fn read(bytes: &[u8]) -> (CutBytes<'_>, &[u8]) {
    let mut taken = Taken(bytes);
    let size = 1 + usize::from(taken.byte() % 32);
    (CutBytes { bytes: taken.0, size }, taken.0)
}

const fn limits() -> RespLimits {
    RespLimits { bytes: 512, depth: 4 }
}

/// All values of bytes that come in these pieces, and the error that ends them.
fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<RespValue>, Option<RespError>) {
    let mut decoder = RespDecoder::new(limits());
    let mut values = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_value() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => return (values, Some(error)),
            }
        }
        assert!(decoder.waiting() <= limits().bytes, "G6: {} bytes wait for the rest of a value", decoder.waiting());
    }
    (values, None)
}
