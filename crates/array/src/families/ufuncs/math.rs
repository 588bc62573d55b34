//! Powers, exponentials, logarithms, trigonometry.

use crate::elements::element::{Element, Float};
use crate::elements::promote::Real;
use crate::expr::array::Array;
use crate::kernels::map::{binary, unary};

macro_rules! of_reals {
    ($($(#[$doc:meta])* $name:ident $function:expr;)*) => {
        impl<T: Element> Array<T> {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<f64>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "().shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name(&self) -> Array<Real<T>> {
                    let function: fn(f64) -> f64 = $function;
                    let kernel = unary(stringify!($name), move |x: T| {
                        x.cast::<Real<T>>().map_f64(function)
                    });
                    Array::apply(kernel, &[&self.node])
                }
            )*
        }
    };
}

of_reals! {
    /// e to the power of each element.
    exp f64::exp;
    /// 2 to the power of each element.
    exp2 f64::exp2;
    /// e to the power of each element, less one; exact near zero.
    expm1 f64::exp_m1;
    /// The natural logarithm.
    log f64::ln;
    /// The logarithm to base 2.
    log2 f64::log2;
    /// The logarithm to base 10.
    log10 f64::log10;
    /// The natural logarithm of one more; exact near zero.
    log1p f64::ln_1p;
    /// The square root.
    sqrt f64::sqrt;
    /// The cube root.
    cbrt f64::cbrt;
    /// The sine of an angle in radians.
    sin f64::sin;
    /// The cosine of an angle in radians.
    cos f64::cos;
    /// The tangent of an angle in radians.
    tan f64::tan;
    /// The angle with this sine.
    arcsin f64::asin;
    /// The angle with this cosine.
    arccos f64::acos;
    /// The angle with this tangent.
    arctan f64::atan;
    /// The hyperbolic sine.
    sinh f64::sinh;
    /// The hyperbolic cosine.
    cosh f64::cosh;
    /// The hyperbolic tangent.
    tanh f64::tanh;
    /// The inverse of the hyperbolic sine.
    arcsinh arcsinh;
    /// The inverse of the hyperbolic cosine.
    arccosh arccosh;
    /// The inverse of the hyperbolic tangent.
    arctanh f64::atanh;
    /// Degrees in radians.
    deg2rad f64::to_radians;
    /// Radians in degrees.
    rad2deg f64::to_degrees;
    /// `sin(pi x) / (pi x)`, and 1 at zero.
    sinc |x| {
        let angle = std::f64::consts::PI * x;
        if x == 0.0 { 1.0 } else { angle.sin() / angle }
    };
}

/// From here on `x + sqrt(x² ± 1)` is `2 x` to the last bit, and overflows near the largest doubles.
const LARGE: f64 = 1e150;

fn arcsinh(x: f64) -> f64 {
    match x.abs() {
        large if large > LARGE => (large.ln() + std::f64::consts::LN_2).copysign(x),
        _ => x.asinh(),
    }
}

fn arccosh(x: f64) -> f64 {
    match x > LARGE {
        true => x.ln() + std::f64::consts::LN_2,
        false => x.acosh(),
    }
}

macro_rules! of_floats {
    ($($(#[$doc:meta])* $name:ident $function:expr;)*) => {
        impl<T: Float> Array<T> {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<f64>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "(&x).shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name(&self, other: &Array<T>) -> Array<T> {
                    let function: fn(f64, f64) -> f64 = $function;
                    let kernel = binary(stringify!($name), move |x: T, y: T| {
                        T::from_f64(function(x.to_f64(), y.to_f64()))
                    });
                    Array::apply(kernel, &[&self.node, &other.node])
                }
            )*
        }
    };
}

of_floats! {
    /// The first to the power of the second.
    pow f64::powf;
    /// The remainder with the sign of the dividend, as C's.
    fmod |x, y| x % y;
}

