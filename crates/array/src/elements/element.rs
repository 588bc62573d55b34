//! Element types: what an array can hold.
//!
//! Integer arithmetic wraps and division by zero gives zero, as NumPy's does: no value of the data
//! can make an operation panic.

use std::fmt::{Debug, Display};

use super::dtype::DType;
use super::gemm::Gemm;
use super::order::Order;
use super::promote::Promote;
use super::wide::Wide;

mod sealed {
    pub trait Sealed {}
}

/// A number that arrays can hold.
pub trait Element:
    sealed::Sealed
    + Copy
    + Default
    + PartialEq
    + PartialOrd
    + Debug
    + Display
    + Send
    + Sync
    + 'static
    + Order
    + Gemm
    + Promote<Self, Output = Self>
{
    /// The type as a value.
    const DTYPE: DType;
    /// The neutral element of addition.
    const ZERO: Self;
    /// The neutral element of multiplication.
    const ONE: Self;
    /// The smallest value; minus infinity for floats.
    const LOWEST: Self;
    /// The largest value; infinity for floats.
    const HIGHEST: Self;

    /// What sums and products of many elements have: `i64` and `u64` for integers, `i64` for
    /// booleans, floats themselves.
    type Sum: Element<Sum = Self::Sum>;

    /// Sum; of booleans: or.
    fn plus(self, other: Self) -> Self;
    /// Difference; of booleans: exclusive or.
    fn minus(self, other: Self) -> Self;
    /// Product; of booleans: and.
    fn times(self, other: Self) -> Self;
    /// Quotient of floats, rounded down for integers; zero for a division of integers by zero.
    fn over(self, other: Self) -> Self;
    /// The bits, widened, for tokens.
    fn token_bits(self) -> u64;
    /// The element with these bits.
    #[doc(hidden)]
    fn from_token_bits(bits: u64) -> Self;
    /// Whether it is not a number.
    fn is_not_a_number(self) -> bool {
        false
    }
    #[doc(hidden)]
    fn widen(self) -> Wide;
    #[doc(hidden)]
    fn narrow(wide: Wide) -> Self;

    /// The value in another type, as Rust's `as` converts: integers wrap, floats are truncated
    /// and saturate, not-a-number is 0 as an integer; anything but zero is true.
    #[inline]
    fn cast<U: Element>(self) -> U {
        U::narrow(self.widen())
    }
}

/// An element with fractions.
pub trait Float: Element<Sum = Self> + Promote<Self, Quotient = Self> {
    /// Not a number.
    const NAN: Self;
    /// The nearest value to a count.
    fn from_count(count: usize) -> Self;
    /// Through `f64`, which holds every element exactly; results are rounded once more.
    fn map_f64(self, function: impl Fn(f64) -> f64) -> Self;
    /// The value in an `f64`, exactly.
    fn to_f64(self) -> f64;
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The next number above or below.
    fn next(self, up: bool) -> Self;
}

/// An element with bits to be looked at: integers and booleans.
pub trait Bits: Element {
    /// Both.
    fn and(self, other: Self) -> Self;
    /// Either.
    fn or(self, other: Self) -> Self;
    /// One of both.
    fn xor(self, other: Self) -> Self;
    /// None.
    fn not(self) -> Self;
}

/// An integer.
pub trait Integer: Bits {
    /// Shifted to the left; 0 once all bits have left.
    fn shift_left(self, by: Self) -> Self;
    /// Shifted to the right, keeping the sign; all sign once all bits have left.
    fn shift_right(self, by: Self) -> Self;
    /// The greatest common divisor, not negative where that can be represented.
    fn gcd(self, other: Self) -> Self;
    /// The remainder with the sign of the divisor, as Python's; 0 for a division by zero.
    fn modulo(self, other: Self) -> Self;
    /// How many bits are set, of the absolute value.
    fn bit_count(self) -> u8;
}

