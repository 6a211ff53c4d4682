//! HTTP/1.1 on the one port: a socket is a guest here until it asks to become a WebSocket.

mod api;
mod forwarded;
mod head;
mod metered_socket;
mod openapi;
mod origin;
mod response;
mod upgrade;

pub(crate) use forwarded::Warned;

use crate::net::driver::Handshake;
use crate::net::refusals::{RefusalDetails, RefusalReason, truncated};
use crate::net::sockets::{SocketGuard, SocketWait};
use crate::net::tcp;
use crate::observe::health;
use crate::runtime::shard::ShardRuntime;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HOST, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use metered_socket::MeteredSocket;
pub(crate) use openapi::Document;
use parlor_core::limits::Value;
use parlor_core::{Address, ConnId, Limit};
use response::{Body, LoggedRefusal, error_response, not_found, restarting};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep_until, timeout};
use tracing::debug;

/// What browsers ask for by themselves when a person opens `/health`.
const FAVICON: &str = "/favicon.ico";

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

/// Takes note that a limit was in the way of a request that was not read to its end.
fn record_limit(shard: &ShardRuntime, limit: Limit, address: IpAddr) {
    debug!(%limit, %address, "a socket is turned away");
    shard.hit(limit);
    shard.refuse(
        RefusalReason::Limit,
        RefusalDetails { why: limit.to_string(), address: Some(address), ..RefusalDetails::default() },
    );
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

/// What a socket's requests have led to.
struct HttpSession {
    /// Where the socket comes from.
    address: IpAddr,
    requests: Cell<usize>,
    /// A request was answered, so that bytes of the answer may be on their way.
    answered: Cell<bool>,
    /// Bytes have come that no request was answered for: one may be under way.
    has_read: Rc<Cell<bool>>,
    /// A request had a valid API key.
    keyed: Cell<bool>,
    /// A request is under way: its head is read, and its answer is not there yet.
    asked: Cell<bool>,
    /// The socket takes no bytes of an answer now.
    is_full: Rc<Cell<bool>>,
    guard: SocketGuard,
    /// The body of the last request was not read to its end, or what came was no request.
    unread: Cell<bool>,
    /// Something happened since the last look.
    progress: Cell<bool>,
    upgrade: RefCell<Option<(ConnId, Handshake)>>,
}

impl HttpSession {
    fn new(address: IpAddr, guard: SocketGuard) -> Rc<Self> {
        Rc::new(Self {
            address,
            guard,
            keyed: Cell::new(false),
            asked: Cell::new(false),
            is_full: Rc::default(),
            requests: Cell::new(0),
            answered: Cell::new(false),
            has_read: Rc::default(),
            unread: Cell::new(false),
            progress: Cell::new(false),
            upgrade: RefCell::new(None),
        })
    }

    /// Whether a request is being answered. The answer to a call is on its way until the socket has taken it; others than
    /// backends are not waited for.
    fn is_answered(&self) -> bool {
        self.asked.get() || (self.keyed.get() && self.is_full.get())
    }

    /// A request has come after others, and is answered in the next turn. To send them without end does not hold a place;
    /// to be one that asks is to be the last that makes room of those that wait.
    fn takes_turns(&self) {
        self.guard.mark_busy();
        self.asked.set(self.keyed.get());
        if !self.asked.get() {
            self.mark_waiting();
        }
    }

    /// Lets another socket have the place from now on.
    fn mark_waiting(&self) {
        self.guard.mark_waiting(match () {
            () if self.keyed.get() => SocketWait::NextCall,
            () if self.requests.get() > 0 => SocketWait::NextRequest,
            () => SocketWait::FirstHead,
        });
    }

    /// Takes note of what the library could not read, and has answered as far as that can be.
    fn failed(&self, shard: &ShardRuntime, error: &hyper::Error) {
        self.unread.set(true);
        if error.is_parse_too_large() {
            record_limit(shard, Limit::HeaderBytes, self.address);
        } else if error.is_parse() {
            let why = format!("this is no HTTP/1.1 ({error}); TLS is for a proxy in front of the server");
            shard.refuse(
                RefusalReason::Request,
                RefusalDetails { why, address: Some(self.address), ..RefusalDetails::default() },
            );
        }
    }
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
    TimeUp,
}

async fn serve(shard: Rc<ShardRuntime>, socket: TcpStream, session: Rc<HttpSession>) {
    let service = service_fn(|request| Box::pin(answer(shard.clone(), session.clone(), request)));
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
        let mut last_call = pin!(shard.last_call());
        let mut time_up = pin!(shard.time_up());
        let mut displaced = pin!(session.guard.displaced());
        let mut is_last = false;
        poll_fn(|cx| {
            is_last = is_last || last_call.as_mut().poll(cx).is_ready();
            if is_last && !session.has_read.get() {
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
            if time_up.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Over::TimeUp);
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
        () = shard.last_call(), if written => {}
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
            shard.hit(Limit::IdleTimeout);
            String::new()
        }
        Over::TimeUp if session.has_read.get() && !session.answered.get() => {
            shard.hit(Limit::DrainTimeout);
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
        shard.hit(Limit::LingerTimeout);
    }
}

async fn answer(
    shard: Rc<ShardRuntime>,
    session: Rc<HttpSession>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    session.requests.set(session.requests.get() + 1);
    session.progress.set(true);
    session.unread.set(!request.body().is_end_stream());
    let (trusted, address) = (&shard.settings.trusted_proxies, session.address);
    if !shard.settings.is_dev() {
        shard.warned.warn_of(request.headers(), address, trusted, shard.clock.now().mono);
    }
    let source = forwarded::source(request.headers(), address, trusted);
    let asked = Asked::new(&request);
    if session.requests.get() > 1 {
        // Requests that came together are answered in as many turns: others are not to wait for all of them.
        session.takes_turns();
        yield_now().await;
    }
    session.asked.set(true);
    session.guard.mark_busy();
    let asks_for_websocket = head::asks_for_websocket(request.headers());
    let path = request.uri().path();
    let is_public = [FAVICON, openapi::PATH, "/health"].contains(&path) || path.starts_with("/health/");
    let response = if shard.is_stopping() && !is_public {
        response::stopping()
    } else if shard.is_restarting() && !is_public {
        restarting(&shard)
    } else if let Err(response) = head::check_host(&request) {
        *response
    } else if let Some(method) = path.strip_prefix("/api/") {
        let method = method.to_owned();
        api::answer(&shard, &method, request, &session).await
    } else if is_public {
        health(&shard, &request)
    } else {
        match upgrade::accept(&shard, source, &request) {
            Ok((conn, handshake)) => {
                session.upgrade.replace(Some((conn, handshake)));
                // The 101 is the connection's to write; this answer is never asked for.
                pending().await
            }
            Err(response) => *response,
        }
    };
    if let Some(LoggedRefusal { reason, why }) = response.extensions().get().cloned() {
        shard.refuse(reason, asked.refused(why, source.address));
    }
    session.progress.set(true);
    session.answered.set(true);
    session.asked.set(false);
    session.has_read.set(false);
    // A socket that stays open would lead the next request here, too; and frames are no requests.
    let is_last = shard.is_stopping() || shard.is_restarting() || asks_for_websocket;
    Ok(if is_last { response::closing(response) } else { response })
}

/// What of a request the log tells when it is refused. The query is none of it: tokens are there.
struct Asked {
    uri: Uri,
    origin: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Asked {
    fn new(request: &Request<Incoming>) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self { uri: request.uri().clone(), origin: header(ORIGIN), host: header(HOST) }
    }

    fn refused(&self, why: String, address: IpAddr) -> RefusalDetails {
        let header = |value: &Option<HeaderValue>| value.as_ref().map(|value| truncated(place(value.as_bytes())));
        RefusalDetails {
            // It may quote the request.
            why: truncated(why.as_bytes()),
            address: Some(address),
            origin: header(&self.origin),
            host: header(&self.host),
            path: Some(truncated(self.uri.path().as_bytes())),
        }
    }
}

/// What an `Origin` or `Host` says of a place: not who asks for it, before an `@`, nor with what query. Neither belongs
/// there, and both may be secret.
fn place(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(value.len());
    // The last one: all that is before it may be a password.
    let start = value.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}

/// What those can look at who only want to see.
const PUBLIC_PATHS: [&str; 5] = ["/health", openapi::PATH, FAVICON, "/health/live", "/health/ready"];

/// Answers those who only want to see. Nothing is made for a method that is refused.
fn health(shard: &ShardRuntime, request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if !PUBLIC_PATHS.contains(&path) {
        return not_found();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response::method_not_allowed("GET, HEAD");
    }
    let bytes: Bytes = match path {
        "/health" => {
            let (now, stats) = shard.enter(|host, now| (now, host.shard().stats())).unwrap_or_else(|| shard.empty());
            health::health(shard, now.mono, &stats).into()
        }
        openapi::PATH => shard.document.bytes(&shard.settings),
        FAVICON => return response::no_content(),
        "/health/ready" if shard.is_stopping() => return response::stopping(),
        "/health/ready" if shard.is_restarting() => return restarting(shard),
        _ => Bytes::from_static(br#"{"status":"ok"}"#),
    };
    response::json(StatusCode::OK, bytes)
}
