//! Arrays from nothing: constants, functions of the index, arrays in memory; ramps, grids
//! and diagonals.
//!
//! None holds its elements: each is made when and where it is needed.

pub(crate) mod diagonals;
pub(crate) mod ranges;

use std::sync::Arc;

use ndarray::{ArrayBase, Data, Dimension};

use crate::elements::constant::Constant;
use crate::elements::element::{Element, Float};
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::node::Op;
use crate::expr::source::memory::InMemory;
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn full_like<U: Element>(&self, value: U) -> Array<U> {
        defer!(self; |array| array.full_like(value));
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn scalar(value: T) -> Self {
        Array::make(Vec::new(), Op::Constant(Constant::new(value)))
    }
}

impl<T: Float> Array<T> {}

impl Array<i64> {}
