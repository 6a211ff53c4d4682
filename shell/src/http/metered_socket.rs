//! The socket of an HTTP connection. It notes reads and refused writes, and charges the reads of bodies to rounds.

use crate::net::client_socket::ClientSocket;
use crate::runtime::rounds::{RoundWait, Rounds};
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a read is charged before its size is known.
const READ_COST: usize = 16 << 10;
/// The least bytes that a read is charged, for the system call.
const SMALLEST_COST: usize = 2 << 10;

/// A socket with two flags: whether bytes were read since the flag was last cleared, and whether the last write was refused.
#[derive(Debug)]
pub(super) struct MeteredSocket {
    socket: ClientSocket,
    has_read: Rc<Cell<bool>>,
    is_full: Rc<Cell<bool>>,
    rounds: Rc<Rounds>,
    wait: RoundWait,
}

impl MeteredSocket {
    /// A socket that sets these flags and takes its reads from these rounds.
    pub(super) fn new(
        socket: ClientSocket,
        has_read: Rc<Cell<bool>>,
        is_full: Rc<Cell<bool>>,
        rounds: Rc<Rounds>,
    ) -> Self {
        Self { socket, has_read, is_full, rounds, wait: RoundWait::default() }
    }

    /// Reads and discards input until the client ends its side.
    pub(super) async fn discard(&mut self) -> io::Result<()> {
        while poll_fn(|cx| self.poll_discard(cx)).await? > 0 {}
        Ok(())
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // On the stack of each read: thousands of sockets may be lingering.
        let mut buffer = [MaybeUninit::uninit(); READ_COST];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    pub(super) fn into_inner(self) -> ClientSocket {
        self.socket
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_full.set(written.is_pending());
        written
    }
}

impl AsyncRead for MeteredSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.has_read.get() {
            // The first read after an answer: the head of a request, and a short body with it. Short requests do not wait for
            // long ones.
            let before = buffer.filled().len();
            let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
            this.has_read.set(buffer.filled().len() > before);
            return read;
        }
        ready!(this.socket.poll_readable(cx))?;
        ready!(this.rounds.poll_take(READ_COST, &mut this.wait, cx));
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
        this.rounds.correct(READ_COST, SMALLEST_COST.max(buffer.filled().len() - before));
        read
    }
}

impl AsyncWrite for MeteredSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        // TLS takes bytes that the socket refuses then.
        self.is_full.set(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
