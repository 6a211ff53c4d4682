//! The client's side of a connection: frames from bytes, by a parser of our own that can be cloned with the world.

use std::fmt;

/// A frame that a server may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedFrame {
    /// A text message.
    Text(String),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close, with its code if it has one.
    Close(Option<u16>),
}

impl fmt::Display for ReceivedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Ping(payload) => write!(f, "Ping {payload:?}"),
            Self::Pong(payload) => write!(f, "Pong {payload:?}"),
            Self::Close(Some(code)) => write!(f, "Close {code}"),
            Self::Close(None) => f.write_str("Close"),
        }
    }
}

/// Reads what one server writes.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    part: Vec<u8>,
}

impl Parser {
    /// Whether the last byte fed was in the middle of a frame.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        !self.part.is_empty()
    }

    /// How many of these bytes, which are to come next, belong to the frame that is next complete.
    #[must_use]
    pub fn to_frame_end(&self, coming: &[u8]) -> usize {
        let mut head = self.part.clone();
        head.extend_from_slice(&coming[..coming.len().min(HEADER_BYTES)]);
        match frame_bytes(&head) {
            Some(total) => (total - self.part.len()).min(coming.len()),
            None => coming.len(),
        }
    }

    /// How many frames these bytes, which are to come next, have a part of.
    #[must_use]
    pub fn count(&self, coming: &[u8]) -> usize {
        let (mut frames, mut at) = (0, 0);
        while at < coming.len() {
            at += if at == 0 { self.to_frame_end(coming) } else { frame_bytes(&coming[at..]).unwrap_or(coming.len()) };
            frames += 1;
        }
        frames
    }

    /// The frames that these bytes complete.
    ///
    /// # Errors
    /// The rule of RFC 6455 that a frame breaks.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<ReceivedFrame>, String> {
        self.part.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(total) = frame_bytes(&self.part[at..]).filter(|total| at + total <= self.part.len()) {
            frames.push(parse(&self.part[at..at + total])?);
            at += total;
        }
        self.part.drain(..at);
        Ok(frames)
    }
}

/// The longest header of an unmasked frame (section 5.2).
const HEADER_BYTES: usize = 10;
/// The most that a control frame carries (section 5.5).
const CONTROL_BYTES: usize = 125;

/// How long the frame at the start of these bytes is, once its header tells.
fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let short = usize::from(bytes.get(1)? & 0x7F);
    match short {
        126 => Some(4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            Some(HEADER_BYTES + usize::try_from(length).ok()?)
        }
        _ => Some(2 + short),
    }
}

fn parse(frame: &[u8]) -> Result<ReceivedFrame, String> {
    let (first, second) = (frame[0], frame[1]);
    let header = match second & 0x7F {
        126 => 4,
        127 => HEADER_BYTES,
        _ => 2,
    };
    let payload = &frame[header..];
    if first & 0x70 != 0 {
        return Err(format!("a reserved bit is set: {first:#04x}"));
    }
    if second & 0x80 != 0 {
        return Err("a server's frame is masked".into());
    }
    if first & 0x80 == 0 {
        return Err("a frame is fragmented".into());
    }
    let shortest = match payload.len() {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => HEADER_BYTES,
    };
    if header != shortest {
        return Err(format!("a length of {} takes a header of {header} bytes", payload.len()));
    }
    let opcode = first & 0x0F;
    if opcode >= 8 && payload.len() > CONTROL_BYTES {
        return Err(format!("a control frame carries {} bytes", payload.len()));
    }
    match opcode {
        1 => text(payload).map(ReceivedFrame::Text),
        8 => close(payload),
        9 => Ok(ReceivedFrame::Ping(payload.to_vec())),
        10 => Ok(ReceivedFrame::Pong(payload.to_vec())),
        _ => Err(format!("the opcode is {opcode}")),
    }
}

fn text(payload: &[u8]) -> Result<String, String> {
    String::from_utf8(payload.to_vec()).map_err(|_| "a text is not UTF-8".into())
}

fn close(payload: &[u8]) -> Result<ReceivedFrame, String> {
    match payload {
        [] => Ok(ReceivedFrame::Close(None)),
        [_] => Err("a Close carries half a code".into()),
        [high, low, reason @ ..] => {
            text(reason)?;
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(format!("the code {code} may not be on the wire"));
            }
            Ok(ReceivedFrame::Close(Some(code)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_of_bytes_however_they_are_cut() {
        let bytes =
            [&[0x81, 2, b'h', b'i'][..], &[0x89, 0], &[0x8A, 1, 7], &[0x88, 2, 0x0B, 0xB8], &[0x88, 0]].concat();
        let expected = [
            ReceivedFrame::Text("hi".into()),
            ReceivedFrame::Ping(vec![]),
            ReceivedFrame::Pong(vec![7]),
            ReceivedFrame::Close(Some(3000)),
            ReceivedFrame::Close(None),
        ];
        for step in 1..bytes.len() {
            let mut parser = Parser::default();
            let frames: Vec<ReceivedFrame> = bytes.chunks(step).flat_map(|chunk| parser.feed(chunk).unwrap()).collect();
            assert_eq!(frames, expected);
            assert!(!parser.is_mid_frame());
        }
    }

    #[test]
    fn the_end_of_a_frame_is_known_before_all_its_bytes_arrive() {
        let mut parser = Parser::default();
        assert_eq!(parser.to_frame_end(&[0x81, 2, b'h', b'i', 0x89, 0]), 4);
        assert_eq!(parser.count(&[0x81, 2, b'h', b'i', 0x89, 0]), 2);
        parser.feed(&[0x81]).unwrap();
        assert!(parser.is_mid_frame());
        assert_eq!(parser.to_frame_end(&[2, b'h', b'i', 0x89, 0]), 3);
        assert_eq!([parser.count(&[2, b'h', b'i', 0x89]), parser.count(&[])], [2, 0]);
    }

    #[test]
    fn broken_frames_are_named() {
        for (bytes, what) in [
            (&[0xC1, 0][..], "a reserved bit is set: 0xc1"),
            (&[0x81, 0x80], "a server's frame is masked"),
            (&[0x01, 0], "a frame is fragmented"),
            (&[0x81, 126, 0, 1, b'x'], "a length of 1 takes a header of 4 bytes"),
            (&[0x82, 0], "the opcode is 2"),
            (&[0x81, 1, 0xFF], "a text is not UTF-8"),
            (&[0x88, 1, 3], "a Close carries half a code"),
            (&[0x88, 2, 0x03, 0xEE], "the code 1006 may not be on the wire"),
        ] {
            assert_eq!(Parser::default().feed(bytes), Err(what.into()));
        }
    }
}
