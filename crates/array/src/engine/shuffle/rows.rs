//! The rows that are wanted of each chunk of the array, in the order of the result's chunks.

use std::sync::Arc;

use flagstone_graph::{
    Block, BlockData, Deps, Footprint, Inputs, Layer, Result, TaskContext, TokenHasher,
};

use super::places::Table;
use super::{Layout, SharedFile};
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::{as_bytes, as_bytes_mut};
use crate::engine::piecewise::{Piece, Piecewise};
use crate::fuse::tape::Fused;
use crate::grid::ChunkGrid;

/// Pairs that are read at once.
const PAIRS: usize = 4096;

/// Writes rows of chunks of the array, chunk after chunk of the result.
pub(super) struct CutRows {
    pub(super) fused: Fused,
    pub(super) layout: Layout,
    pub(super) table_slot: usize,
    pub(super) sorted: Arc<SharedFile>,
    pub(super) file: Arc<SharedFile>,
}

/// Where the rows of one chunk of the array lie: pieces of equally many, but the last. The first are
/// known; where there are more, a list of all of them is in the file.
pub(super) struct Segments {
    first: [u64; KNOWN],
    list: u64,
}

const KNOWN: usize = 2;

impl BlockData for Segments {
    fn nbytes(&self) -> u64 {
        size_of::<Segments>() as u64
    }
}

impl CutRows {
    /// Where the buffer of rows to be written ends.
    fn segment_bytes(&self, task: u32) -> usize {
        let region = self.layout.rows.region(task as usize);
        self.layout.segment_rows() * self.layout.row_bytes(&region)
    }
}

impl Piecewise for CutRows {
    fn name(&self) -> &'static str {
        "cut-rows"
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.layout.rows
    }

    fn output_bytes(&self, _: u32) -> u64 {
        size_of::<Segments>() as u64
    }

    /// The values, a piece of rows, pairs, and where pieces are: no more than the list has chunks,
    /// as a piece has at least as many rows as one of those.
    fn scratch_bytes(&self, task: u32) -> u64 {
        let lists = self.layout.places.len();
        self.operand_bytes(task) + (self.segment_bytes(task) + 8 * PAIRS + 8 * lists) as u64
    }

    fn footprint(&self, task: u32) -> Footprint {
        let footprint = Footprint::exact(self.output_bytes(task)).resident();
        footprint.with_scratch(self.scratch_bytes(task))
    }

    fn more_deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(self.table_slot, 0);
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let table = piece.inputs.get::<Table>(piece.next)?;
        let chunk = self.layout.rows.coords(piece.task as usize)[0];
        let row = self.layout.row_bytes(piece.region());
        let values = piece.bytes(0, &self.fused)?;
        let mut segment = Buffer::<u8>::leased(self.segment_bytes(piece.task), &piece.memory)?;
        let mut pairs = Buffer::<u32>::leased(2 * PAIRS, &piece.memory)?;
        let mut written = Buffer::<u64>::leased(table.lists(), &piece.memory)?;
        let (mut segments, mut filled) = (0, 0);
        let mut write = |segment: &[u8]| -> Result<()> {
            written[segments] = self.file.append(segment, piece.ctx)?;
            segments += 1;
            Ok(())
        };
        for list in 0..table.lists() {
            let (mut offset, mut left) = match row {
                0 => (0, 0),
                _ => table.pairs(list, chunk),
            };
            while left > 0 {
                let count = left.min(PAIRS);
                self.sorted
                    .read(as_bytes_mut(&mut pairs[..2 * count]), offset)?;
                for pair in pairs[..2 * count].chunks_exact(2) {
                    let from = pair[0] as usize * row;
                    if filled == segment.len() {
                        write(&segment)?;
                        filled = 0;
                    }
                    segment[filled..filled + row].copy_from_slice(&values[from..from + row]);
                    filled += row;
                }
                offset += 8 * count as u64;
                left -= count;
            }
            piece.ctx.check_cancelled()?;
        }
        if filled > 0 {
            write(&segment[..filled])?;
        }
        let mut first = [0; KNOWN];
        let known = segments.min(KNOWN);
        first[..known].copy_from_slice(&written[..known]);
        let list = match segments > KNOWN {
            true => self
                .file
                .append(as_bytes(&written[..segments]), piece.ctx)?,
            false => 0,
        };
        Ok(Block::new(Segments { first, list }))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}

/// The pieces of all chunks of the array.
pub(super) struct AllSegments(Vec<Segments>);

impl AllSegments {
    /// Where a row lies that a chunk of the array has written as its `number`-th, and how many
    /// follow it there.
    pub(super) fn find(
        &self,
        (chunk, number): (usize, u64),
        layout: &Layout,
        file: &SharedFile,
    ) -> Result<(usize, u64)> {
        let rows = layout.segment_rows() as u64;
        let (piece, inside) = ((number / rows) as usize, number % rows);
        let segments = &self.0[chunk];
        let start = match segments.first.get(piece) {
            Some(&start) => start,
            None => {
                let mut start = [0u64];
                file.read(as_bytes_mut(&mut start), segments.list + 8 * piece as u64)?;
                start[0]
            }
        };
        let row_bytes = layout.row_bytes(&layout.rows.region(chunk)) as u64;
        Ok(((rows - inside) as usize, start + inside * row_bytes))
    }
}

impl BlockData for AllSegments {
    fn nbytes(&self) -> u64 {
        size_of_val(&self.0[..]) as u64
    }
}

/// The barrier that collects them.
pub(super) struct CollectRows(pub(super) Layout);

impl Layer for CollectRows {
    fn name(&self) -> &str {
        "collect-rows"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.0.rows.len() as u32);
    }

    fn footprint(&self, _: u32) -> Footprint {
        let bytes = self.0.rows.len() * size_of::<Segments>();
        Footprint::exact(bytes as u64).resident()
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let segments = (0..inputs.len()).map(|i| {
            let &Segments { first, list } = inputs.get::<Segments>(i)?;
            Ok(Segments { first, list })
        });
        Ok(Block::new(AllSegments(segments.collect::<Result<_>>()?)))
    }
}
