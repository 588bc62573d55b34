//! Writes chunks to where they are kept: each by one task, and no place by two.
//!
//! A *sink* is a file or a directory that holds an array. The layer gives it each chunk with its
//! place there; the sink's own chunks, if it has any, are never shared by two of the layer's, so
//! nothing is locked.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Counter, Error, ErrorKind, Memory, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use crate::chunk::Chunk;
use crate::engine::evaluate::{coords, declared};
use crate::fuse::tape::Leaf;
use crate::grid::{ChunkGrid, Region, lengths, volume};

/// A chunk and its place in a sink.
pub(crate) struct Cell<'a> {
    /// The elements of `region`, in C order.
    pub(crate) bytes: &'a [u8],
    /// Where they lie, in the places of the sink.
    pub(crate) region: &'a [Range<usize>],
    /// The part of it that is to be written.
    pub(crate) part: &'a [Range<usize>],
}

/// Where chunks go.
pub(crate) trait Sink: Send + Sync {
    /// The layer's name in keys.
    fn name(&self) -> &'static str;

    /// What writing a chunk holds beside it, at most.
    fn scratch_bytes(&self) -> u64 {
        0
    }

    /// Writes a chunk and returns how many bytes that were. May be called again for a chunk.
    ///
    /// # Errors
    /// Those of the storage.
    fn write(&self, cell: &Cell<'_>, memory: &dyn Memory, ctx: &TaskContext<'_>) -> Result<u64>;

    /// Finds everything that was written, before the output gets its name.
    ///
    /// # Errors
    /// What somebody else has taken away meanwhile.
    fn check_written(&self) -> Result<()> {
        Ok(())
    }
}

/// Output that is gone before it was finished.
pub(crate) fn taken_away(path: &Path) -> Error {
    let message = format!(
        "cannot finish the output: {} was written, but somebody has removed it meanwhile; nothing \
         is kept of this run",
        path.display()
    );
    Error::new(ErrorKind::Failed, message)
}

/// Writes one chunk a task and returns nothing.
pub(crate) struct Store {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) leaf: Leaf,
    /// The place in the sink of the first element of the grid.
    pub(crate) offset: Vec<usize>,
    /// What is written, in the places of the sink.
    pub(crate) inside: Region,
}

impl Store {
    fn grid(&self) -> &ChunkGrid {
        &self.leaf.grid
    }
}

impl Layer for Store {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn task_count(&self) -> u32 {
        self.grid().len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(
            self.leaf.slot,
            task * self.leaf.stride + self.leaf.stride - 1,
        );
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(0).with_scratch(self.sink.scratch_bytes())
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let own = self.grid().region(task as usize);
        let chunk = Chunk::input(&inputs, 0, self.leaf.dtype, &lengths(&own))?;
        let region: Region = own
            .iter()
            .zip(&self.offset)
            .map(|(range, offset)| range.start + offset..range.end + offset)
            .collect();
        let part: Region = region
            .iter()
            .zip(&self.inside)
            .map(|(a, b)| a.start.max(b.start)..a.end.min(b.end))
            .collect();
        let cell = Cell {
            bytes: chunk.bytes(),
            region: &region,
            part: &part,
        };
        let memory = declared(self.sink.scratch_bytes());
        let written = self.sink.write(&cell, &memory, ctx)?;
        ctx.count(Counter::BytesWritten, written);
        Ok(Block::unit())
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(self.grid(), task)
    }

    fn one_to_one(&self) -> Option<usize> {
        (self.leaf.stride == 1).then_some(self.leaf.slot)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        let elements = volume(&self.grid().region(task as usize));
        IoBytes {
            read: 0,
            written: (elements * self.leaf.dtype.size()) as u64,
        }
    }
}

/// The sentence for a failed write.
pub(crate) fn write_error(path: &str, error: &std::io::Error) -> String {
    format!("cannot write {path}: {error}")
}
