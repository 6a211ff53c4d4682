//! TCP as a transport.

use crate::net::driver::Transport;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that the kernel keeps for a socket and has not sent yet. What it does not take waits in an outbox, which is bounded
/// and by which a slow consumer is found.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// Sets the options of every accepted socket: small writes are sent at once, and unsent bytes in the kernel are bounded.
pub(crate) fn set_up(socket: &TcpStream) {
    // An error means that the socket is gone already, which the first read reports.
    let _ = socket.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT);
}

/// Writes what a socket takes at once.
///
/// # Errors
/// As [`Transport::try_write`].
#[inline]
pub(super) fn try_write(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match slices {
        // Straight to the socket: the driver itself remembers which sockets are full. The second try is for the runtime,
        // which has to see that this one is, so that it reports when that ends.
        [slice] => match SockRef::from(socket).send(slice) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.try_write(slice),
            sent => sent,
        },
        slices => socket.try_write_vectored(slices),
    }
}

impl Transport for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Unlike `try_read`, this remembers that a short read emptied the socket, and saves the call that finds out.
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        try_write(self, slices)
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_socket_is_set_up_as_the_kernel_says() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert_ne!(SockRef::from(&socket).tcp_notsent_lowat().unwrap(), UNSENT);
        set_up(&socket);
        assert!(socket.nodelay().unwrap());
        assert_eq!(SockRef::from(&socket).tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
