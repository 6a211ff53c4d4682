//! The decoder of the Centrifuge client protocol: text frames to commands.

use super::commands::CommandName;
use alloc::borrow::Cow;
use core::fmt;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One object of a client's text frame.
#[derive(Debug)]
pub(crate) enum ClientCommand<'a> {
    /// The answer to a ping: `{}`.
    Pong,
    /// A command; `id` is 0 when the object has none.
    Known { id: u64, name: CommandName, params: &'a RawValue },
    /// An object without a known command.
    Unknown { id: u64 },
}

/// Decodes the first object of `text`. Returns it with the number of bytes read; `None` at the end of the text.
///
/// Objects are separated by white space or by nothing; a line break inside an object separates nothing.
pub(crate) fn next_command(text: &str) -> Option<Result<(ClientCommand<'_>, usize), serde_json::Error>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<ClientCommand<'_>>();
    let command = values.next()?;
    Some(command.map(|command| (command, values.byte_offset())))
}

impl<'de> Deserialize<'de> for ClientCommand<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = ClientCommand<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = 0;
        let mut known = None;
        let mut empty = true;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            empty = false;
            if key == "id" {
                id = map.next_value::<Option<u64>>()?.unwrap_or_default();
            } else if let Some(named) = CommandName::parse(&key) {
                let params = map.next_value::<&RawValue>()?;
                // Typed clients send `null` for the commands that are not meant.
                if known.is_none_or(|(_, meant): (_, &RawValue)| meant.get() == "null") {
                    known = Some((named, params));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match known {
            Some((name, params)) => ClientCommand::Known { id, name, params },
            None if empty => ClientCommand::Pong,
            None => ClientCommand::Unknown { id },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_that_is_no_command_is_answered_with_what_is_expected() {
        for text in ["7", "[]", "\"connect\"", "null"] {
            let wrong = next_command(text).expect("there is something").expect_err(text);
            assert!(wrong.to_string().contains("expected a command object"), "{text}: {wrong}");
        }
    }
}
