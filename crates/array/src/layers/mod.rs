//! The layers that arrays lower to.

mod evaluate;
mod product;
mod reduce;
mod store;

pub(crate) use evaluate::Evaluate;
pub(crate) use product::{MatrixProduct, Problem, ProductPlan};
pub(crate) use reduce::{MergeSums, PartialSums, merged_grid, partial_grid};
pub(crate) use store::{Sink, Store, write_error};

use std::ops::Range;

use flagstone_graph::{Counter, Result, TaskContext};
use flagstone_memory::{Bounded, Memory};

use crate::buffer::Buffer;
use crate::chunk::{Chunk, view_mut};
use crate::element::Element;
use crate::fused::{Fused, LeafBlocks, Scope};
use crate::grid::{lengths, volume};
use crate::value::{Value, copy_into};

/// The memory of a task whose footprint is exact: what it declared was granted before it started,
/// so its kernels lease from that, and one that wanted more than declared would be refused.
pub(crate) fn declared(bytes: u64) -> Bounded {
    Bounded::new(bytes)
}

/// Evaluates a region and returns it, counting what was read.
pub(crate) fn evaluate<'a, T: Element>(
    fused: &'a Fused<T>,
    region: &[Range<usize>],
    blocks: &mut LeafBlocks<T>,
    memory: &dyn Memory,
    ctx: &TaskContext<'_>,
) -> Result<Value<'a, T>> {
    let count_read = |bytes| ctx.count(Counter::BytesRead, bytes);
    let scope = Scope {
        memory,
        count_read: &count_read,
    };
    fused.eval(region, blocks, &scope)
}

/// A value as a chunk in C order, without a copy where it is one already.
pub(crate) fn into_chunk<T: Element>(
    value: Value<'_, T>,
    region: &[Range<usize>],
    memory: &dyn Memory,
) -> Result<Chunk<T>> {
    let shape = lengths(region);
    match value.into_buffer(&shape) {
        Ok(values) => Ok(Chunk::new(values, shape)),
        Err(value) => {
            let mut values = Buffer::leased(volume(region), memory)?;
            copy_into(&value.view(), view_mut(&mut values, &shape));
            Ok(Chunk::new(values, shape))
        }
    }
}
