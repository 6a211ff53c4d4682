//! One connection: the bytes of its socket on one side, the inputs and the pending bytes of the shard on the other.
//!
//! The same code runs over TCP in the server and over an invented transport in the simulator. It decides nothing: it
//! writes the 101, turns frames into inputs, and moves what the shard has pending.

use crate::net::decoder::{Decoded, Decoder};
use parlor_core::{ConnId, Input, Lost, Pending, Violation};
use std::io::{self, IoSlice};
use std::mem;
use std::task::{Context, Poll, ready};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

/// A stream of bytes in both directions, as far as a connection needs it.
pub trait Transport {
    /// Reads into `buffer`; zero bytes are the end of the stream.
    ///
    /// # Errors
    /// Any error means that the stream is gone.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what can be written at once, and says how many bytes that was.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when that is none. Any other error, and zero bytes, mean that the stream is gone.
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether [`Transport::try_write`] is worth another try after it would have blocked.
    ///
    /// # Errors
    /// Any error means that the stream is gone.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the stream to the peer: what was written before still goes out, and nothing is written any more. Reading goes
    /// on. A transport on which that fails is gone, which reading finds out.
    fn finish(&mut self);

    /// Makes sure that nothing more is sent, not even what was written before, once the transport is dropped.
    fn abort(&mut self);
}

/// What a write took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Everything that was pending.
    All(usize),
    /// The first so many bytes.
    Part(usize),
    /// Nothing: the socket is full. [`Driver::poll`] says when to try again.
    Refused,
    /// Nothing: the socket is gone.
    Failed,
}

/// What a connection is ready for.
#[derive(Debug)]
pub enum Ready {
    /// The last byte of the 101 is written. These bytes came with the request and are to be decoded first.
    Upgraded(Vec<u8>),
    /// The socket takes bytes again.
    Writable,
    /// So many bytes were read into the buffer and are to be decoded.
    Read(usize),
    /// The socket is gone.
    Lost(Lost),
}

/// One connection and its socket.
#[derive(Debug)]
pub struct Driver<T> {
    conn: ConnId,
    transport: T,
    phase: DriverPhase,
    message_bytes: usize,
    /// The socket refused bytes, and has not said since that it takes them again.
    blocked: bool,
}

#[derive(Debug)]
enum DriverPhase {
    Handshaking(Box<Handshake>),
    Decoding(Decoder),
    /// The peer said its last word, or broke a rule: what it still sends is read and thrown away, since a socket that is
    /// closed with bytes unread is reset, and takes back what was written to it.
    Discarding,
    /// The peer's stream has ended.
    Done,
}

/// An upgrade request that was accepted.
#[derive(Debug)]
pub struct Handshake {
    /// The 101, byte for byte.
    pub response: Vec<u8>,
    /// Bytes that were read after the request.
    pub early: Vec<u8>,
}

/// The most slices that one write gathers.
const SLICES: usize = 64;
/// Frames of so many bytes, on average, are copied together for one write: up to 2 KiB that took less CPU on loopback than a
/// slice for each (0.2 to 0.9 times as much for 132 bytes, 0.93 to 0.98 for 2 KiB), and from 4 KiB on more (1.05).
const SMALL: usize = 2 << 10;
/// The most bytes that are copied for one write. The buffer is shared, and as large as this.
const COPIED: usize = 32 << 10;

/// Where the frames of one write are copied together. All connections of a shard share it.
#[derive(Debug, Default)]
pub struct WriteBuffer(Vec<u8>);

impl WriteBuffer {
    /// Copies whole frames off the front of what is pending, if they are several small ones. Empty when they are not.
    fn fill(&mut self, pending: &Pending<'_>) -> &[u8] {
        self.0.clear();
        if pending.len() <= pending.frames().saturating_mul(SMALL) {
            self.0.reserve(COPIED);
            for frame in pending.slices() {
                if self.0.len() + frame.len() > COPIED {
                    break;
                }
                self.0.extend_from_slice(frame);
            }
        }
        &self.0
    }
}

impl<T: Transport> Driver<T> {
    /// A connection whose 101 is still to be written, and which accepts messages of so many bytes.
    pub fn new(conn: ConnId, transport: T, handshake: Handshake, message_bytes: usize) -> Self {
        Self { conn, transport, phase: DriverPhase::Handshaking(Box::new(handshake)), message_bytes, blocked: false }
    }

