//! Functions on slices and views. Nothing of graphs is known here.

pub(crate) mod boxes;
pub(crate) mod dense;
pub(crate) mod fold;
pub(crate) mod folds;
pub(crate) mod gemm;
pub(crate) mod map;
#[cfg(not(feature = "blas"))]
mod packed;
pub(crate) mod tiles;
