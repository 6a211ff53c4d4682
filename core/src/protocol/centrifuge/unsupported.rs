//! Fields of commands that ask for what the server does not do.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// `true` when a field is present and not the zero value that typed clients send for an absent field.
#[derive(Clone, Copy, Default)]
pub(super) struct UnsupportedField(bool);

impl<'de> Deserialize<'de> for UnsupportedField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let zero = |text: &str| matches!(text, "null" | "false" | "0" | "0.0" | "\"\"" | "[]" | "{}");
        let fields = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get());
        let is_zero = zero(raw.get()) || fields.is_ok_and(|fields| fields.values().all(|field| zero(field.get())));
        Ok(Self(!is_zero))
    }
}

/// Returns the name of the first field that is present.
pub(super) fn unsupported(fields: &[(UnsupportedField, &'static str)]) -> Option<&'static str> {
    fields.iter().find(|(field, _)| field.0).map(|(_, name)| *name)
}
