//! The expression behind an array handle: what the user wrote, nothing computed.

use std::panic::Location;
use std::sync::Arc;

use flagstone_graph::{Error, ErrorKind};

use crate::array::Array;
use crate::element::Element;
use crate::kernels::elementwise::Binary;
use crate::source::Source;

/// One operation with its operands.
pub(crate) struct Node<T: Element> {
    pub(crate) shape: Vec<usize>,
    pub(crate) op: Op<T>,
    /// The line of the user's program.
    pub(crate) location: &'static Location<'static>,
}

pub(crate) enum Op<T: Element> {
    Source(Arc<dyn Source<T>>),
    Scalar(T),
    Transpose {
        of: Array<T>,
        axes: Vec<usize>,
    },
    Pick {
        of: Array<T>,
        picks: Picks,
    },
    Binary {
        op: Binary,
        left: Array<T>,
        right: Array<T>,
    },
    Sum {
        of: Array<T>,
        axis: usize,
        finish: Option<fn(T, usize) -> T>,
    },
    Product {
        left: Array<T>,
        right: Array<T>,
    },
    Mistake(Mistake),
}

/// A basic index: a step through each axis, axes dropped, axes added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picks {
    /// One for each axis of the operand.
    pub(crate) axes: Vec<Pick>,
    /// Places of the added axes in the result, ascending.
    pub(crate) added: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    /// The first element taken.
    pub(crate) start: usize,
    /// From one element taken to the next.
    pub(crate) step: isize,
    pub(crate) count: usize,
    /// Whether the axis remains.
    pub(crate) keep: bool,
}

impl Pick {
    pub(crate) fn all(length: usize) -> Self {
        Pick {
            start: 0,
            step: 1,
            count: length,
            keep: true,
        }
    }
}

/// A mistake in how an array was built. Errors are not `Clone`, this is.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) location: &'static Location<'static>,
}

impl Mistake {
    pub(crate) fn error(&self) -> Error {
        Error::new(self.kind, self.message.clone()).with_location(self.location)
    }
}

/// The shape of two shapes broadcast against each other, by NumPy's rule.
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let ndim = left.len().max(right.len());
    let at = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(ndim)
            .map_or(1, |axis| shape[axis])
    };
    (0..ndim)
        .map(|axis| match (at(left, axis), at(right, axis)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_numpy_does() {
        assert_eq!(broadcast(&[5, 4], &[4]), Some(vec![5, 4]));
        assert_eq!(broadcast(&[5, 1], &[1, 4]), Some(vec![5, 4]));
        assert_eq!(broadcast(&[], &[0, 3]), Some(vec![0, 3]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast(&[0], &[1]), Some(vec![0]));
    }
}
