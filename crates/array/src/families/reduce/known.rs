//! Reductions that leave out what is not a number.

use std::marker::PhantomData;

use super::moments;
use crate::elements::element::Float;
use crate::expr::array::Array;
use crate::families::axes::IntoAxes;
use crate::kernels::folds::extremes::{Simple, greater_known, lesser_known};
use crate::kernels::folds::moments::Moment;
use crate::kernels::folds::sum::KnownMean;

impl<T: Float> Array<T> {
    /// The sums of the elements that are numbers; 0 where there is none.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 2.0]);
    /// assert_eq!(x.nansum(0).compute_with(&SerialExecutor)?[[]], 3.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nansum(&self, axes: impl IntoAxes) -> Array<T> {
        let known = |x: T| if x.is_not_a_number() { T::ZERO } else { x };
        self.fold(axes, Simple::new("nansum", T::ZERO, known, T::plus))
    }

    /// The products of the elements that are numbers; 1 where there is none.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![3.0, f64::NAN, 2.0]);
    /// assert_eq!(x.nanprod(0).compute_with(&SerialExecutor)?[[]], 6.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanprod(&self, axes: impl IntoAxes) -> Array<T> {
        let known = |x: T| if x.is_not_a_number() { T::ONE } else { x };
        self.fold(axes, Simple::new("nanprod", T::ONE, known, T::times))
    }

    /// The means of the elements that are numbers; not a number where there is none.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 2.0]);
    /// assert_eq!(x.nanmean(0).compute_with(&SerialExecutor)?[[]], 1.5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanmean(&self, axes: impl IntoAxes) -> Array<T> {
        self.fold(axes, KnownMean::<T, T>(PhantomData))
    }

    /// The variances along axes of the elements that are numbers.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nanvar(0).compute_with(&SerialExecutor)?[[]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanvar(&self, axes: impl IntoAxes) -> Array<T> {
        self.nanvar_ddof(axes, 0)
    }

    /// The variances along axes of the elements that are numbers, divided by their count less `ddof`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nanvar_ddof(0, 1).compute_with(&SerialExecutor)?[[]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanvar_ddof(&self, axes: impl IntoAxes, ddof: usize) -> Array<T> {
        self.fold(axes, moments::<T, T>(Moment::Variance, ddof, true))
    }

    /// The standard deviations along axes of the elements that are numbers.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 5.0]);
    /// assert_eq!(x.nanstd(0).compute_with(&SerialExecutor)?[[]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanstd(&self, axes: impl IntoAxes) -> Array<T> {
        self.nanstd_ddof(axes, 0)
    }

    /// The standard deviations along axes of the elements that are numbers, divided by their count less `ddof`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 2.0, 3.0]);
    /// assert_eq!(x.nanstd_ddof(0, 1).compute_with(&SerialExecutor)?[[]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanstd_ddof(&self, axes: impl IntoAxes, ddof: usize) -> Array<T> {
        self.fold(axes, moments::<T, T>(Moment::Deviation, ddof, true))
    }

    /// The smallest of the elements that are numbers; not a number where there is none.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0, 5.0]);
    /// assert_eq!(x.nanmin(0).compute_with(&SerialExecutor)?[[]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanmin(&self, axes: impl IntoAxes) -> Array<T> {
        self.extreme(axes, Simple::new("nanmin", T::NAN, |x: T| x, lesser_known))
    }

    /// The largest of the elements that are numbers; not a number where there is none.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0, 5.0]);
    /// assert_eq!(x.nanmax(0).compute_with(&SerialExecutor)?[[]], 5.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanmax(&self, axes: impl IntoAxes) -> Array<T> {
        self.extreme(axes, Simple::new("nanmax", T::NAN, |x: T| x, greater_known))
    }

    /// The distances of the largest numbers from the smallest; not a number where there is none.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0, 5.0]);
    /// assert_eq!(x.nanptp(0).compute_with(&SerialExecutor)?[[]], 4.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanptp(&self, axes: impl IntoAxes) -> Array<T> {
        let axes = axes.into_axes();
        self.nanmax(axes.clone()) - self.nanmin(axes)
    }

    /// Where the smallest number along an axis is; -1 where nothing is a number.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0, 5.0]);
    /// assert_eq!(x.nanargmin(0).compute_with(&SerialExecutor)?[[]], 1);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanargmin(&self, axis: impl IntoAxes) -> Array<i64> {
        self.position(axis, false, true)
    }

    /// Where the largest number along an axis is; -1 where nothing is a number.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0, 5.0]);
    /// assert_eq!(x.nanargmax(0).compute_with(&SerialExecutor)?[[]], 2);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nanargmax(&self, axis: impl IntoAxes) -> Array<i64> {
        self.position(axis, true, true)
    }
}
