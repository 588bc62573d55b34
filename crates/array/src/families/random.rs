//! Random arrays whose elements follow from the seed and their places alone.
//!
//! The generator is counter-based (ChaCha with 8 rounds): element `i`, in C order, is made from
//! words at place `i` of the stream. So an array is the same however it is cut, sliced and computed,
//! and nothing of it is ever held.

use std::sync::Arc;

use flagstone_common::{Result, TokenHasher};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::elements::bytes::from_bytes_mut;
use crate::elements::element::{Element, Float};
use crate::expr::array::Array;
use crate::expr::node::Op;
use crate::expr::source::Source;
use crate::grid::along::Along;
use crate::grid::shape::check_shape;

/// Two 64-bit numbers of the stream belong to every element.
const WORDS: u128 = 4;

/// An element from its two numbers.
type OfBits<T> = Arc<dyn Fn(u64, u64) -> T + Send + Sync>;

struct Random<T> {
    name: &'static str,
    shape: Vec<usize>,
    seed: u64,
    token: String,
    function: OfBits<T>,
}

impl<T: Element> Source for Random<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64> {
        let mut stream = ChaCha8Rng::seed_from_u64(self.seed);
        let mut at = vec![0; window.len()];
        let mut expected = None;
        for value in from_bytes_mut::<T>(out) {
            let places = window.iter().zip(&at).map(|(along, &at)| along.at(at));
            let element = places
                .zip(&self.shape)
                .fold(0u128, |element, (place, &length)| {
                    element * length as u128 + place as u128
                });
            if expected != Some(element) {
                stream.set_word_pos(element * WORDS);
            }
            expected = Some(element + 1);
            *value = (self.function)(stream.next_u64(), stream.next_u64());
            for axis in (0..window.len()).rev() {
                at[axis] += 1;
                if at[axis] < window[axis].len() {
                    break;
                }
                at[axis] = 0;
            }
        }
        Ok(0)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(self.name).u64(self.seed).str(&format!(
            "{:?} {} {}",
            self.shape,
            T::DTYPE,
            self.token
        ));
    }
}

/// In `[0, 1)`, with 53 bits.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Below `range`, from 64 bits: each value is hit equally often up to one part in 2^64 / range.
fn below(bits: u64, range: u64) -> u64 {
    ((u128::from(bits) * u128::from(range)) >> 64) as u64
}

impl<T: Element> Array<T> {
    #[track_caller]
    fn random(
        name: &'static str,
        shape: &[usize],
        (seed, token): (u64, String),
        function: impl Fn(u64, u64) -> T + Send + Sync + 'static,
    ) -> Self {
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        let source = Random {
            name,
            shape: shape.to_vec(),
            seed,
            token,
            function: Arc::new(function),
        };
        Array::make(shape.to_vec(), Op::Source(Arc::new(source)))
    }

    /// Elements drawn from a list with replacement. An empty list is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// let x = Array::random_choice(&[2, 3, 5], &[4], 7);
    /// assert!(x.compute_with(&SerialExecutor)?.iter().all(|prime| [2, 3, 5].contains(prime)));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_choice(values: &[T], shape: &[usize], seed: u64) -> Self {
        if values.is_empty() {
            return Array::invalid("there is nothing to choose from");
        }
        let token = format!("{values:?}");
        let values = values.to_vec();
        Array::random("random-choice", shape, (seed, token), move |bits, _| {
            values[below(bits, values.len() as u64) as usize]
        })
    }

    /// Elements drawn from a list with replacement, with a weight for each value of the list: how likely
    /// it is beside the others.
    /// Another number of weights than of values, a weight that is negative or not finite, and weights
    /// that are all zero are a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::random_choice_weighted(&[2, 3], &[0.0, 1.0], &[2], 7);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![3, 3].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_choice_weighted(
        values: &[T],
        weights: &[f64],
        shape: &[usize],
        seed: u64,
    ) -> Self {
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        if weights.len() != values.len() {
            let (weights, values) = (weights.len(), values.len());
            return Array::invalid(format!("{weights} weights for {values} values"));
        }
        let is_weight = |weight: &f64| *weight >= 0.0 && weight.is_finite();
        if let Some(at) = weights.iter().position(|weight| !is_weight(weight)) {
            let weight = weights[at];
            return Array::invalid(format!("the weight {weight} of value {at} is no weight"));
        }
        if !(sum > 0.0 && sum.is_finite()) {
            return Array::invalid(format!("weights whose sum is {sum} choose nothing"));
        }
        let token = format!("{values:?} {weights:?}");
        let values = values.to_vec();
        // rounding must not reach beyond the last value that can be
        let last = weights
            .iter()
            .rposition(|&weight| weight > 0.0)
            .unwrap_or(0);
        Array::random("random-choice", shape, (seed, token), move |bits, _| {
            let at = unit(bits) * sum;
            values[sums.partition_point(|&sum| sum <= at).min(last)]
        })
    }

    /// Different elements of a list, in a random order; more than it has are a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// let x = Array::random_sample(&[2, 3, 5], 2, 7);
    /// let drawn = x.compute_with(&SerialExecutor)?;
    /// assert_ne!(drawn[[0]], drawn[[1]]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_sample(values: &[T], count: usize, seed: u64) -> Self {
        if count > values.len() {
            return Array::invalid(format!(
                "{count} different elements cannot be chosen from {}",
                values.len()
            ));
        }
        let places = Array::random_permutation(values.len(), seed).range(0, 0..count);
        let values = values.to_vec();
        places.map(move |place| values[place as usize])
    }
}

