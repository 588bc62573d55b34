//! Choices between elements.

use crate::elements::element::{Element, Float};
use crate::expr::array::Array;
use crate::kernels::map::{ternary, unary};

impl<T: Element> Array<T> {
    /// The element of the first choice whose condition is true, else `default`: NumPy's `select`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 5, 9]);
    /// let (small, large) = (x.map(|x| x < 3), x.map(|x| x > 7));
    /// let y = Array::choose(&[(&small, &Array::scalar(0)), (&large, &Array::scalar(10))], &x);
    /// assert_eq!(y.compute_with(&SerialExecutor)?, array![0, 5, 10].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn choose(cases: &[(&Array<bool>, &Array<T>)], default: &Array<T>) -> Array<T> {
        let mut result = default.clone();
        for (condition, choice) in cases.iter().rev() {
            result = condition.select(choice, &result);
        }
        result
    }
}

impl Array<bool> {
    /// Where this is true the element of `yes`, elsewhere that of `no`: NumPy's `where`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-1, 5]);
    /// let y = x.map(|x| x > 0).select(&x, &Array::scalar(0));
    /// assert_eq!(y.compute_with(&SerialExecutor)?, array![0, 5].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn select<T: Element>(&self, yes: &Array<T>, no: &Array<T>) -> Array<T> {
        let kernel = ternary("select", |c: bool, a: T, b: T| if c { a } else { b });
        Array::apply(kernel, &[&self.node, &yes.node, &no.node])
    }
}

impl<T: Float> Array<T> {
    /// Not-a-number as 0, infinities as the largest and the lowest finite numbers.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, f64::INFINITY, 1.0]);
    /// assert_eq!(x.nan_to_num().compute_with(&SerialExecutor)?, array![0.0, f64::MAX, 1.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nan_to_num(&self) -> Array<T> {
        let kernel = unary("nan_to_num", |x: T| match x {
            x if x.is_not_a_number() => T::ZERO,
            x if x == T::HIGHEST => x.next(false),
            x if x == T::LOWEST => x.next(true),
            x => x,
        });
        Array::apply(kernel, &[&self.node])
    }

    /// Not-a-number as another value.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0]);
    /// assert_eq!(x.fill_nan(-1.0).compute_with(&SerialExecutor)?, array![-1.0, 1.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn fill_nan(&self, value: T) -> Array<T> {
        self.isnan().select(&Array::scalar(value), self)
    }
}
