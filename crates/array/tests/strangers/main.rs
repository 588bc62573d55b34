//! Files of other programs, and other programs at the same files: descriptions as Python writes them,
//! codecs by other names, writers at once, output that others touch, pipes under a file's name.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
#[path = "../common/mod.rs"]
mod common;
mod descriptions;
mod lengths;
mod writers;

use std::fs;
use std::path::Path;

use flagstone_array::Array;
use flagstone_graph::SerialExecutor;
use serde_json::{Value, json};

fn described(path: &Path, json: &str) {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("zarr.json"), json).unwrap();
}

fn v3(codecs: &Value, more: &str) -> String {
    format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float64",
        "chunk_grid": {{"name": "regular", "configuration": {{"chunk_shape": [4]}}}},
        "chunk_key_encoding": {{"name": "default", "configuration": {{"separator": "/"}}}},
        "fill_value": 0.0, "codecs": {codecs}, "storage_transformers": []{more}}}"#
    )
}

fn plain_bytes() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn values(path: &Path) -> flagstone_common::Result<Vec<f64>> {
    let values = Array::<f64>::open_zarr(path).compute_with(&SerialExecutor)?;
    Ok(values.iter().copied().collect())
}

fn refusal(path: &Path) -> String {
    values(path).unwrap_err().to_string()
}

const NUMBERS: [f64; 4] = [1.5, -2.0, 0.25, 1e300];

fn bytes_of(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}
