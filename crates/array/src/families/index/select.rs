//! Indexing with everything that NumPy takes between brackets.
//!
//! Integers, slices, an ellipsis and new axes are *basic*; lists and arrays of booleans are
//! *advanced*. By NumPy's rules several advanced indices are broadcast against each other and pick
//! points; their axes stand where the first of them did, or in front if something basic stands
//! between them.

use super::Index;
use super::plan::plan;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

/// Points from several axes are picked from the box of all their places while it is this small.
const BOX_MAX: usize = 4096;

impl<T: Element> Array<T> {
    /// A part of the array, by NumPy's rules; see [`Index`] and [`index!`](crate::index!). Lazy,
    /// and every shape is known at once: lists and masks are in memory.
    ///
    /// Points from several axes of a large array (more than a few hundred) make the array be
    /// computed into blocks once.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// use flagstone_array::index;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4], [5, 6]]);
    /// let part = x.index(index![vec![2, 0], -1]);
    /// assert_eq!(part.compute_with(&SerialExecutor)?, array![6, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn index(&self, indices: impl IntoIterator<Item = Index>) -> Self {
        defer!(self, indices = indices.into_iter().collect::<Vec<Index>>(); |array| array.index(indices.clone()));
        let indices: Vec<Index> = indices.into_iter().collect();
        if indices.iter().any(|index| matches!(index, Index::Lazy(_))) {
            return self.index_lazily(indices);
        }
        let places = |index: &Index| matches!(index, Index::Places(_));
        if let Some(at) = indices.iter().position(places) {
            return self.index_places(indices, at);
        }
        let plan = match plan(self.shape(), indices) {
            Ok(plan) => plan,
            Err(message) => return Array::invalid(message),
        };
        let basic = self.viewed(plan.shape.clone(), plan.view.clone());
        if plan.points.is_empty() {
            return basic;
        }
        let picked = basic.points(&plan.advanced, &plan.points);
        // the points' axis is in front; it moves, and gets its shape
        let mut shape = picked.shape().to_vec();
        shape.remove(0);
        shape.splice(plan.at..plan.at, plan.points_shape.iter().copied());
        picked.moveaxis(0, plan.at as isize).reshape(&shape)
    }

    /// The elements at points: `points[i]` has the places on axis `axes[i]`. The points are the
    /// first axis of the result.
    #[track_caller]
    fn points(&self, axes: &[usize], points: &[Vec<usize>]) -> Self {
        let count = points[0].len();
        let rest: Vec<usize> = (0..self.ndim())
            .filter(|axis| !axes.contains(axis))
            .collect();
        let mut shape = vec![count];
        shape.extend(rest.iter().map(|&axis| self.shape()[axis]));
        let boxed = u32::try_from(axes.len())
            .ok()
            .and_then(|axes| count.checked_pow(axes))
            .is_some_and(|volume| volume <= BOX_MAX);
        if axes.len() == 1 || boxed {
            let mut view = View(vec![AxisView::Fixed(0); self.ndim()]);
            for (&axis, places) in axes.iter().zip(points) {
                view.0[axis] = AxisView::Of {
                    out: 0,
                    along: Along::list(places.clone()),
                };
            }
            for (i, &axis) in rest.iter().enumerate() {
                view.0[axis] = AxisView::Of {
                    out: i + 1,
                    along: Along::all(self.shape()[axis]),
                };
            }
            return self.viewed(shape, view);
        }
        // several axes as one, and one list
        let linear: Vec<usize> = (0..count)
            .map(|point| {
                let places = axes.iter().zip(points);
                places.fold(0, |at, (&axis, places)| {
                    at * self.shape()[axis] + places[point]
                })
            })
            .collect();
        // neighbours are merged where they lie: what is stored side by side stays so
        if axes.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            let (first, end) = (axes[0], axes[0] + axes.len());
            let merged = self.shape()[first..end].iter().product();
            let mut shape = self.shape().to_vec();
            shape.splice(first..end, [merged]);
            return self.reshape(&shape).points(&[first], &[linear]);
        }
        self.merged(axes).points(&[0], &[linear])
    }

    /// The array with some axes merged into one, in front of the others.
    #[track_caller]
    pub(crate) fn merged(&self, axes: &[usize]) -> Self {
        let rest: Vec<usize> = (0..self.ndim())
            .filter(|axis| !axes.contains(axis))
            .collect();
        let order: Vec<usize> = axes.iter().chain(&rest).copied().collect();
        let mut shape = vec![axes.iter().map(|&axis| self.shape()[axis]).product()];
        shape.extend(rest.iter().map(|&axis| self.shape()[axis]));
        self.transpose(&order).reshape(&shape)
    }

    /// The places of a list along an axis, in its order. Negative ones count from the end.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4], [5, 6]]);
    /// assert_eq!(x.take(&[-1, 0], 0).compute_with(&SerialExecutor)?, array![[5, 6], [1, 2]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, places: &[i64], axis: isize) -> Self {
        self.along(axis, Index::from(places))
    }

    /// The places along an axis where a mask is true.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.compress(&[true, false, true], 0).compute_with(&SerialExecutor)?, array![1, 3].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn compress(&self, mask: &[bool], axis: isize) -> Self {
        self.along(axis, Index::from(mask.to_vec()))
    }

    #[track_caller]
    fn along(&self, axis: isize, index: Index) -> Self {
        defer!(self; |array| array.along(axis, index.clone()));
        match self.axis(axis) {
            Ok(axis) => {
                let mut indices = vec![Index::from(..); axis];
                indices.push(index);
                self.index(indices)
            }
            Err(message) => Array::invalid(message),
        }
    }
}
