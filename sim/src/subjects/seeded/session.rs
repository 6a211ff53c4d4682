//! Subjects that get recovery, history, presence, tokens or limits wrong.

use super::defect::{FoundBy, Misbehaviour, Seeded, defects, known_user};
use crate::guarantees::Guarantee;
use crate::subjects::subject::{Subject, vouch};
use parlor_core::admission::route::Target;
use parlor_core::api::{Command, HistoryLimit, Reply, Selection};
use parlor_core::close::CloseReason;
use parlor_core::error::Error;
use parlor_core::limits::Rate;
use parlor_core::snapshot::{ConnView, LogView, PhaseView};
use parlor_core::{
    CallId, Claims, Config, ConnId, Effect, Input, Now, Refused, RoomName, Shard, Snapshot, Stats, Upgrade, UserId,
    UserLimit, WebSocketMessage,
};
use serde_json::Value;
use std::time::Duration;

/// Changes what a client says.
fn reword(input: &mut Input, from: &str, to: &str) {
    if let Input::Message { message: WebSocketMessage::Text(text), .. } = input {
        *text = text.replace(from, to);
    }
}

/// Changes what a token says.
pub(super) fn retell(input: &mut Input, reword: impl FnOnce(&mut Claims)) {
    if let Input::Authenticated { verdict: Ok(verified), .. } = input {
        let mut claims = verified.claims().clone();
        reword(&mut claims);
        *verified = vouch(Ok(claims)).expect("it was good before");
    }
}

/// The rooms of a connection that shows a token once more, but for its user's own.
pub(super) fn rooms_at_renewal(shard: &Shard, input: &Input) -> Option<Vec<String>> {
    let Input::Authenticated { conn, verdict: Ok(verified) } = input else { return None };
    let snapshot = shard.snapshot();
    let view = snapshot.conns.iter().find(|view| view.id == *conn)?;
    let PhaseView::Open { stage: "ready", rooms, .. } = &view.phase else { return None };
    let named = rooms.iter().map(|(room, _)| room.to_string()).filter(|room| !room.starts_with('#'));
    verified.claims().channel.is_none().then(|| named.collect())
}

/// Whether a client says all of this.
fn says(input: &Input, all: &[&str]) -> bool {
    matches!(input, Input::Message { message: WebSocketMessage::Text(text), .. } if all.iter().all(|words| text.contains(words)))
}

