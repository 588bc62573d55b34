//! Rounding and division with remainders.

use crate::elements::element::{Element, Float, Integer};
use crate::expr::array::Array;
use crate::kernels::map::{binary, unary};

macro_rules! rounding {
    ($($(#[$doc:meta])* $name:ident $function:expr;)*) => {
        impl<T: Element> Array<T> {
            $(
                $(#[$doc])*
                /// Integers stay.
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<f64>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "().shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name(&self) -> Array<T> {
                    if !T::DTYPE.is_float() {
                        return self.clone();
                    }
                    let function: fn(f64) -> f64 = $function;
                    let kernel = unary(stringify!($name), move |x: T| {
                        function(x.cast::<f64>()).cast::<T>()
                    });
                    Array::apply(kernel, &[&self.node])
                }
            )*
        }
    };
}

rounding! {
    /// The largest whole number that is not larger.
    floor f64::floor;
    /// The smallest whole number that is not smaller.
    ceil f64::ceil;
    /// The whole number towards zero.
    trunc f64::trunc;
    /// The nearest whole number; of two the even one.
    rint f64::round_ties_even;
}

impl<T: Float> Array<T> {
    /// Each element rounded to so many decimals, halves to even, as NumPy does it: scaled by a
    /// power of ten, rounded, scaled back, each in the elements' own precision.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![2.5, 0.125]);
    /// assert_eq!(x.round(0).compute_with(&SerialExecutor)?, array![2.0, 0.0].into_dyn());
    /// assert_eq!(x.round(2).compute_with(&SerialExecutor)?, array![2.5, 0.12].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn round(&self, decimals: i32) -> Array<T> {
        let kernel = binary("round", |x: T, decimals: i32| {
            let scale = T::from_f64(10f64.powi(decimals.abs()));
            let rint = |x: T| x.map_f64(f64::round_ties_even);
            match decimals < 0 {
                true => rint(x.over(scale)).times(scale),
                false => rint(x.times(scale)).over(scale),
            }
        });
        Array::apply(kernel, &[&self.node, &Array::scalar(decimals).node])
    }

    /// The quotient, rounded down.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![7.0, -7.0]);
    /// assert_eq!(x.floor_divide(&Array::scalar(2.0)).compute_with(&SerialExecutor)?, array![3.0, -4.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn floor_divide(&self, other: &Array<T>) -> Array<T> {
        let kernel = binary("floor_divide", |x: T, y: T| {
            T::from_f64(divmod(x.to_f64(), y.to_f64()).0)
        });
        Array::apply(kernel, &[&self.node, &other.node])
    }

    /// The remainder with the sign of the divisor, as Python's.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![7.0, -7.0]);
    /// assert_eq!(x.remainder(&Array::scalar(3.0)).compute_with(&SerialExecutor)?, array![1.0, 2.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn remainder(&self, other: &Array<T>) -> Array<T> {
        let kernel = binary("remainder", |x: T, y: T| {
            T::from_f64(divmod(x.to_f64(), y.to_f64()).1)
        });
        Array::apply(kernel, &[&self.node, &other.node])
    }

    /// Quotient, rounded down, and remainder.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-7.0]);
    /// let (quotient, rest) = x.divmod(&Array::scalar(3.0));
    /// assert_eq!((quotient.compute_with(&SerialExecutor)?[[0]], rest.compute_with(&SerialExecutor)?[[0]]), (-3.0, 2.0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn divmod(&self, other: &Array<T>) -> (Array<T>, Array<T>) {
        (self.floor_divide(other), self.remainder(other))
    }
}

impl<T: Integer> Array<T> {
    /// The quotient, rounded down; 0 for a division by zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![7, -7]);
    /// assert_eq!(x.int_divide(&Array::scalar(2)).compute_with(&SerialExecutor)?, array![3, -4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn int_divide(&self, other: &Array<T>) -> Array<T> {
        Array::apply(binary("int_divide", T::over), &[&self.node, &other.node])
    }

    /// The remainder with the sign of the divisor, as Python's; 0 for a division by zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![7, -7]);
    /// assert_eq!(x.modulo(&Array::scalar(3)).compute_with(&SerialExecutor)?, array![1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn modulo(&self, other: &Array<T>) -> Array<T> {
        Array::apply(binary("modulo", T::modulo), &[&self.node, &other.node])
    }
}

impl<T: Element> Array<T> {
    /// The elements held between a lowest and a highest value; not-a-number stays.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-1, 5, 12]);
    /// assert_eq!(x.clip(0, 10).compute_with(&SerialExecutor)?, array![0, 5, 10].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn clip(&self, low: T, high: T) -> Array<T> {
        self.clip_to(&Array::scalar(low), &Array::scalar(high))
    }

    /// The elements held between those of two arrays, which are broadcast; not-a-number where one of them is.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-1, 5]);
    /// let high = Array::from_ndarray(array![3, 4]);
    /// assert_eq!(x.clip_to(&Array::scalar(0), &high).compute_with(&SerialExecutor)?, array![0, 4].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn clip_to(&self, low: &Array<T>, high: &Array<T>) -> Array<T> {
        let kernel = crate::kernels::map::ternary("clip", |x: T, low: T, high: T| {
            let raised = if x < low || low.is_not_a_number() {
                low
            } else {
                x
            };
            if raised > high || high.is_not_a_number() {
                high
            } else {
                raised
            }
        });
        Array::apply(kernel, &[&self.node, &low.node, &high.node])
    }
}

/// Quotient, rounded down, and remainder with the sign of the divisor, as Python computes them:
/// the quotient from the exact remainder, not from a rounded division.
fn divmod(x: f64, y: f64) -> (f64, f64) {
    let mut rest = x % y;
    if y == 0.0 {
        return (x / y, rest);
    }
    let mut quotient = (x - rest) / y;
    if rest != 0.0 {
        if (y < 0.0) != (rest < 0.0) {
            rest += y;
            quotient -= 1.0;
        }
    } else {
        rest = 0f64.copysign(y);
    }
    if quotient == 0.0 {
        return (0f64.copysign(x / y), rest);
    }
    let down = quotient.floor();
    match quotient - down > 0.5 {
        true => (down + 1.0, rest),
        false => (down, rest),
    }
}
