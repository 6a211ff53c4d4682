//! The service as a subject: as much of Parlor's contract as it takes to be compared.

use crate::subjects::naive::endpoint::{EndpointState, EndpointTask};
use crate::subjects::naive::ledger::NaiveLedger;
use crate::subjects::naive::manager::{Manager, Version};
use crate::subjects::naive::state::Naive;
use crate::subjects::naive::websocket::WebSockets;
use crate::subjects::subject::{Subject, TurnReport};
use parlor_core::admission::route::Target;
use parlor_core::{ClientId, Config, ConnId, Input, Instant, Now, Refused, Snapshot, Stats, Upgrade};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
impl<V: Version> Subject for Naive<V> {
    fn new(config: Config, _: [u8; 32]) -> Self {
        Self {
            config: Arc::new(config),
            sockets: WebSockets::default(),
            endpoints: BTreeMap::new(),
            manager: Manager::default(),
            tasks: BTreeMap::new(),
            started: 0,
            ledger: NaiveLedger::default(),
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

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        let effects = self.handle(now, input);
        vec![TurnReport::of(self, effects)]
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

    fn is_paused(&self, _: ConnId) -> bool {
        false
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
