//! Functions from slices to slices. Nothing here knows graphs, tasks or files.

pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod sum;
