//! Decodes WebSocket frames from bytes that were read already. tungstenite does the decoding; a connection without an
//! incomplete message costs no memory.

use std::io::{self, Read, Write};
use std::mem;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

/// The decoder of one connection's frames. Their bytes may come in any pieces.
#[derive(Debug)]
pub(crate) struct Decoder {
    message_bytes: usize,
    state: DecoderState,
}

/// The state of a decoder between two calls. One variant at a time keeps a connection small.
#[derive(Debug)]
enum DecoderState {
    /// No message is incomplete.
    Between,
    /// A message is incomplete. Its buffer stays as large as it ever was.
    HalfRead(Box<HalfRead>),
    /// Only the client's Close frame is waited for.
    Closing(Box<CloseScanner>),
}

/// A frame that is complete.
#[derive(Debug, PartialEq)]
pub(crate) enum Decoded {
    /// A message, or a control frame.
    Message(Message),
    /// A fragment of a message that is not complete, with its number of bytes.
    Fragment { bytes: usize },
}

/// The state of an incomplete message.
#[derive(Debug)]
struct HalfRead {
    context: WebSocketContext,
    boundary: Boundary,
}

/// Bytes of one read of tungstenite, which fills that much with zeros before each.
const READ_BYTES: usize = 256;

impl Decoder {
    /// A decoder for messages of at most `message_bytes`.
    pub(crate) fn new(message_bytes: usize) -> Self {
        Self { message_bytes, state: DecoderState::Between }
    }

    /// Decodes the next complete frame from the front of `unread`.
    ///
    /// # Errors
    /// An I/O error of the kind [`io::ErrorKind::WouldBlock`] when more bytes are needed. After any other error, and
    /// after a Close, there must be no further call.
    pub(crate) fn next(&mut self, unread: &mut &[u8]) -> tungstenite::Result<Decoded> {
        if matches!(self.state, DecoderState::Between) {
            self.state = DecoderState::HalfRead(Box::new(HalfRead::new(self.message_bytes)));
        }
        let half_read = match &mut self.state {
            DecoderState::HalfRead(half_read) => half_read,
            DecoderState::Closing(scanner) => {
                let close = scanner.next(unread).ok_or(io::ErrorKind::WouldBlock);
                return Ok(Decoded::Message(Message::Close(close.map_err(io::Error::from)?)));
            }
            DecoderState::Between => unreachable!("a message has begun"),
        };
        let next = half_read.context.read(&mut DecoderInput { unread, boundary: &mut half_read.boundary });
        if let Some(bytes) = half_read.boundary.take_fragment()
            && is_would_block(&next)
        {
            return Ok(Decoded::Fragment { bytes });
        }
        if unread.is_empty() && half_read.boundary.is_between_messages() {
            self.state = DecoderState::Between;
        }
        next.map(Decoded::Message)
    }

    /// From now on reports a Close frame only, and keeps nothing of other frames.
    pub(crate) fn skip_to_close(&mut self) {
        let boundary = match &mut self.state {
            DecoderState::Closing(_) => return,
            DecoderState::HalfRead(half_read) => mem::take(&mut half_read.boundary),
            DecoderState::Between => Boundary::default(),
        };
        self.state = DecoderState::Closing(Box::new(CloseScanner { boundary, code: Vec::new() }));
    }

    /// The size of the incomplete frame, or the most that its header may have while that is incomplete. None where there is
    /// no such frame, and where the size is the same as at the last call.
    pub(crate) fn take_half_frame(&mut self) -> Option<usize> {
        match &mut self.state {
            DecoderState::HalfRead(half_read) => half_read.boundary.take_half_frame(),
            DecoderState::Between | DecoderState::Closing(_) => None,
        }
    }
}

/// Whether an error says that more bytes are needed.
fn is_would_block<T>(next: &tungstenite::Result<T>) -> bool {
    matches!(next, Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock)
}

impl HalfRead {
    fn new(message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            // Its own answers go to `DecoderInput` at once, so that none pile up.
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), boundary: Boundary::default() }
    }
}

