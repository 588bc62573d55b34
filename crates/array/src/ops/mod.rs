//! What users call: a family of operations a file.

mod arithmetic;
mod axes;
mod blocks;
mod create;
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
mod ufuncs;

pub use axes::{Axes, IntoAxes, keep};
pub(crate) use create::check_shape;
pub use create::meshgrid;
pub use indices::Index;
pub use outside::RowBlocks;
pub use pad::Pad;
pub use rechunk::Chunks;
