//! A stored array: which file holds which elements, and reading them from there.
//!
//! A stored chunk is a file, absent where all its elements are the fill value. A *shard* is a
//! chunk that holds many inner chunks and an index of where they lie, so that one of them can be
//! read alone. Elements that are not compressed are read where they lie in the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_graph::{Result, TokenHasher};
use zarrs::array::{Array as Zarr, ArrayMetadata, CodecChain, DataType, data_type};

use super::metadata::{Described, describe};
use super::packing::Packing;
use crate::dtype::DType;
use crate::element::sanitise;
use crate::grid::{ChunkGrid, Region, lengths};
use crate::kernels::boxes::{Place, copy_box, fill_box};
use crate::source::{Runs, failure, unreadable};
use crate::view::Along;

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
    /// Identifies the content, with the path and the description.
    modified: Option<std::time::SystemTime>,
}

/// How shards are made up.
pub(crate) struct Shards {
    /// The shape of inner chunks.
    pub(crate) inner: Vec<usize>,
    pub(crate) packing: Packing,
    index: Packing,
    index_at_end: bool,
}

/// The type of elements as `zarrs` has it.
pub(crate) fn zarr_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => data_type::bool(),
        DType::I8 => data_type::int8(),
        DType::I16 => data_type::int16(),
        DType::I32 => data_type::int32(),
        DType::I64 => data_type::int64(),
        DType::U8 => data_type::uint8(),
        DType::U16 => data_type::uint16(),
        DType::U32 => data_type::uint32(),
        DType::U64 => data_type::uint64(),
        DType::F32 => data_type::float32(),
        DType::F64 => data_type::float64(),
    }
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
        let Described { metadata, json } = described;
        let version = match &metadata {
            ArrayMetadata::V3(metadata) => {
                if !metadata.storage_transformers.is_empty() {
                    return Err("it has storage transformers, which are not supported".to_owned());
                }
                3
            }
            ArrayMetadata::V2(_) => 2,
        };
        let zarr = Zarr::new_with_metadata(Arc::new(()), "/", metadata)
            .map_err(|error| error.to_string())?;
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
        );
        if packing.fill().len() != dtype.size() {
            return Err("its fill value is not an element".to_owned());
        }
        let grid = grid(&zarr)?;
        let shards = match version {
            3 => shards(&json, &zarr, dtype)?,
            _ => None,
        };
        if let Some(shards) = &shards {
            let fits = |(&shard, &inner): (&usize, &usize)| inner > 0 && shard % inner == 0;
            let whole = grid.is_regular()
                && shards.inner.len() == grid.shape().len()
                && shard_shape(&zarr, &grid)
                    .iter()
                    .zip(&shards.inner)
                    .all(fits);
            if !whole {
                return Err("its shards are not made of whole chunks".to_owned());
            }
        }
        Ok(Stored {
            path: path.to_owned(),
            dtype,
            grid,
            packing,
            shards,
            version,
            zarr,
            modified,
        })
    }

    /// The shape of a chunk as it is stored: those at the ends are stored whole.
    pub(crate) fn stored_shape(&self, coords: &[usize]) -> Vec<usize> {
        if self.grid.is_regular() {
            return shard_shape(&self.zarr, &self.grid);
        }
        let coords: Vec<u64> = coords.iter().map(|&coord| coord as u64).collect();
        let shape = self.zarr.chunk_shape(&coords).unwrap_or_default();
        shape.iter().map(|length| length.get() as usize).collect()
    }

    /// The shape of the largest stored chunk.
    pub(crate) fn largest_shape(&self) -> Vec<usize> {
        match self.grid.is_regular() {
            true => shard_shape(&self.zarr, &self.grid),
            false => self.grid.chunk_shape().to_vec(),
        }
    }

    /// The file of a chunk, relative to the array's directory.
    pub(crate) fn key(&self, coords: &[usize]) -> String {
        let coords: Vec<u64> = coords.iter().map(|&coord| coord as u64).collect();
        self.zarr.chunk_key(&coords).as_str().to_owned()
    }

    fn open_chunk(&self, coords: &[usize]) -> Result<Option<Opened>> {
        let path = self.path.join(self.key(coords));
        match File::open(&path) {
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
        let to = Place {
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
            let from = Place {
                shape: &stored,
                at: &at,
            };
            copy_box((&elements, from), (out, to), &own, item);
            opened.length
        };
        sanitise(self.dtype, out);
        Ok(moved)
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
    }
}

/// The shape that regular chunks are stored in, at the ends of the axes too.
fn shard_shape(zarr: &Zarr<()>, grid: &ChunkGrid) -> Vec<usize> {
    let first = vec![0; grid.shape().len()];
    match zarr.chunk_shape(&first) {
        Ok(shape) => shape.iter().map(|length| length.get() as usize).collect(),
        // an array without elements has no first chunk
        Err(_) => grid.chunk_shape().to_vec(),
    }
}

