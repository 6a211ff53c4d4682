//! TLS as a transport: records of rustls over a TCP socket.
//!
//! Bytes count as written when their ciphertext has left. What the socket does not take of a record waits here, and the bytes
//! in it are reported as committed: at most one record of them, since nothing more is encrypted meanwhile.

use crate::net::driver::Transport;
use crate::net::records::Records;
use crate::net::tcp;
use crate::runtime::rounds::{RoundWait, Rounds};
use rustls::{ServerConfig, ServerConnection};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket whose TLS handshake is complete.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    socket: TcpStream,
    session: ServerConnection,
    /// Bytes whose ciphertext waits for the socket.
    committed: usize,
    records: Records,
    end: StreamEnd,
}

/// The end of the stream to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamEnd {
    Open,
    /// `close_notify` waits for the socket, and then the socket's end.
    Ending,
    Ended,
}

/// The cost of a step of a handshake, relative to reading a byte: about a third of a millisecond for the exchange of keys and
/// the signature.
const HANDSHAKE_COST: usize = 256 << 10;
/// The cost of a read that completes no message of a handshake, for the system call.
const SMALLEST_COST: usize = 2 << 10;
/// The most bytes that are encrypted at a time: those of one record (RFC 8446 section 5.1).
const RECORD_BYTES: usize = 16 << 10;

impl TlsSocket {
    /// Performs the handshake, whose steps wait for their shares of `rounds`. Its owner bounds the time.
    ///
    /// # Errors
    /// The error of the socket, or one of the kind [`ErrorKind::InvalidData`] with a [`rustls::Error`].
    pub(crate) async fn accept(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        rounds: &Rc<Rounds>,
    ) -> io::Result<Box<Self>> {
        let session = ServerConnection::new(config).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let mut tls =
            Box::new(Self { socket, session, committed: 0, records: Records::default(), end: StreamEnd::Open });
        tls.session.set_buffer_limit(Some(RECORD_BYTES));
        let mut wait = RoundWait::default();
        poll_fn(|cx| tls.poll_handshake(rounds, &mut wait, cx)).await?;
        Ok(tls)
    }

    fn poll_handshake(
        &mut self,
        rounds: &Rc<Rounds>,
        wait: &mut RoundWait,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.socket.poll_read_ready(cx))?;
            ready!(rounds.poll_take(HANDSHAKE_COST, wait, cx));
            let received = self.poll_receive(cx);
            // What completes a message is answered.
            if !self.session.wants_write() {
                rounds.correct(HANDSHAKE_COST, SMALLEST_COST);
            }
            if ready!(received)? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Ready when a read finds something: bytes that are decrypted already, or some on the socket.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.wants_read() { self.socket.poll_read_ready(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Writes the ciphertext that waits.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when the socket does not take all of it.
    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut Ciphertext(&self.socket))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        if self.end == StreamEnd::Ending {
            self.end = StreamEnd::Ended;
            self.socket.finish();
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.send() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.socket.poll_write_ready(cx))?,
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Reads ciphertext and decrypts it. Zero bytes are the end of the stream.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.session.read_tls(&mut Counted { socket: &self.socket, records: &mut self.records }) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(bytes) => return Poll::Ready(self.decrypt().map(|()| bytes)),
            }
        }
    }
}

impl TlsSocket {
    /// Decrypts what was read.
    ///
    /// # Errors
    /// Of the kind [`ErrorKind::InvalidData`].
    fn decrypt(&mut self) -> io::Result<()> {
        match self.session.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() > 0 => self.records.gave_data(),
            Ok(_) => {}
            Err(error) => {
                // The alert that says why. If the socket is full, its client is not reading.
                let _ = self.send();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
        self.records.check()
    }
}

impl Transport for TlsSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            // An answer to a message of TLS, or the end of the stream. Bytes that are committed are the writer's to send.
            if self.committed == 0
                && let Poll::Ready(Err(error)) = self.poll_send(cx)
            {
                return Poll::Ready(Err(error));
            }
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Without close_notify. Frames and requests say themselves whether they are whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                read => return Poll::Ready(read),
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send()?;
        if self.committed == 0 {
            self.committed = self.session.writer().write_vectored(slices)?;
            if !self.session.wants_write() {
                // The key of the session has encrypted all that it may (RFC 8446 section 5.5).
                return Err(ErrorKind::BrokenPipe.into());
            }
            self.send()?;
        }
        Ok(std::mem::take(&mut self.committed))
    }

    fn committed(&self) -> usize {
        self.committed
    }

    fn kept(&self) -> usize {
        self.records.kept()
    }

    fn take_kept(&mut self) -> Option<usize> {
        self.records.take_change()
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    fn finish(&mut self) {
        if self.end == StreamEnd::Open {
            self.end = StreamEnd::Ending;
            self.session.send_close_notify();
            // Where the socket is full, the next read tries again.
            let _ = self.send();
        }
    }

    fn abort(&mut self) {
        self.end = StreamEnd::Ended;
        self.socket.abort();
    }
}

impl Drop for TlsSocket {
    /// Ends the stream as far as the socket takes it: without close_notify a client cannot tell the end from a cut.
    fn drop(&mut self) {
        if !self.session.is_handshaking() {
            self.finish();
            let _ = self.send();
        }
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Transport::poll_read(&mut *self, cx, buffer.initialize_unfilled()))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Unlike a transport, a writer may be offered other bytes the next time: these are taken once the ones before have
        // left, and leave with the flush.
        ready!(self.poll_send(cx))?;
        Poll::Ready(self.session.writer().write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        self.poll_send(cx)
    }
}

/// The socket as rustls reads from it.
struct Counted<'a> {
    socket: &'a TcpStream,
    records: &'a mut Records,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.socket.try_read(buffer)?;
        self.records.read(&buffer[..bytes]);
        Ok(bytes)
    }
}

/// The socket as rustls writes to it.
struct Ciphertext<'a>(&'a TcpStream);

impl Write for Ciphertext<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        tcp::try_write(self.0, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        tcp::try_write(self.0, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
