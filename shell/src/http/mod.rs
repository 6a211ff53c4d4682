//! HTTP/1.1 on every port. Each socket speaks it until it becomes a WebSocket.

mod accept;
mod accounts;
mod api;
mod api_key;
pub(crate) mod connection;
mod console;
mod delivery_cursor;
mod explain;
pub(crate) mod forwarded;
mod handshake;
mod head;
mod metered_socket;
pub(crate) mod openapi;
mod origin;
mod question;
mod ready_path;
mod response;
mod router;
mod server_calls;
pub(crate) mod server_methods;
mod session;
mod status_paths;
mod upgrade;
