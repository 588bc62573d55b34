//! What users call: a family of operations a file.

mod arithmetic;
mod axes;
mod blocks;
mod create;
mod index;
mod lines;
mod pad;
mod product;
mod random;
mod reduce;
mod select;
mod shape;
mod ufuncs;

pub use axes::{Axes, IntoAxes, keep};
pub use create::meshgrid;
pub use pad::Pad;
pub use select::Index;
