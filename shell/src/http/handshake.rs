//! The TLS handshake of a socket, within its limits.

use super::response::error_response;
use super::session::{HttpSession, record_limit};
use crate::net::client_socket::ClientSocket;
use crate::net::tls::TlsSocket;
use crate::observe::metrics::handshakes::HandshakeResult;
use crate::runtime::shard::ShardRuntime;
use hyper::StatusCode;
use parlor_core::{Address, Limit};
use rustls::ServerConfig;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The end of a handshake that does not lead to a session.
enum HandshakeEnd {
    /// A limit of handshakes is reached.
    Limit(Limit),
    /// The client speaks HTTP, on this socket.
    Plain(TcpStream),
    /// As [`TlsSocket::accept`].
    Failed(io::Error),
}

/// Performs the handshake within `request_timeout`. None where the socket is to be dropped; the reason is counted and logged.
pub(super) async fn perform(
    shard: &ShardRuntime,
    socket: TcpStream,
    session: &HttpSession,
    config: Arc<ServerConfig>,
) -> Option<ClientSocket> {
    session.mark_waiting();
    let handshake = timeout(shard.settings().limits.request_timeout, begin(shard, socket, session, config));
    let handshake = tokio::select! {
        biased;
        handshake = handshake => handshake.unwrap_or(Err(HandshakeEnd::Limit(Limit::RequestTimeout))),
        () = session.guard.displaced() => Err(HandshakeEnd::Limit(session.limit())),
        () = shard.close_idle() => return None,
    };
    shard.handshake_figures.count(result_of(&handshake));
    match handshake {
        Ok(socket) => return Some(ClientSocket::Tls(socket)),
        Err(HandshakeEnd::Limit(limit)) => record_limit(shard, limit, session.address),
        Err(HandshakeEnd::Plain(socket)) => {
            let message = "this address speaks TLS; use https:// or wss://";
            let response = error_response(StatusCode::BAD_REQUEST, message, None);
            ClientSocket::Tcp(socket).write_last(response.as_bytes());
            session.no_tls(shard, "the bytes are HTTP without TLS".into());
        }
        // Other errors are the socket's: its client only looks whether the port is open, or is gone.
        Err(HandshakeEnd::Failed(error)) if error.kind() == ErrorKind::InvalidData => {
            session.no_tls(shard, format!("the TLS handshake failed: {error}"));
        }
        Err(HandshakeEnd::Failed(_)) => {}
    }
    None
}

/// The result, as it is counted.
fn result_of(handshake: &Result<Box<TlsSocket>, HandshakeEnd>) -> HandshakeResult {
    match handshake {
        Ok(_) => HandshakeResult::Done,
        Err(HandshakeEnd::Limit(Limit::RequestTimeout)) => HandshakeResult::TimedOut,
        Err(HandshakeEnd::Limit(_)) => HandshakeResult::Refused,
        Err(HandshakeEnd::Plain(_)) => HandshakeResult::Failed,
        Err(HandshakeEnd::Failed(error)) if error.kind() == ErrorKind::InvalidData => HandshakeResult::Failed,
        Err(HandshakeEnd::Failed(_)) => HandshakeResult::Gone,
    }
}

/// Waits for the first bytes, so that only who speaks counts, and begins the handshake that they ask for.
async fn begin(
    shard: &ShardRuntime,
    socket: TcpStream,
    session: &HttpSession,
    config: Arc<ServerConfig>,
) -> Result<Box<TlsSocket>, HandshakeEnd> {
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(0) => return Err(HandshakeEnd::Failed(ErrorKind::UnexpectedEof.into())),
        // A method; a record of TLS begins with its type, which is below 32.
        Ok(_) if first[0].is_ascii_alphabetic() => return Err(HandshakeEnd::Plain(socket)),
        Ok(_) => {}
        Err(error) => return Err(HandshakeEnd::Failed(error)),
    }
    let address = shard.settings().counts_sockets_of(session.address).then(|| Address::from(session.address));
    let now = shard.clock.now().mono;
    shard.handshakes.borrow_mut().take(now, address, &shard.settings().limits).map_err(HandshakeEnd::Limit)?;
    TlsSocket::accept(socket, config, &shard.rounds).await.map_err(HandshakeEnd::Failed)
}
