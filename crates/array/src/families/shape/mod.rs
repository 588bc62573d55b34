//! Shapes: axes in another order, added, dropped, broadcast; arrays put together.
//!
//! Views cost nothing. A concatenation reads only the parts it is asked for.

pub(crate) mod axes;
pub(crate) mod join;
pub(crate) mod repeat;

use std::sync::Arc;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::node::Op;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;
use crate::grid::shape::check_shape;

impl<T: Element> Array<T> {
    /// The elements in C order under another shape. A shape with another number of elements
    /// is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::<i64>::arange(0, 6, 1);
    /// assert_eq!(x.reshape(&[2, 3]).compute_with(&SerialExecutor)?, array![[0, 1, 2], [3, 4, 5]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        defer!(self, shape = shape.to_vec(); |array| array.reshape(&shape));
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        if shape.iter().product::<usize>() != self.len() {
            return Array::invalid(format!(
                "cannot reshape an array of shape {:?} to {shape:?}: {} elements are not {}",
                self.shape(),
                self.len(),
                shape.iter().product::<usize>()
            ));
        }
        // axes of length 1 come and go for nothing
        let long = |shape: &[usize]| -> Vec<(usize, usize)> {
            let axes = shape.iter().copied().enumerate();
            axes.filter(|&(_, length)| length != 1).collect()
        };
        let (from, to) = (long(self.shape()), long(shape));
        if from
            .iter()
            .map(|axis| axis.1)
            .eq(to.iter().map(|axis| axis.1))
        {
            let mut view = View(vec![AxisView::Fixed(0); self.ndim()]);
            for ((axis, length), (out, _)) in from.into_iter().zip(to) {
                view.0[axis] = AxisView::Of {
                    out,
                    along: Along::all(length),
                };
            }
            return self.viewed(shape.to_vec(), view);
        }
        let of = match &self.node.op {
            // only the first and the last shape matter
            Op::Reshape { of } => Arc::clone(of),
            _ => Arc::clone(&self.node),
        };
        Array::make(shape.to_vec(), Op::Reshape { of })
    }

    /// The elements in C order under another shape, of which one length may be `-1`: it follows from the
    /// others.
    ///
    /// ```
    /// use flagstone_array::Array;
    ///
    /// assert_eq!(Array::<f64>::zeros(&[6, 4]).reshape_to(&[3, -1]).shape(), [3, 8]);
    /// ```
    #[track_caller]
    pub fn reshape_to(&self, shape: &[isize]) -> Self {
        defer!(self, shape = shape.to_vec(); |array| array.reshape_to(&shape));
        let unknown = shape.iter().filter(|&&length| length == -1).count();
        let known = shape.iter().filter(|&&length| length != -1);
        let known = known.map(|&length| usize::try_from(length).ok());
        let known = known.collect::<Option<Vec<usize>>>();
        let others = known.map_or(0, |known| {
            known.iter().fold(1, |a: usize, &b| a.saturating_mul(b))
        });
        let fits = unknown == 0 || others > 0 && self.len().is_multiple_of(others);
        if unknown > 1 || !fits || shape.iter().any(|&length| length < -1) {
            return Array::invalid(format!(
                "cannot reshape an array of shape {:?} to {shape:?}: one length may be -1, if the \
                 others divide {} elements",
                self.shape(),
                self.len()
            ));
        }
        let length = |&length: &isize| match length {
            -1 => self.len() / others,
            length => length as usize,
        };
        self.reshape(&shape.iter().map(length).collect::<Vec<_>>())
    }

    /// All elements in C order along one axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.t().ravel().compute_with(&SerialExecutor)?, array![1, 3, 2, 4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn ravel(&self) -> Self {
        defer!(self; |array| array.ravel());
        self.reshape(&[self.len()])
    }

    /// A range of an axis, inside its length.
    #[track_caller]
    pub(crate) fn range(&self, axis: usize, range: std::ops::Range<usize>) -> Self {
        let mut view = View::identity(self.shape());
        let mut shape = self.shape().to_vec();
        shape[axis] = range.len();
        let along = Along::range(range);
        view.0[axis] = AxisView::Of { out: axis, along };
        self.viewed(shape, view)
    }

    #[track_caller]
    pub(crate) fn pad_zeros(&self, axis: usize, before: usize, after: usize) -> Self {
        let zeros = |length: usize| {
            let mut shape = self.shape().to_vec();
            shape[axis] = length;
            Array::zeros(&shape)
        };
        Array::concatenate(&[&zeros(before), self, &zeros(after)], axis as isize)
    }
}
