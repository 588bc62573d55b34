//! The layers that arrays lower to.

mod batches;
mod bins;
mod blocks;
mod blockwise;
mod collect;
mod each;
mod evaluate;
mod files;
mod filter;
mod lines;
mod outside;
mod piecewise;
mod places;
mod product;
mod reduce;
mod scan;
mod sorted;
mod store;
mod taken;
#[cfg(feature = "linalg")]
mod tall;

pub(crate) use batches::Batches;
pub(crate) use bins::{Binning, CountBins};
pub use blocks::BlockPlace;
pub(crate) use blocks::{MapBlocks, OfBlock, Overlap, Overlapped};
pub(crate) use blockwise::{Combine, Contraction, OfBlocks, Operand};
pub(crate) use collect::{collect, collected, gathered};
pub(crate) use each::{EachSink, TakeChunk};
pub(crate) use evaluate::Evaluate;
pub(crate) use files::{FileSink, StackSink, stack_file, write_failed};
pub(crate) use filter::{CountTrue, TakeTrue, granule};
pub(crate) use lines::{AlongLines, LongLines, OfLine};
pub(crate) use outside::{FromBlocks, FromDelayed, FromLayer, FromPartitions};
pub(crate) use piecewise::Tasks;
pub(crate) use places::{LookUp, Places};
pub(crate) use product::{MatrixProduct, Mirror, Problem, ProductPlan};
pub(crate) use reduce::{End, FoldChunks, FoldStates, MergeStates, folded_grid, merged_grid};
pub(crate) use scan::Running;
pub(crate) use sorted::{
    Ascending, Between, Descending, DistinctColumn, DistinctTable, FindDistinct, FirstRanks,
    LineQuantiles, PlacesAscending, PlacesDescending, Ranking, place,
};
pub(crate) use store::{Cell, Sink, Store, taken_away};
pub(crate) use taken::{TakeRows, take_rows};
#[cfg(feature = "linalg")]
pub(crate) use tall::{Apply, Factor, Parts as RowParts, SquareSvd, Tails};

use std::ops::Range;

use flagstone_graph::{Counter, Result, TaskContext};
use flagstone_memory::{Bounded, Memory};

use crate::tape::{Blocks, Fused, Scope};

/// The memory of a task whose footprint is exact: what it declared was granted before it started,
/// so its kernels lease from that, and one that wanted more than declared would be refused.
pub(crate) fn declared(bytes: u64) -> Bounded {
    Bounded::new(bytes)
}

/// Evaluates a region into bytes in C order, counting what was read.
pub(crate) fn evaluate_into(
    fused: &Fused,
    region: &[Range<usize>],
    out: &mut [u8],
    blocks: &Blocks,
    memory: &dyn Memory,
    ctx: &TaskContext<'_>,
) -> Result<()> {
    let count_read = |bytes| ctx.count(Counter::BytesRead, bytes);
    let scope = Scope {
        memory,
        count_read: &count_read,
    };
    fused.eval_into(region, out, blocks, &scope)
}