macro_rules! of_pairs {
    ($($(#[$doc:meta])* $name:ident $function:expr;)*) => {
        impl<T: Element> Array<T> {
            $(
                $(#[$doc])*
                ///
                /// Integers and booleans are taken as `f64`.
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<f64>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "(&x).shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name(&self, other: &Array<T>) -> Array<Real<T>> {
                    let function: fn(f64, f64) -> f64 = $function;
                    let kernel = binary(stringify!($name), move |x: T, y: T| {
                        let (x, y) = (x.cast::<Real<T>>(), y.cast::<Real<T>>());
                        Real::<T>::from_f64(function(x.to_f64(), y.to_f64()))
                    });
                    Array::apply(kernel, &[&self.node, &other.node])
                }
            )*
        }
    };
}

of_pairs! {
    /// The angle of the point with this ordinate and, as argument, this abscissa.
    arctan2 f64::atan2;
    /// The length of the hypotenuse over two sides.
    hypot f64::hypot;
    /// The first with the sign of the second.
    copysign f64::copysign;
    /// `ln(exp(x) + exp(y))` without overflow.
    logaddexp |x, y| {
        let (low, high) = if x < y { (x, y) } else { (y, x) };
        if low == high { high + std::f64::consts::LN_2 } else { high + (low - high).exp().ln_1p() }
    };
    /// `log2(2^x + 2^y)` without overflow.
    logaddexp2 |x, y| {
        let (low, high) = if x < y { (x, y) } else { (y, x) };
        let more = (low - high).exp2().ln_1p() * std::f64::consts::LOG2_E;
        if low == high { high + 1.0 } else { high + more }
    };
    /// 0 below zero, 1 above, and the second at zero.
    heaviside |x, y| match x {
        x if x.is_nan() => x,
        0.0 => y,
        x => f64::from(u8::from(x > 0.0)),
    };
}

impl<T: Element> Array<T> {
    /// Each element times itself.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-2, 3]);
    /// assert_eq!(x.square().compute_with(&SerialExecutor)?, array![4, 9].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn square(&self) -> Array<T> {
        Array::apply(unary("square", |x: T| x.times(x)), &[&self.node])
    }

    /// The elements without their sign. The lowest integer stays as it is.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-2.5, 3.0]);
    /// assert_eq!(x.abs().compute_with(&SerialExecutor)?, array![2.5, 3.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn abs(&self) -> Array<T> {
        let kernel = unary("abs", |x: T| match x < T::ZERO {
            true => T::ZERO.minus(x),
            // minus zero, too
            false if x == T::ZERO => T::ZERO,
            false => x,
        });
        Array::apply(kernel, &[&self.node])
    }

    /// -1, 0 or 1; not-a-number stays.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![-2.5, 0.0, 3.0]);
    /// assert_eq!(x.sign().compute_with(&SerialExecutor)?, array![-1.0, 0.0, 1.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sign(&self) -> Array<T> {
        let kernel = unary("sign", |x: T| match x {
            x if x.is_not_a_number() => x,
            x if x < T::ZERO => T::ZERO.minus(T::ONE),
            x if x > T::ZERO => T::ONE,
            _ => T::ZERO,
        });
        Array::apply(kernel, &[&self.node])
    }

    /// One divided by each element: of integers 0, but of 1, and of -1.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![2.0, 4.0]);
    /// assert_eq!(x.reciprocal().compute_with(&SerialExecutor)?, array![0.5, 0.25].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn reciprocal(&self) -> Array<T> {
        let kernel = unary("reciprocal", |x: T| {
            let quotient = T::ONE.over(x);
            // integers: rounded towards zero, as NumPy does here
            match !T::DTYPE.is_float() && quotient.times(x) != T::ONE {
                true => T::ZERO,
                false => quotient,
            }
        });
        Array::apply(kernel, &[&self.node])
    }

    /// Each element to the power of a whole number, by multiplications; integers wrap.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![2, -3]);
    /// assert_eq!(x.powi(3).compute_with(&SerialExecutor)?, array![8, -27].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn powi(&self, exponent: u32) -> Array<T> {
        self.power(&Array::scalar(exponent))
    }

    /// Each element to the power of a whole number of its own; see [`Array::powi`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![2.0, 3.0]);
    /// let exponents = Array::from_ndarray(array![3u32, 2]);
    /// assert_eq!(x.power(&exponents).compute_with(&SerialExecutor)?, array![8.0, 9.0].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn power(&self, exponents: &Array<u32>) -> Array<T> {
        let kernel = binary("powi", |x: T, exponent: u32| {
            let (mut power, mut base, mut rest) = (T::ONE, x, exponent);
            while rest > 0 {
                if rest & 1 == 1 {
                    power = power.times(base);
                }
                base = base.times(base);
                rest >>= 1;
            }
            power
        });
        Array::apply(kernel, &[&self.node, &exponents.node])
    }
}

impl<T: Float> Array<T> {}
