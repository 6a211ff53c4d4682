//! What an input log holds and derived code cannot read: names that live as long as the program, and maps by keys.

use crate::map::{Keys, Map};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hash;
use serde::{Deserialize, Deserializer};

/// Reads a text that lives as long as the program: there are few, and a program that replays a log ends soon.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    String::deserialize(deserializer).map(leaked)
}

/// Reads a list whose items have such texts for names.
pub(crate) fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<(&'static str, T)>, D::Error> {
    let items = Vec::<(String, T)>::deserialize(deserializer)?;
    Ok(items.into_iter().map(|(name, item)| (leaked(name), item)).collect())
}

/// Reads a map of an operator's names, which nobody chooses to collide.
pub(crate) fn prefixes<'de, D: Deserializer<'de>, K: Deserialize<'de> + Hash + Eq, V: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Map<K, V>>, D::Error> {
    let entries = Option::<Vec<(K, V)>>::deserialize(deserializer)?;
    Ok(entries.map(|entries| {
        let mut map = Map::with_hasher(Keys(0, 0));
        map.extend(entries);
        map
    }))
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
