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

use std::sync::Arc;

use flagstone_graph::{
    Block, Deps, Footprint, Inputs, IoBytes, Layer, LayerId, Result, TaskContext, TokenHasher,
};
use flagstone_memory::format_bytes;

use super::{Lowered, Lowering, check_count, leaf_alone};
use crate::dtype::DType;
use crate::grid::ChunkGrid;
use crate::layers::Evaluate;
use crate::node::Node;
use crate::tape::{Parts, fuse};
use crate::view::View;

/// Smaller pieces cost more to spill than an additional pass.
const PIECE_BYTES_MIN: u64 = 64 << 10;
/// Fewer pieces than this are cheap, however small.
const PIECES_FREE: u64 = 4096;
/// Chunks in between are not larger: nothing is gained.
const BETWEEN_BYTES_MAX: u64 = 256 << 20;
/// Passes beyond this are not planned; pieces are then as small as they are.
const PASSES_MAX: usize = 4;
/// Parts of a stored chunk that lie apart are read where they have at least this.
const RUN_BYTES_MIN: usize = 4 << 10;

/// A step from one chunking to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Each chunk from the old ones that have a part of it.
    Join(ChunkGrid),
    /// Each piece from the one old chunk that has it, old chunk by old chunk.
    Split(ChunkGrid),
}

