//! Nodes whose rooms follow an engine.

use crate::world::{World, claims, with_shard};
use parlor_core::engine::{EngineError, EngineEvent, EnginePage, EngineRequest, FollowStart};
use parlor_core::engine::{LogPosition, Missed, Publication};
use parlor_core::{Config, ConnId, Input, Limits, Lost, Permissions, RoomName, Shard};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A store in memory that retains the newest of each log, and does what the contract says.
struct Store {
    logs: BTreeMap<RoomName, StoredLog>,
    keys: BTreeMap<(RoomName, String), LogPosition>,
    retains: usize,
    epochs: u64,
    /// Everything is refused.
    is_full: bool,
}

struct StoredLog {
    top: LogPosition,
    retained: VecDeque<Arc<Publication>>,
    /// The sites that follow it.
    followers: Vec<usize>,
}

impl Store {
    fn log(&mut self, room: &RoomName) -> &mut StoredLog {
        let epochs = &mut self.epochs;
        self.logs.entry(room.clone()).or_insert_with(|| {
            *epochs += 1;
            let top = LogPosition { epoch: *epochs, offset: 0 };
            StoredLog { top, retained: VecDeque::new(), followers: Vec::new() }
        })
    }

    /// Executes a request of a site. Returns what each site is told.
    fn execute(&mut self, site: usize, request: EngineRequest) -> Vec<(usize, EngineEvent)> {
        let retains = self.retains;
        if self.is_full {
            return refused(request).map(|event| (site, event)).into_iter().collect();
        }
        match request {
            EngineRequest::Follow { room, since } => {
                let log = self.log(&room);
                log.followers.retain(|follower| *follower != site);
                log.followers.push(site);
                let missed = since.map_or(Missed::NotAsked, |since| log.missed(since));
                let start = FollowStart { position: log.top, missed };
                vec![(site, EngineEvent::Followed { room, result: Ok(start) })]
            }
            EngineRequest::Unfollow { room } => {
                self.log(&room).followers.retain(|follower| *follower != site);
                vec![]
            }
            EngineRequest::Append { ticket, room, draft, key } => {
                let key = key.map(|key| (room.clone(), key));
                if let Some(position) = key.as_ref().and_then(|key| self.keys.get(key)) {
                    return vec![(site, EngineEvent::Appended { ticket, result: Ok(*position) })];
                }
                let log = self.log(&room);
                let prev = log.top.offset;
                let offset = if draft.skip_history { 0 } else { prev + 1 };
                let publication = Publication { epoch: log.top.epoch, offset, prev, draft: (*draft).clone() };
                let publication = Arc::new(publication);
                if offset != 0 {
                    log.top.offset = offset;
                    log.retained.push_back(Arc::clone(&publication));
                    log.retained.drain(..log.retained.len().saturating_sub(retains));
                }
                let position = LogPosition { offset, ..log.top };
                let entry = |site: &usize| {
                    (*site, EngineEvent::Entry { room: room.clone(), publication: Arc::clone(&publication) })
                };
                let mut told: Vec<_> = log.followers.iter().map(entry).collect();
                self.keys.extend(key.map(|key| (key, position)));
                told.push((site, EngineEvent::Appended { ticket, result: Ok(position) }));
                told
            }
            EngineRequest::Forget { ticket, room } => {
                let log = self.log(&room);
                log.retained.clear();
                let removed = |site: &usize| (*site, EngineEvent::Removed { room: room.clone() });
                let mut told: Vec<_> = log.followers.iter().map(removed).collect();
                told.push((site, EngineEvent::Forgotten { ticket, result: Ok(()) }));
                told
            }
            EngineRequest::Read { ticket, room, query } => {
                let log = self.log(&room);
                let since = query.since.as_ref().map_or(0, |since| since.offset);
                let mut publications: Vec<_> =
                    log.retained.iter().filter(|publication| publication.offset > since).cloned().collect();
                if query.reverse {
                    publications.reverse();
                }
                publications.truncate(query.limit.most());
                let page = EnginePage { publications, position: log.top };
                vec![(site, EngineEvent::Read { ticket, room, result: Ok(page) })]
            }
        }
    }
}

