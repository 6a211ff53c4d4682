//! The framework under a manager: Starlette's `WebSocket` with its two state variables, on top of a server that writes
//! frames. Ids, ends and deadlines are as Parlor's contract asks for them, since no defect that is hunted is in them.

use super::ids::TaskId;
use super::python::Exception;
use crate::subjects::naive::ids::name;
use parlor_core::close::CloseReason;
use parlor_core::{ClientId, CloseCause, ConnId, Instant};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Starlette's `WebSocketState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before the handshake is through.
    Connecting,
    /// Open, as far as this side knows.
    Connected,
    /// Closed by this side.
    Disconnected,
}

/// Where the connection is, which neither of the two states tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketPhase {
    /// The 101 is being written.
    Handshaking,
    /// Messages go both ways.
    Open,
    /// A Close frame waits or is out. `ended`: the peer's stream has ended, so that the connection ends with ours.
    Closing { cause: CloseCause, reason: CloseReason, ended: bool },
    /// The socket is gone; the object lives for as long as it is referred to.
    Ended,
}

/// One frame that waits, and the coroutine that is suspended until the socket has taken it.
#[derive(Clone, Debug)]
struct Queued {
    bytes: Vec<u8>,
    sender: Option<TaskId>,
}

/// One connection as the application has it.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Its public id.
    pub client: ClientId,
    /// The client's side: `DISCONNECTED` once its end has been *received* by the application.
    pub client_state: State,
    /// The application's side: `DISCONNECTED` once a close has been sent.
    pub application_state: State,
    /// Where the connection is.
    pub phase: SocketPhase,
    /// Deadlines that Parlor would arm.
    pub deadlines: Vec<(&'static str, Instant)>,
    queue: VecDeque<Queued>,
    /// Bytes of the first frame that are written.
    pub half: usize,
}

impl WebSocket {
    /// Whether a frame may be put before its client.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == SocketPhase::Open
    }

    /// The frames that wait; of a half-written one what is left.
    pub fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let written = |at: usize| if at == 0 { self.half } else { 0 };
        self.queue.iter().enumerate().map(move |(at, frame)| frame.bytes[written(at)..].to_vec())
    }

    /// Forgets every frame of which the socket has nothing, and returns who waited for them, or for the first one.
    fn drop_unsent(&mut self) -> Vec<TaskId> {
        let interrupted = self.queue.iter_mut().filter_map(|frame| frame.sender.take()).collect();
        self.queue.truncate(usize::from(self.half > 0));
        interrupted
    }
}

/// All of them, the ended ones too.
#[derive(Clone, Debug, Default)]
pub struct WebSockets {
    all: BTreeMap<ConnId, WebSocket>,
    /// Sends after a close in this turn, each with the guarantee that it breaks.
    pub wrongs: Vec<String>,
}

impl WebSockets {
    /// A connection in the first free slot.
    pub fn accept(&mut self, client: ClientId, deadline: Instant) -> ConnId {
        let taken = |slot| self.living().any(|(id, _)| id.slot() == slot);
        let slot = (0..).find(|slot| !taken(*slot)).expect("there are fewer connections than numbers");
        let generation = self.all.keys().filter(|id| id.slot() == slot).count();
        let id = ConnId::from_parts(slot, u32::try_from(generation).expect("a few lives"));
        let websocket = WebSocket {
            client,
            client_state: State::Connecting,
            application_state: State::Connecting,
            phase: SocketPhase::Handshaking,
            deadlines: vec![("handshake", deadline)],
            queue: VecDeque::new(),
            half: 0,
        };
        self.all.insert(id, websocket);
        id
    }

    /// Those whose socket is there.
    pub fn living(&self) -> impl Iterator<Item = (ConnId, &WebSocket)> {
        self.all.iter().filter(|(_, websocket)| websocket.phase != SocketPhase::Ended).map(|(id, one)| (*id, one))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: ConnId) -> &WebSocket {
        self.all.get(&id).expect("ids come from accept")
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, id: ConnId) -> &mut WebSocket {
        self.all.get_mut(&id).expect("ids come from accept")
    }

