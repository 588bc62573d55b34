//! The Euclidean norm.

use super::axes::IntoAxes;
use super::statistics::promoted;
use crate::elements::element::Element;
use crate::elements::promote::Real;
use crate::expr::array::Array;
use crate::kernels::norm::Euclidean;

impl<T: Element> Array<T> {
    /// The Euclidean norms along axes: over `..` the Frobenius norm. Of integers and booleans they are
    /// `f64`. Squares are summed in double precision, and scaled where they would be too large or too
    /// small for it: a norm that is a number of its type is that number, where NumPy, which squares in
    /// the type itself, has infinity or nought.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use ndarray::arr1;
    ///
    /// let far = Array::from_ndarray(arr1(&[3e30f32, 4e30]).into_dyn());
    /// assert_eq!(far.norm(0).compute_with(&SerialExecutor)?[[]], 5e30);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn norm(&self, axes: impl IntoAxes) -> Array<Real<T>> {
        promoted::<T, Real<T>>(self).fold(axes, Euclidean::new())
    }
}
