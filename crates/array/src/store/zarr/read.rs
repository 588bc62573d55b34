//! Reading stored arrays: one task a chunk, so that each is read and decoded once.
//!
//! Chunks are the natural pieces to read: whoever wants others (a reduction, a product, another
//! chunking) takes these blocks and cuts or joins them. Large shards and large chunks that are not
//! compressed are read in pieces, of which none lies in two files.

use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Counter, Error, ErrorKind, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use super::stored::Stored;
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::engine::lowering::check_count;
use crate::expr::lower::{Lower, Lowered, Lowering, ReadParts};
use crate::expr::node::Node;
use crate::grid::plan::Plan;
use crate::grid::{ChunkGrid, Region, lengths, volume};

/// Pieces of shards are not larger: reading an index for each is then little beside them.
const PIECE_BYTES_MAX: u64 = 1 << 20;

/// The operation.
#[derive(Clone)]
pub(crate) struct ReadZarr {
    pub(crate) stored: Arc<Stored>,
}

impl Lower for ReadZarr {
    fn name(&self) -> &'static str {
        "read-zarr"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let grid = pieces(&self.stored, &lowering.plan);
        let lowered = self.read_pieces(lowering, grid, false, node)?;
        if self.stored.shards.is_none() && self.stored.packing.is_plain() {
            let reader: Arc<dyn ReadParts> = Arc::new(self.clone());
            lowering.readers.insert(lowered.layer, reader);
        }
        Ok(lowered)
    }

    fn stored_chunks(&self) -> Option<ChunkGrid> {
        let grid = &self.stored.grid;
        match &self.stored.shards {
            Some(shards) => Some(ChunkGrid::new(grid.shape(), &shards.inner)),
            None => grid.is_regular().then(|| grid.clone()),
        }
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.stored.path)
    }
}

impl ReadParts for ReadZarr {
    fn stored_grid(&self) -> &ChunkGrid {
        &self.stored.grid
    }

    fn read_pieces(
        &self,
        lowering: &mut Lowering<'_>,
        grid: ChunkGrid,
        banded: bool,
        node: &Node,
    ) -> Result<Lowered> {
        check_count(grid.len() as u64, node)?;
        let scratch_bytes = self.stored.read_bytes().map_err(|message| {
            let path = self.stored.path.display();
            let message = format!("cannot read {path}: {message}");
            Error::new(ErrorKind::Invalid, message).with_location(node.location)
        })?;
        let layer = ReadChunks {
            stored: Arc::clone(&self.stored),
            grid: grid.clone(),
            banded,
            scratch_bytes,
        };
        Ok(Lowered {
            layer: lowering.push(layer, &[], node),
            grid,
            stride: 1,
            item_bytes: node.dtype.size(),
        })
    }
}

/// The pieces that are read at once.
fn pieces(stored: &Stored, plan: &Plan) -> ChunkGrid {
    let grid = &stored.grid;
    if !grid.is_regular() || stored.has_given_chunks() {
        return grid.clone();
    }
    let chunk = stored.largest_shape();
    let unit = match &stored.shards {
        Some(shards) => shards.inner.clone(),
        None if stored.packing.is_plain() => vec![1; chunk.len()],
        None => return grid.clone(),
    };
    let most = match stored.shards.is_some() {
        true => plan.chunk_bytes().min(PIECE_BYTES_MAX),
        false => plan.chunk_bytes(),
    };
    let mut rest = most as usize / stored.dtype.size();
    rest /= unit.iter().product::<usize>().max(1);
    let mut piece = unit.clone();
    for axis in (0..chunk.len()).rev() {
        // a divisor, so that no piece lies in two chunks
        let count = chunk[axis] / unit[axis];
        let parts = (1..=count.min(rest.max(1)))
            .rev()
            .find(|&parts| count.is_multiple_of(parts))
            .unwrap_or(1);
        piece[axis] = unit[axis] * parts;
        rest /= parts;
    }
    ChunkGrid::new(grid.shape(), &piece)
}

/// Reads one piece a task.
struct ReadChunks {
    stored: Arc<Stored>,
    grid: ChunkGrid,
    /// Whether all pieces will be read, those at the start of each chunk first.
    banded: bool,
    scratch_bytes: u64,
}

impl ReadChunks {
    fn region(&self, task: u32) -> Region {
        self.grid.region(task as usize)
    }

    fn bytes(&self, task: u32) -> usize {
        volume(&self.region(task)) * self.stored.dtype.size()
    }
}

impl Layer for ReadChunks {
    fn name(&self) -> &str {
        "read-zarr"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        Footprint::exact(self.bytes(task) as u64).with_scratch(self.scratch_bytes)
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let region = self.region(task);
        let mut values = Buffer::<u8>::granted(self.bytes(task))?;
        let grid = &self.stored.grid;
        let coords: Vec<usize> = region
            .iter()
            .enumerate()
            .map(|(axis, range)| grid.coord_at(axis, range.start))
            .collect();
        let origin = self.stored.origin(&coords);
        let first = origin
            .iter()
            .zip(&region)
            .all(|(&at, range)| at == range.start);
        if self.banded && first {
            self.stored.advise(&coords);
        }
        let moved = self.stored.read(&coords, &region, &mut values)?;
        ctx.count(Counter::BytesRead, moved);
        let chunk = Chunk::from_buffer(values, self.stored.dtype, lengths(&region));
        Ok(Block::new(chunk))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?}", self.grid));
        self.stored.hash(hasher);
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        let coords = self.grid.coords(task as usize);
        coords.into_iter().map(|coord| coord as u32).collect()
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        // what is compressed is known when it is read
        IoBytes {
            read: self.bytes(task) as u64,
            written: 0,
        }
    }
}
