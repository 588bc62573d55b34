//! The rows that are wanted of each chunk of the array, in the order of the result's chunks.

use std::sync::Arc;

use flagstone_common::{Result, ScratchRange, Spool, TaskContext, TokenHasher};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer};

use super::Layout;
use super::places::Table;
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
    pub(super) sorted: Arc<Spool>,
    pub(super) file: Arc<Spool>,
}

/// Where the rows of one chunk of the array lie: pieces of equally many, but the last. The first are
/// known; where there are more, a list of all of them is in the file.
pub(super) struct Segments {
    first: [ScratchRange; KNOWN],
    list: ScratchRange,
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
        self.operand_bytes(task) + (self.segment_bytes(task) + 8 * PAIRS + 16 * lists) as u64
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
        let mut written = Buffer::<u64>::leased(2 * table.lists(), &piece.memory)?;
        let (mut segments, mut filled) = (0, 0);
        let mut write = |segment: &[u8]| -> Result<()> {
            let ScratchRange { start, len } =
                self.file.append(segment, segments as u32, piece.ctx)?;
            written[2 * segments..][..2].copy_from_slice(&[start, len]);
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
                self.sorted.read(
                    table.sorted(list),
                    offset,
                    as_bytes_mut(&mut pairs[..2 * count]),
                )?;
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
        let mut first = [ScratchRange::default(); KNOWN];
        for (known, written) in first
            .iter_mut()
            .zip(written[..2 * segments].chunks_exact(2))
        {
            *known = range_of(written);
        }
        let list = match segments > KNOWN {
            true => self
                .file
                .append(as_bytes(&written[..2 * segments]), 0, piece.ctx)?,
            false => ScratchRange::default(),
        };
        Ok(Block::new(Segments { first, list }))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}

/// A range from its two numbers.
fn range_of(numbers: &[u64]) -> ScratchRange {
    let (start, len) = (numbers[0], numbers[1]);
    ScratchRange { start, len }
}

/// The pieces of all chunks of the array.
pub(super) struct AllSegments(Vec<Segments>);

impl AllSegments {
    /// How many rows lie behind one another from that on which a chunk of the array has written as its
    /// `number`-th, in which piece, and from which byte of it on.
    pub(super) fn find(
        &self,
        (chunk, number): (usize, u64),
        layout: &Layout,
        file: &Spool,
    ) -> Result<(usize, ScratchRange, u64)> {
        let rows = layout.segment_rows() as u64;
        let (piece, inside) = ((number / rows) as usize, number % rows);
        let segments = &self.0[chunk];
        let range = match segments.first.get(piece) {
            Some(&range) => range,
            None => {
                let mut numbers = [0u64; 2];
                file.read(segments.list, 16 * piece as u64, as_bytes_mut(&mut numbers))?;
                range_of(&numbers)
            }
        };
        let row_bytes = layout.row_bytes(&layout.rows.region(chunk)) as u64;
        Ok(((rows - inside) as usize, range, inside * row_bytes))
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
