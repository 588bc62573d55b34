//! Lines in order: sorting, places in order, the largest and smallest.
//!
//! Lines that the budget holds are sorted whole; longer ones in runs on disk, with the same bits.

pub(crate) mod merge;
pub(crate) mod ranking;
pub(crate) mod runs;
pub(crate) mod select;

use std::cmp::Reverse;
use std::sync::Arc;

use super::lines::LongOf;
use crate::elements::element::Element;
use crate::elements::order::sort_by_keys;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use merge::FirstRanks;
use ranking::{Ascending, Descending, PlacesAscending, PlacesDescending, Ranking};

impl<T: Element> Array<T> {
    /// The elements in ascending order along an axis; not-a-number comes last.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[3, 1, 2], [6, 5, 4]]);
    /// assert_eq!(x.sort(1).compute_with(&SerialExecutor)?, array![[1, 2, 3], [4, 5, 6]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: isize) -> Array<T> {
        let sort = |line: &mut [T], out: &mut [T]| {
            sort_by_keys(line);
            out.copy_from_slice(line);
        };
        let token = Some(String::new());
        self.lines("sort", (axis, None), token, sort, first::<Ascending<T>>())
    }

    /// The places of the elements in ascending order along an axis; equal ones keep their order.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 2]);
    /// assert_eq!(x.argsort(0).compute_with(&SerialExecutor)?, array![1, 2, 0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn argsort(&self, axis: isize) -> Array<i64> {
        let sort = |line: &mut [T], out: &mut [i64]| {
            out.iter_mut().zip(0..).for_each(|(out, i)| *out = i);
            out.sort_by_key(|&place| line[place as usize].loose_key());
        };
        let token = Some(String::new());
        self.lines(
            "argsort",
            (axis, None),
            token,
            sort,
            first::<PlacesAscending<T>>(),
        )
    }

    /// The `count` largest elements along an axis, the largest first; not-a-number counts as
    /// larger than everything. More than there are is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 2]);
    /// assert_eq!(x.topk(2, 0).compute_with(&SerialExecutor)?, array![3, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn topk(&self, count: usize, axis: isize) -> Array<T> {
        defer!(self; |array| array.topk(count, axis));
        if let Some(wrong) = self.too_many(count, axis) {
            return Array::invalid(wrong);
        }
        let top = move |line: &mut [T], out: &mut [T]| {
            let count = out.len();
            if 0 < count && count < line.len() {
                line.select_nth_unstable_by_key(count - 1, |value| Reverse(value.key()));
            }
            line[..count].sort_unstable_by_key(|value| Reverse(value.key()));
            out.copy_from_slice(&line[..count]);
        };
        let token = Some(String::new());
        self.lines(
            "topk",
            (axis, Some(count)),
            token,
            top,
            first::<Descending<T>>(),
        )
    }

    /// The places of the `count` largest elements along an axis; of equal ones the first.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 1, 2]);
    /// assert_eq!(x.argtopk(2, 0).compute_with(&SerialExecutor)?, array![0, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn argtopk(&self, count: usize, axis: isize) -> Array<i64> {
        defer!(self; |array| array.argtopk(count, axis));
        if let Some(wrong) = self.too_many(count, axis) {
            return Array::invalid(wrong);
        }
        let top = move |line: &mut [T], out: &mut [i64]| {
            let mut places: Vec<usize> = (0..line.len()).collect();
            places.sort_by_key(|&place| Reverse(line[place].loose_key()));
            out.iter_mut()
                .zip(places)
                .for_each(|(out, place)| *out = place as i64);
        };
        let token = Some(String::new());
        self.lines(
            "argtopk",
            (axis, Some(count)),
            token,
            top,
            first::<PlacesDescending<T>>(),
        )
    }

    fn too_many(&self, count: usize, axis: isize) -> Option<String> {
        let length = self.shape()[self.axis(axis).ok()?];
        (count > length).then(|| {
            format!(
                "cannot take {count} elements of axis {axis} of an array of shape {:?}",
                self.shape()
            )
        })
    }
}

/// The first of each line in an order, as many as the result has.
fn first<K: Ranking>() -> Option<LongOf> {
    Some(Arc::new(|lowering, node, axis| {
        FirstRanks::<K>::lower(lowering, node, axis, node.shape[axis])
    }))
}