macro_rules! floats {
    ($($float:ident $dtype:ident),*) => {
        $(
            impl sealed::Sealed for $float {}
            impl Element for $float {
                const DTYPE: DType = DType::$dtype;
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                const LOWEST: Self = $float::NEG_INFINITY;
                const HIGHEST: Self = $float::INFINITY;
                type Sum = $float;
                #[inline]
                fn plus(self, other: Self) -> Self { self + other }
                #[inline]
                fn minus(self, other: Self) -> Self { self - other }
                #[inline]
                fn times(self, other: Self) -> Self { self * other }
                #[inline]
                fn over(self, other: Self) -> Self { self / other }
                fn token_bits(self) -> u64 { self.to_bits() as u64 }
                fn from_token_bits(bits: u64) -> Self { $float::from_bits(bits as _) }
                #[inline]
                fn is_not_a_number(self) -> bool { self.is_nan() }
                #[inline]
                fn widen(self) -> Wide { Wide::Float(self as f64) }
                #[inline]
                fn narrow(wide: Wide) -> Self {
                    match wide {
                        Wide::Signed(value) => value as $float,
                        Wide::Unsigned(value) => value as $float,
                        Wide::Float(value) => value as $float,
                    }
                }
            }
            impl Float for $float {
                const NAN: Self = $float::NAN;
                #[inline]
                fn from_count(count: usize) -> Self { count as $float }
                #[inline]
                fn map_f64(self, function: impl Fn(f64) -> f64) -> Self {
                    function(self as f64) as $float
                }
                #[inline]
                fn to_f64(self) -> f64 { self as f64 }
                #[inline]
                fn from_f64(value: f64) -> Self { value as $float }
                #[inline]
                fn next(self, up: bool) -> Self {
                    if up { self.next_up() } else { self.next_down() }
                }
            }
        )*
    };
}

macro_rules! integers {
    ($($int:ident $dtype:ident $sum:ident $wide:ident $unsigned:ident),*) => {
        $(
            impl sealed::Sealed for $int {}
            impl Element for $int {
                const DTYPE: DType = DType::$dtype;
                const ZERO: Self = 0;
                const ONE: Self = 1;
                const LOWEST: Self = $int::MIN;
                const HIGHEST: Self = $int::MAX;
                type Sum = $sum;
                #[inline]
                fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
                #[inline]
                fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
                #[inline]
                fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
                #[inline]
                #[allow(unused_comparisons, reason = "the same for integers without a sign")]
                fn over(self, other: Self) -> Self {
                    if other == 0 {
                        return 0;
                    }
                    let quotient = self.wrapping_div(other);
                    let inexact = self.wrapping_rem(other) != 0;
                    match inexact && ((self < 0) != (other < 0)) {
                        true => quotient - 1,
                        false => quotient,
                    }
                }
                fn token_bits(self) -> u64 { self as u64 }
                fn from_token_bits(bits: u64) -> Self { bits as $int }
                #[inline]
                fn widen(self) -> Wide { Wide::$wide(self as _) }
                #[inline]
                fn narrow(wide: Wide) -> Self {
                    match wide {
                        Wide::Signed(value) => value as $int,
                        Wide::Unsigned(value) => value as $int,
                        Wide::Float(value) => value as $int,
                    }
                }
            }
            impl Bits for $int {
                #[inline]
                fn and(self, other: Self) -> Self { self & other }
                #[inline]
                fn or(self, other: Self) -> Self { self | other }
                #[inline]
                fn xor(self, other: Self) -> Self { self ^ other }
                #[inline]
                fn not(self) -> Self { !self }
            }
            impl Integer for $int {
                #[inline]
                fn shift_left(self, by: Self) -> Self {
                    u32::try_from(by).ok().and_then(|by| self.checked_shl(by)).unwrap_or(0)
                }
                #[inline]
                #[allow(unused_comparisons, reason = "the same for integers without a sign")]
                fn shift_right(self, by: Self) -> Self {
                    let sign = if self < 0 { (0 as $int).wrapping_sub(1) } else { 0 };
                    u32::try_from(by).ok().and_then(|by| self.checked_shr(by)).unwrap_or(sign)
                }
                #[allow(unused_comparisons, reason = "the same for integers without a sign")]
                fn gcd(self, other: Self) -> Self {
                    let absolute = |value: $int| match value < 0 {
                        true => (value as $unsigned).wrapping_neg(),
                        false => value as $unsigned,
                    };
                    let (mut a, mut b) = (absolute(self), absolute(other));
                    while b != 0 {
                        (a, b) = (b, a % b);
                    }
                    a as $int
                }
                #[inline]
                #[allow(unused_comparisons, reason = "the same for integers without a sign")]
                fn modulo(self, other: Self) -> Self {
                    if other == 0 {
                        return 0;
                    }
                    let rest = self.wrapping_rem(other);
                    match rest != 0 && ((rest < 0) != (other < 0)) {
                        true => rest + other,
                        false => rest,
                    }
                }
                #[inline]
                #[allow(unused_comparisons, reason = "the same for integers without a sign")]
                fn bit_count(self) -> u8 {
                    let absolute = match self < 0 {
                        true => (self as $unsigned).wrapping_neg(),
                        false => self as $unsigned,
                    };
                    absolute.count_ones() as u8
                }
            }
        )*
    };
}

