//! The distinct values of an array and how often each is there, however many there are.
//!
//! Runs are sorted and equal values put together at once, so that a run has every value once.
//! Then values are cut into parts of about equal length, each of which is merged by itself into a
//! file; the files together are the result, whose length is known when they are written.

use std::marker::PhantomData;
use std::sync::Arc;

use flagstone_common::{Error, Result, ScratchFile, ScratchRange, TaskContext, TokenHasher};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer, LayerId};

use crate::chunk::buffer::Buffer;
use crate::elements::bytes::{as_bytes, as_bytes_mut};
use crate::elements::element::Element;
use crate::elements::order::{Key, Record};
use crate::engine::evaluate::declared;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::Lowering;
use crate::expr::node::Node;
use crate::expr::source::Source;
use crate::families::sort::ranking::bytes_of;
use crate::families::sort::runs::{
    Run, Runs, buffer_in, held_bytes, inputs_of, records_mut, selection_bytes, step_of,
};
use crate::families::sort::select::Selection;
use crate::fuse::tape::Fused;
use crate::grid::along::Along;
use crate::grid::{ChunkGrid, volume};

/// Runs are at most as many where the budget allows.
const RUNS_MAX: usize = 256;

/// A value with how often it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
struct Counted {
    key: u64,
    count: u64,
}

// SAFETY: two words.
unsafe impl Record for Counted {}

/// Puts equal neighbours together and returns how many are left.
fn put_together(records: &mut [Counted]) -> usize {
    let mut len = 0;
    for i in 0..records.len() {
        if len > 0 && records[len - 1].key == records[i].key {
            records[len - 1].count += records[i].count;
        } else {
            records[len] = records[i];
            len += 1;
        }
    }
    len
}

/// The operation on an array of one axis: its blocks are [`Distinct`] parts, no chunks.
pub(crate) struct FindDistinct<T>(pub(crate) PhantomData<fn() -> T>);

impl<T: Element> FindDistinct<T> {
    /// Adds the layers; the last one has the parts in order.
    pub(crate) fn push(lowering: &mut Lowering<'_>, node: &Arc<Node>) -> Result<LayerId> {
        let parts = lowering.lower_expression(node)?;
        let inputs = parts.inputs();
        let record = size_of::<Counted>();
        let grid = lowering.plan.runs_grid(&node.shape, record, 0, RUNS_MAX);
        check_count(grid.len() as u64, node)?;
        let runs = DistinctRuns::<T> {
            fused: parts.fused,
            grid: grid.clone(),
            element: PhantomData,
        };
        let runs = lowering.push(Tasks(runs), &inputs, node);
        // a part may have a value more of each run
        let rows = (grid.chunk_shape()[0] / 4).max(grid.len());
        let merge = MergeDistinct::<T> {
            parts: ChunkGrid::new(&node.shape, &[rows]),
            runs: grid,
            element: PhantomData,
        };
        Ok(lowering.push(merge, &[runs], node))
    }
}