/// Returns the answer of a store that has no memory left.
fn refused(request: EngineRequest) -> Option<EngineEvent> {
    let error = EngineError::Refused("OOM".into());
    match request {
        EngineRequest::Follow { room, .. } => Some(EngineEvent::Followed { room, result: Err(error) }),
        EngineRequest::Append { ticket, .. } => Some(EngineEvent::Appended { ticket, result: Err(error) }),
        EngineRequest::Forget { ticket, .. } => Some(EngineEvent::Forgotten { ticket, result: Err(error) }),
        EngineRequest::Read { ticket, room, .. } => Some(EngineEvent::Read { ticket, room, result: Err(error) }),
        EngineRequest::Unfollow { .. } => None,
    }
}

impl StoredLog {
    fn missed(&self, since: LogPosition) -> Missed {
        let behind: Vec<_> = self.retained.iter().filter(|entry| entry.offset > since.offset).cloned().collect();
        let before = behind.first().map_or(self.top.offset, |first| first.prev);
        if since.epoch == self.top.epoch && before == since.offset { Missed::All(behind) } else { Missed::Unknown }
    }
}

/// Nodes with one store.
struct Nodes {
    store: Store,
    nodes: Vec<World>,
    /// What each node has not been told yet.
    told: Vec<VecDeque<EngineEvent>>,
    is_up: Vec<bool>,
}

impl Nodes {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    /// Two nodes whose links are up.
    fn with(limits: Limits) -> Self {
        Self::with_config(&Config::uniform(limits, true, Permissions::open()))
    }

    fn with_config(config: &Config) -> Self {
        let node = |at: u8| {
            let config = config.clone();
            with_shard(Shard::new(config, [at; 32]).following_engine(), 100 * at)
        };
        let store = Store { logs: BTreeMap::new(), keys: BTreeMap::new(), retains: 10, epochs: 0, is_full: false };
        let mut nodes =
            Self { store, nodes: vec![node(0), node(1)], told: vec![VecDeque::new(); 2], is_up: vec![false; 2] };
        nodes.up(0);
        nodes.up(1);
        nodes
    }

    fn up(&mut self, node: usize) {
        self.is_up[node] = true;
        self.nodes[node].input(Input::Engine(EngineEvent::Up));
        self.settle();
    }

    /// The link of a node ends. What was on its way arrives nowhere.
    fn down(&mut self, node: usize) {
        self.is_up[node] = false;
        self.store.logs.values_mut().for_each(|log| log.followers.retain(|follower| *follower != node));
        self.told[node].clear();
        self.nodes[node].asked.clear();
        self.nodes[node].input(Input::Engine(EngineEvent::Down));
        assert!(self.nodes[node].asked.is_empty(), "nothing is asked while the link is down");
    }

    /// Has the store execute what a node has asked. Nobody is told yet.
    fn execute(&mut self, node: usize) -> bool {
        let Some(request) = self.nodes[node].asked.pop_front() else { return false };
        assert!(self.is_up[node], "nothing is asked while the link is down: {request:?}");
        for (to, event) in self.store.execute(node, request) {
            self.told[to].push_back(event);
        }
        true
    }

    fn tell(&mut self, node: usize) -> bool {
        let Some(event) = self.told[node].pop_front() else { return false };
        self.nodes[node].input(Input::Engine(event));
        true
    }

    fn settle(&mut self) {
        while (0..2).any(|node| self.execute(node) || self.tell(node)) {}
    }

    fn api(&mut self, node: usize, method: &str, body: Value) -> Value {
        self.nodes[node].ask(method, &body.to_string());
        self.settle();
        self.nodes[node].answer()
    }

    fn publish(&mut self, node: usize, data: u64) -> Value {
        self.api(node, "publish", json!({"channel": "a", "data": data}))
    }