/// The bytes that were read, as a socket for tungstenite. It gives no byte beyond the current frame, none after a fragment
/// that was not reported yet, and discards what is written.
struct DecoderInput<'a, 'b> {
    unread: &'a mut &'b [u8],
    boundary: &'a mut Boundary,
}

impl Read for DecoderInput<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() || self.boundary.unreported_fragment.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = self.boundary.bytes_to_boundary().min(buffer.len()).min(self.unread.len());
        let (given, rest) = self.unread.split_at(length);
        buffer[..length].copy_from_slice(given);
        self.boundary.advance(given);
        *self.unread = rest;
        Ok(length)
    }
}

impl Write for DecoderInput<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Looks for a Close frame, and discards every other frame.
#[derive(Debug)]
struct CloseScanner {
    boundary: Boundary,
    /// The first two bytes of a Close frame's payload, as far as they were read.
    code: Vec<u8>,
}

const CLOSE: u8 = 0x8;

impl CloseScanner {
    /// The Close frame that ends within `unread`, without its reason. The inner None is a frame without a code.
    fn next(&mut self, unread: &mut &[u8]) -> Option<Option<CloseFrame>> {
        while !unread.is_empty() {
            let length = self.boundary.bytes_to_boundary().min(unread.len());
            let (given, rest) = unread.split_at(length);
            if let Some((at, mask)) = self.boundary.payload_place()
                && self.boundary.opcode() == CLOSE
            {
                for (byte, at) in given.iter().zip(at..2) {
                    // A first byte that was read before the scan began is lost, and so is the code.
                    if self.code.len() == at {
                        self.code.push(byte ^ mask[at]);
                    }
                }
            }
            self.boundary.advance(given);
            *unread = rest;
            if self.boundary.seen == 0 && self.boundary.opcode() == CLOSE {
                let code = <[u8; 2]>::try_from(&self.code[..]).ok().map(u16::from_be_bytes);
                return Some(code.map(|code| CloseFrame { code: code.into(), reason: Utf8Bytes::default() }));
            }
        }
        None
    }
}

/// The position within frames and messages (RFC 6455 section 5.2), whether or not they are valid.
#[derive(Debug, Default)]
struct Boundary {
    header: [u8; 14],
    /// Bytes of the header that were read.
    seen: usize,
    /// Bytes of the payload that are missing; known once the header is complete.
    payload: u64,
    /// Whether a fragment was read whose message is not complete.
    fragmented: bool,
    /// The size of a fragment that has just ended and was not reported yet.
    unreported_fragment: Option<usize>,
    /// Bytes of the whole payload; known once the header is complete.
    length: u64,
    /// The size of the incomplete frame as it was last reported.
    reported: Option<usize>,
}

impl Boundary {
    /// Bytes up to the next end of a header or payload; at least one.
    fn bytes_to_boundary(&self) -> usize {
        match self.header_length() - self.seen {
            0 => bytes_of(self.payload),
            missing => missing,
        }
    }

    /// Advances by these bytes, at most [`Boundary::bytes_to_boundary`].
    fn advance(&mut self, bytes: &[u8]) {
        if self.seen == self.header_length() {
            self.payload -= bytes.len() as u64;
        } else {
            self.header[self.seen..][..bytes.len()].copy_from_slice(bytes);
            self.seen += bytes.len();
            if self.seen < self.header_length() {
                return;
            }
            self.length = self.payload_length();
            self.payload = self.length;
        }
        if self.payload == 0 {
            let is_control = self.header[0] & 0x08 != 0;
            let is_final = self.header[0] & 0x80 != 0;
            self.fragmented = if is_control { self.fragmented } else { !is_final };
            self.unreported_fragment = (!is_control && !is_final).then(|| bytes_of(self.length));
            self.reported = None;
            self.seen = 0;
        }
    }

    /// Takes the size of a fragment that has just ended.
    fn take_fragment(&mut self) -> Option<usize> {
        self.unreported_fragment.take()
    }

    /// The size of the incomplete frame, where it differs from the last report.
    fn take_half_frame(&mut self) -> Option<usize> {
        if self.seen == 0 {
            return None;
        }
        let is_known = self.seen >= 2 && self.seen == self.header_length();
        let bytes = if is_known { bytes_of(self.length).saturating_add(self.seen) } else { self.header.len() };
        (self.reported.replace(bytes) != Some(bytes)).then_some(bytes)
    }

