//! What clients, their sockets and the driver between do to the subject.

use super::{Life, World, caught};
use crate::action::{Budget, Door, Farewell, Late, Peer, Rooms, Rule, Since, User, Verdict};
use crate::checks::{Failure, Guarantee};
use crate::client::Frame;
use crate::coverage::Goal;
use crate::oracle::{Deed, Entry, Oracle, Ruling, Want};
use crate::request;
use crate::socket::{Socket, Written};
use crate::speech::{self, Said, Speech};
use crate::subject::Subject;
use parlor_core::wire::route;
use parlor_core::{BadToken, Claims, ClientId, Input, Lost, Upgrade, Violation};
use std::net::IpAddr;

impl<S: Subject> World<S> {
    pub(super) fn accept(&mut self, peer: Peer, door: Door, rooms: Rooms) -> Result<(), Failure> {
        let client = self.new_public_id(peer);
        let entry = self.entry(peer, door, rooms);
        let in_header = entry.token.clone().filter(|_| door == Door::PlainHeader);
        let address = IpAddr::from([10, 0, 0, entry.address]);
        let target = self.target(door, &entry);
        let upgrade = Upgrade { client: client.0, target, token: in_header, peer: Some(address) };
        let now = self.now();
        self.oracle.time(now.mono.0, now.unix_ms);
        let answer = caught(|| self.subject.accept(now, upgrade))?;
        self.note(|| format!("{answer:?}"));
        let json = entry.json;
        self.oracle.accepted(peer.index(), client, entry, answer)?;
        if let Ok(id) = answer {
            let socket = Socket::new(self.transcript.is_some());
            self.clients[peer.index()].life = Some(Life::new(id, client, json, socket));
        }
        Ok(())
    }

    fn new_public_id(&mut self, peer: Peer) -> ClientId {
        let client = &mut self.clients[peer.index()];
        let life = if self.setup.ids_repeat == 1 { 0 } else { client.lives };
        client.lives += 1;
        ClientId((u128::from(life) << 64 | u128::from_be_bytes([peer.0; 16]) >> 64).to_be_bytes())
    }

    fn entry(&self, peer: Peer, door: Door, rooms: Rooms) -> Entry {
        let json = matches!(door, Door::Json | Door::JsonPings);
        let has_token = matches!(door, Door::PlainToken | Door::PlainHeader);
        let rooms: Vec<usize> = (0..8).filter(|room| !json && rooms.0 & 1 << room != 0).collect();
        let since = |since| request::want(since, &self.oracle.place_of(rooms[0]));
        let want = match door {
            Door::PlainSince => since(Since::One),
            Door::PlainElse => since(Since::Else),
            Door::PlainHistory => Want::Last(2),
            _ => Want::Nothing,
        };
        Entry {
            json,
            frame_pings: door == Door::JsonPings,
            greeting: door.is_greeted(),
            token: has_token.then(|| self.token(peer)),
            want,
            positions: door.has_places(),
            address: peer.0 % 2,
            rooms,
        }
    }

    /// The way that an upgrade request goes, through the routes.
    fn target(&self, door: Door, entry: &Entry) -> route::Target {
        let mut query: Vec<String> =
            entry.rooms.iter().map(|room| format!("room={}", speech::room_name(*room))).collect();
        match (door, &entry.token) {
            (Door::JsonPings, _) => query.push("cf_ws_frame_ping_pong=true".into()),
            (Door::PlainToken, Some(token)) => query.push(format!("token={token}")),
            _ => {}
        }
        match &entry.want {
            Want::Since { epoch, offset, .. } => query.push(format!("since={epoch}:{offset}")),
            Want::Last(count) => query.push(format!("history={count}")),
            Want::Nothing => {}
        }
        query.extend((!entry.greeting).then(|| "greeting=off".into()));
        query.extend(entry.positions.then(|| "positions=on".into()));
        let path = if entry.json { route::JSON_PATH } else { "/ws" };
        // A URL with too many rooms is refused by the routes already; the machine must not rely on it.
        let config = self.setup.config();
        let generous = parlor_core::Limits { rooms_per_connection: usize::MAX, ..config.limits };
        let target = config.routes.resolve(&format!("{path}?{}", query.join("&")), &generous);
        target.expect("the path is one that is served")
    }

    pub(super) fn say(&mut self, peer: Peer, (text, said): Speech) -> Result<(), Failure> {
        let deed = Deed::Text(peer.index(), text.len(), &said);
        self.turn(Input::Message { conn: self.id(peer), text }, &deed)
    }

