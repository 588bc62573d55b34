//! The types of elements: what a number is, its order, its bytes, and what two of them promote to.

pub(crate) mod bytes;
pub(crate) mod constant;
pub(crate) mod dtype;
pub(crate) mod element;
pub(crate) mod gemm;
pub(crate) mod order;
pub(crate) mod promote;
pub(crate) mod wide;
