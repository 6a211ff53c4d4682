//! Accounts of connections, publications and rooms as JSON, each with a sentence for a person.

use super::delivery_cursor;
use super::question::Question;
use parlor_core::explain::{
    ConnectionAccount, DeliveryAccount, DeliveryOutcome, DeliveryPage, ENDED_CONNECTIONS, ENDED_ROOMS, LogAccount,
    MembershipAccount, PublicationAccount, RoomAccount, UnknownPublication,
};
use parlor_core::{ClientId, Now};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

/// The characters of an event that are told, at most.
const EVENT_CHARACTERS: usize = 100;

/// A connection, or that there is none.
pub(super) fn connection(account: Option<&ConnectionAccount>, address: Option<IpAddr>, now: Now) -> Value {
    let Some(account) = account else {
        let why = format!(
            "no connection has this id, nor had one of the last {ENDED_CONNECTIONS} that ended: nothing is known of it"
        );
        return json!({"connection": null, "why": why});
    };
    let last_round_trip = (account.pings.answered > 0).then_some(account.pings.last_round_trip.as_secs_f64());
    let timer = |(name, left): &(&str, Duration)| json!({"timer": name, "in_seconds": left.as_secs_f64()});
    let end = account.end.as_ref().map(|end| {
        json!({
            "time_ms": end.at_ms, "cause": end.cause.name(), "code": end.code, "reason": end.reason, "clean": end.clean,
        })
    });
    json!({
        "connection": {
            "client": account.client.to_string(),
            "user": account.user.as_str(),
            "address": address.map(|address| address.to_string()).unwrap_or_default(),
            "protocol": account.protocol,
            "state": account.state,
            "since_ms": account.since_ms,
            "rooms": account.rooms.iter().map(membership).collect::<Vec<_>>(),
            "more_rooms": account.more_rooms,
            "events": account.events,
            "queued": {"bytes": account.queued_bytes, "frames": account.queued_frames, "blocked": account.blocked},
            "dropped_frames": account.dropped_frames,
            "pings": {
                "sent": account.pings.sent,
                "answered": account.pings.answered,
                "last_seconds": last_round_trip,
            },
            "limits": account.limits.iter().map(|(limit, times)| json!({"limit": limit.name(), "times": times})).collect::<Vec<_>>(),
            "deadlines": account.deadlines.iter().map(timer).collect::<Vec<_>>(),
            "end": end,
        },
        "why": connection_words(account, now),
    })
}

fn membership(account: &MembershipAccount) -> Value {
    let joined = account.joined.as_ref().map(|joined| {
        json!({
            "time_ms": joined.at_ms,
            "epoch": joined.epoch(),
            "joined_at": joined.joined_at,
            "replayed_from": joined.replayed_from,
            "filter_changed_at": joined.filter_changed_at,
            "sent_through": joined.sent_through,
        })
    });
    json!({"channel": &*account.room, "reasons": account.reasons().collect::<Vec<_>>(), "joined": joined})
}

/// The state of a connection in a sentence.
fn connection_words(account: &ConnectionAccount, now: Now) -> String {
    let ConnectionAccount { queued_bytes, queued_frames, dropped_frames, .. } = account;
    let lasted = |until: u64| Duration::from_millis(until.saturating_sub(account.since_ms)).as_secs_f64();
    if let Some(end) = &account.end {
        let ago = Duration::from_millis(now.unix_ms.saturating_sub(end.at_ms)).as_secs_f64();
        let unwritten = match dropped_frames {
            0 => String::from("everything it was sent was written"),
            frames => format!("{frames} frames were not written"),
        };
        return format!(
            "ended {ago:.1} s ago, after {:.1} s: {} ({} {}); {unwritten}",
            lasted(end.at_ms),
            end.cause.name(),
            end.code,
            end.reason
        );
    }
    let mut waiting = match (queued_bytes, account.blocked) {
        (0, _) => String::from("nothing waits for its socket"),
        (bytes, false) => format!("{bytes} bytes in {queued_frames} frames wait to be written"),
        (bytes, true) => format!("{bytes} bytes in {queued_frames} frames wait for its socket, which takes no more"),
    };
    if account.state == "closing" {
        waiting += ", as it was when it began to close";
    }
    format!("{}; it came {:.1} s ago; {waiting}", account.state, lasted(now.unix_ms))
}

/// A room.
pub(super) fn room(account: &RoomAccount) -> Value {
    let RoomAccount { room, policy, members, users, absent, followed_to, log } = account;
    let kept = match (log, policy.history_messages) {
        (_, 0) => String::from("it retains no publications"),
        (None, _) => String::from("nothing was published that is remembered"),
        (Some(log), _) => match log.oldest {
            Some(oldest) => format!("offsets {oldest} to {} are retained", log.top),
            None => format!("nothing is retained, and the newest offset is {}", log.top),
        },
    };
    json!({
        "room": {
            "channel": &**room,
            "members": members,
            "users": users,
            "absent": absent,
            "followed_to": followed_to,
            "policy": {
                "subscribe": policy.permissions.subscribe.word(),
                "publish": policy.permissions.publish.word(),
                "history": policy.permissions.history.word(),
                "presence": policy.permissions.presence.word(),
                "history_messages": policy.history_messages,
                "history_age_seconds": policy.history_age.as_secs_f64(),
                "history_bytes_per_room": policy.history_bytes_per_room,
                "publication_bytes": policy.publication_bytes,
                "presence_list": policy.presence_list,
                "join_leave": policy.join_leave,
                "presence_grace_seconds": policy.presence_grace.as_secs_f64(),
            },
            "log": log.as_ref().map(log_value),
        },
        "why": format!("{members} members of {users} users, {absent} absent; {kept}"),
    })
}

