//! A node of several shards, with the links between them.

use crate::world::{World, claims, with_shard};
use parlor_core::{Claims, Config, ConnId, Input, LinkMessage, Node, Shard, ShardId};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::num::NonZeroU16;

pub const SHARDS: usize = 2;

/// The shards of a node with all that is on its way between them.
pub struct Cluster {
    node: Node,
    pub shards: Vec<World>,
    /// The messages on their way, by sender and receiver.
    pub links: [[VecDeque<LinkMessage>; SHARDS]; SHARDS],
    starts: u8,
    config: Config,
}

impl Cluster {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let node = Node::new(NonZeroU16::new(2).expect("some"), [5; 16]);
        let mut cluster = Self { node, shards: Vec::new(), links: Default::default(), starts: 0, config };
        for at in 0..SHARDS {
            let fresh = cluster.start(at);
            cluster.shards.push(fresh);
        }
        cluster
    }

    fn start(&mut self, at: usize) -> World {
        self.starts += 1;
        let shard = Shard::of_node(self.config.clone(), [self.starts; 32], self.node, ShardId::at(at));
        with_shard(shard, self.starts * 20)
    }

    /// Takes what the shards have sent onto the links.
    pub fn collect(&mut self) {
        for (from, links) in self.links.iter_mut().enumerate() {
            for (to, message) in self.shards[from].sent.drain(..) {
                links[to.index()].push_back(message);
            }
        }
    }

    /// Hands over the next message from one shard to the other. Returns `false` when there is none.
    pub fn carry(&mut self, from: usize, to: usize) -> bool {
        self.collect();
        let Some(message) = self.links[from][to].pop_front() else { return false };
        self.shards[to].input(Input::Link { from: ShardId::at(from), message });
        true
    }

    /// Carries everything.
    pub fn settle(&mut self) {
        while self.carry(0, 1) | self.carry(1, 0) {}
        let shards: Vec<&Shard> = self.shards.iter().map(|world| &world.shard).collect();
        Shard::audit_node(&shards);
    }

    /// Loses a shard, and starts it anew. The other one is told.
    pub fn lose(&mut self, at: usize) {
        self.collect();
        self.links = Default::default();
        self.shards[at] = self.start(at);
        self.shards[1 - at].input(Input::ShardLost { shard: ShardId::at(at) });
    }

    /// A room whose home is in this shard.
    pub fn room(&self, at: usize) -> String {
        let body = |room: &String| json!({"channel": room, "data": 0});
        (0..).map(|name| format!("r{name}")).find(|room| self.home_of("publish", &body(room)) == at).expect("enough")
    }

    /// A user whose home is in this shard.
    pub fn user(&self, at: usize) -> String {
        let body = |user: &String| json!({"user": user, "data": 0});
        (0..)
            .map(|name| format!("u{name}"))
            .find(|user| self.home_of("publish_user", &body(user)) == at)
            .expect("enough")
    }

    /// The shard that carries out this call.
    pub fn home_of(&self, method: &str, body: &Value) -> usize {
        let mut shard = with_shard(Shard::of_node(Config::default(), [9; 32], self.node, ShardId::at(0)), 0);
        shard.ask(method, &body.to_string());
        usize::from(!shard.sent.is_empty())
    }

    /// A plain connection to a shard that is in a room.
    pub fn plain(&mut self, at: usize, room: &str) -> ConnId {
        let conn = self.shards[at].plain(&format!("/ws/{room}"));
        self.settle();
        conn
    }

    /// A json connection to a shard that has subscribed to a room.
    pub fn json(&mut self, at: usize, room: &str) -> ConnId {
        let conn = self.shards[at].json();
        self.shards[at].say(conn, &json!({"id": 2, "subscribe": {"channel": room}}).to_string());
        self.settle();
        assert_eq!(self.shards[at].read_json(conn)[0]["id"], 2);
        conn
    }

    /// A json connection to a shard with the token of a user, of which no other shard has heard.
    pub fn connecting(&mut self, at: usize, claims: Claims) -> ConnId {
        let conn = self.shards[at].open("/connection/websocket");
        self.shards[at].say(conn, r#"{"id":1,"connect":{"token":"t"}}"#);
        self.shards[at].prove(claims);
        conn
    }

    /// A json connection to a shard with the token of a user, and the answer to its connect.
    pub fn connected(&mut self, at: usize, user: &str) -> (ConnId, Value) {
        let conn = self.connecting(at, claims(user));
        self.settle();
        let reply = self.shards[at].read_json(conn).swap_remove(0);
        (conn, reply["connect"].clone())
    }

    pub fn publish(&mut self, at: usize, room: &str, data: u64) -> Value {
        self.ask(at, "publish", &json!({"channel": room, "data": data}))
    }

    /// A call to a shard, with its answer once all is carried.
    pub fn ask(&mut self, at: usize, method: &str, body: &Value) -> Value {
        self.shards[at].ask(method, &body.to_string());
        self.settle();
        self.shards[at].answer()
    }
}
