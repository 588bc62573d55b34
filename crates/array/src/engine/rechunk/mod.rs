//! Chunks that somebody asked for: the user, a store, or a layer whose tasks would need too many
//! blocks of another.
//!
//! Where a chunk needs few of the old ones, it is put together from them. Else (rows to columns)
//! every chunk would need all, so the old ones are first split:
//!
//! ```text
//! old chunks ─► wider ones ─► pieces ─► wider ones ─► new chunks
//!               (joined)     (split)     (joined)     (cut)
//! ```
//!
//! A piece lies in one chunk on either side. Pieces are made chunk by chunk and spilled where the
//! budget is short, so every element is written at most once a pass. Both sides are made as wide
//! as the budget allows, so that pieces are long; where they still would be tiny, chunks half way
//! between (by ratio) are made first. The number of passes grows with the logarithm of how far the
//! array exceeds the budget: one for hundreds of times, two for ten thousands.
//!
//! Stored chunks that can be read in any part need none of this: the pieces that a *band* of new
//! chunks side by side has of them are read when their band is made, and nothing is spilled.

pub(crate) mod steps;

use std::sync::Arc;

use flagstone_common::{Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer, LayerId};

use super::evaluate::Evaluate;
use super::lowering::{check_count, leaf_alone};
use crate::elements::dtype::DType;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::Node;
use crate::expr::view::View;
use crate::fuse::build::fuse;
use crate::fuse::leaves::Parts;
use crate::grid::ChunkGrid;
use steps::{Step, describe, describe_read, parts_read, steps};

/// Chunks in between are not larger: nothing is gained.
const BETWEEN_BYTES_MAX: u64 = 256 << 20;

impl Lowering<'_> {
    /// The bytes that a chunk made on the way may have: a task holds it and what it is made from,
    /// on every thread.
    pub(crate) fn between_bytes(&self) -> u64 {
        let share = self.plan.budget_bytes / (6 * self.plan.threads as u64);
        share.clamp(256, BETWEEN_BYTES_MAX)
    }

    /// Lowers an array to chunks of a given grid.
    pub(crate) fn lower_onto(&mut self, node: &Arc<Node>, grid: &ChunkGrid) -> Result<Lowered> {
        self.lower_layers_below(node)?;
        let parts = fuse(self, node)?;
        self.parts_onto(parts, grid, node)
    }

    /// Puts an operand of `node`, whose layers below were lowered, on a given grid.
    pub(crate) fn onto(
        &mut self,
        operand: &Arc<Node>,
        grid: &ChunkGrid,
        node: &Node,
    ) -> Result<Lowered> {
        let parts = fuse(self, operand)?;
        self.parts_onto(parts, grid, node)
    }

    fn parts_onto(&mut self, parts: Parts, grid: &ChunkGrid, node: &Node) -> Result<Lowered> {
        if parts.fused.is_leaf() {
            let lowered = parts.layers[0].clone();
            return self.regrid(lowered, node.dtype, grid, node);
        }
        if parts.layers.is_empty() {
            // windows of files are read in long runs, and cut in memory
            let wide = match parts.fused.is_stored() {
                true => self.wide_runs(&parts, grid, node.dtype.size()),
                false => grid.clone(),
            };
            let wide = self.evaluate_on(parts, wide, None, node)?;
            return self.regrid(wide, node.dtype, grid, node);
        }
        if self.inputs_bytes(&parts.fused, grid) <= 2 * self.between_bytes() {
            return self.evaluate_on(parts, grid.clone(), None, node);
        }
        let lowered = self.evaluate(parts, node)?;
        self.regrid(lowered, node.dtype, grid, node)
    }

    fn wide_runs(&self, parts: &Parts, grid: &ChunkGrid, item: usize) -> ChunkGrid {
        let ndim = grid.shape().len();
        if !grid.is_regular() || ndim == 0 {
            return grid.clone();
        }
        let along = if parts.fused.tape.is_permuted() {
            0
        } else {
            ndim - 1
        };
        let mut chunk = grid.chunk_shape().to_vec();
        let bytes = (grid.chunk_volume() * item).max(1) as u64;
        let times = (self.between_bytes() / bytes).max(1) as usize;
        chunk[along] = chunk[along].saturating_mul(times);
        ChunkGrid::new(grid.shape(), &chunk)
    }

    /// The blocks of a layer in other chunks.
    pub(crate) fn regrid(
        &mut self,
        lowered: Lowered,
        dtype: DType,
        grid: &ChunkGrid,
        node: &Node,
    ) -> Result<Lowered> {
        let key = (lowered.layer, grid.clone());
        if let Some(known) = self.regridded.get(&key) {
            return Ok(known.clone());
        }
        let item = lowered.item_bytes as u64;
        let (between, budget) = (self.between_bytes(), self.plan.budget_bytes);
        let mut steps = steps(&lowered.grid, grid, item, between, budget);
        if steps.len() > 1
            && let Some(reader) = self.readers.get(&lowered.layer).cloned()
            && let Some(pieces) = parts_read(reader.stored_grid(), grid, item, budget)
        {
            self.notes
                .push(describe_read(reader.stored_grid(), grid, &pieces, item));
            let lowered = reader.read_pieces(self, pieces, true, node)?;
            let result = self.joined(lowered, dtype, grid, node)?;
            self.regridded.insert(key, result.clone());
            return Ok(result);
        }
        // chunks that are there already, but each given by the last of several tasks
        if steps.is_empty() && lowered.stride > 1 {
            steps.push(Step::Join(grid.clone()));
        }
        if steps.len() > 1 {
            self.notes.push(describe(&lowered.grid, grid, &steps, item));
        }
        let mut result = lowered;
        for step in &steps {
            result = match step {
                Step::Join(grid) => self.joined(result, dtype, grid, node)?,
                Step::Split(grid) => self.split(result, dtype, grid, node)?,
            };
        }
        self.regridded.insert(key, result.clone());
        Ok(result)
    }

    fn joined(
        &mut self,
        of: Lowered,
        dtype: DType,
        grid: &ChunkGrid,
        node: &Node,
    ) -> Result<Lowered> {
        check_count(grid.len() as u64, node)?;
        let evaluate = taken("rechunk", &of, dtype, grid);
        let layer = self.push(evaluate, &[of.layer], node);
        Ok(on_grid(layer, grid, of.item_bytes))
    }

    fn split(
        &mut self,
        of: Lowered,
        dtype: DType,
        grid: &ChunkGrid,
        node: &Node,
    ) -> Result<Lowered> {
        check_count(grid.len() as u64, node)?;
        let evaluate = taken("rechunk-split", &of, dtype, grid);
        let (inputs, of_grid) = ([of.layer], of.grid);
        let split = Split {
            evaluate,
            of: of_grid,
        };
        let layer = self.push(split, &inputs, node);
        Ok(on_grid(layer, grid, of.item_bytes))
    }
}

