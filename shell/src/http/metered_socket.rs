//! A socket that takes note when bytes come, and when it takes none; what comes behind the first of them takes turns.

use crate::runtime::rounds::{RoundWait, Rounds};
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What one read is taken for beforehand.
const READ_COST: usize = 16 << 10;
/// What a read costs that finds less than that, for the call alone.
const SMALLEST_COST: usize = 2 << 10;

/// The socket, whether any byte was read since the flag was last taken back, and whether it refused what was last written.
#[derive(Debug)]
pub(super) struct MeteredSocket {
    socket: TcpStream,
    has_read: Rc<Cell<bool>>,
    is_full: Rc<Cell<bool>>,
    rounds: Rc<Rounds>,
    wait: RoundWait,
}

impl MeteredSocket {
    pub(super) fn new(
        socket: TcpStream,
        has_read: Rc<Cell<bool>>,
        is_full: Rc<Cell<bool>>,
        rounds: Rc<Rounds>,
    ) -> Self {
        Self { socket, has_read, is_full, rounds, wait: RoundWait::default() }
    }

    /// Reads what comes, and forgets it, until the peer ends its side.
    pub(super) async fn discard(&mut self) -> io::Result<()> {
        while poll_fn(|cx| self.poll_discard(cx)).await? > 0 {}
        Ok(())
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Not kept from one read to the next: thousands of sockets may be at it.
        let mut buffer = [MaybeUninit::uninit(); READ_COST];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    pub(super) fn into_inner(self) -> TcpStream {
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
            // The head of a request, and a body that comes with it: what is short is not to wait for what is long.
            let before = buffer.filled().len();
            let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
            this.has_read.set(buffer.filled().len() > before);
            return read;
        }
        ready!(this.socket.poll_read_ready(cx))?;
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
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
