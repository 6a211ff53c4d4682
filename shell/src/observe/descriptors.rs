//! The file descriptors of the process, from `/proc`: unknown where there is none.

use std::fs;

/// The number of open descriptors. Since Linux 6.2 it is the size of the folder; to count its entries takes a millisecond for a
/// thousand, in which nothing is delivered.
pub(crate) fn open() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 { Some(size) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64) }
}

/// The number of descriptors that may be open.
pub(crate) fn most() -> Option<u64> {
    rlimit::Resource::NOFILE.get().ok().map(|(soft, _)| soft)
}
