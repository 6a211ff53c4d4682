//! The historic subjects: the connection manager of the service that Parlor replaces, as it was before its defects were
//! fixed and after. Whoever writes a WebSocket service after the framework's documentation has one like it.
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
//! Around it is as much of Parlor's contract as it takes to be judged by the same oracle. It speaks `plain`, one room a
//! connection, without a greeting; of a backend's calls it knows the four that send. Deadlines are reported and never
//! come due. What Parlor's documents want and the service never had, such as offsets and events, is in `ledger.rs`.

mod ledger;
mod manager;
mod python;
mod service;
mod task;
mod v0;
mod v1;
mod view;
mod websocket;

pub(crate) use websocket::name;

use crate::subjects::subject::{Seen, Subject};
use ledger::Ledger;
use manager::{Manager, Version};
use parlor_core::admission::route::Target;
use parlor_core::{ClientId, Config, ConnId, Input, Instant, Now, Refused, Snapshot, Stats, Upgrade};
use service::{EndpointState, EndpointTask};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use task::{Task, TaskId};
use websocket::WebSockets;

/// The manager before its fix.
pub type V0 = Naive<v0::BeforeTheFix>;
/// The manager after its fix.
pub type V1 = Naive<v1::AfterTheFix>;

/// A service around one version of the manager.
#[derive(Clone)]
pub struct Naive<V> {
    config: Arc<Config>,
    sockets: WebSockets,
    endpoints: BTreeMap<ConnId, EndpointTask>,
    manager: Manager,
    tasks: BTreeMap<TaskId, Task>,
    started: TaskId,
    ledger: Ledger,
    /// What has ended in this turn, and how.
    endings: Vec<String>,
    /// Exceptions in this turn that nobody caught, each with the guarantee that it breaks.
    uncaught: Vec<String>,
    now: Instant,
    version: PhantomData<V>,
}

impl<V: Version> Subject for Naive<V> {
    fn new(config: Config, _: [u8; 32]) -> Self {
        Self {
            config: Arc::new(config),
            sockets: WebSockets::default(),
            endpoints: BTreeMap::new(),
            manager: Manager::default(),
            tasks: BTreeMap::new(),
            started: 0,
            ledger: Ledger::default(),
            endings: Vec::new(),
            uncaught: Vec::new(),
            now: Instant(0),
            version: PhantomData,
        }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.now = self.now.max(now.mono);
        let Target::Plain(plain) = request.target else { return Err(Refused::ShuttingDown) };
        let deadline = self.now.after(self.config.limits.handshake_timeout);
        let conn = self.sockets.accept(ClientId(request.client), deadline);
        let room = plain.rooms.into_iter().next().expect("a URL of plain names a room");
        let token = request.token.or(plain.token);
        self.endpoints.insert(conn, EndpointTask { room, user: None, token, state: EndpointState::Connecting });
        self.ledger.totals.accepted += 1;
        Ok(conn)
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<Seen> {
        let effects = self.handle(now, input);
        vec![Seen::of(self, effects)]
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.sockets.living().flat_map(|(_, websocket)| &websocket.deadlines).map(|(_, at)| *at).min()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        let is_living = self.sockets.is_living(conn);
        let bytes: Vec<u8> =
            is_living.then(|| self.sockets.get(conn).frames()).into_iter().flatten().flatten().collect();
        (!bytes.is_empty()).then_some(bytes)
    }

    fn snapshot(&self) -> Snapshot {
        self.view()
    }

    fn stats(&self) -> Stats {
        self.count()
    }

    fn notes(&self) -> Vec<String> {
        self.tell()
    }

    fn audit(&self) {
        let first = self.sockets.wrongs.iter().chain(&self.uncaught).next();
        assert!(first.is_none(), "{}", first.map_or("", String::as_str));
    }
}
