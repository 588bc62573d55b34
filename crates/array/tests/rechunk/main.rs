//! Other chunks: every way to say them, few passes, and no chunk decoded more often than it must.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
#[path = "../common/mod.rs"]
mod common;
mod passes;
mod spelling;
mod stored;

use flagstone_array::{ZarrCompression, ZarrOptions};
use ndarray::{ArrayD, IxDyn};

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next
    })
}

fn zarr(chunks: &[usize]) -> ZarrOptions {
    ZarrOptions {
        chunks: Some(chunks.to_vec()),
        compression: ZarrCompression::BloscLz4(1),
        ..ZarrOptions::default()
    }
}

fn plain_columns() -> ZarrOptions {
    ZarrOptions {
        compression: ZarrCompression::None,
        ..ZarrOptions::default()
    }
}
