//! A fuzz target, and what it tells of an input.

use std::fmt;

/// A target.
#[derive(Clone, Copy)]
pub struct FuzzTarget {
    /// Its name, which is that of its corpus too.
    pub name: &'static str,
    /// Runs an input. It panics when a guarantee is broken.
    pub run: fn(&[u8]),
    /// Tells what an input stands for, line by line. Lines that only a run can give come before its checks, which
    /// may end in a panic.
    pub tell: fn(&[u8], Teller<'_>),
}

/// Takes what is told.
pub type Teller<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);
