//! Chunks that somebody asked for: the user, or the store that an array goes to.

use std::sync::Arc;

use flagstone_graph::Result;

use super::{Lowered, Lowering};
use crate::grid::ChunkGrid;
use crate::node::Node;
use crate::tape::fuse;

/// Chunks of stores are not larger, unless they are asked for.
const STORED_BYTES_MAX: u64 = 64 << 20;

impl Lowering<'_> {
    /// Lowers an array to chunks of a given grid.
    pub(crate) fn lower_onto(&mut self, node: &Arc<Node>, grid: &ChunkGrid) -> Result<Lowered> {
        self.lower_layers_below(node)?;
        let parts = fuse(self, node)?;
        if parts.fused.is_leaf() && parts.layers[0].stride == 1 && parts.layers[0].grid == *grid {
            return Ok(parts.layers[0].clone());
        }
        self.evaluate_on(parts, grid.clone(), None, node)
    }

    /// Lowers an array to the chunks that the plan prefers, of one shape and not too large to be
    /// stored as one.
    pub(crate) fn lower_even(&mut self, node: &Arc<Node>) -> Result<Lowered> {
        let lowered = self.lower_chunks(node)?;
        if lowered.grid.is_regular() && lowered.chunk_bytes() <= STORED_BYTES_MAX {
            return Ok(lowered);
        }
        let mut chunk = lowered.grid.chunk_shape().to_vec();
        if lowered.chunk_bytes() > STORED_BYTES_MAX {
            chunk = self.pieces(&lowered.grid, lowered.item_bytes);
        }
        let grid = ChunkGrid::new(lowered.grid.shape(), &chunk);
        self.lower_onto(node, &grid)
    }
}
