//! One connection over a socket that blocks: the upgrade, and then the session.

use super::session::Session;
use parlor::net::driver::{Handshake, Transport};
use parlor_core::Limits;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};

/// The largest message that suites send.
const MESSAGE_BYTES: usize = 16 << 20;
/// The longest silence of a client.
const PATIENCE: Duration = Duration::from_secs(30);

/// Echoes until the connection has ended.
///
/// # Errors
/// The error of a request that is no upgrade, or of a socket that fails before there is a connection.
pub fn serve(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let handshake = answer(&mut socket)?;
    let mut session = Session::new(limits(), Blocking(socket), handshake);
    let mut buffer = vec![0; 64 << 10];
    while session.poll(&mut Context::from_waker(Waker::noop()), &mut buffer).is_pending() {}
    Ok(())
}

fn limits() -> Limits {
    Limits {
        message_bytes: MESSAGE_BYTES,
        publication_bytes: MESSAGE_BYTES,
        frame_bytes: 4 * MESSAGE_BYTES,
        outbox_bytes: 8 * MESSAGE_BYTES,
        outbox_frames: 100_000,
        ..Limits::default()
    }
}

/// Reads an upgrade request, and makes its answer.
fn answer(socket: &mut TcpStream) -> io::Result<Handshake> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let parsed = Request::try_parse(&bytes).map_err(io::Error::other)?;
        if let Some((length, request)) = parsed {
            let mut response = Vec::new();
            write_response(&mut response, &create_response(&request).map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
            return Ok(Handshake { response, early: bytes.split_off(length) });
        }
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => bytes.extend(&buffer[..read]),
        }
    }
}

/// A socket that is always ready, because it waits until it is.
struct Blocking(TcpStream);

impl Transport for Blocking {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.read(buffer))
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self) {
        // Only a socket that is gone already refuses.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    fn abort(&mut self) {
        // Only a socket that is gone already refuses.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}
