//! One answer of the answers of all shards.

use crate::api::{Info, Reply};
use crate::error::{Error, ErrorCode};
use crate::link::NodeCall;
use crate::names::RoomName;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The way in which the answers of all shards become one.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(feature = "replay", derive(serde::Deserialize))]
pub(super) enum Merge {
    /// Done when all have done it.
    All,
    /// Done when the one has done it that has the connection.
    Any,
    /// A page of rooms, whose members are those in all shards.
    Rooms { limit: Option<usize> },
    /// A page of connections.
    Connections { limit: Option<usize> },
    /// Sums.
    Info,
    /// The latest end of the tokens that are looked for.
    End,
    /// The time until which all shards refuse the tokens: the earliest end, since one of them may not have heard yet of another
    /// revocation that holds for longer.
    Revoked,
}

impl Merge {
    /// Returns how the answers to this call are merged.
    pub fn of(call: &NodeCall) -> Self {
        match call {
            NodeCall::PublishAll { .. } | NodeCall::Disconnect { .. } => Self::All,
            NodeCall::Send { .. } => Self::Any,
            NodeCall::Channels { page, .. } => Self::Rooms { limit: page.limit },
            NodeCall::Connections { page, .. } => Self::Connections { limit: page.limit },
            NodeCall::Info => Self::Info,
            NodeCall::FindEnd { .. } => Self::End,
            NodeCall::Revoke(_) => Self::Revoked,
        }
    }

    /// Merges the answers.
    ///
    /// # Errors
    /// Returns an error of one of them where the answer would not be complete without it.
    pub fn merge(self, results: impl Iterator<Item = Result<Reply, Error>>) -> Result<Reply, Error> {
        match self {
            Self::All => results.collect::<Result<Vec<_>, _>>().map(|_| Reply::Done),
            Self::Any => any(results),
            Self::Rooms { limit } => Ok(rooms(results.collect::<Result<_, _>>()?, limit)),
            Self::Connections { limit } => Ok(connections(results.collect::<Result<_, _>>()?, limit)),
            Self::Info => Ok(sums(results.collect::<Result<_, _>>()?)),
            Self::End => Ok(Reply::Revoked { until: ends(results.collect::<Result<_, _>>()?).max() }),
            Self::Revoked => Ok(Reply::Revoked { until: ends(results.collect::<Result<_, _>>()?).min() }),
        }
    }
}

/// Returns the answer of the shard that has the connection. While a shard has not answered, it is not known that none has it.
fn any(results: impl Iterator<Item = Result<Reply, Error>>) -> Result<Reply, Error> {
    let is_unknown = |error: &Error| error.code == ErrorCode::Internal;
    results
        .reduce(|one, other| match (one, other) {
            (Ok(reply), _) | (_, Ok(reply)) => Ok(reply),
            (Err(error), Err(another)) => Err(if is_unknown(&another) { another } else { error }),
        })
        .unwrap_or(Ok(Reply::Done))
}

fn rooms(replies: Vec<Reply>, limit: Option<usize>) -> Reply {
    let mut all: BTreeMap<RoomName, usize> = BTreeMap::new();
    let mut ends: Vec<String> = Vec::new();
    for reply in replies {
        let Reply::Channels { rooms, next } = reply else { continue };
        rooms.into_iter().for_each(|(room, members)| *all.entry(room).or_default() += members);
        ends.extend(next);
    }
    let (rooms, next) = page(all.into_iter().collect(), ends, limit, |(room, _)| String::from(room.as_str()));
    Reply::Channels { rooms, next }
}

fn connections(replies: Vec<Reply>, limit: Option<usize>) -> Reply {
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for reply in replies {
        let Reply::Connections { connections, next } = reply else { continue };
        all.extend(connections);
        ends.extend(next);
    }
    all.sort_unstable_by_key(|connection| connection.client);
    let (connections, next) = page(all, ends, limit, |connection| connection.client);
    Reply::Connections { connections, next }
}

