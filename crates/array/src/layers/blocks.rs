//! A user's function of whole blocks, with or without their neighbours' edges.

use std::sync::Arc;

use flagstone_graph::{
    Block, Deps, Error, ErrorKind, Footprint, Inputs, IoBytes, Layer, Result, TaskContext,
};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::evaluate::coords;
use super::{declared, evaluate_into};
use crate::buffer::Buffer;
use crate::chunk::Chunk;
use crate::element::{Element, as_bytes_mut};
use crate::grid::{ChunkGrid, Region, lengths, volume};
use crate::lower::{Lowered, Lowering, check_count};
use crate::node::{Lower, Node};
use crate::tape::Fused;

/// Where a block lies, for the function that is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPlace {
    /// The block's coordinates among the blocks.
    pub coords: Vec<usize>,
    /// The index of its first element (without what it has of its neighbours).
    pub start: Vec<usize>,
}

/// A block from a block.
pub(crate) type OfBlock<T, U> =
    Arc<dyn Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync>;

/// The operation: blocks of an array that was padded by `depth` on both sides of each axis.
pub(crate) struct MapBlocks<T, U> {
    pub(crate) name: &'static str,
    /// How the result is cut.
    pub(crate) grid: ChunkGrid,
    pub(crate) depth: Vec<usize>,
    pub(crate) function: OfBlock<T, U>,
}

impl<T: Element, U: Element> Lower for MapBlocks<T, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let mut parts = lowering.operand(&node.inputs()[0])?;
        check_count(self.grid.len() as u64, node)?;
        lowering.fit_leaves(&mut parts, &self.grid, node)?;
        let inputs = parts.inputs();
        let layer = Blocks {
            name: self.name,
            fused: parts.fused,
            grid: self.grid.clone(),
            depth: self.depth.clone(),
            function: Arc::clone(&self.function),
        };
        Ok(Lowered {
            layer: lowering.push(layer, &inputs, node),
            grid: self.grid.clone(),
            stride: 1,
            item_bytes: size_of::<U>(),
        })
    }
}

/// The layer.
struct Blocks<T, U> {
    name: &'static str,
    fused: Fused,
    grid: ChunkGrid,
    depth: Vec<usize>,
    function: OfBlock<T, U>,
}

impl<T: Element, U: Element> Blocks<T, U> {
    /// A block with its neighbours' edges, in the padded array.
    fn padded(&self, task: u32) -> Region {
        let region = self.grid.region(task as usize);
        region
            .iter()
            .zip(&self.depth)
            .map(|(range, depth)| range.start..range.end + 2 * depth)
            .collect()
    }

    /// Output and scratch: the block, and what the function returns.
    fn sizes(&self, task: u32) -> (u64, u64) {
        let padded = self.padded(task);
        let output = volume(&self.grid.region(task as usize)) * size_of::<U>();
        let scratch = volume(&padded) * (size_of::<T>() + size_of::<U>());
        let scratch = scratch as u64 + self.fused.scratch_bytes(&padded);
        (output as u64, scratch)
    }
}

impl<T: Element, U: Element> Layer for Blocks<T, U> {
    fn name(&self) -> &str {
        self.name
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.fused.deps(&self.padded(task), None, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let (output, scratch) = self.sizes(task);
        Footprint::exact(output).with_scratch(scratch)
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let (region, padded) = (self.grid.region(task as usize), self.padded(task));
        let memory = declared(self.sizes(task).1);
        let blocks = self.fused.blocks(&padded, None, &mut inputs, &mut 0)?;
        let mut values = Buffer::<T>::leased(volume(&padded), &memory)?;
        let bytes = as_bytes_mut(&mut values);
        evaluate_into(&self.fused, &padded, bytes, &blocks, &memory, ctx)?;
        let view = ArrayViewD::from_shape(IxDyn(&lengths(&padded)), &values[..]);
        let view = view.map_err(Error::failed)?;
        let place = BlockPlace {
            coords: self.grid.coords(task as usize),
            start: region.iter().map(|range| range.start).collect(),
        };
        let mapped = (self.function)(&place, view);
        if mapped.shape() != lengths(&padded) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "the function of block {:?} returned the shape {:?} for a block of shape {:?}",
                    place.coords,
                    mapped.shape(),
                    lengths(&padded)
                ),
            ));
        }
        let inside = mapped.slice_each_axis(|axis| {
            let axis = axis.axis.index();
            let start = self.depth[axis];
            ndarray::Slice::from(start..start + region[axis].len())
        });
        let mut out = Buffer::<U>::granted(volume(&region))?;
        for (to, &from) in out.iter_mut().zip(inside.iter()) {
            *to = from;
        }
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        IoBytes {
            read: self.fused.storage_bytes(&self.padded(task)),
            written: 0,
        }
    }
}
