//! The list, chunk by chunk in the order of the array's chunks.

use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, ScratchRange, Spool, TaskContext, TokenHasher};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer};

use super::Layout;
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::{as_bytes, as_bytes_mut};
use crate::engine::evaluate::declared;
use crate::engine::piecewise::{Piece, Piecewise};
use crate::fuse::tape::Fused;
use crate::grid::ChunkGrid;

/// Sorts chunks of the list by the chunk of the array that each place is in. Pairs of a place in
/// that chunk and a place in the list's chunk are written to the file.
pub(super) struct SortPlaces {
    pub(super) fused: Fused,
    pub(super) layout: Layout,
    pub(super) file: Arc<Spool>,
}

/// Where the pairs of one chunk of the list lie in the file. Behind them is how many are before
/// those of each chunk of the array, and in all.
struct Sorted(ScratchRange);

impl BlockData for Sorted {
    fn nbytes(&self) -> u64 {
        SORTED_BYTES
    }
}

const SORTED_BYTES: u64 = 16;

impl Piecewise for SortPlaces {
    fn name(&self) -> &'static str {
        "sort-places"
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.layout.places
    }

    fn output_bytes(&self, _: u32) -> u64 {
        SORTED_BYTES
    }

    /// The places, as many pairs, where those of each chunk start and how far they are filled.
    fn scratch_bytes(&self, task: u32) -> u64 {
        let rows = self.layout.places.region(task as usize)[0].len();
        let chunks = self.layout.row_chunks() + 1;
        self.operand_bytes(task) + (8 * rows + 8 * chunks) as u64
    }

    fn footprint(&self, task: u32) -> Footprint {
        let footprint = Footprint::exact(self.output_bytes(task)).resident();
        footprint.with_scratch(self.scratch_bytes(task))
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let (rows, chunks) = (&self.layout.rows, self.layout.row_chunks());
        let length = rows.shape()[0] as i64;
        let mut places = piece.values::<i64>(0, &self.fused)?;
        let mut out = Buffer::<u32>::leased(2 * places.len() + chunks + 1, &piece.memory)?;
        let (pairs, starts) = out.split_at_mut(2 * places.len());
        for place in places.iter_mut() {
            let at = if *place < 0 { *place + length } else { *place };
            if !(0..length).contains(&at) {
                let message = format!("index {place} is outside an axis of {length} elements");
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            *place = at;
            starts[rows.coord_at(0, at as usize) + 1] += 1;
        }
        for chunk in 0..chunks {
            starts[chunk + 1] += starts[chunk];
        }
        let mut filled = Buffer::<u32>::leased(chunks + 1, &piece.memory)?;
        filled.copy_from_slice(starts);
        for (i, &place) in places.iter().enumerate() {
            let chunk = rows.coord_at(0, place as usize);
            let to = 2 * filled[chunk] as usize;
            filled[chunk] += 1;
            pairs[to] = (place as usize - rows.span(0, chunk).start) as u32;
            pairs[to + 1] = i as u32;
        }
        let sorted = self.file.append(as_bytes(&out), piece.task, piece.ctx)?;
        Ok(Block::new(Sorted(sorted)))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        // a file is never used again
        hasher.unique();
    }
}

/// How many rows go from each chunk of the array to each chunk of the result.
pub(super) struct Table {
    /// Where the pairs of each chunk of the list lie in the file.
    sorted: Vec<ScratchRange>,
    /// Per chunk of the list and of the array, how many rows of the latter go to chunks before; and
    /// in all.
    before: Counts,
    row_chunks: usize,
}

/// Numbers of rows: half as wide where they fit.
enum Counts {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Counts {
    fn at(&self, i: usize) -> u64 {
        match self {
            Counts::Narrow(counts) => counts[i].into(),
            Counts::Wide(counts) => counts[i],
        }
    }

