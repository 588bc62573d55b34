//! The chunks of a new stored array for which nobody gave any.
//!
//! They follow from the array alone, so that what is in a store does not depend on the budget that it
//! was written with. Chunks grow with the root of the array's size, so neither files nor what writing
//! one of them holds get out of hand. Their edges are powers of two, as equal as the array's shape
//! allows: whoever reads them, by rows or by columns, reads few, and the tiles of a product are made
//! of whole ones.

use crate::expr::node::{Node, Op};
use crate::grid::ChunkGrid;

const CHUNK_BYTES_MIN: u64 = 256 << 10;
const CHUNK_BYTES_MAX: u64 = 2 << 20;
/// Chunks of what an array is made of are taken over up to this size.
const OWN_BYTES_MAX: u64 = 8 << 20;
/// Chunks that an array was given are taken over up to this size.
const GIVEN_BYTES_MAX: u64 = 64 << 20;

fn chunk_bytes(grid: &ChunkGrid, item: usize) -> u64 {
    (grid.chunk_volume() as u64).saturating_mul(item as u64)
}

/// The chunks that an array is stored in: those it was rechunked to, those of the stored array that
/// it is an element-wise function of, or such as fit its size.
pub(crate) fn chosen(node: &Node) -> ChunkGrid {
    let item = node.dtype.size();
    let given = match &node.op {
        Op::Layer { lower, .. } => lower.chunks(),
        _ => None,
    };
    let even = |grid: &ChunkGrid| ChunkGrid::new(&node.shape, grid.chunk_shape());
    given
        .map(even)
        .filter(|grid| chunk_bytes(grid, item) <= GIVEN_BYTES_MAX)
        .or_else(|| of_stored(node).filter(|grid| chunk_bytes(grid, item) <= OWN_BYTES_MAX))
        .unwrap_or_else(|| by_size(&node.shape, item))
}

/// The chunks of the stored arrays that an array is an element-wise function of, if all agree.
fn of_stored(node: &Node) -> Option<ChunkGrid> {
    let mut found: Option<ChunkGrid> = None;
    let mut seen = std::collections::HashSet::new();
    let mut stack = vec![node];
    while let Some(next) = stack.pop() {
        if next.shape != node.shape || !seen.insert(std::ptr::from_ref(next)) {
            continue;
        }
        match &next.op {
            Op::Apply { inputs, .. } => stack.extend(inputs.iter().map(|input| &**input)),
            Op::Layer { lower, .. } => match (lower.stored_chunks(), &found) {
                (Some(grid), None) => found = Some(grid),
                (Some(grid), Some(known)) if grid != *known => return None,
                _ => {}
            },
            _ => {}
        }
    }
    found
}

/// Chunks for an array of a size.
fn by_size(shape: &[usize], item: usize) -> ChunkGrid {
    let elements = shape
        .iter()
        .fold(1u64, |n, &length| n.saturating_mul(length as u64));
    let bytes = elements.saturating_mul(item as u64).max(1);
    let wanted = 1u64 << (bytes.ilog2() / 2 + 5);
    let wanted = wanted.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    let mut rest = (wanted / item as u64) as usize;
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes.sort_by_key(|&axis| shape[axis]);
    let mut chunk = vec![1; shape.len()];
    for (done, &axis) in axes.iter().enumerate() {
        let edge = 1 << (rest.max(1).ilog2() as usize / (axes.len() - done));
        chunk[axis] = shape[axis].clamp(1, edge);
        rest /= chunk[axis];
    }
    ChunkGrid::new(shape, &chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_from_shapes() {
        for (shape, item, chunk) in [
            (&[2000, 2000][..], 8, &[128, 256][..]),
            (&[100_000, 1000], 8, &[256, 256]),
            (&[100_000, 100_000], 8, &[512, 512]),
            (&[1 << 40], 8, &[1 << 18]),
            (&[1_000_000, 3], 4, &[16_384, 3]),
            (&[10, 20], 1, &[10, 20]),
            (&[], 8, &[]),
            (&[0, 5], 8, &[1, 5]),
            (&[500, 500, 500], 4, &[32, 64, 64]),
        ] {
            let grid = by_size(shape, item);
            assert_eq!(grid.chunk_shape(), chunk, "{shape:?}");
            assert!(chunk_bytes(&grid, item) <= CHUNK_BYTES_MAX);
        }
    }
}
