//! One task a chunk: reads windows of sources, takes blocks, applies everything element-wise.

use std::ops::Range;

use flagstone_common::{Bounded, Counter, Memory, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::fuse::tape::{Blocks, Fused, Scope};
use crate::grid::{ChunkGrid, lengths, volume};

/// Evaluates a fused expression chunk by chunk.
pub(crate) struct Evaluate {
    pub(crate) name: &'static str,
    pub(crate) fused: Fused,
    pub(crate) grid: ChunkGrid,
    /// The leaf whose chunks are this layer's, one to one, and are worked on in place.
    pub(crate) in_place: Option<usize>,
}

impl Layer for Evaluate {
    fn name(&self) -> &str {
        self.name
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let region = self.grid.region(task as usize);
        self.fused.deps(&region, self.in_place, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let region = self.grid.region(task as usize);
        let output = (volume(&region) * self.fused.dtype().size()) as u64;
        let footprint = Footprint::exact(output).with_scratch(self.fused.scratch_bytes(&region));
        match self.in_place {
            Some(_) => footprint.reusing(0),
            None => footprint,
        }
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let memory = declared(self.fused.scratch_bytes(&region));
        let mut blocks = self
            .fused
            .blocks(&region, self.in_place, &mut inputs, &mut 0)?;
        let (dtype, shape) = (self.fused.dtype(), lengths(&region));
        if let Some(leaf) = self.in_place {
            let count_read = |bytes| ctx.count(Counter::BytesRead, bytes);
            let scope = Scope {
                memory: &memory,
                count_read: &count_read,
            };
            if let Some(values) = self
                .fused
                .eval_in_place(&region, leaf, &mut blocks, &scope)?
            {
                return Ok(Block::new(Chunk::from_buffer(values, dtype, shape)));
            }
        }
        let mut values = Buffer::<u8>::granted(volume(&region) * dtype.size())?;
        evaluate_into(&self.fused, &region, &mut values, &blocks, &memory, ctx)?;
        Ok(Block::new(Chunk::from_buffer(values, dtype, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?} {:?}", self.grid, self.in_place));
        self.fused.hash(hasher);
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }

    fn one_to_one(&self) -> Option<usize> {
        self.in_place
            .map(|leaf| &self.fused.leaves[leaf])
            .filter(|leaf| leaf.stride == 1)
            .map(|leaf| leaf.slot)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        IoBytes {
            read: self.fused.storage_bytes(&self.grid.region(task as usize)),
            written: 0,
        }
    }
}

pub(crate) fn coords(grid: &ChunkGrid, task: u32) -> Vec<u32> {
    grid.coords(task as usize)
        .into_iter()
        .map(|coord| coord as u32)
        .collect()
}

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
