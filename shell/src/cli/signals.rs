//! The signals that the process handles while it serves.

use crate::config::Settings;
use crate::net::certificate::Reloaded;
use crate::runtime::server_requests::{Reload, ServerRequest};
use crate::server::Server;
use crate::service_manager::{self, Watchdog};
use std::io;
use std::process::exit;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;
use tracing::{info, warn};

/// The exit code after a second signal, which ends the process at once.
const INTERRUPTED: i32 = 130;
/// Time between two looks at the files of the certificate.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(10);

/// The setting that a reload names.
const CERTIFICATE: &str = "tls_cert";

/// Reads the settings of the process again.
type ReadSettings = Box<dyn Fn() -> Result<Settings, String>>;

/// The way in which the server was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopAsked {
    /// By SIGTERM or SIGINT.
    BySignal,
    /// By the API.
    ByCall,
}

/// The signals that the process handles.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    watchdog: Watchdog,
    read_settings: ReadSettings,
    /// The reason for which the certificate could not be read the last time.
    wrong: Option<String>,
}

impl Signals {
    pub(super) fn new(hangup: Signal, read_settings: ReadSettings) -> io::Result<Self> {
        let [interrupt, terminate] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Self { hangup, interrupt, terminate, watchdog: Watchdog::new(), read_settings, wrong: None })
    }

    /// Stops the server at the first signal or call to stop, and ends the process at a second signal. Returns once the server
    /// has stopped.
    pub(super) async fn stop(&mut self, server: &Server) {
        let asked = tokio::select! {
            biased;
            () = server.stopped() => return,
            asked = self.next(server) => asked,
        };
        server.stop();
        tokio::select! {
            biased;
            () = server.stopped() => {}
            () = self.second(server, asked) => exit(INTERRUPTED),
            () = service_manager::stopping(server.heart()) => {}
        }
    }

    /// Waits for a second signal while the server stops. After a stop by a call the first one is what a supervisor sends to a
    /// process that is to end, and changes nothing; nor does another call.
    async fn second(&mut self, server: &Server, mut asked: StopAsked) {
        loop {
            match (asked, self.next(server).await) {
                (_, StopAsked::ByCall) => {}
                (StopAsked::BySignal, StopAsked::BySignal) => return,
                (StopAsked::ByCall, StopAsked::BySignal) => {
                    asked = StopAsked::BySignal;
                    info!("the server is stopping already, by a call; another signal ends it at once");
                }
            }
        }
    }

    /// Waits until the server is to stop. SIGHUP does not mean that: logrotate sends it, and so does a terminal that is
    /// closed. It has settings and certificate read again, as a call does.
    async fn next(&mut self, server: &Server) -> StopAsked {
        let mut looks = interval(CERTIFICATE_INTERVAL);
        loop {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => return StopAsked::BySignal,
                _ = self.terminate.recv() => return StopAsked::BySignal,
                // Before what can come without end.
                () = self.watchdog.tell(server.heart()) => {}
                _ = self.hangup.recv() => {
                    // What is wrong is in the log.
                    let _ = self.reload(server, "SIGHUP");
                }
                Some(request) = server.requested() => match request {
                    ServerRequest::Drain => return StopAsked::ByCall,
                    ServerRequest::Reload(done) => {
                        // The call may have ended.
                        let _ = done.send(self.reload(server, "reload"));
                    }
                },
                _ = looks.tick() => self.note_certificate(server.reload_certificate()),
            }
        }
    }

    /// Reads settings and certificate again, as a signal or a call has asked for, and logs what came of it. Nothing changes
    /// where anything is wrong.
    fn reload(&mut self, server: &Server, asked_by: &str) -> Result<Reload, String> {
        service_manager::reloading();
        info!("{asked_by}: settings and certificate are read again");
        let reloaded = self.reload_all(server);
        match &reloaded {
            Ok(Reload { changed, needs_restart }) if needs_restart.is_empty() => info!(?changed, "reloaded"),
            Ok(Reload { changed, needs_restart }) => {
                warn!(?changed, ?needs_restart, "reloaded, but for what is in use after a restart alone");
            }
            Err(wrong) => warn!("{wrong}; nothing is reloaded"),
        }
        service_manager::ready();
        reloaded
    }

    fn reload_all(&mut self, server: &Server) -> Result<Reload, String> {
        let (mut reload, certificate) = server.reload((self.read_settings)())?;
        if certificate == Some(Reloaded::Replaced) {
            reload.changed.push(CERTIFICATE.into());
        }
        self.note_certificate(certificate.map(Ok));
        Ok(reload)
    }

    /// Logs what came of reading the certificate again: once where it is the same as the last time.
    fn note_certificate(&mut self, reloaded: Option<Result<Reloaded, String>>) {
        if matches!(reloaded, Some(Ok(Reloaded::Replaced))) {
            info!("the certificate was replaced: new connections get the new one");
        }
        let wrong = reloaded.and_then(Result::err);
        if let Some(wrong) = wrong.as_ref().filter(|wrong| self.wrong.as_ref() != Some(wrong)) {
            warn!("{wrong}; the certificate before stays in use");
        }
        self.wrong = wrong;
    }
}
