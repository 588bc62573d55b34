//! What users call: a family of operations a file.

mod arithmetic;
mod axes;
mod bins;
mod blocks;
mod blockwise;
mod create;
mod distinct;
#[cfg(feature = "linalg")]
mod factor;
mod filter;
mod index;
mod indices;
mod lines;
mod outside;
mod pad;
mod product;
mod random;
mod rechunk;
mod reduce;
mod select;
mod shape;
mod storage;
mod take;
mod ufuncs;

pub use axes::{Axes, IntoAxes, keep};
pub use bins::Bins;
pub use blocks::{Boundary, Margin};
pub use blockwise::{Blocks, Blockwise, Operands};
pub(crate) use create::check_shape;
pub use create::{meshgrid, meshgrid_xy};
#[cfg(feature = "linalg")]
pub use factor::Norm;
pub use indices::Index;
pub use outside::RowBlocks;
pub use pad::Pad;
pub use rechunk::Chunks;
pub(crate) use take::taken_viewed;
