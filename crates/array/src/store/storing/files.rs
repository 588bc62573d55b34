//! Files of elements in C order as sinks: one file, or one for each part of an axis.

use std::fs::OpenOptions;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use flagstone_common::{Error, ErrorKind, Memory, Result, TaskContext};
use flagstone_io::{DIRECT_BLOCK_BYTES, DirectFile};

use super::sink::{Cell, Sink, taken_away, write_error};
use crate::chunk::buffer::Buffer;
use crate::grid::{ChunkGrid, Region, lengths};

/// What is written in one call, about.
const WRITE_BYTES: usize = 1 << 20;

/// The failure of a write, with the file.
pub(crate) fn write_failed(path: &str, error: std::io::Error) -> Error {
    let message = write_error(path, &error);
    Error::new(ErrorKind::of_io(error.kind()), message).with_source(error)
}

/// A file of a whole array, written at offsets by many tasks.
pub(crate) struct FileSink {
    pub(crate) name: &'static str,
    pub(crate) file: DirectFile,
    pub(crate) data_offset: u64,
    pub(crate) path: String,
    /// The shape of the array in the file.
    pub(crate) shape: Vec<usize>,
    pub(crate) item: usize,
}

impl FileSink {
    /// Writes the elements of a region, in C order.
    fn write_region(
        &self,
        region: &[Range<usize>],
        bytes: &[u8],
        ctx: &TaskContext<'_>,
    ) -> Result<u64> {
        let (shape, item_bytes) = (&self.shape, self.item);
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
            return Ok(0);
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
        // a megabyte or more a call, on as many threads as are idle: several short runs, or a part
        // of a long one
        let run_bytes = run * item_bytes;
        let per_item = (WRITE_BYTES / run_bytes).clamp(1, runs);
        let parts = run_bytes.div_ceil(4 * WRITE_BYTES);
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        ctx.for_each_index(runs.div_ceil(per_item) * parts, &|item| {
            let (item, part) = (item / parts, item % parts);
            for index in item * per_item..((item + 1) * per_item).min(runs) {
                let start = self.data_offset + (place(index) * item_bytes) as u64;
                let part = part_of_run(part, parts, run_bytes, start);
                let offset = start + part.start as u64;
                let bytes = &bytes[index * run_bytes..][part];
                if let Err(error) = self.file.write_all_at(bytes, offset) {
                    failed
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .get_or_insert(write_failed(&self.path, error));
                    return;
                }
            }
        });
        let failed = failed
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        match failed {
            Some(error) => Err(error),
            None => Ok(bytes.len() as u64),
        }
    }
}

/// One of the parts of a run that starts at a place of a file, cut at whole blocks of the file.
fn part_of_run(part: usize, parts: usize, bytes: usize, start: u64) -> Range<usize> {
    let block = DIRECT_BLOCK_BYTES as u64;
    let cut = |part: usize| match part {
        0 => 0,
        _ if part == parts => bytes,
        _ => {
            let at = start + (part * (bytes / parts)) as u64;
            ((at / block * block).max(start) - start) as usize
        }
    };
    cut(part)..cut(part + 1)
}

impl Sink for FileSink {
    fn name(&self) -> &'static str {
        self.name
    }

    fn write(&self, cell: &Cell<'_>, _: &dyn Memory, ctx: &TaskContext<'_>) -> Result<u64> {
        self.write_region(cell.region, cell.bytes, ctx)
    }
}

/// A directory of npy files, each a part of one axis.
pub(crate) struct StackSink {
    pub(crate) directory: PathBuf,
    pub(crate) axis: usize,
    /// How much of the axis a file has.
    pub(crate) length: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) item: usize,
    /// The header's bytes of every file but the last, and of the last.
    pub(crate) data_offsets: [u64; 2],
    /// What the largest chunk has.
    pub(crate) chunk_bytes: u64,
    /// Whether the array is too large to be kept in the page cache.
    pub(crate) past_cache: bool,
}

/// The name of a stack's file.
pub(crate) fn stack_file(part: usize) -> String {
    format!("part-{part:05}.npy")
}

