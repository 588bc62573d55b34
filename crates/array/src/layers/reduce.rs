//! Sums along an axis: a partial sum per chunk, then a tree over the chunks.
//!
//! Chunks hold a power of two of leaves and the tree's fan-in is a power of two, so every task adds
//! a subtree of the canonical tree of `kernels/sum.rs`: the bits do not depend on the chunks.

use flagstone_graph::{
    Block, Deps, Error, Footprint, Inputs, IoBytes, Layer, Result, TaskContext, TokenHasher,
};
use flagstone_memory::Memory;

use super::evaluate::coords;
use super::{declared, evaluate};
use crate::buffer::Buffer;
use crate::chunk::Chunk;
use crate::element::{Element, as_bytes};
use crate::fused::Fused;
use crate::grid::{ChunkGrid, volume};
use crate::kernels::sum::{LEAF, Tree, sum_axis};

/// How many partial sums one task merges.
const FAN_IN: usize = 16;

/// The partial sums' grid: the summed axis has one element a chunk.
pub(crate) fn partial_grid(input: &ChunkGrid, axis: usize) -> ChunkGrid {
    let (mut shape, mut chunk) = (input.shape().to_vec(), input.chunk_shape().to_vec());
    shape[axis] = input.counts()[axis];
    chunk[axis] = 1;
    ChunkGrid::new(&shape, &chunk)
}

/// The grid after one level of merging; the last level drops the axis.
pub(crate) fn merged_grid(parts: &ChunkGrid, axis: usize) -> (ChunkGrid, bool) {
    let (mut shape, mut chunk) = (parts.shape().to_vec(), parts.chunk_shape().to_vec());
    let last = shape[axis] <= FAN_IN;
    if last {
        shape.remove(axis);
        chunk.remove(axis);
    } else {
        shape[axis] = shape[axis].div_ceil(FAN_IN);
    }
    (ChunkGrid::new(&shape, &chunk), last)
}

/// Sums each chunk of an expression along an axis.
pub(crate) struct PartialSums<T: Element> {
    pub(crate) fused: Fused<T>,
    pub(crate) grid: ChunkGrid,
    pub(crate) axis: usize,
}

impl<T: Element> PartialSums<T> {
    fn sizes(&self, task: u32) -> (u64, u64) {
        let region = self.grid.region(task as usize);
        let along = region[self.axis].len();
        let other = region_without(&region, self.axis);
        let output = (other * size_of::<T>()) as u64;
        let tree = output * Tree::<T>::depth(along.div_ceil(LEAF)) as u64;
        let input = self.fused.cost(&region, None).peak_bytes;
        (output, input + tree)
    }
}

fn region_without(region: &[std::ops::Range<usize>], axis: usize) -> usize {
    region
        .iter()
        .enumerate()
        .filter(|&(i, _)| i != axis)
        .map(|(_, range)| range.len())
        .product()
}

impl<T: Element> Layer for PartialSums<T> {
    fn name(&self) -> &str {
        "sum"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.fused.deps(&self.grid.region(task as usize), deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let (output, scratch) = self.sizes(task);
        Footprint::exact(output).with_scratch(scratch)
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let (output, scratch) = self.sizes(task);
        let memory = declared(output + scratch);
        let mut blocks = self.fused.blocks(&region, &mut inputs, &mut 0)?;
        let value = evaluate(&self.fused, &region, &mut blocks, &memory, ctx)?;
        let sums = sum_axis(&value.view(), self.axis);
        let mut shape = crate::grid::lengths(&region);
        shape[self.axis] = 1;
        Ok(Block::new(Chunk::new(filled(&sums, &memory)?, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher
            .str(T::NAME)
            .u64(self.axis as u64)
            .str(&format!("{:?}", self.grid));
        self.fused.hash(hasher);
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        IoBytes {
            read: self.fused.storage_bytes(&self.grid.region(task as usize)),
            written: 0,
        }
    }
}

fn filled<T: Element>(values: &[T], memory: &dyn Memory) -> Result<Buffer<T>> {
    let mut buffer = Buffer::leased(values.len(), memory)?;
    buffer.copy_from_slice(values);
    Ok(buffer)
}

/// Merges partial sums, up to [`FAN_IN`] a task.
pub(crate) struct MergeSums<T> {
    pub(crate) parts: ChunkGrid,
    pub(crate) grid: ChunkGrid,
    pub(crate) axis: usize,
    /// Set on the last level: drops the axis and finishes each sum (a mean divides it).
    pub(crate) last: bool,
    pub(crate) finish: Option<fn(T, usize) -> T>,
    /// The length of the axis that was summed.
    pub(crate) length: usize,
}

impl<T: Element> MergeSums<T> {
    fn parts_of(&self, task: u32) -> Vec<usize> {
        let mut coords = self.grid.coords(task as usize);
        if self.last {
            coords.insert(self.axis, 0);
        }
        let counts = self.parts.counts();
        let from = coords[self.axis] * FAN_IN;
        (from..(from + FAN_IN).min(counts[self.axis]))
            .map(|part| {
                coords[self.axis] = part;
                coords
                    .iter()
                    .zip(counts)
                    .fold(0, |chunk, (&coord, &count)| chunk * count + coord)
            })
            .collect()
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<T>()) as u64
    }
}

impl<T: Element> Layer for MergeSums<T> {
    fn name(&self) -> &str {
        if self.finish.is_some() {
            "mean"
        } else {
            "merge-sums"
        }
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.parts_of(task)
            .into_iter()
            .for_each(|part| deps.push(0, part as u32));
    }

    fn footprint(&self, task: u32) -> Footprint {
        let output = self.output_bytes(task);
        Footprint::exact(output).with_scratch(output * Tree::<T>::depth(FAN_IN) as u64)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let memory = declared(self.footprint(task).own_bytes());
        let mut tree = Tree::new();
        for i in 0..inputs.len() {
            tree.push(inputs.get::<Chunk<T>>(i)?.values().to_vec());
        }
        let mut sums = tree
            .finish()
            .ok_or_else(|| Error::invalid("a sum without parts"))?;
        if let Some(finish) = self.finish.filter(|_| self.last) {
            sums.iter_mut()
                .for_each(|sum| *sum = finish(*sum, self.length));
        }
        let shape = crate::grid::lengths(&self.grid.region(task as usize));
        debug_assert_eq!(as_bytes(&sums).len() as u64, self.output_bytes(task));
        Ok(Block::new(Chunk::new(filled(&sums, &memory)?, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        let divided = self.finish.is_some();
        hasher.str(T::NAME).str(&format!(
            "{} {} {divided} {:?}",
            self.axis, self.length, self.grid
        ));
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
