//! Who stays under half of each rate, and so is never to be refused for one; and who is above a rate, and so is refused.

use super::counted_rate::CountedRate;
use crate::checkers::sent_command::SentCommand;
use parlor_core::{Address, ConnId, Limit, Limits, Now, Refused, Upgrade};
use std::collections::BTreeMap;

/// Requests of a client in all: those that have waited may be carried out at once.
#[derive(Clone, Copy, Debug, Default)]
struct RequestCounts {
    frames: u32,
    commands: u32,
    joins: u32,
    publishes: u32,
    /// When it came, and how many of its commands were carried out.
    came: u64,
    done: u32,
}

/// The frames of a client, and whether one of them was too many.
#[derive(Clone, Copy, Debug)]
struct FrameRate {
    counted: CountedRate,
    is_over: bool,
}

/// Requests and new connections, as far as they were seen.
#[derive(Clone, Debug)]
pub(super) struct RequestRates {
    limits: Limits,
    /// There is one shard; several have the rates each for itself.
    is_one: bool,
    /// All new connections, and those of each address.
    arrivals: BTreeMap<Option<Address>, CountedRate>,
    /// Those that were accepted from each address.
    accepted: BTreeMap<Address, CountedRate>,
    asked: BTreeMap<usize, RequestCounts>,
    frames: BTreeMap<usize, FrameRate>,
}

impl RequestRates {
    pub fn new(limits: &Limits, is_one: bool) -> Self {
        Self {
            limits: limits.clone(),
            is_one,
            arrivals: BTreeMap::new(),
            accepted: BTreeMap::new(),
            asked: BTreeMap::new(),
            frames: BTreeMap::new(),
        }
    }

    /// Counts a new connection. False where it was refused for a rate of which it stays under half, or accepted above one.
    pub fn came(&mut self, now: Now, client: usize, upgrade: &Upgrade, answer: Result<ConnId, Refused>) -> bool {
        if answer.is_ok() {
            self.asked.insert(client, RequestCounts { came: now.mono.0, ..RequestCounts::default() });
            self.frames.remove(&client);
        }
        let limits = &self.limits;
        let (all, each) = (limits.new_connections, limits.new_connections_per_ip);
        let mut is_slow = |who, rate| self.arrivals.entry(who).or_insert(CountedRate::HALF).take(now.mono.0, rate);
        let (all, each) = (is_slow(None, all), is_slow(upgrade.address.map(Address::from), each));
        match answer {
            Ok(_) if self.is_one && self.limits.new_connections_per_ip.per_second > 0 => {
                let (address, rate) = (upgrade.address.map(Address::from), self.limits.new_connections_per_ip);
                let counted = address.map(|address| self.accepted.entry(address).or_insert(CountedRate::WHOLE));
                counted.is_none_or(|counted| counted.take(now.mono.0, rate))
            }
            Err(Refused::Limit(Limit::NewConnections)) => !all,
            Err(Refused::Limit(Limit::NewConnectionsPerIp)) => !each,
            _ => true,
        }
    }

    /// Counts a client's command.
    pub fn asked(&mut self, client: usize, command: &SentCommand) {
        let asked = self.asked.entry(client).or_default();
        asked.commands += 1;
        asked.joins += u32::from(command.method == "subscribe");
        asked.publishes += u32::from(command.method == "publish");
    }

    /// From now on frames of a client count.
    pub fn upgraded(&mut self, client: usize) {
        self.frames.insert(client, FrameRate { counted: CountedRate::WHOLE, is_over: false });
    }

    /// Counts a client's frame.
    pub fn framed(&mut self, now: Now, client: usize) {
        self.asked.entry(client).or_default().frames += 1;
        let rate = self.limits.client_frames;
        if let Some(frames) = self.frames.get_mut(&client).filter(|_| rate.per_second > 0) {
            frames.is_over |= !frames.counted.take(now.mono.0, rate);
        }
    }

    /// Counts a command that was carried out. False where it is more than the rate has allowed since the client came.
    pub fn answered(&mut self, now: Now, client: usize) -> bool {
        let rate = self.limits.client_commands;
        let asked = self.asked.entry(client).or_default();
        asked.done += 1;
        let passed = now.mono.0.saturating_sub(asked.came) as f64 / 1e9;
        rate.per_second == 0
            || f64::from(asked.done) <= f64::from(rate.burst) + passed * f64::from(rate.per_second) + 1.0
    }

    /// Whether a client has sent more frames than it may.
    pub fn is_over(&self, client: usize) -> bool {
        self.frames.get(&client).is_some_and(|frames| frames.is_over)
    }

    /// Whether a client has asked for no more than half of every burst.
    pub fn is_modest(&self, client: usize) -> bool {
        let (limits, asked) = (&self.limits, self.asked.get(&client).copied().unwrap_or_default());
        let rates = [
            (limits.client_frames, asked.frames),
            (limits.client_commands, asked.commands),
            (limits.client_joins, asked.joins),
            (limits.client_publishes, asked.publishes),
        ];
        rates.iter().all(|(rate, asked)| rate.per_second == 0 || *asked <= rate.burst / 2)
    }
}