impl StackSink {
    /// Writes the part of a chunk that goes to one file: `region` of the file, from a place of the
    /// chunk's axis on. Its slices lie apart in the chunk; short ones are put together.
    fn write_slices(
        &self,
        sink: &FileSink,
        cell: &Cell<'_>,
        (region, from): (&Region, usize),
        memory: &dyn Memory,
        ctx: &TaskContext<'_>,
    ) -> Result<u64> {
        let inner: usize = lengths(&cell.region[self.axis + 1..]).iter().product();
        let slice = region[self.axis].len() * inner * self.item;
        let (stride, from) = (
            cell.region[self.axis].len() * inner * self.item,
            from * inner * self.item,
        );
        // slices at successive places of the axis before are written at once
        let before = self.axis.checked_sub(1);
        let row = before.map_or(1, |axis| region[axis].len());
        let together = (WRITE_BYTES / slice.max(1)).clamp(1, row.max(1));
        let outer = ChunkGrid::new(
            &lengths(&region[..self.axis]),
            &(0..self.axis)
                .map(|axis| if Some(axis) == before { together } else { 1 })
                .collect::<Vec<_>>(),
        );
        let mut slices = match together {
            1 => None,
            _ => Some(Buffer::<u8>::leased(together * slice, memory)?),
        };
        let mut written = 0;
        let mut place = 0;
        for group in 0..outer.len() {
            let mut part = region.clone();
            for (axis, range) in outer.region(group).into_iter().enumerate() {
                let start = region[axis].start;
                part[axis] = start + range.start..start + range.end;
            }
            let count = before.map_or(1, |axis| part[axis].len());
            let start = |slice: usize| (place + slice) * stride + from;
            let bytes = match &mut slices {
                None => &cell.bytes[start(0)..][..slice],
                Some(slices) => {
                    for index in 0..count {
                        let bytes = &cell.bytes[start(index)..][..slice];
                        slices[index * slice..][..slice].copy_from_slice(bytes);
                    }
                    &slices[..count * slice]
                }
            };
            written += sink.write_region(&part, bytes, ctx)?;
            place += count;
        }
        Ok(written)
    }
}

impl Sink for StackSink {
    fn name(&self) -> &'static str {
        "store-npy-stack"
    }

    /// What is put together for one write.
    fn scratch_bytes(&self) -> u64 {
        self.chunk_bytes.min(WRITE_BYTES as u64)
    }

    fn check_written(&self) -> Result<()> {
        let count = self.shape[self.axis].div_ceil(self.length).max(1);
        for part in 0..count {
            let path = self.directory.join(stack_file(part));
            let found = std::fs::symlink_metadata(&path);
            if !found.is_ok_and(|found| found.is_file() && found.len() > 0) {
                return Err(taken_away(&path));
            }
        }
        Ok(())
    }

    fn write(&self, cell: &Cell<'_>, memory: &dyn Memory, ctx: &TaskContext<'_>) -> Result<u64> {
        if cell.bytes.is_empty() {
            return Ok(0);
        }
        let along = &cell.region[self.axis];
        let mut written = 0;
        let parts = along.start / self.length..along.end.div_ceil(self.length);
        let last = self.shape[self.axis]
            .div_ceil(self.length)
            .saturating_sub(1);
        for part in parts {
            let own = part * self.length..((part + 1) * self.length).min(self.shape[self.axis]);
            let meet = along.start.max(own.start)..along.end.min(own.end);
            let mut region: Region = cell.region.to_vec();
            region[self.axis] = meet.start - own.start..meet.end - own.start;
            let mut shape = self.shape.clone();
            shape[self.axis] = own.len();
            let path = self.directory.join(stack_file(part));
            let name = path.display().to_string();
            let file = OpenOptions::new().write(true).open(&path);
            let file = file.map_err(|error| write_failed(&name, error))?;
            let sink = FileSink {
                name: self.name(),
                file: DirectFile::new(file, &path, self.past_cache),
                data_offset: self.data_offsets[usize::from(part == last)],
                path: name,
                shape,
                item: self.item,
            };
            if meet == *along {
                written += sink.write_region(&region, cell.bytes, ctx)?;
                continue;
            }
            let from = meet.start - along.start;
            written += self.write_slices(&sink, cell, (&region, from), memory, ctx)?;
        }
        Ok(written)
    }
}