/// A layer's elements in chunks of another grid.
fn taken(name: &'static str, of: &Lowered, dtype: DType, grid: &ChunkGrid) -> Evaluate {
    Evaluate {
        name,
        fused: leaf_alone(of, dtype, View::identity(grid.shape()), grid.shape()),
        grid: grid.clone(),
        in_place: None,
    }
}

fn on_grid(layer: LayerId, grid: &ChunkGrid, item_bytes: usize) -> Lowered {
    Lowered {
        layer,
        grid: grid.clone(),
        stride: 1,
        item_bytes,
    }
}

/// Cuts chunks into pieces, chunk by chunk: no chunk is needed again once the next one is begun.
struct Split {
    evaluate: Evaluate,
    /// The chunks that are cut.
    of: ChunkGrid,
}

impl Layer for Split {
    fn name(&self) -> &str {
        self.evaluate.name()
    }

    fn task_count(&self) -> u32 {
        self.evaluate.task_count()
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.evaluate.deps(task, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        self.evaluate.footprint(task)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        self.evaluate.run(task, inputs, ctx)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        self.evaluate.hash(hasher);
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        self.evaluate.coords(task)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        self.evaluate.io_bytes(task)
    }

    fn suggested_order(&self) -> Option<Box<dyn Iterator<Item = u32> + '_>> {
        let pieces = |chunk: usize| self.evaluate.grid.overlapping(&self.of.region(chunk));
        let order = (0..self.of.len()).flat_map(pieces);
        Some(Box::new(order.map(|piece| piece as u32)))
    }

    /// The simulation sees memory, not that a chunk that is left half cut is spilled and read.
    fn insists_on_order(&self) -> bool {
        true
    }
}
