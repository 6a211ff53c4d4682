//! Who stays under half of each rate, and so is never to be refused for one.

use super::half::HalfRate;
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
}

/// Requests and new connections, as far as they were seen.
#[derive(Clone, Debug)]
pub(super) struct RequestRates {
    limits: Limits,
    /// All new connections, and those of each address.
    arrivals: BTreeMap<Option<Address>, HalfRate>,
    asked: BTreeMap<usize, RequestCounts>,
}

impl RequestRates {
    pub fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), arrivals: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Counts a new connection. False where it was refused for a rate of which it stays under half.
    pub fn came(&mut self, now: Now, client: usize, upgrade: &Upgrade, answer: Result<ConnId, Refused>) -> bool {
        if answer.is_ok() {
            self.asked.insert(client, RequestCounts::default());
        }
        let limits = &self.limits;
        let (all, each) = (limits.new_connections, limits.new_connections_per_ip);
        let mut is_slow = |who, rate| self.arrivals.entry(who).or_default().take(now.mono.0, rate);
        let (all, each) = (is_slow(None, all), is_slow(upgrade.address.map(Address::from), each));
        match answer {
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

    /// Counts a client's frame.
    pub fn framed(&mut self, client: usize) {
        self.asked.entry(client).or_default().frames += 1;
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
