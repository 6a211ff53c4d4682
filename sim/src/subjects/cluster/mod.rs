//! A node of several shards as the subject, with the links between them.
//!
//! A shard is a machine as any other. What one sends to another goes over a link (`links`): within the turn where links are
//! prompt, else when the world has it delivered. A cluster of one shard is that shard.
//!
//! The ids of connections are those of the whole node (`ids`). New connections and calls go to the shards in turn.

mod ids;
mod links;

use crate::rng::Rng;
use crate::subjects::subject::{LinkView, LinkWork, Subject, TurnReport, explain, go_on};
use ids::{ShardedConn, with_conn};
use links::{NodeLinks, Parcel};
use parlor_core::explain::DeliveryAccount;
use parlor_core::snapshot::RoomView;
use parlor_core::{
    Config, ConnId, Effect, Input, Instant, Node, Now, Refused, Shard, ShardId, Snapshot, Stats, Upgrade,
};
use parlor_core::{RoomName, UserId};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroUsize};

/// Deliveries of one turn, at most: more of them never end.
const ROUNDS: usize = 100_000;

/// Shards and the links between them.
#[derive(Clone, Debug)]
pub struct Cluster {
    config: Config,
    seed: [u8; 32],
    node: Node,
    shards: Vec<Shard>,
    /// How often each was started anew.
    starts: Vec<u32>,
    links: NodeLinks,
    /// Where the next connection and the next call go.
    next_conn: usize,
    next_call: usize,
    is_stopping: bool,
    /// The time of the last input of any shard.
    clock: Instant,
    /// The shards that have had a turn since they were audited, as bits.
    touched: Cell<u64>,
}

impl Cluster {
    fn start(config: &Config, base: [u8; 32], node: Node, shard: usize, starts: u32) -> Shard {
        let base = u64::from_le_bytes(*base.first_chunk().expect("a seed has more than 8 bytes"));
        let mut rng = Rng::stream(base, &format!("shard {shard}, start {starts}"));
        let mut seed = [0; 32];
        seed.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.draw().to_le_bytes()));
        Shard::of_node(config.clone(), seed, node, ShardId::at(shard))
    }

    /// Has each shard go on from its written state.
    pub(crate) fn reread(&mut self) {
        self.shards.iter_mut().for_each(|shard| *shard = shard.reread());
    }

    /// Writes the state of all shards, which go on.
    pub(super) fn write_states(&mut self) {
        self.shards.iter_mut().for_each(|shard| drop(shard.reread()));
    }

    /// Whether nothing is on its way between two shards.
    pub(crate) fn are_links_empty(&self) -> bool {
        self.is_alone() || self.links.are_empty()
    }

    /// The state of no shard.
    fn nothing() -> Snapshot {
        Snapshot {
            conns: Vec::new(),
            rooms: Vec::new(),
            users: Vec::new(),
            logs: Vec::new(),
            absences: Vec::new(),
            keys: Vec::new(),
            evicted: Vec::new(),
            revocations: Vec::new(),
            shutting_down: false,
        }
    }

    fn is_alone(&self) -> bool {
        self.shards.len() == 1
    }

    /// The time for all shards, which have one clock: where it goes back it has stood still for each of them.
    fn clamped(&mut self, now: Now) -> Now {
        if self.is_alone() {
            return now;
        }
        self.clock = self.clock.max(now.mono);
        Now { mono: self.clock, ..now }
    }

    /// Where a connection is in its shard, if that is still the one which took it in.
    fn place(&self, conn: ConnId) -> Option<ShardedConn> {
        if self.is_alone() {
            return Some(ShardedConn { shard: 0, conn });
        }
        let (place, starts) = ids::place(conn, self.shards.len());
        (self.starts[place.shard] == starts).then_some(place)
    }

    fn global(&self, shard: usize, conn: ConnId) -> ConnId {
        if self.is_alone() { conn } else { ids::global(conn, shard, self.shards.len(), self.starts[shard]) }
    }

    /// Hands an input to a shard, and puts what it sends to others on its links.
    fn turn(&mut self, now: Now, shard: usize, input: Input, follow_up: Option<Input>) -> TurnReport {
        let mut all: Vec<Effect> = self.shards[shard].handle(now, input).collect();
        go_on(&mut self.shards[shard], now, &mut all);
        self.touched.set(self.touched.get() | 1 << shard);
        let mut effects = Vec::with_capacity(all.len());
        for effect in all {
            match effect {
                Effect::Link { to, message } => self.links.send(shard, to.index(), message),
                effect => effects.push(ids::of_effect(effect, |conn| self.global(shard, conn))),
            }
        }
        TurnReport {
            shard,
            follow_up,
            written: Vec::new(),
            effects,
            after: if self.is_alone() { self.snapshot() } else { Self::nothing() },
            stats: self.stats(),
            timeout: self.shards[shard].poll_timeout(),
        }
    }

    fn receive(&mut self, now: Now, from: usize, to: usize, parcel: Parcel) -> TurnReport {
        let from = ShardId::at(from);
        let input = match parcel {
            Parcel::Message(message) => Input::Link { from, message },
            Parcel::Loss => Input::ShardLost { shard: from },
        };
        self.turn(now, to, input.clone(), Some(input))
    }

    /// Delivers all that is not held up, and what is sent meanwhile.
    fn run(&mut self, now: Now, reports: &mut Vec<TurnReport>) {
        for _ in 0..ROUNDS {
            let Some((from, to, parcel)) = self.links.any() else { return };
            reports.push(self.receive(now, from, to, parcel));
        }
        panic!("G10: shards that send to each other without end");
    }

    /// Loses a shard. The one in its place is told what the node is about to do.
    fn lose(&mut self, now: Now, shard: usize) -> Option<TurnReport> {
        self.starts[shard] += 1;
        self.shards[shard] = Self::start(&self.config, self.seed, self.node, shard, self.starts[shard]);
        self.links.lose(shard);
        self.is_stopping.then(|| self.turn(now, shard, Input::Shutdown, Some(Input::Shutdown)))
    }

    /// Hands an input to each shard.
    fn turn_of_all(&mut self, now: Now, input: &Input) -> Vec<TurnReport> {
        let follow_up = |shard: usize| (shard > 0).then(|| input.clone());
        (0..self.shards.len()).map(|shard| self.turn(now, shard, input.clone(), follow_up(shard))).collect()
    }
}

