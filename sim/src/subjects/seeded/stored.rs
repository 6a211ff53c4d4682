//! The stored trace of a defect: the shortest one that shows it, kept as a file, so that the defect is noticed whatever
//! random runs draw.

use super::defect::{DefectiveMachine, FoundBy, Seeded};
use super::hunt::Find;
use crate::search::report::COMMAND;
use crate::search::shrink::{shorten, shrink};
use crate::world::setup::CheckedBy;
use std::path::{Path, PathBuf};

impl Seeded {
    /// Whether a trace of it is stored. A defect that no random run looks for has its trace beside it in the source.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.search, FoundBy::Seeds(_))
    }

    /// The file of the trace that shows it to this checker, in a folder of such traces. Those that one checker alone
    /// notices are in a folder of its name.
    #[must_use]
    pub fn file(&self, folder: &Path, checked_by: CheckedBy) -> PathBuf {
        let folder = match checked_by {
            CheckedBy::All => folder.to_owned(),
            _ => folder.join(checked_by.to_string()),
        };
        folder.join(self.name).with_extension("trace")
    }

    /// Reads its stored trace from this folder and replays it.
    ///
    /// # Errors
    /// There is no such trace, or it does not show the defect: what was seen instead.
    pub fn show_stored(&self, folder: &Path, checked_by: CheckedBy) -> Result<Find, String> {
        let file = self.file(folder, checked_by);
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let find = self.show(text.parse()?)?;
        self.demand(&find, checked_by)?;
        Ok(find)
    }

    /// Looks for it by random runs, makes the trace short and stores it in this folder, in place of one that is there.
    ///
    /// # Errors
    /// It was not found, or its trace cannot be written.
    pub fn store(&self, folder: &Path, checked_by: CheckedBy) -> Result<PathBuf, String> {
        let find = self.hunt_with(checked_by, true)?;
        self.demand(&find, checked_by)?;
        let guarantee = find.failure.guarantee;
        let trace = match checked_by {
            CheckedBy::All => shrink::<DefectiveMachine>(&find.trace, guarantee).trace,
            // A search for anything shorter has no checkers.
            _ => shorten::<DefectiveMachine>(&find.trace, guarantee),
        };
        let find = self.show(trace)?;
        self.demand(&find, checked_by)?;
        let file = self.file(folder, checked_by);
        let judge = if checked_by == CheckedBy::All { String::new() } else { format!(" --judge {checked_by}") };
        let text = format!("# {guarantee}, by {COMMAND} hunt seeded:{}{judge}\n{}", self.name, find.trace);
        let written =
            std::fs::create_dir_all(file.parent().unwrap_or(folder)).and_then(|()| std::fs::write(&file, text));
        written.map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(file)
    }

    /// Demands that a find is of a guarantee that the defect is meant against, and of the checker that looks alone. That
    /// one may name another guarantee than the reference model does.
    pub(super) fn demand(&self, find: &Find, checked_by: CheckedBy) -> Result<(), String> {
        let is_meant = match checked_by {
            CheckedBy::Checker(name) => find.failure.checker() == Some(name),
            CheckedBy::All => self.breaks.contains(&find.failure.guarantee),
            CheckedBy::Checkers | CheckedBy::Each => true,
        };
        if is_meant { Ok(()) } else { Err(format!("found {find}")) }
    }
}
