//! A stored array: which file holds which elements, and reading them from there.
//!
//! A stored chunk is a file, absent where all its elements are the fill value. A *shard* is a
//! chunk that holds many inner chunks and an index of where they lie, so that one of them can be
//! read alone. Elements that are not compressed are read where they lie in the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_common::{Result, TokenHasher};
use flagstone_io::open_regular;
use zarrs::array::{Array as Zarr, ArrayMetadata};

use super::boxes::{Corner, copy_box, fill_box};
use super::given::GivenGrid;
use super::layout::{grid, shape_of, shard_shape, zarr_type};
use super::metadata::{Described, describe};
use super::opened::Opened;
use super::packing::Packing;
use super::refusal::refused;
use super::shards::Shards;
use super::threads::alone;
use crate::elements::bytes::sanitise;
use crate::elements::dtype::DType;
use crate::grid::along::Along;
use crate::grid::shape::too_many_axes;
use crate::grid::{ChunkGrid, Region, lengths};
use crate::store::failure::{failure, unreadable};
use crate::store::runs::Runs;

/// An array in a directory, as described there.
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) dtype: DType,
    /// The chunks that are files.
    pub(crate) grid: ChunkGrid,
    pub(crate) packing: Packing,
    pub(crate) shards: Option<Shards>,
    pub(crate) version: u8,
    zarr: Zarr<()>,
    /// How long the last chunks are as they are stored, where lengths are given; `zarr` knows nothing
    /// of those.
    last: Option<Vec<usize>>,
    /// Identifies the content, with the path and the description.
    modified: Option<std::time::SystemTime>,
}

impl Stored {
    /// Reads the description of an array, and nothing else.
    ///
    /// # Errors
    /// A path that holds no array, and codecs, types and grids that are not known.
    pub(crate) fn open(path: &Path) -> Result<Stored> {
        let described = describe(path)?;
        let modified = ["zarr.json", ".zarray"]
            .iter()
            .find_map(|name| std::fs::metadata(path.join(name)).ok()?.modified().ok());
        Stored::new(path, described, modified).map_err(|message| failure(path, &message, None))
    }

    /// The array that a description is of, whether or not its files exist.
    pub(crate) fn new(
        path: &Path,
        described: Described,
        modified: Option<std::time::SystemTime>,
    ) -> std::result::Result<Stored, String> {
        let Described {
            metadata,
            json,
            given,
        } = described;
        let version = match &metadata {
            ArrayMetadata::V3(metadata) => {
                if !metadata.storage_transformers.is_empty() {
                    return Err("it has storage transformers, which are not supported".to_owned());
                }
                3
            }
            ArrayMetadata::V2(_) => 2,
        };
        let axes = match &metadata {
            ArrayMetadata::V3(metadata) => metadata.shape.len(),
            ArrayMetadata::V2(metadata) => metadata.shape.len(),
        };
        if let Some(message) = too_many_axes(axes) {
            return Err(message);
        }
        let zarr = alone(|| Zarr::new_with_metadata(Arc::new(()), "/", metadata))?
            .map_err(|error| refused(&error, &json, version))?;
        let dtype = DType::ALL
            .into_iter()
            .find(|&dtype| zarr_type(dtype) == *zarr.data_type())
            .ok_or_else(|| {
                let named = if version == 3 {
                    &json["data_type"]
                } else {
                    &json["dtype"]
                };
                format!("its elements are of type {named}, which arrays cannot hold")
            })?;
        let packing = Packing::new(
            zarr.codecs(),
            zarr.data_type().clone(),
            zarr.fill_value().clone(),
            dtype.size(),
        )?;
        if packing.fill().len() != dtype.size() {
            return Err("its fill value is not an element".to_owned());
        }
        let (grid, last) = match &given {
            Some(given) => {
                let GivenGrid { grid, last } = given.grid(&shape_of(&zarr)?)?;
                (grid, Some(last))
            }
            None => (grid(&zarr)?, None),
        };
        let shards = match version {
            3 => Shards::described(&json, &zarr, dtype)?,
            _ => None,
        };
        if let Some(shards) = &shards {
            let fits = |(&shard, &inner): (&usize, &usize)| inner > 0 && shard % inner == 0;
            let whole = last.is_none()
                && grid.is_regular()
                && shards.inner.len() == grid.shape().len()
                && shard_shape(&zarr, &grid)
                    .iter()
                    .zip(&shards.inner)
                    .all(fits);
            if !whole {
                return Err("its shards are not made of whole chunks".to_owned());
            }
        }
        let stored = Stored {
            path: path.to_owned(),
            dtype,
            grid,
            packing,
            shards,
            version,
            zarr,
            last,
            modified,
        };
        let largest = stored.largest_shape();
        let counted = largest
            .iter()
            .try_fold(dtype.size(), |bytes, &length| bytes.checked_mul(length));
        match counted.is_some_and(|bytes| bytes <= isize::MAX as usize) {
            true => Ok(stored),
            false => Err(format!(
                "its chunks of shape {largest:?} are larger than this machine can count"
            )),
        }
    }

