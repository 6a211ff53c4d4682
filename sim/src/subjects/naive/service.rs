//! The service around the manager: the endpoint of every connection, the calls of a backend, and the loop that lets
//! coroutines run.

use super::ids::TaskId;
use super::manager::{Recipients, Version};
use super::python::Exception;
use super::state::Naive;
use super::task::{Ran, Task};
use super::websocket::{SocketPhase, State, WebSocket};
use crate::subjects::naive::endpoint::EndpointState;
use parlor_core::api::{Command, Reply};
use parlor_core::close::{ABNORMAL, CloseReason, NO_STATUS};
use parlor_core::error::{Error, ErrorCode};
use parlor_core::{CallId, ClientId, CloseCause, ConnId, Effect, End, Input, Lost, Now, UserId, WebSocketMessage};
use std::sync::Arc;

impl<V: Version> Naive<V> {
    /// Handles one input to the end.
    pub(super) fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.now = self.now.max(now.mono);
        (self.endings, self.uncaught) = (Vec::new(), Vec::new());
        self.sockets.wrongs.clear();
        if input.conn().is_some_and(|conn| !self.sockets.is_living(conn)) {
            self.ledger.totals.stale_inputs += 1;
            return vec![];
        }
        let idle = self.idle();
        let ends = self.input(input);
        let still_idle = self.idle();
        let woken = idle.into_iter().filter(|conn| self.sockets.is_living(*conn) && !still_idle.contains(conn));
        let mut effects: Vec<Effect> = woken.map(Effect::Wake).collect();
        effects.extend(ends);
        effects.extend(self.ledger.keep_up(&self.manager));
        effects
    }

    /// Handles one input, and runs the coroutines that it wakes.
    pub(super) fn input(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Upgraded { conn } => self.upgraded(conn),
            Input::Authenticated { conn, verdict } => {
                let user = verdict.ok().and_then(|verified| UserId::parse(&verified.claims().sub, usize::MAX).ok());
                self.connected(conn, user)
            }
            // What comes behind a Close is not looked at.
            Input::Message { conn, .. } | Input::Violation { conn, .. } if !self.sockets.get(conn).is_open() => vec![],
            Input::Message { conn, message: WebSocketMessage::Text(text) } => self.message(conn, &text),
            Input::Message { conn, message: WebSocketMessage::Binary(_) } => {
                // A binary message has no text, and to look for one is a KeyError.
                self.raise(conn, Exception::KeyError("text".into()), CloseCause::Binary)
            }
            Input::Violation { conn, rule } => self.hang_up(conn, rule.cause(), rule.cause().reason()),
            Input::PeerClosed { conn, code } => self.peer_closed(conn, code),
            Input::Lost { conn, cause: Lost::Eof } => self.peer_ended(conn),
            Input::Lost { conn, .. } => self.lost(conn),
            Input::Flushed { conn, bytes } => self.flushed(conn, bytes),
            Input::Call { call, command } => self.call(call, command),
            Input::Fragment { .. }
            | Input::HalfFrame { .. }
            | Input::Unread { .. }
            | Input::BodyBegun { .. }
            | Input::BodyEnded { .. }
            | Input::Ping { .. }
            | Input::Pong { .. }
            | Input::Committed { .. }
            | Input::Link { .. }
            | Input::ShardLost { .. }
            | Input::Engine(_)
            | Input::Configured { .. }
            | Input::Tick
            | Input::Shutdown
            | Input::Canary { .. }
            | Input::CanaryHeard => vec![],
        }
    }

    fn upgraded(&mut self, conn: ConnId) -> Vec<Effect> {
        let limits = &self.config.limits;
        let (authenticate, ping) = (self.now.after(limits.authenticate_timeout), self.now.after(limits.ping_interval));
        let websocket = self.sockets.get_mut(conn);
        (websocket.client_state, websocket.application_state) = (State::Connected, State::Connected);
        websocket.phase = SocketPhase::Open;
        websocket.deadlines = vec![("ping", ping)];
        match self.endpoint(conn).token.clone() {
            None => self.connected(conn, None),
            Some(token) => {
                self.sockets.get_mut(conn).deadlines.insert(0, ("authenticate", authenticate));
                vec![Effect::Authenticate { conn, token: Box::new(token) }]
            }
        }
    }

    fn connected(&mut self, conn: ConnId, user: Option<UserId>) -> Vec<Effect> {
        self.sockets.get_mut(conn).deadlines.retain(|(timer, _)| *timer != "authenticate");
        let endpoint = self.endpoints.get_mut(&conn).expect("every connection has one");
        (endpoint.user, endpoint.state) = (user, EndpointState::Receiving);
        self.manager.connect(conn, &endpoint.room, endpoint.user.as_ref());
        vec![]
    }

    fn message(&mut self, conn: ConnId, text: &str) -> Vec<Effect> {
        self.ledger.totals.messages_in += 1;
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => vec![],
            Err(_) => self.raise(conn, Exception::JsonDecodeError, CloseCause::BadRequest),
        }
    }

    /// An exception that the endpoint does not catch: the framework closes the socket, and `disconnect` is not called.
    fn raise(&mut self, conn: ConnId, exception: Exception, cause: CloseCause) -> Vec<Effect> {
        self.endpoints.get_mut(&conn).expect("every connection has one").state = EndpointState::Raised(exception);
        self.sockets.get_mut(conn).application_state = State::Disconnected;
        self.close(conn, cause, cause.reason());
        vec![]
    }

    /// The connection ends for the endpoint too: it receives `WebSocketDisconnect`, and catches it.
    fn hang_up(&mut self, conn: ConnId, cause: CloseCause, reason: CloseReason) -> Vec<Effect> {
        self.close(conn, cause, reason);
        self.disconnect(conn);
        vec![]
    }

    fn close(&mut self, conn: ConnId, cause: CloseCause, reason: CloseReason) {
        let deadline = self.now.after(self.config.limits.close_timeout);
        let interrupted = self.sockets.close(conn, cause, reason, deadline);
        self.interrupt(interrupted);
    }

    fn disconnect(&mut self, conn: ConnId) {
        let endpoint = self.endpoints.get_mut(&conn).expect("every connection has one");
        if endpoint.state == EndpointState::Receiving {
            endpoint.state = EndpointState::Returned;
            self.sockets.get_mut(conn).client_state = State::Disconnected;
            V::disconnect(&mut self.manager, conn, &endpoint.room, endpoint.user.as_ref());
        }
    }

    fn peer_closed(&mut self, conn: ConnId, code: Option<u16>) -> Vec<Effect> {
        match &self.sockets.get(conn).phase {
            SocketPhase::Open => {
                let reason = CloseReason::echo(code.unwrap_or(NO_STATUS));
                self.hang_up(conn, CloseCause::PeerClose, reason)
            }
            SocketPhase::Closing { .. } => vec![],
            SocketPhase::Handshaking | SocketPhase::Ended => self.end(conn, lost(CloseCause::PeerClose)),
        }
    }

    /// The peer's stream has ended: it gets the rest of what was begun.
    fn peer_ended(&mut self, conn: ConnId) -> Vec<Effect> {
        let deadline = self.now.after(self.config.limits.close_timeout);
        let websocket = self.sockets.get_mut(conn);
        let is_written = websocket.frames().next().is_none();
        match &mut websocket.phase {
            SocketPhase::Handshaking | SocketPhase::Ended => self.end(conn, lost(CloseCause::PeerEof)),
            SocketPhase::Open if websocket.half == 0 => {
                let mut end = lost(CloseCause::PeerEof);
                end.clean = true;
                self.end(conn, end)
            }
            SocketPhase::Open => {
                let interrupted = self.sockets.cut(conn, deadline);
                self.interrupt(interrupted);
                self.disconnect(conn);
                vec![]
            }
            SocketPhase::Closing { cause, reason, .. } if is_written => {
                let end = End::new(*cause, reason, true);
                self.end(conn, end)
            }
            SocketPhase::Closing { ended, .. } => {
                *ended = true;
                vec![]
            }
        }
    }

    fn lost(&mut self, conn: ConnId) -> Vec<Effect> {
        let end = match &self.sockets.get(conn).phase {
            SocketPhase::Closing { cause, reason, .. } => End::new(*cause, reason, false),
            _ => lost(CloseCause::PeerReset),
        };
        self.end(conn, end)
    }

    /// Wakes the coroutines that wait for the socket in a send, then the endpoint that waits for a message.
    fn end(&mut self, conn: ConnId, end: End) -> Vec<Effect> {
        self.ledger.totals.count_end(end.cause, end.reason().code());
        let interrupted = self.sockets.end(conn);
        self.interrupt(interrupted);
        self.disconnect(conn);
        vec![Effect::Closed { conn, end }]
    }

    fn flushed(&mut self, conn: ConnId, bytes: usize) -> Vec<Effect> {
        let (frames, senders) = self.sockets.flushed(conn, bytes);
        self.ledger.totals.frames_written += frames;
        self.ledger.totals.bytes_written += bytes as u64;
        for sender in senders {
            self.resume(sender, Some(Ok(())));
        }
        self.arm_write(conn);
        let websocket = self.sockets.get(conn);
        match &websocket.phase {
            SocketPhase::Closing { cause, reason, ended: true } if websocket.frames().next().is_none() => {
                let end = End::new(*cause, reason, true);
                self.end(conn, end)
            }
            SocketPhase::Closing { .. } if bytes > 0 && websocket.frames().next().is_none() => {
                vec![Effect::Finish(conn)]
            }
            _ => vec![],
        }
    }

    fn arm_write(&mut self, conn: ConnId) {
        let (waits, at) = (!self.waiting(conn).is_empty(), self.now.after(self.config.limits.write_timeout));
        let websocket = self.sockets.get_mut(conn);
        websocket.deadlines.retain(|(timer, _)| *timer != "write");
        if waits && websocket.is_open() {
            websocket.deadlines.push(("write", at));
        }
    }

    /// Whether a group has members other than ghosts.
    fn is_heard(&self, group: &Recipients) -> bool {
        let is_there = |id: &ConnId| self.sockets.is_living(*id) && self.sockets.get(*id).is_open();
        self.manager.members(group).is_some_and(|members| members.iter().any(is_there))
    }

    fn call(&mut self, call: CallId, command: Command) -> Vec<Effect> {
        let result = match command {
            Command::Publish { channel, message } => {
                let group = Recipients::Room(channel.clone());
                let position = self.ledger.publish(&channel, self.is_heard(&group));
                self.send(group, &message.data.json());
                Ok(Reply::Published(position))
            }
            Command::PublishUser { user, message } => {
                let (room, group) = (user.personal_room(), Recipients::User(user));
                let position = self.ledger.publish(&room, self.is_heard(&group));
                self.send(group, &message.data.json());
                Ok(Reply::Published(position))
            }
            Command::PublishAll { data } => {
                let task = Task::broadcast(self.new_task(), (&*data.json()).into(), &self.manager);
                self.start(task);
                Ok(Reply::Done)
            }
            Command::Send { client, data } => self.send_personal(client, (&*data.json()).into()),
            _ => Err(Error::from(ErrorCode::NotAvailable)),
        };
        vec![Effect::Reply { call, result: Box::new(result) }]
    }

    fn send(&mut self, group: Recipients, data: &str) {
        let id = self.new_task();
        if let Some(task) = Task::send::<V>(id, data.into(), group, &self.manager) {
            self.start(task);
        }
    }

    fn send_personal(&mut self, client: ClientId, text: Arc<str>) -> Result<Reply, Error> {
        let is_there =
            |(conn, websocket): &(ConnId, &WebSocket)| websocket.client == client && self.manager.knows(*conn);
        let Some((conn, _)) = self.sockets.living().find(is_there) else {
            return Err(Error::from(ErrorCode::BadRequest));
        };
        let task = Task::personal(self.new_task(), text, conn);
        self.start(task);
        Ok(Reply::Done)
    }

    fn new_task(&mut self) -> TaskId {
        self.started += 1;
        self.started
    }

    fn start(&mut self, task: Task) {
        let id = self.started;
        self.tasks.insert(id, task);
        self.resume(id, None);
    }

    fn interrupt(&mut self, tasks: Vec<TaskId>) {
        for task in tasks {
            self.resume(task, Some(Err(Exception::WebSocketDisconnect)));
        }
    }

    fn resume(&mut self, id: TaskId, awaited: Option<Result<(), Exception>>) {
        let mut task = self.tasks.remove(&id).expect("who is suspended is there");
        match task.run::<V>(&mut self.manager, &mut self.sockets, awaited) {
            Ok(Ran::Suspended) => drop(self.tasks.insert(id, task)),
            Ok(Ran::Returned) => self.endings.push(format!("{} returned", task.call())),
            Err(exception) => {
                self.endings.push(format!("{} ended by {exception}", task.call()));
                self.uncaught.push(format!("G10: {} was ended by {exception}", task.call()));
            }
        }
    }
}

/// The end of a connection that no Close frame spoke of.
fn lost(cause: CloseCause) -> End {
    End::new(cause, &CloseReason::echo(ABNORMAL), false)
}
