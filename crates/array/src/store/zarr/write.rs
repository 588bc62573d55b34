//! Writing stored arrays: one task a chunk or shard, which nobody else touches.
//!
//! A new array grows in a directory of another name, so its chunks are written in place. A region
//! of an existing array is written chunk by chunk: each appears whole, by rename; where the region
//! has a part of a chunk only, the task reads the rest first.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone_common::{Error, ErrorKind, Memory, Result, TaskContext};
use flagstone_io::DirectFile;

use super::boxes::{Corner, copy_box, fill_box};
use super::lock::ChunkLock;
use super::shards::is_fill;
use super::stored::Stored;
use crate::chunk::buffer::Buffer;
use crate::grid::{Region, lengths};
use crate::store::storing::files::write_failed;
use crate::store::storing::sink::{Cell, Sink, taken_away};

/// A directory of chunks.
pub(crate) struct ZarrSink {
    pub(crate) stored: Stored,
    /// Where the chunks are written: the array's directory, or that of its unfinished self.
    pub(crate) directory: PathBuf,
    /// Whether no chunk was there before.
    pub(crate) fresh: bool,
    /// Whether the array is too large to be kept in the page cache.
    pub(crate) past_cache: bool,
    pub(crate) scratch_bytes: u64,
    /// A bit for each chunk of a new array that has a file.
    pub(crate) filed: OnceLock<Box<[AtomicU64]>>,
}

impl ZarrSink {
    /// A sink in the directory of the array, unless its codecs promise no bound.
    ///
    /// # Errors
    /// The sentence that says so.
    pub(crate) fn new(stored: Stored, fresh: bool) -> std::result::Result<Self, String> {
        let shape = stored.largest_shape();
        let chunk = stored.chunk_bytes();
        let pack = match &stored.shards {
            Some(shards) => shards.pack_bytes(&shape)?,
            None => stored.packing.pack_bytes(&shape)?,
        };
        let read = if fresh {
            0
        } else {
            stored.read_bytes()? + chunk
        };
        Ok(ZarrSink {
            scratch_bytes: chunk + pack + read,
            filed: OnceLock::new(),
            directory: stored.path.clone(),
            stored,
            fresh,
            past_cache: false,
        })
    }

    /// What writing a chunk holds, the chunk included.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.stored.chunk_bytes() + self.scratch_bytes
    }

    /// Makes the directory of a chunk's file, but not the array's own: where that is gone,
    /// somebody has taken it away.
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(path);
        if parent == self.directory || parent.is_dir() {
            return Ok(());
        }
        self.make_directory(parent)?;
        match fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn put(&self, chunk: usize, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.make_directory(path)?;
        if self.fresh {
            let file = DirectFile::new(File::create(path)?, path, self.past_cache);
            file.set_len(bytes.len() as u64)?;
            file.write_all_at(bytes, 0)?;
            // when the plan was admitted: its tasks take more than a bit each
            let words = self.stored.grid.len().div_ceil(64);
            let filed = self
                .filed
                .get_or_init(|| (0..words).map(|_| AtomicU64::new(0)).collect());
            filed[chunk / 64].fetch_or(1 << (chunk % 64), Ordering::Relaxed);
            return Ok(());
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let partial = path.with_file_name(name);
        let renamed = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
        if renamed.is_err() {
            // nothing of this is the array's; the error to report is the first one
            let _ = fs::remove_file(&partial);
        }
        renamed
    }
}