impl Subject for Cluster {
    const HAS_SHARDS: bool = true;

    fn new(config: Config, seed: [u8; 32]) -> Self {
        Self::with_shards(config, seed, NonZeroUsize::MIN, false)
    }

    fn with_shards(config: Config, seed: [u8; 32], shards: NonZeroUsize, are_links_slow: bool) -> Self {
        let count = shards.get();
        let few = NonZeroU16::try_from(shards).expect("a few shards");
        let node = Node::new(few, *seed.first_chunk().expect("a seed has more than 16 bytes"));
        let start = |shard| match count {
            1 => Shard::new(config.clone(), seed),
            _ => Self::start(&config, seed, node, shard, 0),
        };
        Self {
            shards: (0..count).map(start).collect(),
            starts: vec![0; count],
            links: NodeLinks::new(count, are_links_slow),
            next_conn: 0,
            next_call: 0,
            is_stopping: false,
            clock: Instant(0),
            touched: Cell::new(0),
            config,
            seed,
            node,
        }
    }

    fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        let now = self.clamped(now);
        let shard = self.next_conn;
        self.next_conn = (shard + 1) % self.shards.len();
        let conn = self.shards[shard].accept(now, request)?;
        Ok(self.global(shard, conn))
    }

    fn turns(&mut self, now: Now, input: Input) -> Vec<TurnReport> {
        if self.is_alone() {
            return vec![self.turn(now, 0, input, None)];
        }
        let now = self.clamped(now);
        self.is_stopping |= matches!(input, Input::Shutdown);
        if matches!(input, Input::Tick) {
            self.links.tick();
        }
        let mut reports = match (input.conn(), &input) {
            (Some(conn), _) => match self.place(conn) {
                Some(ShardedConn { shard, conn }) => vec![self.turn(now, shard, with_conn(input, conn), None)],
                // Its shard was lost, and nobody remembers it.
                None => vec![TurnReport::of(self, Vec::new())],
            },
            (None, Input::Call { .. }) => {
                let shard = self.next_call;
                self.next_call = (shard + 1) % self.shards.len();
                vec![self.turn(now, shard, input, None)]
            }
            (None, _) => self.turn_of_all(now, &input),
        };
        if !self.links.are_slow() {
            self.run(now, &mut reports);
        }
        reports
    }

    fn on_links(&mut self, now: Now, work: LinkWork) -> Vec<TurnReport> {
        let now = self.clamped(now);
        let mut reports = Vec::new();
        match work {
            LinkWork::Deliver(from, to) => {
                let parcel = self.links.take(from, to);
                reports.extend(parcel.map(|parcel| self.receive(now, from, to, parcel)));
            }
            LinkWork::DeliverNext => {
                let next = self.links.any();
                reports.extend(next.map(|(from, to, parcel)| self.receive(now, from, to, parcel)));
            }
            LinkWork::LetAllGo => self.links.let_all_go(),
            LinkWork::Hold(from, to) => self.links.hold(from, to, true),
            LinkWork::LetGo(from, to) => self.links.hold(from, to, false),
            LinkWork::Lose(shard) => reports.extend(self.lose(now, shard)),
            LinkWork::Heal => self.links.heal(),
        }
        if !self.links.are_slow() {
            self.run(now, &mut reports);
        }
        reports
    }

    fn shard_of(&self, conn: ConnId) -> usize {
        self.place(conn).map_or(0, |place| place.shard)
    }

    fn link(&self, from: usize, to: usize) -> LinkView {
        self.links.view(from, to)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.shards.iter().filter_map(Shard::poll_timeout).min()
    }

    fn pending(&self, conn: ConnId) -> Option<Vec<u8>> {
        let ShardedConn { shard, conn } = self.place(conn)?;
        Subject::pending(&self.shards[shard], conn)
    }

    fn is_paused(&self, conn: ConnId) -> bool {
        self.place(conn).is_some_and(|ShardedConn { shard, conn }| self.shards[shard].is_paused(conn))
    }

    fn snapshot(&self) -> Snapshot {
        if let [shard] = &self.shards[..] {
            return shard.snapshot();
        }
        let mut whole = Snapshot { shutting_down: self.is_stopping, ..Self::nothing() };
        let mut users: BTreeMap<UserId, Vec<ConnId>> = BTreeMap::new();
        for (shard, machine) in self.shards.iter().enumerate() {
            let Snapshot { conns, rooms, users: own, logs, absences, keys, evicted, revocations, .. } =
                machine.snapshot();
            let global = |conn: ConnId| self.global(shard, conn);
            whole.conns.extend(conns.into_iter().map(|view| {
                let id = global(view.id);
                parlor_core::snapshot::ConnView { id, ..view }
            }));
            for RoomView { name, members } in rooms {
                let members = members.into_iter().map(global);
                match whole.rooms.iter_mut().find(|room| room.name == name) {
                    Some(room) => room.members.extend(members),
                    None => whole.rooms.push(RoomView { name, members: members.collect() }),
                }
            }
            own.into_iter()
                .for_each(|(user, conns)| users.entry(user).or_default().extend(conns.into_iter().map(global)));
            whole.logs.extend(logs);
            whole.absences.extend(absences);
            whole.keys.extend(keys);
            whole.evicted.extend(evicted);
            whole.revocations.extend(revocations);
        }
        whole.users.extend(users);
        whole
    }

    fn details(&self) -> Vec<(ConnId, String)> {
        let shards = self.shards.iter().enumerate();
        let of = |(shard, machine): (usize, &Shard)| {
            machine.details().into_iter().map(move |(conn, text)| (self.global(shard, conn), text))
        };
        shards.flat_map(of).collect()
    }

    fn stats(&self) -> Stats {
        let mut shards = self.shards.iter().map(Shard::stats);
        let first = shards.next().expect("there is a shard");
        shards.fold(first, |mut sum, stats| {
            sum += &stats;
            sum
        })
    }

    fn audit(&self) {
        let touched = self.touched.take();
        let shards = self.shards.iter().enumerate();
        shards.filter(|(shard, _)| touched & 1 << shard != 0).for_each(|(_, shard)| shard.audit());
        if !self.is_alone() && self.links.are_empty() {
            Shard::audit_node(&self.shards.iter().collect::<Vec<_>>());
        }
    }

    fn explain(&self, room: &RoomName, epoch: &str, offset: u64) -> Option<Vec<DeliveryAccount>> {
        Some(explain(&self.shards.iter().collect::<Vec<_>>(), room, epoch, offset))
    }

    fn twin(&self) -> Option<Shard> {
        if let [shard] = &self.shards[..] { Some(shard.clone()) } else { None }
    }
}
