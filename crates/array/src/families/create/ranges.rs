//! Ramps, and grids of their values or of places.

use crate::elements::element::{Element, Float};
use crate::expr::array::Array;

impl<T: Element> Array<T> {
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
            crate::elements::wide::Wide::Signed(value) => (value as i128, value as f64),
            crate::elements::wide::Wide::Unsigned(value) => (value as i128, value as f64),
            crate::elements::wide::Wide::Float(value) => (0, value),
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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

/// One-dimensional arrays as the axes of a grid, in the order of NumPy's `indexing="xy"`: the first array goes along the columns, the
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
    if axes.iter().any(|axis| axis.is_shapeless()) {
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
