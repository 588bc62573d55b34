//! Arrays from nothing: constants, ramps, grids, functions; from memory.
//!
//! None holds its elements: each is made when and where it is needed.

use std::sync::Arc;

use ndarray::{ArrayBase, Data, Dimension};

use crate::elements::constant::Constant;
use crate::elements::element::{Element, Float};
use crate::expr::array::Array;
use crate::expr::deferred::early;
use crate::expr::node::Op;
use crate::expr::source::memory::InMemory;
use crate::expr::view::View;
use crate::grid::shape::check_shape;

impl<T: Element> Array<T> {
    /// Wraps an array in memory, without a copy where the caller gives it away.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.shape(), [2, 2]);
    /// ```
    #[track_caller]
    pub fn from_ndarray<S, D>(array: ArrayBase<S, D>) -> Self
    where
        S: Data<Elem = T> + ndarray::DataOwned,
        D: Dimension,
        ndarray::ArcArray<T, D>: From<ArrayBase<S, D>>,
    {
        let shared = ndarray::ArcArray::from(array).into_dyn();
        let shape = shared.shape().to_vec();
        Array::make(shape, Op::Source(Arc::new(InMemory(shared))))
    }

    /// An array whose elements follow from their indices. The function must be pure: it may be
    /// called more than once for an element.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_fn(&[2, 3], |index| (10 * index[0] + index[1]) as i64);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![[0, 1, 2], [10, 11, 12]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn from_fn(
        shape: &[usize],
        function: impl Fn(&[usize]) -> T + Send + Sync + 'static,
    ) -> Self {
        Array::function("from-fn", shape, function, None)
    }

    /// An array of one value. Holds no data, however large it is.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::full(&[1_000_000, 1_000_000], 2.5f32);
    /// assert_eq!(x.slice(ndarray::s![0, ..2]).compute_with(&SerialExecutor)?, array![2.5, 2.5].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn full(shape: &[usize], value: T) -> Self {
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        Array::make(shape.to_vec(), Op::Constant(Constant::new(value)))
    }

    /// An array of zeros (of `false` for booleans).
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::zeros(&[2]).compute_with(&SerialExecutor)?, array![0, 0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn zeros(shape: &[usize]) -> Self {
        Array::full(shape, T::ZERO)
    }

    /// An array of ones (of `true` for booleans).
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<f64>::ones(&[2]).compute_with(&SerialExecutor)?, array![1.0, 1.0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn ones(shape: &[usize]) -> Self {
        Array::full(shape, T::ONE)
    }

    /// One value, in the shape of this array.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.full_like(0.5).compute_with(&SerialExecutor)?, array![0.5, 0.5].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn full_like<U: Element>(&self, value: U) -> Array<U> {
        early!(self; |array| array.full_like(value));
        Array::full(self.shape(), value)
    }

    /// Zeros in the shape and type of this array.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.zeros_like().compute_with(&SerialExecutor)?, array![0, 0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn zeros_like(&self) -> Self {
        self.full_like(T::ZERO)
    }

    /// Ones in the shape and type of this array.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3, 2]);
    /// assert_eq!(x.ones_like().compute_with(&SerialExecutor)?, array![1, 1].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn ones_like(&self) -> Self {
        self.full_like(T::ONE)
    }

    /// A single value with no axes, which broadcasts against everything.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!((&x * &Array::scalar(10)).compute_with(&SerialExecutor)?, array![10, 20].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn scalar(value: T) -> Self {
        Array::make(Vec::new(), Op::Constant(Constant::new(value)))
    }

    /// The values from `start` up to, but not including, `stop` in steps of `step`, as NumPy's
    /// `arange`: `ceil((stop - start) / step)` elements, each computed as `start + i * step`.
    ///
    /// ```
    /// use flagstone_array::Array;
    ///
    /// assert_eq!(Array::arange(0.0, 1.0, 0.25).shape(), [4]);
    /// assert_eq!(Array::arange(10i64, 0, -3).shape(), [4]);
    /// ```
    ///
    /// A step of zero, or more elements than can be counted, is a mistake.
    #[track_caller]
    pub fn arange(start: T, stop: T, step: T) -> Self {
        let wide = |value: T| match value.widen() {
            crate::elements::element::Wide::Signed(value) => (value as i128, value as f64),
            crate::elements::element::Wide::Unsigned(value) => (value as i128, value as f64),
            crate::elements::element::Wide::Float(value) => (0, value),
        };
        let (a, b, by) = (wide(start), wide(stop), wide(step));
        let count = if T::DTYPE.is_float() {
            ((b.1 - a.1) / by.1).ceil()
        } else if by.0 == 0 {
            f64::NAN
        } else {
            let distance = b.0 - a.0;
            // integers exactly, rounded up
            let whole = distance / by.0;
            let rest = distance % by.0 != 0 && (distance < 0) == (by.0 < 0);
            (whole + i128::from(rest)) as f64
        };
        if !count.is_finite() || count >= 2f64.powi(63) {
            return Array::invalid(format!(
                "cannot count from {start} to {stop} in steps of {step}"
            ));
        }
        let token = format!("{start} {step} {}", T::DTYPE);
        Array::function(
            "arange",
            &[count.max(0.0) as usize],
            move |index| start.plus(step.times((index[0] as u64).cast())),
            Some(token),
        )
    }

    /// A diagonal of ones, `offset` places above the main one (below for negative offsets).
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::eye(2, 3, 1).compute_with(&SerialExecutor)?, array![[0, 1, 0], [0, 0, 1]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn eye(rows: usize, columns: usize, offset: isize) -> Self {
        Array::function(
            "eye",
            &[rows, columns],
            move |index| match index[1] as isize - index[0] as isize == offset {
                true => T::ONE,
                false => T::ZERO,
            },
            Some(format!("{offset} {}", T::DTYPE)),
        )
    }

    /// Ones on and below the diagonal `offset`, zeros above.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::tri(2, 3, 0).compute_with(&SerialExecutor)?, array![[1, 0, 0], [1, 1, 0]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tri(rows: usize, columns: usize, offset: isize) -> Self {
        Array::function(
            "tri",
            &[rows, columns],
            move |index| match index[1] as isize - index[0] as isize <= offset {
                true => T::ONE,
                false => T::ZERO,
            },
            Some(format!("{offset} {}", T::DTYPE)),
        )
    }

    /// A square array of zeros with ones on the diagonal.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::<i32>::identity(2).compute_with(&SerialExecutor)?, array![[1, 0], [0, 1]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn identity(length: usize) -> Self {
        Array::eye(length, length, 0)
    }

    /// The elements of the last two axes on and below the diagonal `offset`; zeros above.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.tril(0).compute_with(&SerialExecutor)?, array![[1, 0], [3, 4]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self, offset: isize) -> Self {
        early!(self; |array| array.tril(offset));
        self.triangle(move |row, column| column - row <= offset)
    }

    /// The elements of the last two axes on and above the diagonal `offset`; zeros below.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.triu(0).compute_with(&SerialExecutor)?, array![[1, 2], [0, 4]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn triu(&self, offset: isize) -> Self {
        early!(self; |array| array.triu(offset));
        self.triangle(move |row, column| column - row >= offset)
    }

    #[track_caller]
    fn triangle(&self, inside: impl Fn(isize, isize) -> bool + Send + Sync + 'static) -> Self {
        let [.., rows, columns] = *self.shape() else {
            return Array::invalid(format!(
                "an array of shape {:?} has no triangle: it needs two axes",
                self.shape()
            ));
        };
        let mask = Array::from_fn(&[rows, columns], move |index| {
            inside(index[0] as isize, index[1] as isize)
        });
        mask.select(self, &Array::scalar(T::ZERO))
    }

    /// The diagonal `offset` of the last two axes (above the main one for positive offsets) as the
    /// last axis of the result; of a one-dimensional array the matrix with that diagonal.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.diag(0).compute_with(&SerialExecutor)?, array![1, 4].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self, offset: isize) -> Self {
        early!(self; |array| array.diag(offset));
        let up = offset.unsigned_abs();
        if let [length] = *self.shape() {
            let edge = length + up;
            let (row, column) = if offset >= 0 { (0, up) } else { (up, 0) };
            let node = self.clone();
            let zero = Array::zeros(&[edge, edge]);
            // element (i, j) of the matrix is element i - row, where j - column is the same
            let spread = node
                .pad_zeros(0, row, edge - row - length)
                .expand_dims(1)
                .broadcast_to(&[edge, edge]);
            let place = Array::eye(edge, edge, column as isize - row as isize);
            return place.select(&spread, &zero);
        }
        let [.., rows, columns] = *self.shape() else {
            return Array::invalid("an array without axes has no diagonal");
        };
        let (row, column) = if offset >= 0 { (0, up) } else { (up, 0) };
        let length = rows.saturating_sub(row).min(columns.saturating_sub(column));
        let outer = self.ndim() - 2;
        let mut view = View::identity(&self.shape()[..outer]);
        for start in [row, column] {
            view.0.push(crate::expr::view::AxisView::Of {
                out: outer,
                along: crate::grid::along::Along::range(start..start + length),
            });
        }
        let mut shape = self.shape()[..outer].to_vec();
        shape.push(length);
        self.viewed(shape, view)
    }
}

