//! The file descriptors of the process, from `/proc`: unknown where there is none.

use std::fs;

/// The number of open descriptors, where the kernel keeps it: since Linux 6.2 it is the size of the folder.
pub(crate) fn kept() -> Option<u64> {
    Some(fs::metadata("/proc/self/fd").ok()?.len()).filter(|size| *size > 0)
}

/// The number of open descriptors. Where the kernel does not keep it, to count them takes a millisecond for a thousand, in which
/// nothing is delivered: not for what anybody may ask.
pub(crate) fn open() -> Option<u64> {
    kept().or_else(|| Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64))
}

/// The number of descriptors that may be open.
pub(crate) fn most() -> Option<u64> {
    rlimit::Resource::NOFILE.get().ok().map(|(soft, _)| soft)
}
