//! The fold behind Euclidean norms: the root of a sum of squares that may lie beyond the type.
//!
//! The norm of `[3e200, 4e200]` is `5e200`, but its squares are no numbers, and those of `[3e-200]`
//! are none either. Squares are summed in double precision as they are; only where the sum of a leaf
//! comes near an end of the range, the leaf is gone through again with its elements scaled by a power
//! of two, which changes no digit. Sums of different scales meet at the larger one, where what the
//! smaller loses is below the last digit.
//!
//! ```text
//! scale      squares of a leaf           elements
//! 2^-600     below 2^-960, nought        below 2^-480
//! 1          2^-960 .. 2^900
//! 2^600      above 2^900, not finite     one above 2^446
//! ```
//!
//! Sums of 2^57 leaves stay below 2^970 at every scale.

use std::marker::PhantomData;

use super::fold::Fold;
use crate::elements::element::Float;

const LANES: usize = 8;
/// 2^600
const UP: f64 = f64::from_bits((1023 + 600) << 52);
/// 2^-600
const DOWN: f64 = f64::from_bits((1023 - 600) << 52);
/// 2^-960
const SQUARES_MIN: f64 = f64::from_bits((1023 - 960) << 52);
/// 2^900
const SQUARES_MAX: f64 = f64::from_bits((1023 + 900) << 52);

/// Euclidean norms.
pub(crate) struct Euclidean<T>(PhantomData<fn(T) -> T>);

impl<T> Euclidean<T> {
    pub(crate) fn new() -> Self {
        Euclidean(PhantomData)
    }
}

/// A sum of squares of elements that were divided by `scale`: one of [`DOWN`], 1 and [`UP`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Squares {
    scale: f64,
    sum: f64,
}

impl Squares {
    const NONE: Self = Squares {
        scale: DOWN,
        sum: 0.0,
    };

    /// The squares whose sum is this one, unless it is too near an end of the range to be right:
    /// then they are summed again by `scaled`, with elements times what it is given.
    #[inline]
    fn of(sum: f64, scaled: impl FnOnce(f64) -> f64) -> Self {
        match sum {
            SQUARES_MIN..SQUARES_MAX => Squares { scale: 1.0, sum },
            small if small < SQUARES_MIN => Squares {
                scale: DOWN,
                sum: scaled(UP),
            },
            _ => Squares {
                scale: UP,
                sum: scaled(DOWN),
            },
        }
    }

    /// The sum at a scale that is not smaller.
    fn at(mut self, scale: f64) -> Self {
        while self.scale < scale {
            self.scale *= UP;
            self.sum = self.sum * DOWN * DOWN;
        }
        self
    }

    fn add(&mut self, other: &Squares) {
        let scale = self.scale.max(other.scale);
        *self = Squares {
            scale,
            sum: self.at(scale).sum + other.at(scale).sum,
        };
    }
}

/// The sum of the squares of elements that lie side by side, times `by`: interleaved lanes, added
/// pairwise.
fn side_by_side<T: Float>(values: &[T], by: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut add = |row: &[T]| {
        for (lane, &value) in lanes.iter_mut().zip(row) {
            let value = value.cast::<f64>() * by;
            *lane += value * value;
        }
    };
    let mut rows = values.chunks_exact(LANES);
    rows.by_ref().for_each(&mut add);
    add(rows.remainder());
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

impl<T: Float> Fold for Euclidean<T> {
    type In = T;
    type State = Squares;
    type Out = T;
    const WORDS: usize = 2;

    fn name(&self) -> &'static str {
        "norm"
    }

    fn empty(&self) -> Squares {
        Squares::NONE
    }

    fn first(&self, value: T, _: usize) -> Squares {
        self.lane(&[value], 0)
    }

    fn push(&self, state: &mut Squares, value: T, index: usize) {
        state.add(&self.first(value, index));
    }

    fn merge(&self, left: &mut Squares, right: &Squares) {
        left.add(right);
    }

    fn finish(&self, state: &Squares, _: usize) -> T {
        T::from_f64(state.sum.sqrt() * state.scale)
    }

    fn save(&self, state: &Squares, words: &mut [u64]) {
        words[0] = state.scale.to_bits();
        words[1] = state.sum.to_bits();
    }

    fn load(&self, words: &[u64]) -> Squares {
        Squares {
            scale: f64::from_bits(words[0]),
            sum: f64::from_bits(words[1]),
        }
    }

    fn lane(&self, values: &[T], _: usize) -> Squares {
        Squares::of(side_by_side(values, 1.0), |by| side_by_side(values, by))
    }

    fn columns(&self, rows: &[T], _: usize, states: &mut [Squares]) {
        let width = states.len().max(1);
        states.fill(Squares {
            scale: 1.0,
            sum: 0.0,
        });
        for row in rows.chunks_exact(width) {
            for (state, &value) in states.iter_mut().zip(row) {
                let value = value.cast::<f64>();
                state.sum += value * value;
            }
        }
        for (column, state) in states.iter_mut().enumerate() {
            *state = Squares::of(state.sum, |by| {
                let column = rows.iter().skip(column).step_by(width);
                let scaled = column.map(|&value| value.cast::<f64>() * by);
                scaled.map(|value| value * value).sum()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(values: &[f64]) -> f64 {
        let fold = Euclidean::<f64>::new();
        let mut whole = fold.empty();
        for &value in values {
            fold.push(&mut whole, value, 0);
        }
        // side by side, in one column, and one by one
        let lane = fold.lane(values, 0);
        let mut column = [fold.empty()];
        fold.columns(values, 0, &mut column);
        let [lane, column, whole] = [lane, column[0], whole].map(|state| {
            let mut words = [0; 2];
            fold.save(&state, &mut words);
            fold.finish(&fold.load(&words), values.len())
        });
        for other in [column, whole] {
            let same = lane == other || (lane / other - 1.0).abs() < 1e-15;
            assert!(same || (lane.is_nan() && other.is_nan()), "{values:?}");
        }
        lane
    }

    #[test]
    fn norms_of_any_size_are_numbers() {
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
        let near = |values: &[f64], expected: f64| {
            assert!((norm(values) / expected - 1.0).abs() < 1e-15, "{values:?}");
        };
        near(&[3e200, 4e200], 5e200);
        near(&[3e-200, 4e-200], 5e-200);
        assert_eq!(norm(&[f64::MAX]), f64::MAX);
        assert_eq!(norm(&[f64::MAX, f64::MAX]), f64::INFINITY);
        let least = f64::from_bits(1);
        assert_eq!(norm(&[3.0 * least, 4.0 * least]), 5.0 * least);
        assert_eq!(norm(&[0.0, -0.0]), 0.0);
        assert_eq!(norm(&[]), 0.0);
        // beside a large one a small one is nothing, and many of the next size are something
        assert_eq!(norm(&[1e300, 1e-300, 1.0]), 1e300);
        near(&[4e135, 3e135, 1e-200], 5e135);
        near(&[3e-145, 4e-145], 5e-145);
        near(&[1e135, 2e135, 2e135], 3e135);
        assert!(norm(&[1.0, f64::NAN, f64::INFINITY]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }
}
