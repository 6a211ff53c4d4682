//! JSON that replies and pushes share.

use crate::connection::pending::Subscribed;
use crate::wire::raw::push_number;
use crate::wire::shapes::{push_position, push_publications};
use alloc::string::String;

pub(super) fn push_ttl(out: &mut String, ttl: Option<u64>) {
    if let Some(ttl) = ttl {
        out.push_str(",\"expires\":true,\"ttl\":");
        push_number(out, ttl);
    }
}

pub(super) fn push_ttl_object(out: &mut String, ttl: Option<u64>) {
    match ttl {
        Some(ttl) => {
            out.push_str("{\"expires\":true,\"ttl\":");
            push_number(out, ttl);
            out.push('}');
        }
        None => out.push_str("{}"),
    }
}

pub(super) fn push_subscription(out: &mut String, subscribed: &Subscribed) {
    let Subscribed { position, positioned, replay, ttl } = subscribed;
    // Every field is written with a comma before it; that of the first is replaced by the brace.
    let start = out.len();
    push_ttl(out, *ttl);
    if *positioned {
        out.push_str(",\"recoverable\":true,\"positioned\":true,");
        push_position(out, *position);
    }
    if let Some(recovered) = replay.recovered.filter(|_| *positioned) {
        out.push_str(",\"was_recovering\":true");
        if recovered {
            out.push_str(",\"recovered\":true,");
            push_publications(out, &replay.publications);
        }
    }
    if out.len() == start {
        out.push_str("{}");
    } else {
        out.replace_range(start..=start, "{");
        out.push('}');
    }
}
