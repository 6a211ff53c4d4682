//! Goals that clients and backends see reached: what they read, and how they are answered. It judges nothing.

use crate::checkers::observation::{Observation, Observed};
use crate::checkers::sent_command::SentCommand;
use crate::goals::{Goal, Goals};
use parlor_core::api::Command;
use parlor_core::{CloseCause, Effect, End};
use serde_json::Value;
use std::collections::BTreeMap;

/// More parts than this are many.
const MANY: usize = 100;

/// The goals that were seen, and the state by which they are recognized.
#[derive(Clone, Debug, Default)]
pub(super) struct Sights {
    pub(super) goals: Goals,
    /// The answer that each idempotency key got last.
    keys: BTreeMap<(String, String), Value>,
}

impl Sights {
    /// Takes in what was seen.
    pub(super) fn saw(&mut self, seen: &Observation<'_>) {
        match seen.what {
            Observed::Came { upgrade, answer: Ok(_), .. } if upgrade.token.is_some() => {
                self.reach(Goal::TokenInHeader);
            }
            Observed::Turn(turn) => self.ended(turn.effects),
            Observed::Published { room, .. } => self.published(room),
            Observed::Read { text, .. } => self.read(text),
            Observed::Answered { command, answer, .. } => self.answered(command, answer),
            Observed::Returned { command, answer } => self.returned(command, answer),
            _ => {}
        }
    }

    fn reach(&mut self, goal: Goal) {
        self.goals.reach(goal);
    }

    fn ended(&mut self, effects: &[Effect]) {
        let is_chosen = |end: &End| end.cause == CloseCause::Backend && end.reason().code() != 3503;
        if effects.iter().any(|effect| matches!(effect, Effect::Closed { end, .. } if is_chosen(end))) {
            self.reach(Goal::ChosenCode);
        }
        let is_revoked = |end: &End| end.cause == CloseCause::Revoked;
        if effects.iter().any(|effect| matches!(effect, Effect::Closed { end, .. } if is_revoked(end))) {
            self.reach(Goal::TokenRevoked);
        }
    }

    fn published(&mut self, room: Option<&str>) {
        self.reach(Goal::Delivered);
        self.reach(if room.is_some() { Goal::DeliveredInJson } else { Goal::DeliveredInPlain });
        if room.is_some_and(|room| room.starts_with('#')) {
            self.reach(Goal::Personal);
        }
    }

    fn read(&mut self, text: &Value) {
        let push = &text["push"];
        for (kind, goal) in [("join", Goal::SawJoin), ("leave", Goal::SawLeave), ("subscribe", Goal::PutIn)] {
            if push.get(kind).is_some() {
                self.reach(goal);
            }
        }
        if push["unsubscribe"]["code"] == 2501 {
            self.reach(Goal::RoomExpired);
        }
        match text["type"].as_str() {
            Some("gap") => self.reach(Goal::Gap),
            Some("position") => self.reach(Goal::PositionTold),
            _ => {}
        }
    }

    fn answered(&mut self, command: &SentCommand, answer: Result<&Value, u64>) {
        let params = &command.params;
        match (command.method.as_str(), answer) {
            ("connect", Ok(result)) => self.connected(result),
            ("connect", Err(109)) => self.reach(Goal::TokenExpired),
            ("subscribe", Ok(start)) => self.subscribed(params, start),
            ("subscribe", Err(112)) => self.reach(Goal::Unrecoverable),
            ("publish", Err(103)) => self.reach(Goal::Refused),
            ("publish", Err(107)) if params["data"]["type"].is_string() => self.reach(Goal::ServersType),
            ("publish", Err(107)) => self.reach(Goal::Unreadable),
            ("history", Ok(page)) if has_some(page) => {
                let is_reversed = params["reverse"] == true;
                self.reach(if is_reversed { Goal::HistoryReversed } else { Goal::HistoryRead });
            }
            ("history", Err(112)) => self.reach(Goal::HistoryOfAnotherEpoch),
            ("presence", Ok(_)) => self.reach(Goal::PresenceRead),
            ("presence", Err(106)) => self.reach(Goal::PresenceTooLarge),
            ("refresh", Ok(_)) => self.reach(Goal::Refreshed),
            ("sub_refresh", Ok(_)) => self.reach(Goal::RoomRefreshed),
            _ => {}
        }
    }

    fn connected(&mut self, result: &Value) {
        let subs = result["subs"].as_object().into_iter().flatten();
        let recovered = subs.filter(|(_, start)| start["recovered"] == true && has_some(start)).count();
        if recovered > 0 {
            self.reach(Goal::RecoveredAtConnect);
        }
        if recovered > 2 {
            self.reach(Goal::RecoveredInThree);
        }
    }

    fn subscribed(&mut self, params: &Value, start: &Value) {
        let has_token = params["token"].is_string();
        if has_token {
            self.reach(Goal::JoinedByToken);
        }
        if start["was_recovering"] != true {
            return;
        }
        let (epoch, offset) = (params["epoch"].as_str().unwrap_or_default(), params["offset"].as_u64());
        self.reach(match start["recovered"] == true {
            true if has_some(start) => Goal::Recovered,
            true => Goal::RecoveredNothing,
            false if !epoch.is_empty() && start["epoch"] != epoch => Goal::UnrecoveredEpoch,
            false if offset > start["offset"].as_u64() => Goal::UnrecoveredBeyond,
            false => Goal::UnrecoveredTrimmed,
        });
        if start["recovered"] == true && has_some(start) {
            if has_token {
                self.reach(Goal::RecoveredByToken);
            }
            if params["join_leave"] == true {
                self.reach(Goal::RecoveredWatching);
            }
        }
    }

    fn returned(&mut self, command: &Command, answer: &Value) {
        let result = &answer["result"];
        match command {
            Command::Batch(commands) => {
                self.reach(Goal::Batched);
                if commands.len() > MANY {
                    self.reach(Goal::BatchedMuch);
                }
            }
            Command::Broadcast { channels, .. } if channels.len() > MANY => self.reach(Goal::BroadcastMuch),
            Command::Channels { pattern, page } => {
                self.listed(page.limit.is_some(), page.after.is_some(), result);
                if pattern.is_some() {
                    self.reach(Goal::ListedByPattern);
                }
            }
            Command::Connections { user, channel, page } => {
                self.listed(page.limit.is_some(), page.after.is_some(), result);
                if user.is_some() || channel.is_some() {
                    self.reach(Goal::ListedSome);
                }
            }
            Command::History { .. } if has_some(result) => self.reach(Goal::HistoryRead),
            Command::Publish { channel, message } => {
                if let Some(key) = &message.idempotency_key {
                    self.published_once(channel, key, result);
                }
            }
            _ => {}
        }
    }

    fn listed(&mut self, is_bounded: bool, goes_on: bool, result: &Value) {
        if is_bounded && result["cursor"].is_string() {
            self.reach(Goal::ListedInParts);
        }
        if goes_on {
            self.reach(Goal::ListedOn);
        }
    }

    fn published_once(&mut self, room: &str, key: &str, result: &Value) {
        let before = self.keys.insert((room.into(), key.into()), result.clone());
        if result.is_object() && before.as_ref() == Some(result) {
            self.reach(Goal::PublishedOnce);
        }
    }
}

/// Whether there are publications in it.
fn has_some(result: &Value) -> bool {
    result["publications"].as_array().is_some_and(|all| !all.is_empty())
}
