//! Chunked n-dimensional arrays, larger than memory.
//!
//! An [`Array`] is a handle on an expression: sources (npy files, arrays in memory, functions of the
//! index) and operations. Nothing is computed before a terminal, which lowers the expression to
//! layers of a [`flagstone_graph::Graph`] and gives them to an executor. Chunks are chosen by the
//! planner from shapes and budget; users never see them.
//!
//! The bits of a result follow from the data, never from budget, chunks, tiles or threads:
//! element-wise operations have no order, reductions have fixed leaves and a canonical tree
//! (`kernels/fold.rs`), products are made of gemm calls of fixed shapes (`kernels/gemm.rs`).
//!
//! ```text
//! store     npy, raw files, Zarr: what is read, where results go
//! families  what users call: a room an operation family, with how it lowers and its layers
//! engine    expressions to layers, layers to results; rechunks and shuffles
//! fuse      what one task evaluates in one pass
//! expr      arrays, nodes, views, sources: what the user wrote
//! grid      chunks, regions, places; how large they are chosen
//! kernels   functions on slices
//! chunk, elements
//! ```
//!
//! Each imports only those beneath it. A new operation is a file or a folder in `families`; read
//! `expr`, then `families/filter`, to see how one is made.

// what only these features use is not marked place by place: builds with all of them tell what is dead
#![cfg_attr(
    not(all(feature = "zarr", feature = "linalg")),
    allow(dead_code, unused_imports)
)]

mod chunk;
mod elements;
mod engine;
mod expr;
mod families;
mod fuse;
mod grid;
mod kernels;
mod store;

pub use elements::dtype::DType;
pub use elements::element::{Bits, Element, Float, Integer};
pub use elements::promote::Promote;
pub use engine::terminal::Built;
pub use expr::array::Array;
pub use families::axes::{Axes, IntoAxes, keep};
pub use families::bins::{Bins, HistogramOptions};
pub use families::blocks::{Boundary, Margin};
pub use families::blockwise::{Blocks, Blockwise, Operands};
pub use families::create::ranges::{meshgrid, meshgrid_xy};
#[cfg(feature = "linalg")]
pub use families::factor::Norm;
pub use families::from_blocks::RowBlocks;
pub use families::index::Index;
pub use families::pad::Pad;
pub use grid::ChunkGrid;
pub use grid::chunks::Chunks;
pub use grid::place::BlockPlace;
pub use kernels::gemm::gemm_kernel;
pub use store::npy::inspect::{NpyInfo, inspect_npy};
pub use store::storing::BuiltStore;
pub use store::storing::targets::StoreTo;
#[cfg(feature = "zarr")]
pub use store::zarr::{
    group::create_zarr_group,
    inspect::{ZarrInfo, inspect_zarr, zarr_members},
    options::{ZarrCompression, ZarrOptions, ZarrVersion},
};
