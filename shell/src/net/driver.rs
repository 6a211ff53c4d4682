//! The driver of one connection: bytes of its socket on one side, inputs to the core and its pending bytes on the other.
//!
//! The same code runs over TCP in the server and over an invented transport in the simulator. It decides nothing: it
//! writes the 101, turns frames into inputs, and writes what the core has pending.

use crate::net::decoder::{Decoded, Decoder};
use parlor_core::{ConnId, Input, Lost, Pending, Violation};
use std::io::{self, IoSlice};
use std::mem;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

/// A stream of bytes in both directions.
pub trait Transport {
    /// Reads into `buffer`; zero bytes are the end of the stream.
    ///
    /// # Errors
    /// Any error means that the stream is gone.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what the stream takes at once. Returns the number of bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the stream takes none. Any other error, and zero bytes, mean that the stream is gone.
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes from the front of those that it was last offered which it has encrypted and could not write: the next
    /// [`Transport::try_write`] writes them first, and is offered the same bytes there. None for a transport that changes
    /// nothing about bytes.
    fn committed(&self) -> usize {
        0
    }

    /// Bytes that it has read and cannot give out yet, since what they are a part of is not whole. None for a transport that
    /// changes nothing about bytes.
    fn kept(&self) -> usize {
        0
    }

    /// The same, where the number differs from the last time that this was asked.
    fn take_kept(&mut self) -> Option<usize> {
        None
    }

    /// Ready when [`Transport::try_write`] may be tried again after it would have blocked.
    ///
    /// # Errors
    /// Any error means that the stream is gone.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the stream to the client after the bytes that were written. Reading goes on. A transport on which that fails is
    /// gone, which the next read reports.
    fn finish(&mut self);

    /// Makes dropping the transport a reset: bytes that were written and not sent yet are discarded.
    fn abort(&mut self);
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Everything that was pending.
    All(usize),
    /// The first bytes of it, this many.
    Part(usize),
    /// Nothing was written: the socket is full. [`Driver::poll`] returns [`Ready::Writable`] when it is not any more. The
    /// transport has so many bytes from the front of what is pending and cannot give them back.
    Refused {
        /// See [`Transport::committed`].
        committed: usize,
    },
    /// Nothing was written: the socket is gone.
    Failed,
}

/// The next event of a connection's socket.
#[derive(Debug)]
pub enum Ready {
    /// The last byte of the 101 is written. These bytes came with the request, and are decoded first.
    Upgraded(Vec<u8>),
    /// The socket takes bytes again.
    Writable,
    /// This many bytes were read into the buffer.
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
    /// The socket is full, and has not reported since that it takes bytes again.
    blocked: bool,
    /// A message of the client breaks a rule.
    only_listens: bool,
}

/// The state of the client's side of the stream.
#[derive(Debug)]
enum DriverPhase {
    /// The 101 is being written. The number is the most bytes of a message.
    Handshaking(Box<(Handshake, usize)>),
    /// Frames are decoded.
    Decoding(Decoder),
    /// The client sent a Close frame or broke a rule. Its input is read and discarded: a socket that is closed with bytes
    /// unread is reset, which loses what was written to it.
    Discarding,
    /// The client's stream has ended.
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

/// The most slices of one vectored write.
const SLICES: usize = 64;
/// Frames up to this size, on average, are copied together for one write. On loopback, copying took less CPU than a slice
/// for each frame up to 2 KiB (0.2 to 0.9 times as much for 132 bytes, 0.93 to 0.98 for 2 KiB), and more from 4 KiB on (1.05).
const SMALL: usize = 2 << 10;
/// The most bytes that are copied for one write: the size of the write buffer.
const COPIED: usize = 32 << 10;

/// The buffer in which small frames are copied together for one write. All connections of a shard share it.
#[derive(Debug, Default)]
pub struct WriteBuffer(Vec<u8>);

impl WriteBuffer {
    /// Copies whole frames from the front of what is pending, where these are small. Empty where they are not.
    fn fill(&mut self, pending: &Pending<'_>) -> &[u8] {
        self.0.clear();
        if pending.len() <= pending.frames().saturating_mul(SMALL) {
            self.0.reserve(COPIED);
            // Not a `for`: a chain of iterators takes fewer instructions to go through by itself.
            let _ = pending.slices().try_for_each(|frame| {
                if self.0.len() + frame.len() > COPIED {
                    return ControlFlow::Break(());
                }
                self.0.extend_from_slice(frame);
                ControlFlow::Continue(())
            });
        }
        &self.0
    }
}

impl<T: Transport> Driver<T> {
    /// A connection whose 101 is to be written, and which accepts messages of at most `message_bytes`.
    pub fn new(conn: ConnId, transport: T, handshake: Handshake, message_bytes: usize) -> Self {
        let phase = DriverPhase::Handshaking(Box::new((handshake, message_bytes)));
        Self { conn, transport, phase, blocked: false, only_listens: false }
    }

