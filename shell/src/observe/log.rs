//! The log. Lines go through a bounded queue to a thread that writes them, so that a log that cannot be written costs its
//! lines and nothing else. A pipe without a reader blocks that thread only; a failed write drops its line.

use crate::config::{LogFormat, LogLevel};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;
use tracing::{error, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The most lines that wait to be written. Further lines are dropped and counted.
pub const QUEUED_LINES: usize = 4096;
/// The most bytes of lines that wait to be written. Further lines are dropped and counted.
pub const QUEUED_BYTES: usize = 1 << 20;
/// Time that the process waits at its end for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of this process, once [`start`] was called.
static LOG: OnceLock<LogQueue> = OnceLock::new();

/// Sends the log to standard error, and panics to the log.
///
/// # Errors
/// If there is a log already, or the system gives it no thread.
pub fn start(level: LogLevel, format: LogFormat) -> Result<(), String> {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let file = File::from(io::stderr().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?);
    let queue = LogQueue::new(file).map_err(|error| format!("cannot start a thread: {error}"))?;
    LOG.set(queue.clone()).map_err(|_| "there is a log already")?;
    // The library would print its own errors to standard error, and panic where that is closed.
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_writer(queue).with_ansi(false).log_internal_errors(false);
    match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    }
    .map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(|panic| {
        error!("{panic}");
        // A panic of this thread ends the process.
        if thread::current().name() == Some("main") {
            finish();
        }
    }));
    Ok(())
}

/// Number of lines that could not be written since the process began.
#[must_use]
pub fn dropped() -> u64 {
    LOG.get().map_or(0, |log| log.counts.dropped.load(Ordering::Relaxed))
}

