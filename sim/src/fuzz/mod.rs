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

/// What is run on an input.
pub type Body = fn(&[u8]);

/// Every target by its name, which is that of its corpus too.
pub const TARGETS: &[(&str, Body)] = &[
    ("actions", actions),
    #[cfg(feature = "driver")]
    ("driver", driver),
    ("transitions", transitions),
    ("wire_decode", wire_decode),
    #[cfg(feature = "driver")]
    ("codec_bytes", codec_bytes),
];
