//! The seams between collections.

#[cfg(all(feature = "array", feature = "bag"))]
mod array_bag;
#[cfg(all(feature = "array", feature = "frame"))]
mod array_frame;
#[cfg(all(feature = "bag", feature = "frame"))]
mod bag_to_frame;
#[cfg(all(feature = "bag", feature = "frame"))]
mod frame_bag;
#[cfg(all(feature = "bag", feature = "frame"))]
mod pattern;
#[cfg(all(feature = "bag", feature = "frame"))]
mod records;

#[cfg(all(feature = "array", feature = "frame"))]
pub use array_frame::ColumnElement;
#[cfg(all(feature = "bag", feature = "frame"))]
pub use bag_to_frame::BagExt;
#[cfg(all(feature = "bag", feature = "frame"))]
pub use pattern::{read_pattern, read_pattern_with};

/// The rows of an array that make a partition, about 1 MiB. What a fold of floats is rounded to
/// follows from the partitions: they are the same for every budget.
#[cfg(all(feature = "array", any(feature = "bag", feature = "frame")))]
fn partition_rows<T: flagstone_array::Element>(array: &flagstone_array::Array<T>) -> usize {
    const PARTITION_BYTES: u64 = 1 << 20;
    let count = array.shape().first().copied().unwrap_or(0).max(1);
    let row_bytes = (array.nbytes() / count as u64).max(1);
    (PARTITION_BYTES / row_bytes).max(1) as usize
}