fn grid(zarr: &Zarr<()>) -> std::result::Result<ChunkGrid, String> {
    let too_large = |_| "it is larger than this machine can count".to_owned();
    let shape: std::result::Result<Vec<usize>, _> = zarr
        .shape()
        .iter()
        .map(|&length| length.try_into())
        .collect();
    let shape = shape.map_err(too_large)?;
    crate::ops::check_shape(&shape)?;
    let mut lists = Vec::new();
    let mut regular = Vec::new();
    for (axis, &length) in shape.iter().enumerate() {
        let count = zarr.chunk_grid().grid_shape()[axis];
        let chunk_at = |coord: u64| {
            let mut coords = vec![0; shape.len()];
            coords[axis] = coord;
            let shape = zarr.chunk_shape(&coords).ok()?;
            usize::try_from(shape[axis].get()).ok()
        };
        let unknown = || "its chunks cannot be counted".to_owned();
        if length == 0 || count == 0 || shape.contains(&0) {
            regular.push(length.max(1));
            lists.push(vec![length]);
            continue;
        }
        let first = chunk_at(0).ok_or_else(unknown)?;
        regular.push(first);
        // only grids that list their chunks have any of another length
        let listed = zarr.chunk_grid().name_v3().as_deref() != Some("regular");
        let mut list = Vec::new();
        let mut end = 0;
        while listed && end < length {
            let next = chunk_at(list.len() as u64).ok_or_else(unknown)?;
            list.push(next.min(length - end));
            end += next;
        }
        lists.push(list);
    }
    match lists.iter().all(Vec::is_empty) || shape.contains(&0) {
        true => Ok(ChunkGrid::new(&shape, &regular)),
        false => ChunkGrid::irregular(&shape, &lists),
    }
}

/// A chunk's file.
pub(crate) struct Opened {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Opened {
    fn damaged(&self, what: &str) -> flagstone_graph::Error {
        failure(&self.path, &format!("the chunk is damaged: {what}"), None)
    }

    fn check_length(&self, wanted: u64) -> Result<()> {
        match self.length == wanted {
            true => Ok(()),
            false => Err(self.damaged(&format!("it has {} bytes, not {wanted}", self.length))),
        }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file.read_exact_at(bytes, offset);
        read.map_err(|error| unreadable(&self.path, error))
    }

