//! The grids of states: what chunks become when they are folded, and when states are merged.

use flagstone_graph::Level;

use super::layer::FAN_IN;
use crate::grid::ChunkGrid;

/// The grid of states after chunks were folded along an axis: it has one place a chunk. With
/// `last` the axis is gone.
pub(crate) fn folded_grid(input: &ChunkGrid, axis: usize) -> (ChunkGrid, bool) {
    let (mut shape, mut chunk) = (input.shape().to_vec(), input.chunk_shape().to_vec());
    let last = input.counts()[axis] == 1;
    if last {
        shape.remove(axis);
        chunk.remove(axis);
    } else {
        shape[axis] = input.counts()[axis];
        chunk[axis] = 1;
    }
    (ChunkGrid::new(&shape, &chunk), last)
}

/// The grid after one level of merging.
pub(crate) fn merged_grid(parts: &ChunkGrid, axis: usize) -> (ChunkGrid, bool) {
    let (mut shape, mut chunk) = (parts.shape().to_vec(), parts.chunk_shape().to_vec());
    let last = shape[axis] <= FAN_IN;
    if last {
        shape.remove(axis);
        chunk.remove(axis);
    } else {
        shape[axis] = Level::new(shape[axis] as u32, FAN_IN as u32).count() as usize;
    }
    (ChunkGrid::new(&shape, &chunk), last)
}
