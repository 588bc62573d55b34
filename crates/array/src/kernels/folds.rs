//! The folds: sums, products, extremes, moments, and their forms that leave out not-a-number.

use std::marker::PhantomData;

use super::fold::Fold;
use crate::elements::element::{Element, Float};

const LANES: usize = 8;

/// Sums of elements cast to `A`; with `mean`, divided by how many there are.
pub(crate) struct Sum<T, A> {
    mean: bool,
    types: PhantomData<fn(T) -> A>,
}

impl<T, A> Sum<T, A> {
    pub(crate) fn new() -> Self {
        Sum {
            mean: false,
            types: PhantomData,
        }
    }

    pub(crate) fn mean() -> Self {
        Sum {
            mean: true,
            types: PhantomData,
        }
    }
}

impl<T: Element, A: Element> Fold for Sum<T, A> {
    type In = T;
    type State = A;
    type Out = A;
    const WORDS: usize = 1;

    fn name(&self) -> &'static str {
        if self.mean { "mean" } else { "sum" }
    }

    fn empty(&self) -> A {
        A::ZERO
    }

    fn first(&self, value: T, _: usize) -> A {
        // zero plus the value, so that minus zero alone sums to zero
        A::ZERO.plus(value.cast())
    }

    #[inline]
    fn push(&self, state: &mut A, value: T, _: usize) {
        *state = state.plus(value.cast());
    }

    fn merge(&self, left: &mut A, right: &A) {
        *left = left.plus(*right);
    }

    fn finish(&self, state: &A, count: usize) -> A {
        match self.mean {
            true => state.over((count as u64).cast()),
            false => *state,
        }
    }

    fn save(&self, state: &A, words: &mut [u64]) {
        words[0] = state.token_bits();
    }

    fn load(&self, words: &[u64]) -> A {
        A::from_token_bits(words[0])
    }

    /// Interleaved lanes, added pairwise.
    fn lane(&self, values: &[T], _: usize) -> A {
        let mut lanes = [A::ZERO; LANES];
        let mut rows = values.chunks_exact(LANES);
        for row in &mut rows {
            for (lane, &value) in lanes.iter_mut().zip(row) {
                *lane = lane.plus(value.cast());
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rows.remainder()) {
            *lane = lane.plus(value.cast());
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] = lanes[i].plus(lanes[i + width]);
            }
        }
        lanes[0]
    }
}

/// A state of one element, merged by a function of two elements.
pub(crate) struct Simple<T, A> {
    name: &'static str,
    start: A,
    of: fn(T) -> A,
    merge: fn(A, A) -> A,
}

impl<T: Element, A: Element> Simple<T, A> {
    pub(crate) fn new(name: &'static str, start: A, of: fn(T) -> A, merge: fn(A, A) -> A) -> Self {
        Simple {
            name,
            start,
            of,
            merge,
        }
    }
}

impl<T: Element, A: Element> Fold for Simple<T, A> {
    type In = T;
    type State = A;
    type Out = A;
    const WORDS: usize = 1;

    fn name(&self) -> &'static str {
        self.name
    }

    fn empty(&self) -> A {
        self.start
    }

    fn first(&self, value: T, _: usize) -> A {
        (self.of)(value)
    }

    fn push(&self, state: &mut A, value: T, _: usize) {
        *state = (self.merge)(*state, (self.of)(value));
    }

    fn merge(&self, left: &mut A, right: &A) {
        *left = (self.merge)(*left, *right);
    }

    fn finish(&self, state: &A, _: usize) -> A {
        *state
    }

    fn save(&self, state: &A, words: &mut [u64]) {
        words[0] = state.token_bits();
    }

    fn load(&self, words: &[u64]) -> A {
        A::from_token_bits(words[0])
    }
}

/// The smaller of two, not-a-number if one is.
pub(crate) fn lesser<T: Element>(a: T, b: T) -> T {
    if a.is_not_a_number() || a < b { a } else { b }
}

/// The larger of two, not-a-number if one is.
pub(crate) fn greater<T: Element>(a: T, b: T) -> T {
    if a.is_not_a_number() || a > b { a } else { b }
}

/// The smaller of two, the other one where one is not-a-number.
pub(crate) fn lesser_known<T: Element>(a: T, b: T) -> T {
    if b.is_not_a_number() || a < b { a } else { b }
}

/// The larger of two, the other one where one is not-a-number.
pub(crate) fn greater_known<T: Element>(a: T, b: T) -> T {
    if b.is_not_a_number() || a > b { a } else { b }
}

/// The distance of the largest from the smallest.
pub(crate) struct Spread<T>(pub(crate) PhantomData<fn(T) -> T>);

impl<T: Element> Fold for Spread<T> {
    type In = T;
    type State = (T, T);
    type Out = T;
    const WORDS: usize = 2;

