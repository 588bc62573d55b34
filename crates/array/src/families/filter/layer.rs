//! Rows where a mask is true, when it was counted how many there are.
//!
//! The mask is cut into granules, whose rows are counted first (`CountTrue`). With the counts
//! every size is exact: *filter* tasks take the rows of one chunk each, however few, and *gather*
//! tasks put them together into chunks of equal length, which is what everybody else works with.
//!
//! ```text
//! mask     ██..█...│........│.███████│█.......      granules: 3, 0, 7, 1 rows
//! filter   [3]      -        [7]      [1]           chunks without rows are not read
//! gather   [6]──────────────────[5]─────            chunks of six rows
//! ```

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::dtype::DType;
use crate::engine::evaluate::coords;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, Region, lengths, span, volume};

/// Granules are at most as many, so that their counts take next to no memory.
const GRANULES_MAX: usize = 1 << 16;

/// Elements of a mask that are counted together.
pub(crate) fn granule(length: usize) -> usize {
    length.div_ceil(GRANULES_MAX).next_power_of_two().max(1)
}

/// The operation that counts a mask of one dimension: one number a granule.
pub(crate) struct CountTrue;

impl Lower for CountTrue {
    fn name(&self) -> &'static str {
        "count-true"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let of = &node.inputs()[0];
        let parts = lowering.operand(of)?;
        let granule = granule(of.shape[0]);
        let chunk = lowering.plan.chunk_bytes() as usize / granule;
        let granules = ChunkGrid::new(&node.shape, &[chunk.max(1)]);
        check_count(granules.len() as u64, node)?;
        let inputs = parts.inputs();
        let layer = Count {
            fused: parts.fused,
            grid: granules.clone(),
            granule,
        };
        Ok(Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid: granules,
            stride: 1,
            item_bytes: size_of::<i64>(),
        })
    }
}

struct Count {
    fused: Fused,
    /// Of the granules.
    grid: ChunkGrid,
    granule: usize,
}

impl Piecewise for Count {
    fn name(&self) -> &'static str {
        "count-true"
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, _: usize, task: u32) -> Region {
        let granules = &self.grid.region(task as usize)[0];
        let end = (granules.end * self.granule).min(self.fused.shape()[0]);
        span(granules.start * self.granule..end)
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<i64>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.region(0, task);
        volume(&region) as u64 + self.fused.scratch_bytes(&region)
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let mask = piece.values::<bool>(0, &self.fused)?;
        let granules = self.grid.region(piece.task as usize);
        let mut counts = Buffer::<i64>::granted(volume(&granules))?;
        for (count, granule) in counts.iter_mut().zip(mask.chunks(self.granule)) {
            *count = granule.iter().filter(|&&set| set).count() as i64;
        }
        Ok(Block::new(Chunk::new(counts, lengths(&granules))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.u64(self.granule as u64);
    }
}

/// The operation: rows of the first operand where the second is true.
pub(crate) struct TakeTrue {
    /// Rows before each granule, and in all.
    pub(crate) before: Arc<[usize]>,
    pub(crate) granule: usize,
}

impl TakeTrue {
    /// Rows before a place of the mask that is the start of a granule, or its end.
    fn rows_before(&self, place: usize) -> usize {
        let granule = place.div_ceil(self.granule).min(self.before.len() - 1);
        self.before[granule]
    }
}

impl Lower for TakeTrue {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let [of, _] = node.inputs() else {
            return Err(Error::invalid("a filter has two operands"));
        };
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let evaluation = lowering.evaluation_grid(&fused[0]);
        let mut chunk = evaluation.chunk_shape().to_vec();
        chunk[0] = (chunk[0] / self.granule * self.granule).max(self.granule);
        let grid = ChunkGrid::new(&of.shape, &chunk);
        check_count(grid.len() as u64, node)?;
        let rows: Vec<usize> = (0..grid.counts()[0])
            .map(|i| self.rows_before(i * chunk[0]))
            .chain([self.rows_before(of.shape[0])])
            .collect();
        let rows: Arc<[usize]> = rows.into();
        let filter = Filter {
            fused,
            grid: grid.clone(),
            rows: Arc::clone(&rows),
        };
        let filtered = lowering.push(Tasks(filter), &inputs, node);
        // as many rows as a chunk holds
        let item = of.dtype.size();
        let width: usize = chunk[1..].iter().product::<usize>() * item;
        chunk[0] = (lowering.plan.chunk_bytes() as usize / width.max(1)).max(1);
        let results = ChunkGrid::new(&node.shape, &chunk);
        check_count(results.len() as u64, node)?;
        let gather = Gather {
            parts: grid,
            grid: results.clone(),
            rows,
            dtype: of.dtype,
        };
        Ok(Lowered {
            layer: lowering.push(gather, &[filtered], node),
            grid: results,
            stride: 1,
            item_bytes: item,
        })
    }
}

