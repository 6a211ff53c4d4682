//! The server as whoever starts it sees it.

use crate::config::{Listen, Settings};
use crate::runtime::thread as shard_thread;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::watch;
use tracing::warn;

/// A server that runs in a thread of its own. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    /// The first one is what a client is told.
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    shard: JoinHandle<io::Result<()>>,
}

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 4096;
/// Files that the server has open besides the sockets of its clients, and then some.
const OTHER_FILES: u64 = 64;

/// How often a port that is free in both families is looked for.
const FREE_PORT_ATTEMPTS: usize = 16;

impl Server {
    /// Listens and begins to serve.
    ///
    /// # Errors
    /// A sentence that says which setting cannot be.
    pub fn start(settings: Settings) -> Result<Self, String> {
        settings.core()?;
        let unusable = |error: io::Error| format!("cannot listen on {} (listen): {error}", settings.listen);
        let listeners = listeners(settings.listen).map_err(unusable)?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>().map_err(unusable)?;
        let (stop, stopped) = watch::channel(false);
        let settings = Arc::new(settings);
        let shard = thread::Builder::new()
            .name("shard".into())
            .spawn(move || shard_thread::run(&listeners, &settings, &stopped))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { addresses, stop, shard })
    }

    /// Where it listens; where there are several addresses, the first.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Everywhere it listens: at least one address.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Begins to stop: takes no new connection, and closes those that are there, within `drain_timeout`.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Comes back once it has stopped, in whatever way.
    pub async fn stopped(&self) {
        // The shard's thread holds the other end.
        self.stop.closed().await;
    }

    /// Waits, without giving way to other tasks, until it has stopped.
    ///
    /// # Errors
    /// When it had to stop because the system gave it no runtime or no socket.
    ///
    /// # Panics
    /// When the shard's thread did.
    pub fn wait(self) -> io::Result<()> {
        self.shard.join().expect("a shard's panics are caught")
    }
}

/// The sockets of a setting: one, or one for IPv4 and one for IPv6 with the same port.
fn listeners(listen: Listen) -> io::Result<Vec<TcpListener>> {
    match listen {
        Listen::Address(address) => Ok(vec![bind(address, None)?]),
        Listen::Everywhere(port) => {
            // One socket takes both. A system without IPv6 has no such address.
            let both = bind((Ipv6Addr::UNSPECIFIED, port).into(), Some(false));
            Ok(vec![unless_absent(both)?.map_or_else(|| bind((Ipv4Addr::UNSPECIFIED, port).into(), None), Ok)?])
        }
        Listen::Localhost(port) => {
            for _ in 0..FREE_PORT_ATTEMPTS {
                let four = bind((Ipv4Addr::LOCALHOST, port).into(), None)?;
                let same = four.local_addr()?.port();
                match unless_absent(bind((Ipv6Addr::LOCALHOST, same).into(), Some(true))) {
                    Ok(six) => return Ok([four].into_iter().chain(six).collect()),
                    // Free in one family need not be free in the other.
                    Err(error) if port == 0 && error.kind() == ErrorKind::AddrInUse => {}
                    Err(error) => return Err(error),
                }
            }
            Err(ErrorKind::AddrInUse.into())
        }
    }
}

/// None where the system does not have the address's family, or loopback has none of it.
fn unless_absent(bound: io::Result<TcpListener>) -> io::Result<Option<TcpListener>> {
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => Err(error),
        Err(_) => Ok(None),
    }
}

fn bind(address: SocketAddr, only_v6: Option<bool>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(only_v6) = only_v6 {
        socket.set_only_v6(only_v6)?;
    }
    // A restart need not wait for the sockets of the run before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the number of files that this process may open as far as it is allowed to, and warns in production if that is too
/// few.
pub fn raise_file_limit(settings: &Settings) {
    let (connections, sockets) = (settings.limits.connections as u64, settings.limits.http_connections as u64);
    let wanted = connections.saturating_add(sockets).saturating_add(OTHER_FILES);
    match rlimit::increase_nofile_limit(wanted) {
        // Nobody develops with as many clients.
        Ok(allowed) if allowed < wanted && !settings.is_dev() => {
            warn!(allowed, wanted, "too few open files are allowed (ulimit -n) for connections and http_connections");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "cannot raise the number of open files"),
    }
}