impl<T: Float> Array<T> {
    /// `count` values evenly spaced from `start` to `stop`, both included: each is
    /// `start + i * ((stop - start) / (count - 1))`, and the last is `stop` itself.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// assert_eq!(Array::linspace(0.0, 1.0, 3).compute_with(&SerialExecutor)?, array![0.0, 0.5, 1.0].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn linspace(start: T, stop: T, count: usize) -> Self {
        let step = stop
            .minus(start)
            .over(T::from_count(count.saturating_sub(1).max(1)));
        let token = format!("{start} {stop} {count} {}", T::DTYPE);
        Array::function(
            "linspace",
            &[count],
            move |index| match index[0] + 1 == count && count > 1 {
                true => stop,
                false => start.plus(step.times(T::from_count(index[0]))),
            },
            Some(token),
        )
    }
}

impl Array<i64> {
    /// The index along each axis, for every element of an array of `shape`: one array an axis.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let places = Array::indices(&[2, 2]);
    /// assert_eq!(places[1].compute_with(&SerialExecutor)?, array![[0, 1], [0, 1]].into_dyn());
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn indices(shape: &[usize]) -> Vec<Array<i64>> {
        let along = |axis: usize| {
            Array::function(
                "indices",
                shape,
                move |index| index[axis] as i64,
                Some(axis.to_string()),
            )
        };
        (0..shape.len()).map(along).collect()
    }
}