/// Takes the rows of each chunk.
struct Filter {
    /// The elements and the mask.
    fused: Vec<Fused>,
    grid: ChunkGrid,
    /// Rows before each chunk along the first axis, and in all.
    rows: Arc<[usize]>,
}

impl Filter {
    fn taken(&self, task: u32) -> usize {
        let row = self.grid.coords(task as usize)[0];
        self.rows[row + 1] - self.rows[row]
    }
}

impl Piecewise for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, operand: usize, task: u32) -> Region {
        let mut region = self.grid.region(task as usize);
        if self.taken(task) == 0 {
            region[0].end = region[0].start;
        }
        region.truncate(if operand == 0 { region.len() } else { 1 });
        region
    }

    fn output_bytes(&self, task: u32) -> u64 {
        let row = volume(&self.grid.region(task as usize)[1..]) * self.fused[0].dtype().size();
        (self.taken(task) * row) as u64
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let dtype = self.fused[0].dtype();
        let mut shape = lengths(&self.grid.region(piece.task as usize));
        shape[0] = self.taken(piece.task);
        let row = shape[1..].iter().product::<usize>() * dtype.size();
        let mut out = Buffer::<u8>::granted(shape[0] * row)?;
        if shape[0] > 0 {
            let values = piece.bytes(0, &self.fused[0])?;
            let mask = piece.values::<bool>(1, &self.fused[1])?;
            let set = mask.iter().enumerate().filter(|(_, set)| **set);
            let mut taken = 0;
            for (to, (from, _)) in out.chunks_exact_mut(row.max(1)).zip(set) {
                to.copy_from_slice(&values[from * row..(from + 1) * row]);
                taken += 1;
            }
            if taken != shape[0] && row > 0 {
                return Err(changed());
            }
        }
        Ok(Block::new(Chunk::from_buffer(out, dtype, shape)))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?}", self.rows));
    }
}

fn changed() -> Error {
    Error::invalid(
        "a mask had another number of true elements than when it was counted: its file or function \
         changed meanwhile",
    )
}

/// Puts rows together into chunks of equal length.
struct Gather {
    /// The chunks that rows were taken of.
    parts: ChunkGrid,
    grid: ChunkGrid,
    /// Rows before each part along the first axis, and in all.
    rows: Arc<[usize]>,
    dtype: DType,
}

impl Gather {
    /// The parts of a task's rows: their task, and the rows there.
    fn parts(&self, task: u32) -> Vec<(u32, Range<usize>)> {
        let mut at = self.grid.coords(task as usize);
        let rows = &self.grid.region(task as usize)[0];
        let first = self.rows.partition_point(|&before| before <= rows.start);
        let mut parts = Vec::new();
        for part in first.saturating_sub(1)..self.parts.counts()[0] {
            let (start, end) = (self.rows[part], self.rows[part + 1]);
            if start >= rows.end {
                break;
            }
            let common = rows.start.max(start)..rows.end.min(end);
            if common.is_empty() {
                continue;
            }
            at[0] = part;
            let place = at.iter().zip(self.parts.counts());
            let number = place.fold(0, |number, (&at, &count)| number * count + at);
            parts.push((number as u32, common.start - start..common.end - start));
        }
        parts
    }
}

impl Layer for Gather {
    fn name(&self) -> &str {
        "gather"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        for (part, _) in self.parts(task) {
            deps.push(0, part);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        let elements = volume(&self.grid.region(task as usize));
        Footprint::exact((elements * self.dtype.size()) as u64)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let shape = lengths(&self.grid.region(task as usize));
        let row = shape[1..].iter().product::<usize>() * self.dtype.size();
        let mut out = Buffer::<u8>::granted(shape[0] * row)?;
        let mut at = 0;
        for (input, (of, rows)) in self.parts(task).into_iter().enumerate() {
            let mut taken = lengths(&self.parts.region(of as usize));
            let at_rows = self.parts.coords(of as usize)[0];
            taken[0] = self.rows[at_rows + 1] - self.rows[at_rows];
            let part = Chunk::input(&inputs, input, self.dtype, &taken)?;
            let bytes = &part.bytes()[rows.start * row..rows.end * row];
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        }
        Ok(Block::new(Chunk::from_buffer(out, self.dtype, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?} {:?} {:?}", self.parts, self.grid, self.rows));
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
