//! Actions of clients, their sockets and the driver between them and the subject.

use super::connection::Connection;
use super::state::World;
use super::turn::caught;
use crate::checkers::observation::Observed;
use crate::goals::Goal;
use crate::guarantees::{Failure, Guarantee};
use crate::reference::arrival::Arrival;
use crate::subjects::subject::{Subject, vouch};
use crate::world::action::{
    Client, Endpoint, Farewell, Frames, Late, RecoverySince, Rooms, Rule, User, Verdict, WriteBudget,
};
use crate::world::client_message::{ClientMessage, Speech};
use crate::world::frames::ReceivedFrame;
use crate::world::history_request::RecoverFrom;
use crate::world::socket::Socket;
use crate::world::stimulus::Stimulus;
use crate::world::{history_request, names, payload};
use parlor_core::admission::route;
use parlor_core::{Claims, ClientId, CloseCause, Input, Lost, Upgrade, Violation};
use std::net::IpAddr;

/// The least that a frame may have in a world that is not narrow.
const FRAMES: usize = 16_384;

impl<S: Subject> World<S> {
    pub(super) fn accept(&mut self, client: Client, endpoint: Endpoint, rooms: Rooms) -> Result<(), Failure> {
        let entry = self.entry(client, endpoint, rooms);
        self.accept_as(client, endpoint, entry)
    }

    /// A plain client comes back to rooms that it was in, each with where it was.
    pub(super) fn accept_since(&mut self, client: Client, rooms: Rooms, since: RecoverySince) -> Result<(), Failure> {
        let users = usize::from(self.user_count());
        let has_token = client.0 % 2 == 1 && users > 0;
        let token = has_token.then(|| self.token(client, None));
        let entry = self.entry(client, Endpoint::PlainPlaces, rooms);
        let own = has_token.then(|| self.own_room(client.index() % users));
        let place = |room: usize| (room, history_request::want(since, &self.place(room)).or_without());
        let since = entry.rooms.iter().copied().chain(own).map(place);
        // A URL has at most as many of them as there may be rooms.
        let since = since.take(self.setup.limits.rooms_per_connection).collect();
        self.accept_as(client, Endpoint::PlainPlaces, Arrival { token, since, ..entry })
    }

    /// The client comes in all the way, if it is let in. Its user has its own number, as far as there are as many.
    pub(super) fn enter(&mut self, client: Client, rooms: Rooms) -> Result<(), Failure> {
        let token = (self.setup.users > 0).then(|| self.token(client, None));
        let entry = Arrival { token, ..self.entry(client, Endpoint::PlainQuiet, rooms) };
        self.accept_as(client, Endpoint::PlainQuiet, entry)?;
        if self.connection(client).is_some() {
            self.upgrade(client)?;
        }
        if self.connection(client).is_some_and(|connection| connection.asked) {
            let user = u64::from(client.0) % self.setup.users;
            self.decide(client, Verdict::Good, User(u8::try_from(user).expect("below the number of a client")))?;
        }
        Ok(())
    }

    pub(super) fn upgrade(&mut self, client: Client) -> Result<(), Failure> {
        self.connection_mut(client).upgraded = true;
        let conn = self.id(client);
        self.turn(Input::Upgraded { conn }, &Stimulus::Upgraded(client.index()))
    }

    fn accept_as(&mut self, client: Client, endpoint: Endpoint, entry: Arrival) -> Result<(), Failure> {
        let client_id = self.new_public_id(client);
        let in_header =
            entry.token.clone().filter(|_| matches!(endpoint, Endpoint::JsonHeader | Endpoint::PlainHeader));
        // Every second address is an IPv6 network, of which each client is at another place.
        let address = match entry.address % 2 {
            0 => IpAddr::from([10, 0, 0, entry.address]),
            _ => IpAddr::from([0x2001, 0xdb8, 0, entry.address.into(), 0, 0, 0, client.0.into()]),
        };
        let target = self.target(endpoint, &entry);
        let upgrade = Upgrade { client: client_id.0, target, token: in_header, address: Some(address) };
        let now = self.now();
        self.time(now);
        let answer = caught(|| self.subject.accept(now, upgrade.clone()))?;
        self.note(|| format!("{answer:?}"));
        let json = entry.json;
        self.refer(|reference| reference.accepted(client.index(), client_id, entry, answer))?;
        self.check(Observed::Came { client: client.index(), upgrade: &upgrade, answer })?;
        if let Ok(id) = answer {
            let socket = Socket::new(self.transcript.is_some());
            self.clients[client.index()].connection = Some(Connection::new(id, client_id, json, socket));
        }
        self.look()
    }

