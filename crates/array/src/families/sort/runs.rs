//! Sorted runs in files.

use std::marker::PhantomData;

use flagstone_common::{Error, Memory, Result, ScratchFile, ScratchRange, TokenHasher};
use flagstone_graph::{Block, BlockData, Footprint, Inputs, LayerId};

use super::ranking::{Ranking, bytes_of, bytes_of_mut};
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::elements::order::Record;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::Lowering;
use crate::expr::node::Node;
use crate::fuse::leaves::Parts;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, volume};

/// Runs of a line are at most as many where the budget allows: each is a file while it is needed.
const RUNS_MAX: usize = 512;

/// One sorted run.
pub(crate) struct Run<R> {
    /// Where it lies in the file.
    pub(crate) range: ScratchRange,
    /// How many records it has.
    pub(crate) len: usize,
    /// How many of them are numbers, which come first.
    pub(crate) known: usize,
    /// The last record of every full `step` records.
    pub(crate) samples: Vec<R>,
}

/// The sorted runs of one task, a run a line. Only the samples are in memory.
pub(crate) struct Runs<R: Record> {
    pub(crate) file: Box<dyn ScratchFile>,
    pub(crate) runs: Vec<Run<R>>,
    /// Records between samples.
    pub(crate) step: usize,
}

impl<R: Record> Runs<R> {
    /// Fills `records` with those of a run from `from` on.
    pub(crate) fn read(&self, run: usize, from: usize, records: &mut [R]) -> Result<()> {
        let from = (from * size_of::<R>()) as u64;
        self.file
            .read(self.runs[run].range, from, bytes_of_mut(records))
    }
}

impl<R: Record> BlockData for Runs<R> {
    fn nbytes(&self) -> u64 {
        let lens = self.runs.iter().map(|run| run.samples.len());
        held_bytes::<R>(self.runs.len(), lens.sum())
    }
}

pub(crate) fn held_bytes<R>(runs: usize, samples: usize) -> u64 {
    (size_of::<Runs<u64>>() + runs * size_of::<Run<R>>() + samples * size_of::<R>() + 256) as u64
}

/// Records between samples, for runs of this length.
pub(crate) fn step_of(len: usize) -> usize {
    (len / 2).isqrt().max(8)
}

/// The layer of sorted runs of an operand's lines: how they lie, by chunks of the operand, is the
/// grid. No more than `most` records of a run are kept.
pub(crate) fn runs_of<K: Ranking>(
    lowering: &mut Lowering<'_>,
    parts: Parts,
    axis: usize,
    most: usize,
    node: &Node,
) -> Result<(LayerId, ChunkGrid)> {
    let inputs = parts.inputs();
    let shape = parts.fused.shape().to_vec();
    let grid = lowering
        .plan
        .runs_grid(&shape, size_of::<K::In>(), axis, RUNS_MAX);
    check_count(grid.len() as u64, node)?;
    let layer = SortRuns::<K> {
        fused: parts.fused,
        grid: grid.clone(),
        axis,
        most,
        kind: PhantomData,
    };
    Ok((lowering.push(Tasks(layer), &inputs, node), grid))
}

/// The layer.
struct SortRuns<K> {
    fused: Fused,
    grid: ChunkGrid,
    axis: usize,
    most: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K: Ranking> SortRuns<K> {
    fn step(&self) -> usize {
        step_of(self.grid.chunk_shape()[self.axis])
    }
}

impl<K: Ranking> Piecewise for SortRuns<K> {
    fn name(&self) -> &'static str {
        "sort-runs"
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn output_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let lines = volume(&region) / region[self.axis].len().max(1);
        let samples = region[self.axis].len().min(self.most) / self.step();
        held_bytes::<K::Record>(lines, lines * samples)
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.grid.region(task as usize);
        let values = volume(&region) * size_of::<K::In>();
        let line = (region[self.axis].len() * size_of::<K::Record>()).next_multiple_of(8);
        (values + line) as u64 + self.fused.scratch_bytes(&region)
    }

