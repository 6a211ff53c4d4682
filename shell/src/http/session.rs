//! The state of one HTTP connection's requests, and what it lets others do to its socket.

use crate::net::driver::Handshake;
use crate::net::refusals::{RefusalDetails, RefusalReason};
use crate::net::sockets::{SocketGuard, SocketWait};
use crate::runtime::shard::ShardRuntime;
use parlor_core::{ConnId, Limit};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use tracing::debug;

/// Takes note that a limit was in the way of a request that was not read to its end.
pub(super) fn record_limit(shard: &ShardRuntime, limit: Limit, address: IpAddr) {
    debug!(%limit, %address, "a socket is turned away");
    shard.count_limit(limit);
    shard.record_refusal(
        RefusalReason::Limit,
        RefusalDetails { why: limit.to_string(), address: Some(address), ..RefusalDetails::default() },
    );
}

/// What a socket's requests have led to.
pub(super) struct HttpSession {
    /// Where the socket comes from.
    pub(super) address: IpAddr,
    pub(super) requests: Cell<usize>,
    /// A request was answered, so that bytes of the answer may be on their way.
    pub(super) answered: Cell<bool>,
    /// Bytes have come that no request was answered for: one may be under way.
    pub(super) has_read: Rc<Cell<bool>>,
    /// A request had a valid API key.
    pub(super) keyed: Cell<bool>,
    /// A request is under way: its head is read, and its answer is not there yet.
    pub(super) asked: Cell<bool>,
    /// The socket takes no bytes of an answer now.
    pub(super) is_full: Rc<Cell<bool>>,
    pub(super) guard: SocketGuard,
    /// The body of the last request was not read to its end, or what came was no request.
    pub(super) unread: Cell<bool>,
    /// Something happened since the last look.
    pub(super) progress: Cell<bool>,
    pub(super) upgrade: RefCell<Option<(ConnId, Handshake)>>,
}

impl HttpSession {
    pub(super) fn new(address: IpAddr, guard: SocketGuard) -> Rc<Self> {
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
    pub(super) fn is_answered(&self) -> bool {
        self.asked.get() || (self.keyed.get() && self.is_full.get())
    }

    /// A request has come after others, and is answered in the next turn. To send them without end does not hold a place;
    /// to be one that asks is to be the last that makes room of those that wait.
    pub(super) fn takes_turns(&self) {
        self.guard.mark_busy();
        self.asked.set(self.keyed.get());
        if !self.asked.get() {
            self.mark_waiting();
        }
    }

    /// Lets another socket have the place from now on.
    pub(super) fn mark_waiting(&self) {
        self.guard.mark_waiting(match () {
            () if self.keyed.get() => SocketWait::NextCall,
            () if self.requests.get() > 0 => SocketWait::NextRequest,
            () => SocketWait::FirstHead,
        });
    }

    /// Takes note of what the library could not read, and has answered as far as that can be.
    pub(super) fn failed(&self, shard: &ShardRuntime, error: &hyper::Error) {
        self.unread.set(true);
        if error.is_parse_too_large() {
            record_limit(shard, Limit::HeaderBytes, self.address);
        } else if error.is_parse() {
            let why = format!("this is no HTTP/1.1 ({error}); TLS is for a proxy in front of the server");
            shard.record_refusal(
                RefusalReason::Request,
                RefusalDetails { why, address: Some(self.address), ..RefusalDetails::default() },
            );
        }
    }
}