    fn new_public_id(&mut self, client: Client) -> ClientId {
        let side = &mut self.clients[client.index()];
        let connection = if self.setup.ids_repeat == 1 { 0 } else { side.connections_made };
        side.connections_made += 1;
        ClientId((u128::from(connection) << 64 | u128::from_be_bytes([client.0; 16]) >> 64).to_be_bytes())
    }

    fn entry(&mut self, client: Client, endpoint: Endpoint, rooms: Rooms) -> Arrival {
        let json = matches!(endpoint, Endpoint::Json | Endpoint::JsonPings | Endpoint::JsonHeader);
        let has_token = matches!(endpoint, Endpoint::JsonHeader | Endpoint::PlainToken | Endpoint::PlainHeader);
        let token = has_token.then(|| self.token(client, None));
        let rooms: Vec<usize> = (0..8).filter(|room| !json && rooms.0 & 1 << room != 0).collect();
        let since = |since| history_request::want(since, &self.place(rooms[0]));
        let want = match endpoint {
            Endpoint::PlainSince => since(RecoverySince::One),
            Endpoint::PlainElse => since(RecoverySince::Else),
            Endpoint::PlainHistory => RecoverFrom::Last(2),
            _ => RecoverFrom::Nothing,
        };
        Arrival {
            json,
            frame_pings: endpoint == Endpoint::JsonPings,
            greeting: endpoint.is_greeted(),
            token,
            want,
            since: Vec::new(),
            positions: endpoint.has_places(),
            address: client.0 % 2,
            rooms,
        }
    }

    /// The way that an upgrade request goes, through the routes.
    fn target(&self, endpoint: Endpoint, entry: &Arrival) -> route::Target {
        let mut query: Vec<String> =
            entry.rooms.iter().map(|room| format!("room={}", names::room_name(*room))).collect();
        match (endpoint, &entry.token) {
            (Endpoint::JsonPings, _) => query.push("cf_ws_frame_ping_pong=true".into()),
            (Endpoint::PlainToken | Endpoint::PlainQuiet | Endpoint::PlainPlaces, Some(token)) => {
                query.push(format!("token={token}"))
            }
            _ => {}
        }
        match &entry.want {
            RecoverFrom::Since { epoch, offset, .. } => query.push(format!("since={epoch}:{offset}")),
            RecoverFrom::Last(count) => query.push(format!("history={count}")),
            RecoverFrom::Nothing => {}
        }
        for (room, want) in &entry.since {
            let RecoverFrom::Since { epoch, offset, .. } = want else { continue };
            query.push(format!("since={}:{epoch}:{offset}", self.name_of(*room).replace('#', "%23")));
        }
        query.extend((!entry.greeting).then(|| "greeting=off".into()));
        query.extend(entry.positions.then(|| "positions=on".into()));
        let path = if entry.json { route::JSON_PATH } else { "/ws" };
        // A URL with too many rooms is refused by the routes already; the machine must not rely on it.
        let mut generous = self.setup.config();
        generous.limits.rooms_per_connection = usize::MAX;
        let target = generous.resolve(&format!("{path}?{}", query.join("&")));
        target.expect("the path is one that is served")
    }

    pub(super) fn ping(&mut self, client: Client) -> Result<(), Failure> {
        self.connection_mut(client).half = false;
        let payload = vec![u8::try_from(self.messages % 256).expect("a byte")];
        let stimulus = Stimulus::Ping(client.index(), &payload);
        self.turn(Input::Ping { conn: self.id(client), payload: payload.clone() }, &stimulus)
    }

    pub(super) fn pong(&mut self, client: Client) -> Result<(), Failure> {
        self.connection_mut(client).half = false;
        self.turn(Input::Pong { conn: self.id(client) }, &Stimulus::Pong(client.index()))
    }

