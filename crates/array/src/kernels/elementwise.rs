//! Element-wise operations of two arrays, with broadcasting.

use ndarray::{ArrayViewD, ArrayViewMutD, Zip};

use crate::element::Element;

/// An operation of two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Binary {
    /// The operation's name in keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Subtract => "subtract",
            Binary::Multiply => "multiply",
            Binary::Divide => "divide",
        }
    }

    fn function<T: Element>(self) -> fn(T, T) -> T {
        match self {
            Binary::Add => T::plus,
            Binary::Subtract => T::minus,
            Binary::Multiply => T::times,
            Binary::Divide => T::over,
        }
    }
}

/// `left = left op right`, where `right` may be broadcast.
pub(crate) fn into_left<T: Element>(
    op: Binary,
    mut left: ArrayViewMutD<'_, T>,
    right: ArrayViewD<'_, T>,
) {
    // one match, outside the loop, so that each loop is compiled for its operation
    match op {
        Binary::Add => left.zip_mut_with(&right, |a, &b| *a = a.plus(b)),
        Binary::Subtract => left.zip_mut_with(&right, |a, &b| *a = a.minus(b)),
        Binary::Multiply => left.zip_mut_with(&right, |a, &b| *a = a.times(b)),
        Binary::Divide => left.zip_mut_with(&right, |a, &b| *a = a.over(b)),
    }
}

/// `right = left op right`, where `left` may be broadcast.
pub(crate) fn into_right<T: Element>(
    op: Binary,
    left: ArrayViewD<'_, T>,
    mut right: ArrayViewMutD<'_, T>,
) {
    match op {
        Binary::Add => right.zip_mut_with(&left, |b, &a| *b = a.plus(*b)),
        Binary::Subtract => right.zip_mut_with(&left, |b, &a| *b = a.minus(*b)),
        Binary::Multiply => right.zip_mut_with(&left, |b, &a| *b = a.times(*b)),
        Binary::Divide => right.zip_mut_with(&left, |b, &a| *b = a.over(*b)),
    }
}

/// `out = left op right`; both may be broadcast to the shape of `out`.
pub(crate) fn into_new<T: Element>(
    op: Binary,
    left: ArrayViewD<'_, T>,
    right: ArrayViewD<'_, T>,
    out: ArrayViewMutD<'_, T>,
) {
    let shape = out.raw_dim();
    let (Some(left), Some(right)) = (left.broadcast(shape.clone()), right.broadcast(shape)) else {
        unreachable!("shapes were unified when the expression was built");
    };
    let function = op.function::<T>();
    Zip::from(out)
        .and(left)
        .and(right)
        .for_each(|out, &a, &b| *out = function(a, b));
}
