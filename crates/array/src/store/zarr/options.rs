//! How a new Zarr array is stored, and the description that says so to every other program.

use flagstone_io::OutputOptions;
use serde_json::{Value, json};

use super::chunks::chosen;
use super::given::{GivenLengths, LISTED_MAX};
use super::metadata::Described;
use super::spelling::v3_name;
use crate::elements::dtype::DType;
use crate::elements::element::Element;
use crate::elements::wide::Wide;
use crate::expr::node::Node;
use crate::grid::{ChunkGrid, can_cut};

/// Version of the Zarr format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZarrVersion {
    /// The older one, which more programs read.
    V2,
    /// The current one, which knows shards.
    #[default]
    V3,
}

/// How chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZarrCompression {
    /// Not at all: elements can be read where they lie.
    None,
    /// gzip, levels 0 to 9.
    Gzip(u32),
    /// zstd, levels 1 to 19.
    Zstd(i32),
    /// blosc with lz4, levels 0 to 9, the bytes of elements shuffled.
    BloscLz4(u8),
    /// blosc with zstd, levels 0 to 9, the bytes of elements shuffled.
    BloscZstd(u8),
}

/// How a new Zarr array is stored.
///
/// ```
/// use flagstone_array::{ZarrCompression, ZarrOptions, ZarrVersion};
///
/// let options = ZarrOptions {
///     chunks: Some(vec![100, 100]),
///     compression: ZarrCompression::BloscLz4(5),
///     ..ZarrOptions::default()
/// };
/// assert_eq!(options.version, ZarrVersion::V3);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ZarrOptions {
    /// The version of the format.
    pub version: ZarrVersion,
    /// The shape of chunks; chosen where it is not given: those of a rechunked array, those of the
    /// Zarr array that an array is an element-wise function of, else 256 KiB to 2 MiB by the
    /// array's size. They never depend on the budget.
    pub chunks: Option<Vec<usize>>,
    /// The lengths of the chunks along every axis, where they are not of one shape; then `chunks` and
    /// `shards` are not given. Empty chunks are left out. Such chunks are an extension of version 3 of the format
    /// (`rectilinear`) that not every program reads.
    pub chunk_lengths: Option<Vec<Vec<usize>>>,
    /// The shape of shards, in which chunks lie together in one file: multiples of the chunks.
    pub shards: Option<Vec<usize>>,
    /// How chunks are compressed.
    pub compression: ZarrCompression,
    /// The value that elements have that are not stored.
    pub fill_value: f64,
    /// What happens to an array of this name. Of what exists, only a Zarr array is replaced.
    pub output: OutputOptions,
}

impl Default for ZarrOptions {
    fn default() -> Self {
        ZarrOptions {
            version: ZarrVersion::V3,
            chunks: None,
            chunk_lengths: None,
            shards: None,
            compression: ZarrCompression::Zstd(1),
            fill_value: 0.0,
            output: OutputOptions::default(),
        }
    }
}

impl ZarrOptions {
    /// Refuses what cannot be stored, as a sentence.
    pub(crate) fn check(&self, shape: &[usize]) -> Result<(), String> {
        let levels = match self.compression {
            ZarrCompression::None => true,
            ZarrCompression::Gzip(level) => level <= 9,
            ZarrCompression::Zstd(level) => (1..=19).contains(&level),
            ZarrCompression::BloscLz4(level) | ZarrCompression::BloscZstd(level) => level <= 9,
        };
        if !levels {
            return Err(format!("there is no {:?}", self.compression));
        }
        for (name, lengths) in [("chunks", &self.chunks), ("shards", &self.shards)] {
            if let Some(lengths) = lengths
                && !can_cut(shape, lengths)
            {
                return Err(format!(
                    "an array of shape {shape:?} cannot be stored in {name} of {lengths:?}"
                ));
            }
        }
        if let Some(lists) = &self.chunk_lengths {
            if self.chunks.is_some() || self.shards.is_some() {
                return Err("chunks of given lengths have no one shape, and no shards".to_owned());
            }
            let cut = match lists.len() == shape.len() {
                true => ChunkGrid::irregular(shape, lists)?,
                false => {
                    return Err(format!(
                        "an array of shape {shape:?} cannot be stored in chunks of lengths {lists:?}"
                    ));
                }
            };
            if !cut.is_regular() && cut.counts().iter().any(|&count| count > LISTED_MAX) {
                return Err(format!(
                    "at most {LISTED_MAX} chunks along an axis have lengths of their own, not {:?}",
                    cut.counts()
                ));
            }
            if self.version == ZarrVersion::V2 && !cut.is_regular() {
                return Err("version 2 of Zarr has only chunks of one shape".to_owned());
            }
        }
        let Some(shards) = &self.shards else {
            return Ok(());
        };
        if self.version == ZarrVersion::V2 {
            return Err("version 2 of Zarr has no shards".to_owned());
        }
        let Some(chunks) = &self.chunks else {
            return Err("shards need the shape of the chunks in them".to_owned());
        };
        match shards
            .iter()
            .zip(chunks)
            .all(|(&shard, &chunk)| shard.max(1) % chunk.max(1) == 0)
        {
            true => Ok(()),
            false => Err(format!(
                "shards of {shards:?} are not made of whole chunks of {chunks:?}"
            )),
        }
    }

