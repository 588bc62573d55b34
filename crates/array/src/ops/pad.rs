//! Padding.

use super::indices::Index;
use crate::array::Array;
use crate::element::Element;
use crate::later::early;

/// What stands beyond the ends of an array.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Pad<T> {
    /// One value.
    Constant(T),
    /// The element at the end.
    Edge,
    /// The array mirrored at its last element, which is not repeated.
    Reflect,
    /// The array mirrored beyond its last element, which is repeated.
    Symmetric,
    /// The array from its other end.
    Wrap,
}

impl<T: Element> Array<T> {
    /// The array with `widths[axis]` elements added before and after each axis. Mirrored and
    /// wrapped elements go on over as many repetitions as needed; an empty axis can only be padded
    /// with a constant.
    #[track_caller]
    pub fn pad(&self, widths: &[(usize, usize)], mode: Pad<T>) -> Self {
        early!(self, widths = widths.to_vec(); |array| array.pad(&widths, mode));
        if widths.len() != self.ndim() {
            return Array::invalid(format!(
                "an array of shape {:?} needs {} pairs of widths to be padded, not {}",
                self.shape(),
                self.ndim(),
                widths.len()
            ));
        }
        let mut array = self.clone();
        for (axis, &(before, after)) in widths.iter().enumerate() {
            if (before, after) == (0, 0) {
                continue;
            }
            let length = array.shape()[axis];
            if let Pad::Constant(value) = mode {
                let filled = |width: usize| {
                    let mut shape = array.shape().to_vec();
                    shape[axis] = width;
                    Array::full(&shape, value)
                };
                let parts = [&filled(before), &array, &filled(after)];
                array = Array::concatenate(&parts, axis as isize);
                continue;
            }
            if length == 0 {
                return Array::invalid(format!(
                    "axis {axis} of an array of shape {:?} is empty and can only be padded with a \
                     constant",
                    self.shape()
                ));
            }
            let place = |at: isize| -> i64 {
                let n = length as isize;
                (match mode {
                    Pad::Constant(_) | Pad::Edge => at.clamp(0, n - 1),
                    Pad::Wrap => at.rem_euclid(n),
                    Pad::Symmetric => match at.rem_euclid(2 * n) {
                        at if at < n => at,
                        at => 2 * n - 1 - at,
                    },
                    Pad::Reflect if n == 1 => 0,
                    Pad::Reflect => match at.rem_euclid(2 * n - 2) {
                        at if at < n => at,
                        at => 2 * n - 2 - at,
                    },
                }) as i64
            };
            // only the ends are listed: the middle stays as it is
            let listed = |from: isize, to: isize| {
                let places: Vec<i64> = (from..to).map(place).collect();
                let mut indices = vec![Index::from(..); axis];
                indices.push(Index::from(&places[..]));
                array.index(indices)
            };
            let head = listed(-(before as isize), 0);
            let tail = listed(length as isize, (length + after) as isize);
            array = Array::concatenate(&[&head, &array, &tail], axis as isize);
        }
        array
    }
}
