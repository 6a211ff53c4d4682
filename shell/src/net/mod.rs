//! Sockets and their bytes: TCP, WebSocket frames, and the driver that joins a socket to the shard.

pub(crate) mod address_rates;
pub mod certificate;
pub(crate) mod client_socket;
pub(crate) mod decoder;
pub mod driver;
pub mod handed_sockets;
pub(crate) mod handshake_rates;
pub(crate) mod http_client;
pub mod http_url;
pub(crate) mod listener;
mod records;
pub(crate) mod refusals;
pub(crate) mod sockets;
pub(crate) mod tcp;
pub(crate) mod tls;
