//! Server frames (RFC 6455 section 5.2): never masked, never fragmented, encoded once and shared by all receivers.

use crate::close::CloseReason;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::iter;

/// One complete frame with its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame(Rc<[u8]>);

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
#[cfg(test)]
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Length byte that announces a 16-bit length.
const LENGTH_16: u8 = 126;
/// Length byte that announces a 64-bit length.
const LENGTH_64: u8 = 127;
/// The longest payload of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES: usize = 125;

/// The first byte of a text frame.
pub(crate) const TEXT_HEADER: u8 = FIN | TEXT;
/// The first byte of a Close frame.
pub(crate) const CLOSE_HEADER: u8 = FIN | CLOSE;

/// Returns the number of bytes before the payload of a frame.
pub(crate) fn header_bytes(frame: &[u8]) -> usize {
    let extended = match frame.get(1) {
        Some(&LENGTH_16) => 2,
        Some(&LENGTH_64) => 8,
        _ => 0,
    };
    frame.len().min(2 + extended)
}

impl Frame {
    /// Encodes a text message.
    pub fn text(payload: &str) -> Self {
        Self::encode(TEXT, payload.as_bytes())
    }

    /// Encodes a binary message. No protocol of the server has one yet.
    #[cfg(test)]
    pub fn binary(payload: &[u8]) -> Self {
        Self::encode(BINARY, payload)
    }

    /// Encodes a Ping without a payload.
    pub fn ping() -> Self {
        Self::encode(PING, &[])
    }

    /// Encodes the Pong that answers a Ping with this payload (RFC 6455 section 5.5.3).
    pub fn pong(payload: &[u8]) -> Self {
        Self::encode(PONG, &payload[..payload.len().min(CONTROL_BYTES)])
    }

    /// Encodes a Close frame (RFC 6455 section 5.5.1) with a code and a text of at most 123 bytes, or without both.
    pub fn close(reason: Option<&CloseReason>) -> Self {
        let mut payload = Vec::new();
        if let Some(reason) = reason {
            payload.extend_from_slice(&reason.code().to_be_bytes());
            payload.extend_from_slice(reason.text().as_bytes());
        }
        Self::encode(CLOSE, &payload)
    }

    /// Returns the bytes as they are written to the socket.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the number of bytes, the header included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the memory address of the bytes: equal for clones of a frame, and for no other frame while one of them
    /// exists.
    pub fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    fn encode(opcode: u8, payload: &[u8]) -> Self {
        let length = payload.len();
        let (short, extended): (u8, &[u8]) = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < LENGTH_16 => (short, &[]),
            (_, Ok(medium)) => (LENGTH_16, &medium.to_be_bytes()),
            _ => (LENGTH_64, &(length as u64).to_be_bytes()),
        };
        let parts = [&[FIN | opcode, short], extended, payload];
        // Filled in place: a vector would be copied into a second allocation to be shared.
        let mut frame: Rc<[u8]> = iter::repeat_n(0, parts.iter().map(|part| part.len()).sum()).collect();
        let mut rest = Rc::get_mut(&mut frame).expect("it is not shared yet");
        for part in parts {
            let (begin, end) = rest.split_at_mut(part.len());
            begin.copy_from_slice(part);
            rest = end;
        }
        Self(frame)
    }
}

/// Keeps a frame that several connections wait for one frame, also in a state that is read.
impl serde::Serialize for Frame {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address = if Rc::strong_count(&self.0) > 1 { self.address() } else { 0 };
        crate::stored::frame(address, self.bytes(), serializer)
    }
}

#[cfg(feature = "replay")]
impl<'de> serde::Deserialize<'de> for Frame {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Rc<[u8]> = crate::stored::shared(deserializer)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCause;
    use alloc::string::String;
    use std::io::Cursor;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    extern crate std;

    fn parse(frame: &Frame) -> Message {
        let stream = Cursor::new(frame.bytes().to_vec());
        WebSocket::from_raw_socket(stream, Role::Client, None).read().expect("a valid frame")
    }

    #[test]
    fn an_independent_parser_reads_every_length_encoding() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: String = core::iter::repeat_n('x', length).collect();
            assert_eq!(parse(&Frame::text(&payload)), Message::text(payload));
        }
    }

    #[test]
    fn the_header_is_as_short_as_it_can_be() {
        for (length, header) in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let payload: String = core::iter::repeat_n('x', length).collect();
            assert_eq!(Frame::text(&payload).len(), length + header);
        }
    }

    #[test]
    fn control_frames_parse_as_their_kinds() {
        assert_eq!(parse(&Frame::ping()), Message::Ping(Default::default()));
        assert_eq!(parse(&Frame::pong(b"abc")), Message::Pong("abc".into()));
        assert_eq!(parse(&Frame::close(None)), Message::Close(None));
        let Message::Close(Some(close)) = parse(&Frame::close(Some(&CloseCause::Slow.reason()))) else {
            panic!("a Close frame with a reason");
        };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (3008, "slow"));
    }
}