impl Sink for ZarrSink {
    fn name(&self) -> &'static str {
        "store-zarr"
    }

    fn scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    fn check_written(&self) -> Result<()> {
        if !self.fresh {
            return Ok(());
        }
        let grid = &self.stored.grid;
        let filed = |chunk: &usize| {
            let word = self.filed.get().map(|filed| &filed[chunk / 64]);
            word.is_some_and(|word| word.load(Ordering::Relaxed) >> (chunk % 64) & 1 == 1)
        };
        let chunks = (0..grid.len()).filter(filed);
        let files = chunks.map(|chunk| self.stored.key(&grid.coords(chunk)));
        let description = std::iter::once(self.stored.description().to_owned());
        for file in files.chain(description) {
            let path = self.directory.join(file);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() && found.len() > 0 => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(write_failed(&path.display().to_string(), error));
                }
                _ => return Err(taken_away(&path)),
            }
        }
        Ok(())
    }

    fn write(&self, cell: &Cell<'_>, memory: &dyn Memory, ctx: &TaskContext<'_>) -> Result<u64> {
        if cell.part.iter().any(|range| range.is_empty()) {
            return Ok(0);
        }
        let stored = &self.stored;
        let item = stored.dtype.size();
        let grid = &stored.grid;
        let coords: Vec<usize> = (0..cell.region.len())
            .map(|axis| grid.coord_at(axis, cell.region[axis].start))
            .collect();
        let span: Region = (0..coords.len())
            .map(|axis| grid.span(axis, coords[axis]))
            .collect();
        let origin = stored.origin(&coords);
        let shape = stored.stored_shape(&coords);
        let path = self.directory.join(stored.key(&coords));
        let name = path.display().to_string();
        let chunk = coords.iter().zip(grid.counts());
        let chunk = chunk.fold(0, |chunk, (coord, count)| chunk * count + coord);
        let _lock = match self.fresh {
            true => None,
            false => {
                let description = self.directory.join(stored.description());
                Some(ChunkLock::take(&description, chunk as u64, ctx)?)
            }
        };
        let whole = lengths(cell.part) == shape && cell.part == cell.region;
        let mut values;
        let elements: &[u8] = if whole {
            cell.bytes
        } else {
            values = Buffer::<u8>::leased(shape.iter().product::<usize>() * item, memory)?;
            let zeros = vec![0; shape.len()];
            let all = Corner {
                shape: &shape,
                at: &zeros,
            };
            fill_box(&mut values, all, &shape, stored.packing.fill());
            if !self.fresh && cell.part != span {
                // the rest of the chunk stays as it is
                let own = lengths(&span);
                let bytes = own.iter().product::<usize>() * item;
                let mut old = Buffer::<u8>::leased(bytes, memory)?;
                stored.read(&coords, &span, &mut old)?;
                let from = Corner {
                    shape: &own,
                    at: &zeros,
                };
                copy_box((&old, from), (&mut values, all), &own, item);
            }
            let starts = |of: &[std::ops::Range<usize>], from: &[usize]| -> Vec<usize> {
                let parts = of.iter().zip(from);
                parts.map(|(range, from)| range.start - from).collect()
            };
            let block_start: Vec<usize> = cell.region.iter().map(|range| range.start).collect();
            let from = Corner {
                shape: &lengths(cell.region),
                at: &starts(cell.part, &block_start),
            };
            let to = Corner {
                shape: &shape,
                at: &starts(cell.part, &origin),
            };
            copy_box(
                (cell.bytes, from),
                (&mut values, to),
                &lengths(cell.part),
                item,
            );
            &values
        };
        let failed = |message: String| {
            Error::new(ErrorKind::Failed, format!("cannot write {name}: {message}"))
        };
        let packed = match &stored.shards {
            Some(shards) => shards.pack(elements, &shape, item).map_err(failed)?,
            None if is_fill(elements, stored.packing.fill()) => None,
            None => {
                let packed = stored.packing.pack(elements, &shape).map_err(failed)?;
                self.put(chunk, &path, &packed)
                    .map_err(|error| write_failed(&name, error))?;
                return Ok(packed.len() as u64);
            }
        };
        match packed {
            Some(packed) => {
                self.put(chunk, &path, &packed)
                    .map_err(|error| write_failed(&name, error))?;
                Ok(packed.len() as u64)
            }
            None if self.fresh => Ok(0),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(write_failed(&name, error))
                }
                _ => Ok(0),
            },
        }
    }
}
