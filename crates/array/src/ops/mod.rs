//! What users call: a family of operations a file.

mod arithmetic;
mod axes;
mod create;
mod index;
mod product;
mod reduce;
mod shape;
mod ufuncs;

pub use axes::{Axes, IntoAxes, keep};
pub use create::meshgrid;
