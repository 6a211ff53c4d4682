//! Fuzz targets: each is an ordinary function of bytes that panics when a guarantee is broken.
//!
//! `fuzz/` hands them to libFuzzer, and `tests/corpus.rs` hands them every input that was found worth keeping. The bytes
//! are read by position, so that a small change of them is a small change of what happens.
//!
//! - [`actions`]: a world and what happens in it, with every check of a random run.
//! - [`driver`](fn@driver): the same through the server's own host and driver.
//! - [`transitions`]: inputs in any order for the machine alone, each judged by what it may change.
//! - [`wire_decode`]: texts of clients, bodies and claims of backends, targets of URLs.
//! - [`codec_bytes`]: what comes over a socket, whole and in pieces.
//! - [`resp_decode`]: what a Redis server sends, whole and in pieces.

#[cfg(feature = "driver")]
mod codec;

mod moves;
#[cfg(feature = "redis")]
mod resp;

#[cfg(feature = "driver")]
mod rfc6455;

mod taken;
mod target;
mod texts;
mod traces;
mod transitions;
mod wire;

#[cfg(feature = "driver")]
pub use codec::codec_bytes;

#[cfg(feature = "driver")]
pub use traces::driver;

#[cfg(feature = "redis")]
pub use resp::resp_decode;
pub use target::{FuzzTarget, Teller};
pub use traces::{actions, trace};
pub use transitions::transitions;
pub use wire::wire_decode;

/// Every target.
pub const TARGETS: &[FuzzTarget] = &[
    FuzzTarget { name: "actions", run: actions, tell: traces::tell },
    #[cfg(feature = "driver")]
    FuzzTarget { name: "driver", run: driver, tell: traces::tell },
    FuzzTarget { name: "transitions", run: transitions, tell: transitions::tell },
    FuzzTarget { name: "wire_decode", run: wire_decode, tell: wire::tell },
    #[cfg(feature = "driver")]
    FuzzTarget { name: "codec_bytes", run: codec_bytes, tell: codec::tell },
    #[cfg(feature = "redis")]
    FuzzTarget { name: "resp_decode", run: resp_decode, tell: resp::tell },
];