floats!(f64 F64, f32 F32);
integers!(
    i64 I64 i64 Signed u64, i32 I32 i64 Signed u32, i16 I16 i64 Signed u16, i8 I8 i64 Signed u8,
    u64 U64 u64 Unsigned u64, u32 U32 u64 Unsigned u32, u16 U16 u64 Unsigned u16,
    u8 U8 u64 Unsigned u8
);

impl sealed::Sealed for bool {}
impl Element for bool {
    const DTYPE: DType = DType::Bool;
    const ZERO: Self = false;
    const ONE: Self = true;
    const LOWEST: Self = false;
    const HIGHEST: Self = true;
    type Sum = i64;
    #[inline]
    fn plus(self, other: Self) -> Self {
        self | other
    }
    #[inline]
    fn minus(self, other: Self) -> Self {
        self ^ other
    }
    #[inline]
    fn times(self, other: Self) -> Self {
        self & other
    }
    #[inline]
    fn over(self, other: Self) -> Self {
        self & other
    }
    fn token_bits(self) -> u64 {
        u64::from(self)
    }
    fn from_token_bits(bits: u64) -> Self {
        bits != 0
    }
    #[inline]
    fn widen(self) -> Wide {
        Wide::Unsigned(u64::from(self))
    }
    #[inline]
    fn narrow(wide: Wide) -> Self {
        match wide {
            Wide::Signed(value) => value != 0,
            Wide::Unsigned(value) => value != 0,
            Wide::Float(value) => value != 0.0,
        }
    }
}

impl Bits for bool {
    #[inline]
    fn and(self, other: Self) -> Self {
        self & other
    }
    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }
    #[inline]
    fn not(self) -> Self {
        !self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_never_panic() {
        assert_eq!(i32::MAX.plus(1), i32::MIN);
        assert_eq!(i64::MIN.over(-1), i64::MIN);
        assert_eq!((7i64.over(0), (-7i64).over(2), 7u8.over(2)), (0, -4, 3));
        assert_eq!(3u8.minus(5), 254);
        assert_eq!(
            (i8::MIN.modulo(-1), (-7i8).modulo(3), 7i8.modulo(-3)),
            (0, 2, -2)
        );
        assert_eq!(
            (
                1u8.shift_left(9),
                (-5i16).shift_right(99),
                1i32.shift_left(-1)
            ),
            (0, -1, 0)
        );
        assert_eq!(
            ((-12i8).gcd(18), 0u32.gcd(5), i8::MIN.gcd(0)),
            (6, 5, i8::MIN)
        );
    }

    #[test]
    fn casts_follow_rusts_as() {
        assert_eq!((300i32.cast::<u8>(), (-1i8).cast::<u64>()), (44, u64::MAX));
        assert_eq!((f64::NAN.cast::<i32>(), 1e20.cast::<i64>()), (0, i64::MAX));
        assert_eq!((0.5f32.cast::<bool>(), true.cast::<f32>()), (true, 1.0));
        assert_eq!(u64::MAX.cast::<f64>(), u64::MAX as f64);
    }
}
