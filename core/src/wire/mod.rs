//! What goes over the wire, as pure functions: from text to commands, from results to text.

pub mod api;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod plain;
pub(crate) mod raw;
pub(crate) mod readable;
pub mod route;

pub use plain::Word;