    /// The chunks or shards that a new array is stored in, one a file.
    ///
    /// # Errors
    /// Lists that are not of its axes.
    pub(crate) fn grid(&self, node: &Node) -> Result<ChunkGrid, String> {
        match (
            &self.chunk_lengths,
            self.shards.as_ref().or(self.chunks.as_ref()),
        ) {
            (Some(lists), _) => ChunkGrid::irregular(&node.shape, lists),
            (None, Some(stored)) => Ok(ChunkGrid::new(&node.shape, stored)),
            (None, None) => Ok(chosen(node)),
        }
    }

    fn fill<T: Element>(&self) -> Result<Value, String> {
        let value = T::narrow(Wide::Float(self.fill_value));
        let same = value.cast::<f64>();
        if same != self.fill_value && !(same.is_nan() && self.fill_value.is_nan()) {
            return Err(format!(
                "{} is no {}, and cannot be what is not stored",
                self.fill_value,
                T::DTYPE
            ));
        }
        Ok(match value.widen() {
            _ if T::DTYPE == DType::Bool => json!(value != T::ZERO),
            Wide::Signed(value) => json!(value),
            Wide::Unsigned(value) => json!(value),
            Wide::Float(value) if value.is_nan() => json!("NaN"),
            Wide::Float(value) if value.is_infinite() => {
                json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Wide::Float(value) => json!(value),
        })
    }

    /// Describes a new array in the chunks or shards of a grid.
    ///
    /// # Errors
    /// A fill value that is no element.
    pub(crate) fn describe<T: Element>(&self, grid: &ChunkGrid) -> Result<Described, String> {
        let fill = self.fill::<T>()?;
        let shape = grid.shape();
        let chunks = self.chunks.as_deref().unwrap_or(grid.chunk_shape());
        let chunks: Vec<usize> = chunks.iter().map(|&length| length.max(1)).collect();
        let mut json = match self.version {
            ZarrVersion::V2 => self.v2(T::DTYPE, shape, &chunks, fill),
            ZarrVersion::V3 => self.v3(T::DTYPE, shape, &chunks, fill),
        };
        let given = (!grid.is_regular()).then(|| GivenLengths::of(grid));
        if given.is_some() {
            let lists: Vec<_> = (0..shape.len())
                .map(|axis| grid.chunk_lengths(axis))
                .collect();
            json["chunk_grid"] = json!({
                "name": "rectilinear",
                "configuration": {"kind": "inline", "chunk_shapes": lists},
            });
        }
        Described::new(json, self.version == ZarrVersion::V3, given)
    }

    fn v2(&self, dtype: DType, shape: &[usize], chunks: &[usize], fill: Value) -> Value {
        let blosc = |name: &str, level: u8| {
            let shuffle = u8::from(dtype.size() > 1);
            json!({"id": "blosc", "cname": name, "clevel": level, "shuffle": shuffle, "blocksize": 0})
        };
        let compressor = match self.compression {
            ZarrCompression::None => Value::Null,
            ZarrCompression::Gzip(level) => json!({"id": "gzip", "level": level}),
            ZarrCompression::Zstd(level) => json!({"id": "zstd", "level": level}),
            ZarrCompression::BloscLz4(level) => blosc("lz4", level),
            ZarrCompression::BloscZstd(level) => blosc("zstd", level),
        };
        let order = if dtype.size() == 1 { '|' } else { '<' };
        json!({
            "zarr_format": 2,
            "shape": shape,
            "chunks": chunks,
            "dtype": format!("{order}{}", dtype.npy_code()),
            "compressor": compressor,
            "fill_value": fill,
            "order": "C",
            "filters": null,
            "dimension_separator": ".",
        })
    }

    fn v3(&self, dtype: DType, shape: &[usize], chunks: &[usize], fill: Value) -> Value {
        let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
        let bytes = match dtype.size() {
            1 => json!({"name": "bytes"}),
            _ => little.clone(),
        };
        let blosc = |name: &str, level: u8| {
            let shuffle = if dtype.size() > 1 {
                "shuffle"
            } else {
                "noshuffle"
            };
            json!({"name": "blosc", "configuration": {
                "typesize": dtype.size(), "cname": name, "clevel": level, "shuffle": shuffle,
                "blocksize": 0,
            }})
        };
        let compressor = match self.compression {
            ZarrCompression::None => None,
            ZarrCompression::Gzip(level) => {
                Some(json!({"name": "gzip", "configuration": {"level": level}}))
            }
            ZarrCompression::Zstd(level) => {
                let configuration = json!({"level": level, "checksum": false});
                Some(json!({"name": "zstd", "configuration": configuration}))
            }
            ZarrCompression::BloscLz4(level) => Some(blosc("lz4", level)),
            ZarrCompression::BloscZstd(level) => Some(blosc("zstd", level)),
        };
        let codecs: Vec<Value> = std::iter::once(bytes).chain(compressor).collect();
        let (stored, codecs) = match &self.shards {
            None => (chunks.to_vec(), json!(codecs)),
            Some(shards) => {
                let shards: Vec<usize> = shards.iter().map(|&length| length.max(1)).collect();
                let configuration = json!({
                    "chunk_shape": chunks,
                    "codecs": codecs,
                    "index_codecs": [little, {"name": "crc32c"}],
                    "index_location": "end",
                });
                let sharding = json!({"name": "sharding_indexed", "configuration": configuration});
                (shards, json!([sharding]))
            }
        };
        json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": v3_name(dtype),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill,
            "codecs": codecs,
            "attributes": {},
        })
    }
}
