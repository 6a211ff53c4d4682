//! The signals that the process handles while it serves.

use crate::net::certificate::Reloaded;
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

/// The signals that the process handles.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    watchdog: Watchdog,
    /// The reason for which the certificate could not be read the last time.
    wrong: Option<String>,
}

impl Signals {
    pub(super) fn new(hangup: Signal) -> io::Result<Self> {
        let [interrupt, terminate] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Self { hangup, interrupt, terminate, watchdog: Watchdog::new(), wrong: None })
    }

    /// Stops the server at the first signal and ends the process at the second. Returns once the server has stopped.
    pub(super) async fn stop(&mut self, server: &Server) {
        tokio::select! {
            biased;
            () = server.stopped() => return,
            () = self.next(server) => server.stop(),
        }
        tokio::select! {
            biased;
            () = server.stopped() => {}
            () = self.next(server) => exit(INTERRUPTED),
            () = service_manager::stopping(server.heart()) => {}
        }
    }

    /// Waits for a signal to stop. SIGHUP is not one: logrotate sends it, and so does a terminal that is closed. It has the
    /// certificate read again, as time does.
    async fn next(&mut self, server: &Server) {
        let mut looks = interval(CERTIFICATE_INTERVAL);
        loop {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => {
                    service_manager::reloading();
                    let what = if server.is_tls() { "the certificate" } else { "nothing" };
                    info!("SIGHUP: {what} is reloaded; settings are read at the start only");
                    self.reload(server);
                    service_manager::ready();
                }
                _ = looks.tick() => self.reload(server),
                () = self.watchdog.tell(server.heart()) => {}
            }
        }
    }

    /// Has the certificate read again, and logs what came of it: once where it is the same as the last time.
    fn reload(&mut self, server: &Server) {
        let wrong = match server.reload_certificate() {
            None | Some(Ok(Reloaded::Unchanged)) => None,
            Some(Ok(Reloaded::Replaced)) => {
                info!("the certificate was replaced: new connections get the new one");
                None
            }
            Some(Err(wrong)) => Some(wrong),
        };
        if let Some(wrong) = wrong.as_ref().filter(|wrong| self.wrong.as_ref() != Some(wrong)) {
            warn!("{wrong}; the certificate before stays in use");
        }
        self.wrong = wrong;
    }
}