    fn read_part(&self, offset: u64, length: u64, most: u64) -> Result<Vec<u8>> {
        if length > most {
            return Err(self.damaged(&format!(
                "it has {length} bytes where its codecs make at most {most}"
            )));
        }
        let mut bytes = vec![0; length as usize];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// The parts of a description that is one sharding codec and nothing else.
fn shards(
    json: &serde_json::Value,
    zarr: &Zarr<()>,
    dtype: DType,
) -> std::result::Result<Option<Shards>, String> {
    let codecs = json["codecs"].as_array().map_or(&[][..], Vec::as_slice);
    let sharded = |codecs: &serde_json::Value| codecs.to_string().contains("\"sharding_indexed\"");
    if !sharded(&json["codecs"]) {
        return Ok(None);
    }
    let configuration = &codecs[0]["configuration"];
    if codecs.len() > 1 || sharded(&configuration["codecs"]) {
        return Err(
            "its shards lie behind or inside other codecs, which is not supported".to_owned(),
        );
    }
    let wrong = |error: &dyn std::fmt::Display| format!("its shards cannot be read: {error}");
    let chain = |name: &str| -> std::result::Result<Arc<CodecChain>, String> {
        let metadata: Vec<zarrs::metadata::v3::MetadataV3> =
            serde_json::from_value(configuration[name].clone()).map_err(|e| wrong(&e))?;
        let chain = CodecChain::from_metadata(&metadata).map_err(|e| wrong(&e))?;
        Ok(Arc::new(chain))
    };
    let inner = serde_json::from_value(configuration["chunk_shape"].clone());
    Ok(Some(Shards {
        inner: inner.map_err(|e| wrong(&e))?,
        packing: Packing::new(
            chain("codecs")?,
            zarr.data_type().clone(),
            zarr.fill_value().clone(),
            dtype.size(),
        ),
        index: Packing::new(
            chain("index_codecs")?,
            data_type::uint64(),
            u64::MAX.into(),
            8,
        ),
        index_at_end: configuration["index_location"] != "start",
    }))
}

/// The entry of an inner chunk that is not stored.
const ABSENT: [u64; 2] = [u64::MAX; 2];

impl Shards {
    /// How many inner chunks a shard has along each axis, and the two numbers of each.
    fn index_shape(&self, shard: &[usize]) -> Vec<usize> {
        let counts = shard.iter().zip(&self.inner).map(|(n, inner)| n / inner);
        counts.chain([2]).collect()
    }

    fn inner_grid(&self, shard: &[usize]) -> ChunkGrid {
        ChunkGrid::new(shard, &self.inner)
    }

    fn read(
        &self,
        opened: &Opened,
        shard: &[usize],
        (at, own): (&[usize], &[usize]),
        out: &mut [u8],
        item: usize,
    ) -> Result<u64> {
        let damaged = |message: String| opened.damaged(&message);
        let index_shape = self.index_shape(shard);
        let index_bytes = (8 * index_shape.iter().product::<usize>()) as u64;
        let packed_index = self.packed_index_bytes(&index_shape).map_err(damaged)?;
        let start = match self.index_at_end {
            true => opened.length.checked_sub(packed_index),
            false => Some(0),
        };
        let start = start.ok_or_else(|| damaged("it ends inside its index".to_owned()))?;
        let index = opened.read_part(start, packed_index, packed_index.max(index_bytes))?;
        let index = self.index.unpack(index, &index_shape).map_err(damaged)?;
        let grid = self.inner_grid(shard);
        let region: Region = at.iter().zip(own).map(|(&at, &n)| at..at + n).collect();
        let most = self
            .packing
            .packed_bytes_max(&self.inner)
            .map_err(damaged)?;
        let mut moved = packed_index;
        for inner in grid.overlapping(&region) {
            let word = |i: usize| {
                let bytes = &index[16 * inner + 8 * i..][..8];
                u64::from_ne_bytes(bytes.try_into().unwrap_or_default())
            };
            let place = grid.region(inner);
            let meet: Region = place
                .iter()
                .zip(&region)
                .map(|(a, b)| a.start.max(b.start)..a.end.min(b.end))
                .collect();
            let relative = |to: &Region| -> Vec<usize> {
                meet.iter()
                    .zip(to)
                    .map(|(part, to)| part.start - to.start)
                    .collect()
            };
            let (in_chunk, in_out) = (relative(&place), relative(&region));
            let to = Place {
                shape: own,
                at: &in_out,
            };
            let entry = [word(0), word(1)];
            if entry == ABSENT {
                fill_box(out, to, &lengths(&meet), self.packing.fill());
                continue;
            }
            let end = entry[0].checked_add(entry[1]);
            if end.is_none_or(|end| end > opened.length) {
                return Err(damaged(format!(
                    "its index places a chunk at bytes {} to {} of {}",
                    entry[0],
                    entry[0].saturating_add(entry[1]),
                    opened.length
                )));
            }
            let packed = opened.read_part(entry[0], entry[1], most)?;
            moved += entry[1];
            let elements = self.packing.unpack(packed, &self.inner).map_err(damaged)?;
            let from = Place {
                shape: &self.inner,
                at: &in_chunk,
            };
            copy_box((&elements, from), (&mut *out, to), &lengths(&meet), item);
        }
        Ok(moved)
    }

    fn packed_index_bytes(&self, index_shape: &[usize]) -> std::result::Result<u64, String> {
        // the index has a fixed size by the format: packing any index shows it
        let empty = vec![255; 8 * index_shape.iter().product::<usize>()];
        Ok(self.index.pack(&empty, index_shape)?.len() as u64)
    }

    /// Packs a whole shard; `None` where all of it is the fill value.
    ///
    /// # Errors
    /// Those of the codecs, as a sentence.
    pub(crate) fn pack(
        &self,
        elements: &[u8],
        shard: &[usize],
        item: usize,
    ) -> std::result::Result<Option<Vec<u8>>, String> {
        let grid = self.inner_grid(shard);
        let index_shape = self.index_shape(shard);
        let index_bytes = self.packed_index_bytes(&index_shape)?;
        let mut index: Vec<u64> = Vec::with_capacity(2 * grid.len());
        let mut packed = Vec::new();
        if !self.index_at_end {
            packed.resize(index_bytes as usize, 0);
        }
        let zeros = vec![0; shard.len()];
        let mut inner = vec![0; self.inner.iter().product::<usize>() * item];
        for chunk in 0..grid.len() {
            let at: Vec<usize> = grid.region(chunk).iter().map(|range| range.start).collect();
            let from = Place {
                shape: shard,
                at: &at,
            };
            let to = Place {
                shape: &self.inner,
                at: &zeros,
            };
            copy_box((elements, from), (&mut inner, to), &self.inner, item);
            if is_fill(&inner, self.packing.fill()) {
                index.extend(ABSENT);
                continue;
            }
            let bytes = self.packing.pack(&inner, &self.inner)?;
            index.extend([packed.len() as u64, bytes.len() as u64]);
            packed.extend_from_slice(&bytes);
        }
        if index.iter().all(|&word| word == u64::MAX) {
            return Ok(None);
        }
        let index: Vec<u8> = index.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let index = self.index.pack(&index, &index_shape)?;
        match self.index_at_end {
            true => packed.extend_from_slice(&index),
            false => packed[..index.len()].copy_from_slice(&index),
        }
        Ok(Some(packed))
    }

    /// What packing a shard holds beside its elements.
    ///
    /// # Errors
    /// Codecs that promise no bound, as a sentence.
    pub(crate) fn pack_bytes(&self, shard: &[usize]) -> std::result::Result<u64, String> {
        let inner = self.packing.packed_bytes_max(&self.inner)?;
        let count = self.inner_grid(shard).len() as u64;
        // a vector that grows may hold twice what is in it
        Ok(2 * count * inner + 64 * count + self.packing.pack_bytes(&self.inner)?)
    }
}

/// Whether all elements are one.
pub(crate) fn is_fill(elements: &[u8], fill: &[u8]) -> bool {
    elements
        .chunks_exact(fill.len())
        .all(|element| element == fill)
}