    fn name(&self) -> &'static str {
        "ptp"
    }

    fn empty(&self) -> (T, T) {
        (T::HIGHEST, T::LOWEST)
    }

    fn first(&self, value: T, _: usize) -> (T, T) {
        (value, value)
    }

    fn push(&self, state: &mut (T, T), value: T, _: usize) {
        self.merge(state, &(value, value));
    }

    fn merge(&self, left: &mut (T, T), right: &(T, T)) {
        *left = (lesser(left.0, right.0), greater(left.1, right.1));
    }

    fn finish(&self, state: &(T, T), _: usize) -> T {
        state.1.minus(state.0)
    }

    fn save(&self, state: &(T, T), words: &mut [u64]) {
        (words[0], words[1]) = (state.0.token_bits(), state.1.token_bits());
    }

    fn load(&self, words: &[u64]) -> (T, T) {
        (T::from_token_bits(words[0]), T::from_token_bits(words[1]))
    }
}

/// Where the smallest or largest element is: the first of equal ones. Not-a-number counts as
/// extreme, or, with `skip`, not at all.
pub(crate) struct Position<T> {
    pub(crate) largest: bool,
    pub(crate) skip: bool,
    pub(crate) element: PhantomData<fn(T) -> T>,
}

impl<T: Element> Fold for Position<T> {
    type In = T;
    type State = (T, u64);
    type Out = i64;
    const WORDS: usize = 2;

    fn name(&self) -> &'static str {
        match (self.largest, self.skip) {
            (true, false) => "argmax",
            (false, false) => "argmin",
            (true, true) => "nanargmax",
            (false, true) => "nanargmin",
        }
    }

    fn empty(&self) -> (T, u64) {
        (T::ZERO, u64::MAX)
    }

    fn first(&self, value: T, index: usize) -> (T, u64) {
        match self.skip && value.is_not_a_number() {
            true => self.empty(),
            false => (value, index as u64),
        }
    }

    fn push(&self, state: &mut (T, u64), value: T, index: usize) {
        self.merge(state, &self.first(value, index));
    }

    fn merge(&self, left: &mut (T, u64), right: &(T, u64)) {
        let better = match (left.1, right.1) {
            (_, u64::MAX) => false,
            (u64::MAX, _) => true,
            _ if left.0.is_not_a_number() => false,
            _ if right.0.is_not_a_number() => true,
            _ if self.largest => right.0 > left.0,
            _ => right.0 < left.0,
        };
        if better {
            *left = *right;
        }
    }

    fn finish(&self, state: &(T, u64), _: usize) -> i64 {
        // nothing but not-a-number: -1, since there is no such place
        state.1 as i64
    }

    fn save(&self, state: &(T, u64), words: &mut [u64]) {
        (words[0], words[1]) = (state.0.token_bits(), state.1);
    }

    fn load(&self, words: &[u64]) -> (T, u64) {
        (T::from_token_bits(words[0]), words[1])
    }
}

/// The mean of what is a number; not-a-number where nothing is.
pub(crate) struct KnownMean<T, R>(pub(crate) PhantomData<fn(T) -> R>);

impl<T: Element, R: Float> Fold for KnownMean<T, R> {
    type In = T;
    type State = (R, u64);
    type Out = R;
    const WORDS: usize = 2;

    fn name(&self) -> &'static str {
        "nanmean"
    }

    fn empty(&self) -> (R, u64) {
        (R::ZERO, 0)
    }

    fn first(&self, value: T, _: usize) -> (R, u64) {
        match value.is_not_a_number() {
            true => self.empty(),
            false => (R::ZERO.plus(value.cast()), 1),
        }
    }

    fn push(&self, state: &mut (R, u64), value: T, _: usize) {
        if !value.is_not_a_number() {
            *state = (state.0.plus(value.cast()), state.1 + 1);
        }
    }

    fn merge(&self, left: &mut (R, u64), right: &(R, u64)) {
        *left = (left.0.plus(right.0), left.1 + right.1);
    }

    fn finish(&self, state: &(R, u64), _: usize) -> R {
        state.0.over(R::from_count(state.1 as usize))
    }

    fn save(&self, state: &(R, u64), words: &mut [u64]) {
        (words[0], words[1]) = (state.0.token_bits(), state.1);
    }

    fn load(&self, words: &[u64]) -> (R, u64) {
        (R::from_token_bits(words[0]), words[1])
    }
}

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
    fn extremes_treat_not_a_number_as_numpy_does() {
        let nan = f64::NAN;
        assert!(lesser(nan, 1.0).is_nan() && lesser(1.0, nan).is_nan());
        assert!(greater(nan, 1.0).is_nan() && greater(1.0, nan).is_nan());
        assert_eq!((lesser_known(nan, 1.0), lesser_known(1.0, nan)), (1.0, 1.0));
        assert_eq!(
            (greater_known(nan, 1.0), greater_known(1.0, nan)),
            (1.0, 1.0)
        );
    }

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