/// Puts the parts of a call first that the home has nothing to do with. Returns where each of them was.
fn hub_first(parts: &mut Vec<(&'static str, Result<Command, Error>)>) -> Vec<usize> {
    let mut numbered: Vec<_> = std::mem::take(parts).into_iter().enumerate().collect();
    numbered.sort_by_key(|(_, (method, _))| !["send", "disconnect", "unsubscribe"].contains(method));
    let (order, sorted) = numbered.into_iter().unzip();
    *parts = sorted;
    order
}

/// Writes `to` over every `from`, which is as long.
fn overwrite(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len(), "a frame keeps its length");
    let found: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

/// The body of an answer in which some of its objects name every room of the server.
fn with_rooms(body: &str, objects: impl Fn(&mut Value) -> Vec<&mut Value>, shard: &Shard) -> String {
    let mut body: Value = serde_json::from_str(body).expect("an answer is JSON");
    let rooms: Value = shard.snapshot().rooms.iter().map(|room| room.name.as_str()).collect();
    objects(&mut body).into_iter().for_each(|object| object["rooms"] = rooms.clone());
    body.to_string()
}

/// The answers to the parts of a call.
fn parts(body: &mut Value) -> Vec<&mut Value> {
    let parts = body["replies"].as_array_mut().expect("a list").iter_mut().filter_map(Value::as_object_mut);
    parts.flat_map(|part| part.values_mut()).collect()
}

/// The entries of a list.
fn fields_of(list: &mut Value) -> Vec<&mut Value> {
    list.as_object_mut().expect("a list").values_mut().collect()
}

/// The bytes of the payloads that a log retains.
fn held(log: &LogView) -> usize {
    log.entries.iter().map(|(_, data)| data.len()).sum()
}

/// The room whose log retains the least, of those that retain anything.
fn poorest(shard: &Shard) -> Option<RoomName> {
    let logs = shard.snapshot().logs.into_iter().filter(|log| held(log) > 0);
    logs.min_by_key(held).map(|log| log.name)
}

/// Whether the log that retained the most was published to elsewhere, and gave up a message for that.
fn gave_up(before: &Snapshot, after: &Snapshot) -> bool {
    let richest = before.logs.iter().max_by_key(|log| held(log));
    let now =
        richest.and_then(|before| after.logs.iter().find(|after| after.name == before.name).map(|log| (before, log)));
    let has_grown = |log: &&LogView| before.logs.iter().any(|before| before.name == log.name && before.top < log.top);
    now.is_some_and(|(before, log)| before.top == log.top && held(log) < held(before))
        && after.logs.iter().any(|log| has_grown(&log))
}

const FILTERED: &str = "setup conns=1 rooms=1 users=1
accept 0 json 0; upgrade 0; connect 0 nothing; say 0 tags-filter; flush";

/// A plain client that names its places in two rooms has missed something in both.
const TWO_PLACES: &str = "setup conns=2 rooms=3 users=1
enter 0 7; flush; api-broadcast small; api-broadcast small; flush; lose 0 eof; api-broadcast small
accept-since 1 7 two; upgrade 1; decide 1 good 0; flush; heal";

/// A later token names other rooms.
const MOVED: &str = "setup conns=2 rooms=3 users=1
accept 0 json 1; upgrade 0; connect 0 token; decide 0 placed 0; flush
refresh 0; decide 0 moved 0; flush; api-publish 0 small; flush; heal";

/// All rooms together retain too much, of which one retains the most, and another one hardly anything.
const GIVEN_UP: &str = "setup conns=1 rooms=3 users=1 history_bytes=9000 publication_bytes=4000
api-publish-user 0 small; api-publish 1 small; api-publish 0 large; api-publish 0 large; api-publish 1 large";

/// A client sends more frames than it may.
const MANY_FRAMES: &str = "setup conns=2 rooms=1 users=1 client_frames=12
accept 0 json 1; upgrade 0; connect 0 token; decide 0 good 0; flush
frames 0 pings; frames 0 pings; flush; heal";

defects! {
    a_recovery_from_any_log: AnyLog breaks P1 | G2 | G8 | G5 within 400 seeds {
        fn hear(&self, input: &mut Input) {
            reword(input, r#""epoch":"elsewhere""#, r#""epoch":"""#);
        }
    }
    a_recovery_that_begins_one_late: OneLate breaks G5 | P1 within 90 seeds {
        fn hear(&self, input: &mut Input) {
            reword(input, r#""offset":0,"recover":true"#, r#""offset":1,"recover":true"#);
        }
    }
    a_recovery_that_is_forgotten: NoRecovery breaks G5 | P1 within 90 seeds {
        fn hear(&self, input: &mut Input) {
            reword(input, r#""recover":true"#, r#""recover":false"#);
        }
    }
    a_recovery_larger_than_a_reply: LargeRecovery breaks P1 | G5 | G8 within 20 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.reply_messages = usize::MAX;
            config.limits.reply_bytes = config.limits.frame_bytes / 2;
        }
    }
    a_reply_that_counts_payloads_alone: Payloads breaks P1 | G5 | G8 within 600 seeds {
        fn configure(&self, config: &mut Config) {
            // What stands around the payload of one message.
            let bytes = config.limits.reply_bytes + r#"{"data":,"offset":1}"#.len();
            config.limits.reply_bytes = bytes.min(config.limits.frame_bytes / 2);
        }
    }
    a_log_that_goes_with_its_last_member: Forgotten breaks G3 | G7 | P1 within 40 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.log_memory = Duration::ZERO;
        }
    }
    a_log_that_retains_too_much: LongLog breaks G5 | G6 within 20 seeds {
        fn configure(&self, config: &mut Config) {
            config.namespaces.policies_mut().for_each(|policy| policy.history_messages *= 2);
        }
    }
    a_log_that_ages_late: OldLog breaks G7 | G3 | L3 within 20 seeds {
        fn configure(&self, config: &mut Config) {
            config.namespaces.policies_mut().for_each(|policy| policy.history_age *= 2);
        }
    }
    a_log_that_forgets_nothing_when_told: NotRemoved breaks G3 | G5 within 20 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command, .. } = input
                && let Command::HistoryRemove { channel } = command
            {
                *command = Command::Unsubscribe { user: known_user("nobody"), client: Selection::All, channel: channel.clone() };
            }
        }
    }
    a_log_read_backwards: Forwards breaks G5 | P1 within 20 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::History { query, .. }, .. } = input {
                query.reverse = false;
            }
        }
    }
    a_log_read_past_its_limit: Generous breaks G5 | P1 within 60 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::History { query, .. }, .. } = input
                && let HistoryLimit::AtMost(most) = query.limit
            {
                query.limit = HistoryLimit::at_most(most.get() + 1);
            }
        }
    }
    a_key_that_does_not_count: NoKey breaks P1 | G7 within 20 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Publish { message, .. }, .. } = input {
                message.idempotency_key = None;
            }
        }
    }
    a_key_that_counts_for_too_long: LongKey breaks G7 | L3 within 20 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.idempotency_window += Duration::from_secs(1);
        }
    }
    a_watcher_who_is_not_told: Blind breaks P1 | G6 within 80 seeds {
        fn hear(&self, input: &mut Input) {
            reword(input, r#""join_leave":true"#, r#""join_leave":false"#);
        }
    }
    a_leave_that_is_told_as_a_join: JoinForLeave breaks P1 within 110 seeds {
        fn send(&self, bytes: &mut [u8]) {
            overwrite(bytes, r#""leave":{"info""#, r#""joins":{"info""#);
        }
    }
    a_presence_of_somebody_else: Impostor breaks P1 | G5 within 70 seeds {
        fn send(&self, bytes: &mut [u8]) {
            overwrite(bytes, r#":{"user":"u0","#, r#":{"user":"u9","#);
        }
    }
    a_count_for_a_list: CountForList breaks G2 | P1 within 20 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command, .. } = input
                && let Command::Presence { channel } = command
            {
                *command = Command::PresenceStats { channel: channel.clone() };
            }
        }
    }
    an_answer_that_names_every_room: Gossip breaks G2 | P1 within 20 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            match result {
                Ok(Reply::PresenceStats { .. }) => with_rooms(&body, |body| vec![&mut body["result"]], shard),
                _ => body,
            }
        }
    }
    a_part_that_names_every_room: Aside breaks P1 within 20 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            match result {
                Ok(Reply::Batch(_)) => with_rooms(&body, parts, shard),
                _ => body,
            }
        }
    }
    a_node_that_names_every_room: Talkative breaks G8 | G2 | P1 within 40 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            if matches!(result, Ok(Reply::Info(_))) { with_rooms(&body, |body| vec![&mut body["result"]["nodes"][0]], shard) } else { body }
        }
    }
    a_list_of_rooms_with_more_in_it: Broad breaks G8 | G2 | P1 within 40 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            if matches!(result, Ok(Reply::Channels { .. })) { with_rooms(&body, |body| fields_of(&mut body["result"]["channels"]), shard) } else { body }
        }
    }
    a_list_of_connections_with_more_in_it: Indiscreet breaks G8 | G2 | P1 within 80 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            if matches!(result, Ok(Reply::Connections { .. })) { with_rooms(&body, |body| fields_of(&mut body["result"]["connections"]), shard) } else { body }
        }
    }
    a_list_of_limits_with_more_in_it: Verbose breaks G8 | G2 | P1 within 40 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            if matches!(result, Ok(Reply::Limits(_))) { with_rooms(&body, |body| fields_of(&mut body["result"]["limits"]), shard) } else { body }
        }
    }
    a_list_of_members_with_more_in_it: Telltale breaks G8 | G2 | P1 within 40 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            let body = Subject::answer(shard, result);
            if matches!(result, Ok(Reply::Presence(_))) { with_rooms(&body, |body| fields_of(&mut body["result"]["presence"]), shard) } else { body }
        }
    }
    a_limit_that_is_told_wrong: Misquoted breaks G8 | P1 within 40 seeds {
        fn answer(&self, shard: &Shard, result: &Result<Reply, Error>) -> String {
            Subject::answer(shard, result).replace(r#""value":"25s""#, r#""value":"26s""#)
        }
    }
    a_session_that_is_another: Alias breaks P1 within 40 seeds {
        fn send(&self, bytes: &mut [u8]) {
            overwrite(bytes, r#""session":"0"#, r#""session":"1"#);
        }
    }
    a_connection_beside_its_user_that_is_passed_over: Sweeping breaks G2 | G7 | P1 | G5 within 100 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command, .. } = input
                && let Command::Disconnect { user, client, .. }
                | Command::Subscribe { user, client, .. }
                | Command::Unsubscribe { user, client, .. } = command
                && !user.is_empty()
            {
                *client = Selection::All;
            }
        }
    }
    a_spared_connection_that_is_closed: Ruthless breaks G2 | G7 | G1 | P1 within 320 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Disconnect { whitelist, .. }, .. } = input {
                whitelist.clear();
            }
        }
    }
    a_chosen_code_that_is_another: Willful breaks G7 | G1 within 150 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Disconnect { reason, .. }, .. } = input
                && reason.code() > 4400
            {
                *reason = CloseReason::new(4400, reason.text()).expect("a code");
            }
        }
    }
    a_list_that_begins_anew: Restless breaks G8 | P1 within 620 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command, .. } = input {
                match command {
                    Command::Channels { page, .. } => page.after = None,
                    Command::Connections { page, .. } => page.after = None,
                    _ => {}
                }
            }
        }
    }
    a_list_that_leaves_nobody_out: Frank breaks G8 | P1 within 60 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Connections { user, channel, .. }, .. } = input {
                (*user, *channel) = (None, None);
            }
        }
    }
    a_pattern_that_fits_everything: Wild breaks G8 | P1 within 150 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Channels { pattern, .. }, .. } = input {
                *pattern = None;
            }
        }
    }
    a_place_that_counts_in_one_room_alone: OneRoom breaks P1 | G5 | G6 | G7 by TWO_PLACES {
        fn accept(&self, shard: &mut Shard, now: Now, mut request: Upgrade) -> Result<ConnId, Refused> {
            if let Target::Plain(plain) = &mut request.target {
                plain.since.truncate(1);
            }
            shard.accept(now, request)
        }
    }
    a_broadcast_that_is_cut_short: Short breaks P1 | G5 within 1000 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Broadcast { channels, .. }, .. } = input {
                channels.truncate(100);
            }
        }
    }
    a_room_token_for_any_room: AnyRoom breaks G2 | P1 | G8 within 2000 seeds {
        fn hear(&self, input: &mut Input) {
            retell(input, |claims| {
                if claims.channel.as_deref() == Some("elsewhere") {
                    claims.channel = Some("r0".into());
                }
            });
        }
    }
    a_token_that_never_ends: Eternal breaks P1 | G7 | G2 | G4 within 120 seeds {
        fn hear(&self, input: &mut Input) {
            retell(input, |claims| claims.exp = claims.exp.filter(|_| claims.channel.is_none()));
        }
    }
    a_refresh_that_ignores_channels: Unmoved breaks G2 | G5 | P1 | G7 within 600 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            if let Some(rooms) = rooms_at_renewal(shard, &input) {
                retell(&mut input, |claims| claims.channels = rooms);
            }
            shard.handle(now, input).collect()
        }
    }
    a_refresh_that_keeps_old_rooms: Hoarder breaks G2 | G5 | P1 | G7 by MOVED {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            if let Some(rooms) = rooms_at_renewal(shard, &input) {
                retell(&mut input, |claims| claims.channels.extend(rooms));
            }
            shard.handle(now, input).collect()
        }
    }
    a_clock_that_is_trusted_too_far: Gullible breaks P1 | G2 | G7 | G1 | G8 within 110 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.token_leeway += Duration::from_secs(100);
        }
    }
    a_user_limit_that_hits_the_wrong_one: WrongOne breaks G7 | G2 | P1 | G1 within 100 seeds {
        fn configure(&self, config: &mut Config) {
            config.user_limit = match config.user_limit {
                UserLimit::Replace => UserLimit::Refuse,
                UserLimit::Refuse => UserLimit::Replace,
            };
        }
    }
    a_backend_that_is_not_heard: Deaf breaks G2 within 60 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Unsubscribe { user, .. }, .. } = input {
                *user = known_user("nobody");
            }
        }
    }
    a_rate_that_is_not_kept: Hasty breaks G8 | G2 | G7 | G6 within 1000 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.client_commands = Rate::OFF;
        }
    }
    frames_that_are_not_counted: Idle breaks G6 | G7 | G2 | G8 by MANY_FRAMES {
        fn configure(&self, config: &mut Config) {
            config.limits.client_frames = Rate::OFF;
        }
    }
    a_user_with_too_many_connections: Crowd breaks G6 | G7 within 60 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.connections_per_user = None;
        }
    }
    an_address_with_too_many_connections: Street breaks P1 | G6 within 160 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.connections_per_ip = None;
        }
    }
    logs_without_number: Hoard breaks P1 | G3 | G2 | G7 | G6 within 20 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.logs = usize::MAX;
        }
    }
    history_without_bounds: Archive breaks P1 | G5 | G6 within 50 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.history_bytes = usize::MAX;
        }
    }
    a_room_that_retains_without_bounds: Glutton breaks G6 | P1 | G3 | G5 | G8 within 150 seeds {
        fn configure(&self, config: &mut Config) {
            config.namespaces.policies_mut().for_each(|policy| policy.history_bytes_per_room = usize::MAX);
        }
    }
    a_hoarder_who_keeps_what_others_lose: Greedy breaks G6 | P1 | G2 | G3 | G5 | G7 | G8 by GIVEN_UP {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let before = shard.snapshot();
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            if let Some(room) = poorest(shard).filter(|_| gave_up(&before, &shard.snapshot())) {
                let remove = Input::Call { call: CallId(u64::MAX), command: Command::HistoryRemove { channel: room } };
                effects.extend(shard.handle(now, remove).filter(|effect| !matches!(effect, Effect::Reply { .. })));
            }
            effects
        }
    }
    a_payload_that_counts_in_every_room: Manifold breaks G8 within 100 seeds {
        fn stats(&self, shard: &Shard) -> Stats {
            let mut stats = shard.stats();
            stats.gauges.history_bytes = stats.gauges.history_bytes.max(shard.snapshot().logs.iter().map(held).sum());
            stats
        }
    }
    a_reader_who_is_told_to_be_slow: Hurried breaks G6 | G7 | P1 within 40 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, input: Input) -> Vec<Effect> {
            let is_call = matches!(input, Input::Call { .. });
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            let snapshot = shard.snapshot();
            let is_ready = |view: &&ConnView| matches!(view.phase, PhaseView::Open { stage: "ready", .. });
            if let Some(view) = snapshot.conns.iter().find(is_ready).filter(|_| is_call && shard.stats().totals.published == 3) {
                let reason = CloseReason::new(3008, "slow").expect("a code");
                let (user, client) = (UserId::anonymous(), Selection::One(view.client));
                let command = Command::Disconnect { user, client, whitelist: Vec::new(), reason };
                let more = shard.handle(now, Input::Call { call: CallId(u64::MAX), command });
                effects.extend(more.filter(|effect| !matches!(effect, Effect::Reply { .. })));
            }
            effects
        }
    }
    a_position_that_is_another: Astray breaks P1 within 60 seeds {
        fn send(&self, bytes: &mut [u8]) {
            overwrite(bytes, r#"{"type":"gap","room""#, r#"{"type":"gip","room""#);
        }
    }
    parts_of_a_call_in_another_order: OutOfOrder breaks G5 | G2 | G7 | P1 within 120 seeds {
        fn handle(&self, shard: &mut Shard, now: Now, mut input: Input) -> Vec<Effect> {
            let order = match &mut input {
                Input::Call { command: Command::Batch(parts), .. } => hub_first(parts),
                _ => vec![],
            };
            let mut effects: Vec<Effect> = shard.handle(now, input).collect();
            for effect in &mut effects {
                if let Effect::Reply { result, .. } = effect
                    && let Ok(Reply::Batch(replies)) = &mut **result
                {
                    let done = std::mem::take(replies);
                    let mut numbered: Vec<_> = order.iter().zip(done).collect();
                    numbered.sort_by_key(|(at, _)| **at);
                    *replies = numbered.into_iter().map(|(_, reply)| reply).collect();
                }
            }
            effects
        }
    }
    a_part_that_is_left_out: LeftOut breaks P1 within 70 seeds {
        fn hear(&self, input: &mut Input) {
            if let Input::Call { command: Command::Batch(parts), .. } = input {
                parts.retain(|(_, part)| part.is_ok());
            }
        }
    }
    an_address_that_comes_too_often: Stampede breaks P1 | G7 | G6 within 20 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.new_connections_per_ip = Rate::OFF;
        }
    }
    a_watcher_who_cannot_come_back: Forgetful breaks P1 | G5 | G6 | G8 within 600 seeds {
        fn hear(&self, input: &mut Input) {
            if says(input, &[r#""join_leave":true"#, r#""recover":true"#]) {
                reword(input, r#""join_leave":true"#, r#""join_leave":false"#);
            }
        }
    }
    a_room_token_that_does_not_bring_back: Newcomer breaks P1 | G5 | G2 within 1000 seeds {
        fn hear(&self, input: &mut Input) {
            if says(input, &[r#""subscribe":"#, r#""token":"#]) {
                reword(input, r#""recover":true"#, r#""recover":false"#);
            }
        }
    }
    a_return_that_is_all_or_nothing: Strict breaks P1 | G5 within 300 seeds {
        fn hear(&self, input: &mut Input) {
            if says(input, &[r#""connect":"#]) {
                reword(input, r#""flag":2,"offset":0,"recover":true"#, r#""flag":2,"offset":0,"recover":false"#);
            }
        }
    }
    a_personal_room_that_can_be_left: Homeless breaks P1 | G8 within 2000 seeds {
        fn hear(&self, input: &mut Input) {
            reword(input, r##""unsubscribe":{"channel":"#somebody"}"##, r#""unsubscribe":{"channel":"nowhere"}"#);
        }
    }
    a_name_that_turns_the_text_around_it: Mirrored breaks P1 | G2 | G8 within 960 seeds {
        fn hear(&self, input: &mut Input) {
            reword(input, "a\u{202E}b", "ab");
        }
    }
    a_type_of_the_servers_from_a_client: Poisoner breaks P1 | G5 | G8 within 100 seeds {
        fn hear(&self, input: &mut Input) {
            if says(input, &["publish"]) {
                reword(input, r#""type":"gap""#, r#""type":"gop""#);
            }
        }
    }
    json_that_is_nested_without_end: Digger breaks P1 | G5 | G7 | G8 within 230 seeds {
        fn configure(&self, config: &mut Config) {
            config.limits.json_depth = usize::MAX;
        }
    }
    a_filter_that_is_passed_over: Unfiltered breaks P1 | G2 | G8 by FILTERED {
        fn hear(&self, input: &mut Input) {
            reword(input, r#""tf":"#, r#""tg":"#);
        }
    }
}