/// Sorts runs and counts equal values.
struct DistinctRuns<T> {
    fused: Fused,
    grid: ChunkGrid,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Piecewise for DistinctRuns<T> {
    fn name(&self) -> &'static str {
        "distinct-runs"
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn output_bytes(&self, task: u32) -> u64 {
        let samples =
            volume(&self.grid.region(task as usize)) / step_of(self.grid.chunk_shape()[0]);
        held_bytes::<Counted>(1, samples)
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let values = volume(&region) * (size_of::<T>() + size_of::<Counted>());
        values as u64 + self.fused.scratch_bytes(&region)
    }

    fn footprint(&self, task: u32) -> Footprint {
        let footprint = Footprint::exact(self.output_bytes(task)).resident();
        footprint.with_scratch(self.scratch_bytes(task))
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let values = piece.values::<T>(0, &self.fused)?;
        let mut buffer = buffer_in::<Counted>(values.len(), &piece.memory)?;
        let records = records_mut::<Counted>(&mut buffer, values.len());
        for (record, value) in records.iter_mut().zip(values.iter()) {
            *record = Counted {
                key: value.loose_key().to_word(),
                count: 1,
            };
        }
        records.sort_unstable_by_key(|record| record.key);
        let len = put_together(records);
        let records = &records[..len];
        let file = piece.ctx.scratch_file()?;
        let step = step_of(self.grid.chunk_shape()[0]);
        let samples = records.iter().skip(step - 1).step_by(step);
        let run = Run {
            range: file.append(bytes_of(records), 0)?,
            len,
            known: len,
            samples: samples.copied().collect(),
        };
        Ok(Block::new(Runs {
            file,
            runs: vec![run],
            step,
        }))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}

/// Merges values of all runs, part by part.
struct MergeDistinct<T> {
    runs: ChunkGrid,
    /// Ranks among the values of all runs, as many as there can be at most.
    parts: ChunkGrid,
    element: PhantomData<fn() -> T>,
}

/// Some of the distinct values, with their counts: in a file.
struct Distinct {
    /// With the values, and their counts.
    file: Option<(Box<dyn ScratchFile>, [ScratchRange; 2])>,
    len: usize,
}

impl BlockData for Distinct {
    fn nbytes(&self) -> u64 {
        DISTINCT_BYTES
    }
}

const DISTINCT_BYTES: u64 = 256;

impl<T: Element> MergeDistinct<T> {
    /// Records that a part reads at most.
    fn most(&self) -> usize {
        self.parts.chunk_shape()[0] + self.runs.len()
    }
}

impl<T: Element> Layer for MergeDistinct<T> {
    fn name(&self) -> &str {
        "distinct"
    }

    fn task_count(&self) -> u32 {
        self.parts.len() as u32
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.runs.len() as u32);
    }

    fn footprint(&self, _: u32) -> Footprint {
        let selection = selection_bytes::<Counted>(&self.runs, 0, usize::MAX);
        // the records, as many again for merging them, and the columns that are written
        let record = 2 * size_of::<Counted>() + size_of::<T>() + size_of::<i64>();
        let records = (self.most() * record) as u64 + 8192;
        Footprint::exact(DISTINCT_BYTES)
            .resident()
            .with_scratch(selection + records)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let runs = inputs_of::<Counted>(&inputs, self.runs.len(), 1)?;
        let total: usize = runs.iter().map(|runs| runs.runs[0].len).sum();
        let ranks = self.parts.region(task as usize).swap_remove(0);
        if ranks.start >= total {
            let (file, len) = (None, 0);
            return Ok(Block::new(Distinct { file, len }));
        }
        let memory = declared(self.footprint(task).scratch_bytes);
        let mut selection = Selection::new(&runs, 0, &memory)?;
        let (from, first) = selection.first(ranks.start)?;
        let (to, end) = selection.first(ranks.end)?;
        drop(selection);
        // a value belongs to the part of its first record: equal ones may stand one before
        let first = first
            .filter(|_| ranks.start > 0)
            .map_or(0, |first| first.key);
        let inside = |key: u64| first <= key && end.is_none_or(|end| key < end.key);
        let mut buffer = buffer_in::<Counted>(self.most(), &memory)?;
        let records = records_mut::<Counted>(&mut buffer, self.most());
        let mut at = 0;
        for (runs, (&from, &to)) in runs.iter().zip(from.iter().zip(&to)) {
            let from = from.saturating_sub(1);
            let read = &mut records[at..at + to - from];
            runs.read(0, from, read)?;
            let mut kept = 0;
            for i in 0..read.len() {
                if inside(read[i].key) {
                    read[kept] = read[i];
                    kept += 1;
                }
            }
            at += kept;
            ctx.check_cancelled()?;
        }
        let records = &mut records[..at];
        records.sort_by_key(|record| record.key);
        let len = put_together(records);
        let mut values = Buffer::<T>::leased(len, &memory)?;
        let mut counts = Buffer::<i64>::leased(len, &memory)?;
        for (i, record) in records[..len].iter().enumerate() {
            values[i] = T::of_key(T::Key::from_word(record.key));
            counts[i] = record.count as i64;
        }
        let file = ctx.scratch_file()?;
        let columns = [
            file.append(as_bytes(&values), task)?,
            file.append(as_bytes(&counts), task)?,
        ];
        let file = Some((file, columns));
        Ok(Block::new(Distinct { file, len }))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}

/// All distinct values: the parts, and how many values are before each.
pub(crate) struct DistinctTable {
    parts: Vec<Block>,
    before: Vec<usize>,
}

impl DistinctTable {
    /// From the blocks of the layer that [`FindDistinct`] made.
    pub(crate) fn new(blocks: Vec<Block>) -> Result<Self> {
        let (mut parts, mut before) = (Vec::new(), vec![0]);
        let mut total = 0;
        for block in blocks {
            let wrong = || Error::invalid("a block of distinct values is something else");
            let len = block.downcast_ref::<Distinct>().ok_or_else(wrong)?.len;
            if len > 0 {
                total += len;
                before.push(total);
                parts.push(block);
            }
        }
        Ok(DistinctTable { parts, before })
    }

    /// A table of so many values that nobody found: to plan with what comes after it.
    pub(crate) fn claimed(len: usize) -> Self {
        let (parts, before) = (Vec::new(), vec![0, len]);
        DistinctTable { parts, before }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.before[self.before.len() - 1]
    }

    /// Fills `out` with a column from place `from` on.
    fn read<T: Element>(&self, column: Column, mut from: usize, mut out: &mut [T]) -> Result<()> {
        while !out.is_empty() {
            let part = self.before.partition_point(|&before| before <= from) - 1;
            let gone = || Error::invalid("a place beyond the distinct values");
            let distinct = self
                .parts
                .get(part)
                .and_then(Block::downcast_ref::<Distinct>);
            let distinct = distinct.ok_or_else(gone)?;
            let inside = from - self.before[part];
            let count = out.len().min(distinct.len - inside);
            let (head, tail) = out.split_at_mut(count);
            let (file, columns) = distinct.file.as_ref().ok_or_else(gone)?;
            let offset = (inside * size_of::<T>()) as u64;
            file.read(columns[column as usize], offset, as_bytes_mut(head))?;
            from += count;
            out = tail;
        }
        Ok(())
    }
}

/// What is kept of each distinct value.
#[derive(Debug, Clone, Copy)]
enum Column {
    Values,
    Counts,
}

/// A column of the distinct values as an array.
pub(crate) struct DistinctColumn<T> {
    pub(crate) table: Arc<DistinctTable>,
    shape: [usize; 1],
    column: Column,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> DistinctColumn<T> {
    /// The values.
    pub(crate) fn values(table: Arc<DistinctTable>) -> Self {
        DistinctColumn::new(table, Column::Values)
    }

    /// How often each was there.
    pub(crate) fn counts(table: Arc<DistinctTable>) -> Self {
        DistinctColumn::new(table, Column::Counts)
    }

    fn new(table: Arc<DistinctTable>, column: Column) -> Self {
        DistinctColumn {
            shape: [table.len()],
            table,
            column,
            element: PhantomData,
        }
    }
}

impl<T: Element> Source for DistinctColumn<T> {
    fn name(&self) -> &'static str {
        "unique"
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64> {
        let (along, out) = (&window[0], crate::elements::bytes::from_bytes_mut::<T>(out));
        let mut at = 0;
        while at < along.len() {
            let from = along.at(at);
            let mut run = 1;
            while at + run < along.len() && along.at(at + run) == from + run {
                run += 1;
            }
            self.table.read(self.column, from, &mut out[at..at + run])?;
            at += run;
        }
        Ok(0)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}
