//! Element types: what an array can hold.
//!
//! An element is a plain number: any bit pattern is valid, so that chunks are read from files and
//! spilled as raw bytes. Integer arithmetic wraps and division by zero gives zero, as NumPy's does:
//! no value of the data can make an operation panic.

use std::fmt::Debug;

use crate::kernels::gemm::{self, GemmBlock};

mod sealed {
    pub trait Sealed {}
}

/// A number that arrays can hold.
pub trait Element:
    sealed::Sealed + Copy + Default + PartialEq + Debug + Send + Sync + 'static
{
    /// The name in messages and printed arrays: `"f64"`.
    const NAME: &'static str;
    /// The type code of npy headers, without the byte order: `"f8"`.
    const NPY_CODE: &'static str;
    /// The neutral element of addition.
    const ZERO: Self;
    /// The neutral element of multiplication.
    const ONE: Self;

    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Product.
    fn times(self, other: Self) -> Self;
    /// Quotient.
    fn over(self, other: Self) -> Self;
    /// The bits, widened, for tokens.
    fn token_bits(self) -> u64;

    /// Adds a block's product to its accumulator; see `kernels/gemm.rs`.
    #[doc(hidden)]
    fn gemm(block: GemmBlock<'_, Self>) {
        gemm::portable(block);
    }
}

/// An element with fractions: what `mean` is defined on.
pub trait Float: Element {
    /// The nearest value to a count.
    fn from_count(count: usize) -> Self;
}

macro_rules! elements {
    (floats: $($float:ident $float_code:literal $gemm:path),*; integers: $($int:ident $int_code:literal),*) => {
        $(
            impl sealed::Sealed for $float {}
            impl Element for $float {
                const NAME: &'static str = stringify!($float);
                const NPY_CODE: &'static str = $float_code;
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                #[inline]
                fn plus(self, other: Self) -> Self { self + other }
                #[inline]
                fn minus(self, other: Self) -> Self { self - other }
                #[inline]
                fn times(self, other: Self) -> Self { self * other }
                #[inline]
                fn over(self, other: Self) -> Self { self / other }
                fn token_bits(self) -> u64 { self.to_bits() as u64 }
                fn gemm(block: GemmBlock<'_, Self>) { $gemm(block) }
            }
            impl Float for $float {
                fn from_count(count: usize) -> Self { count as $float }
            }
        )*
        $(
            impl sealed::Sealed for $int {}
            impl Element for $int {
                const NAME: &'static str = stringify!($int);
                const NPY_CODE: &'static str = $int_code;
                const ZERO: Self = 0;
                const ONE: Self = 1;
                #[inline]
                fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
                #[inline]
                fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
                #[inline]
                fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
                #[inline]
                fn over(self, other: Self) -> Self {
                    if other == 0 { 0 } else { self.wrapping_div(other) }
                }
                fn token_bits(self) -> u64 { self as u64 }
            }
        )*
    };
}

elements!(
    floats: f64 "f8" gemm::f64_block, f32 "f4" gemm::f32_block;
    integers: i64 "i8", i32 "i4", i16 "i2", i8 "i1", u64 "u8", u32 "u4", u16 "u2", u8 "u1"
);

/// The bytes of a slice of elements.
pub(crate) fn as_bytes<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: the sealed elements are plain numbers without padding, and u8 has no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of a slice of elements, to be filled.
pub(crate) fn as_bytes_mut<T: Element>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above; and every bit pattern is a valid element.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_never_panic() {
        assert_eq!(i32::MAX.plus(1), i32::MIN);
        assert_eq!(i64::MIN.over(-1), i64::MIN);
        assert_eq!(7i64.over(0), 0);
        assert_eq!(3u8.minus(5), 254);
    }
}
