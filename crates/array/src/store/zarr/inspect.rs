//! What a Zarr array is, from its description.

use std::path::Path;

use flagstone_common::Result;
use serde_json::Value;

use super::metadata::{describe, members};
use super::stored::Stored;
use crate::elements::dtype::DType;

/// What the description of a Zarr array says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ZarrInfo {
    /// The version of the format: 2 or 3.
    pub version: u8,
    /// The type of the elements.
    pub dtype: DType,
    /// The length of every axis.
    pub shape: Vec<usize>,
    /// The shape of a chunk; of chunks of many lengths, the longest along each axis.
    pub chunks: Vec<usize>,
    /// The shape of a shard, if chunks lie in shards.
    pub shards: Option<Vec<usize>>,
    /// How many files there are at most.
    pub file_count: usize,
    /// The codecs that chunks go through when they are written, as the description has them.
    pub codecs: Vec<String>,
    /// The value of elements that are not stored, as the description has it.
    pub fill_value: String,
    /// The names of the axes, if they have some.
    pub dimension_names: Option<Vec<Option<String>>>,
}

/// Reads the description of a Zarr array.
///
/// ```
/// use flagstone_array::{Array, DType, ZarrOptions, inspect_zarr};
/// use flagstone_graph::SerialExecutor;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("x.zarr");
/// let options = ZarrOptions { chunks: Some(vec![4]), ..ZarrOptions::default() };
/// Array::<f32>::ones(&[10]).store_zarr_with(&SerialExecutor, &path, &options)?;
/// let info = inspect_zarr(&path)?;
/// assert_eq!((info.dtype, info.file_count), (DType::F32, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A path that holds no array, and an array that could not be opened.
pub fn inspect_zarr(path: impl AsRef<Path>) -> Result<ZarrInfo> {
    let path = path.as_ref();
    let json = describe(path)?.json;
    let stored = Stored::open(path)?;
    let name = |codec: &Value| {
        let name = codec["name"].as_str().or_else(|| codec["id"].as_str());
        name.unwrap_or_default().to_owned()
    };
    let list = |value: &Value| -> Vec<String> {
        let codecs = value.as_array().map_or(&[][..], Vec::as_slice);
        codecs.iter().map(name).collect()
    };
    let codecs = match stored.version {
        2 => {
            let compressor = (!json["compressor"].is_null()).then(|| name(&json["compressor"]));
            list(&json["filters"])
                .into_iter()
                .chain(compressor)
                .collect()
        }
        _ if stored.shards.is_some() => list(&json["codecs"][0]["configuration"]["codecs"]),
        _ => list(&json["codecs"]),
    };
    let largest = stored.largest_shape();
    Ok(ZarrInfo {
        version: stored.version,
        dtype: stored.dtype,
        shape: stored.grid.shape().to_vec(),
        chunks: match &stored.shards {
            Some(shards) => shards.inner.clone(),
            None => largest.clone(),
        },
        shards: stored.shards.is_some().then_some(largest),
        file_count: stored.grid.len(),
        codecs,
        fill_value: json["fill_value"].to_string(),
        dimension_names: serde_json::from_value(json["dimension_names"].clone()).unwrap_or(None),
    })
}

/// The names of the arrays and groups in a Zarr group, in order.
///
/// ```
/// use flagstone_array::{Array, ZarrOptions, ZarrVersion, create_zarr_group, zarr_members};
/// use flagstone_graph::SerialExecutor;
///
/// let dir = tempfile::tempdir()?;
/// create_zarr_group(dir.path(), ZarrVersion::V3)?;
/// let x = Array::<f64>::ones(&[2]);
/// x.store_zarr_with(&SerialExecutor, dir.path().join("x"), &ZarrOptions::default())?;
/// assert_eq!(zarr_members(dir.path()), ["x"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn zarr_members(path: impl AsRef<Path>) -> Vec<String> {
    members(path.as_ref())
}
