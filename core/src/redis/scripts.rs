//! The scripts that change and read the shared store, each in one atomic step of the server. Their first lines say what
//! they do, with which keys and arguments.

use alloc::string::String;

/// One script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The name in this project; the server knows it by its SHA-1, which SCRIPT LOAD replies.
    pub name: &'static str,
    body: &'static str,
}

/// All scripts.
pub const SCRIPTS: [Script; 11] = [
    Script { name: "append", body: include_str!("scripts/append.lua") },
    Script { name: "beat", body: include_str!("scripts/beat.lua") },
    Script { name: "bye", body: include_str!("scripts/bye.lua") },
    Script { name: "check", body: include_str!("scripts/check.lua") },
    Script { name: "enter", body: include_str!("scripts/enter.lua") },
    Script { name: "hello", body: include_str!("scripts/hello.lua") },
    Script { name: "leave", body: include_str!("scripts/leave.lua") },
    Script { name: "members", body: include_str!("scripts/members.lua") },
    Script { name: "read", body: include_str!("scripts/read.lua") },
    Script { name: "reap", body: include_str!("scripts/reap.lua") },
    Script { name: "rotate", body: include_str!("scripts/rotate.lua") },
];

impl Script {
    /// Returns the text to load on a server with this history, which is its `run_id` and its `master_replid2`.
    ///
    /// The history is in the text, so that it is in the SHA-1: no such script exists on a server that nobody has seen as what
    /// it is now, such as a replica that was promoted under a link, because loaded scripts are not replicated. The data could
    /// not tell: what it says of its writers is replicated.
    #[must_use]
    pub fn text(&self, history: &str) -> String {
        let mut text = String::from("-- ");
        // It comes from the server: nothing but a comment may become of it.
        text.extend(history.chars().filter(|char| char.is_ascii_alphanumeric() || *char == ' '));
        text.push('\n');
        text.push_str(self.body);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_the_history_in_one_line_of_comment() {
        let text = SCRIPTS[0].text("0a1b 0000\nreturn 1 --[[");
        assert!(text.starts_with("-- 0a1b 0000return 1 \n-- Appends an entry"), "{text}");
        assert_ne!(text, SCRIPTS[0].text("0a1b 0001"));
    }

    #[test]
    fn scripts_are_told_apart_by_name_and_documented_from_the_first_line() {
        for (at, script) in SCRIPTS.iter().enumerate() {
            assert!(SCRIPTS[..at].iter().all(|other| other.name < script.name), "{} is in its place", script.name);
            for part in ["-- KEYS ", "-- ARGV ", "-- Returns "] {
                assert!(script.body.starts_with("-- ") && script.body.contains(part), "{} says {part:?}", script.name);
            }
        }
    }

    #[test]
    fn what_changes_data_asks_for_the_fence_first() {
        for script in SCRIPTS.iter().filter(|script| !["read", "check", "members", "hello"].contains(&script.name)) {
            let before =
                script.body.split("FENCED this site has another term or generation").next().unwrap_or_default();
            assert!(before.len() < script.body.len(), "{} has a fence", script.name);
            for write in ["HSET", "HINCRBY", "HDEL", "ZADD", "ZREM", "SADD", "SREM", "SPOP", "DEL", "XADD", "PUBLISH'"]
            {
                let call = ["call('", write].concat();
                assert!(!before.contains(&call), "{} writes with {write} before its fence", script.name);
            }
        }
    }
}
