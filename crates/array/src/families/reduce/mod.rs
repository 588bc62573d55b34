//! Reductions along any axes.
//!
//! Axes are named as in [`IntoAxes`]: `0`, `-1`, `[0, 2]`, `..` for all, `keep(0)` for one that
//! stays with length 1. The order in which elements are combined follows from the shape alone.

pub(crate) mod extremes;
pub(crate) mod grids;
pub(crate) mod known;
pub(crate) mod layer;
pub(crate) mod lower;

use std::marker::PhantomData;
use std::sync::Arc;

use super::axes::{Axes, IntoAxes};
use crate::elements::element::{Element, Float};
use crate::elements::promote::Real;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::kernels::fold::Fold;
use crate::kernels::folds::extremes::Simple;
use crate::kernels::folds::moments::{Moment, Moments};
use crate::kernels::folds::sum::Sum;
use lower::Reduction;

impl<T: Element> Array<T> {
    #[track_caller]
    pub(crate) fn fold<F: Fold<In = T>>(&self, axes: impl IntoAxes, fold: F) -> Array<F::Out> {
        self.fold_shared(axes.into_axes(), Arc::new(fold))
    }

    #[track_caller]
    fn fold_shared<F: Fold<In = T>>(&self, axes: Axes, fold: Arc<F>) -> Array<F::Out> {
        defer!(self; |array| array.fold_shared(axes.clone(), Arc::clone(&fold)));
        let (axes, keep) = match axes.resolve(self.shape()) {
            Ok(resolved) => resolved,
            Err(message) => return Array::invalid(message),
        };
        if axes.is_empty() {
            // every element by itself
            return self.expand_dims(-1).fold_shared((-1).into_axes(), fold);
        }
        let mut shape = self.shape().to_vec();
        for &axis in axes.iter().rev() {
            shape.remove(axis);
        }
        let lower = Reduction {
            fold,
            lanes: axes
                .last()
                .is_some_and(|&last| self.shape()[last + 1..].iter().all(|&n| n == 1)),
            axes: axes.clone(),
        };
        let result = Array::layer(shape, lower, vec![Arc::clone(&self.node)]);
        match keep {
            true => axes
                .iter()
                .fold(result, |result, &axis| result.expand_dims(axis as isize)),
            false => result,
        }
    }

    #[track_caller]
    fn extreme_shared<F: Fold<In = T>>(&self, axes: Axes, fold: Arc<F>) -> Array<F::Out> {
        defer!(self; |array| array.extreme_shared(axes.clone(), Arc::clone(&fold)));
        if let Ok((places, _)) = axes.resolve(self.shape())
            && places.iter().any(|&axis| self.shape()[axis] == 0)
        {
            return Array::invalid(format!(
                "the {} of no elements is not defined: the shape is {:?}",
                fold.name(),
                self.shape()
            ));
        }
        self.fold_shared(axes, fold)
    }

    /// The sums along axes (`..` for all of them); of integers and booleans as 64-bit integers, which
    /// wrap.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.sum(0).compute_with(&SerialExecutor)?, array![4i64, 6].into_dyn());
    /// assert_eq!(x.sum(..).compute_with(&SerialExecutor)?[[]], 10i64);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Array<T::Sum> {
        self.fold(axes, Sum::<T, T::Sum>::new())
    }

    /// The products along axes.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.prod(1).compute_with(&SerialExecutor)?, array![2i64, 12].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn prod(&self, axes: impl IntoAxes) -> Array<T::Sum> {
        let fold = Simple::new("prod", T::Sum::ONE, T::cast, T::Sum::times);
        self.fold(axes, fold)
    }

    /// The means along axes: the sum divided by how many there are; of integers in `f64`. Not a
    /// number where there is nothing.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 2], [3, 4]]);
    /// assert_eq!(x.mean(0).compute_with(&SerialExecutor)?, array![2.0, 3.0].into_dyn());
    /// assert_eq!(x.mean(..).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn mean(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        self.fold(axes, Sum::<T, Real<T>>::mean())
    }

    /// The variances along axes, of the whole population; see [`Array::var_ddof`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 3.0]);
    /// assert_eq!(x.var(0).compute_with(&SerialExecutor)?[[]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn var(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        self.var_ddof(axes, 0)
    }

    /// The variances along axes: the squared distances from the mean, divided by the count less
    /// `ddof` (1 for an unbiased estimate from a sample). Computed in double precision by a
    /// formula that is stable far from zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 3.0]);
    /// assert_eq!(x.var_ddof(0, 1).compute_with(&SerialExecutor)?[[]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn var_ddof(&self, axes: impl IntoAxes, ddof: usize) -> Array<Real<T>> {
        self.fold(axes, moments(Moment::Variance, ddof, false))
    }

    /// The standard deviations along axes, of the whole population.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 5.0]);
    /// assert_eq!(x.std(0).compute_with(&SerialExecutor)?[[]], 2.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn std(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        self.std_ddof(axes, 0)
    }

    /// The standard deviations along axes: the roots of [`Array::var_ddof`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 3.0]);
    /// assert_eq!(x.std_ddof(0, 1).compute_with(&SerialExecutor)?[[]], 2f64.sqrt());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn std_ddof(&self, axes: impl IntoAxes, ddof: usize) -> Array<Real<T>> {
        self.fold(axes, moments(Moment::Deviation, ddof, false))
    }

    /// Whether any element along axes is not zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[0, 5], [0, 0]]);
    /// assert_eq!(x.any(1).compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn any(&self, axes: impl IntoAxes) -> Array<bool> {
        self.fold(axes, Simple::new("any", false, is_set::<T>, |a, b| a | b))
    }

    /// Whether all elements along axes are not zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [0, 2]]);
    /// assert_eq!(x.all(1).compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn all(&self, axes: impl IntoAxes) -> Array<bool> {
        self.fold(axes, Simple::new("all", true, is_set::<T>, |a, b| a & b))
    }

    /// How many elements along axes are not zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1, 5], [0, 2]]);
    /// assert_eq!(x.count_nonzero(..).compute_with(&SerialExecutor)?[[]], 3);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl IntoAxes) -> Array<i64> {
        let count = |x: T| i64::from(x != T::ZERO);
        self.fold(axes, Simple::new("count_nonzero", 0, count, |a, b| a + b))
    }
}

fn is_set<T: Element>(value: T) -> bool {
    value != T::ZERO
}

fn moments<T, R>(moment: Moment, ddof: usize, skip: bool) -> Moments<T, R> {
    Moments {
        moment,
        ddof,
        skip,
        types: PhantomData,
    }
}

/// Reductions that leave out what is not a number.
impl<T: Float> Array<T> {}
