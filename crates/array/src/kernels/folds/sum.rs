//! Sums and means.

use std::marker::PhantomData;

use crate::elements::element::{Element, Float};
use crate::kernels::fold::Fold;

pub(super) const LANES: usize = 8;

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
