//! The figures of the process that every exporter of Prometheus has, from `/proc`: absent where there is none.

use super::exposition::Exposition;
use crate::observe::descriptors;
use std::fs;
use std::sync::OnceLock;

/// Clock ticks a second in `/proc`, on every architecture that Rust has a Linux target for (proc(5), `USER_HZ`).
const TICKS: f64 = 100.0;

/// Writes the figures of this process.
pub(super) fn write(page: &mut Exposition) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    // Once: the kernel reckons the time of the boot from its calendar, which may be set.
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    let started = || Some(number_behind(&read("/proc/stat"), "btime")? + seconds(&stat, 22)?);
    if let Some(started) = *STARTED.get_or_init(started) {
        page.gauge("process_start_time_seconds", "Time at which the process started, since 1970.", started);
    }
    if let (Some(user), Some(system)) = (seconds(&stat, 14), seconds(&stat, 15)) {
        page.seconds("process_cpu_seconds", "Processor time of the process.", user + system);
    }
    for (field, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory of the process that is in RAM."),
        ("VmSize:", "process_virtual_memory_bytes", "Address space of the process."),
    ] {
        if let Some(kibibytes) = number_behind(&status, field) {
            page.gauge(name, help, kibibytes * 1024.0);
        }
    }
    if let Some(open) = descriptors::open() {
        page.gauge("process_open_fds", "Open file descriptors.", open as f64);
    }
    if let Some(most) = descriptors::most() {
        page.gauge("process_max_fds", "File descriptors that may be open.", most as f64);
    }
}

/// A field of `/proc/self/stat` that counts clock ticks, by its number in proc(5). The second field is a name in parentheses,
/// which may contain anything.
fn seconds(stat: &str, field: usize) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let ticks: f64 = behind_name.split_ascii_whitespace().nth(field - 3)?.parse().ok()?;
    Some(ticks / TICKS)
}

fn number_behind(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 95 0 0 0 250 50 0 0 20 0 5 0 12345 1000 200";
        assert_eq!([14, 15, 22].map(|field| seconds(stat, field)), [Some(2.5), Some(0.5), Some(123.45)]);
        assert_eq!(seconds("7 (a", 14), None);
    }

    #[test]
    fn memory_is_read_from_its_line() {
        assert_eq!(number_behind("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(number_behind("Name:\tx\n", "VmRSS:"), None);
    }
}
