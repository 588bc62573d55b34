//! Functions of elements, by NumPy's names.
//!
//! All broadcast, all are fused with what is around them. Functions with fractions give `f32` for
//! `f32` and `f64` for everything else (NumPy gives 8- and 16-bit integers narrower floats).
//! Functions of two arrays take two arrays of one element type; [`Array::astype`](crate::Array::astype)
//! makes them so.

pub(crate) mod bits;
pub(crate) mod choose;
pub(crate) mod compare;
pub(crate) mod floats;
pub(crate) mod math;
pub(crate) mod round;