    fn sum(&self, range: std::ops::Range<usize>) -> u64 {
        match self {
            Counts::Narrow(counts) => counts[range].iter().map(|&count| u64::from(count)).sum(),
            Counts::Wide(counts) => counts[range].iter().sum(),
        }
    }

    /// The bytes of one, for a list of this length.
    fn item_bytes(rows: usize) -> u64 {
        if u32::try_from(rows).is_ok() { 4 } else { 8 }
    }
}

impl Table {
    /// Where in the file the pairs of a chunk of the list lie.
    pub(super) fn sorted(&self, list: usize) -> ScratchRange {
        self.sorted[list]
    }

    /// From which byte on the pairs of a chunk of the list are of a chunk of the array, and how many
    /// they are.
    pub(super) fn pairs(&self, list: usize, chunk: usize) -> (u64, usize) {
        let row = |list: usize| list * self.row_chunks..list * self.row_chunks + chunk;
        let start = self.before.sum(row(list + 1)) - self.before.sum(row(list));
        (8 * start, self.count(list, chunk))
    }

    /// How many rows of a chunk of the array go to a chunk of the result.
    pub(super) fn count(&self, list: usize, chunk: usize) -> usize {
        (self.before(list + 1, chunk) - self.before(list, chunk)) as usize
    }

    /// How many rows of a chunk of the array go to chunks before this one.
    pub(super) fn before(&self, list: usize, chunk: usize) -> u64 {
        self.before.at(list * self.row_chunks + chunk)
    }

    /// How many chunks the list has.
    pub(super) fn lists(&self) -> usize {
        self.sorted.len()
    }
}

fn table_bytes(layout: &Layout) -> u64 {
    let (lists, rows) = (layout.places.len() as u64, layout.row_chunks() as u64);
    let item = Counts::item_bytes(layout.places.shape()[0]);
    16 * lists + item * rows * (lists + 1)
}

impl BlockData for Table {
    fn nbytes(&self) -> u64 {
        let counts = match &self.before {
            Counts::Narrow(counts) => 4 * counts.len(),
            Counts::Wide(counts) => 8 * counts.len(),
        };
        (size_of_val(&self.sorted[..]) + counts) as u64
    }
}

/// The barrier that makes the table.
pub(super) struct Collected {
    pub(super) layout: Layout,
    pub(super) file: Arc<Spool>,
}

impl Layer for Collected {
    fn name(&self) -> &str {
        "collect-places"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.layout.places.len() as u32);
    }

    fn footprint(&self, _: u32) -> Footprint {
        let starts = 4 * (self.layout.row_chunks() as u64 + 1);
        Footprint::exact(table_bytes(&self.layout))
            .resident()
            .with_scratch(starts)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let memory = declared(self.footprint(task).scratch_bytes);
        let row_chunks = self.layout.row_chunks();
        let (lists, rows) = (inputs.len(), self.layout.places.shape()[0]);
        let len = (lists + 1) * row_chunks;
        let mut before = match Counts::item_bytes(rows) {
            4 => Counts::Narrow(vec![0; len]),
            _ => Counts::Wide(vec![0; len]),
        };
        let mut sorted = Vec::with_capacity(lists);
        let mut starts = Buffer::<u32>::leased(row_chunks + 1, &memory)?;
        for list in 0..lists {
            let &Sorted(range) = inputs.get::<Sorted>(list)?;
            sorted.push(range);
            let pairs = 8 * self.layout.places.region(list)[0].len() as u64;
            self.file.read(range, pairs, as_bytes_mut(&mut starts))?;
            for chunk in 0..row_chunks {
                let count = starts[chunk + 1] - starts[chunk];
                let at = list * row_chunks + chunk;
                match &mut before {
                    Counts::Narrow(before) => before[at + row_chunks] = before[at] + count,
                    Counts::Wide(before) => {
                        before[at + row_chunks] = before[at] + u64::from(count);
                    }
                }
            }
        }
        Ok(Block::new(Table {
            sorted,
            before,
            row_chunks,
        }))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}