    fn footprint(&self, task: u32) -> Footprint {
        let footprint = Footprint::exact(self.output_bytes(task)).resident();
        footprint.with_scratch(self.scratch_bytes(task))
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let region = piece.region();
        let values = piece.values::<K::In>(0, &self.fused)?;
        let rows = &region[self.axis];
        let (outer, inner) = (
            volume(&region[..self.axis]),
            volume(&region[self.axis + 1..]),
        );
        let mut buffer = buffer_in::<K::Record>(rows.len(), &piece.memory)?;
        let line = records_mut::<K::Record>(&mut buffer, rows.len());
        let file = piece.ctx.scratch_file()?;
        let mut runs = Vec::with_capacity(outer * inner);
        for o in 0..outer {
            for i in 0..inner {
                let mut known = 0;
                for (k, record) in line.iter_mut().enumerate() {
                    let value = values[(o * rows.len() + k) * inner + i];
                    known += usize::from(!value.is_not_a_number());
                    *record = K::record(value, rows.start + k);
                }
                let len = line.len().min(self.most);
                if len < line.len() && len > 0 {
                    line.select_nth_unstable(len - 1);
                }
                let kept = &mut line[..len];
                kept.sort_unstable();
                let step = self.step();
                runs.push(Run {
                    range: file.append(bytes_of(kept), 0)?,
                    len,
                    known: known.min(len),
                    samples: kept.iter().skip(step - 1).step_by(step).copied().collect(),
                });
            }
            piece.ctx.check_cancelled()?;
        }
        let step = self.step();
        Ok(Block::new(Runs { file, runs, step }))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        // a file is never used again
        hasher.unique();
    }
}

/// Room for records.
pub(crate) fn buffer_in<R: Record>(len: usize, memory: &dyn Memory) -> Result<Buffer<u64>> {
    let words = (len * size_of::<R>()).div_ceil(8);
    Ok(Buffer::<u64>::leased(words, memory)?)
}

/// The first records of a buffer.
pub(crate) fn records_mut<R: Record>(buffer: &mut Buffer<u64>, len: usize) -> &mut [R] {
    assert!(len * size_of::<R>() <= buffer.len() * 8);
    // SAFETY: the buffer is aligned for words, holds as many bytes, and every bit pattern is a
    // record.
    unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast(), len) }
}

/// The runs of a group of so many lines, in order along the axis.
pub(crate) fn inputs_of<'i, R: Record>(
    inputs: &'i Inputs<'_>,
    count: usize,
    lines: usize,
) -> Result<Vec<&'i Runs<R>>> {
    let wrong = || {
        Error::bug(format!(
            "a block was given for sorted runs of {lines} lines"
        ))
    };
    (0..count)
        .map(|input| {
            let runs: Option<&Runs<R>> = inputs.block(input)?.downcast_ref();
            runs.filter(|runs| runs.runs.len() == lines)
                .ok_or_else(wrong)
        })
        .collect()
}

/// The numbers of the tasks whose runs a group of lines has.
pub(crate) fn tasks_of(grid: &ChunkGrid, axis: usize, group: &[usize]) -> Vec<u32> {
    let mut at = group.to_vec();
    (0..grid.counts()[axis])
        .map(|run| {
            at[axis] = run;
            let place = at.iter().zip(grid.counts());
            place.fold(0, |number, (&at, &count)| number * count + at) as u32
        })
        .collect()
}

/// Bytes that finding a rank in the runs of a line takes; see `Selection`.
pub(crate) fn selection_bytes<R: Record>(grid: &ChunkGrid, axis: usize, most: usize) -> u64 {
    let (length, chunk) = (grid.shape()[axis], grid.chunk_shape()[axis]);
    super::select::scratch_bytes::<R>(
        length.min(grid.counts()[axis].saturating_mul(most)),
        grid.counts()[axis],
        step_of(chunk),
    )
}