    /// From now on a message of the client breaks a rule, as a malformed frame does.
    pub fn only_listen(&mut self) {
        self.only_listens = true;
    }

    /// Whether the client may only listen.
    pub fn only_listens(&self) -> bool {
        self.only_listens
    }

    /// The connection's id.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Whether the socket is full: [`Driver::write`] is of no use until [`Ready::Writable`].
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The next event of the socket. Reads into `buffer`, if it `may_read`.
    pub fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8], may_read: bool) -> Poll<Ready> {
        if let DriverPhase::Handshaking(opening) = &mut self.phase {
            let (handshake, message_bytes) = &mut **opening;
            if ready!(poll_write_all(&mut self.transport, cx, &mut handshake.response)).is_err() {
                return Poll::Ready(Ready::Lost(Lost::Write));
            }
            let early = mem::take(&mut handshake.early);
            self.phase = DriverPhase::Decoding(Decoder::new(*message_bytes));
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

    /// Bytes that the transport keeps, see [`Transport::kept`].
    pub fn kept(&self) -> usize {
        self.transport.kept()
    }

    /// The same while frames are decoded, where the number differs from the last time that this was asked.
    #[inline]
    pub fn take_kept(&mut self) -> Option<usize> {
        if matches!(self.phase, DriverPhase::Decoding(_)) { self.transport.take_kept() } else { None }
    }

    /// Decodes bytes from the front of `unread` up to the next input. None when all bytes are used up.
    pub fn decode(&mut self, unread: &mut &[u8]) -> Option<Input> {
        let DriverPhase::Decoding(decoder) = &mut self.phase else {
            *unread = &[];
            return None;
        };
        let conn = self.conn;
        let rule = match decoder.next(unread) {
            Ok(Decoded::Message(Message::Text(_) | Message::Binary(_))) if self.only_listens => Violation::Protocol,
            Ok(Decoded::Fragment { bytes }) => return Some(Input::Fragment { conn, bytes }),
            Ok(Decoded::Message(Message::Text(text))) => {
                return Some(Input::Message { conn, message: text.as_str().into() });
            }
            Ok(Decoded::Message(Message::Binary(bytes))) => {
                return Some(Input::Message { conn, message: Vec::from(bytes).into() });
            }
            Ok(Decoded::Message(Message::Ping(payload))) => {
                return Some(Input::Ping { conn, payload: payload.to_vec() });
            }
            Ok(Decoded::Message(Message::Pong(_))) => return Some(Input::Pong { conn }),
            Ok(Decoded::Message(Message::Close(frame))) if !is_invalid_close(frame.as_ref()) => {
                self.phase = DriverPhase::Discarding;
                return Some(Input::PeerClosed { conn, code: frame.map(|frame| frame.code.into()) });
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return decoder.take_half_frame().map(|bytes| Input::HalfFrame { conn, bytes });
            }
            Err(Error::Utf8(_)) => Violation::Utf8,
            Err(Error::Capacity(_)) => Violation::TooLarge,
            Ok(Decoded::Message(Message::Close(_) | Message::Frame(_))) | Err(_) => Violation::Protocol,
        };
        self.phase = DriverPhase::Discarding;
        Some(Input::Violation { conn, rule })
    }

    /// From now on reports the client's Close frame only, and keeps nothing of other frames.
    pub fn skip_to_close(&mut self) {
        if let DriverPhase::Decoding(decoder) = &mut self.phase {
            decoder.skip_to_close();
        }
    }

    /// Writes as much of what is pending as one call to the socket takes. The content of `buffer` afterwards means nothing.
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
                WriteOutcome::Refused { committed: self.transport.committed() }
            }
            Err(_) => WriteOutcome::Failed,
        }
    }

    /// Ends the stream to the client, after the last byte that it is sent.
    pub fn finish(&mut self) {
        self.transport.finish();
    }

    /// Drops the connection. After a `clean` end the bytes that the socket holds are still sent; any other end is a reset.
    pub fn close(mut self, clean: bool) {
        if !clean {
            self.transport.abort();
        }
    }
}

/// Writes the first [`SLICES`] frames, without copying them.
fn write_slices<T: Transport>(transport: &mut T, pending: &Pending<'_>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    for (slot, frame) in slices.iter_mut().zip(pending.slices()) {
        *slot = IoSlice::new(frame);
        count += 1;
    }
    transport.try_write(&slices[..count])
}

/// Whether a Close frame stands for one whose code is not allowed: the decoder reports such a frame as this one.
fn is_invalid_close(frame: Option<&CloseFrame>) -> bool {
    frame.is_some_and(|frame| frame.code == CloseCode::Protocol && frame.reason.as_str() == "Protocol violation")
}

/// Writes all bytes, over as many polls as that takes.
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
