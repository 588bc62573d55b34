//! What users call, a family of operations a room: its methods on [`Array`](crate::Array), how they lower,
//! and their layers.
//!
//! A family imports the engine, the kernels and expressions; none of those knows a family. A new
//! operation goes to the family that it looks like, or becomes a file of its own here.

pub(crate) mod arithmetic;
pub(crate) mod axes;
pub(crate) mod bins;
pub(crate) mod blocks;
pub(crate) mod blockwise;
pub(crate) mod create;
pub(crate) mod distinct;
#[cfg(feature = "linalg")]
pub(crate) mod factor;
pub(crate) mod filter;
pub(crate) mod from_blocks;
pub(crate) mod index;
pub(crate) mod lines;
pub(crate) mod norm;
pub(crate) mod pad;
pub(crate) mod product;
pub(crate) mod quantile;
pub(crate) mod random;
pub(crate) mod rechunk;
pub(crate) mod reduce;
pub(crate) mod scan;
pub(crate) mod shape;
pub(crate) mod sort;
pub(crate) mod statistics;
pub(crate) mod take;
pub(crate) mod ufuncs;
