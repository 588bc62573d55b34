//! Products of many small matrices: a task has some of them, each multiplied by one call.

use std::marker::PhantomData;

use flagstone_common::{Result, TokenHasher};
use flagstone_graph::Block;

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::elements::gemm::{GemmBlock, Operand};
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, Region, lengths, volume};

/// The operation on arrays of shapes (count, m, k) and (count, k, n).
pub(crate) struct Batches<T> {
    pub(crate) element: PhantomData<fn() -> T>,
}

impl<T: Element> Lower for Batches<T> {
    fn name(&self) -> &'static str {
        "products"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let matrix = |shape: &[usize]| shape[1..].iter().product::<usize>() * size_of::<T>();
        let each = matrix(fused[0].shape()) + matrix(fused[1].shape()) + matrix(&node.shape);
        let count = (lowering.plan.chunk_bytes() as usize / each.max(1)).max(1);
        let grid = ChunkGrid::new(&node.shape, &[count, node.shape[1], node.shape[2]]);
        check_count(grid.len() as u64, node)?;
        let layer = Products::<T> {
            fused,
            grid: grid.clone(),
            element: PhantomData,
        };
        Ok(Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid,
            stride: 1,
            item_bytes: size_of::<T>(),
        })
    }
}

struct Products<T> {
    fused: Vec<Fused>,
    grid: ChunkGrid,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Piecewise for Products<T> {
    fn name(&self) -> &'static str {
        "products"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, operand: usize, task: u32) -> Region {
        let shape = self.fused[operand].shape();
        let batch = self.grid.region(task as usize).swap_remove(0);
        vec![batch, 0..shape[1], 0..shape[2]]
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<T>()) as u64
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let a = piece.values::<T>(0, &self.fused[0])?;
        let b = piece.values::<T>(1, &self.fused[1])?;
        let region = self.grid.region(piece.task as usize);
        let (m, n) = (region[1].len(), region[2].len());
        let k = piece.regions[0][2].len();
        let mut out = Buffer::<T>::granted(volume(&region))?;
        for (i, c) in out.chunks_exact_mut((m * n).max(1)).enumerate() {
            T::gemm(GemmBlock {
                shape: (m, n, k),
                c: c.as_mut_ptr(),
                c_row_stride: n,
                a: Operand::new(&a, i * m * k, (m, k), (k, 1)),
                b: Operand::new(&b, i * k * n, (k, n), (n, 1)),
            });
            piece.ctx.check_cancelled()?;
        }
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?}", T::DTYPE));
    }
}
