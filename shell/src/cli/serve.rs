//! The command without a name: loads the settings and runs the server, or tells about the settings.

use super::settings_source::{SettingsSource, StartedWith};
use super::signals::Signals;
use crate::auth::Secret;
use crate::config::Invocation;
use crate::net::handed_sockets::HandedSockets;
use crate::observe::log;
use crate::server::{Server, raise_file_limit};
use crate::service_manager;
use clap::Command;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Does what the command line says: runs the server from start to stop, or tells about its settings. False where they are
/// wrong. `others` are the commands that `--help` lists, too.
///
/// # Errors
/// A sentence that says what is wrong, and what is allowed.
pub(super) fn serve(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    others: Vec<Command>,
) -> Result<bool, String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let entered = runtime.enter();
    let no_signals = |error: io::Error| format!("cannot wait for signals: {error}");
    // Before anything that takes time: SIGHUP is not meant to end the process.
    let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let source = SettingsSource::new(arguments, environment, others);
    let mut settings = match source.load()? {
        Invocation::Serve(settings) => *settings,
        Invocation::Print { text, is_right } => {
            log::print(io::stdout(), text);
            return Ok(is_right);
        }
    };
    let handed = HandedSockets::take()?;
    settings.listen_on(&handed)?;
    let started = StartedWith::of(&settings, &handed);
    // After loading: while a file of settings cannot be read to its end, a signal must still end the process.
    let mut signals = Signals::new(hangup, Box::new(move || source.load_again(&started))).map_err(no_signals)?;
    drop(entered);
    let mode = settings.mode();
    log::print(io::stdout(), format!("{mode}\n"));
    log::start(&settings.log_level, settings.log_format)?;
    raise_file_limit(&settings);
    for warning in settings.warnings() {
        warn!("{warning}");
    }
    settings.generate_key();
    let (generated, has_open_console) =
        (settings.generated_key.clone(), settings.console && settings.console_key.is_some());

    runtime.block_on(async {
        let server = Server::start_with(settings, handed)?;
        let (addresses, internal_addresses) = (server.addresses(), server.internal_addresses());
        info!(version = crate::VERSION, mode, ?addresses, ?internal_addresses, "listening");
        announce(&server, generated.as_ref(), has_open_console);
        service_manager::ready();
        signals.stop(&server).await;
        server.wait().map_err(|error| error.to_string())?;
        info!("stopped");
        Ok(true)
    })
}

/// Prints the addresses of the server, that of a console which needs no key, and a generated key. A script may wait for the
/// last line.
fn announce(server: &Server, generated: Option<&Secret<String>>, has_open_console: bool) {
    let scheme = if server.is_tls() { "https" } else { "http" };
    let (own_scheme, address) = match server.internal_addresses().first() {
        Some(internal) => ("http", *internal),
        None => (scheme, server.address()),
    };
    let mut text = String::new();
    if has_open_console {
        text += &format!(
            "Open {own_scheme}://{address}/ in a browser to send a first message and to see what happens.\n\n"
        );
    }
    if let Some(key) = generated {
        let key = key.expose();
        text += &format!(
            "This publishes to the room \"lobby\":\n\n  \
             curl -H 'X-API-Key: {key}' -d '{{\"channel\":\"lobby\",\"data\":\"hello\"}}' {own_scheme}://{address}/api/publish\n\n"
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
