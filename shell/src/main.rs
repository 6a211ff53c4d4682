//! The program `parlor`: loads the settings, runs a server, prints a line once it listens, and stops on signals.

use mimalloc::MiMalloc;
use parlor::auth::Secret;
use parlor::config::Invocation;
use parlor::observe::log;
use parlor::server::{Server, raise_file_limit};
use std::io;
use std::net::SocketAddr;
use std::process::{ExitCode, exit};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The exit code after a second signal, which ends the process at once.
const INTERRUPTED: i32 = 130;

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
    // After loading: while a file of settings cannot be read to its end, a signal must still end the process.
    let mut signals = Signals::new(hangup).map_err(no_signals)?;
    drop(entered);
    let mode = settings.mode();
    log::print(io::stdout(), format!("{mode}\n"));
    log::start(settings.log_level, settings.log_format)?;
    raise_file_limit(&settings);
    for warning in settings.warnings() {
        warn!("{warning}");
    }
    settings.generate_key();
    let generated = settings.generated_key.clone();

    runtime.block_on(async {
        let server = Server::start(settings)?;
        info!(version = parlor::VERSION, mode, addresses = ?server.addresses(), "listening");
        announce(server.addresses(), generated.as_ref());
        signals.stop(&server).await;
        server.wait().map_err(|error| error.to_string())?;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints the addresses of the server, and a generated key. A script may wait for the last line.
fn announce(addresses: &[SocketAddr], generated: Option<&Secret<String>>) {
    let mut text = String::new();
    if let Some(key) = generated {
        let (key, address) = (key.expose(), addresses[0]);
        text += &format!(
            "This publishes to the room \"lobby\":\n\n  \
             curl -H 'X-API-Key: {key}' -d '{{\"channel\":\"lobby\",\"data\":\"hello\"}}' http://{address}/api/publish\n\n"
        );
    }
    let addresses: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    text += &format!("parlor is listening on {}\n", addresses.join(" and "));
    log::print(io::stdout(), text);
}

/// The signals that the process handles.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new(hangup: Signal) -> io::Result<Self> {
        Ok(Self { hangup, interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Stops the server at the first signal and ends the process at the second. Returns once the server has stopped.
    async fn stop(&mut self, server: &Server) {
        tokio::select! {
            biased;
            () = server.stopped() => return,
            () = self.next() => server.stop(),
        }
        tokio::select! {
            biased;
            () = server.stopped() => {}
            () = self.next() => exit(INTERRUPTED),
        }
    }

    /// Waits for a signal to stop. SIGHUP is not one: logrotate sends it, and so does a terminal that is closed.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => info!("SIGHUP: nothing is reloaded; settings are read at the start only"),
            }
        }
    }
}
