//! Writes chunks into a file, each at its place.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use flagstone_graph::{
    Block, Counter, Deps, Error, ErrorKind, Footprint, Inputs, IoBytes, Layer, Result, TaskContext,
};

use super::evaluate::coords;
use crate::chunk::Chunk;
use crate::grid::{ChunkGrid, lengths, volume};
use crate::tape::Leaf;

/// A file of the whole array in C order, written at offsets by many tasks.
pub(crate) struct Sink {
    pub(crate) file: File,
    pub(crate) data_offset: u64,
    pub(crate) path: String,
}

/// Writes one chunk a task and returns nothing.
pub(crate) struct Store {
    pub(crate) sink: std::sync::Arc<Sink>,
    pub(crate) leaf: Leaf,
}

impl Store {
    fn grid(&self) -> &ChunkGrid {
        &self.leaf.grid
    }

    fn write_chunk(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<()> {
        let chunk: &Chunk = inputs.get(0)?;
        let bytes_of = self.leaf.dtype.size();
        let region = self.grid().region(task as usize);
        let shape = self.grid().shape();
        // the axes from `whole` on are taken entirely; with the one before them they make a run
        let whole = (0..shape.len())
            .rev()
            .take_while(|&axis| region[axis] == (0..shape[axis]))
            .last()
            .unwrap_or(shape.len());
        let run: usize = region[whole.saturating_sub(1)..]
            .iter()
            .map(ExactSizeIterator::len)
            .product();
        if run == 0 {
            return Ok(());
        }
        let outer = lengths(&region[..whole.saturating_sub(1)]);
        let runs: usize = outer.iter().product();
        let place = |mut index: usize| {
            let (mut offset, mut stride) = (0, 1);
            for axis in (0..shape.len()).rev() {
                let at = match outer.get(axis) {
                    Some(&length) => {
                        let at = index % length;
                        index /= length;
                        at
                    }
                    None => 0,
                };
                offset += (region[axis].start + at) * stride;
                stride *= shape[axis];
            }
            offset
        };
        // a megabyte or more a call, on as many threads as are idle
        let per_item = ((1 << 20) / (run * bytes_of)).clamp(1, runs);
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        ctx.for_each_index(runs.div_ceil(per_item), &|item| {
            for index in item * per_item..((item + 1) * per_item).min(runs) {
                let bytes = &chunk.bytes()[index * run * bytes_of..(index + 1) * run * bytes_of];
                let offset = self.sink.data_offset + (place(index) * bytes_of) as u64;
                if let Err(error) = self.sink.file.write_all_at(bytes, offset) {
                    let message = write_error(&self.sink.path, &error);
                    let error = Error::new(ErrorKind::Failed, message).with_source(error);
                    failed
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .get_or_insert(error);
                    return;
                }
            }
        });
        if let Some(error) = failed
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
        {
            return Err(error);
        }
        ctx.count(Counter::BytesWritten, chunk.bytes().len() as u64);
        Ok(())
    }
}

impl Layer for Store {
    fn name(&self) -> &str {
        "store-npy"
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
        Footprint::exact(0)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        self.write_chunk(task, inputs, ctx)?;
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