    fn is_between_messages(&self) -> bool {
        self.seen == 0 && !self.fragmented
    }

    /// The opcode of the frame that has begun, or of the last one.
    fn opcode(&self) -> u8 {
        self.header[0] & 0x0f
    }

    /// Bytes of the payload that were read, and its masking key. None while the header is incomplete.
    fn payload_place(&self) -> Option<(usize, [u8; 4])> {
        let end = self.header_length();
        if self.seen < 2 || self.seen < end {
            return None;
        }
        let mut mask = [0; 4];
        if self.header[1] & 0x80 != 0 {
            mask.copy_from_slice(&self.header[end - 4..end]);
        }
        Some((bytes_of(self.length - self.payload), mask))
    }

    /// The length of the header: 2 until the first two bytes are read, then that of the whole header.
    fn header_length(&self) -> usize {
        if self.seen < 2 {
            return 2;
        }
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = self.header[1] & 0x80 != 0;
        2 + extended + if masked { 4 } else { 0 }
    }

    fn payload_length(&self) -> u64 {
        match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => self.header[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        }
    }
}

fn bytes_of(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::test_support::client_frame as frame;
    use tungstenite::error::{CapacityError, Error, ProtocolError};

    fn is_half_read(decoder: &Decoder) -> bool {
        matches!(decoder.state, DecoderState::HalfRead(_))
    }

    /// Every message in `bytes`, given in pieces of `size`, with the decoder afterwards.
    fn decode(bytes: &[u8], size: usize) -> (Vec<Message>, Decoder) {
        let mut decoder = Decoder::new(1 << 20);
        let mut messages = Vec::new();
        for mut piece in bytes.chunks(size) {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Decoded::Message(message)) => messages.push(message),
                    Ok(Decoded::Fragment { .. }) => {}
                    Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        (messages, decoder)
    }

    #[test]
    fn decoding_does_not_depend_on_pieces_and_keeps_nothing_between_messages() {
        let long = "x".repeat(70_000);
        let mut bytes = Vec::new();
        for part in [
            frame(0x81, b"one"),
            frame(0x01, b"two, "),
            frame(0x89, b"ping in between"),
            frame(0x00, b""),
            frame(0x80, b"in parts"),
            frame(0x81, b""),
            frame(0x81, [b'y'; 300]),
            frame(0x81, long.as_bytes()),
            frame(0x8a, b""),
        ] {
            bytes.extend(part);
        }
        let expected = [
            Message::text("one"),
            Message::Ping("ping in between".into()),
            Message::text("two, in parts"),
            Message::text(""),
            Message::text("y".repeat(300)),
            Message::text(long.clone()),
            Message::Pong("".into()),
        ];
        for size in [1, 2, 3, 7, 255, 256, 257, 4096, bytes.len()] {
            let (messages, decoder) = decode(&bytes, size);
            assert_eq!(messages, expected, "in pieces of {size}");
            assert!(!is_half_read(&decoder), "in pieces of {size}");
        }
    }

    #[test]
    fn every_fragment_is_reported_before_the_next_frame() {
        let ping = frame(0x89, b"");
        let bytes =
            [frame(0x01, b"a"), frame(0x00, b""), ping.clone(), frame(0x00, b"b"), frame(0x80, b""), ping].concat();
        for size in [1, 2, 3, 7, bytes.len()] {
            let mut decoder = Decoder::new(10);
            let mut seen = Vec::new();
            for mut piece in bytes.chunks(size) {
                while let Ok(next) = decoder.next(&mut piece) {
                    seen.push(next);
                }
            }
            let ping = || Decoded::Message(Message::Ping("".into()));
            let fragment = |bytes| Decoded::Fragment { bytes };
            let whole = Decoded::Message(Message::text("ab"));
            assert_eq!(seen, [fragment(1), fragment(0), ping(), fragment(1), whole, ping()], "in pieces of {size}");
        }
    }

    #[test]
    fn the_length_of_a_frame_is_reported_when_its_header_is_complete() {
        let reported = |bytes: &[u8], size: usize| {
            let mut decoder = Decoder::new(1 << 20);
            let mut reported = Vec::new();
            for mut piece in bytes.chunks(size) {
                while decoder.next(&mut piece).is_ok() {}
                reported.extend(decoder.take_half_frame());
            }
            reported
        };
        let long = frame(0x81, [b'x'; 300]);
        assert!(reported(&long, long.len()).is_empty(), "it is complete");
        assert_eq!(reported(&long, 8), [308], "once, when its header is");
        assert_eq!(reported(&long, 7), [14, 308]);
        assert_eq!(reported(&frame(0x89, b"abc"), 1), [14, 9]);
        let parts = [frame(0x01, b"ab"), frame(0x80, b"c")].concat();
        assert_eq!(reported(&parts, 1), [14, 8, 14, 7], "each frame for itself");
        assert_eq!(reported(&[long.clone(), long[..10].to_vec()].concat(), 1000), [308]);
    }

    #[test]
    fn a_skipping_decoder_sees_the_close_frame_and_keeps_nothing() {
        let long = frame(0x81, [b'x'; 70_000]);
        let close = frame(0x88, [0x03, 0xe8, b'o', b'k']);
        for (what, before, after, expected) in [
            ("between messages", &b""[..], close.clone(), Some(Some(1000))),
            ("in the middle of a frame", &long[..40_000], [&long[40_000..], &close].concat(), Some(Some(1000))),
            ("among fragments", &frame(0x01, b"ab"), [frame(0x00, b"c"), close.clone()].concat(), Some(Some(1000))),
            ("without a code", b"", frame(0x88, b""), Some(None)),
            ("in the middle of the code", &close[..7], close[7..].to_vec(), Some(None)),
            ("no Close frame", &long[..9], long[9..].to_vec(), None),
        ] {
            for size in [1, 2, 3, 7, 1 << 20] {
                let mut decoder = Decoder::new(100_000);
                let mut piece = before;
                while decoder.next(&mut piece).is_ok() {}
                decoder.skip_to_close();
                assert!(!is_half_read(&decoder));
                let mut seen = None;
                for mut piece in after.chunks(size) {
                    match decoder.next(&mut piece) {
                        Ok(Decoded::Message(Message::Close(close))) => {
                            seen = Some(close.map(|close| u16::from(close.code)));
                        }
                        other => assert!(other.is_err_and(|error| matches!(error, Error::Io(_))), "{what}"),
                    }
                }
                assert_eq!(seen, expected, "{what}, in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_half_read_message_is_kept() {
        for whole in [frame(0x81, b"text"), [frame(0x01, b"te"), frame(0x80, b"xt")].concat()] {
            for length in 1..whole.len() {
                let (messages, decoder) = decode(&whole[..length], length);
                assert!(messages.is_empty() && is_half_read(&decoder), "after {length} bytes");
            }
        }
    }

    #[test]
    fn violations_of_the_protocol_are_errors() {
        let mut unmasked: &[u8] = &[0x81, 0x01, b'x'];
        let error = Decoder::new(10).next(&mut unmasked).unwrap_err();
        assert!(matches!(error, Error::Protocol(ProtocolError::UnmaskedFrameFromClient)), "{error}");

        let eleven = frame(0x81, [b'x'; 11]);
        let error = Decoder::new(10).next(&mut &eleven[..]).unwrap_err();
        assert!(matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })), "{error}");

        let in_parts = [frame(0x01, [b'x'; 6]), frame(0x80, [b'x'; 6])].concat();
        let (mut decoder, mut unread) = (Decoder::new(10), &in_parts[..]);
        assert_eq!(decoder.next(&mut unread).unwrap(), Decoded::Fragment { bytes: 6 });
        let error = decoder.next(&mut unread).unwrap_err();
        assert!(matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })), "{error}");
    }

    #[test]
    fn a_length_beyond_all_memory_is_refused_before_it_is_reserved() {
        let mut bytes: &[u8] = &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        let error = Decoder::new(10).next(&mut bytes).unwrap_err();
        assert!(matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })), "{error}");
    }
}
