//! Chance that is the same everywhere and always: xoshiro256++ (Blackman and Vigna, public domain), seeded by SHA-256.

use sha2::{Digest, Sha256};

/// A stream of random numbers that its seed determines.
pub(super) struct Rng([u64; 4]);

impl Rng {
    /// The stream of a text.
    pub(super) fn new(seed: &str) -> Self {
        let digest = Sha256::digest(seed.as_bytes());
        let mut state = [0_u64; 4];
        for (at, byte) in digest.iter().enumerate() {
            state[at / 8] = (state[at / 8] << 8) | u64::from(*byte);
        }
        Self(state)
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `end`, which is above zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `first` to `last`.
    pub(super) fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below(last.abs_diff(first) + 1) as i64
    }

    /// One of them; there is at least one.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A text after a pattern: `#` is a digit, `@` a capital letter, anything else itself.
    pub(super) fn fill(&mut self, pattern: &str) -> String {
        pattern
            .chars()
            .map(|c| match c {
                '#' => char::from(b'0' + self.below(10) as u8),
                '@' => char::from(b'A' + self.below(26) as u8),
                other => other,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_stream() {
        let draw = |seed: &str| {
            let mut rng = Rng::new(seed);
            [rng.next(), rng.next(), rng.next()]
        };
        assert_eq!(draw("abc"), draw("abc"));
        assert_ne!(draw("abc"), draw("abd"));
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_patterns_are_filled() {
        let mut rng = Rng::new("bounds");
        let drawn: Vec<i64> = (0..1_000).map(|_| rng.between(-2, 2)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&-2), Some(&2)));
        let filled = rng.fill("A-##-@@");
        assert!(
            filled.starts_with("A-") && filled.len() == 7 && !filled.contains(['#', '@']),
            "{filled}"
        );
    }
}