    /// Which connection this is.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Whether [`Driver::write`] is of no use until [`Ready::Writable`].
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// What the connection is ready for next, where it `may_read`. Reads go to `buffer`, which is not touched otherwise.
    pub fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], may_read: bool) -> Poll<Ready> {
        if let DriverPhase::Handshaking(handshake) = &mut self.phase {
            if ready!(poll_write_all(&mut self.transport, cx, &mut handshake.response)).is_err() {
                return Poll::Ready(Ready::Lost(Lost::Write));
            }
            let early = mem::take(&mut handshake.early);
            self.phase = DriverPhase::Decoding(Decoder::new(self.message_bytes));
            return Poll::Ready(Ready::Upgraded(early));
        }
        if self.blocked
            && let Poll::Ready(writable) = self.transport.poll_writable(cx)
        {
            self.blocked = false;
            return Poll::Ready(writable.map_or(Ready::Lost(Lost::Write), |()| Ready::Writable));
        }
        if matches!(self.phase, DriverPhase::Done) || !may_read {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(self.transport.poll_read(cx, buffer)) {
            Ok(0) => {
                self.phase = DriverPhase::Done;
                Ready::Lost(Lost::Eof)
            }
            Ok(bytes) => Ready::Read(bytes),
            Err(_) => Ready::Lost(Lost::Read),
        })
    }

    /// Takes bytes off the front of `unread` until they make an input, or until none is left.
    pub fn decode(&mut self, unread: &mut &[u8]) -> Option<Input> {
        let DriverPhase::Decoding(decoder) = &mut self.phase else {
            *unread = &[];
            return None;
        };
        let conn = self.conn;
        let rule = match decoder.next(unread) {
            Ok(Decoded::Fragment { bytes }) => return Some(Input::Fragment { conn, bytes }),
            Ok(Decoded::Message(Message::Text(text))) => {
                return Some(Input::Message { conn, text: text.as_str().to_owned() });
            }
            Ok(Decoded::Message(Message::Ping(payload))) => {
                return Some(Input::Ping { conn, payload: payload.to_vec() });
            }
            Ok(Decoded::Message(Message::Pong(_))) => return Some(Input::Pong { conn }),
            Ok(Decoded::Message(Message::Close(frame))) if !is_stand_in(frame.as_ref()) => {
                self.phase = DriverPhase::Discarding;
                return Some(Input::PeerClosed { conn, code: frame.map(|frame| frame.code.into()) });
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return decoder.take_half_frame().map(|bytes| Input::HalfFrame { conn, bytes });
            }
            Ok(Decoded::Message(Message::Binary(_))) => Violation::Binary,
            Err(Error::Utf8(_)) => Violation::Utf8,
            Err(Error::Capacity(_)) => Violation::TooLarge,
            Ok(Decoded::Message(Message::Close(_) | Message::Frame(_))) | Err(_) => Violation::Protocol,
        };
        self.phase = DriverPhase::Discarding;
        Some(Input::Violation { conn, rule })
    }

    /// From now on only the peer's Close frame is told of, and nothing else of what comes is kept.
    pub fn skip_to_close(&mut self) {
        if let DriverPhase::Decoding(decoder) = &mut self.phase {
            decoder.skip_to_close();
        }
    }

    /// Writes what is pending, as far as one call to the socket takes it. What `buffer` holds afterwards means nothing.
    pub fn write(&mut self, pending: &Pending<'_>, buffer: &mut WriteBuffer) -> WriteOutcome {
        let first = pending.slices().next().unwrap_or_default();
        let written = if first.len() == pending.len() {
            self.transport.try_write(&[IoSlice::new(first)])
        } else {
            match buffer.fill(pending) {
                [] => write_slices(&mut self.transport, pending),
                copied => self.transport.try_write(&[IoSlice::new(copied)]),
            }
        };
        match written {
            Ok(0) => WriteOutcome::Failed,
            Ok(bytes) if bytes == pending.len() => WriteOutcome::All(bytes),
            Ok(bytes) => WriteOutcome::Part(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                WriteOutcome::Refused
            }
            Err(_) => WriteOutcome::Failed,
        }
    }

    /// Ends the stream to the peer, which has been sent all that it will be.
    pub fn finish(&mut self) {
        self.transport.finish();
    }

    /// Drops the connection: what the socket holds still goes out after a `clean` end, and nothing after any other.
    pub fn close(mut self, clean: bool) {
        if !clean {
            self.transport.abort();
        }
    }
}

fn write_slices<T: Transport>(transport: &mut T, pending: &Pending<'_>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    for (slot, frame) in slices.iter_mut().zip(pending.slices()) {
        *slot = IoSlice::new(frame);
        count += 1;
    }
    transport.try_write(&slices[..count])
}

/// The decoder reports a Close with a code that is not allowed as this one.
fn is_stand_in(frame: Option<&CloseFrame>) -> bool {
    frame.is_some_and(|frame| frame.code == CloseCode::Protocol && frame.reason.as_str() == "Protocol violation")
}

fn poll_write_all<T: Transport>(transport: &mut T, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<io::Result<()>> {
    while !bytes.is_empty() {
        match transport.try_write(&[IoSlice::new(bytes)]) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => drop(bytes.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(transport.poll_writable(cx))?,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}
