//! Comparisons and tests: arrays of booleans. Extremes of two.

use crate::elements::element::Element;
use crate::elements::promote::Promote;
use crate::expr::array::Array;
use crate::kernels::folds::extremes::{greater, greater_known, lesser, lesser_known};
use crate::kernels::map::{binary, unary};

macro_rules! comparisons {
    ($($name:ident $operator:tt $doc:literal;)*) => {
        impl<T: Element> Array<T> {
            $(
                #[doc = $doc]
                ///
                /// Integers are compared exactly, whatever their types; an integer beside a float
                /// is promoted first. Not-a-number equals nothing.
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<f64>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "(&x).shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name<U: Element>(&self, other: &Array<U>) -> Array<bool>
                where
                    T: Promote<U>,
                {
                    let kernel = binary(stringify!($name), |a: T, b: U| {
                        // 64-bit integers with and without a sign have no common type but floats
                        match <T as Promote<U>>::Output::DTYPE.is_float() {
                            true => match (a.widen().integer(), b.widen().integer()) {
                                (Some(a), Some(b)) => a $operator b,
                                _ => a.cast::<<T as Promote<U>>::Output>() $operator b.cast(),
                            },
                            false => a.cast::<<T as Promote<U>>::Output>() $operator b.cast(),
                        }
                    });
                    Array::apply(kernel, &[&self.node, &other.node])
                }
            )*
        }
    };
}

comparisons! {
    equal == "Where elements are equal.";
    not_equal != "Where elements differ.";
    less < "Where elements are smaller than the other's.";
    less_equal <= "Where elements are smaller than the other's, or equal.";
    greater > "Where elements are larger than the other's.";
    greater_equal >= "Where elements are larger than the other's, or equal.";
}

macro_rules! extremes {
    ($($name:ident $function:ident $doc:literal;)*) => {
        impl<T: Element> Array<T> {
            $(
                #[doc = $doc]
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<f64>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "(&x).shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name(&self, other: &Array<T>) -> Array<T> {
                    let kernel = binary(stringify!($name), $function::<T>);
                    Array::apply(kernel, &[&self.node, &other.node])
                }
            )*
        }
    };
}

extremes! {
    maximum greater "The larger of two; not-a-number if one is.";
    minimum lesser "The smaller of two; not-a-number if one is.";
    fmax greater_known "The larger of two; the other one where one is not-a-number.";
    fmin lesser_known "The smaller of two; the other one where one is not-a-number.";
}

impl<T: Element> Array<T> {
    /// Where elements are not numbers.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0]);
    /// assert_eq!(x.isnan().compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isnan(&self) -> Array<bool> {
        Array::apply(unary("isnan", T::is_not_a_number), &[&self.node])
    }

    /// Where elements are infinite.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NEG_INFINITY, 1.0]);
    /// assert_eq!(x.isinf().compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isinf(&self) -> Array<bool> {
        Array::apply(
            unary("isinf", |x: T| x.cast::<f64>().is_infinite()),
            &[&self.node],
        )
    }

    /// Where elements are neither infinite nor not-a-number.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NAN, 1.0]);
    /// assert_eq!(x.isfinite().compute_with(&SerialExecutor)?, array![false, true].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isfinite(&self) -> Array<bool> {
        Array::apply(
            unary("isfinite", |x: T| x.cast::<f64>().is_finite()),
            &[&self.node],
        )
    }

    /// Where elements are minus infinity.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NEG_INFINITY, f64::INFINITY]);
    /// assert_eq!(x.isneginf().compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isneginf(&self) -> Array<bool> {
        Array::apply(
            unary("isneginf", |x: T| x.cast::<f64>() == f64::NEG_INFINITY),
            &[&self.node],
        )
    }

    /// Where elements are plus infinity.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![f64::NEG_INFINITY, f64::INFINITY]);
    /// assert_eq!(x.isposinf().compute_with(&SerialExecutor)?, array![false, true].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isposinf(&self) -> Array<bool> {
        Array::apply(
            unary("isposinf", |x: T| x.cast::<f64>() == f64::INFINITY),
            &[&self.node],
        )
    }

    /// Where elements have a minus sign, minus zero among them.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-0.0, 0.0, -2.0]);
    /// assert_eq!(x.signbit().compute_with(&SerialExecutor)?, array![true, false, true].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn signbit(&self) -> Array<bool> {
        Array::apply(
            unary("signbit", |x: T| x.cast::<f64>().is_sign_negative()),
            &[&self.node],
        )
    }

    /// Where elements differ by at most `absolute + relative * |other|`; equal infinities are
    /// close, not-a-number is close to nothing.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 2.0]);
    /// let y = Array::from_ndarray(array![1.001, 3.0]);
    /// assert_eq!(x.isclose(&y, 0.01, 0.0).compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn isclose(&self, other: &Array<T>, relative: f64, absolute: f64) -> Array<bool> {
        let kernel = binary("isclose", move |a: T, b: T| {
            let (a, b) = (a.cast::<f64>(), b.cast::<f64>());
            a == b || ((a - b).abs() <= absolute + relative * b.abs() && b.is_finite())
        });
        // the tolerances are in the closure
        Array::apply(kernel.users(), &[&self.node, &other.node])
    }

    /// Whether all elements are close; see [`Array::isclose`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 2.0]);
    /// let y = Array::from_ndarray(array![1.001, 2.001]);
    /// assert!(x.allclose(&y, 0.01, 0.0).compute_with(&SerialExecutor)?[[]]);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn allclose(&self, other: &Array<T>, relative: f64, absolute: f64) -> Array<bool> {
        self.isclose(other, relative, absolute).all(..)
    }
}
