//! The server, for programs and tests that start one.

use crate::config::{Listen, ListenerKind, Settings};
use crate::net::certificate::{Reloaded, ServerCertificate};
use crate::net::handed_sockets::HandedSockets;
use crate::net::listener::{self, Listener};
use crate::observe::reloads::{ReloadPart, Reloads};
use crate::runtime::clock::Clock;
use crate::runtime::pulse::Heart;
use crate::runtime::server_requests::{ProcessLink, Reload, ServerRequest};
use crate::runtime::{key_fetcher, thread as shard_thread};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::{Mutex, mpsc, watch};
use tracing::warn;

/// A server on a thread of its own. It stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// At least one.
    addresses: Vec<SocketAddr>,
    internal_addresses: Vec<SocketAddr>,
    certificate: Option<Arc<ServerCertificate>>,
    clock: Clock,
    reloads: Arc<Reloads>,
    settings: watch::Sender<Arc<Settings>>,
    stop: watch::Sender<bool>,
    requests: Mutex<mpsc::Receiver<ServerRequest>>,
    heart: Heart,
    shard: JoinHandle<io::Result<()>>,
}

/// File descriptors that the server needs besides the sockets of clients, with some to spare.
const OTHER_FILES: u64 = 64;

impl Server {
    /// Binds the listening sockets and starts to serve.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong, and what is allowed.
    pub fn start(settings: Settings) -> Result<Self, String> {
        Self::start_with(settings, HandedSockets::default())
    }

    /// The same with listening sockets that are there already, in place of those of `listen` and `internal_listen`.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(settings: Settings, mut handed: HandedSockets) -> Result<Self, String> {
        settings.core()?;
        let certificate = settings.certificate()?.map(Arc::new);
        let clock = Clock::new();
        let reloads = Arc::new(Reloads::new(clock.now().unix_ms));
        let (mut listeners, addresses) = bind(&settings, ListenerKind::Public, &mut handed)?;
        let (internal, internal_addresses) = bind(&settings, ListenerKind::Internal, &mut handed)?;
        listeners.iter_mut().for_each(|listener| listener.certificate.clone_from(&certificate));
        listeners.extend(internal);
        let (stop, stopped) = watch::channel(false);
        let no_thread = |error: io::Error| format!("cannot start a thread: {error}");
        let fetcher =
            settings.token_jwks.clone().map(|url| key_fetcher::start(url, settings.jwks_times, stopped.clone()));
        let key_source = fetcher.transpose().map_err(no_thread)?;
        let (heart, pulse) = Heart::new();
        let (settings, latest) = watch::channel(Arc::new(settings));
        let (process, requests) = ProcessLink::new(reloads.clone(), latest);
        let requests = Mutex::new(requests);
        let shard = thread::Builder::new()
            .name("shard".into())
            .spawn(move || shard_thread::run(&listeners, key_source.as_ref(), &process, &stopped, pulse))
            .map_err(no_thread)?;
        Ok(Self { addresses, internal_addresses, certificate, clock, reloads, settings, stop, requests, heart, shard })
    }

    /// The first of the addresses on which it listens for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The addresses on which it listens for clients (`listen`): at least one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses on which it listens for backends and operators (`internal_listen`).
    #[must_use]
    pub fn internal_addresses(&self) -> &[SocketAddr] {
        &self.internal_addresses
    }

    /// Whether it speaks TLS with clients.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.certificate.is_some()
    }

    /// Reads the certificate and its key again; None where the server speaks no TLS. Connections that are open stay.
    ///
    /// # Errors
    /// As [`ServerCertificate::reload`]: the certificate before stays in use.
    pub fn reload_certificate(&self) -> Option<Result<Reloaded, String>> {
        let reloaded = self.certificate.as_ref()?.reload();
        match reloaded {
            Ok(Reloaded::Unchanged) => self.reloads.unchanged(ReloadPart::Certificate),
            Ok(Reloaded::Replaced) => self.reloads.replaced(ReloadPart::Certificate, self.clock.now().unix_ms),
            Err(_) => self.reloads.failed(ReloadPart::Certificate),
        }
        Some(reloaded)
    }

    /// Goes on with settings that were read again, and with the certificate as it is now. They hold for what comes next:
    /// connections and memberships stay.
    ///
    /// # Errors
    /// A sentence that says why settings or certificate could not be read, or what contradicts itself. Nothing changes then.
    pub fn reload(&self, read: Result<Settings, String>) -> Result<(Reload, Option<Reloaded>), String> {
        let running = self.settings.borrow().clone();
        let following = read.and_then(|settings| settings.following(&running));
        let following = following.inspect_err(|_| self.reloads.failed(ReloadPart::Settings))?;
        let certificate = self.reload_certificate().transpose()?;
        if following.changed.is_empty() {
            self.reloads.unchanged(ReloadPart::Settings);
        } else {
            self.reloads.replaced(ReloadPart::Settings, self.clock.now().unix_ms);
            raise_file_limit(&following.settings);
            self.settings.send_replace(Arc::new(following.settings));
        }
        Ok((Reload { changed: following.changed, needs_restart: following.needs_restart }, certificate))
    }

    /// The means to ask whether it lives.
    #[must_use]
    pub fn heart(&self) -> &Heart {
        &self.heart
    }

    /// Waits for a request that a backend makes by the API. None once the server has stopped. Whoever runs the server carries
    /// it out.
    pub async fn requested(&self) -> Option<ServerRequest> {
        self.requests.lock().await.recv().await
    }

    /// Starts the stop: after `drain_delay` the server accepts no new connection, and closes the others within
    /// `drain_timeout`.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the server has stopped, for whatever reason.
    pub async fn stopped(&self) {
        // The shard's thread holds the other end.
        self.stop.closed().await;
    }

    /// Waits until the server has stopped. Blocks the thread.
    ///
    /// # Errors
    /// The system's error, where it gave the server no runtime or no socket.
    ///
    /// # Panics
    /// If the shard's thread has panicked.
    pub fn wait(self) -> io::Result<()> {
        self.shard.join().expect("a shard's panics are caught")
    }
}

