//! The least, the greatest, and where they are.

use std::marker::PhantomData;

use crate::elements::element::Element;
use crate::kernels::fold::Fold;

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
}