    /// A `json` client that has subscribed to the room `a`, and the reply.
    fn subscribe(&mut self, node: usize, since: Option<&Value>) -> (ConnId, Value) {
        let conn = self.nodes[node].json();
        let mut params = json!({"channel": "a"});
        if let Some(since) = since {
            params = json!({"channel": "a", "recover": true, "epoch": since["epoch"], "offset": since["offset"]});
        }
        self.nodes[node].say(conn, &json!({"id": 2, "subscribe": params}).to_string());
        self.settle();
        let mut replies = self.nodes[node].read_json(conn);
        (conn, if replies.is_empty() { Value::Null } else { replies.remove(0) })
    }

    /// A `json` client of a user whose `connect` was sent, and is answered once the engine is.
    fn user(&mut self, node: usize, user: &str, fields: Value) -> ConnId {
        let conn = self.nodes[node].open("/connection/websocket");
        let mut connect = json!({"token": "t"});
        connect.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        self.nodes[node].say(conn, &json!({"id": 1, "connect": connect}).to_string());
        self.nodes[node].prove(claims(user));
        conn
    }

    fn data(&mut self, node: usize, conn: ConnId) -> Vec<Value> {
        let pushes = self.nodes[node].read_json(conn);
        pushes.iter().map(|push| push["push"]["pub"]["data"].clone()).collect()
    }

    fn followers(&mut self) -> Vec<usize> {
        let name = self.nodes[0].shard.config().room("a").expect("a name");
        self.store.log(&name).followers.clone()
    }
}

/// Whether a client is told that it is in the room, and has not got what it has missed.
fn is_unrecovered(reply: &Value) -> bool {
    reply["subscribe"]["was_recovering"] == true && reply["subscribe"].get("recovered").is_none()
}

/// The position in an answer or a reply.
fn position(of: &Value) -> Value {
    json!({"epoch": of["epoch"], "offset": of["offset"]})
}

#[test]
fn what_is_published_at_one_node_comes_to_the_members_at_all_in_one_order() {
    let mut nodes = Nodes::new();
    let ((a, first), (b, _)) = (nodes.subscribe(0, None), nodes.subscribe(1, None));
    assert_eq!(first["subscribe"]["positioned"], true);
    let answers = [nodes.publish(0, 1), nodes.publish(1, 2), nodes.publish(0, 3)];
    let offsets: Vec<u64> = answers.iter().map(|answer| answer["result"]["offset"].as_u64().expect("one")).collect();
    assert_eq!(offsets, [1, 2, 3]);
    assert_eq!(nodes.data(0, a), [1, 2, 3]);
    assert_eq!(nodes.data(1, b), [1, 2, 3]);
}

#[test]
fn a_client_goes_on_at_another_node_where_it_was() {
    let mut nodes = Nodes::new();
    nodes.subscribe(0, None);
    let answers = [1, 2, 3].map(|n| nodes.publish(0, n));
    let (conn, reply) = nodes.subscribe(1, Some(&position(&answers[0]["result"])));
    let reply = &reply["subscribe"];
    assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &json!(1)), "{reply}");
    assert_eq!(reply["publications"].as_array().expect("some").iter().map(|p| &p["data"]).collect::<Vec<_>>(), [2, 3]);
    nodes.publish(0, 4);
    assert_eq!(nodes.data(1, conn), [4]);
    let (_, late) = nodes.subscribe(1, Some(&json!({"epoch": "0000000000000009", "offset": 1})));
    assert!(is_unrecovered(&late), "{late}");
    assert_eq!(nodes.nodes[1].shard.stats().totals.recoveries.recovered, 1);
}