/// A kind's sockets, without TLS, and their addresses: those that were handed over, else those that its setting names.
///
/// # Errors
/// A sentence that names the setting.
fn bind(
    settings: &Settings,
    kind: ListenerKind,
    handed: &mut HandedSockets,
) -> Result<(Vec<Listener<TcpListener>>, Vec<SocketAddr>), String> {
    let mut sockets = handed.take_all(kind);
    if sockets.is_empty() {
        for address in settings.listeners(kind).into_iter().flat_map(Listen::addresses) {
            let unusable = |error: io::Error| format!("cannot listen on {address} ({}): {error}", kind.setting());
            sockets.extend(listener::bind_all(*address).map_err(unusable)?);
        }
    }
    let addresses: io::Result<Vec<SocketAddr>> = sockets.iter().map(TcpListener::local_addr).collect();
    let addresses = addresses.map_err(|error| format!("{}: a socket has no address: {error}", kind.setting()))?;
    Ok((sockets.into_iter().map(|socket| Listener { socket, certificate: None, kind }).collect(), addresses))
}

/// Raises the limit of open files of this process to what `connections` and `http_connections` need. Warns in production
/// where the system does not allow that many.
pub fn raise_file_limit(settings: &Settings) {
    let limits = &settings.limits;
    let sockets = [limits.connections, limits.http_connections, limits.probe_connections];
    let wanted = sockets.into_iter().fold(OTHER_FILES, |sum, most| sum.saturating_add(most as u64));
    match rlimit::increase_nofile_limit(wanted) {
        // In development mode there are few clients.
        Ok(allowed) if allowed < wanted && !settings.is_dev() => {
            warn!(allowed, wanted, "too few open files are allowed (ulimit -n) for connections and http_connections");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "cannot raise the number of open files"),
    }
}