    pub(super) fn decide(&mut self, peer: Peer, verdict: Verdict, user: User) -> Result<(), Failure> {
        self.life_mut(peer).asked = false;
        let now = self.now().unix_ms / 1000;
        let asked = self.oracle.asked_room(peer.index());
        let user = (verdict != Verdict::Nobody).then(|| user.index());
        let ruling = Ruling {
            forged: verdict == Verdict::Forged,
            early: verdict == Verdict::Early,
            user,
            exp: match verdict {
                Verdict::Expiring => Some(now + 20),
                Verdict::Expired => Some(now - 60),
                _ => None,
            },
            channels: if verdict == Verdict::Placed { vec![0] } else { vec![] },
            crowded: verdict == Verdict::Crowded,
            channel: asked.filter(|_| verdict != Verdict::OtherRoom),
        };
        let crowd = 0..=self.setup.rooms_per_connection;
        let claims = Claims {
            sub: user.map(speech::user_name).unwrap_or_default(),
            exp: ruling.exp.map(|exp| i64::try_from(exp).expect("this century")),
            nbf: ruling.early.then(|| i64::try_from(now + 60).expect("this century")),
            info: user.and_then(Oracle::token_info),
            channels: match verdict {
                Verdict::Crowded => crowd.map(|room| format!("crowd-{room}")).collect(),
                _ => ruling.channels.iter().map(|room| speech::room_name(*room)).collect(),
            },
            channel: asked.map(|room| ruling.channel.map_or_else(|| "elsewhere".into(), |_| speech::room_name(room))),
        };
        let verdict = if ruling.forged { Err(BadToken::Invalid) } else { Ok(claims) };
        self.turn(Input::Authenticated { conn: self.id(peer), verdict }, &Deed::Decided(peer.index(), ruling))
    }

    pub(super) fn peer_close(&mut self, peer: Peer, code: Option<u16>) -> Result<(), Failure> {
        self.life_mut(peer).deaf = true;
        self.turn(Input::PeerClosed { conn: self.id(peer), code }, &Deed::PeerClosed(peer.index(), code))
    }

    pub(super) fn violate(&mut self, peer: Peer, rule: Rule) -> Result<(), Failure> {
        self.life_mut(peer).deaf = true;
        let (rule, code) = match rule {
            Rule::Protocol => (Violation::Protocol, 1002),
            Rule::Binary => (Violation::Binary, 1003),
            Rule::Utf8 => (Violation::Utf8, 1007),
            Rule::TooLarge => (Violation::TooLarge, 1009),
        };
        self.turn(Input::Violation { conn: self.id(peer), rule }, &Deed::Violated(peer.index(), code))
    }

    pub(super) fn lose(&mut self, peer: Peer, cause: Lost) -> Result<(), Failure> {
        self.faulty = true;
        let code = if cause == Lost::Write { 3009 } else { 1006 };
        self.turn(Input::Lost { conn: self.id(peer), cause }, &Deed::Lost(peer.index(), code))
    }

    pub(super) fn write(&mut self, peer: Peer, budget: Budget) -> Result<(), Failure> {
        let id = self.id(peer);
        let Some(pending) = caught(|| self.subject.pending(id))? else {
            return Err(Failure::new(Guarantee::G5, format_args!("what waits for {id} to be pending"), "nothing"));
        };
        let (taken, frames) = match self.life_mut(peer).socket.write(&pending, budget)? {
            Written::Failed => return self.lose(peer, Lost::Write),
            Written::Took(taken, frames) => (taken, frames),
        };
        if let Some(transcript) = &mut self.transcript {
            transcript.note(&pending[..taken]);
        }
        for frame in &frames {
            self.oracle.saw(peer.index(), frame)?;
            self.read(peer, frame);
        }
        self.oracle.is_cut(peer.index(), self.life(peer).is_some_and(|life| life.socket.is_mid_frame()));
        self.turn(Input::Flushed { conn: id, bytes: taken }, &Deed::Flushed(peer.index(), taken))
    }

    /// A client reads a frame, and remembers what it owes for it.
    fn read(&mut self, peer: Peer, frame: &Frame) {
        if self.faulty && matches!(frame, Frame::Text(text) if text.contains(r#""n":"#)) {
            self.goals.reach(Goal::DeliveredAfterFault);
        }
        let life = self.life_mut(peer);
        match frame {
            Frame::Text(text) if life.json && text == "{}" => life.pinged = true,
            Frame::Ping(_) => life.frame_pinged = true,
            Frame::Close(code) => life.close = Some(*code),
            _ => {}
        }
    }

    pub(super) fn respond(&mut self, peer: Peer) -> Result<(), Failure> {
        let Some(life) = self.clients[peer.index()].life.as_mut().filter(|life| life.owes()) else { return Ok(()) };
        let (pinged, frame_pinged) = (std::mem::take(&mut life.pinged), std::mem::take(&mut life.frame_pinged));
        if let Some(code) = life.close {
            return self.peer_close(peer, code);
        }
        if pinged {
            self.say(peer, ("{}".into(), vec![Said::Pong]))?;
        }
        if frame_pinged && self.life(peer).is_some() {
            self.turn(Input::Pong { conn: self.id(peer) }, &Deed::Pong(peer.index()))?;
        }
        Ok(())
    }

    pub(super) fn stale(&mut self, peer: Peer, late: Late) -> Result<(), Failure> {
        let (conn, _) = self.clients[peer.index()].former.expect("the action makes sense");
        self.goals.reach(Goal::StaleInput);
        let input = match late {
            Late::Upgraded => Input::Upgraded { conn },
            Late::Message => Input::Message { conn, text: "{}".into() },
            Late::Ping => Input::Ping { conn, payload: vec![] },
            Late::Pong => Input::Pong { conn },
            Late::PeerClosed => Input::PeerClosed { conn, code: None },
            Late::Violation => Input::Violation { conn, rule: Violation::Protocol },
            Late::Lost => Input::Lost { conn, cause: Lost::Write },
            Late::Flushed => Input::Flushed { conn, bytes: 7 },
            Late::Authenticated => Input::Authenticated { conn, verdict: Ok(Claims::default()) },
        };
        self.turn(input, &Deed::Stale)
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