#[test]
fn while_the_link_is_down_members_stay_and_others_join_them() {
    let mut nodes = Nodes::new();
    let (conn, _) = nodes.subscribe(0, None);
    nodes.publish(1, 1);
    nodes.down(0);
    let (newcomer, reply) = nodes.subscribe(0, None);
    assert_eq!(reply["subscribe"]["positioned"], true, "{reply}");
    nodes.nodes[0].ask("publish", r#"{"channel":"a","data":9}"#);
    let answer = nodes.nodes[0].answer();
    let error = json!({"code": 100, "message": "the engine cannot be reached: nothing was published"});
    assert_eq!(answer, json!({"error": error}));
    nodes.publish(1, 2);
    nodes.up(0);
    nodes.publish(1, 3);
    assert_eq!(nodes.data(0, conn), [1, 2, 3], "nobody who has lost nothing is told anything");
    assert_eq!(nodes.data(0, newcomer), [2, 3]);
}

#[test]
fn members_of_a_room_of_which_something_is_lost_are_told_a_gap() {
    let mut nodes = Nodes::new();
    nodes.store.retains = 1;
    let (conn, _) = nodes.subscribe(0, None);
    let plain = nodes.nodes[0].open("/ws/a");
    nodes.settle();
    nodes.publish(1, 1);
    nodes.nodes[0].read(plain);
    nodes.down(0);
    nodes.publish(1, 2);
    nodes.publish(1, 3);
    nodes.up(0);
    let frames = nodes.nodes[0].read_json(conn);
    assert_eq!(frames[0]["push"]["pub"]["data"], 1);
    assert_eq!(frames[1]["push"]["unsubscribe"]["code"], 2500, "{frames:?}");
    let frames = nodes.nodes[0].read(plain);
    assert!(frames.iter().any(|frame| frame.contains(r#""type":"gap""#)), "{frames:?}");
    nodes.publish(1, 4);
    assert_eq!(nodes.nodes[0].read(plain).len(), 1, "it goes on");
}

#[test]
fn a_history_is_the_engines() {
    let mut nodes = Nodes::new();
    (1..=3).for_each(|n| drop(nodes.publish(0, n)));
    let page = nodes.api(1, "history", json!({"channel": "a", "limit": 2, "reverse": true}));
    let data: Vec<_> = page["result"]["publications"].as_array().expect("some").iter().map(|p| &p["data"]).collect();
    assert_eq!((data, &page["result"]["offset"]), (vec![&json!(3), &json!(2)], &json!(3)), "{page}");
    let other = nodes.api(1, "history", json!({"channel": "a", "limit": 2, "since": {"epoch": "b", "offset": 1}}));
    assert_eq!(other["error"]["code"], 112, "{other}");
    nodes.down(1);
    nodes.nodes[1].ask("history", r#"{"channel":"a"}"#);
    assert_eq!(nodes.nodes[1].answer()["error"]["message"], "the engine cannot be reached");
}

#[test]
fn a_history_is_removed_at_the_engine() {
    let mut nodes = Nodes::new();
    nodes.subscribe(0, None);
    let first = nodes.publish(0, 1);
    assert_eq!(nodes.api(0, "history_remove", json!({"channel": "a"})), json!({"result": {}}));
    let page = nodes.api(1, "history", json!({"channel": "a"}));
    assert_eq!((&page["result"]["publications"], &page["result"]["offset"]), (&json!([]), &json!(1)), "{page}");
    let before = json!({"epoch": first["result"]["epoch"], "offset": 0});
    let (_, reply) = nodes.subscribe(0, Some(&before));
    assert!(is_unrecovered(&reply), "the copy has not kept it: {reply}");
    nodes.down(0);
    nodes.nodes[0].ask("history_remove", r#"{"channel":"a"}"#);
    assert_eq!(nodes.nodes[0].answer()["error"]["code"], 100);
}

#[test]
fn what_has_an_idempotency_key_is_published_once_whichever_node_is_asked() {
    let mut nodes = Nodes::new();
    let (conn, _) = nodes.subscribe(0, None);
    let body = json!({"channel": "a", "data": 1, "idempotency_key": "k"});
    let (first, again) = (nodes.api(0, "publish", body.clone()), nodes.api(1, "publish", body));
    assert_eq!(first, again);
    assert_eq!(nodes.data(0, conn), [1]);
}

#[test]
fn a_page_of_a_history_is_cut_where_a_reply_ends() {
    let mut nodes = Nodes::with(Limits { reply_messages: 2, ..Limits::default() });
    (1..=3).for_each(|n| drop(nodes.publish(0, n)));
    let page = nodes.api(1, "history", json!({"channel": "a", "limit": 3}));
    assert_eq!(page["result"]["publications"].as_array().expect("some").len(), 2, "{page}");
    let (_, reply) = nodes.subscribe(1, Some(&json!({"epoch": page["result"]["epoch"], "offset": 0})));
    assert!(is_unrecovered(&reply), "three do not fit: {reply}");
    assert_eq!(nodes.nodes[1].shard.stats().totals.recoveries.too_much, 1);
}

#[test]
fn a_client_is_sent_the_newest_that_the_engine_has() {
    let mut nodes = Nodes::new();
    (1..=3).for_each(|n| drop(nodes.publish(0, n)));
    let conn = nodes.nodes[1].open("/ws/a?history=2");
    nodes.settle();
    let frames: Vec<_> = nodes.nodes[1].read(conn).into_iter().filter(|frame| !frame.contains("type")).collect();
    assert_eq!(frames, ["2", "3"]);
    nodes.publish(0, 4);
    assert_eq!(nodes.nodes[1].read(conn), ["4"]);
    let other = nodes.nodes[1].open("/ws/a?history=1");
    assert!(nodes.nodes[1].asked.is_empty(), "the copy has the newest");
    assert!(nodes.nodes[1].read(other).contains(&"4".to_string()));
}

#[test]
fn who_waits_for_the_newest_joins_without_them_when_the_link_ends() {
    let mut nodes = Nodes::new();
    nodes.publish(0, 1);
    let conn = nodes.nodes[1].open("/ws/a?history=2&greeting=off");
    assert!(nodes.execute(1) && nodes.tell(1), "it is followed");
    assert!(matches!(nodes.nodes[1].asked.front(), Some(EngineRequest::Read { .. })));
    assert_eq!(nodes.nodes[1].read(conn).len(), 0);
    nodes.down(1);
    assert_eq!(nodes.nodes[1].shard.snapshot().rooms.len(), 1, "it is in the room");
    nodes.up(1);
    nodes.publish(0, 2);
    assert!(nodes.nodes[1].read(conn).contains(&"2".to_string()));
}

#[test]
fn it_is_not_known_whether_what_was_on_its_way_is_published() {
    let mut nodes = Nodes::new();
    nodes.nodes[0].ask("publish", r#"{"channel":"a","data":1}"#);
    nodes.execute(0);
    nodes.down(0);
    let words = "the link to the engine has ended: it is not known whether this was done";
    assert_eq!(nodes.nodes[0].answer(), json!({"error": {"code": 100, "message": words}}));
}

#[test]
fn a_join_that_waits_for_too_long_is_refused_and_leaves_nothing() {
    let mut nodes = Nodes::new();
    nodes.down(0);
    let (conn, reply) = nodes.subscribe(0, None);
    assert_eq!(reply, Value::Null);
    let timeout = nodes.nodes[0].shard.config().limits.ticket_timeout;
    nodes.nodes[0].pass(timeout);
    let reply = nodes.nodes[0].read_json(conn).remove(0);
    assert_eq!(reply["error"]["code"], 100, "{reply}");
    nodes.up(0);
    assert!(nodes.followers().is_empty(), "nobody waits for the room");
    assert_eq!(nodes.nodes[0].shard.poll_timeout().map(|at| at > nodes.nodes[0].now.mono), Some(true));
    nodes.publish(1, 1);
    assert_eq!(nodes.data(0, conn), [] as [Value; 0]);
}

#[test]
fn a_room_is_followed_for_a_while_after_its_last_member_has_left() {
    let mut nodes = Nodes::new();
    let (conn, _) = nodes.subscribe(0, None);
    nodes.nodes[0].say(conn, r#"{"id":3,"unsubscribe":{"channel":"a"}}"#);
    nodes.nodes[0].pass(Duration::from_secs(9));
    assert_eq!(nodes.followers(), [0]);
    nodes.publish(1, 1);
    nodes.nodes[0].say(conn, r#"{"id":4,"subscribe":{"channel":"a"}}"#);
    assert!(nodes.nodes[0].asked.is_empty(), "a reload costs the engine nothing");
    nodes.nodes[0].say(conn, r#"{"id":5,"unsubscribe":{"channel":"a"}}"#);
    nodes.nodes[0].pass(Duration::from_secs(9));
    nodes.settle();
    assert_eq!(nodes.followers(), [0], "it counts from the last who has left, whatever is published meanwhile");
    nodes.nodes[0].pass(Duration::from_secs(1));
    nodes.settle();
    assert_eq!(nodes.followers(), [] as [usize; 0]);
    assert!(nodes.nodes[0].shard.snapshot().logs.is_empty(), "the copy is gone");
}

#[test]
fn a_room_that_loses_its_copy_to_another_is_not_followed_any_longer() {
    let mut nodes = Nodes::with(Limits { connections: 1, logs: 2, ..Limits::default() });
    for room in ["a", "b", "c"] {
        nodes.api(1, "publish", json!({"channel": room, "data": 1}));
    }
    let (conn, _) = nodes.subscribe(0, None);
    nodes.nodes[0].say(conn, r#"{"id":3,"unsubscribe":{"channel":"a"}}"#);
    for room in ["b", "c"] {
        nodes.nodes[0].say(conn, &json!({"id": 4, "subscribe": {"channel": room}}).to_string());
        nodes.settle();
    }
    assert_eq!(nodes.followers(), [] as [usize; 0]);
    assert_eq!(nodes.nodes[0].shard.stats().totals.evictions.logs, 1);
    nodes.nodes[0].say(conn, r#"{"id":5,"subscribe":{"channel":"a"}}"#);
    nodes.settle();
    let frames = nodes.nodes[0].read_json(conn);
    assert_eq!(frames.last().expect("a reply")["error"]["code"], 106, "both places are taken: {frames:?}");
    assert_eq!(nodes.followers(), [] as [usize; 0]);
}

#[test]
fn rooms_are_followed_again_one_after_the_other() {
    let mut nodes = Nodes::new();
    let conn = nodes.nodes[0].json();
    for room in 0..100 {
        nodes.nodes[0].say(conn, &json!({"id": 2 + room, "subscribe": {"channel": format!("r{room}")}}).to_string());
        nodes.settle();
    }
    nodes.down(0);
    for room in 0..100 {
        nodes.api(1, "publish", json!({"channel": format!("r{room}"), "data": room}));
    }
    nodes.nodes[0].read(conn);
    nodes.up(0);
    let mut data = nodes.data(0, conn);
    data.sort_unstable_by_key(Value::as_u64);
    assert_eq!(data, (0..100).collect::<Vec<_>>());
}

#[test]
fn the_canary_does_not_fly_over_the_engine() {
    let mut nodes = Nodes::new();
    nodes.down(0);
    nodes.nodes[0].input(Input::Canary { number: 1 });
    let canary = nodes.nodes[0].shard.canary().expect("there is one");
    assert!(nodes.nodes[0].shard.pending(canary).is_some(), "it hears itself");
}

/// Has a node ask the engine for what a client of the room `a` has missed, at a position that its copy does not have.
fn unknown_since(nodes: &mut Nodes) -> Value {
    nodes.store.retains = 1;
    let first = nodes.publish(0, 1);
    nodes.publish(0, 2);
    nodes.nodes[1].open("/ws/a");
    nodes.settle();
    position(&first["result"])
}

#[test]
fn a_join_that_waits_does_not_replace_a_later_one_of_its_client() {
    let mut nodes = Nodes::new();
    let since = unknown_since(&mut nodes);
    let conn = nodes.user(1, "ada", json!({}));
    nodes.settle();
    let subscribe = json!({"channel": "a", "recover": true, "epoch": since["epoch"], "offset": since["offset"]});
    nodes.nodes[1].say(conn, &json!({"id": 2, "subscribe": subscribe}).to_string());
    assert!(matches!(nodes.nodes[1].asked.front(), Some(EngineRequest::Read { .. })));
    for method in ["unsubscribe", "subscribe"] {
        nodes.nodes[1].ask(method, r#"{"user":"ada","channel":"a"}"#);
    }
    nodes.settle();
    nodes.nodes[1].read(conn);
    nodes.publish(0, 3);
    assert_eq!(nodes.data(1, conn), [3], "it is a member by the join that came last");
}

#[test]
fn a_connection_that_waits_takes_the_place_of_none_that_came_later() {
    let limits = Limits { connections_per_user: std::num::NonZero::new(1), ..Limits::default() };
    let mut nodes = Nodes::with(limits);
    nodes.store.retains = 1;
    let first = nodes.api(0, "publish_user", json!({"user": "ada", "data": 1}));
    nodes.api(0, "publish_user", json!({"user": "ada", "data": 2}));
    let before = nodes.user(1, "ada", json!({}));
    nodes.settle();
    nodes.nodes[1].input(Input::Lost { conn: before, cause: Lost::Eof });
    let since = json!({"recover": true, "epoch": first["result"]["epoch"], "offset": 1});
    let waits = nodes.user(1, "ada", json!({"subs": {"#ada": since}}));
    assert!(matches!(nodes.nodes[1].asked.front(), Some(EngineRequest::Read { .. })), "{:?}", nodes.nodes[1].asked);
    let later = nodes.user(1, "ada", json!({}));
    nodes.settle();
    let frames = nodes.nodes[1].read(later);
    assert!(frames[0].contains("connect"), "{frames:?}");
    assert!(!nodes.nodes[1].ended.iter().any(|(conn, _)| *conn == later));
    assert_eq!(nodes.nodes[1].read_close(waits).map(|(code, _)| code), Some(3014), "it has come before");
}

#[test]
fn a_call_is_answered_behind_the_joins_that_it_has_led_to() {
    let mut nodes = Nodes::new();
    let conn = nodes.user(0, "ada", json!({}));
    nodes.settle();
    nodes.down(0);
    nodes.nodes[0].read(conn);
    nodes.nodes[0].ask("subscribe", r#"{"user":"ada","channel":"a"}"#);
    assert!(nodes.nodes[0].replies.is_empty(), "it is not in the room yet");
    nodes.up(0);
    assert_eq!(nodes.nodes[0].answer(), json!({"result": {}}));
    nodes.publish(1, 1);
    assert!(nodes.data(0, conn).contains(&json!(1)));
}

#[test]
fn who_asks_where_it_is_is_told_what_it_has_had() {
    let mut nodes = Nodes::new();
    let conn = nodes.nodes[0].open("/ws/a?positions=on");
    nodes.settle();
    nodes.publish(1, 1);
    nodes.nodes[0].read(conn);
    nodes.nodes[1].ask("publish", r#"{"channel":"a","data":2}"#);
    nodes.execute(1);
    nodes.nodes[0].say(conn, r#"{"type":"position"}"#);
    nodes.down(0);
    nodes.nodes[0].say(conn, r#"{"type":"position"}"#);
    let frames = nodes.nodes[0].read_json(conn);
    assert_eq!(frames.iter().map(|frame| &frame["offset"]).collect::<Vec<_>>(), [1, 1], "{frames:?}");
}

#[test]
fn a_removed_history_is_in_no_copy() {
    let mut nodes = Nodes::new();
    nodes.subscribe(1, None);
    let first = nodes.publish(0, 1);
    nodes.api(0, "history_remove", json!({"channel": "a"}));
    let before = json!({"epoch": first["result"]["epoch"], "offset": 0});
    let (_, reply) = nodes.subscribe(1, Some(&before));
    assert!(is_unrecovered(&reply), "{reply}");
}

#[test]
fn copies_of_rooms_that_have_said_nothing_are_bounded_too() {
    let mut nodes = Nodes::with(Limits { connections: 1, logs: 2, ..Limits::default() });
    for room in ["a", "b", "c"] {
        nodes.api(1, "publish", json!({"channel": room, "data": 1}));
    }
    let conn = nodes.nodes[0].json();
    for room in ["e", "f", "g", "a", "b", "c", "h"] {
        nodes.nodes[0].say(conn, &json!({"id": 4, "subscribe": {"channel": room}}).to_string());
        nodes.settle();
        nodes.nodes[0].say(conn, &json!({"id": 5, "unsubscribe": {"channel": room}}).to_string());
        assert!(nodes.nodes[0].shard.snapshot().logs.len() <= 2);
    }
}

#[test]
fn joins_that_wait_are_bounded() {
    let mut nodes = Nodes::with(Limits { connections: 1, logs: 2, ..Limits::default() });
    nodes.down(0);
    let conn = nodes.nodes[0].json();
    for (id, room) in [(2, "a"), (3, "b"), (4, "c")] {
        nodes.nodes[0].say(conn, &json!({"id": id, "subscribe": {"channel": room}}).to_string());
    }
    let reply = nodes.nodes[0].read_json(conn).remove(0);
    let words = "too many joins wait for the engine; at most 2 may (logs)";
    assert_eq!(reply, json!({"id": 4, "error": {"code": 106, "message": words}}));
}

#[test]
fn followers_that_have_not_heard_of_the_link_are_told_before_anything_else() {
    let mut nodes = Nodes::new();
    let (conn, _) = nodes.subscribe(0, None);
    nodes.down(0);
    nodes.publish(1, 1);
    // The engine is asked for this room last of all, and meanwhile the link ends and begins once more.
    nodes.is_up[0] = true;
    for event in [EngineEvent::Up, EngineEvent::Down, EngineEvent::Up] {
        nodes.nodes[0].begin(Input::Engine(event));
    }
    nodes.nodes[0].asked.clear();
    nodes.nodes[0].begin(Input::Engine(EngineEvent::Down));
    nodes.nodes[0].begin(Input::Engine(EngineEvent::Up));
    nodes.settle();
    nodes.publish(1, 2);
    assert_eq!(nodes.data(0, conn), [1, 2]);
}

#[test]
fn what_the_engine_refuses_is_said_and_asked_for_again() {
    let mut nodes = Nodes::new();
    let (member, _) = nodes.subscribe(1, None);
    nodes.store.is_full = true;
    let (conn, reply) = nodes.subscribe(0, None);
    assert_eq!(reply, Value::Null, "it waits");
    let words = "the engine has refused this: OOM";
    for (method, body) in [
        ("publish", json!({"channel": "a", "data": 1})),
        ("history", json!({"channel": "a", "limit": 1})),
        ("history_remove", json!({"channel": "a"})),
    ] {
        assert_eq!(nodes.api(0, method, body), json!({"error": {"code": 100, "message": words}}), "{method}");
    }
    assert_eq!(nodes.nodes[0].shard.stats().totals.published, 0);
    nodes.nodes[0].pass(Duration::from_millis(999));
    assert!(nodes.nodes[0].asked.is_empty(), "the engine is given a while");
    nodes.store.is_full = false;
    nodes.nodes[0].pass(Duration::from_millis(1));
    nodes.settle();
    assert_eq!(nodes.nodes[0].read_json(conn)[0]["subscribe"]["positioned"], true);
    nodes.publish(0, 2);
    assert_eq!((nodes.data(0, conn), nodes.data(1, member)), (vec![json!(2)], vec![json!(2)]));
}

#[test]
fn who_wants_the_newest_joins_without_them_where_they_are_refused() {
    let mut nodes = Nodes::new();
    nodes.publish(1, 1);
    let conn = nodes.nodes[0].open("/ws/a?history=2");
    nodes.execute(0);
    nodes.tell(0);
    nodes.store.is_full = true;
    nodes.settle();
    nodes.store.is_full = false;
    nodes.publish(1, 2);
    let frames = nodes.nodes[0].read(conn);
    assert_eq!(frames.last().map(String::as_str), Some("2"), "{frames:?}");
}
