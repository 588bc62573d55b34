//! Padding.

use super::axes::keep;
use super::index::Index;
use crate::elements::element::Element;
use crate::elements::promote::Real;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::kernels::map::{binary, unary};

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
    /// From the element at the end in equal steps to this value, which is the last. Computed in
    /// double precision; integers are rounded down.
    LinearRamp(T),
    /// The largest element of each line.
    Maximum,
    /// The smallest element of each line.
    Minimum,
    /// The mean of each line; for integers the nearest whole number, of two the even one.
    Mean,
    /// The median of each line, rounded as the mean is.
    Median,
}

impl<T: Element> Array<T> {
    /// The array with `widths[axis]` elements added before and after each axis. Mirrored and
    /// wrapped elements go on over as many repetitions as needed; an empty axis can only be padded
    /// with a constant.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::Pad;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.pad(&[(1, 2)], Pad::Edge).compute_with(&SerialExecutor)?, array![1, 1, 2, 2, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn pad(&self, widths: &[(usize, usize)], mode: Pad<T>) -> Self {
        defer!(self, widths = widths.to_vec(); |array| array.pad(&widths, mode));
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
            let spread = |line: &Array<T>, width: usize| {
                let mut shape = array.shape().to_vec();
                shape[axis] = width;
                line.broadcast_to(&shape)
            };
            let around = |head: &Array<T>, tail: &Array<T>| {
                Array::concatenate(&[head, &array, tail], axis as isize)
            };
            if let Pad::Constant(value) = mode {
                let value = Array::scalar(value);
                array = around(&spread(&value, before), &spread(&value, after));
                continue;
            }
            if length == 0 {
                return Array::invalid(format!(
                    "axis {axis} of an array of shape {:?} is empty and can only be padded with a \
                     constant",
                    self.shape()
                ));
            }
            if let Some(line) = array.line(mode, axis) {
                array = around(&spread(&line, before), &spread(&line, after));
                continue;
            }
            if let Pad::LinearRamp(end) = mode {
                let (head, tail) = (array.ramp(axis, before, end), {
                    array.flip(axis).ramp(axis, after, end).flip(axis)
                });
                array = around(&head, &tail);
                continue;
            }
            let place = |at: isize| -> i64 {
                let n = length as isize;
                (match mode {
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
                    // the others do not come from places
                    _ => at.clamp(0, n - 1),
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

    /// What a mode pads with that is one element a line, with the axis kept.
    #[track_caller]
    fn line(&self, mode: Pad<T>, axis: usize) -> Option<Array<T>> {
        // integers are rounded, halves to even
        let whole = |line: Array<Real<T>>| -> Array<T> {
            let kernel = unary("pad", |x: Real<T>| match T::DTYPE.is_float() {
                true => x.cast::<T>(),
                false => x.cast::<f64>().round_ties_even().cast(),
            });
            Array::apply(kernel, &[&line.node])
        };
        Some(match mode {
            Pad::Maximum => self.max(keep(axis)),
            Pad::Minimum => self.min(keep(axis)),
            Pad::Mean => whole(self.mean(keep(axis))),
            Pad::Median => whole(self.median(keep(axis))),
            _ => return None,
        })
    }

    /// `width` elements before the first of an axis, in equal steps from a value.
    #[track_caller]
    fn ramp(&self, axis: usize, width: usize, from: T) -> Array<T> {
        let mut shape = vec![1; self.ndim()];
        shape[axis] = width;
        let steps = Array::arange(0i64, width as i64, 1).reshape(&shape);
        let edge = self.range(axis, 0..1);
        let kernel = binary("pad", move |step: i64, edge: T| {
            let (from, edge) = (from.cast::<f64>(), edge.cast::<f64>());
            let value = (edge - from) / width as f64 * step as f64 + from;
            match T::DTYPE.is_float() {
                true => value.cast::<T>(),
                false => value.floor().cast(),
            }
        });
        Array::apply(kernel.users(), &[&steps.node, &edge.node])
    }
}
