//! One task a chunk: reads windows of sources, takes blocks, applies everything element-wise.

use flagstone_graph::{
    Block, Deps, Footprint, Inputs, IoBytes, Layer, Result, TaskContext, TokenHasher,
};

use super::{declared, evaluate, into_chunk};
use crate::element::Element;
use crate::fused::Fused;
use crate::grid::{ChunkGrid, volume};

/// Evaluates a fused expression chunk by chunk.
pub(crate) struct Evaluate<T: Element> {
    pub(crate) name: &'static str,
    pub(crate) fused: Fused<T>,
    pub(crate) grid: ChunkGrid,
    /// The leaf whose chunks are this layer's, one to one, and are worked on in place.
    pub(crate) in_place: Option<usize>,
}

impl<T: Element> Evaluate<T> {
    fn own_bytes(&self, task: u32) -> (u64, u64) {
        let region = self.grid.region(task as usize);
        let output = (volume(&region) * size_of::<T>()) as u64;
        let peak = self.fused.chunk_peak_bytes(&region, self.in_place);
        (output, peak.max(output))
    }
}

impl<T: Element> Layer for Evaluate<T> {
    fn name(&self) -> &str {
        self.name
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.fused.deps(&self.grid.region(task as usize), deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let (output, peak) = self.own_bytes(task);
        let footprint = Footprint::exact(output).with_scratch(peak - output);
        match self.in_place {
            Some(_) => footprint.reusing(0),
            None => footprint,
        }
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let memory = declared(self.own_bytes(task).1);
        let mut blocks = self.fused.blocks(&region, &mut inputs, &mut 0)?;
        let value = evaluate(&self.fused, &region, &mut blocks, &memory, ctx)?;
        Ok(Block::new(into_chunk(value, &region, &memory)?))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(T::NAME).str(&format!("{:?}", self.grid));
        self.fused.hash(hasher);
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }

    fn one_to_one(&self) -> Option<usize> {
        self.in_place.map(|leaf| self.fused.leaves[leaf].slot)
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