/// Cuts what the shards have found, in order, to one page. `ends` are the last keys of those shards that have more: behind
/// the first of these the list would have holes.
fn page<T, K: Ord>(
    mut found: Vec<T>,
    ends: Vec<K>,
    limit: Option<usize>,
    key: impl Fn(&T) -> K,
) -> (Vec<T>, Option<K>) {
    let mut next = ends.into_iter().min();
    if let Some(end) = &next {
        found.retain(|item| key(item) <= *end);
    }
    if let Some(limit) = limit.filter(|limit| found.len() > *limit) {
        found.truncate(limit);
        next = found.last().map(key);
    }
    (found, next)
}

fn ends(replies: Vec<Reply>) -> impl Iterator<Item = i64> {
    replies.into_iter().filter_map(|reply| match reply {
        Reply::Revoked { until } => until,
        _ => None,
    })
}

fn sums(replies: Vec<Reply>) -> Reply {
    let infos = replies.into_iter().filter_map(|reply| match reply {
        Reply::Info(info) => Some(info),
        _ => None,
    });
    let sum = infos.reduce(|sum, info| Info {
        clients: sum.clients + info.clients,
        users: sum.users + info.users,
        anonymous: sum.anonymous + info.anonymous,
        channels: sum.channels + info.channels,
        memberships: sum.memberships + info.memberships,
        ..sum
    });
    sum.map_or(Reply::Done, Reply::Info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::no_connection;
    use alloc::vec;

    fn channels(rooms: &[(&str, usize)], next: Option<&str>) -> Result<Reply, Error> {
        let rooms = rooms.iter().map(|(room, members)| (RoomName::from(*room), *members)).collect();
        Ok(Reply::Channels { rooms, next: next.map(String::from) })
    }

    #[test]
    fn a_room_with_members_in_several_shards_is_listed_once() {
        let parts = vec![channels(&[("a", 1), ("c", 2)], None), channels(&[("a", 3), ("b", 1)], None)];
        let whole = Merge::Rooms { limit: None }.merge(parts.into_iter());
        assert_eq!(whole, channels(&[("a", 4), ("b", 1), ("c", 2)], None));
    }

    #[test]
    fn a_page_ends_where_the_first_shard_knows_of_more() {
        let merged = |parts: [_; 2]| Merge::Rooms { limit: Some(2) }.merge(parts.into_iter());
        let first = || channels(&[("a", 1), ("c", 1)], Some("c"));
        let whole = merged([first(), channels(&[("b", 1), ("d", 1)], None)]);
        assert_eq!(whole, channels(&[("a", 1), ("b", 1)], Some("b")));
        assert_eq!(merged([first(), channels(&[("c", 1)], None)]), channels(&[("a", 1), ("c", 2)], Some("c")));
        // The members of its last room have left since the shard looked.
        assert_eq!(merged([channels(&[], Some("b")), channels(&[("c", 1)], None)]), channels(&[], Some("b")));
    }

    #[test]
    fn a_token_is_refused_until_the_first_shard_lets_it_in_and_ends_when_the_last_knows_it_to() {
        let merged = |merge: Merge| {
            let parts = [Some(20), Some(30), Some(25)].map(|until| Ok(Reply::Revoked { until }));
            merge.merge(parts.into_iter())
        };
        assert_eq!(merged(Merge::Revoked), Ok(Reply::Revoked { until: Some(20) }));
        assert_eq!(merged(Merge::End), Ok(Reply::Revoked { until: Some(30) }));
    }

    #[test]
    fn a_connection_is_unknown_only_when_all_shards_say_so() {
        let missing = || Err(no_connection("it"));
        let lost = || Err(ErrorCode::Internal.into());
        let merged = |merge: Merge, parts: Vec<_>| merge.merge(parts.into_iter());
        assert_eq!(merged(Merge::Any, vec![missing(), Ok(Reply::Done), lost()]), Ok(Reply::Done));
        assert_eq!(merged(Merge::Any, vec![lost(), missing()]), lost());
        assert_eq!(merged(Merge::Any, vec![missing(), lost()]), lost());
        assert_eq!(merged(Merge::Any, vec![missing(), missing()]), missing());
        assert_eq!(merged(Merge::All, vec![Ok(Reply::Done), lost()]), lost());
    }
}
