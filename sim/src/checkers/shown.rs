//! A token, and what it is good for, as the README has it.

use parlor_core::{Claims, Limits};

/// A token that was looked at, and when.
#[derive(Clone, Debug)]
pub(super) struct ShownToken {
    /// Its claims, if its signature was good.
    pub claims: Option<Claims>,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl ShownToken {
    /// Whether it counts for this: for a room, or for the connection.
    pub(super) fn counts(&self, limits: &Limits, room: Option<&str>) -> bool {
        let Some(claims) = &self.claims else { return false };
        let leeway = i128::try_from(limits.token_leeway.as_millis()).unwrap_or(i128::MAX);
        let (now, ms) = (i128::from(self.unix_ms), |seconds: i64| i128::from(seconds) * 1000);
        let has_begun = claims.nbf.is_none_or(|nbf| ms(nbf) <= now + leeway);
        let has_ended = claims.exp.is_some_and(|exp| ms(exp) + leeway <= now);
        let info = claims.info.as_deref().unwrap_or_default();
        let named = claims.caps.iter().flat_map(|entry| &entry.channels).map(String::len).sum::<usize>();
        let is_within = info.len() <= limits.info_bytes && named <= limits.caps_bytes;
        let is_readable = is_within && depth(info) <= limits.json_depth;
        has_begun && !has_ended && is_readable && claims.channel.as_deref() == room
    }
}

/// How deep brackets are nested, wherever they stand.
pub(super) fn depth(json: &str) -> usize {
    let step = |(depth, most): (usize, usize), char| match char {
        '[' | '{' => (depth + 1, most.max(depth + 1)),
        ']' | '}' => (depth.saturating_sub(1), most),
        _ => (depth, most),
    };
    json.chars().fold((0, 0), step).1
}
