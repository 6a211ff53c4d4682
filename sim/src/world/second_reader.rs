//! A second reader: tungstenite, in the client's role, reads every stream of a random run again.

use crate::guarantees::{Failure, Guarantee};
use crate::world::frames::{Parser, ReceivedFrame};
use std::io::{self, Read, Write};
use tungstenite::protocol::{Role, WebSocketContext};
use tungstenite::{Error, Message};

/// A stream that was recorded; what is written to it is lost.
struct Recording<'a>(&'a [u8]);

impl Read for Recording<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(into) }
    }
}

impl Write for Recording<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CheckedBy whether tungstenite reads the same frames from this stream as the client's own parser.
///
/// # Errors
/// It reads others, or none.
pub fn check(stream: &[u8]) -> Result<(), Failure> {
    let ours = Parser::default()
        .feed(stream)
        .map_err(|broken| Failure::new(Guarantee::G1, "a stream of whole frames", broken))?;
    let theirs = read(stream).map_err(|error| Failure::new(Guarantee::G1, "a stream that tungstenite reads", error))?;
    crate::guarantees::equal(Guarantee::G1, "tungstenite to read", &ours, &theirs)
}

fn read(stream: &[u8]) -> Result<Vec<ReceivedFrame>, Error> {
    let mut stream = Recording(stream);
    let mut context = WebSocketContext::new(Role::Client, None);
    let mut frames = Vec::new();
    loop {
        match context.read(&mut stream) {
            Ok(Message::Text(text)) => frames.push(ReceivedFrame::Text(text.to_string())),
            Ok(Message::Ping(payload)) => frames.push(ReceivedFrame::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => frames.push(ReceivedFrame::Pong(payload.to_vec())),
            Ok(Message::Close(frame)) => frames.push(ReceivedFrame::Close(frame.map(|frame| frame.code.into()))),
            Ok(other) => return Err(Error::Io(io::Error::other(format!("{other:?}")))),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(frames),
            Err(Error::ConnectionClosed) => return Ok(frames),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_agree_on_what_a_server_may_send() {
        let stream = [&[0x81, 2, b'h', b'i'][..], &[0x89, 0], &[0x8A, 1, 7], &[0x88, 2, 0x0B, 0xB8]].concat();
        assert_eq!(check(&stream), Ok(()));
        assert!(check(&[0x81, 0x81, 0, 0, 0, 0, 0]).is_err(), "a masked frame");
    }
}
