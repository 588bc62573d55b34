//! Random numbers whose sequence is part of the data's definition.
//!
//! Streams of ChaCha8, numbered, so that any part of a data set can be made alone. The few
//! distributions are written out here: a library may change how it maps bits to numbers from one
//! version to the next, and the data would change with it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// One numbered stream of a seed.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Random(rng)
    }

    /// A number below `bound` (which must not be 0 nor above 2^32).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (u64::from(self.0.next_u32()) * bound) >> 32
    }

    /// A number in `from..to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    /// A number below `bound`, however large.
    pub(crate) fn wide_below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// One of a list.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// Lower-case letters.
    pub(crate) fn letters(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }

    /// The list in random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.wide_below(i as u64 + 1) as usize);
        }
    }

    /// Digits of a hexadecimal number.
    pub(crate) fn hex(&mut self, digits: usize, out: &mut String) {
        out.clear();
        for _ in 0..digits {
            out.push(char::from(b"0123456789abcdef"[self.below(16) as usize]));
        }
    }
}

/// Draws indices with given weights.
pub(crate) struct Weighted {
    cumulative: Vec<f64>,
}

impl Weighted {
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let cumulative = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Weighted { cumulative }
    }

    /// Index `k` of `count` has weight `(k + 1)^-exponent`.
    pub(crate) fn zipf(count: usize, exponent: f64) -> Self {
        Weighted::new((1..=count).map(|k| (k as f64).powf(-exponent)))
    }

    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let at = random.unit() * total;
        let index = self.cumulative.partition_point(|&sum| sum <= at);
        index.min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_and_differ() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [random.below(1000), random.below(1000), random.below(1000)]
        };
        assert_eq!(draw(7, 0), draw(7, 0));
        assert_ne!(draw(7, 0), draw(7, 1));
        assert_ne!(draw(7, 0), draw(8, 0));
    }

    #[test]
    fn zipf_prefers_small_indices() {
        let (weighted, mut random) = (Weighted::zipf(100, 1.0), Random::new(1, 1));
        let mut counts = [0; 100];
        (0..20_000).for_each(|_| counts[weighted.draw(&mut random)] += 1);
        assert!(counts[0] > 2 * counts[4] && counts[4] > counts[60] && counts[99] > 0);
    }
}
