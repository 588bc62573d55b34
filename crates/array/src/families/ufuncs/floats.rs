//! Parts of floats: exponents and mantissas, neighbours.

use crate::elements::element::Float;
use crate::expr::array::Array;
use crate::kernels::map::{binary, unary};

impl<T: Float> Array<T> {
    /// The next number after each element, towards that of the other array.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0]);
    /// assert_eq!(x.nextafter(&Array::scalar(2.0)).compute_with(&SerialExecutor)?[[0]], 1.0 + f64::EPSILON);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn nextafter(&self, towards: &Array<T>) -> Array<T> {
        let kernel = binary("nextafter", |x: T, y: T| match x {
            _ if x.is_not_a_number() || y.is_not_a_number() => T::NAN,
            x if x == y => y,
            x => x.next(y > x),
        });
        Array::apply(kernel, &[&self.node, &towards.node])
    }

    /// The distance from each element to the next one away from zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0]);
    /// assert_eq!(x.spacing().compute_with(&SerialExecutor)?[[0]], f64::EPSILON);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn spacing(&self) -> Array<T> {
        let kernel = unary("spacing", |x: T| x.next(x >= T::ZERO).minus(x));
        Array::apply(kernel, &[&self.node])
    }

    /// Each element times two to the power of a whole number.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.5]);
    /// assert_eq!(x.ldexp(&Array::scalar(3)).compute_with(&SerialExecutor)?[[0]], 12.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn ldexp(&self, exponent: &Array<i32>) -> Array<T> {
        let kernel = binary("ldexp", |x: T, exponent: i32| {
            // in three steps, so that no factor overflows where the result does not
            let step = |x: f64, by: i32| x * 2f64.powi(by);
            let by = exponent.clamp(-2200, 2200);
            let third = by / 3;
            T::from_f64(step(step(step(x.to_f64(), third), third), by - 2 * third))
        });
        Array::apply(kernel, &[&self.node, &exponent.node])
    }

    /// Each element as a fraction in `[0.5, 1)` and a power of two: the two arrays.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![12.0]);
    /// let (fraction, exponent) = x.frexp();
    /// assert_eq!((fraction.compute_with(&SerialExecutor)?[[0]], exponent.compute_with(&SerialExecutor)?[[0]]), (0.75, 4));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn frexp(&self) -> (Array<T>, Array<i32>) {
        let fraction = unary("frexp-fraction", |x: T| T::from_f64(frexp(x.to_f64()).0));
        let exponent = unary("frexp-exponent", |x: T| frexp(x.to_f64()).1);
        (
            Array::apply(fraction, &[&self.node]),
            Array::apply(exponent, &[&self.node]),
        )
    }

    /// The fraction and the whole part of each element, both with its sign: two arrays.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-2.5]);
    /// let (fraction, whole) = x.modf();
    /// assert_eq!((fraction.compute_with(&SerialExecutor)?[[0]], whole.compute_with(&SerialExecutor)?[[0]]), (-0.5, -2.0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn modf(&self) -> (Array<T>, Array<T>) {
        let fraction = unary("modf-fraction", |x: T| match x.to_f64() {
            value if value.is_infinite() => T::from_f64(0f64.copysign(value)),
            value => T::from_f64((value - value.trunc()).copysign(value)),
        });
        (Array::apply(fraction, &[&self.node]), self.trunc())
    }
}

fn frexp(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    if exponent == 0 {
        // below the normal numbers: scaled up first
        let (fraction, exponent) = frexp(x * 2f64.powi(64));
        return (fraction, exponent - 64);
    }
    let fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    (fraction, exponent - 1022)
}
