//! The least and the greatest along axes, and where they are.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::families::axes::IntoAxes;
use crate::kernels::fold::Fold;
use crate::kernels::folds::extremes::{Position, Simple, Spread, greater, lesser};

impl<T: Element> Array<T> {
    /// A fold that needs at least one element.
    #[track_caller]
    pub(super) fn extreme<F: Fold<In = T>>(&self, axes: impl IntoAxes, fold: F) -> Array<F::Out> {
        self.extreme_shared(axes.into_axes(), Arc::new(fold))
    }

    /// The smallest elements along axes; not-a-number if there is one. An empty axis is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [4, 2]]);
    /// assert_eq!(x.min(0).compute_with(&SerialExecutor)?, array![1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn min(&self, axes: impl IntoAxes) -> Array<T> {
        self.extreme(axes, Simple::new("min", T::HIGHEST, |x: T| x, lesser))
    }

    /// The largest elements along axes; not-a-number if there is one. An empty axis is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [4, 2]]);
    /// assert_eq!(x.max(1).compute_with(&SerialExecutor)?, array![5, 4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn max(&self, axes: impl IntoAxes) -> Array<T> {
        self.extreme(axes, Simple::new("max", T::LOWEST, |x: T| x, greater))
    }

    /// The distances of the largest elements from the smallest. An empty axis is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [4, 2]]);
    /// assert_eq!(x.ptp(..).compute_with(&SerialExecutor)?[[]], 4);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn ptp(&self, axes: impl IntoAxes) -> Array<T> {
        self.extreme(axes, Spread(PhantomData))
    }

    /// Where the smallest element along an axis is (over `..`: among all in C order): the first of
    /// equal ones, or the first that is not a number. An empty axis is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [4, 2]]);
    /// assert_eq!(x.argmin(0).compute_with(&SerialExecutor)?, array![0, 1].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn argmin(&self, axis: impl IntoAxes) -> Array<i64> {
        self.position(axis, false, false)
    }

    /// Where the largest element along an axis is (over `..`: among all in C order): the first of
    /// equal ones, or the first that is not a number. An empty axis is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [4, 2]]);
    /// assert_eq!(x.argmax(..).compute_with(&SerialExecutor)?[[]], 1);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn argmax(&self, axis: impl IntoAxes) -> Array<i64> {
        self.position(axis, true, false)
    }

    #[track_caller]
    pub(super) fn position(&self, axes: impl IntoAxes, largest: bool, skip: bool) -> Array<i64> {
        let axes = axes.into_axes();
        defer!(self; |array| array.position(axes.clone(), largest, skip));
        let (places, keep) = match axes.resolve(self.shape()) {
            Ok(resolved) => resolved,
            Err(message) => return Array::invalid(message),
        };
        let element = PhantomData;
        let fold = Position {
            largest,
            skip,
            element,
        };
        match places.len() {
            1 => self.extreme(axes, fold),
            count if count == self.ndim() => {
                let shape = vec![1; if keep { count } else { 0 }];
                self.ravel().extreme(0, fold).reshape(&shape)
            }
            _ => Array::invalid(format!(
                "places are found along one axis or all, not along {places:?} of an array of shape \
                 {:?}",
                self.shape()
            )),
        }
    }
}
