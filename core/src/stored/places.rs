//! Tables whose places are used again. Which vacant place is taken next, such a table does not tell: so it is put in order when a
//! state is written, and is in the same order when that is read.

#[cfg(feature = "replay")]
use alloc::vec::Vec;
use core::mem;
#[cfg(feature = "replay")]
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{self, Serialize, Serializer};
use slab::Slab;

/// The most memory of a table that is written or read, up to the last value: all of it is copied.
const MOST_BYTES: usize = 32 << 20;

/// Puts the vacant places of a table in the order in which one that is read has them. O(n) in the places.
pub(crate) fn put_in_order<T>(table: &mut Slab<T>) {
    *table = mem::take(table).into_iter().collect();
}

/// Writes the values with their places.
///
/// # Errors
/// There are so many places up to the last value that they take more than [`MOST_BYTES`].
pub(crate) fn serialize<T: Serialize, S: Serializer>(table: &Slab<T>, serializer: S) -> Result<S::Ok, S::Error> {
    if table.iter().next_back().is_some_and(|(last, _)| memory::<T>(last) > MOST_BYTES) {
        return Err(ser::Error::custom("a table has too many places"));
    }
    serializer.collect_seq(table)
}

/// Reads the values with their places.
#[cfg(feature = "replay")]
pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Slab<T>, D::Error> {
    let values = Vec::<(usize, T)>::deserialize(deserializer)?;
    let is_in_order = values.is_sorted_by(|(before, _), (at, _)| before < at);
    if !is_in_order || values.last().is_some_and(|(at, _)| memory::<T>(*at) > MOST_BYTES) {
        return Err(de::Error::custom("the places of a table are not in order, or too many"));
    }
    Ok(values.into_iter().collect())
}

fn memory<T>(places: usize) -> usize {
    places.saturating_mul(size_of::<T>())
}

#[cfg(all(test, feature = "replay"))]
mod tests {
    use super::*;
    use crate::stored::StateWriter;
    use alloc::vec;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Table {
        #[serde(with = "super")]
        values: Slab<u8>,
    }

    fn read(bytes: &[u8]) -> Result<Table, postcard::Error> {
        postcard::from_bytes(bytes)
    }

    #[test]
    fn a_table_that_was_read_takes_the_same_places_as_the_one_that_was_written() {
        let mut table = Table { values: Slab::with_capacity(100) };
        (0..8).for_each(|value| _ = table.values.insert(value));
        [1, 4, 0, 7].iter().for_each(|at| _ = table.values.remove(*at));
        let written = StateWriter::write(&table, usize::MAX, false).expect("no bound").bytes;
        put_in_order(&mut table.values);
        let mut other = read(&written).expect("a table");
        assert!(other.values.iter().eq(table.values.iter()));
        for value in 100..108 {
            assert_eq!(other.values.insert(value), table.values.insert(value), "{value}");
        }
    }

    const LARGE: usize = 1 << 16;

    /// Of many bytes, of which none is written.
    struct Large(#[expect(dead_code, reason = "its length is what counts")] [u8; LARGE]);

    impl Serialize for Large {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }

    #[derive(serde::Serialize)]
    struct LargeTable(#[serde(serialize_with = "super::serialize")] Slab<Large>);

    #[test]
    fn a_table_with_a_value_behind_very_many_places_is_not_written_while_that_is_there() {
        let mut table = LargeTable(Slab::with_capacity(MOST_BYTES / LARGE + 2));
        let is_written = |table: &LargeTable| StateWriter::write(table, usize::MAX, false).is_ok();
        (0..=MOST_BYTES / LARGE).for_each(|_| _ = table.0.insert(Large([0; LARGE])));
        assert!(is_written(&table));
        let last = table.0.insert(Large([0; LARGE]));
        assert!(!is_written(&table));
        table.0.remove(last);
        assert!(is_written(&table));
    }

    #[test]
    fn places_that_no_table_has_are_refused() {
        for places in [vec![(1_usize, 0_u8), (1, 0)], vec![(2, 0), (1, 0)], vec![(usize::MAX, 0)]] {
            let bytes = postcard::to_allocvec(&places).expect("pairs");
            assert!(read(&bytes).is_err(), "{places:?}");
        }
        assert!(read(&postcard::to_allocvec(&vec![(0_usize, 0_u8), (9, 0)]).expect("pairs")).is_ok());
    }
}
