//! Axes in another order, new ones, dropped ones, turned ones: views all.

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::view::{AxisView, View};
use crate::families::axes::IntoAxes;
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn t(&self) -> Self {
        defer!(self; |array| array.t());
        let axes: Vec<usize> = (0..self.ndim()).rev().collect();
        self.transpose(&axes)
    }

    /// The array with its axes in the given order: axis `i` of the result is axis `axes[i]`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3, 4]);
    /// assert_eq!(x.transpose(&[2, 0, 1]).shape(), [4, 2, 3]);
    /// ```
    #[track_caller]
    pub fn transpose(&self, axes: &[usize]) -> Self {
        defer!(self, axes = axes.to_vec(); |array| array.transpose(&axes));
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

    /// The array with two axes exchanged. Negative axes count from the end.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::zeros(&[2, 3, 4]);
    /// assert_eq!(x.swapaxes(0, -1).shape(), [4, 3, 2]);
    /// ```
    #[track_caller]
    pub fn swapaxes(&self, first: isize, second: isize) -> Self {
        defer!(self; |array| array.swapaxes(first, second));
        match (self.axis(first), self.axis(second)) {
            (Ok(first), Ok(second)) => {
                let mut axes: Vec<usize> = (0..self.ndim()).collect();
                axes.swap(first, second);
                self.transpose(&axes)
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
        defer!(self; |array| array.moveaxis(from, to));
        match (self.axis(from), self.axis(to)) {
            (Ok(from), Ok(to)) => {
                let mut axes: Vec<usize> = (0..self.ndim()).collect();
                let axis = axes.remove(from);
                axes.insert(to, axis);
                self.transpose(&axes)
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
        defer!(self; |array| array.expand_dims(at));
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
        defer!(self; |array| array.squeeze(axes.clone()));
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
        defer!(self; |array| array.squeeze_all());
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Self {
        defer!(self, shape = shape.to_vec(); |array| array.broadcast_to(&shape));
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn flip(&self, axes: impl IntoAxes) -> Self {
        let axes = axes.into_axes();
        defer!(self; |array| array.flip(axes.clone()));
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn rot90(&self, times: isize, axes: (isize, isize)) -> Self {
        defer!(self; |array| array.rot90(times, axes));
        match times.rem_euclid(4) {
            1 => self.flip(axes.1).swapaxes(axes.0, axes.1),
            2 => self.flip(axes.0).flip(axes.1),
            3 => self.swapaxes(axes.0, axes.1).flip(axes.1),
            _ => self.clone(),
        }
    }
}