    fn fragment(&mut self, client: Client) -> Result<(), Failure> {
        let connection = self.connection_mut(client);
        (connection.fragmented, connection.half) = (true, false);
        self.turn(Input::Fragment { conn: self.id(client), bytes: 0 }, &Stimulus::Fragment(client.index(), 0))
    }

    /// So many frames come at once, as long as they are read.
    pub(super) fn frames(&mut self, client: Client, frames: Frames) -> Result<(), Failure> {
        const AT_ONCE: usize = 8;
        if frames == Frames::Half {
            self.connection_mut(client).half = true;
            // Through a driver it is a Pong, of which the header is not complete.
            let bytes = if S::HAS_DRIVER { 14 } else { 4000 };
            return self
                .turn(Input::HalfFrame { conn: self.id(client), bytes }, &Stimulus::HalfFrame(client.index(), bytes));
        }
        for _ in 0..AT_ONCE {
            if !self.is_heard(client) {
                break;
            }
            match frames {
                Frames::Pings => self.ping(client),
                Frames::Pongs => self.pong(client),
                Frames::Fragments | Frames::Half => self.fragment(client),
            }?;
        }
        Ok(())
    }

    pub(super) fn say(&mut self, client: Client, (text, messages): Speech) -> Result<(), Failure> {
        if text.len() > self.setup.limits.message_bytes {
            self.goals.reach(Goal::TextTooLarge);
            return self.violate(client, Rule::TooLarge);
        }
        let connection = self.connection_mut(client);
        (connection.fragmented, connection.half) = (false, false);
        connection.introduced |= messages.iter().any(ClientMessage::is_connect);
        let stimulus = Stimulus::Text(client.index(), &text, &messages);
        self.turn(Input::Message { conn: self.id(client), message: text.as_str().into() }, &stimulus)
    }

    pub(super) fn close_stream(&mut self, client: Client, code: Option<u16>) -> Result<(), Failure> {
        self.connection_mut(client).deaf = true;
        self.turn(Input::PeerClosed { conn: self.id(client), code }, &Stimulus::PeerClosed(client.index(), code))
    }

    pub(super) fn violate(&mut self, client: Client, rule: Rule) -> Result<(), Failure> {
        self.connection_mut(client).deaf = true;
        let conn = self.id(client);
        let violation = |rule| Input::Violation { conn, rule };
        let (input, cause) = match rule {
            Rule::Protocol => (violation(Violation::Protocol), CloseCause::Protocol),
            // No rule of the framing, but one of each protocol that a client can speak here.
            Rule::Binary => (Input::Message { conn, message: vec![b'x'].into() }, CloseCause::Binary),
            Rule::Utf8 => (violation(Violation::Utf8), CloseCause::Utf8),
            Rule::TooLarge => (violation(Violation::TooLarge), CloseCause::TooLarge),
        };
        self.turn(input, &Stimulus::Violated(client.index(), cause))
    }

    pub(super) fn lose(&mut self, client: Client, cause: Lost) -> Result<(), Failure> {
        self.faulty = true;
        if cause == Lost::Eof {
            return self.end_stream(client);
        }
        self.turn(Input::Lost { conn: self.id(client), cause }, &Stimulus::Lost(client.index(), CloseCause::PeerReset))
    }

    /// The client says nothing more, and reads on.
    fn end_stream(&mut self, client: Client) -> Result<(), Failure> {
        let connection = self.connection_mut(client);
        (connection.deaf, connection.ended) = (true, true);
        let (conn, cause) = (connection.id, Lost::Eof);
        self.turn(Input::Lost { conn, cause }, &Stimulus::Lost(client.index(), CloseCause::PeerEof))
    }

    pub(super) fn write(&mut self, client: Client, budget: WriteBudget) -> Result<(), Failure> {
        let id = self.id(client);
        let Some(pending) = caught(|| self.subject.pending(id))? else {
            return Err(Failure::new(Guarantee::G5, format_args!("what waits for {id} to be pending"), "nothing"));
        };
        let Some(taken) = self.connection_mut(client).socket.offer(&pending, budget) else {
            return self.lose(client, Lost::Write);
        };
        if self.checkers.is_some() {
            let frames = self.connection_mut(client).socket.count(&pending);
            self.check(Observed::Offered { client: client.index(), waiting: pending.len(), frames, taken })?;
        }
        if !S::HAS_DRIVER {
            self.receive(client, &pending[..taken])?;
        }
        if self.setup.encrypts == 1 && !S::HAS_DRIVER {
            let socket = &mut self.connection_mut(client).socket;
            socket.encrypt(&pending, taken)?;
            let bytes = taken + socket.encrypted.len();
            self.turn(Input::Committed { conn: id, bytes }, &Stimulus::Stale)?;
        }
        self.turn(Input::Flushed { conn: id, bytes: taken }, &Stimulus::Flushed(client.index(), taken))
    }

