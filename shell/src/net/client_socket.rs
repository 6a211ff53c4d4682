//! The socket of a client: TCP, with TLS or without.

use crate::net::driver::Transport;
use crate::net::tls::TlsSocket;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket on which a client can speak HTTP or WebSocket.
#[derive(Debug)]
pub(crate) enum ClientSocket {
    /// Bytes as they are.
    Tcp(TcpStream),
    /// Bytes in records of TLS.
    Tls(Box<TlsSocket>),
}

impl ClientSocket {
    /// Writes what the socket takes of these bytes at once, and drops it.
    pub(crate) fn write_last(self, bytes: &[u8]) {
        match self {
            // The runtime may not know yet that the socket is writable.
            Self::Tcp(socket) => drop(socket.into_std().and_then(|mut socket| socket.write_all(bytes))),
            Self::Tls(mut socket) => drop(socket.try_write(&[IoSlice::new(bytes)])),
        }
    }

    /// Ready when a read finds something.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(cx),
            Self::Tls(socket) => socket.poll_readable(cx),
        }
    }
}

impl Transport for ClientSocket {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => Transport::poll_read(socket, cx, buffer),
            Self::Tls(socket) => Transport::poll_read(&mut **socket, cx, buffer),
        }
    }

    #[inline]
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => Transport::try_write(socket, slices),
            Self::Tls(socket) => socket.try_write(slices),
        }
    }

    fn committed(&self) -> usize {
        match self {
            Self::Tcp(socket) => socket.committed(),
            Self::Tls(socket) => socket.committed(),
        }
    }

    fn kept(&self) -> usize {
        match self {
            Self::Tcp(socket) => socket.kept(),
            Self::Tls(socket) => socket.kept(),
        }
    }

    #[inline]
    fn take_kept(&mut self) -> Option<usize> {
        match self {
            Self::Tcp(socket) => socket.take_kept(),
            Self::Tls(socket) => socket.take_kept(),
        }
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_writable(cx),
            Self::Tls(socket) => socket.poll_writable(cx),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Tcp(socket) => socket.finish(),
            Self::Tls(socket) => socket.finish(),
        }
    }

    fn abort(&mut self) {
        match self {
            Self::Tcp(socket) => socket.abort(),
            Self::Tls(socket) => socket.abort(),
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => AsyncRead::poll_read(Pin::new(socket), cx, buffer),
            Self::Tls(socket) => AsyncRead::poll_read(Pin::new(&mut **socket), cx, buffer),
        }
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(socket) => socket.is_write_vectored(),
            Self::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(&mut **socket).poll_shutdown(cx),
        }
    }
}
