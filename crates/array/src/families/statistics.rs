//! Weighted means, covariances and correlations.

use std::sync::Arc;

use super::axes::keep;
use crate::elements::element::{Element, Float};
use crate::elements::promote::{Promote, Real};
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::kernels::map::unary;

impl<T: Element> Array<T> {
    /// The means along an axis, weighted; the weights are broadcast, or, one-dimensional, those of
    /// the places along the axis. They may be of another element type; integers and booleans are
    /// computed in `f64`.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::arr1;
    ///
    /// let marks = Array::from_ndarray(arr1(&[1i32, 2, 6]).into_dyn());
    /// let weights = Array::from_ndarray(arr1(&[0.5, 0.25, 0.25]).into_dyn());
    /// assert_eq!(marks.average(&weights, 0).compute_with(&SerialExecutor)?[[]], 2.5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn average<W: Element>(
        &self,
        weights: &Array<W>,
        axis: isize,
    ) -> Array<<T as Promote<W>>::Quotient>
    where
        T: Promote<W>,
    {
        let (own, weights) = (promoted(self), promoted(weights));
        weighted_mean::<<T as Promote<W>>::Quotient>(&own, &weights, axis)
    }

    /// The covariances of the rows, each a variable with one observation a column; the sums are
    /// divided by the number of observations less `ddof`. Those of integers and booleans are
    /// computed in `f64`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]);
    /// assert_eq!(x.cov(1).compute_with(&SerialExecutor)?, array![[1.0, -1.0], [-1.0, 1.0]].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn cov(&self, ddof: usize) -> Array<Real<T>> {
        defer!(self; |array| array.cov(ddof));
        let &[_, observations] = self.shape() else {
            return Array::invalid(format!(
                "covariances are of the rows of a matrix, not of an array of shape {:?}",
                self.shape()
            ));
        };
        let values = promoted::<T, Real<T>>(self);
        let means: Array<Real<T>> = values.mean(keep(1));
        let centred: Array<Real<T>> = &values - means;
        let count = <Real<T>>::from_count(observations.saturating_sub(ddof));
        centred.dot(&centred.t()) / count
    }

    /// The correlations of the rows; see [`Array::cov`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![[1.0, 2.0, 3.0], [9.0, 6.0, 3.0]]);
    /// let correlation: f64 = x.corrcoef().compute_with(&SerialExecutor)?[[0, 1]];
    /// assert!((correlation + 1.0).abs() < 1e-12);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(&self) -> Array<Real<T>> {
        defer!(self; |array| array.corrcoef());
        let covariances = self.cov(0);
        if covariances.is_shapeless() {
            return covariances;
        }
        let kernel = unary("root", |x: Real<T>| x.map_f64(f64::sqrt));
        let deviations: Array<Real<T>> = Array::apply(kernel, &[&covariances.diag(0).node]);
        let of_rows: Array<Real<T>> = &covariances / deviations.expand_dims(1);
        of_rows / deviations.expand_dims(0)
    }
}

/// The elements in the type that they are computed in.
#[track_caller]
pub(super) fn promoted<T: Element, U: Element>(array: &Array<T>) -> Array<U> {
    match T::DTYPE == U::DTYPE {
        true => Array::of_node(Arc::clone(&array.node)),
        false => array.astype(),
    }
}

#[track_caller]
fn weighted_mean<T: Float>(array: &Array<T>, weights: &Array<T>, axis: isize) -> Array<T> {
    if array.is_shapeless() || weights.is_shapeless() {
        return Array::after_all(&[array, weights], move |both| {
            weighted_mean(both[0], both[1], axis)
        });
    }
    let weights = match (array.axis(axis), weights.shape()) {
        (Ok(axis), &[length]) if array.shape()[axis] == length => {
            let mut shape = vec![1; array.ndim()];
            shape[axis] = length;
            weights.reshape(&shape)
        }
        _ => weights.clone(),
    };
    let weights = weights.broadcast_to(array.shape());
    (array * &weights).sum(axis) / weights.sum(axis)
}
