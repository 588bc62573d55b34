//! Zarr arrays in and out: both versions, codecs, shards, edges, regions, damage.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
#[path = "../common/mod.rs"]
mod common;
mod lengths;
mod outputs;
mod parts;
mod refusals;
mod round_trips;

use flagstone_array::ZarrCompression;
use ndarray::{ArrayD, IxDyn};

const COMPRESSIONS: [ZarrCompression; 5] = [
    ZarrCompression::None,
    ZarrCompression::Gzip(6),
    ZarrCompression::Zstd(3),
    ZarrCompression::BloscLz4(5),
    ZarrCompression::BloscZstd(3),
];

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next / 3.0
    })
}

fn bits(array: &ArrayD<f64>) -> Vec<u64> {
    array.iter().map(|value| value.to_bits()).collect()
}
