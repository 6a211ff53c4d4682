//! The files of the input log. They are written by a thread of their own, so that no shard waits for a disk.

use crate::config::Settings;
use parlor_core::Now;
use parlor_core::input_log::InputLog;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// The files that a folder may have, so that calls do not fill the disk.
const FILES: usize = 32;
/// The end of their names.
const EXTENSION: &str = "inputs";

/// The input logs of one shard.
#[derive(Debug)]
pub(crate) struct InputLogs {
    folder: Option<PathBuf>,
    is_recorded: bool,
    /// Whether one that was asked for is being written.
    is_writing: Arc<AtomicBool>,
}

/// The turn of a log that was asked for: one is written at a time.
struct WritingTurn(Arc<AtomicBool>);

impl Drop for WritingTurn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A log that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenLog {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) steps: u64,
    /// The number of steps that were dropped before it.
    pub(crate) first_step: u64,
    /// The number of its last steps that can be run.
    pub(crate) run_steps: u64,
}

impl InputLogs {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            folder: settings.input_log_dir.as_ref().map(PathBuf::from),
            is_recorded: settings.input_log_bytes > 0,
            is_writing: Arc::default(),
        }
    }

    /// The folder for the next log.
    ///
    /// # Errors
    /// A sentence that says why none can be written.
    pub(crate) fn folder(&self) -> Result<PathBuf, String> {
        if !self.is_recorded {
            return Err("nothing is recorded, since input_log_bytes is 0".into());
        }
        let folder =
            self.folder.as_ref().ok_or("set input_log_dir to a folder that input logs are to be written to")?;
        if !folder.is_dir() {
            return Err(format!("{} (input_log_dir) is no folder; it must exist", folder.display()));
        }
        Ok(folder.clone())
    }

    /// Writes a log that was asked for to a new file. What is returned is told what comes of it. None where another one is being
    /// written.
    pub(crate) fn write(
        &self,
        folder: PathBuf,
        log: InputLog,
        now: Now,
    ) -> Option<oneshot::Receiver<Result<WrittenLog, String>>> {
        if self.is_writing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let turn = WritingTurn(self.is_writing.clone());
        let (done, is_done) = oneshot::channel();
        write_aside(folder, log, now, move |result| {
            drop(turn);
            // Who asked may be gone.
            let _ = done.send(result);
        });
        Some(is_done)
    }

    /// Writes the log of a shard in which an invariant broke. It waits for no turn: a shard has only one such log, and what was
    /// asked for before lacks the step that matters.
    pub(crate) fn write_last(&self, folder: PathBuf, log: InputLog, now: Now) {
        write_aside(folder, log, now, |_| ());
    }
}

/// Writes a log to a new file by a thread of its own, logs what comes of it, and tells `done`.
fn write_aside(
    folder: PathBuf,
    log: InputLog,
    now: Now,
    done: impl FnOnce(Result<WrittenLog, String>) + Send + 'static,
) {
    let write = move || {
        let result = write(&folder, &log, now);
        match &result {
            Ok(written) => info!(file = written.file, steps = written.steps, "the input log is written"),
            Err(wrong) => warn!(wrong, "the input log is not written"),
        }
        done(result);
    };
    if let Err(error) = thread::Builder::new().name("input log".into()).spawn(write) {
        warn!(%error, "the input log is not written: there is no thread for it");
    }
}

/// Writes a log to a new file.
///
/// # Errors
/// A sentence that names the folder, and what is wrong.
fn write(folder: &Path, log: &InputLog, now: Now) -> Result<WrittenLog, String> {
    let failed = |error: io::Error| format!("{} (input_log_dir): {error}", folder.display());
    let known = fs::read_dir(folder).map_err(failed)?;
    let is_log = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == EXTENSION);
    if known.filter_map(Result::ok).filter(is_log).count() >= FILES {
        return Err(format!("{} (input_log_dir) has {FILES} input logs already; remove some", folder.display()));
    }
    let path = folder.join(name(log, now));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let bytes = write_parts(&mut file, log).map_err(|error| {
        // A part of a log is of no use, and the disk may be full.
        let _ = fs::remove_file(&path);
        failed(error)
    })?;
    Ok(WrittenLog {
        file: path.display().to_string(),
        bytes,
        steps: log.steps(),
        first_step: log.first_step(),
        run_steps: log.run_steps(),
    })
}

fn write_parts(file: &mut File, log: &InputLog) -> io::Result<u64> {
    let mut bytes = 0;
    for part in log.parts() {
        file.write_all(&part)?;
        bytes += part.len() as u64;
    }
    file.sync_all()?;
    Ok(bytes)
}

/// The name of a log of this time: `parlor-20260101T000000.000Z-PID-STEPS.inputs`. A shard makes steps between two calls.
fn name(log: &InputLog, now: Now) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(now.unix_ms);
    let time: String =
        humantime::format_rfc3339_millis(time).to_string().chars().filter(|char| !matches!(char, '-' | ':')).collect();
    format!("parlor-{time}-{}-{}.{EXTENSION}", process::id(), log.first_step() + log.steps())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_core::Config;
    use parlor_core::input_log::InputRecorder;

    #[test]
    fn the_last_log_of_a_shard_waits_for_no_other() {
        let folder = std::env::temp_dir().join(format!("parlor-{}-last-log", process::id()));
        fs::create_dir(&folder).unwrap();
        let dir = Some(folder.to_str().unwrap().into());
        let logs = InputLogs::new(&Settings { input_log_dir: dir, ..Settings::default() });
        let log = || InputRecorder::new(&Config::default(), [0; 32], 1 << 20, false).log_of_broken();
        let turn = WritingTurn(logs.is_writing.clone());
        logs.is_writing.store(true, Ordering::Release);
        assert!(logs.write(folder.clone(), log(), Now::default()).is_none(), "another one is being written");
        logs.write_last(folder.clone(), log(), Now::default());
        let is_there = || fs::read_dir(&folder).unwrap().count() == 1;
        for _ in 0..5000 {
            if !is_there() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(is_there(), "the last log is not written");
        drop(turn);
        let later = Now { unix_ms: 1, ..Now::default() };
        let written = logs.write(folder.clone(), log(), later).unwrap().blocking_recv().unwrap();
        assert!(written.is_ok(), "{written:?}");
        assert!(!logs.is_writing.load(Ordering::Acquire), "the next one may be written");
        fs::remove_dir_all(&folder).unwrap();
    }
}
