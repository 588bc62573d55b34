//! Chunks of sorted lines, each merged from its part of every run.

use std::marker::PhantomData;

use flagstone_common::{Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer};

use super::ranking::Ranking;
use super::runs::{buffer_in, inputs_of, records_mut, runs_of, selection_bytes, tasks_of};
use super::select::Selection;
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::engine::evaluate::{coords, declared};
use crate::engine::lowering::check_count;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::Node;
use crate::grid::{ChunkGrid, lengths, volume};

/// The first records of each line in an order, longer than memory.
pub(crate) struct FirstRanks<K> {
    kind: PhantomData<fn() -> K>,
    /// How the runs lie.
    runs: ChunkGrid,
    grid: ChunkGrid,
    axis: usize,
}

impl<K: Ranking> FirstRanks<K> {
    /// The first `count` of each line of the node's operand along an axis.
    pub(crate) fn lower(
        lowering: &mut Lowering<'_>,
        node: &Node,
        axis: usize,
        count: usize,
    ) -> Result<Lowered> {
        let parts = lowering.operand(&node.inputs()[0])?;
        let (layer, runs) = runs_of::<K>(lowering, parts, axis, count, node)?;
        let mut chunk = runs.chunk_shape().to_vec();
        let lines: usize = volume(&runs.region(0)) / chunk[axis].max(1);
        let item = size_of::<K::Out>().max(size_of::<K::Record>());
        chunk[axis] = (lowering.plan.chunk_bytes() as usize / item / lines.max(1)).max(1);
        let grid = ChunkGrid::new(&node.shape, &chunk);
        check_count(grid.len() as u64, node)?;
        let merge = FirstRanks::<K> {
            kind: PhantomData,
            runs,
            grid: grid.clone(),
            axis,
        };
        Ok(Lowered {
            layer: lowering.push(merge, &[layer], node),
            grid,
            stride: 1,
            item_bytes: size_of::<K::Out>(),
        })
    }
}

impl<K: Ranking> Layer for FirstRanks<K> {
    fn name(&self) -> &str {
        K::NAME
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let group = self.grid.coords(task as usize);
        for run in tasks_of(&self.runs, self.axis, &group) {
            deps.push(0, run);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        let region = self.grid.region(task as usize);
        let output = (volume(&region) * size_of::<K::Out>()) as u64;
        // a line's records, and as many again for merging them
        let line = (region[self.axis].len() * size_of::<K::Record>()).next_multiple_of(8);
        let most = self.grid.shape()[self.axis];
        let selection = selection_bytes::<K::Record>(&self.runs, self.axis, most);
        let merging = 2 * line as u64 + 8192;
        Footprint::exact(output).with_scratch(merging + selection)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let memory = declared(self.footprint(task).scratch_bytes);
        let region = self.grid.region(task as usize);
        let (outer, rows, inner) = (
            volume(&region[..self.axis]),
            region[self.axis].len(),
            volume(&region[self.axis + 1..]),
        );
        let count = self.runs.counts()[self.axis];
        let runs = inputs_of::<K::Record>(&inputs, count, outer * inner)?;
        let mut out = Buffer::<K::Out>::granted(outer * rows * inner)?;
        let mut buffer = buffer_in::<K::Record>(rows, &memory)?;
        for line in 0..outer * inner {
            let records = records_mut::<K::Record>(&mut buffer, rows);
            let mut selection = Selection::new(&runs, line, &memory)?;
            let (from, _) = selection.first(region[self.axis].start)?;
            let (to, _) = selection.first(region[self.axis].end)?;
            drop(selection);
            let mut at = 0;
            for (run, (&from, &to)) in runs.iter().zip(from.iter().zip(&to)) {
                run.read(line, from, &mut records[at..at + to - from])?;
                at += to - from;
            }
            // a stable sort merges what is sorted already
            records.sort();
            let (o, i) = (line / inner, line % inner);
            for (k, &record) in records.iter().enumerate() {
                out[(o * rows + k) * inner + i] = K::out(record);
            }
            ctx.check_cancelled()?;
        }
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
