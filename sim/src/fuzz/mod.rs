//! What a fuzzer runs: for each target an ordinary function of bytes that panics when a guarantee is broken.
//!
//! `fuzz/` hands them to libFuzzer, and `tests/corpus.rs` hands them every input that was found worth keeping. The bytes
//! are read by position, so that a small change of them is a small change of what happens.
//!
//! - [`actions`]: a world and what happens in it, with every check of a random run.
//! - [`driver`](fn@driver): the same through the server's own host and driver.
//! - [`transitions`]: inputs in any order for the machine alone, each judged by what it may change.
//! - [`wire_decode`]: texts of clients, bodies and claims of backends, targets of URLs.
//! - [`codec_bytes`]: what comes over a socket, whole and in pieces.

#[cfg(feature = "driver")]
mod codec;
mod moves;
#[cfg(feature = "driver")]
mod rfc6455;
mod taken;
mod texts;
mod traces;
mod transitions;
mod wire;

#[cfg(feature = "driver")]
pub use codec::codec_bytes;
#[cfg(feature = "driver")]
pub use traces::driver;
pub use traces::{actions, trace};
pub use transitions::transitions;
pub use wire::wire_decode;

use std::fmt;

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its corpus too.
    pub name: &'static str,
    /// What is run on an input. It panics when a guarantee is broken.
    pub run: fn(&[u8]),
    /// What an input stands for, line by line. What is known of it only by running it is told before it is judged, which
    /// may end in a panic.
    pub tell: fn(&[u8], Teller<'_>),
}

/// Takes what is told.
pub type Teller<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "actions", run: actions, tell: traces::tell },
    #[cfg(feature = "driver")]
    Target { name: "driver", run: driver, tell: traces::tell },
    Target { name: "transitions", run: transitions, tell: transitions::tell },
    Target { name: "wire_decode", run: wire_decode, tell: wire::tell },
    #[cfg(feature = "driver")]
    Target { name: "codec_bytes", run: codec_bytes, tell: codec::tell },
];
