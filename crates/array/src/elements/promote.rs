//! Promotion as types: which element an operation on two elements has.
//!
//! The table is [`DType::promote`](crate::DType::promote) spelled out for the compiler; a test
//! compares the two. Division has a type of its own, as in NumPy: two integers divide to `f64`.

use super::element::{Element, Float};

/// What means of `T` have: `f32` for `f32`, `f64` for all else.
pub(crate) type Real<T> = <T as Promote<T>>::Quotient;

/// The element type of results that combine `Self` with `Other`.
pub trait Promote<Other> {
    /// Of sums, differences and products.
    type Output: Element;
    /// Of quotients: the same for floats, `f64` for integers and booleans.
    type Quotient: Float;
}

macro_rules! row {
    ($left:ty: $($right:ty => $output:ty, $quotient:ty;)*) => {
        $(impl Promote<$right> for $left {
            type Output = $output;
            type Quotient = $quotient;
        })*
    };
}

row!(bool: bool => bool, f64; i8 => i8, f64; i16 => i16, f64; i32 => i32, f64; i64 => i64, f64;
    u8 => u8, f64; u16 => u16, f64; u32 => u32, f64; u64 => u64, f64; f32 => f32, f32; f64 => f64, f64;);
row!(i8: bool => i8, f64; i8 => i8, f64; i16 => i16, f64; i32 => i32, f64; i64 => i64, f64;
    u8 => i16, f64; u16 => i32, f64; u32 => i64, f64; u64 => f64, f64; f32 => f32, f32; f64 => f64, f64;);
row!(i16: bool => i16, f64; i8 => i16, f64; i16 => i16, f64; i32 => i32, f64; i64 => i64, f64;
    u8 => i16, f64; u16 => i32, f64; u32 => i64, f64; u64 => f64, f64; f32 => f32, f32; f64 => f64, f64;);
row!(i32: bool => i32, f64; i8 => i32, f64; i16 => i32, f64; i32 => i32, f64; i64 => i64, f64;
    u8 => i32, f64; u16 => i32, f64; u32 => i64, f64; u64 => f64, f64; f32 => f64, f64; f64 => f64, f64;);
row!(i64: bool => i64, f64; i8 => i64, f64; i16 => i64, f64; i32 => i64, f64; i64 => i64, f64;
    u8 => i64, f64; u16 => i64, f64; u32 => i64, f64; u64 => f64, f64; f32 => f64, f64; f64 => f64, f64;);
row!(u8: bool => u8, f64; i8 => i16, f64; i16 => i16, f64; i32 => i32, f64; i64 => i64, f64;
    u8 => u8, f64; u16 => u16, f64; u32 => u32, f64; u64 => u64, f64; f32 => f32, f32; f64 => f64, f64;);
row!(u16: bool => u16, f64; i8 => i32, f64; i16 => i32, f64; i32 => i32, f64; i64 => i64, f64;
    u8 => u16, f64; u16 => u16, f64; u32 => u32, f64; u64 => u64, f64; f32 => f32, f32; f64 => f64, f64;);
row!(u32: bool => u32, f64; i8 => i64, f64; i16 => i64, f64; i32 => i64, f64; i64 => i64, f64;
    u8 => u32, f64; u16 => u32, f64; u32 => u32, f64; u64 => u64, f64; f32 => f64, f64; f64 => f64, f64;);
row!(u64: bool => u64, f64; i8 => f64, f64; i16 => f64, f64; i32 => f64, f64; i64 => f64, f64;
    u8 => u64, f64; u16 => u64, f64; u32 => u64, f64; u64 => u64, f64; f32 => f64, f64; f64 => f64, f64;);
row!(f32: bool => f32, f32; i8 => f32, f32; i16 => f32, f32; i32 => f64, f64; i64 => f64, f64;
    u8 => f32, f32; u16 => f32, f32; u32 => f64, f64; u64 => f64, f64; f32 => f32, f32; f64 => f64, f64;);
row!(f64: bool => f64, f64; i8 => f64, f64; i16 => f64, f64; i32 => f64, f64; i64 => f64, f64;
    u8 => f64, f64; u16 => f64, f64; u32 => f64, f64; u64 => f64, f64; f32 => f64, f64; f64 => f64, f64;);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::dtype::DType;

    fn checked<A: Element + Promote<B>, B: Element>(count: &mut usize) {
        let output = A::DTYPE.promote(B::DTYPE);
        assert_eq!(
            <A as Promote<B>>::Output::DTYPE,
            output,
            "{} {}",
            A::DTYPE,
            B::DTYPE
        );
        let quotient = if output.is_float() {
            output
        } else {
            DType::F64
        };
        assert_eq!(<A as Promote<B>>::Quotient::DTYPE, quotient);
        assert_eq!(output, B::DTYPE.promote(A::DTYPE));
        *count += 1;
    }

    macro_rules! pairs {
        ($count:expr; $($left:ty),*; $rights:tt) => { $(pairs!(@row $count; $left; $rights);)* };
        (@row $count:expr; $left:ty; [$($right:ty),*]) => { $(checked::<$left, $right>($count);)* };
    }

    #[test]
    fn the_types_follow_the_rules() {
        let mut count = 0;
        pairs!(&mut count; bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64;
            [bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64]);
        assert_eq!(count, 121);
    }
}
