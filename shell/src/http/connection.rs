//! One HTTP connection: from the accepted socket until it closes or becomes a WebSocket.

use super::handshake;
use super::metered_socket::MeteredSocket;
use super::response::{ResponseBody, error_response, too_many_sockets};
use super::router;
use super::session::{AdmittedSocket, HttpSession, record_limit};
use crate::config::ListenerKind;
use crate::net::certificate::ServerCertificate;
use crate::net::client_socket::ClientSocket;
use crate::net::driver::Handshake;
use crate::net::tcp;
use crate::runtime::connections::Accepted;
use crate::runtime::shard::ShardRuntime;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use parlor_core::limits::Value;
use parlor_core::{Address, Limit};
use rustls::ServerConfig;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{sleep_until, timeout};

/// Serves a socket that was just accepted, over TLS where there is a `certificate`, or rejects it.
pub(crate) fn accept(
    shard: &Rc<ShardRuntime>,
    socket: TcpStream,
    address: IpAddr,
    kind: ListenerKind,
    certificate: Option<&ServerCertificate>,
) {
    tcp::set_up(&socket);
    let session =
        admit(shard, address).map(|admitted| HttpSession::new(address, kind, admitted, certificate.is_some()));
    match (session, certificate) {
        (Ok(session), Some(certificate)) => {
            spawn_local(serve_tls(shard.clone(), socket, session, certificate.config()));
        }
        (Ok(session), None) => {
            spawn_local(serve(shard.clone(), ClientSocket::Tcp(socket), session));
        }
        (Err(limit), certificate) => {
            record_limit(shard, limit, address);
            // A handshake is what costs: who is over a limit gets none, and so no answer.
            if certificate.is_none() {
                reject(ClientSocket::Tcp(socket), limit, shard.settings().limits.value(limit));
            }
        }
    }
}

/// Performs the TLS handshake of a socket, then serves it.
async fn serve_tls(shard: Rc<ShardRuntime>, socket: TcpStream, session: Rc<HttpSession>, config: Arc<ServerConfig>) {
    if let Some(socket) = handshake::perform(&shard, socket, &session, config).await {
        serve(shard, socket, session).await;
    }
}

/// Counts a socket, and displaces another one where there are `http_connections` already. Where none can be, the socket is
/// one of `probe_connections`.
///
/// # Errors
/// The limit that is reached.
fn admit(shard: &ShardRuntime, address: IpAddr) -> Result<AdmittedSocket, Limit> {
    let (limits, sockets) = (&shard.settings().limits, &shard.sockets);
    let counted = shard.settings().counts_sockets_of(address).then(|| Address::from(address));
    let most = limits.http_connections_per_ip;
    let is_full = |address: Address| most.is_some_and(|most| sockets.count_of(address) >= most.get());
    if counted.is_some_and(is_full) {
        return Err(Limit::HttpConnectionsPerIp);
    }
    let now = shard.clock.now().mono;
    if sockets.len() < limits.http_connections || sockets.displace_one(now) {
        return Ok(AdmittedSocket { guard: sockets.add(counted, now), is_for_probes: false });
    }
    let probes = &shard.probe_sockets;
    if probes.len() < limits.probe_connections || probes.displace_one(now) {
        return Ok(AdmittedSocket { guard: probes.add(None, now), is_for_probes: true });
    }
    Err(Limit::HttpConnections)
}

/// Closes a socket with an error response, because a limit of sockets is reached. No request of it was answered.
fn reject(socket: ClientSocket, limit: Limit, most: Value) {
    let (status, words) = too_many_sockets(limit, most);
    let response = error_response(status, &words, Some(limit));
    // What does not fit at once is not worth waiting for.
    socket.write_last(response.as_bytes());
}

/// The end of an HTTP connection.
enum SessionEnd {
    /// The socket becomes a WebSocket.
    Upgraded(Accepted, Handshake),
    /// The client or the server has ended it, or its bytes were no HTTP.
    Closed,
    /// `request_timeout` or `idle_timeout` is over.
    TimedOut,
    /// Another socket displaces it.
    Displaced,
    /// The server stops, and the request is not complete.
    Unfinished,
}

/// Serves one HTTP connection to its end.
async fn serve(shard: Rc<ShardRuntime>, socket: ClientSocket, session: Rc<HttpSession>) {
    let service = service_fn(|request| Box::pin(router::answer(shard.clone(), session.clone(), request)));
    let socket = MeteredSocket::new(socket, session.has_read.clone(), session.is_full.clone(), shard.rounds.clone());
    let mut connection =
        // A client that has sent its request may end its side: it is answered like any other.
        http1::Builder::new()
            .half_close(true)
            .max_buf_size(shard.settings().limits.header_bytes)
            .serve_connection(TokioIo::new(socket), service);
    let end = drive(&shard, &session, &mut connection).await;
    let parts = connection.into_parts();
    let socket = parts.io.into_inner();
    match end {
        SessionEnd::Upgraded(accepted, handshake) => {
            session.guard.release();
            shard.clone().open(accepted, socket.into_inner(), Handshake { early: parts.read_buf.into(), ..handshake });
        }
        SessionEnd::Displaced => displace(&shard, &session, socket.into_inner()),
        end => close(&shard, &session, socket, &end).await,
    }
}

