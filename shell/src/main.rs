//! The program `parlor`: loads the settings, runs a server, prints a line once it listens, and stops on signals.

use mimalloc::MiMalloc;
use parlor::auth::Secret;
use parlor::config::Invocation;
use parlor::net::certificate::Reloaded;
use parlor::net::handed_sockets::HandedSockets;
use parlor::observe::log;
use parlor::server::{Server, raise_file_limit};
use parlor::service_manager::{self, Watchdog};
use std::io;
use std::net::SocketAddr;
use std::process::{ExitCode, exit};
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The exit code after a second signal, which ends the process at once.
const INTERRUPTED: i32 = 130;
/// Time between two looks at the files of the certificate.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let result = run();
    log::finish();
    match result {
        Ok(code) => code,
        Err(wrong) => {
            log::print(io::stderr(), format!("parlor: {wrong}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Does what the command line says: runs the server from start to stop, or tells about its settings.
fn run() -> Result<ExitCode, String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let entered = runtime.enter();
    let no_signals = |error: io::Error| format!("cannot wait for signals: {error}");
    // Before anything that takes time: SIGHUP is not meant to end the process.
    let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let mut settings = match Invocation::load(std::env::args_os(), std::env::vars_os())? {
        Invocation::Serve(settings) => *settings,
        Invocation::Print { text, is_right } => {
            log::print(io::stdout(), text);
            return Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    };
    let handed = HandedSockets::take()?;
    settings.listen_on(&handed)?;
    // After loading: while a file of settings cannot be read to its end, a signal must still end the process.
    let mut signals = Signals::new(hangup).map_err(no_signals)?;
    drop(entered);
    let mode = settings.mode();
    log::print(io::stdout(), format!("{mode}\n"));
    log::start(&settings.log_level, settings.log_format)?;
    raise_file_limit(&settings);
    for warning in settings.warnings() {
        warn!("{warning}");
    }
    settings.generate_key();
    let generated = settings.generated_key.clone();

    runtime.block_on(async {
        let server = Server::start_with(settings, handed)?;
        let (addresses, internal_addresses) = (server.addresses(), server.internal_addresses());
        info!(version = parlor::VERSION, mode, ?addresses, ?internal_addresses, "listening");
        announce(&server, generated.as_ref());
        service_manager::ready();
        signals.stop(&server).await;
        server.wait().map_err(|error| error.to_string())?;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints the addresses of the server, and a generated key. A script may wait for the last line.
fn announce(server: &Server, generated: Option<&Secret<String>>) {
    let scheme = if server.is_tls() { "https" } else { "http" };
    let mut text = String::new();
    if let Some(key) = generated {
        let key = key.expose();
        let (scheme, address) = match server.internal_addresses().first() {
            Some(internal) => ("http", *internal),
            None => (scheme, server.address()),
        };
        text += &format!(
            "This publishes to the room \"lobby\":\n\n  \
             curl -H 'X-API-Key: {key}' -d '{{\"channel\":\"lobby\",\"data\":\"hello\"}}' {scheme}://{address}/api/publish\n\n"
        );
    }
    let urls = |scheme: &str, addresses: &[SocketAddr]| -> String {
        addresses.iter().map(|address| format!("{scheme}://{address}")).collect::<Vec<_>>().join(" and ")
    };
    if !server.internal_addresses().is_empty() {
        text += &format!("backends and operators are answered on {}\n", urls("http", server.internal_addresses()));
    }
    text += &format!("parlor is listening on {}\n", urls(scheme, server.addresses()));
    log::print(io::stdout(), text);
}

/// The signals that the process handles.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    watchdog: Watchdog,
    /// The reason for which the certificate could not be read the last time.
    wrong: Option<String>,
}

impl Signals {
    fn new(hangup: Signal) -> io::Result<Self> {
        let [interrupt, terminate] = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Self { hangup, interrupt, terminate, watchdog: Watchdog::new(), wrong: None })
    }

    /// Stops the server at the first signal and ends the process at the second. Returns once the server has stopped.
    async fn stop(&mut self, server: &Server) {
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
