//! A function of whole lines along one axis: sorting, quantiles, users' functions.
//!
//! A task has a few lines from end to end. A line that does not fit the budget is refused before
//! the run, with the numbers.

use std::sync::Arc;

use flagstone_graph::{
    Block, Deps, Footprint, Inputs, IoBytes, Layer, Result, TaskContext, TokenHasher,
};

use super::evaluate::coords;
use super::{declared, evaluate_into};
use crate::buffer::Buffer;
use crate::chunk::Chunk;
use crate::element::{Element, as_bytes_mut};
use crate::grid::{ChunkGrid, lengths, volume};
use crate::lower::{Lowered, Lowering, check_count};
use crate::node::{Lower, Node};
use crate::tape::Fused;

/// Fills a line of results from a line of elements, which it may reorder.
pub(crate) type OfLine<T, U> = Arc<dyn Fn(&mut [T], &mut [U]) + Send + Sync>;

/// The operation: lines of `axis` become lines of `length` along the same axis.
pub(crate) struct AlongLines<T, U> {
    pub(crate) name: &'static str,
    pub(crate) axis: usize,
    pub(crate) length: usize,
    /// Parameters, for tokens; `None` for a user's function.
    pub(crate) token: Option<String>,
    /// Bytes that the function allocates beside, for a line.
    pub(crate) scratch_bytes: u64,
    pub(crate) function: OfLine<T, U>,
}

impl<T: Element, U: Element> Lower for AlongLines<T, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let of = &node.inputs()[0];
        let mut parts = lowering.operand(of)?;
        let item = size_of::<T>().max(size_of::<U>());
        let grid = lowering.plan.lines_grid(&of.shape, item, self.axis);
        check_count(grid.len() as u64, node)?;
        lowering.fit_leaves(&mut parts, &grid, node)?;
        let inputs = parts.inputs();
        let (mut shape, mut chunk) = (of.shape.clone(), grid.chunk_shape().to_vec());
        (shape[self.axis], chunk[self.axis]) = (self.length, self.length);
        let layer = Lines {
            name: self.name,
            fused: parts.fused,
            grid,
            axis: self.axis,
            length: self.length,
            token: self.token.clone(),
            line_scratch_bytes: self.scratch_bytes,
            function: Arc::clone(&self.function),
        };
        Ok(Lowered {
            layer: lowering.push(layer, &inputs, node),
            grid: ChunkGrid::new(&shape, &chunk),
            stride: 1,
            item_bytes: size_of::<U>(),
        })
    }
}

/// The layer.
struct Lines<T, U> {
    name: &'static str,
    fused: Fused,
    /// Of the operand: every chunk has whole lines.
    grid: ChunkGrid,
    axis: usize,
    length: usize,
    token: Option<String>,
    line_scratch_bytes: u64,
    function: OfLine<T, U>,
}

impl<T: Element, U: Element> Lines<T, U> {
    /// Output and scratch.
    fn sizes(&self, task: u32) -> (u64, u64) {
        let region = self.grid.region(task as usize);
        let line = region[self.axis].len();
        let lines = volume(&region) / line.max(1);
        let values = volume(&region) * size_of::<T>();
        let one = line * size_of::<T>() + self.length * size_of::<U>();
        let scratch = (values + one) as u64 + self.line_scratch_bytes;
        let output = (lines * self.length * size_of::<U>()) as u64;
        (output, scratch + self.fused.scratch_bytes(&region))
    }
}

impl<T: Element, U: Element> Layer for Lines<T, U> {
    fn name(&self) -> &str {
        self.name
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let region = self.grid.region(task as usize);
        self.fused.deps(&region, None, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let (output, scratch) = self.sizes(task);
        Footprint::exact(output).with_scratch(scratch)
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let memory = declared(self.sizes(task).1);
        let blocks = self.fused.blocks(&region, None, &mut inputs, &mut 0)?;
        let mut values = Buffer::<T>::leased(volume(&region), &memory)?;
        let bytes = as_bytes_mut(&mut values);
        evaluate_into(&self.fused, &region, bytes, &blocks, &memory, ctx)?;
        let (outer, inner) = (
            volume(&region[..self.axis]),
            volume(&region[self.axis + 1..]),
        );
        let line = region[self.axis].len();
        let mut out = Buffer::<U>::granted(outer * self.length * inner)?;
        let mut elements = Buffer::<T>::leased(line, &memory)?;
        let mut results = Buffer::<U>::leased(self.length, &memory)?;
        for o in 0..outer {
            if inner == 1 {
                let from = &mut values[o * line..(o + 1) * line];
                let to = &mut out[o * self.length..(o + 1) * self.length];
                (self.function)(from, to);
                continue;
            }
            for i in 0..inner {
                for (k, element) in elements.iter_mut().enumerate() {
                    *element = values[(o * line + k) * inner + i];
                }
                (self.function)(&mut elements, &mut results);
                for (k, &result) in results.iter().enumerate() {
                    out[(o * self.length + k) * inner + i] = result;
                }
            }
            ctx.check_cancelled()?;
        }
        let mut shape = lengths(&region);
        shape[self.axis] = self.length;
        Ok(Block::new(Chunk::new(out, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        match &self.token {
            Some(token) => _ = hasher.str(token),
            None => _ = hasher.unique(),
        }
        let types = (T::DTYPE, U::DTYPE);
        hasher.str(&format!(
            "{types:?} {} {} {:?}",
            self.axis, self.length, self.grid
        ));
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
