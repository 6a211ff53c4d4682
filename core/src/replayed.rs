//! What an input log holds and derived code cannot read: names that live as long as the program, and maps by keys.

use crate::map::{Keys, Map};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::cell::RefCell;
use core::hash::Hash;
use serde::de::{Deserialize, Deserializer, Error};
use std::thread_local;

thread_local! {
    /// The texts that were read.
    static TEXTS: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// Reads a text that lives as long as the program.
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

/// Reads such texts.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'static str>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(leaked).collect())
}

/// Reads a list of a fixed length.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize>(
    deserializer: D,
) -> Result<Box<[T; N]>, D::Error> {
    let list = Vec::deserialize(deserializer)?.into_boxed_slice();
    list.try_into().map_err(|_| Error::custom("a list has another length"))
}

/// Reads the items of a list that are still to come.
pub(crate) fn rest<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<vec::IntoIter<T>, D::Error> {
    Vec::deserialize(deserializer).map(Vec::into_iter)
}

/// Reads the items of a list that are still to come, with the number of the next, if there is such a list.
pub(crate) fn numbered_rest<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<(usize, vec::IntoIter<T>)>, D::Error> {
    let rest = Option::<(usize, Vec<T>)>::deserialize(deserializer)?;
    Ok(rest.map(|(at, rest)| (at, rest.into_iter())))
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

/// Returns the text, which is given memory for good the first time. There are few.
fn leaked(text: String) -> &'static str {
    TEXTS.with_borrow_mut(|texts| {
        if let Some(known) = texts.get(&*text) {
            return *known;
        }
        let text: &'static str = Box::leak(text.into_boxed_str());
        texts.insert(text);
        text
    })
}