impl<T: Float> Array<T> {
    /// Elements spread evenly over `low..high`.
    ///
    /// ```
    /// use flagstone_array::{Array, index};
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::<f64>::random_uniform(&[1_000_000, 1_000_000], 0.0, 1.0, 7);
    /// let corner = x.index(index![-1, -3..]).compute_with(&SerialExecutor)?;
    /// assert_eq!(corner.len(), 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_uniform(shape: &[usize], low: T, high: T, seed: u64) -> Self {
        let token = format!("{low} {high}");
        let (from, by) = (low.to_f64(), high.to_f64() - low.to_f64());
        Array::random("random-uniform", shape, (seed, token), move |bits, _| {
            T::from_f64(from + by * unit(bits))
        })
    }

    /// Elements of a normal distribution, by the method of Box and Muller.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// let x = Array::<f64>::random_normal(&[10_000], 5.0, 2.0, 7);
    /// assert!((x.mean(0).compute_with(&SerialExecutor)?[[]] - 5.0).abs() < 0.1);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_normal(shape: &[usize], mean: T, deviation: T, seed: u64) -> Self {
        let token = format!("{mean} {deviation}");
        let (mean, deviation) = (mean.to_f64(), deviation.to_f64());
        Array::random("random-normal", shape, (seed, token), move |a, b| {
            // never the logarithm of zero
            let radius = (-2.0 * (1.0 - unit(a)).ln()).sqrt();
            T::from_f64(mean + deviation * radius * (std::f64::consts::TAU * unit(b)).cos())
        })
    }
}

impl Array<i64> {
    /// Whole numbers spread evenly over `low..high`. An empty range is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// let x = Array::random_integers(&[100], 1, 7, 7);
    /// assert!(x.compute_with(&SerialExecutor)?.iter().all(|die| (1..7).contains(die)));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_integers(shape: &[usize], low: i64, high: i64, seed: u64) -> Self {
        if low >= high {
            return Array::invalid(format!("there is no whole number in {low}..{high}"));
        }
        let range = high.wrapping_sub(low) as u64;
        let token = format!("{low} {high}");
        Array::random("random-integers", shape, (seed, token), move |bits, _| {
            low.wrapping_add(below(bits, range) as i64)
        })
    }

    /// The numbers below `length` in a random order: each place is computed by itself, by a
    /// Feistel network over the next power of four.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::random_permutation(5, 7);
    /// assert_eq!(x.sort(0).compute_with(&SerialExecutor)?, array![0, 1, 2, 3, 4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn random_permutation(length: usize, seed: u64) -> Self {
        let half = (usize::BITS - length.saturating_sub(1).leading_zeros())
            .div_ceil(2)
            .max(1);
        let mask = (1u64 << half) - 1;
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let keys: Vec<u64> = (0..8).map(|_| stream.next_u64()).collect();
        let permute = move |mut place: u64| loop {
            let (mut left, mut right) = (place >> half, place & mask);
            for key in &keys {
                // the finaliser of SplitMix64
                let mut mixed = right.wrapping_add(*key);
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (left, right) = (right, left ^ ((mixed ^ (mixed >> 31)) & mask));
            }
            place = (left << half) | right;
            // outside: on along the cycle, which comes back inside
            if place < length as u64 {
                return place as i64;
            }
        };
        let token = Some(format!("{seed}"));
        Array::function(
            "random-permutation",
            &[length],
            move |index| permute(index[0] as u64),
            token,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_over_their_range() {
        assert_eq!((below(0, 10), below(u64::MAX, 10)), (0, 9));
        assert!(unit(u64::MAX) < 1.0 && unit(0) == 0.0);
    }
}
