//! The singular values of what the tree of factors leaves: one square matrix, in memory.

use flagstone_common::{Result, TokenHasher};
use flagstone_graph::Block;

use super::tsqr::lowered;
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, Region, lengths, volume};
use crate::kernels::dense;

/// The operation: the singular values and vectors of a square matrix that fits in memory. U is on
/// top, below it the values as one row, below them the right vectors as rows.
pub(crate) struct SquareSvd;

impl Lower for SquareSvd {
    fn name(&self) -> &'static str {
        "svd"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let grid = ChunkGrid::new(&node.shape, &node.shape);
        let layer = SvdOf {
            fused,
            grid: grid.clone(),
            edge: node.inputs()[0].shape[0],
        };
        Ok(lowered(lowering.push(Tasks(layer), &inputs, node), grid, 8))
    }
}

struct SvdOf {
    fused: Vec<Fused>,
    grid: ChunkGrid,
    edge: usize,
}

impl Piecewise for SvdOf {
    fn name(&self) -> &'static str {
        "svd"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, _: usize, _: u32) -> Region {
        vec![0..self.edge, 0..self.edge]
    }

    fn output_bytes(&self, _: u32) -> u64 {
        (volume(&self.grid.region(0)) * size_of::<f64>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let own = (self.edge * self.edge * size_of::<f64>()) as u64;
        own + dense::svd_bytes(self.edge) + self.fused[0].scratch_bytes(&self.region(0, task))
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let matrix = piece.values::<f64>(0, &self.fused[0])?;
        let region = self.grid.region(0);
        let mut out = Buffer::<f64>::granted(volume(&region))?;
        let (u, rest) = out.split_at_mut(matrix.len());
        let (s, v) = rest.split_at_mut(self.edge);
        dense::square_svd(&matrix, self.edge, u, s, v)?;
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.u64(self.edge as u64);
    }
}