    /// A client gets these bytes.
    pub(super) fn receive(&mut self, client: Client, bytes: &[u8]) -> Result<(), Failure> {
        self.note_bytes(bytes);
        for frame in self.connection_mut(client).socket.take(bytes)? {
            self.refer(|reference| reference.saw(client.index(), &frame))?;
            self.check(Observed::Read { client: client.index(), frame: &frame, text: &serde_json::Value::Null })?;
            self.read(client, &frame);
        }
        let is_cut = self.connection(client).is_some_and(|connection| connection.socket.is_mid_frame());
        self.refer(|reference| {
            reference.is_cut(client.index(), is_cut);
            Ok(())
        })
    }

    /// A client reads a frame, and remembers what it owes for it.
    pub(super) fn read(&mut self, client: Client, frame: &ReceivedFrame) {
        if self.faulty && matches!(frame, ReceivedFrame::Text(text) if text.contains(r#""n":"#)) {
            self.goals.reach(Goal::DeliveredAfterFault);
        }
        if self.setup.limits.frame_bytes < FRAMES {
            self.goals.reach(Goal::NarrowFrames);
        }
        let connection = self.connection_mut(client);
        if let ReceivedFrame::Text(text) = frame {
            connection.newest = payload::newest_in(text).or(connection.newest);
        }
        match frame {
            ReceivedFrame::Text(text) if connection.json && text == "{}" => connection.pinged = true,
            ReceivedFrame::Ping(_) => connection.frame_pinged = true,
            ReceivedFrame::Close(code) => connection.close = Some(*code),
            _ => {}
        }
    }

    pub(super) fn respond(&mut self, client: Client) -> Result<(), Failure> {
        if !self.owes(client) {
            return Ok(());
        }
        let connection = self.connection_mut(client);
        let (pinged, frame_pinged) =
            (std::mem::take(&mut connection.pinged), std::mem::take(&mut connection.frame_pinged));
        if let Some(code) = connection.close {
            if !connection.deaf {
                self.close_stream(client, code)?;
            }
            return if self.connection(client).is_some() { self.end_stream(client) } else { Ok(()) };
        }
        if pinged {
            self.say(client, ("{}".into(), vec![ClientMessage::Pong]))?;
        }
        if frame_pinged && self.is_heard(client) {
            self.pong(client)?;
        }
        Ok(())
    }

    pub(super) fn stale(&mut self, client: Client, late: Late) -> Result<(), Failure> {
        let conn = self.stale_id(client).expect("the action makes sense");
        self.goals.reach(Goal::StaleInput);
        let input = match late {
            Late::Upgraded => Input::Upgraded { conn },
            Late::Message => Input::Message { conn, message: "{}".into() },
            Late::Ping => Input::Ping { conn, payload: vec![] },
            Late::Fragment => Input::Fragment { conn, bytes: 1 },
            Late::HalfFrame => Input::HalfFrame { conn, bytes: 1 },
            Late::Pong => Input::Pong { conn },
            Late::PeerClosed => Input::PeerClosed { conn, code: None },
            Late::Violation => Input::Violation { conn, rule: Violation::Protocol },
            Late::Lost => Input::Lost { conn, cause: Lost::Write },
            Late::Flushed => Input::Flushed { conn, bytes: 7 },
            Late::Authenticated => Input::Authenticated { conn, verdict: vouch(Ok(Claims::default())) },
        };
        self.turn(input, &Stimulus::Stale)
    }
}

pub(super) fn code_of(farewell: Farewell) -> Option<u16> {
    match farewell {
        Farewell::Normal => Some(1000),
        Farewell::Away => Some(1001),
        Farewell::Custom => Some(4321),
        Farewell::Empty => None,
    }
}
