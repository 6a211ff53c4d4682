//! The server as a program: settings in, one line on standard output when it is ready, signals to end it.

use mimalloc::MiMalloc;
use parlor::config::Settings;
use parlor::secret::Secret;
use parlor::server::{Server, raise_file_limit};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic;
use std::process::{ExitCode, exit};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, warn};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What a second signal ends the process with: it did not end in order.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("parlor: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut settings = Settings::load(std::env::args_os(), std::env::vars_os())?;
    print(&format!("{}\n", settings.mode()));
    parlor::start_log(settings.log_level, settings.log_format)?;
    panic::set_hook(Box::new(|panic| error!("{panic}")));
    raise_file_limit(&settings);
    for doubt in settings.doubts() {
        warn!("{doubt}");
    }
    settings.make_up_key();
    let made_up = settings.made_up_key.clone();

    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| format!("cannot wait for signals: {error}"))?;
        let server = Server::start(settings)?;
        announce(server.address(), made_up.as_ref());
        signals.stop(&server).await;
        server.wait().map_err(|error| error.to_string())
    })
}

/// Says where the server is. A script may wait for the last line.
fn announce(address: SocketAddr, made_up: Option<&Secret<String>>) {
    let mut text = String::new();
    if let Some(key) = made_up {
        let key = key.expose();
        text += &format!(
            "Whoever can connect may do everything. This publishes to the room \"lobby\":\n\n  \
             curl -H 'X-API-Key: {key}' -d '{{\"channel\":\"lobby\",\"data\":\"hello\"}}' http://{address}/api/publish\n\n"
        );
    }
    text += &format!("parlor is listening on http://{address}\n");
    print(&text);
}

/// Writes to standard output. Nobody has to read it.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
    let _ = io::stdout().flush();
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
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

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
