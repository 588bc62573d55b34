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
//! Read in this order: [`Array`], `node` (expressions), `view`, `ops` (what users call), `tape`
//! (what one task evaluates), `lower`, `layers`, `kernels`.

// what only these features use is not marked place by place: builds with all of them tell what is dead
#![cfg_attr(
    not(all(feature = "zarr", feature = "linalg")),
    allow(dead_code, unused_imports)
)]

mod array;
mod buffer;
mod chunk;
mod dtype;
mod element;
mod grid;
mod inspect;
mod kernels;
mod later;
mod layers;
mod lower;
mod narrow;
mod node;
mod ops;
mod order;
mod plan;
mod promote;
mod source;
mod storing;
mod tape;
mod terminal;
mod view;
mod whole;
#[cfg(feature = "zarr")]
mod zarr;

pub use array::Array;
pub use dtype::DType;
pub use element::{Bits, Element, Float, Integer};
pub use grid::ChunkGrid;
pub use inspect::{NpyInfo, inspect_npy};
pub use kernels::gemm::gemm_kernel;
pub use layers::BlockPlace;
#[cfg(feature = "linalg")]
pub use ops::Norm;
pub use ops::{
    Axes, Bins, Blocks, Blockwise, Boundary, Chunks, Index, IntoAxes, Margin, Operands, Pad,
    RowBlocks, keep, meshgrid, meshgrid_xy,
};
pub use promote::Promote;
pub use storing::{BuiltStore, StoreTo};
pub use terminal::Built;
#[cfg(feature = "zarr")]
pub use zarr::{
    ZarrCompression, ZarrInfo, ZarrOptions, ZarrVersion, create_zarr_group, inspect_zarr,
    zarr_members,
};
