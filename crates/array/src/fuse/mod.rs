//! Expressions as tasks evaluate them: one pass over one region, no block in between.
//!
//! Element-wise operations become a *tape*: a list of kernels that runs tile by tile
//! (`kernels/tiles.rs`). Transposes, slices, broadcasts and lists of indices become views of the
//! tape's inputs. What cannot be fused (a product, a reduction) is a layer of its own; its blocks
//! are inputs here, as are files, concatenations and reshapes.
//!
//! ```text
//! (x.t() - mean) / 2        input 0: read-npy, axes (1, 0)      input 1: blocks, axes (_, 0)
//!                           r0  <- subtract 0, 1
//!                           out <- divide r0, constant 0
//! ```
//!
//! A region is evaluated slab by slab, so that what is read lies in cache when it is used and only
//! the result is as large as the region.

pub(crate) mod build;
pub(crate) mod fused;
pub(crate) mod input;
pub(crate) mod leaves;
pub(crate) mod needs;
pub(crate) mod nested;
pub(crate) mod registers;
pub(crate) mod room;
pub(crate) mod scattered;
pub(crate) mod tape;
pub(crate) mod window;
