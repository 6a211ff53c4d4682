//! The tables `[namespaces.chat]` and `[personal]` of the file, and the keys that they have. To add a key is to add a row.

use super::place::Place;
use super::value::{Form, SettingValue};
use parlor_core::policy::Glob;
use parlor_core::{Limits, Permissions, Policy, Who};
use std::time::Duration;

/// A key of `[namespaces.chat]` and `[personal]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PolicyKey {
    pub(super) name: &'static str,
    /// The form of its value in the file.
    pub(super) form: Form,
    /// Parses the value and stores it, or says what is wrong with it and what is allowed.
    set: fn(&mut Policy, &str) -> Result<(), String>,
    /// The value as a file has it. None where nothing is set.
    pub(super) to_text: fn(&Policy) -> Option<String>,
}

/// Defines the keys: the name, the kind of the value, and the field of the policy.
macro_rules! keys {
    ($($name:ident: $kind:ty = $($field:ident).+;)+) => {
        /// All keys, in the order of the README.
        pub(super) const KEYS: &[PolicyKey] = &[$(PolicyKey {
            name: stringify!($name),
            form: <$kind as SettingValue>::FORM,
            set: |policy, text| {
                policy.$($field).+ = <$kind as SettingValue>::parse_or_explain(text)?;
                Ok(())
            },
            to_text: |policy| policy.$($field).+.to_text(),
        },)+];
    };
}

keys! {
    subscribe: Who = permissions.subscribe;
    publish: Who = permissions.publish;
    history: Who = permissions.history;
    presence: Who = permissions.presence;
    history_messages: usize = history_messages;
    history_age: Duration = history_age;
    history_bytes_per_room: usize = history_bytes_per_room;
    presence_list: bool = presence_list;
    join_leave: bool = join_leave;
    presence_grace: Duration = presence_grace;
    publication_bytes: usize = publication_bytes;
    name_pattern: Option<Glob> = name_pattern;
}

/// A table of the file, `[namespaces.chat]` or `[personal]`.
#[derive(Clone, Debug, Default)]
pub struct PolicyTable {
    /// The place of its header; none where the file has no such table.
    place: Option<Place>,
    values: Vec<WrittenValue>,
}

/// A value of such a table, which was parsed once already.
#[derive(Clone, Debug)]
pub(super) struct WrittenValue {
    pub(super) key: PolicyKey,
    pub(super) text: String,
    pub(super) place: Place,
}

impl PolicyTable {
    /// A table without a value.
    pub(super) fn new(place: Place) -> Self {
        Self { place: Some(place), values: Vec::new() }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// A sentence that says where it is, what is wrong with it, and what is allowed.
    pub(super) fn set(&mut self, key: &PolicyKey, text: String, place: Place) -> Result<(), String> {
        let mut parsed = Policy::new(Permissions::closed(), &Limits::default());
        (key.set)(&mut parsed, &text).map_err(|wrong| format!("{place}: {wrong}"))?;
        self.values.push(WrittenValue { key: *key, text, place });
        Ok(())
    }

    /// The place of its header; none where the file has no such table.
    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The values, in the order of their keys.
    pub(super) fn values(&self) -> &[WrittenValue] {
        &self.values
    }

    /// The place at which a key has a value.
    pub(super) fn place_of(&self, key: &str) -> Option<&Place> {
        self.values.iter().find(|value| value.key.name == key).map(|value| &value.place)
    }

    /// The policy that holds by this table, where all else is inherited.
    pub(super) fn over(&self, mut inherited: Policy) -> Policy {
        for value in &self.values {
            (value.key.set)(&mut inherited, &value.text).expect("it was parsed when it was read");
        }
        inherited
    }
}

/// The header of a namespace's table in the file.
pub(super) fn header(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_bare) {
        format!("[namespaces.{name}]")
    } else {
        format!("[namespaces.{name:?}]")
    }
}
