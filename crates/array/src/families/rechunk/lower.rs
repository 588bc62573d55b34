//! How a rechunk lowers: to the chunks that it names, or that the plan chooses.

use flagstone_common::{Error, ErrorKind, Result};

use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::grid::ChunkGrid;
use crate::grid::chunks::Chunks;

/// The operation.
pub(super) struct Rechunk {
    pub(super) chunks: Chunks,
    /// The grid, unless the plan chooses it.
    pub(super) grid: Option<ChunkGrid>,
}

impl Lower for Rechunk {
    fn name(&self) -> &'static str {
        "rechunk"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let grid = match &self.grid {
            Some(grid) => grid.clone(),
            None => {
                let auto = lowering.plan.chunk_bytes();
                let grid = self.chunks.grid(&node.shape, node.dtype.size(), auto);
                grid.map_err(|message| {
                    Error::new(ErrorKind::Invalid, message).with_location(node.location)
                })?
            }
        };
        lowering.onto(&node.inputs()[0], &grid, node)
    }

    fn chunks(&self) -> Option<&ChunkGrid> {
        self.grid.as_ref()
    }

    fn is_rechunk(&self) -> bool {
        true
    }
}
