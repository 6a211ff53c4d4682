//! Shared values of a state that is read: each is one value again, wherever it was one.

use core::any::Any;
use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::boxed::Box;
use std::thread_local;
use std::vec::Vec;

thread_local! {
    /// The shared values that were read of the present state, by their numbers less 1. Derived code has no place for them.
    static KNOWN: RefCell<Vec<Option<Box<dyn Any>>>> = const { RefCell::new(Vec::new()) };
}

/// The time in which the values of one state are shared.
pub(crate) struct Sharing(());

impl Sharing {
    /// Begins to read a state.
    pub fn begin() -> Self {
        KNOWN.take();
        Self(())
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        KNOWN.take();
    }
}

/// Reads a value that others may share.
pub(crate) fn shared<'de, D: Deserializer<'de>, T: Deserialize<'de> + Clone + 'static>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_tuple(2, SharedVisitor(PhantomData))
}

struct SharedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Clone + 'static> Visitor<'de> for SharedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or the number of one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<T, A::Error> {
        let missing = || A::Error::custom("a value that is shared is not there");
        let number = parts.next_element::<u64>()?.ok_or_else(missing)?;
        let known = KNOWN.with_borrow(Vec::len);
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let Some(place) = place.filter(|place| *place < known) else {
            if number > known as u64 + 1 {
                return Err(missing());
            }
            if number > 0 {
                KNOWN.with_borrow_mut(|known| known.push(None));
            }
            let value: T = parts.next_element()?.ok_or_else(missing)?;
            if number > 0 {
                KNOWN.with_borrow_mut(|all| all[known] = Some(Box::new(value.clone())));
            }
            return Ok(value);
        };
        let of_place = |all: &Vec<Option<Box<dyn Any>>>| all[place].as_ref()?.downcast_ref::<T>().cloned();
        KNOWN.with_borrow(of_place).ok_or_else(missing)
    }
}
