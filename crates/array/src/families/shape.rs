//! Shapes: axes in another order, added, dropped, broadcast; arrays put together.
//!
//! Views cost nothing. A concatenation reads only the parts it is asked for.

use std::sync::Arc;

use super::axes::IntoAxes;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::early;
use crate::expr::node::Op;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;
use crate::grid::shape::check_shape;

impl<T: Element> Array<T> {
    /// The array with its axes reversed. Never materialised: readers and products take strides.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.t().compute_with(&SerialExecutor)?, array![[1, 3], [2, 4]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn t(&self) -> Self {
        early!(self; |array| array.t());
        let axes: Vec<usize> = (0..self.ndim()).rev().collect();
        self.permuted(&axes)
    }

    /// The array with its axes in the given order: axis `i` of the result is axis `axes[i]`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3, 4]);
    /// assert_eq!(x.permuted(&[2, 0, 1]).shape(), [4, 2, 3]);
    /// ```
    #[track_caller]
    pub fn permuted(&self, axes: &[usize]) -> Self {
        early!(self, axes = axes.to_vec(); |array| array.permuted(&axes));
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted != (0..self.ndim()).collect::<Vec<_>>() {
            return Array::invalid(format!(
                "cannot order the axes of an array of shape {:?} as {axes:?}: name each of 0..{} once",
                self.shape(),
                self.ndim()
            ));
        }
        let shape = axes.iter().map(|&axis| self.shape()[axis]).collect();
        self.viewed(shape, View::permuted(self.shape(), axes))
    }

    /// The array with its axes in the given order: axis `i` of the result is axis `axes[i]`. NumPy's name
    /// of [`Array::permuted`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3, 4]);
    /// assert_eq!(x.transpose(&[2, 0, 1]).shape(), [4, 2, 3]);
    /// ```
    #[track_caller]
    pub fn transpose(&self, axes: &[usize]) -> Self {
        self.permuted(axes)
    }

    /// The array with two axes exchanged. Negative axes count from the end.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3, 4]);
    /// assert_eq!(x.swapaxes(0, -1).shape(), [4, 3, 2]);
    /// ```
    #[track_caller]
    pub fn swapaxes(&self, first: isize, second: isize) -> Self {
        early!(self; |array| array.swapaxes(first, second));
        match (self.axis(first), self.axis(second)) {
            (Ok(first), Ok(second)) => {
                let mut axes: Vec<usize> = (0..self.ndim()).collect();
                axes.swap(first, second);
                self.permuted(&axes)
            }
            (Err(message), _) | (_, Err(message)) => Array::invalid(message),
        }
    }

    /// The array with one axis moved to another place, the others in order.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3, 4]);
    /// assert_eq!(x.moveaxis(0, -1).shape(), [3, 4, 2]);
    /// ```
    #[track_caller]
    pub fn moveaxis(&self, from: isize, to: isize) -> Self {
        early!(self; |array| array.moveaxis(from, to));
        match (self.axis(from), self.axis(to)) {
            (Ok(from), Ok(to)) => {
                let mut axes: Vec<usize> = (0..self.ndim()).collect();
                let axis = axes.remove(from);
                axes.insert(to, axis);
                self.permuted(&axes)
            }
            (Err(message), _) | (_, Err(message)) => Array::invalid(message),
        }
    }

    /// The array with a new axis of length 1 before axis `at`; `-1` puts it last.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3]);
    /// assert_eq!(x.expand_dims(-1).shape(), [2, 3, 1]);
    /// ```
    #[track_caller]
    pub fn expand_dims(&self, at: isize) -> Self {
        early!(self; |array| array.expand_dims(at));
        let ndim = self.ndim() as isize;
        let at = if at < 0 { at + ndim + 1 } else { at };
        if !(0..=ndim).contains(&at) {
            return Array::invalid(format!(
                "an array of shape {:?} has no place {at} for an axis",
                self.shape()
            ));
        }
        let mut shape = self.shape().to_vec();
        shape.insert(at as usize, 1);
        let mut view = View::identity(self.shape());
        for axis in &mut view.0[at as usize..] {
            if let AxisView::Of { out, .. } = axis {
                *out += 1;
            }
        }
        self.viewed(shape, view)
    }

    /// The array without some axes, which must have length 1.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[1, 3, 1]);
    /// assert_eq!(x.squeeze(0).shape(), [3, 1]);
    /// ```
    #[track_caller]
    pub fn squeeze(&self, axes: impl IntoAxes) -> Self {
        let axes = axes.into_axes();
        early!(self; |array| array.squeeze(axes.clone()));
        let axes = match axes.resolve(self.shape()) {
            Ok((axes, _)) => axes,
            Err(message) => return Array::invalid(message),
        };
        if let Some(axis) = axes.iter().find(|&&axis| self.shape()[axis] != 1) {
            return Array::invalid(format!(
                "axis {axis} of an array of shape {:?} cannot be dropped: its length is not 1",
                self.shape()
            ));
        }
        let mut shape = self.shape().to_vec();
        axes.iter().rev().for_each(|&axis| _ = shape.remove(axis));
        let mut view = View::identity(&shape);
        axes.iter()
            .for_each(|&axis| view.0.insert(axis, AxisView::Fixed(0)));
        self.viewed(shape, view)
    }

    /// The array without all its axes of length 1.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[1, 3, 1]);
    /// assert_eq!(x.squeeze_all().shape(), [3]);
    /// ```
    #[track_caller]
    pub fn squeeze_all(&self) -> Self {
        early!(self; |array| array.squeeze_all());
        let ones = (0..self.ndim())
            .rev()
            .filter(|&axis| self.shape()[axis] == 1);
        ones.fold(self.clone(), |array, axis| array.squeeze(axis as isize))
    }

    /// The array repeated along axes of length 1, and along new ones in front, to fill a shape.
    /// Holds no copies.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.broadcast_to(&[2, 2]).compute_with(&SerialExecutor)?, array![[1, 2], [1, 2]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Self {
        early!(self, shape = shape.to_vec(); |array| array.broadcast_to(&shape));
        let skip = shape.len().checked_sub(self.ndim());
        let fits = skip.is_some_and(|skip| {
            let pairs = self.shape().iter().zip(&shape[skip..]);
            pairs
                .into_iter()
                .all(|(&from, &to)| from == to || from == 1)
        });
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        if !fits {
            return Array::invalid(format!(
                "cannot broadcast an array of shape {:?} to {shape:?}",
                self.shape()
            ));
        }
        let view = View::identity(shape).broadcast(self.shape(), shape);
        self.viewed(shape.to_vec(), view)
    }

    /// The array with the order of some axes reversed.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.flip(1).compute_with(&SerialExecutor)?, array![[2, 1], [4, 3]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn flip(&self, axes: impl IntoAxes) -> Self {
        let axes = axes.into_axes();
        early!(self; |array| array.flip(axes.clone()));
        let axes = match axes.resolve(self.shape()) {
            Ok((axes, _)) => axes,
            Err(message) => return Array::invalid(message),
        };
        let mut view = View::identity(self.shape());
        for axis in axes {
            let length = self.shape()[axis];
            let along = Along::Span {
                start: length.saturating_sub(1),
                step: -1,
                count: length,
            };
            view.0[axis] = AxisView::Of { out: axis, along };
        }
        self.viewed(self.shape().to_vec(), view)
    }

    /// The array turned by a right angle `times` times, from the first axis of `axes` towards the
    /// second.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.rot90(1, (0, 1)).compute_with(&SerialExecutor)?, array![[2, 4], [1, 3]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn rot90(&self, times: isize, axes: (isize, isize)) -> Self {
        early!(self; |array| array.rot90(times, axes));
        match times.rem_euclid(4) {
            1 => self.flip(axes.1).swapaxes(axes.0, axes.1),
            2 => self.flip(axes.0).flip(axes.1),
            3 => self.swapaxes(axes.0, axes.1).flip(axes.1),
            _ => self.clone(),
        }
    }

    /// The same elements in C order under another shape. A shape with another number of elements
    /// is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::<i64>::arange(0, 6, 1);
    /// assert_eq!(x.reshape(&[2, 3]).compute_with(&SerialExecutor)?, array![[0, 1, 2], [3, 4, 5]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        early!(self, shape = shape.to_vec(); |array| array.reshape(&shape));
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
        early!(self, shape = shape.to_vec(); |array| array.reshape_to(&shape));
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
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn ravel(&self) -> Self {
        early!(self; |array| array.ravel());
        self.reshape(&[self.len()])
    }

    /// Arrays one after the other along an axis. Their other axes must have equal lengths.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(Array::concatenate(&[&x, &x], 0).compute_with(&SerialExecutor)?, array![1, 2, 1, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn concatenate(arrays: &[&Array<T>], axis: isize) -> Self {
        if arrays.iter().any(|array| array.is_early()) {
            return Array::after_all(arrays, move |arrays| Array::concatenate(arrays, axis));
        }
        let Some(first) = arrays.first() else {
            return Array::invalid("cannot concatenate no arrays");
        };
        let axis = match first.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let without = |array: &Array<T>| {
            let mut shape = array.shape().to_vec();
            if axis < shape.len() {
                shape.remove(axis);
            }
            shape
        };
        if let Some(other) = arrays
            .iter()
            .find(|array| array.ndim() != first.ndim() || without(array) != without(first))
        {
            return Array::invalid(format!(
                "cannot concatenate arrays of shapes {:?} and {:?} along axis {axis}: all other \
                 lengths must be equal",
                first.shape(),
                other.shape()
            ));
        }
        let mut shape = first.shape().to_vec();
        shape[axis] = arrays.iter().map(|array| array.shape()[axis]).sum();
        if let Err(message) = check_shape(&shape) {
            return Array::invalid(message);
        }
        // a concatenation inside is taken apart, so that appending in a loop does not nest
        let mut parts = Vec::with_capacity(arrays.len());
        for array in arrays {
            match &array.node.op {
                _ if array.shape()[axis] == 0 && !array.node.is_checked_when_run() => {}
                Op::Concat {
                    parts: inner,
                    axis: same,
                } if *same == axis && inner.len() < 64 => parts.extend(inner.iter().cloned()),
                _ => parts.push(Arc::clone(&array.node)),
            }
        }
        match &parts[..] {
            [] => Array::zeros(&shape),
            _ => Array::make(shape, Op::Concat { parts, axis }),
        }
    }

    /// Arrays of one shape along a new axis at place `axis`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(Array::stack(&[&x, &x], 0).compute_with(&SerialExecutor)?, array![[1, 2], [1, 2]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn stack(arrays: &[&Array<T>], axis: isize) -> Self {
        if arrays.iter().any(|array| array.is_early()) {
            return Array::after_all(arrays, move |arrays| Array::stack(arrays, axis));
        }
        let spread: Vec<Array<T>> = arrays.iter().map(|array| array.expand_dims(axis)).collect();
        let ndim = spread.first().map_or(0, Array::ndim) as isize;
        let axis = if axis < 0 { axis + ndim } else { axis };
        Array::concatenate(&spread.iter().collect::<Vec<_>>(), axis)
    }

    /// This array with another after it along an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// let y = Array::from_ndarray(array![3]);
    /// assert_eq!(x.append(&y, 0).compute_with(&SerialExecutor)?, array![1, 2, 3].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn append(&self, other: &Array<T>, axis: isize) -> Self {
        Array::concatenate(&[self, other], axis)
    }

    /// A matrix put together from a grid of matrices: rows of blocks.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let (zero, one) = (Array::<i32>::zeros(&[1, 1]), Array::<i32>::ones(&[1, 1]));
    /// let x = Array::block(&[&[&one, &zero], &[&zero, &one]]);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![[1, 0], [0, 1]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn block(rows: &[&[&Array<T>]]) -> Self {
        let rows: Vec<Array<T>> = rows.iter().map(|row| Array::concatenate(row, -1)).collect();
        Array::concatenate(&rows.iter().collect::<Vec<_>>(), -2)
    }

    /// The array repeated whole, `times[i]` times along axis `i`; more counts than axes add axes in
    /// front.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.tile(&[2, 2]).compute_with(&SerialExecutor)?, array![[1, 2, 1, 2], [1, 2, 1, 2]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, times: &[usize]) -> Self {
        early!(self, times = times.to_vec(); |array| array.tile(&times));
        let mut array = self.clone();
        while array.ndim() < times.len() {
            array = array.expand_dims(0);
        }
        let skip = array.ndim() - times.len().min(array.ndim());
        for (i, &times) in times.iter().enumerate() {
            let axis = skip + i;
            // an axis of repeats before the axis, then both as one
            let mut spread = array.shape().to_vec();
            spread.insert(axis, times);
            let mut shape = array.shape().to_vec();
            shape[axis] *= times;
            if times != 1 {
                array = array
                    .expand_dims(axis as isize)
                    .broadcast_to(&spread)
                    .reshape(&shape);
            }
        }
        array
    }

    /// The array with every element repeated `times` times along an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.repeat(2, 0).compute_with(&SerialExecutor)?, array![1, 1, 2, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, times: usize, axis: isize) -> Self {
        early!(self; |array| array.repeat(times, axis));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let mut spread = self.shape().to_vec();
        spread.insert(axis + 1, times);
        let mut shape = self.shape().to_vec();
        shape[axis] *= times;
        self.expand_dims(axis as isize + 1)
            .broadcast_to(&spread)
            .reshape(&shape)
    }

    /// The array with the element at place `i` of an axis repeated `times[i]` times.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.repeat_each(&[1, 3], 0).compute_with(&SerialExecutor)?, array![1, 2, 2, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat_each(&self, times: &[usize], axis: isize) -> Self {
        early!(self, times = times.to_vec(); |array| array.repeat_each(&times, axis));
        match self.axis(axis) {
            Ok(at) if self.shape()[at] == times.len() => {
                let repeated = (0i64..).zip(times);
                let places: Vec<i64> = repeated
                    .flat_map(|(place, &times)| std::iter::repeat_n(place, times))
                    .collect();
                self.take(&places, axis)
            }
            Ok(at) => Array::invalid(format!(
                "{} numbers of repeats do not fit axis {at} of an array of shape {:?}",
                times.len(),
                self.shape()
            )),
            Err(message) => Array::invalid(message),
        }
    }

    /// The array shifted along several axes, each by its own distance.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.roll_axes(&[1, 1], &[0, 1]).compute_with(&SerialExecutor)?, array![[4, 3], [2, 1]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn roll_axes(&self, by: &[isize], axes: &[isize]) -> Self {
        if by.len() != axes.len() {
            return Array::invalid(format!(
                "an array cannot be shifted by {} distances along {} axes",
                by.len(),
                axes.len()
            ));
        }
        let pairs = by.iter().zip(axes);
        pairs.fold(self.clone(), |array, (&by, &axis)| array.roll(by, axis))
    }

    /// The array shifted along an axis; what leaves at the end comes back at the start.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.roll(1, 0).compute_with(&SerialExecutor)?, array![3, 1, 2].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, by: isize, axis: isize) -> Self {
        early!(self; |array| array.roll(by, axis));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let length = self.shape()[axis];
        if length == 0 {
            return self.clone();
        }
        let cut = length - by.rem_euclid(length as isize) as usize;
        let (head, tail) = (self.range(axis, 0..cut), self.range(axis, cut..length));
        Array::concatenate(&[&tail, &head], axis as isize)
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
