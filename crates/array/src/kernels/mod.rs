//! Functions on slices and views. Nothing of graphs is known here.

#[cfg(feature = "linalg")]
pub(crate) mod dense;
pub(crate) mod fold;
pub(crate) mod folds;
pub(crate) mod gemm;
pub(crate) mod map;
pub(crate) mod norm;
pub(crate) mod strides;
pub(crate) mod tiles;
pub(crate) mod transpose;