impl Lowering<'_> {
    /// The bytes that a chunk made on the way may have: a task holds it and what it is made from,
    /// on every thread.
    pub(super) fn between_bytes(&self) -> u64 {
        let share = self.plan.budget_bytes / (6 * self.plan.threads as u64);
        share.clamp(256, BETWEEN_BYTES_MAX)
    }

    /// Lowers an array to chunks of a given grid.
    pub(crate) fn lower_onto(&mut self, node: &Arc<Node>, grid: &ChunkGrid) -> Result<Lowered> {
        self.lower_layers_below(node)?;
        let parts = fuse(self, node)?;
        self.parts_onto(parts, grid, node)
    }

    /// The same for an operand of `node`, whose layers below were lowered.
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
    pub(super) fn regrid(
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
            && let Some(pieces) = parts_read(&reader.stored.grid, grid, item, budget)
        {
            self.notes
                .push(describe_read(&reader.stored.grid, grid, &pieces, item));
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

/// The parts of stored chunks that bands of new ones are made of, if they are worth a read each.
fn parts_read(stored: &ChunkGrid, to: &ChunkGrid, item: u64, budget: u64) -> Option<ChunkGrid> {
    // a band, the next one's pieces and the chunks that are written
    let band = widened(to, stored, item, budget / 3);
    if grid_bytes(&band, item) > budget / 3 {
        return None;
    }
    let pieces = crossed(stored, &band);
    let mut run = item as usize;
    for axis in (0..pieces.shape().len()).rev() {
        run *= pieces.chunk_shape()[axis];
        if pieces.chunk_shape()[axis] < stored.chunk_shape()[axis] {
            break;
        }
    }
    let count = pieces.len() as u64;
    let bytes = pieces.shape().iter().product::<usize>() as u64 * item;
    let few = count <= PIECES_FREE || bytes / count.max(1) >= PIECE_BYTES_MIN;
    (few && run >= RUN_BYTES_MIN).then_some(pieces)
}

/// The most bytes of old chunks that a new one has a part of.
fn joined_bytes(from: &ChunkGrid, to: &ChunkGrid, item: u64) -> u64 {
    let along = |axis: usize| {
        let covered = |coord: usize| {
            let span = to.span(axis, coord);
            if span.is_empty() {
                return 0;
            }
            let first = from.span(axis, from.coord_at(axis, span.start)).start;
            from.span(axis, from.coord_at(axis, span.end - 1)).end - first
        };
        // of even chunks a few tell of all; the others are looked at one by one
        let count = to.counts()[axis];
        (0..count).map(covered).max().unwrap_or(0) as u64
    };
    (0..to.shape().len()).map(along).product::<u64>() * item
}

/// How many new chunks, at most, have a part of an old one.
fn readers(from: &ChunkGrid, to: &ChunkGrid) -> u64 {
    let along = |axis: usize| {
        let met = |coord: usize| {
            let span = from.span(axis, coord);
            match span.is_empty() {
                true => 1,
                false => to.coord_at(axis, span.end - 1) - to.coord_at(axis, span.start) + 1,
            }
        };
        (0..from.counts()[axis]).map(met).max().unwrap_or(1) as u64
    };
    (0..from.shape().len()).map(along).product()
}

fn grid_bytes(grid: &ChunkGrid, item: u64) -> u64 {
    grid.chunk_volume() as u64 * item
}

/// Chunks of multiples of a grid's, longer where those of `toward` are, of at most `most` bytes.
fn widened(grid: &ChunkGrid, toward: &ChunkGrid, item: u64, most: u64) -> ChunkGrid {
    if !grid.is_regular() {
        return grid.clone();
    }
    let mut chunk = grid.chunk_shape().to_vec();
    let mut rest = (most / grid_bytes(grid, item).max(1)) as usize;
    for axis in (0..chunk.len()).rev() {
        let wanted = toward.chunk_shape()[axis].div_ceil(chunk[axis]);
        let times = wanted.min(rest).max(1);
        chunk[axis] *= times;
        rest /= times;
    }
    ChunkGrid::new(grid.shape(), &chunk)
}

/// The cells that lie in one chunk of either grid.
fn crossed(a: &ChunkGrid, b: &ChunkGrid) -> ChunkGrid {
    let lists: Vec<Vec<usize>> = (0..a.shape().len())
        .map(|axis| {
            let ends = |grid: &ChunkGrid| -> Vec<usize> {
                let count = grid.counts()[axis];
                (0..count).map(|coord| grid.span(axis, coord).end).collect()
            };
            let mut ends = [ends(a), ends(b)].concat();
            ends.sort_unstable();
            ends.dedup();
            let starts = std::iter::once(0).chain(ends.iter().copied());
            ends.iter()
                .zip(starts)
                .map(|(end, start)| end - start)
                .collect()
        })
        .collect();
    ChunkGrid::irregular(a.shape(), &lists).unwrap_or_else(|_| b.clone())
}

/// How to get from one chunking to another.
fn steps(from: &ChunkGrid, to: &ChunkGrid, item: u64, between: u64, budget: u64) -> Vec<Step> {
    if from == to {
        return Vec::new();
    }
    let total = from.shape().iter().product::<usize>() as u64 * item;
    let joined = joined_bytes(from, to, item);
    // old chunks that many new ones need are kept, or spilled once and read again
    let near = readers(from, to) <= 4 || joined_bytes(to, from, item) <= 2 * between;
    if total <= budget / 8 || joined <= 2 * between && near {
        return vec![Step::Join(to.clone())];
    }
    let mut steps = Vec::new();
    passes(from, to, item, between, PASSES_MAX, &mut steps);
    steps
}

fn passes(
    from: &ChunkGrid,
    to: &ChunkGrid,
    item: u64,
    between: u64,
    passes_left: usize,
    steps: &mut Vec<Step>,
) {
    let fine = |a: &ChunkGrid, b: &ChunkGrid| {
        let pieces = crossed(a, b);
        let count = pieces.len() as u64;
        let bytes = pieces.shape().iter().product::<usize>() as u64 * item;
        count <= PIECES_FREE || bytes / count.max(1) >= PIECE_BYTES_MIN
    };
    let (mut wide_from, mut wide_to) = (from.clone(), to.clone());
    if !fine(&wide_from, &wide_to) {
        wide_from = widened(from, to, item, between);
    }
    if !fine(&wide_from, &wide_to) {
        wide_to = widened(to, from, item, between);
    }
    if wide_from != *from {
        steps.push(Step::Join(wide_from.clone()));
    }
    if fine(&wide_from, &wide_to) || passes_left <= 1 {
        let pieces = crossed(&wide_from, &wide_to);
        steps.push(Step::Split(pieces.clone()));
        // chunks that lie in one old one each are pieces themselves
        if pieces != wide_to {
            steps.push(Step::Join(wide_to.clone()));
        }
    } else {
        // half way by ratio: no larger than the larger of both, and pieces are as long on both ways
        let half: Vec<usize> = wide_from
            .chunk_shape()
            .iter()
            .zip(wide_to.chunk_shape())
            .map(|(&a, &b)| ((a as f64 * b as f64).sqrt() as usize).max(1))
            .collect();
        let half = ChunkGrid::new(from.shape(), &half);
        passes(&wide_from, &half, item, between, passes_left / 2, steps);
        passes(&half, &wide_to, item, between, passes_left / 2, steps);
    }
    if wide_to != *to {
        steps.push(Step::Join(to.clone()));
    }
}

/// The plan in a sentence.
fn describe(from: &ChunkGrid, to: &ChunkGrid, steps: &[Step], item: u64) -> String {
    let total = from.shape().iter().product::<usize>() as u64 * item;
    let mut passes = 0;
    let mut ways = vec![format!("chunks of {:?}", from.chunk_shape())];
    for step in steps {
        match step {
            Step::Join(grid) => ways.push(format!("chunks of {:?}", grid.chunk_shape())),
            Step::Split(grid) => {
                passes += 1;
                ways.push(format!(
                    "{} pieces of up to {}",
                    grid.len(),
                    format_bytes(grid_bytes(grid, item))
                ));
            }
        }
    }
    format!(
        "rechunk {} of shape {:?} to {:?} in {passes} pass{} through memory and spill files: {}",
        format_bytes(total),
        from.shape(),
        to.chunk_shape(),
        if passes == 1 { "" } else { "es" },
        ways.join(" -> ")
    )
}

/// The plan in a sentence, where stored chunks are read in parts.
fn describe_read(stored: &ChunkGrid, to: &ChunkGrid, pieces: &ChunkGrid, item: u64) -> String {
    let total = stored.shape().iter().product::<usize>() as u64 * item;
    format!(
        "rechunk {} of shape {:?} to {:?} in 1 pass without spill files: {} pieces of up to {} \
         read from stored chunks of {:?}",
        format_bytes(total),
        stored.shape(),
        to.chunk_shape(),
        pieces.len(),
        format_bytes(grid_bytes(pieces, item)),
        stored.chunk_shape()
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_chunks_go_through_pieces_and_near_ones_do_not() {
        let shape = [4096, 4096];
        let rows = ChunkGrid::new(&shape, &[32, 4096]);
        let columns = ChunkGrid::new(&shape, &[4096, 32]);
        let near = ChunkGrid::new(&shape, &[48, 4096]);
        let budget = 32 << 20;
        assert_eq!(steps(&rows, &rows, 8, budget / 12, budget), []);
        assert_eq!(
            steps(&rows, &near, 8, budget / 12, budget),
            [Step::Join(near)]
        );
        let plan = steps(&rows, &columns, 8, budget / 12, budget);
        let splits = plan.iter().filter(|step| matches!(step, Step::Split(_)));
        assert_eq!(splits.count(), 1, "{plan:?}");
        assert_eq!(plan.last(), Some(&Step::Join(columns.clone())));
        // all of it fits
        let plan = steps(&rows, &columns, 8, 1 << 30, 2 << 30);
        assert_eq!(plan, [Step::Join(columns)]);
    }

    #[test]
    fn passes_stay_few_as_arrays_outgrow_the_budget() {
        let budget: u64 = 1 << 30;
        for (edge, most) in [(22_000, 1), (100_000, 1), (1_000_000, 2), (4_000_000, 4)] {
            let shape = [edge, edge];
            let rows = ChunkGrid::new(&shape, &[8, edge]);
            let columns = ChunkGrid::new(&shape, &[edge, 8]);
            let plan = steps(&rows, &columns, 8, budget / 12, budget);
            let splits = plan
                .iter()
                .filter(|step| matches!(step, Step::Split(_)))
                .count();
            assert!((1..=most).contains(&splits), "{edge}: {splits}");
            for step in &plan {
                let (Step::Join(grid) | Step::Split(grid)) = step;
                assert!(grid_bytes(grid, 8) <= (budget / 12).max(8 * 8 * edge as u64));
            }
        }
    }
}