    /// Whether the socket is there.
    #[must_use]
    pub fn is_living(&self, id: ConnId) -> bool {
        self.all.get(&id).is_some_and(|websocket| websocket.phase != SocketPhase::Ended)
    }

    /// `await websocket.send_text(text)`: `sender` is suspended until the socket has taken the text.
    ///
    /// # Errors
    /// The exception that the framework raises instead of writing to a closed socket. G1 forbids to ask for that.
    pub fn send_text(&mut self, id: ConnId, text: &str, sender: TaskId) -> Result<(), Exception> {
        let websocket = self.get_mut(id);
        if websocket.is_open() {
            websocket.queue.push_back(Queued { bytes: text_frame(text), sender: Some(sender) });
            return Ok(());
        }
        let exception = if websocket.application_state == State::Disconnected {
            Exception::RuntimeError("Cannot call \"send\" once a close message has been sent.")
        } else {
            Exception::WebSocketDisconnect
        };
        self.wrongs.push(format!("G1: send_text() was called on {} after its close: {exception}", name(id)));
        Err(exception)
    }

    /// A Close frame goes out, and nothing else any more. Returns who waited for the socket to take a text.
    pub fn close(&mut self, id: ConnId, cause: CloseCause, reason: CloseReason, deadline: Instant) -> Vec<TaskId> {
        let websocket = self.get_mut(id);
        let interrupted = websocket.drop_unsent();
        websocket.queue.push_back(Queued { bytes: close_frame(&reason), sender: None });
        websocket.phase = SocketPhase::Closing { cause, reason, ended: false };
        websocket.deadlines = vec![("close", deadline)];
        interrupted
    }

    /// The peer's stream has ended: the rest of a half-written frame goes out. Returns who waited for the socket to take a
    /// text.
    pub fn cut(&mut self, id: ConnId, deadline: Instant) -> Vec<TaskId> {
        let websocket = self.get_mut(id);
        let interrupted = websocket.drop_unsent();
        let cause = CloseCause::PeerEof;
        websocket.phase = SocketPhase::Closing { cause, reason: cause.reason(), ended: true };
        websocket.deadlines = vec![("close", deadline)];
        interrupted
    }

    /// The socket is gone. Returns who waited for it to take a text.
    pub fn end(&mut self, id: ConnId) -> Vec<TaskId> {
        let websocket = self.get_mut(id);
        let interrupted = websocket.drop_unsent();
        websocket.queue.clear();
        (websocket.phase, websocket.half) = (SocketPhase::Ended, 0);
        websocket.deadlines.clear();
        interrupted
    }

    /// The socket has taken this many bytes. Returns how many frames are out, and whose texts were among them.
    pub fn flushed(&mut self, id: ConnId, bytes: usize) -> (u64, Vec<TaskId>) {
        let websocket = self.get_mut(id);
        websocket.half += bytes;
        let (mut frames, mut senders) = (0, Vec::new());
        while let Some(first) = websocket.queue.front().filter(|first| first.bytes.len() <= websocket.half) {
            websocket.half -= first.bytes.len();
            senders.extend(first.sender);
            frames += 1;
            websocket.queue.pop_front();
        }
        (frames, senders)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Disconnected => "DISCONNECTED",
        })
    }
}

/// The frame of a text message (RFC 6455 section 5.2).
pub(super) fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

fn close_frame(reason: &CloseReason) -> Vec<u8> {
    // 1005 stands for a Close frame without a code.
    if reason.code() == 1005 {
        return frame(0x88, &[]);
    }
    frame(0x88, &[&reason.code().to_be_bytes(), reason.text().as_bytes()].concat())
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => bytes.push(short),
        _ => {
            bytes.push(126);
            bytes.extend(u16::try_from(payload.len()).expect("payloads are small").to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}
