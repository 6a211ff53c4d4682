//! The log. Lines go through a bounded queue to a thread that writes them, so that a log that cannot be written costs its
//! lines and nothing else. A pipe without a reader blocks that thread only; a failed write drops its line.

mod format;
mod queue;
mod repeats;
mod text;

use crate::config::{LogArea, LogFormat, LogLevel, LogLevels};
use format::{CRATE, JsonLines};
use queue::LogQueue;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;
use tracing::error;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use queue::{QUEUED_BYTES, QUEUED_LINES};
pub(crate) use text::escaped;

// The targets of lines, by area. Those of the area `server` have the default: the path of their module.
pub(crate) const ALERTS: &str = LogArea::Alerts.name();
pub(crate) const API: &str = LogArea::Api.name();
pub(crate) const AUTH: &str = LogArea::Auth.name();
pub(crate) const CONNECTIONS: &str = LogArea::Connections.name();
pub(crate) const REFUSALS: &str = LogArea::Refusals.name();

/// Time that the process waits at its end for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of this process, once [`start`] was called.
static LOG: OnceLock<LogQueue> = OnceLock::new();

/// Sends the log to standard error, and panics to the log.
///
/// # Errors
/// If there is a log already, or the system gives it no thread.
pub fn start(levels: &LogLevels, format: LogFormat) -> Result<(), String> {
    let file = File::from(io::stderr().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?);
    let queue = LogQueue::new(file, format).map_err(|error| format!("cannot start a thread: {error}"))?;
    LOG.set(queue.clone()).map_err(|_| "there is a log already")?;
    // The library would print its own errors to standard error, and panic where that is closed.
    let lines = tracing_subscriber::fmt::layer().with_writer(queue).with_ansi(false).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.event_format(JsonLines).boxed(),
    };
    let log = tracing_subscriber::registry().with(lines.with_filter(targets(levels)));
    log.try_init().map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(|panic| {
        error!("{panic}");
        // A panic of this thread ends the process.
        if thread::current().name() == Some("main") {
            finish();
        }
    }));
    Ok(())
}

/// The filter that lets the lines of each area pass from its level on.
fn targets(levels: &LogLevels) -> Targets {
    let areas = LogArea::ALL.into_iter().filter(|area| *area != LogArea::Server);
    let areas = areas.map(|area| (area.name(), filter(levels.of(area))));
    Targets::new()
        .with_default(filter(levels.default))
        .with_target(CRATE, filter(levels.of(LogArea::Server)))
        .with_targets(areas)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Number of lines that could not be written since the process began.
#[must_use]
pub fn dropped() -> u64 {
    LOG.get().map_or(0, LogQueue::dropped)
}

/// Counts lines that were dropped before they came here.
pub(super) fn count_dropped(lines: u64) {
    if let Some(log) = LOG.get() {
        log.count_dropped(lines);
    }
}

/// Waits until every line is written, at most a second.
pub fn finish() {
    if let Some(log) = LOG.get() {
        log.finish(LAST_LINES);
    }
}

/// Writes text to a stream, and waits at most a second. The stream may be closed, full, or a pipe without a reader.
pub fn print(stream: impl Write + Send + 'static, text: String) {
    let mut stream = stream;
    let (done, is_done) = sync_channel(1);
    let writer = thread::Builder::new().name("output".into()).spawn(move || {
        // An error cannot be reported anywhere else.
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
        let _ = done.send(());
    });
    if writer.is_ok() {
        let _ = is_done.recv_timeout(LAST_LINES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_level_of_an_area_holds_for_its_lines_alone() {
        let levels = LogLevels {
            default: LogLevel::Warn,
            areas: vec![(LogArea::Connections, LogLevel::Debug), (LogArea::Server, LogLevel::Off)],
        };
        let targets = targets(&levels);
        assert!(targets.would_enable(CONNECTIONS, &Level::DEBUG) && !targets.would_enable(CONNECTIONS, &Level::TRACE));
        assert!(targets.would_enable(API, &Level::WARN) && !targets.would_enable(API, &Level::INFO));
        assert!(!targets.would_enable("parlor::runtime::thread", &Level::ERROR));
        assert!(targets.would_enable("rustls", &Level::WARN), "other crates have the level of all");
    }
}