/// Counts lines that were dropped before they came here.
pub(super) fn count_dropped(lines: u64) {
    if let Some(log) = LOG.get() {
        log.counts.dropped.fetch_add(lines, Ordering::Relaxed);
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

/// The queue of lines, which any thread may add to.
#[derive(Clone, Debug)]
struct LogQueue {
    lines: SyncSender<String>,
    counts: Arc<LogCounts>,
}

/// Figures of the log, shared with the thread that writes.
#[derive(Debug, Default)]
struct LogCounts {
    /// Bytes of lines in the queue, and of the one that is being written.
    waiting: AtomicUsize,
    /// Lines that were not written to their end.
    dropped: AtomicU64,
}

impl LogQueue {
    fn new(file: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, queued) = sync_channel(QUEUED_LINES);
        let counts = Arc::new(LogCounts::default());
        let writer = LogWriter { file, counts: counts.clone(), is_cut_off: false, reported: 0 };
        thread::Builder::new().name("log".into()).spawn(move || writer.run(&queued))?;
        Ok(Self { lines, counts })
    }

    /// Queues a line, or drops it. Never waits.
    fn push(&self, line: String) {
        let bytes = line.len();
        let waiting = self.counts.waiting.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if waiting > QUEUED_BYTES || self.lines.try_send(line).is_err() {
            self.counts.waiting.fetch_sub(bytes, Ordering::AcqRel);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn finish(&self, patience: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let steps = patience.as_millis() / STEP.as_millis();
        for _ in 0..steps {
            if self.counts.waiting.load(Ordering::Acquire) == 0 {
                return;
            }
            thread::sleep(STEP);
        }
    }
}

/// The writer of one event's line.
#[derive(Debug)]
struct LineWriter<'a>(&'a LogQueue);

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

impl Write for LineWriter<'_> {
    /// Queues the whole line of an event, which the library writes in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        self.0.push(escaped(text).into_owned() + "\n");
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Text on one line without characters that control a terminal or the direction of text: control characters, line
/// separators, bidirectional controls and invisible characters are escaped as in JSON, so that a line in JSON stays valid.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            // Each of them has at most four digits.
            _ if is_unsafe(character) => write!(safe, "\\u{:04x}", u32::from(character)).expect("memory takes it"),
            _ => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// The thread that writes.
#[derive(Debug)]
struct LogWriter<W> {
    file: W,
    counts: Arc<LogCounts>,
    /// Whether the last line was not written to its end.
    is_cut_off: bool,
    /// Dropped lines that a line of the log has reported.
    reported: u64,
}

impl<W: Write> LogWriter<W> {
    fn run(mut self, queued: &Receiver<String>) {
        for line in queued {
            let written = self.write(line.as_bytes());
            if !written {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // Reports dropped lines once a write succeeds and no other line waits. This line counts as waiting until then,
            // so that the process does not end before the report.
            if written && self.counts.waiting.load(Ordering::Acquire) == line.len() {
                self.report_dropped();
            }
            self.counts.waiting.fetch_sub(line.len(), Ordering::AcqRel);
        }
    }

    /// Writes a line. False if it was not written to its end.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.is_cut_off && self.file.write_all(b"\n").is_err() {
            return false;
        }
        self.is_cut_off = false;
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(bytes @ 1..) => rest = &rest[bytes..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    self.is_cut_off = rest.len() < line.len();
                    return false;
                }
            }
        }
        true
    }

    /// Logs the number of lines that were dropped since the last report.
    fn report_dropped(&mut self) {
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        let lines = dropped - self.reported;
        self.reported = dropped;
        if lines > 0 {
            warn!(lines, "log lines were dropped, because they could not be written in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;

    /// A file that takes so many more bytes.
    #[derive(Clone, Debug)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn with_room_for(bytes: usize) -> Self {
            Self(Arc::new(Mutex::new((bytes, Vec::new()))))
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, written) = &mut *self.0.lock().unwrap();
            let taken = bytes.len().min(*room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= taken;
            written.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn put(queue: &LogQueue, line: &str) {
        queue.make_writer().write_all(line.as_bytes()).unwrap();
        queue.finish(Duration::from_secs(20));
    }

    fn dropped(queue: &LogQueue) -> u64 {
        queue.counts.dropped.load(Ordering::Relaxed)
    }

    #[test]
    fn a_full_disk_loses_its_lines_and_later_lines_are_complete() {
        let disk = Disk::with_room_for(8);
        let queue = LogQueue::new(disk.clone()).unwrap();
        for line in ["one\n", "second\n", "third\n"] {
            put(&queue, line);
        }
        assert_eq!((disk.text().as_str(), dropped(&queue)), ("one\nseco", 2));
        disk.0.lock().unwrap().0 = 100;
        put(&queue, "fourth\n");
        assert_eq!((disk.text().as_str(), dropped(&queue)), ("one\nseco\nfourth\n", 2));
    }

    #[test]
    fn a_pipe_without_a_reader_blocks_no_other_thread() {
        let (_unread, pipe) = UnixStream::pair().unwrap();
        let queue = LogQueue::new(pipe).unwrap();
        let line = "x".repeat(1000) + "\n";
        for _ in 0..10_000 {
            queue.make_writer().write_all(line.as_bytes()).unwrap();
        }
        assert!(dropped(&queue) > 5000, "{}", dropped(&queue));
        assert!(queue.counts.waiting.load(Ordering::Relaxed) <= QUEUED_BYTES);
        queue.finish(Duration::from_millis(20));
    }

    #[test]
    fn short_lines_are_bounded_by_their_number() {
        let (_unread, pipe) = UnixStream::pair().unwrap();
        let queue = LogQueue::new(pipe).unwrap();
        // Fills what the system holds.
        queue.make_writer().write_all("x".repeat(QUEUED_BYTES / 2).as_bytes()).unwrap();
        (0..QUEUED_LINES + 2).for_each(|_| queue.make_writer().write_all(b"\n").unwrap());
        // The first text is in the queue, in the writer's hands, or on its way.
        assert!(matches!(dropped(&queue), 1..=3), "{}", dropped(&queue));
    }

    #[test]
    fn text_from_outside_stays_on_its_line_and_steers_no_terminal() {
        for (text, safe) in [
            ("ends\n2026-01-01T00:00:00Z  INFO forged", "ends\\n2026-01-01T00:00:00Z  INFO forged"),
            ("\r\t\0\x1b[2J\x7f\u{85}\u{9b}31m", "\\r\\t\\u0000\\u001b[2J\\u007f\\u0085\\u009b31m"),
            ("\u{2028}\u{2029}", "\\u2028\\u2029"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
                "\\u202a\\u202e\\u2066\\u2069\\u200e\\u200f\\u061c",
            ),
            ("\u{200b}\u{2060}\u{feff}", "\\u200b\\u2060\\ufeff"),
            ("plain, \"quoted\", \\n, عربى, 👩\u{200d}👧", "plain, \"quoted\", \\n, عربى, 👩\u{200d}👧"),
        ] {
            assert_eq!(escaped(text), safe, "{text:?}");
        }
    }

    #[test]
    fn an_escaped_line_of_json_says_the_same() {
        let text = "a\n\u{1b}\u{7f}\u{9b}\u{2028}\u{202e}\u{feff}b";
        let line = serde_json::to_string(text).unwrap();
        let safe = escaped(&line);
        assert!(!safe.contains(is_unsafe));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
