//! The protocols of clients as pure functions: decoders from text to commands, encoders from results to text.

pub(crate) mod centrifuge;
pub(crate) mod history;
pub(crate) mod plain;
pub(crate) mod raw;
pub(crate) mod readable;
pub(crate) mod shapes;

pub use plain::MessageType;
