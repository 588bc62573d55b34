//! Variances and deviations.

use std::marker::PhantomData;

use super::sum::{LANES, Sum};
use crate::elements::element::{Element, Float};
use crate::kernels::fold::Fold;

/// What [`Moments`] gives in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Variance,
    Deviation,
}

/// Count, mean and sum of squared deviations, merged by Chan's formula: stable, and one pass. A
/// leaf takes two passes over its elements, which are in cache.
pub(crate) struct Moments<T, R> {
    pub(crate) moment: Moment,
    /// Subtracted from the count before dividing.
    pub(crate) ddof: usize,
    /// Leaves out what is not a number.
    pub(crate) skip: bool,
    pub(crate) types: PhantomData<fn(T) -> R>,
}

/// In double precision whatever the elements: squares of single ones need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments3 {
    count: f64,
    mean: f64,
    squares: f64,
}

impl<T: Element, R: Float> Fold for Moments<T, R> {
    type In = T;
    type State = Moments3;
    type Out = R;
    const WORDS: usize = 3;

    fn name(&self) -> &'static str {
        match (self.moment, self.skip) {
            (Moment::Variance, false) => "var",
            (Moment::Deviation, false) => "std",
            (Moment::Variance, true) => "nanvar",
            (Moment::Deviation, true) => "nanstd",
        }
    }

    fn token(&self) -> String {
        self.ddof.to_string()
    }

    fn empty(&self) -> Moments3 {
        Moments3 {
            count: 0.0,
            mean: 0.0,
            squares: 0.0,
        }
    }

    fn first(&self, value: T, _: usize) -> Moments3 {
        if self.skip && value.is_not_a_number() {
            return self.empty();
        }
        let mean: f64 = value.cast();
        Moments3 {
            count: 1.0,
            mean,
            // the variance of an infinity is not defined
            squares: if mean.is_finite() { 0.0 } else { f64::NAN },
        }
    }

    fn push(&self, state: &mut Moments3, value: T, index: usize) {
        let value = self.first(value, index);
        self.merge(state, &value);
    }

    fn merge(&self, left: &mut Moments3, right: &Moments3) {
        if right.count == 0.0 {
            return;
        }
        if left.count == 0.0 {
            *left = *right;
            return;
        }
        let count = left.count + right.count;
        let distance = right.mean - left.mean;
        left.mean += distance * (right.count / count);
        left.squares += right.squares + distance * distance * (left.count * right.count / count);
        left.count = count;
    }

    fn finish(&self, state: &Moments3, _: usize) -> R {
        let freedom = (state.count - self.ddof as f64).max(0.0);
        let variance = state.squares / freedom;
        R::from_f64(match self.moment {
            _ if state.count == 0.0 => f64::NAN,
            // as NumPy: without degrees of freedom the known form is not defined, the other infinite
            _ if self.skip && freedom == 0.0 => f64::NAN,
            Moment::Variance => variance,
            Moment::Deviation => variance.sqrt(),
        })
    }

    fn save(&self, state: &Moments3, words: &mut [u64]) {
        for (word, value) in words
            .iter_mut()
            .zip([state.count, state.mean, state.squares])
        {
            *word = value.to_bits();
        }
    }

    fn load(&self, words: &[u64]) -> Moments3 {
        Moments3 {
            count: f64::from_bits(words[0]),
            mean: f64::from_bits(words[1]),
            squares: f64::from_bits(words[2]),
        }
    }

    fn lane(&self, values: &[T], start: usize) -> Moments3 {
        if self.skip {
            let mut state = self.empty();
            values
                .iter()
                .for_each(|&value| self.push(&mut state, value, start));
            return state;
        }
        if values.is_empty() {
            return self.empty();
        }
        let count = values.len() as f64;
        let sum = Sum::<T, f64>::new().lane(values, start);
        let mean = sum / count;
        let mut lanes = [0.0; LANES];
        for (i, value) in values.iter().enumerate() {
            let distance = value.cast::<f64>() - mean;
            lanes[i % LANES] += distance * distance;
        }
        let squares = (lanes[0] + lanes[4] + (lanes[2] + lanes[6]))
            + (lanes[1] + lanes[5] + (lanes[3] + lanes[7]));
        Moments3 {
            count,
            mean,
            squares,
        }
    }

    fn columns(&self, rows: &[T], start: usize, states: &mut [Moments3]) {
        let width = states.len().max(1);
        if self.skip {
            for (i, row) in rows.chunks_exact(width).enumerate() {
                for (state, &value) in states.iter_mut().zip(row) {
                    match i {
                        0 => *state = self.first(value, start),
                        _ => self.push(state, value, start),
                    }
                }
            }
            return;
        }
        let count = (rows.len() / width) as f64;
        states.fill(self.empty());
        for row in rows.chunks_exact(width) {
            for (state, &value) in states.iter_mut().zip(row) {
                state.mean += value.cast::<f64>();
            }
        }
        for state in states.iter_mut() {
            state.count = count;
            state.mean /= count;
        }
        for row in rows.chunks_exact(width) {
            for (state, &value) in states.iter_mut().zip(row) {
                let distance = value.cast::<f64>() - state.mean;
                state.squares += distance * distance;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variance_is_stable_far_from_zero() {
        let fold = Moments::<f64, f64> {
            moment: Moment::Variance,
            ddof: 0,
            skip: false,
            types: PhantomData,
        };
        let values: Vec<f64> = (0..128).map(|i| 1e9 + f64::from(i % 2)).collect();
        let mut state = fold.lane(&values, 0);
        fold.merge(&mut state, &fold.lane(&values, 128));
        assert_eq!(fold.finish(&state, 256), 0.25);
        let mut columns = [fold.empty()];
        fold.columns(&values, 0, &mut columns);
        assert_eq!(fold.finish(&columns[0], 128), 0.25);
    }
}
