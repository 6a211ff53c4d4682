//! The JSON of publications, positions and members, which is the same in the client protocol and in the HTTP API.

use crate::ids::ClientInfo;
use crate::json::Json;
use crate::payload::Payload;
use crate::publication::{EpochText, LogPosition, Publication, Replayed};
use crate::wire::raw::{number_bytes, push_number, push_string, string_bytes};
use alloc::string::String;
use alloc::sync::Arc;

/// Returns the bytes of a publication in a reply, without the comma that follows.
pub(crate) fn publication_bytes(Publication { offset, draft, .. }: &Publication) -> usize {
    let info = draft.info.as_ref().map_or(0, |info| ",\"info\":".len() + info_bytes(info));
    let offset = if *offset > 0 { ",\"offset\":".len() + number_bytes(*offset) } else { 0 };
    let tags = draft.tags.as_ref().map_or(0, |tags| ",\"tags\":".len() + tags.len());
    "{\"data\":}".len() + draft.data.json_bytes() + info + offset + tags
}

/// Returns the bytes of a replay that count against `reply_bytes`: its publications as encoded, with the commas between
/// them. O(n) in the publications.
pub(crate) fn replayed_bytes(Replayed { publications, .. }: &Replayed) -> usize {
    let all: usize = publications.iter().map(|publication| publication_bytes(publication)).sum();
    all + publications.len().saturating_sub(1)
}

fn info_bytes(info: &ClientInfo) -> usize {
    string_bytes(&info.user) + bytes_beside_user(info)
}

fn bytes_beside_user(info: &ClientInfo) -> usize {
    let raw = |key: &str, value: &Option<Json>| value.as_ref().map_or(0, |value| key.len() + value.len());
    "{\"user\":,\"client\":}".len()
        + CLIENT_BYTES
        + raw(",\"conn_info\":", &info.info)
        + raw(",\"chan_info\":", &info.room_info)
}

/// Returns a lower bound of the bytes of a member in a list: all but the escapes of its user's name and the comma.
pub(crate) fn least_member_bytes(info: &ClientInfo) -> usize {
    CLIENT_BYTES + ":\"\"".len() + info.user.len() + bytes_beside_user(info)
}

/// The bytes of a public id as a JSON string: 32 digits, four hyphens and two quotes.
const CLIENT_BYTES: usize = 38;

/// Appends a publication.
pub(crate) fn push_publication(out: &mut String, Publication { offset, draft, .. }: &Publication) {
    push_publication_fields(out, *offset, &draft.data, draft.tags.as_deref(), draft.info.as_deref());
}

/// Appends the key `publications` with a list.
pub(crate) fn push_publications(out: &mut String, publications: &[Arc<Publication>]) {
    out.push_str("\"publications\":[");
    for (at, publication) in publications.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_publication(out, publication);
    }
    out.push(']');
}

/// Appends a publication by its fields; the offset is omitted when it is 0, for a publication that no log retains.
pub(crate) fn push_publication_fields(
    out: &mut String,
    offset: u64,
    data: &Payload,
    tags: Option<&str>,
    info: Option<&ClientInfo>,
) {
    out.push_str("{\"data\":");
    data.push_json(out);
    if let Some(info) = info {
        out.push_str(",\"info\":");
        push_info(out, info);
    }
    if offset > 0 {
        out.push_str(",\"offset\":");
        push_number(out, offset);
    }
    if let Some(tags) = tags {
        out.push_str(",\"tags\":");
        out.push_str(tags);
    }
    out.push('}');
}

/// Appends `epoch` and `offset`, without braces.
pub(crate) fn push_position(out: &mut String, position: LogPosition) {
    out.push_str("\"epoch\":\"");
    out.push_str(&EpochText::of(position.epoch));
    out.push_str("\",\"offset\":");
    push_number(out, position.offset);
}

/// Appends the members of a room, keyed by public id.
pub(crate) fn push_members(out: &mut String, members: &[Arc<ClientInfo>]) {
    push_members_within(out, members, usize::MAX);
}

/// Appends the members of a room up to the first with which `out` is longer than `most`.
pub(crate) fn push_members_within(out: &mut String, members: &[Arc<ClientInfo>], most: usize) {
    out.push('{');
    for (at, member) in members.iter().enumerate() {
        if out.len() > most {
            break;
        }
        if at > 0 {
            out.push(',');
        }
        push_string(out, &member.client_text());
        out.push(':');
        push_info(out, member);
    }
    out.push('}');
}

/// Appends the user, the public id and the infos of a connection.
pub(crate) fn push_info(out: &mut String, info: &ClientInfo) {
    out.push_str("{\"user\":");
    push_string(out, &info.user);
    out.push_str(",\"client\":");
    push_string(out, &info.client_text());
    for (key, value) in [(",\"conn_info\":", &info.info), (",\"chan_info\":", &info.room_info)] {
        if let Some(value) = value {
            out.push_str(key);
            out.push_str(value);
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientId;
    use crate::names::UserId;
    use crate::publication::Draft;
    use alloc::vec::Vec;

    /// Infos, tags and offsets in all combinations, with what has to be escaped in them.
    fn entries() -> Vec<Publication> {
        let texts = ["", "u", "\"\\é", &"x".repeat(1000)];
        let mut all = Vec::new();
        for (at, user) in texts.into_iter().enumerate() {
            for bits in 0..16_u64 {
                let has = |bit: u64, text: &str| (bits & 1 << bit != 0).then(|| Json::parse(text).expect("JSON"));
                let info = ClientInfo {
                    client: ClientId([at as u8; 16]),
                    user: if user.is_empty() { UserId::anonymous() } else { UserId::from(user) },
                    info: has(0, r#"{"a":1}"#),
                    room_info: has(1, "[1,2]"),
                };
                let draft = Draft {
                    data: if bits & 1 == 0 {
                        Json::encode(&"d".repeat(at)).into()
                    } else {
                        alloc::vec![0xFF_u8; at].into()
                    },
                    tags: has(2, r#"{"k":"v"}"#),
                    info: has(3, "1").map(|_| Arc::new(info)),
                    skip_history: false,
                    shared: false,
                };
                let offset = [0, 1, 10, u64::MAX][at];
                all.push(Publication { epoch: 7, offset, prev: 0, draft });
            }
        }
        all
    }

    #[test]
    fn publication_bytes_equal_the_encoded_size() {
        for publication in entries() {
            let mut out = String::new();
            push_publication(&mut out, &publication);
            assert_eq!(publication_bytes(&publication), out.len(), "{out}");
        }
    }
}
