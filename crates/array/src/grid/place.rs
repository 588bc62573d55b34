//! Where a block lies among the blocks of an array.

use super::ChunkGrid;

/// Where a block lies, for the function that is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPlace {
    /// The block's coordinates among the blocks.
    pub coords: Vec<usize>,
    /// How many blocks there are along each axis.
    pub counts: Vec<usize>,
    /// The index of its first element (without what it has of its neighbours).
    pub start: Vec<usize>,
    /// One after the index of its last element along each axis.
    pub stop: Vec<usize>,
}

impl BlockPlace {
    pub(crate) fn of(grid: &ChunkGrid, block: usize) -> Self {
        let region = grid.region(block);
        BlockPlace {
            coords: grid.coords(block),
            counts: grid.counts().to_vec(),
            start: region.iter().map(|range| range.start).collect(),
            stop: region.iter().map(|range| range.end).collect(),
        }
    }
}
