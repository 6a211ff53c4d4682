//! The endpoint coroutine of one connection.

use crate::subjects::naive::python::Exception;
use parlor_core::{RoomName, UserId};
/// The coroutine of one connection.
#[derive(Clone, Debug)]
pub(super) struct EndpointTask {
    pub room: RoomName,
    pub user: Option<UserId>,
    pub token: Option<String>,
    pub state: EndpointState,
}

/// Where an endpoint stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndpointState {
    /// In `connect`: the handshake is not through, or it is not known yet who the token belongs to.
    Connecting,
    /// In `await websocket.receive_text()`.
    Receiving,
    /// It has caught `WebSocketDisconnect`.
    Returned,
    /// It has ended by another exception.
    Raised(Exception),
}
