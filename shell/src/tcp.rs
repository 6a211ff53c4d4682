//! TCP as a transport.

use crate::driver::Transport;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

impl Transport for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Unlike `try_read`, this remembers that a short read emptied the socket, and saves the call that finds out.
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // Straight to the socket: the driver remembers by itself which sockets refuse. The second time is for the runtime,
            // which has to find out that this one does, to say when it takes bytes again.
            [slice] => match SockRef::from(&*self).send(slice) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => TcpStream::try_write(self, slice),
                sent => sent,
            },
            slices => TcpStream::try_write_vectored(self, slices),
        }
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn finish(&mut self) {
        // Only a socket that is gone already refuses.
        let _ = SockRef::from(&*self).shutdown(Shutdown::Write);
    }

    fn abort(&mut self) {
        // Only a socket that is gone already refuses.
        let _ = self.set_zero_linger();
    }
}
