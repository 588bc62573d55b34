//! Places along one axis: a range with a step, or a list.
//!
//! They compose by arithmetic, so a chain of slices costs nothing.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// The places along one axis of a base.
#[derive(Debug, Clone)]
pub(crate) enum Along {
    /// `start + step * i`.
    Span {
        start: usize,
        step: isize,
        count: usize,
    },
    /// A part of a list.
    List(Arc<[usize]>, Range<usize>),
}

impl PartialEq for Along {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Along::Span { start, step, count },
                Along::Span {
                    start: start2,
                    step: step2,
                    count: count2,
                },
            ) => (start, step, count) == (start2, step2, count2),
            (Along::List(a, range), Along::List(b, range2)) => Arc::ptr_eq(a, b) && range == range2,
            _ => false,
        }
    }
}

impl Eq for Along {}

impl Hash for Along {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Along::Span { start, step, count } => (start, step, count).hash(state),
            Along::List(list, range) => (Arc::as_ptr(list).cast::<usize>(), range).hash(state),
        }
    }
}

impl Along {
    /// The whole of an axis.
    pub(crate) fn all(length: usize) -> Self {
        Along::range(0..length)
    }

    pub(crate) fn range(range: Range<usize>) -> Self {
        Along::Span {
            start: range.start,
            step: 1,
            count: range.len(),
        }
    }

    pub(crate) fn list(list: impl Into<Arc<[usize]>>) -> Self {
        let list = list.into();
        let range = 0..list.len();
        Along::List(list, range)
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Along::Span { count, .. } => *count,
            Along::List(_, range) => range.len(),
        }
    }

    /// The `i`-th place.
    #[inline]
    pub(crate) fn at(&self, i: usize) -> usize {
        match self {
            // places lie inside the axis, so this neither wraps nor truncates
            Along::Span { start, step, .. } => {
                start.wrapping_add_signed(step.wrapping_mul(i as isize))
            }
            Along::List(list, range) => list[range.start + i],
        }
    }

    /// The places of a part.
    pub(crate) fn part(&self, part: &Range<usize>) -> Self {
        match self {
            Along::Span { step, .. } => Along::Span {
                start: if part.is_empty() {
                    0
                } else {
                    self.at(part.start)
                },
                step: *step,
                count: part.len(),
            },
            Along::List(list, range) => Along::List(
                Arc::clone(list),
                range.start + part.start..range.start + part.end,
            ),
        }
    }

    /// These places, seen through another view of this axis.
    pub(crate) fn then(&self, outer: &Along) -> Self {
        match (self, outer) {
            (_, outer) if outer.len() == 0 => Along::range(0..0),
            (
                Along::Span { step, .. },
                Along::Span {
                    start,
                    step: outer,
                    count,
                },
            ) => Along::Span {
                start: self.at(*start),
                step: step.wrapping_mul(*outer),
                count: *count,
            },
            (
                Along::Span {
                    start: 0, step: 1, ..
                },
                Along::List(..),
            ) => outer.clone(),
            (
                Along::List(..),
                Along::Span {
                    start,
                    step: 1,
                    count,
                },
            ) => self.part(&(*start..*start + *count)),
            _ => Along::list(
                (0..outer.len())
                    .map(|i| self.at(outer.at(i)))
                    .collect::<Vec<_>>(),
            ),
        }
    }

    /// Ascending with the same places: whether it was turned round.
    pub(crate) fn ascending(&self) -> (Self, bool) {
        match *self {
            Along::Span { step, count, .. } if step < 0 && count > 0 => (
                Along::Span {
                    start: self.at(count - 1),
                    step: -step,
                    count,
                },
                true,
            ),
            _ => (self.clone(), false),
        }
    }

    /// The smallest range that holds every place.
    pub(crate) fn cover(&self) -> Range<usize> {
        match self {
            _ if self.len() == 0 => 0..0,
            Along::Span { count, .. } => {
                let (first, last) = (self.at(0), self.at(count - 1));
                first.min(last)..first.max(last) + 1
            }
            Along::List(list, range) => {
                let list = &list[range.clone()];
                let (low, high) = list.iter().fold((usize::MAX, 0), |(low, high), &at| {
                    (low.min(at), high.max(at))
                });
                low..high + 1
            }
        }
    }

    /// The range it is, if it is one.
    pub(crate) fn as_range(&self) -> Option<Range<usize>> {
        match *self {
            Along::Span { start, step, count } if step == 1 || count <= 1 => {
                Some(start..start + count)
            }
            _ => None,
        }
    }

    pub(crate) fn is_all(&self, length: usize) -> bool {
        self.as_range() == Some(0..length) || (length == 0 && self.len() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn along(length: usize) -> impl Strategy<Value = Along> {
        let span =
            (0..length, 0..length, 1isize..4, any::<bool>()).prop_map(|(a, b, step, down)| {
                let (low, high) = (a.min(b), a.max(b));
                let count = (high - low) / step as usize + 1;
                match down {
                    true => Along::Span {
                        start: high,
                        step: -step,
                        count,
                    },
                    false => Along::Span {
                        start: low,
                        step,
                        count,
                    },
                }
            });
        let list = prop::collection::vec(0..length, 1..6).prop_map(Along::list);
        prop_oneof![span, list]
    }

    fn places(along: &Along) -> Vec<usize> {
        (0..along.len()).map(|i| along.at(i)).collect()
    }

    proptest! {
        #[test]
        fn views_compose_as_their_places_do(
            inner in along(9), seed in 0usize..1000, (a, b) in (0usize..9, 0usize..9),
        ) {
            let list: Vec<usize> = (0..4).map(|i| (seed >> i) % inner.len()).collect();
            for outer in [
                Along::list(list),
                Along::Span { start: inner.len() - 1, step: -1, count: inner.len() },
                Along::all(inner.len()),
            ] {
                let expected: Vec<usize> = places(&outer).iter().map(|&i| inner.at(i)).collect();
                let composed = inner.then(&outer);
                prop_assert_eq!(places(&composed), expected.clone());
                let (ascending, turned) = composed.ascending();
                let mut again = places(&ascending);
                if turned { again.reverse(); }
                prop_assert_eq!(&again, &expected);
                let cover = composed.cover();
                prop_assert_eq!(cover.start, *expected.iter().min().unwrap());
                prop_assert_eq!(cover.end, *expected.iter().max().unwrap() + 1);
                let part = a.min(b).min(expected.len())..a.max(b).min(expected.len());
                prop_assert_eq!(places(&composed.part(&part)), expected[part].to_vec());
            }
        }
    }
}
