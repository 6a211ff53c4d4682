//! The state of one HTTP connection's requests, and what it lets others do to its socket.

use crate::config::ListenerKind;
use crate::net::driver::Handshake;
use crate::net::refusals::{RefusalDetails, RefusalReason};
use crate::net::sockets::{SocketGuard, SocketWait};
use crate::observe::log;
use crate::runtime::connections::Accepted;
use crate::runtime::shard::ShardRuntime;
use parlor_core::Limit;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use tracing::debug;

/// Counts and logs a refusal by a limit of a request that was not read to its end.
pub(super) fn record_limit(shard: &ShardRuntime, limit: Limit, address: IpAddr) {
    debug!(target: log::REFUSALS, %limit, %address, "an HTTP socket is refused");
    shard.count_limit(limit);
    shard.record_refusal(
        RefusalReason::Limit,
        RefusalDetails { why: limit.to_string(), address: Some(address), ..RefusalDetails::default() },
    );
}

/// A socket's share of a limit of sockets.
pub(super) struct AdmittedSocket {
    pub(super) guard: SocketGuard,
    /// Whether it is one of `probe_connections`.
    pub(super) is_for_probes: bool,
}

/// The state of one HTTP connection, shared by the task that drives it and the requests on it.
pub(super) struct HttpSession {
    /// The address of the socket; that of the last proxy where there is one.
    pub(super) address: IpAddr,
    /// The kind of its listening socket.
    pub(super) kind: ListenerKind,
    /// Whether the socket speaks TLS.
    pub(super) is_tls: bool,
    /// Number of requests so far.
    pub(super) requests: Cell<usize>,
    /// Whether a request was answered: bytes of the answer may be on their way.
    pub(super) has_answered: Cell<bool>,
    /// Whether bytes were read since the last answer: a request may be under way.
    pub(super) has_read: Rc<Cell<bool>>,
    /// Whether a request had a valid API key.
    pub(super) has_key: Cell<bool>,
    /// Whether a request is being answered: its head was read, and its answer is not ready.
    pub(super) is_answering: Cell<bool>,
    /// Whether the socket took no bytes at the last write.
    pub(super) is_full: Rc<Cell<bool>>,
    /// The socket's share of `http_connections`, or of `probe_connections`.
    pub(super) guard: SocketGuard,
    /// Whether only probes are answered, and one of them, since there are `http_connections` already.
    pub(super) is_for_probes: bool,
    /// Whether input is left unread: the body of the last request, or bytes that were no request.
    pub(super) unread: Cell<bool>,
    /// Whether a request began or was answered since the timer was last set.
    pub(super) progress: Cell<bool>,
    /// The connection that the socket becomes, once an upgrade was accepted.
    pub(super) upgrade: RefCell<Option<(Accepted, Handshake)>>,
}

impl HttpSession {
    /// The state of a socket that has sent nothing yet.
    pub(super) fn new(address: IpAddr, kind: ListenerKind, admitted: AdmittedSocket, is_tls: bool) -> Rc<Self> {
        let AdmittedSocket { guard, is_for_probes } = admitted;
        Rc::new(Self {
            address,
            kind,
            is_tls,
            guard,
            is_for_probes,
            has_key: Cell::new(false),
            is_answering: Cell::new(false),
            is_full: Rc::default(),
            requests: Cell::new(0),
            has_answered: Cell::new(false),
            has_read: Rc::default(),
            unread: Cell::new(false),
            progress: Cell::new(false),
            upgrade: RefCell::new(None),
        })
    }

    /// Whether the socket may not be displaced: a request is being answered, or the answer to an API call is not written
    /// yet. Answers to others than backends do not count.
    pub(super) fn is_busy(&self) -> bool {
        self.is_answering.get() || (self.has_key.get() && self.is_full.get())
    }

    /// The limit that the socket counts for.
    pub(super) fn limit(&self) -> Limit {
        if self.is_for_probes { Limit::ProbeConnections } else { Limit::HttpConnections }
    }

    /// Notes a further request on the connection, which is answered in the next round. Requests without end do not keep a
    /// socket from being displaced, except API calls, which come last.
    pub(super) fn begin_next_request(&self) {
        self.guard.mark_busy();
        self.is_answering.set(self.has_key.get());
        if !self.is_answering.get() {
            self.mark_waiting();
        }
    }

    /// Lets another socket displace this one from now on.
    pub(super) fn mark_waiting(&self) {
        self.guard.mark_waiting(match () {
            () if self.has_key.get() => SocketWait::NextCall,
            () if self.requests.get() > 0 => SocketWait::NextRequest,
            () => SocketWait::FirstHead,
        });
    }

    /// Counts and logs bytes that are no HTTP, which the HTTP library has answered where it could.
    pub(super) fn failed(&self, shard: &ShardRuntime, error: &hyper::Error) {
        self.unread.set(true);
        if error.is_parse_too_large() {
            record_limit(shard, Limit::HeaderBytes, self.address);
        } else if error.is_parse() {
            let hint = if self.is_tls { "" } else { "; TLS needs tls_cert, or a proxy in front of the server" };
            self.record(shard, RefusalReason::Request, format!("the bytes are not HTTP/1.1 ({error}){hint}"));
        }
    }

    /// Counts and logs a TLS handshake that failed.
    pub(super) fn no_tls(&self, shard: &ShardRuntime, why: String) {
        self.record(shard, RefusalReason::Tls, why);
    }

    fn record(&self, shard: &ShardRuntime, reason: RefusalReason, why: String) {
        shard.record_refusal(reason, RefusalDetails { why, address: Some(self.address), ..RefusalDetails::default() });
    }
}
