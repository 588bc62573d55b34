//! Arrays in files: what is read, and where results are stored.

pub(crate) mod failure;
pub(crate) mod npy;
pub(crate) mod runs;
pub(crate) mod storing;
#[cfg(feature = "zarr")]
pub(crate) mod zarr;
