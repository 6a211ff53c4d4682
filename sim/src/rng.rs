//! The generator that every random choice comes from: xoshiro256**, seeded by splitmix64 (Blackman and Vigna).
//!
//! It is written here, not taken from a library, because a seed in a report must mean the same run for ever.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

impl Rng {
    /// The stream `name` of a seed. Streams of different names are independent, so that drawing more from one of them
    /// leaves the others as they were.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        let mut state = folded(seed, name);
        Self([(); 4].map(|()| splitmix(&mut state)))
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("a product of two u64 has its upper half in a u64")
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len() as u64);
        choices[usize::try_from(at).expect("an index")]
    }
}

/// Random numbers that are drawn in any order: the stream of a name, read at any place.
#[derive(Clone, Copy, Debug)]
pub struct Indexed(u64);

impl Indexed {
    /// The stream `name` of a seed; streams of different names are independent.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        Self(folded(seed, name))
    }

    /// The 64 bits at this place.
    #[must_use]
    pub fn at(self, place: u64) -> u64 {
        splitmix(&mut self.0.wrapping_add(place.wrapping_mul(GAMMA)))
    }
}

/// Other 64 bits made of these, for what is drawn beside them.
#[must_use]
pub fn mixed(bits: u64) -> u64 {
    splitmix(&mut (bits ^ GAMMA))
}

/// The step of splitmix64, an odd number.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn folded(seed: u64, name: &str) -> u64 {
    name.bytes().fold(seed, |state, byte| splitmix(&mut (state ^ u64::from(byte))))
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GAMMA);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut rng = Rng::stream(1, "workload");
        let drawn = [rng.draw(), rng.draw(), rng.draw()];
        let mut again = Rng::stream(1, "workload");
        assert_eq!(drawn, [again.draw(), again.draw(), again.draw()]);
        assert_ne!(drawn[0], Rng::stream(1, "faults").draw(), "streams differ");
        assert_ne!(drawn[0], Rng::stream(2, "workload").draw(), "seeds differ");
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut rng = Rng::stream(7, "test");
        for _ in 0..1000 {
            assert!(rng.below(3) < 3);
            assert!((4..=6).contains(&rng.between(4, 6)));
        }
    }

    #[test]
    fn an_indexed_stream_is_the_same_in_any_order() {
        let stream = Indexed::stream(1, "join");
        let (second, first) = (stream.at(1), stream.at(0));
        assert_eq!([first, second], [0, 1].map(|place| Indexed::stream(1, "join").at(place)));
        assert_ne!(first, second);
        assert_ne!(first, Indexed::stream(1, "leave").at(0), "streams differ");
        assert_ne!(first, Indexed::stream(2, "join").at(0), "seeds differ");
    }
}
