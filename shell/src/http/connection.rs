//! One HTTP connection, from the accepted socket until it ends or becomes a WebSocket.

use super::metered_socket::MeteredSocket;
use super::response::error_response;
use super::router;
use super::session::{HttpSession, record_limit};
use crate::net::driver::Handshake;
use crate::net::sockets::SocketGuard;
use crate::net::tcp;
use crate::runtime::shard::ShardRuntime;
use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parlor_core::limits::Value;
use parlor_core::{Address, ConnId, Limit};
use std::future::{Future, poll_fn};
use std::io::Write;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{sleep_until, timeout};

/// Takes in a socket that was just accepted, or turns it away.
pub(crate) fn accept(shard: &Rc<ShardRuntime>, socket: TcpStream, address: IpAddr) {
    tcp::set_up(&socket);
    match admit(shard, address) {
        Ok(guard) => {
            spawn_local(serve(shard.clone(), socket, HttpSession::new(address, guard)));
        }
        Err(limit) => {
            record_limit(shard, limit, address);
            reject(socket, limit, shard.settings.limits.value(limit));
        }
    }
}

/// Gives a socket a place, which another one may have to make.
///
/// # Errors
/// The limit that is in the way.
fn admit(shard: &ShardRuntime, address: IpAddr) -> Result<SocketGuard, Limit> {
    let (limits, sockets) = (&shard.settings.limits, &shard.sockets);
    let counted = shard.settings.counts_sockets_of(address).then(|| Address::from(address));
    let most = limits.http_connections_per_ip;
    if most > 0 && counted.is_some_and(|address| sockets.of(address) >= most) {
        return Err(Limit::HttpConnectionsPerIp);
    }
    let now = shard.clock.now().mono;
    if sockets.len() >= limits.http_connections && !sockets.displace_one(now) {
        return Err(Limit::HttpConnections);
    }
    Ok(sockets.enter(counted, now))
}

/// Closes a socket, of which nothing was answered, because there are too many.
fn reject(socket: TcpStream, limit: Limit, most: Value) {
    let (status, of) = match limit {
        Limit::HttpConnectionsPerIp => (StatusCode::TOO_MANY_REQUESTS, "of this address "),
        _ => (StatusCode::SERVICE_UNAVAILABLE, ""),
    };
    let words = error_response(status, &format!("{most} sockets {of}have not become a WebSocket"), limit);
    // The runtime may not know yet that the socket is writable. What does not fit at once is not worth waiting for.
    let _ = socket.into_std().and_then(|mut socket| socket.write_all(words.as_bytes()));
}

/// Why a session is over.
enum Over {
    /// The socket becomes a WebSocket.
    Upgraded(ConnId, Handshake),
    /// One of the two has no more to say.
    Done,
    /// Nothing happened for too long.
    Late,
    /// Another socket has its place.
    Taken,
    /// The server stops, and does not wait for the rest of a request.
    Unfinished,
}

async fn serve(shard: Rc<ShardRuntime>, socket: TcpStream, session: Rc<HttpSession>) {
    let service = service_fn(|request| Box::pin(router::answer(shard.clone(), session.clone(), request)));
    let socket = TokioIo::new(MeteredSocket::new(
        socket,
        session.has_read.clone(),
        session.is_full.clone(),
        shard.rounds.clone(),
    ));
    let mut connection =
        // A client that has sent its request may end its side: it is answered like any other.
        http1::Builder::new()
            .half_close(true)
            .max_buf_size(shard.settings.limits.header_bytes)
            .serve_connection(socket, service);
    let wait = |patience: Duration| shard.clock.at(shard.clock.now().mono.after(patience));
    let over = {
        let mut late = pin!(sleep_until(wait(shard.settings.limits.request_timeout)));
        let mut close_idle = pin!(shard.close_idle());
        let mut close_unfinished = pin!(shard.close_unfinished());
        let mut displaced = pin!(session.guard.displaced());
        let mut is_closing = false;
        poll_fn(|cx| {
            is_closing = is_closing || close_idle.as_mut().poll(cx).is_ready();
            if is_closing && !session.has_read.get() {
                // Ends once everything is written that was answered.
                Pin::new(&mut connection).graceful_shutdown();
            }
            let done = connection.poll_without_shutdown(cx);
            if let Some((conn, handshake)) = session.upgrade.take() {
                return Poll::Ready(Over::Upgraded(conn, handshake));
            }
            if let Poll::Ready(done) = done {
                if let Err(error) = done {
                    session.failed(&shard, &error);
                }
                return Poll::Ready(Over::Done);
            }
            if !session.is_answered() {
                session.mark_waiting();
                if displaced.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Over::Taken);
                }
            }
            if session.progress.take() {
                late.as_mut().reset(wait(shard.settings.limits.idle_timeout));
            }
            if close_unfinished.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Over::Unfinished);
            }
            late.as_mut().poll(cx).map(|()| Over::Late)
        })
        .await
    };
    let parts = connection.into_parts();
    let socket = parts.io.into_inner();
    match over {
        Over::Upgraded(conn, handshake) => {
            session.guard.leave();
            shard.clone().open(conn, socket.into_inner(), Handshake { early: parts.read_buf.into(), ..handshake });
        }
        Over::Taken => displace(&shard, &session, socket.into_inner()),
        over => end(&shard, &session, socket, &over).await,
    }
}

/// Ends a socket whose place another one has. What it was answered before is written, or was not read in time.
fn displace(shard: &ShardRuntime, session: &HttpSession, socket: TcpStream) {
    let limit = Limit::HttpConnections;
    record_limit(shard, limit, session.address);
    if session.requests.get() == 0 {
        reject(socket, limit, shard.settings.limits.value(limit));
    }
}

/// Ends a socket in order, unless another one is to have its place meanwhile.
async fn end(shard: &ShardRuntime, session: &HttpSession, mut socket: MeteredSocket, why: &Over) {
    let words = last_response(shard, session, why);
    let written = matches!(why, Over::Done) && !session.unread.get();
    session.mark_waiting();
    tokio::select! {
        biased;
        () = session.guard.displaced() => record_limit(shard, Limit::HttpConnections, session.address),
        // Everything is written, and nothing comes that would take it back.
        () = shard.close_idle(), if written => {}
        () = linger(shard, &mut socket, &words) => {}
    }
}

/// What a socket is told at last, after what it was answered.
fn last_response(shard: &ShardRuntime, session: &HttpSession, why: &Over) -> String {
    match why {
        Over::Late if session.requests.get() == 0 => {
            record_limit(shard, Limit::RequestTimeout, session.address);
            error_response(StatusCode::REQUEST_TIMEOUT, "the request did not come in time", Limit::RequestTimeout)
        }
        Over::Late => {
            shard.count_limit(Limit::IdleTimeout);
            String::new()
        }
        Over::Unfinished if session.has_read.get() && !session.answered.get() => {
            shard.count_limit(Limit::DrainTimeout);
            let words = "the server is stopping, and the request was not complete in time";
            error_response(StatusCode::SERVICE_UNAVAILABLE, words, Limit::DrainTimeout)
        }
        _ => String::new(),
    }
}

/// Ends a socket so that the client can read what was written: to close it while it has bytes to read would take that back.
async fn linger(shard: &ShardRuntime, socket: &mut MeteredSocket, words: &str) {
    let closing = async {
        socket.write_all(words.as_bytes()).await?;
        socket.shutdown().await?;
        socket.discard().await
    };
    // Whatever fails here, the socket is dropped.
    if timeout(shard.settings.limits.linger_timeout, closing).await.is_err() {
        shard.count_limit(Limit::LingerTimeout);
    }
}
