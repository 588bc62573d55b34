//! Running sums and products, and differences of neighbours.

pub(crate) mod layer;

use crate::elements::element::{Element, Float};
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use layer::Running;

impl<T: Element> Array<T> {
    /// The running sums along an axis, in the order of the elements; of integers and booleans as
    /// 64-bit integers, which wrap.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.cumsum(0).compute_with(&SerialExecutor)?, array![1i64, 3, 6].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Array<T::Sum> {
        self.running("cumsum", axis, T::Sum::plus)
    }

    /// The running products along an axis, in the order of the elements.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2, 3]);
    /// assert_eq!(x.cumprod(0).compute_with(&SerialExecutor)?, array![1i64, 2, 6].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn cumprod(&self, axis: isize) -> Array<T::Sum> {
        self.running("cumprod", axis, T::Sum::times)
    }

    #[track_caller]
    fn running(
        &self,
        name: &'static str,
        axis: isize,
        combine: fn(T::Sum, T::Sum) -> T::Sum,
    ) -> Array<T::Sum> {
        defer!(self; |array| array.running(name, axis, combine));
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(message) => return Array::invalid(message),
        };
        let of: Array<T::Sum> = self.astype();
        let lower = Running {
            name,
            axis,
            combine,
        };
        Array::layer(self.shape().to_vec(), lower, vec![of.node])
    }

    /// The differences of neighbours along an axis, which loses one place.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 4, 9]);
    /// assert_eq!(x.diff(0).compute_with(&SerialExecutor)?, array![3, 5].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, axis: isize) -> Array<T> {
        defer!(self; |array| array.diff(axis));
        match self.axis(axis) {
            Ok(axis) if self.shape()[axis] > 0 => {
                let length = self.shape()[axis];
                self.range(axis, 1..length) - self.range(axis, 0..length - 1)
            }
            Ok(_) => self.clone(),
            Err(message) => Array::invalid(message),
        }
    }
}

impl<T: Float> Array<T> {
    /// The running sums along an axis, to which what is not a number adds nothing.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nancumsum(0).compute_with(&SerialExecutor)?, array![1.0, 1.0, 4.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nancumsum(&self, axis: isize) -> Array<T> {
        self.known_or(T::ZERO).cumsum(axis)
    }

    /// The running products along an axis, to which what is not a number is 1.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![2.0, f64::NAN, 3.0]);
    /// assert_eq!(x.nancumprod(0).compute_with(&SerialExecutor)?, array![2.0, 2.0, 6.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nancumprod(&self, axis: isize) -> Array<T> {
        self.known_or(T::ONE).cumprod(axis)
    }

    #[track_caller]
    fn known_or(&self, other: T) -> Array<T> {
        let known = self.isnan().logical_not();
        known.select(self, &Array::scalar(other))
    }
}
