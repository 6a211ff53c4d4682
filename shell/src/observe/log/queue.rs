//! The queue of lines, and the thread that writes them.

use super::repeats::{Repeats, WINDOW};
use super::text::escaped;
use crate::config::LogFormat;
use crate::runtime::clock::Clock;
use parlor_core::Instant;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// The most lines that wait to be written. Further lines are dropped and counted.
pub const QUEUED_LINES: usize = 4096;
/// The most bytes of lines that wait to be written. Further lines are dropped and counted.
pub const QUEUED_BYTES: usize = 1 << 20;

/// The queue of lines, which any thread may add to.
#[derive(Clone, Debug)]
pub(super) struct LogQueue {
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
    /// Whether lines that say the same as others are held back.
    holds: AtomicBool,
}

impl LogQueue {
    pub(super) fn new(file: impl Write + Send + 'static, format: LogFormat) -> io::Result<Self> {
        let (lines, queued) = sync_channel(QUEUED_LINES);
        let counts = Arc::new(LogCounts::default());
        let (repeats, clock) = (Repeats::new(format), Clock::new());
        let writer = LogWriter { file, repeats, clock, counts: counts.clone(), is_cut_off: false, reported: 0 };
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

    pub(super) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn count_dropped(&self, lines: u64) {
        self.counts.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn finish(&self, patience: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        // A line without anything asks for those that are held back. Where the queue is full, their time has come soon.
        let _ = self.lines.try_send(String::new());
        let steps = patience.as_millis() / STEP.as_millis();
        for _ in 0..steps {
            let LogCounts { waiting, holds, .. } = &*self.counts;
            if waiting.load(Ordering::Acquire) == 0 && !holds.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(STEP);
        }
    }
}

/// The writer of one event's line.
#[derive(Debug)]
pub(super) struct LineWriter<'a>(&'a LogQueue);

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

/// The thread that writes.
#[derive(Debug)]
struct LogWriter<W> {
    file: W,
    repeats: Repeats,
    clock: Clock,
    counts: Arc<LogCounts>,
    /// Whether the last line was not written to its end.
    is_cut_off: bool,
    /// Dropped lines that a line of the log has reported.
    reported: u64,
}

impl<W: Write> LogWriter<W> {
    fn run(mut self, queued: &Receiver<String>) {
        while let Ok(line) = self.next(queued) {
            let now = self.clock.now().mono;
            while let Some(sum) = self.repeats.due(now) {
                self.write_or_drop(&sum);
            }
            match line {
                Some(line) if line.is_empty() => self.write_held(),
                Some(line) => self.take(now, line),
                None => {}
            }
            self.counts.holds.store(self.repeats.holds(), Ordering::Release);
        }
    }

    /// The next line; None where none comes and lines that are held back may be due.
    fn next(&self, queued: &Receiver<String>) -> Result<Option<String>, RecvTimeoutError> {
        if !self.repeats.holds() {
            return queued.recv().map(Some).map_err(|_| RecvTimeoutError::Disconnected);
        }
        match queued.recv_timeout(WINDOW) {
            Err(RecvTimeoutError::Timeout) => Ok(None),
            line => line.map(Some),
        }
    }

    fn take(&mut self, now: Instant, line: String) {
        let bytes = line.len();
        let written = self.repeats.take(now, line).is_some_and(|line| self.write_or_drop(&line));
        self.counts.holds.store(self.repeats.holds(), Ordering::Release);
        // Reports dropped lines once a write succeeds and no other line waits. This line counts as waiting until then,
        // so that the process does not end before the report.
        if written && self.counts.waiting.load(Ordering::Acquire) == bytes {
            self.report_dropped();
        }
        self.counts.waiting.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Writes what is held back, though its time is not over.
    fn write_held(&mut self) {
        while !self.repeats.is_empty() {
            if let Some(sum) = self.repeats.end_first() {
                self.write_or_drop(&sum);
            }
        }
    }

    fn write_or_drop(&mut self, line: &str) -> bool {
        let written = self.write(line.as_bytes());
        if !written {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        written
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
        let queue = LogQueue::new(disk.clone(), LogFormat::Text).unwrap();
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
        let queue = LogQueue::new(pipe, LogFormat::Text).unwrap();
        for number in 0..10_000 {
            queue.make_writer().write_all(format!("{number:1000}\n").as_bytes()).unwrap();
        }
        assert!(dropped(&queue) > 5000, "{}", dropped(&queue));
        assert!(queue.counts.waiting.load(Ordering::Relaxed) <= QUEUED_BYTES);
        queue.finish(Duration::from_millis(20));
    }

    #[test]
    fn short_lines_are_bounded_by_their_number() {
        let (_unread, pipe) = UnixStream::pair().unwrap();
        let queue = LogQueue::new(pipe, LogFormat::Text).unwrap();
        // Fills what the system holds.
        queue.make_writer().write_all("x".repeat(QUEUED_BYTES / 2).as_bytes()).unwrap();
        (0..QUEUED_LINES + 2).for_each(|_| queue.make_writer().write_all(b"\n").unwrap());
        // The first text is in the queue, in the writer's hands, or on its way.
        assert!(matches!(dropped(&queue), 1..=3), "{}", dropped(&queue));
    }
}