    /// Whether the lengths of chunks are given, one by one.
    pub(crate) fn has_given_chunks(&self) -> bool {
        self.last.is_some()
    }

    /// The file that describes the array, in its directory.
    pub(crate) fn description(&self) -> &'static str {
        if self.version == 3 {
            "zarr.json"
        } else {
            ".zarray"
        }
    }

    /// The shape of a chunk as it is stored: those at the ends are stored whole.
    pub(crate) fn stored_shape(&self, coords: &[usize]) -> Vec<usize> {
        if let Some(last) = &self.last {
            let counts = self.grid.counts();
            let along = |axis: usize| match coords[axis] + 1 == counts[axis] {
                true => last[axis],
                false => self.grid.span(axis, coords[axis]).len(),
            };
            return (0..coords.len()).map(along).collect();
        }
        if self.grid.is_regular() {
            return shard_shape(&self.zarr, &self.grid);
        }
        let coords: Vec<u64> = coords.iter().map(|&coord| coord as u64).collect();
        let shape = self.zarr.chunk_shape(&coords).unwrap_or_default();
        shape.iter().map(|length| length.get() as usize).collect()
    }

    /// The shape of the largest stored chunk.
    pub(crate) fn largest_shape(&self) -> Vec<usize> {
        if let Some(last) = &self.last {
            let longest = self.grid.chunk_shape().iter().zip(last);
            return longest.map(|(&longest, &last)| longest.max(last)).collect();
        }
        match self.grid.is_regular() {
            true => shard_shape(&self.zarr, &self.grid),
            false => self.grid.chunk_shape().to_vec(),
        }
    }

    /// The bytes of the elements of the largest stored chunk.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        (self.largest_shape().iter().product::<usize>() * self.dtype.size()) as u64
    }

    /// The file of a chunk, relative to the array's directory.
    pub(crate) fn key(&self, coords: &[usize]) -> String {
        let coords: Vec<u64> = coords.iter().map(|&coord| coord as u64).collect();
        self.zarr.chunk_key(&coords).as_str().to_owned()
    }

    fn open_chunk(&self, coords: &[usize]) -> Result<Option<Opened>> {
        let path = self.path.join(self.key(coords));
        match open_regular(&path) {
            Ok(file) => {
                let length = file
                    .metadata()
                    .map_err(|error| unreadable(&path, error))?
                    .len();
                Ok(Some(Opened { path, file, length }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, error)),
        }
    }

    /// Fills `out` with a part of one stored chunk, in C order, and returns how many bytes were
    /// read. `region` is the part, in the array's places; what this holds meanwhile is
    /// [`Stored::read_bytes`].
    ///
    /// # Errors
    /// Those of the storage, and damage, with the file.
    pub(crate) fn read(&self, coords: &[usize], region: &Region, out: &mut [u8]) -> Result<u64> {
        let own = lengths(region);
        if out.is_empty() {
            return Ok(0);
        }
        let origin = self.origin(coords);
        let at: Vec<usize> = region
            .iter()
            .zip(&origin)
            .map(|(part, o)| part.start - o)
            .collect();
        let zeros = vec![0; own.len()];
        let to = Corner {
            shape: &own,
            at: &zeros,
        };
        let Some(opened) = self.open_chunk(coords)? else {
            fill_box(out, to, &own, self.packing.fill());
            return Ok(0);
        };
        let stored = self.stored_shape(coords);
        let item = self.dtype.size();
        let moved = if let Some(shards) = &self.shards {
            shards.read(&opened, &stored, (&at, &own), out, item)?
        } else if self.packing.is_plain() {
            let window: Vec<Along> = at
                .iter()
                .zip(&own)
                .map(|(&at, &length)| Along::range(at..at + length))
                .collect();
            let wanted = (stored.iter().product::<usize>() * item) as u64;
            opened.check_length(wanted)?;
            Runs::new(&stored, &window, item)
                .read(out, &mut |bytes, at| opened.read_at(bytes, at as u64))?
        } else {
            let most = self.packing.packed_bytes_max(&stored);
            let most = most.map_err(|message| opened.damaged(&message))?;
            let packed = opened.read_part(0, opened.length, most)?;
            let elements = self.packing.unpack(packed, &stored);
            let elements = elements.map_err(|message| opened.damaged(&message))?;
            let from = Corner {
                shape: &stored,
                at: &at,
            };
            copy_box((&elements, from), (out, to), &own, item);
            opened.length
        };
        sanitise(self.dtype, out);
        Ok(moved)
    }

    /// Says that all of a stored chunk will be read, in parts that lie apart: the system may fetch
    /// it in one go.
    pub(crate) fn advise(&self, coords: &[usize]) {
        #[cfg(target_os = "linux")]
        if let Ok(Some(opened)) = self.open_chunk(coords) {
            use std::os::fd::AsRawFd;

            let descriptor = opened.file.as_raw_fd();
            // SAFETY: the descriptor is open for the call; nothing but the page cache changes.
            let _ = unsafe { libc::posix_fadvise(descriptor, 0, 0, libc::POSIX_FADV_WILLNEED) };
        }
    }

    /// Where a chunk starts.
    pub(crate) fn origin(&self, coords: &[usize]) -> Vec<usize> {
        (0..coords.len())
            .map(|axis| self.grid.span(axis, coords[axis]).start)
            .collect()
    }

    /// What reading a part holds beside the part.
    ///
    /// # Errors
    /// Codecs that promise no bound, as a sentence.
    pub(crate) fn read_bytes(&self) -> std::result::Result<u64, String> {
        if let Some(shards) = &self.shards {
            let inner = &shards.inner;
            let packed = shards.packing.packed_bytes_max(inner)?;
            let index = shards.index_shape(&self.largest_shape());
            let index = 3 * 8 * index.iter().product::<usize>() as u64 + 64;
            return Ok(index + packed + shards.packing.unpack_bytes(inner)?);
        }
        if self.packing.is_plain() {
            return Ok(0);
        }
        let stored = self.largest_shape();
        Ok(self.packing.packed_bytes_max(&stored)? + self.packing.unpack_bytes(&stored)?)
    }

    pub(crate) fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&self.path.to_string_lossy());
        hasher.str(&format!("{:?} {:?}", self.zarr.metadata(), self.modified));
        if let Some(last) = &self.last {
            for (axis, &length) in last.iter().enumerate() {
                let lengths = self.grid.chunk_lengths(axis).into_iter();
                lengths.chain([length]).for_each(|length| {
                    hasher.u64(length as u64);
                });
            }
        }
    }
}
