//! Shards: chunks that hold many inner chunks, and an index of where they lie.
//!
//! They are read and packed here and not by the codec of the crate `zarrs`, which would do so on
//! threads that the executor does not know, and hold all of a shard where one chunk of it is wanted.

use std::sync::Arc;

use flagstone_common::Result;
use zarrs::array::{Array as Zarr, CodecChain, data_type};

use super::boxes::{Corner, copy_box, fill_box};
use super::opened::Opened;
use super::packing::Packing;
use crate::elements::dtype::DType;
use crate::grid::{ChunkGrid, Region, lengths};

/// How shards are made up.
pub(crate) struct Shards {
    /// The shape of inner chunks.
    pub(crate) inner: Vec<usize>,
    pub(crate) packing: Packing,
    index: Packing,
    index_at_end: bool,
}

/// The entry of an inner chunk that is not stored.
const ABSENT: [u64; 2] = [u64::MAX; 2];

impl Shards {
    /// The parts of a description that is one sharding codec and nothing else.
    pub(crate) fn described(
        json: &serde_json::Value,
        zarr: &Zarr<()>,
        dtype: DType,
    ) -> std::result::Result<Option<Shards>, String> {
        let codecs = json["codecs"].as_array().map_or(&[][..], Vec::as_slice);
        let sharded =
            |codecs: &serde_json::Value| codecs.to_string().contains("\"sharding_indexed\"");
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
            )?,
            index: Packing::new(
                chain("index_codecs")?,
                data_type::uint64(),
                u64::MAX.into(),
                8,
            )?,
            index_at_end: configuration["index_location"] != "start",
        }))
    }

    /// How many inner chunks a shard has along each axis, and the two numbers of each.
    pub(super) fn index_shape(&self, shard: &[usize]) -> Vec<usize> {
        let counts = shard.iter().zip(&self.inner).map(|(n, inner)| n / inner);
        counts.chain([2]).collect()
    }

    fn inner_grid(&self, shard: &[usize]) -> ChunkGrid {
        ChunkGrid::new(shard, &self.inner)
    }

    /// Reads a box of a shard's file: the index, and the inner chunks that have a part of it.
    ///
    /// # Errors
    /// Those of the storage, and damage.
    pub(super) fn read(
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
            let to = Corner {
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
            let from = Corner {
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
        // for all that inner chunks can have: a vector that grows may hold more
        let most = self.packing.packed_bytes_max(&self.inner)? * grid.len() as u64;
        let mut packed = Vec::with_capacity((most + index_bytes) as usize);
        if !self.index_at_end {
            packed.resize(index_bytes as usize, 0);
        }
        let zeros = vec![0; shard.len()];
        let mut inner = vec![0; self.inner.iter().product::<usize>() * item];
        for chunk in 0..grid.len() {
            let at: Vec<usize> = grid.region(chunk).iter().map(|range| range.start).collect();
            let from = Corner {
                shape: shard,
                at: &at,
            };
            let to = Corner {
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
        let one =
            self.packing.unpacked_bytes(&self.inner) + self.packing.pack_bytes(&self.inner)?;
        Ok(count * inner + 64 * (count + 1) + one)
    }
}

/// Whether all elements are one.
pub(crate) fn is_fill(elements: &[u8], fill: &[u8]) -> bool {
    elements
        .chunks_exact(fill.len())
        .all(|element| element == fill)
}
