//! Logic on truth, and on the bits of integers.

use crate::elements::element::{Bits, Element, Integer};
use crate::expr::array::Array;
use crate::kernels::map::{binary, unary};

macro_rules! functions {
    ($bound:ident: $($name:ident $function:expr, $output:ty, $doc:literal;)*) => {
        impl<T: $bound> Array<T> {
            $(
                #[doc = $doc]
                ///
                /// ```
                /// # use flagstone_array::Array;
                /// let x = Array::<u8>::ones(&[3]);
                #[doc = concat!("assert_eq!(x.", stringify!($name), "(&x).shape(), [3]);")]
                /// ```
                #[track_caller]
                pub fn $name(&self, other: &Array<T>) -> Array<$output> {
                    let kernel = binary(stringify!($name), $function);
                    Array::apply(kernel, &[&self.node, &other.node])
                }
            )*
        }
    };
}

functions! { Element:
    logical_and |a: T, b: T| a != T::ZERO && b != T::ZERO, bool, "Where both are not zero.";
    logical_or |a: T, b: T| a != T::ZERO || b != T::ZERO, bool, "Where one or both are not zero.";
    logical_xor |a: T, b: T| (a != T::ZERO) != (b != T::ZERO), bool, "Where one of both is not zero.";
}

functions! { Bits:
    bitwise_and T::and, T, "The bits that both have.";
    bitwise_or T::or, T, "The bits that one or both have.";
    bitwise_xor T::xor, T, "The bits that one of both has.";
}

functions! { Integer:
    left_shift T::shift_left, T, "Shifted to the left; 0 once all bits have left.";
    right_shift T::shift_right, T, "Shifted to the right, keeping the sign.";
    gcd T::gcd, T, "The greatest common divisor.";
    lcm |a: T, b: T| match a.gcd(b) {
        divisor if divisor == T::ZERO => T::ZERO,
        divisor => {
            let product = a.over(divisor).times(b);
            if product < T::ZERO { T::ZERO.minus(product) } else { product }
        }
    }, T, "The least common multiple; wraps where it does not fit.";
}

impl<T: Element> Array<T> {
    /// Where elements are zero.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0, 2]);
    /// assert_eq!(x.logical_not().compute_with(&SerialExecutor)?, array![true, false].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn logical_not(&self) -> Array<bool> {
        Array::apply(unary("logical_not", |x: T| x == T::ZERO), &[&self.node])
    }
}

impl<T: Bits> Array<T> {
    /// The bits turned round: of booleans, not.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![0i8, 5]);
    /// assert_eq!(x.invert().compute_with(&SerialExecutor)?, array![-1, -6].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn invert(&self) -> Array<T> {
        Array::apply(unary("invert", T::not), &[&self.node])
    }
}

impl<T: Integer> Array<T> {
    /// How many bits are set in each absolute value.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![7, -8]);
    /// assert_eq!(x.bitwise_count().compute_with(&SerialExecutor)?, array![3, 1].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn bitwise_count(&self) -> Array<u8> {
        Array::apply(unary("bitwise_count", T::bit_count), &[&self.node])
    }
}
