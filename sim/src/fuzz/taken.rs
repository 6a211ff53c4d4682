//! Bytes read from the front. Where none are left, they are zero.

/// The rest of an input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a>(pub &'a [u8]);

impl<'a> Taken<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of these; the first for a byte of zero.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// A number from `low` to `high`, both included; `low` for a byte of zero.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + u64::from(self.byte()) % (high - low + 1)
    }

    /// The rest in steps of `N` bytes; a last step that is not full is left out.
    pub fn steps<const N: usize>(self) -> impl Iterator<Item = [u8; N]> + use<'a, N> {
        self.0.as_chunks().0.iter().copied()
    }
}
