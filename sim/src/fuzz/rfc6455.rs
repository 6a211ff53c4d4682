//! A second reader of RFC 6455: reads a client's bytes all at once (section 5), for comparison with what the server hears.

use parlor_core::Violation;

/// One thing that a client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReaderEvent {
    Text(String),
    Binary(Vec<u8>),
    /// A part of a message, of which more is to come.
    Fragment,
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Broken(Violation),
}

/// The whole frames of some bytes, and the broken rules that may or must be noticed after them.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub whole: Vec<ReaderEvent>,
    /// The rules that the frame after that breaks. Nothing is heard any more.
    pub broken: Vec<Violation>,
    /// The broken frame is not there to its end: it need not be noticed yet.
    pub perhaps: bool,
}

/// A frame's header, and its payload as far as it has come.
struct RawFrame<'a> {
    first: u8,
    masked: bool,
    length: u64,
    payload: Vec<u8>,
    rest: &'a [u8],
}

/// A message of which fragments have come.
struct Fragments {
    is_text: bool,
    payload: Vec<u8>,
}

/// Reads everything up to the first frame that is not whole, breaks a rule, or is a Close.
pub(super) fn read(mut bytes: &[u8], message_bytes: usize) -> Reading {
    let mut reading = Reading::default();
    let mut fragments = None;
    while let Some(frame) = next_frame(bytes) {
        bytes = frame.rest;
        let is_whole = frame.payload.len() as u64 == frame.length;
        let broken = header_rules(&frame, fragments.is_some(), message_bytes);
        if !broken.is_empty() || !is_whole {
            (reading.broken, reading.perhaps) = (broken, !is_whole);
            return reading;
        }
        match heard(frame, &mut fragments, message_bytes) {
            Ok(close @ ReaderEvent::Close(_)) => {
                reading.whole.push(close);
                return reading;
            }
            Ok(heard) => reading.whole.push(heard),
            Err(broken) => {
                reading.broken = broken;
                return reading;
            }
        }
    }
    reading
}

fn next_frame(bytes: &[u8]) -> Option<RawFrame<'_>> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match second & 0x7F {
        126 => rest.split_first_chunk::<2>().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest))?,
        127 => rest.split_first_chunk::<8>().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        short => (u64::from(short), rest),
    };
    let masked = second & 0x80 != 0;
    let (mask, rest) = if masked { rest.split_first_chunk::<4>()? } else { (&[0; 4], rest) };
    let end = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
    let payload = rest[..end].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some(RawFrame { first, masked, length, payload, rest: &rest[end..] })
}

/// The rules that a frame breaks by its header (sections 5.2, 5.4 and 5.5).
fn header_rules(frame: &RawFrame<'_>, fragmented: bool, message_bytes: usize) -> Vec<Violation> {
    let opcode = frame.first & 0x0F;
    let is_final = frame.first & 0x80 != 0;
    let out_of_place = match opcode {
        0 => !fragmented,
        1 | 2 => fragmented,
        8..=10 => !is_final || frame.length > 125,
        _ => true,
    };
    let mut broken = Vec::new();
    if out_of_place || !frame.masked || frame.first & 0x70 != 0 {
        broken.push(Violation::Protocol);
    }
    if frame.length > message_bytes as u64 {
        broken.push(Violation::TooLarge);
    }
    broken
}

fn heard(
    frame: RawFrame<'_>,
    fragments: &mut Option<Fragments>,
    message_bytes: usize,
) -> Result<ReaderEvent, Vec<Violation>> {
    let is_final = frame.first & 0x80 != 0;
    match frame.first & 0x0F {
        8 => close(&frame.payload).map(ReaderEvent::Close),
        9 => Ok(ReaderEvent::Ping(frame.payload)),
        10 => Ok(ReaderEvent::Pong),
        opcode => {
            let so_far = fragments.get_or_insert(Fragments { is_text: opcode == 1, payload: Vec::new() });
            so_far.payload.extend(frame.payload);
            let broken = message_rules(so_far, is_final, message_bytes);
            if !broken.is_empty() {
                return Err(broken);
            }
            let whole = if is_final { fragments.take() } else { None };
            Ok(whole.map_or(ReaderEvent::Fragment, |Fragments { is_text, payload }| match is_text {
                true => ReaderEvent::Text(String::from_utf8(payload).expect("it was checked")),
                false => ReaderEvent::Binary(payload),
            }))
        }
    }
}

/// The rules that a message breaks, or the fragments of it that have come (section 8.1).
fn message_rules(message: &Fragments, is_final: bool, message_bytes: usize) -> Vec<Violation> {
    let mut broken = Vec::new();
    if message.payload.len() > message_bytes {
        broken.push(Violation::TooLarge);
    }
    match std::str::from_utf8(&message.payload) {
        Err(error) if message.is_text && (is_final || error.error_len().is_some()) => broken.push(Violation::Utf8),
        _ => {}
    }
    broken
}

/// The code of a Close frame (section 7.4), if it has one.
fn close(payload: &[u8]) -> Result<Option<u16>, Vec<Violation>> {
    match payload {
        [] => Ok(None),
        [_] => Err(vec![Violation::Protocol]),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let allowed = matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999);
            match (std::str::from_utf8(reason), allowed) {
                // The server takes this one for what its decoder makes of a code that is not allowed.
                (Ok("Protocol violation"), true) if code == 1002 => Err(vec![Violation::Protocol]),
                (Ok(_), true) => Ok(Some(code)),
                (Ok(_), false) => Err(vec![Violation::Protocol]),
                (Err(_), allowed) => Err([Violation::Utf8, Violation::Protocol][..2 - usize::from(allowed)].to_vec()),
            }
        }
    }
}
