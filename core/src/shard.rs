//! One hub and one broker as one machine: an input goes in, and when nothing is left to be done, its effects come out.

use crate::broker::{Broker, Log};
use crate::config::Config;
use crate::hub::Hub;
use crate::ids::ConnId;
use crate::link::epoch_text;
use crate::map::Keys;
use crate::outbox::Queue;
use crate::snapshot::{LogView, Snapshot};
use crate::stats::{Gauges, Stats};
use crate::time::{Instant, Now};
use crate::turn::{Effect, Input, Refused, Turn, Upgrade};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The state machine of one shard. It belongs to one thread.
#[derive(Clone, Debug)]
pub struct Shard {
    config: Rc<Config>,
    hub: Hub,
    broker: Broker,
}

/// The bytes that wait for one connection's socket.
#[derive(Clone, Copy, Debug)]
pub struct Pending<'a> {
    queue: &'a Queue,
}

impl<'a> Pending<'a> {
    /// How many bytes; at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty: where nothing waits there is no Pending")]
    pub fn len(&self) -> usize {
        self.queue.bytes()
    }

    /// The bytes in the order in which they have to be written, a slice a frame. The first may be the rest of a frame.
    pub fn slices(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.queue.slices()
    }
}

impl Shard {
    /// A shard with nothing in it. `seed` keys its hash maps and names its logs: 32 random bytes, or, to repeat a run,
    /// the same ones.
    ///
    /// # Panics
    /// When the limits contradict each other: see [`crate::Limits::validate`].
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        if let Err(wrong) = config.limits.validate() {
            panic!("{wrong}");
        }
        let word = |at: usize| {
            let bytes: [u8; 8] = core::array::from_fn(|byte| seed[at * 8 + byte]);
            u64::from_le_bytes(bytes)
        };
        let keys = Keys(word(0), word(1));
        let config = Rc::new(config);
        Self { hub: Hub::new(Rc::clone(&config), keys), broker: Broker::new(keys, word(2)), config }
    }

    /// What it was configured with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes in a connection, from a complete and valid upgrade request. This is the only source of ids.
    ///
    /// # Errors
    /// Which limit is in the way.
    ///
    /// # Panics
    /// When `request.client` is that of a connection that is there: it has to be random.
    pub fn accept(&mut self, now: Now, request: Upgrade) -> Result<ConnId, Refused> {
        self.hub.begin(now);
        self.hub.accept(request)
    }

    /// Handles one input to the end. It never fails: what a peer does wrong is an input, and what the caller does wrong,
    /// by naming a connection that has ended, is counted.
    pub fn handle(&mut self, now: Now, input: Input) -> Turn<'_> {
        assert!(self.hub.effects.is_empty(), "the effects of a turn are taken before the next one");
        let mono = self.hub.begin(now);
        if matches!(input, Input::Tick) {
            self.broker.tick(mono, &self.config.limits);
        }
        self.hub.handle(input);
        self.settle(mono);
        Turn { effects: self.hub.effects.drain(..) }
    }

    /// When [`Input::Tick`] is next useful; `None` when nothing waits for time to pass.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.hub.next_deadline(), self.broker.next_deadline()].into_iter().flatten().min()
    }

    /// What to write to a connection's socket; `None` when nothing waits or the connection has ended.
    #[must_use]
    pub fn pending(&self, conn: ConnId) -> Option<Pending<'_>> {
        self.hub.queue(conn).filter(|queue| !queue.is_empty()).map(|queue| Pending { queue })
    }

    /// Checks every guarantee that can be seen in the state. It costs as much as the shard holds.
    ///
    /// # Panics
    /// When one does not hold, with its name.
    pub fn audit(&self) {
        self.hub.audit();
        self.broker.audit(&self.config.limits);
        for room in self.hub.room_views() {
            assert_eq!(
                self.broker.member_count(&room.name),
                room.members.len(),
                "G2: hub and broker agree on {:?}",
                room.name
            );
        }
        let occupied = self.broker.logs().filter(|log| !log.members.is_empty()).count();
        assert_eq!(occupied, self.hub.gauges().rooms, "G3: the broker has no member that the hub does not know");
        assert!(self.hub.requests.is_empty() && self.broker.news.is_empty(), "a turn ends with nothing undone");
    }

    /// What exists and what has happened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let gauges =
            Gauges { logs: self.broker.logs().count(), history_bytes: self.broker.bytes(), ..self.hub.gauges() };
        Stats { gauges, totals: self.hub.totals().clone() }
    }

    /// The whole state as plain data.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut logs: Vec<LogView> = self.broker.logs().map(|log| self.log_view(log)).collect();
        logs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Snapshot {
            conns: self.hub.conn_views(),
            rooms: self.hub.room_views(),
            users: self.hub.user_views(),
            logs,
            shutting_down: self.hub.is_draining(),
        }
    }

    /// Carries messages between hub and broker, first in, first out, until neither has anything left to do.
    fn settle(&mut self, now: Instant) {
        loop {
            self.hub.evict();
            if let Some(news) = self.broker.news.pop_front() {
                self.hub.hear(news);
            } else if let Some(request) = self.hub.requests.pop_front() {
                self.broker.handle(now, request, &self.config.limits);
            } else if !self.hub.next_command() {
                break;
            }
        }
    }

    fn log_view(&self, log: &Log) -> LogView {
        let position = log.position();
        let ages_out = log.ages_out(self.config.limits.history_age);
        LogView {
            name: log.name.clone(),
            epoch: epoch_text(position.epoch),
            top: position.offset,
            entries: log.entries().map(|entry| (entry.offset, entry.draft.data.clone())).collect(),
            ages_out: (ages_out != Instant::NEVER).then_some(ages_out),
            members: log.members.keys().copied().collect(),
        }
    }
}

const _: () = assert!(size_of::<Effect>() <= 40, "effects are made by the thousand");
const _: () = assert!(size_of::<Input>() <= 136, "inputs are moved");