/// Polls a connection, its timers and the events that end it, until one does.
async fn drive<S>(
    shard: &ShardRuntime,
    session: &HttpSession,
    connection: &mut http1::Connection<TokioIo<MeteredSocket>, S>,
) -> SessionEnd
where
    S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let limits = &shard.settings().limits;
    let after = |timeout: Duration| shard.clock.at(shard.clock.now().mono.after(timeout));
    let mut timer = pin!(sleep_until(after(limits.request_timeout)));
    let mut close_idle = pin!(shard.close_idle());
    let mut close_unfinished = pin!(shard.close_unfinished());
    let mut displaced = pin!(session.guard.displaced());
    let mut is_closing = false;
    poll_fn(|cx| {
        is_closing = is_closing || close_idle.as_mut().poll(cx).is_ready();
        if is_closing && !session.has_read.get() {
            // Ends the connection once the answers so far are written.
            Pin::new(&mut *connection).graceful_shutdown();
        }
        let done = connection.poll_without_shutdown(cx);
        if let Some((accepted, handshake)) = session.upgrade.take() {
            return Poll::Ready(SessionEnd::Upgraded(accepted, handshake));
        }
        if let Poll::Ready(done) = done {
            if let Err(error) = done {
                session.failed(shard, &error);
            }
            return Poll::Ready(SessionEnd::Closed);
        }
        if !session.is_busy() {
            session.mark_waiting();
            if displaced.as_mut().poll(cx).is_ready() {
                return Poll::Ready(SessionEnd::Displaced);
            }
        }
        if session.progress.take() {
            timer.as_mut().reset(after(limits.idle_timeout));
        }
        // First its own time: where the server stops with the same patience, both may be over when this is looked at.
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(SessionEnd::TimedOut);
        }
        close_unfinished.as_mut().poll(cx).map(|()| SessionEnd::Unfinished)
    })
    .await
}

/// Closes a displaced socket at once. An answer that its client has not read by now may be lost.
fn displace(shard: &ShardRuntime, session: &HttpSession, socket: ClientSocket) {
    let limit = session.limit();
    record_limit(shard, limit, session.address);
    if session.requests.get() == 0 {
        reject(socket, limit, shard.settings().limits.value(limit));
    }
}

/// Closes a socket in order, with an error response where one is due. Another socket may displace it meanwhile.
async fn close(shard: &ShardRuntime, session: &HttpSession, mut socket: MeteredSocket, end: &SessionEnd) {
    let response = last_response(shard, session, end);
    let is_written = matches!(end, SessionEnd::Closed) && !session.unread.get();
    session.mark_waiting();
    tokio::select! {
        biased;
        () = session.guard.displaced() => record_limit(shard, session.limit(), session.address),
        // Every answer is written, and no unread input turns the close into a reset.
        () = shard.close_idle(), if is_written => {}
        () = linger(shard, &mut socket, &response) => {}
    }
}

/// The error response of a connection that the server ends; empty where none is due. Counts the limit that ended it.
fn last_response(shard: &ShardRuntime, session: &HttpSession, end: &SessionEnd) -> String {
    match end {
        SessionEnd::TimedOut if session.requests.get() == 0 => {
            record_limit(shard, Limit::RequestTimeout, session.address);
            error_response(StatusCode::REQUEST_TIMEOUT, "the request did not come in time", Some(Limit::RequestTimeout))
        }
        SessionEnd::TimedOut => {
            shard.count_limit(Limit::IdleTimeout);
            String::new()
        }
        SessionEnd::Unfinished if session.has_read.get() && !session.has_answered.get() => {
            shard.count_limit(Limit::DrainTimeout);
            let message = "the server is stopping, and the request was not complete in time";
            error_response(StatusCode::SERVICE_UNAVAILABLE, message, Some(Limit::DrainTimeout))
        }
        _ => String::new(),
    }
}

/// Writes the last response, then reads on until the client ends its side: closing a socket with bytes unread would reset
/// it, and the client would lose what was written. Bounded by `linger_timeout`.
async fn linger(shard: &ShardRuntime, socket: &mut MeteredSocket, response: &str) {
    let closing = async {
        socket.write_all(response.as_bytes()).await?;
        socket.shutdown().await?;
        socket.discard().await
    };
    // After an error the socket is dropped all the same.
    if timeout(shard.settings().limits.linger_timeout, closing).await.is_err() {
        shard.count_limit(Limit::LingerTimeout);
    }
}
