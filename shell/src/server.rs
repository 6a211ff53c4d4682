//! The server as whoever starts it sees it.

use crate::config::Settings;
use crate::shard;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::watch;
use tracing::warn;

/// A server that runs in a thread of its own. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    shard: JoinHandle<io::Result<()>>,
}

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 4096;
/// Files that the server has open besides the sockets of its clients, and then some.
const OTHER_FILES: u64 = 64;

impl Server {
    /// Listens and begins to serve.
    ///
    /// # Errors
    /// A sentence that says which setting cannot be.
    pub fn start(settings: Settings) -> Result<Self, String> {
        settings.core()?;
        let unusable = |error: io::Error| format!("cannot listen on {} (listen): {error}", settings.listen);
        let listener = listen(settings.listen).map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let (stop, stopped) = watch::channel(false);
        let settings = Arc::new(settings);
        let shard = thread::Builder::new()
            .name("shard".into())
            .spawn(move || shard::run(&listener, &settings, &stopped))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { address, stop, shard })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the sockets of the run before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Raises the number of files that this process may open as far as it is allowed to, and warns if that is too few.
pub fn raise_file_limit(settings: &Settings) {
    let wanted = (settings.limits.connections as u64).saturating_add(settings.http_connections as u64) + OTHER_FILES;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(allowed) if allowed < wanted => {
            warn!(allowed, wanted, "too few open files are allowed (ulimit -n) for connections and http_connections");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "cannot raise the number of open files"),
    }
}
