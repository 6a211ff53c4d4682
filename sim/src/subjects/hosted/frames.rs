//! A client's bytes (RFC 6455 section 5): always masked, and in fragments where it likes.

use crate::rng::Rng;
use parlor_core::Violation;
use parlor_core::test_support::client_frame as frame;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// A text message in one frame or in several; the rest of one of which empty fragments have come, where it has `begun`.
pub(super) fn text(text: &str, begun: bool, rng: &mut Rng) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::new();
    let mut opcode = if begun { CONTINUATION } else { TEXT };
    while rng.chance(20) {
        let length = usize::try_from(rng.below(rest.len() as u64 + 1)).expect("a length");
        let (part, later) = rest.split_at(length);
        bytes.extend(frame(opcode, part));
        (opcode, rest) = (CONTINUATION, later);
    }
    bytes.extend(frame(FIN | opcode, rest));
    bytes
}

/// A binary message.
pub(super) fn binary(bytes: &[u8]) -> Vec<u8> {
    frame(FIN | BINARY, bytes)
}

/// An empty part of a text message, of which more is to come.
pub(super) fn fragment(begun: bool) -> Vec<u8> {
    frame(if begun { CONTINUATION } else { TEXT }, b"")
}

pub(super) fn ping(payload: &[u8]) -> Vec<u8> {
    frame(FIN | PING, payload)
}

pub(super) fn pong() -> Vec<u8> {
    frame(FIN | PONG, b"")
}

pub(super) fn close(code: Option<u16>) -> Vec<u8> {
    frame(FIN | CLOSE, code.map_or(vec![], |code| [&code.to_be_bytes()[..], b"bye"].concat()))
}

/// Bytes that break this rule, in a message of their own or in one that has `begun`.
pub(super) fn violation(rule: Violation, begun: bool, message_bytes: usize) -> Vec<u8> {
    let last = FIN | if begun { CONTINUATION } else { TEXT };
    match rule {
        Violation::Protocol => vec![FIN | TEXT, 1, b'x'],
        Violation::Utf8 => frame(last, b"\xff"),
        Violation::TooLarge => frame(last, vec![b'x'; message_bytes + 1]),
    }
}