/// One-dimensional arrays as the axes of a grid: each is broadcast to the shape of all, in the
/// order of NumPy's `indexing="ij"`.
///
/// ```
/// use flagstone_array::{Array, meshgrid};
///
/// let grid = meshgrid(&[&Array::arange(0, 3, 1), &Array::arange(0, 5, 1)]);
/// assert_eq!(grid[1].shape(), [3, 5]);
/// ```
///
/// An array with more or fewer axes than one is a mistake.
#[track_caller]
pub fn meshgrid<T: Element>(axes: &[&Array<T>]) -> Vec<Array<T>> {
    let places: Vec<usize> = (0..axes.len()).collect();
    grid_of(axes, &places)
}

/// The same in the order of NumPy's `indexing="xy"`: the first array goes along the columns, the
/// second along the rows.
///
/// ```
/// use flagstone_array::{Array, meshgrid_xy};
///
/// let grid = meshgrid_xy(&[&Array::arange(0, 3, 1), &Array::arange(0, 5, 1)]);
/// assert_eq!(grid[0].shape(), [5, 3]);
/// ```
#[track_caller]
pub fn meshgrid_xy<T: Element>(axes: &[&Array<T>]) -> Vec<Array<T>> {
    let mut places: Vec<usize> = (0..axes.len()).collect();
    if axes.len() > 1 {
        places.swap(0, 1);
    }
    grid_of(axes, &places)
}

/// Arrays spread over a grid, each along its own axis.
#[track_caller]
fn grid_of<T: Element>(axes: &[&Array<T>], places: &[usize]) -> Vec<Array<T>> {
    if axes.iter().any(|axis| axis.is_early()) {
        let later = |at: usize| {
            let places = places.to_vec();
            Array::after_all(axes, move |axes| grid_of(axes, &places).swap_remove(at))
        };
        return (0..axes.len()).map(later).collect();
    }
    let mut shape = vec![1; axes.len()];
    for (axis, &place) in axes.iter().zip(places) {
        shape[place] = axis.len();
    }
    let spread = |(axis, &place): (&&Array<T>, &usize)| {
        if axis.ndim() != 1 {
            return Array::invalid(format!(
                "an axis of a grid is one-dimensional, but has the shape {:?}",
                axis.shape()
            ));
        }
        let mut lengths = vec![1; shape.len()];
        lengths[place] = axis.len();
        axis.reshape(&lengths).broadcast_to(&shape)
    };
    axes.iter().zip(places).map(spread).collect()
}
