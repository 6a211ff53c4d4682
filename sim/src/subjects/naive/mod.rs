//! The historic subjects: the connection manager of the service that Parlor replaces, as it was before its defects were
//! fixed and after. A WebSocket service written after the framework's documentation has one like it.
//!
//! It is the manager, its endpoint and the two state variables of Starlette's `WebSocket` in code of their own, with
//! every `await` a point where the world may act. `manager.rs` is what the two versions share, `v0.rs` and `v1.rs` are
//! what they do not, each beside its Python; `task.rs` has the coroutines.
//!
//! ```python
//! @app.websocket("/ws/{room}")
//! async def endpoint(websocket, room, user):
//!     await manager.connect(websocket, room, user)
//!     try:
//!         while True:
//!             message = json.loads(await websocket.receive_text())
//!             ...
//!     except WebSocketDisconnect:
//!         manager.disconnect(websocket, room, user)
//!
//! @app.post("/publish")
//! async def publish(room, text):
//!     asyncio.create_task(manager.send_to_room(room, text))
//! ```
//!
//! Around it is as much of Parlor's contract as it takes to be compared with the same reference model. It speaks `plain`, one room a
//! connection, without a greeting; of a backend's calls it knows the four that send. Deadlines are reported and never
//! come due. What Parlor's contract asks for and the service never had, such as offsets and events, is in `ledger.rs`.

mod endpoint;
mod ids;
mod ledger;
mod manager;
mod python;
mod service;
mod state;
mod subject;
mod task;
mod v0;
mod v1;
mod view;
mod websocket;

pub(crate) use ids::name;
pub use state::Naive;

/// The manager before its fix.
pub type V0 = Naive<v0::BeforeTheFix>;
/// The manager after its fix.
pub type V1 = Naive<v1::AfterTheFix>;
