//! Lines that say the same again within a while: the first one is written, the others are counted and summed up.

use crate::config::LogFormat;
use parlor_core::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The time after a line in which lines that say the same are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// The most lines that are compared with. Where others come in between, a line is written again.
const KINDS: usize = 8;

/// The lines of the last [`WINDOW`].
#[derive(Debug)]
pub(super) struct Repeats {
    format: LogFormat,
    /// Oldest first.
    recent: VecDeque<RecentLine>,
}

/// A line that was written, and those after it that say the same.
#[derive(Debug)]
struct RecentLine {
    since: Instant,
    /// The last one.
    line: String,
    /// Number of lines that were not written.
    held: u64,
}

impl Repeats {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, recent: VecDeque::new() }
    }

    /// Takes a line. Returns it unless it says what another one has just said. What is due has to be taken before.
    pub(super) fn take(&mut self, now: Instant, line: String) -> Option<String> {
        let said = self.format.words(&line);
        if let Some(known) = self.recent.iter_mut().find(|known| self.format.words(&known.line) == said) {
            known.held += 1;
            known.line = line;
            return None;
        }
        self.recent.push_back(RecentLine { since: now, line: line.clone(), held: 0 });
        Some(line)
    }

    /// The sum of lines that were held, where their time is over or there are too many others. None where nothing is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<String> {
        // One that came once makes room for others before one that comes again and again.
        if self.recent.len() > KINDS
            && let Some(once) = self.recent.iter().position(|recent| recent.held == 0)
        {
            self.recent.remove(once);
        }
        while let Some(first) = self.recent.front()
            && (self.recent.len() > KINDS || now.since(first.since) >= WINDOW)
        {
            if let Some(sum) = self.end_first() {
                return Some(sum);
            }
        }
        None
    }

    /// The sum of the lines that are held for the longest, though their time is not over. None where no line is held.
    pub(super) fn end_first(&mut self) -> Option<String> {
        let RecentLine { line, held, .. } = self.recent.pop_front()?;
        match held {
            0 => None,
            1 => Some(line),
            _ => Some(self.format.with_count(&line, held)),
        }
    }

    /// Whether the log is to be written on though no line comes.
    pub(super) fn holds(&self) -> bool {
        self.recent.iter().any(|recent| recent.held > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }
}

impl LogFormat {
    /// The part of a line behind its time, which all of them have in the same form.
    fn words(self, line: &str) -> &str {
        const TIME: usize = "2026-01-01T00:00:00.000000Z".len();
        let after_time = match self {
            Self::Text => TIME,
            Self::Json => TIME + r#"{"time":"""#.len(),
        };
        line.get(after_time..).unwrap_or_default()
    }

    /// The line with the number of lines that it stands for.
    fn with_count(self, line: &str, lines: u64) -> String {
        let line = line.trim_end();
        match self {
            Self::Text => format!("{line} repeated={lines}\n"),
            Self::Json => format!("{},\"repeated\":{lines}}}\n", line.strip_suffix('}').unwrap_or(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant(0).after(Duration::from_millis(milliseconds))
    }

    fn line(second: u32, words: &str) -> String {
        format!("2026-01-01T00:00:{second:02}.000000Z {words}\n")
    }

    #[test]
    fn a_line_that_comes_again_and_again_is_summed_up_each_second() {
        let mut repeats = Repeats::new(LogFormat::Text);
        let same = |second| line(second, " WARN parlor: no");
        assert_eq!(repeats.take(at(0), same(0)), Some(same(0)));
        for _ in 0..40 {
            assert_eq!(repeats.due(at(500)), None);
            assert_eq!(repeats.take(at(500), same(0)), None);
        }
        assert_eq!(repeats.take(at(500), line(0, "another")), Some(line(0, "another")), "others are written meanwhile");
        assert_eq!(repeats.take(at(999), same(1)), None);
        assert!(repeats.holds());
        assert_eq!(repeats.due(at(1000)), Some(line(1, " WARN parlor: no repeated=41")), "with the last one's time");
        assert_eq!(repeats.due(at(1000)), None);
        assert!(!repeats.holds());
        assert_eq!(repeats.take(at(1001), same(1)), Some(same(1)));
    }

    #[test]
    fn a_line_that_comes_twice_is_written_twice() {
        let mut repeats = Repeats::new(LogFormat::Text);
        assert!(repeats.take(at(0), line(0, "a")).is_some());
        assert_eq!(repeats.take(at(1), line(1, "a")), None);
        assert_eq!(repeats.end_first(), Some(line(1, "a")));
        assert!(repeats.is_empty());
    }

    #[test]
    fn a_line_that_comes_again_is_summed_up_among_many_others() {
        let mut repeats = Repeats::new(LogFormat::Text);
        let mut written = 0;
        for number in 0..100 {
            for words in ["again", &number.to_string()] {
                assert_eq!(repeats.due(at(1)), None);
                written += usize::from(repeats.take(at(1), line(0, words)).is_some());
            }
        }
        assert_eq!(written, 101);
        assert!(repeats.recent.len() <= KINDS + 1);
        assert_eq!(repeats.due(at(1001)), Some(line(0, "again repeated=99")));
    }

    #[test]
    fn only_the_last_few_lines_are_kept() {
        let mut repeats = Repeats::new(LogFormat::Text);
        let mut written = 0;
        for number in 0..100 {
            for _ in 0..2 {
                written += usize::from(repeats.due(at(1)).is_some());
                written += usize::from(repeats.take(at(1), line(0, &number.to_string())).is_some());
            }
            assert!(repeats.recent.len() <= KINDS + 1);
        }
        written += std::iter::from_fn(|| repeats.due(at(1001))).count();
        assert_eq!(written, 200, "what is held back makes room by being written");
    }

    #[test]
    fn a_sum_in_json_is_json() {
        let mut repeats = Repeats::new(LogFormat::Json);
        let line = "{\"time\":\"2026-01-01T00:00:00.000000Z\",\"level\":\"warn\",\"event\":\"no\"}\n";
        assert!(repeats.take(at(0), line.into()).is_some());
        assert_eq!((repeats.take(at(0), line.into()), repeats.take(at(0), line.into())), (None, None));
        let sum: serde_json::Value = serde_json::from_str(&repeats.end_first().unwrap()).unwrap();
        assert_eq!((&sum["repeated"], &sum["event"]), (&2.into(), &"no".into()));
    }
}