fn log_value(log: &LogAccount) -> Value {
    let LogAccount { epoch, top, oldest, oldest_age, retained, bytes, forgotten_in } = log;
    json!({
        "epoch": epoch,
        "offset": top,
        "oldest_offset": oldest,
        "oldest_seconds": oldest_age.map(|age| age.as_secs_f64()),
        "publications": retained,
        "bytes": bytes,
        "forgotten_in_seconds": forgotten_in.map(|left| left.as_secs_f64()),
    })
}

/// A publication, and a page of the connections that it was for, or the one that is asked about.
pub(super) fn publication(
    account: &PublicationAccount,
    page: &DeliveryPage,
    client: Option<ClientId>,
    now: Now,
) -> Value {
    let age = u64::try_from(account.age.as_millis()).unwrap_or(u64::MAX);
    let publisher =
        account.publisher().map(|(client, user)| json!({"client": client.to_string(), "user": user.as_str()}));
    let mut answer = json!({
        "publication": {
            "channel": &*account.room,
            "epoch": account.epoch(),
            "offset": account.offset(),
            "time_ms": now.unix_ms.saturating_sub(age),
            "bytes": account.bytes(),
            "event": account.event.as_deref().map(cut),
            "publisher": publisher,
            "newer": account.newer,
        },
        "deliveries": page.deliveries.iter().map(delivery).collect::<Vec<_>>(),
        "why": format!(
            "published {:.1} s ago, retained, and {} newer; {}",
            account.age.as_secs_f64(),
            account.newer,
            listed(page, client)
        ),
    });
    if let Some(next) = page.next {
        answer["cursor"] = delivery_cursor::written(next).into();
    }
    answer
}

/// The connections that are listed, in words.
fn listed(page: &DeliveryPage, client: Option<ClientId>) -> String {
    match client {
        None => format!("listed are members, and those of the last {ENDED_CONNECTIONS} that ended which were members"),
        Some(_) if page.deliveries.is_empty() => {
            format!("no connection has this id, nor had one of the last {ENDED_CONNECTIONS} that ended")
        }
        Some(_) => String::from("listed is this connection"),
    }
}

/// The start of a word of a client, which may be long.
fn cut(word: &str) -> &str {
    word.char_indices().nth(EVENT_CHARACTERS).map_or(word, |(end, _)| &word[..end])
}

fn delivery(account: &DeliveryAccount) -> Value {
    json!({
        "client": account.client.to_string(),
        "user": account.user.as_str(),
        "protocol": account.protocol,
        "outcome": account.outcome.name(),
        "ended": account.ended.map(|cause| cause.name()),
        "why": delivery_words(account.outcome),
    })
}

/// The outcome in a sentence.
fn delivery_words(outcome: DeliveryOutcome) -> String {
    match outcome {
        DeliveryOutcome::FullyWritten => "the system has taken all of it for the connection".into(),
        DeliveryOutcome::Queued => "it waits for the socket, which takes no more for now".into(),
        DeliveryOutcome::AwaitsReply => "it waits behind the reply to connect, which waits for rooms".into(),
        DeliveryOutcome::Sent { unwritten } => format!(
            "it was queued; the newest {unwritten} frames were not written: it is among them, or was written before"
        ),
        DeliveryOutcome::Filtered => "the connection's filter for events leaves it out".into(),
        DeliveryOutcome::FilterChanged => {
            "the connection has changed its filter for events since: whether it left it out is not known any more"
                .into()
        }
        DeliveryOutcome::JoinedLater { at } => {
            format!(
                "the connection joined after it, at offset {at}, and was not sent it as missed; whether it was in the room \
                 before that is not known"
            )
        }
        DeliveryOutcome::Joining => "the connection is joining the room".into(),
        DeliveryOutcome::OnItsWay { at: Some(at) } => {
            format!("it is on its way: the connection has come to offset {at}")
        }
        DeliveryOutcome::OnItsWay { at: None } => {
            "it is on its way: the connection has come to no place in this log".into()
        }
        DeliveryOutcome::EndedBefore { at: Some(at) } => {
            format!("the connection ended before: it had come to offset {at}")
        }
        DeliveryOutcome::EndedBefore { at: None } => "the connection ended before this log began".into(),
        DeliveryOutcome::NoMember => "the connection is not in the room, or was not when it ended".into(),
        DeliveryOutcome::NotRemembered => {
            format!("the connection ended in more rooms than the {ENDED_ROOMS} that are remembered")
        }
    }
}

/// A publication of which nothing is known.
pub(super) fn unknown_publication(question: &Question, unknown: &UnknownPublication) -> Value {
    let Question::Publication { room, offset, .. } = question else { return Value::Null };
    let why = match unknown {
        UnknownPublication::NotRetained(Some(oldest)) if offset > oldest => {
            format!("no publication that the log of {room} retains has the offset {offset}")
        }
        UnknownPublication::NoLog => format!("{room} has no log, or none any more: not known any more"),
        UnknownPublication::OtherEpoch(epoch) => {
            format!("the log of {room} has the epoch {epoch}; what was published in another one is not known any more")
        }
        UnknownPublication::NotYet(top) => {
            format!("nothing has the offset {offset} yet: the newest of {room} has {top}")
        }
        UnknownPublication::NotRetained(Some(oldest)) => {
            format!("not known any more: the oldest that the log of {room} retains has the offset {oldest}")
        }
        UnknownPublication::NotRetained(None) => {
            format!("not known any more: the log of {room} retains nothing")
        }
    };
    json!({"publication": null, "deliveries": [], "why": why})
}
