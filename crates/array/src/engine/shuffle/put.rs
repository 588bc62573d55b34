//! Chunks of the result, put together from the rows that every chunk of the array wrote for them.

use std::sync::Arc;

use flagstone_common::{Result, Spool, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer};

use super::Layout;
use super::places::Table;
use super::rows::AllSegments;
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::as_bytes_mut;
use crate::elements::dtype::DType;
use crate::engine::evaluate::{coords, declared};
use crate::grid::{lengths, volume};

/// Bytes of rows that are read at once, but for longer rows.
const READ_BYTES: usize = 256 << 10;

/// The layer.
pub(super) struct PutRows {
    pub(super) layout: Layout,
    pub(super) dtype: DType,
    pub(super) sorted: Arc<Spool>,
    pub(super) file: Arc<Spool>,
}

impl PutRows {
    /// The bytes of a chunk, and those of rows read at once.
    fn bytes(&self, task: u32) -> (usize, usize) {
        let region = self.layout.results.region(task as usize);
        let (row, whole) = (
            self.layout.row_bytes(&region),
            volume(&region) * self.layout.item_bytes,
        );
        let read = READ_BYTES / row.max(1) * row;
        (whole, read.max(row).min(whole))
    }
}

impl Layer for PutRows {
    fn name(&self) -> &str {
        "take"
    }

    fn task_count(&self) -> u32 {
        self.layout.results.len() as u32
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
        deps.push(1, 0);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let (whole, read) = self.bytes(task);
        let pairs = 8 * self.layout.results.region(task as usize)[0].len();
        Footprint::exact(whole as u64).with_scratch((read + pairs) as u64)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let memory = declared(self.footprint(task).scratch_bytes);
        let (table, segments) = (inputs.get::<Table>(0)?, inputs.get::<AllSegments>(1)?);
        let region = self.layout.results.region(task as usize);
        let row = self.layout.row_bytes(&region);
        let (whole, read) = self.bytes(task);
        let mut out = Buffer::<u8>::granted(whole)?;
        let shape = lengths(&region);
        if whole == 0 {
            return Ok(Block::new(Chunk::from_buffer(out, self.dtype, shape)));
        }
        let mut at = self.layout.results.coords(task as usize);
        let list = at[0];
        let mut pairs = Buffer::<u32>::leased(2 * region[0].len(), &memory)?;
        self.sorted
            .read(table.sorted(list), 0, as_bytes_mut(&mut pairs))?;
        let mut pairs = pairs.chunks_exact(2);
        let mut rows = Buffer::<u8>::leased(read, &memory)?;
        for chunk in 0..self.layout.row_chunks() {
            let (mut number, mut left) = (table.before(list, chunk), table.count(list, chunk));
            at[0] = chunk;
            let counts = self.layout.rows.counts();
            let of = at.iter().zip(counts);
            let task = of.fold(0, |number, (&at, &count)| number * count + at);
            while left > 0 {
                let (there, piece, from) =
                    segments.find((task, number), &self.layout, &self.file)?;
                let count = left.min(there).min(read / row);
                let rows = &mut rows[..count * row];
                self.file.read(piece, from, rows)?;
                for (row_bytes, pair) in rows.chunks_exact(row).zip(&mut pairs) {
                    let to = pair[1] as usize * row;
                    out[to..to + row].copy_from_slice(row_bytes);
                }
                number += count as u64;
                left -= count;
            }
            ctx.check_cancelled()?;
        }
        Ok(Block::new(Chunk::from_buffer(out, self.dtype, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.layout.results, task)
    }
}
