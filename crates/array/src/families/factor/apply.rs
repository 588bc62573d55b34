//! The rows of Q, put together down the tree of factors.

use std::marker::PhantomData;

use flagstone_common::{Error, Result, TokenHasher};
use flagstone_graph::Block;

use super::tsqr::{Parts, lowered};
use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, Region, lengths, volume};
use crate::kernels::dense;

/// The operation: every part's Q times its rows of another matrix.
///
/// The first operand is what [`Factor`] made of `parts`. The second has, for each part, as many
/// rows as its rank. Results are cut into `rows` (the parts' own, or those of the R beneath).
pub(crate) struct Apply<T> {
    pub(crate) parts: Parts,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) element: PhantomData<fn() -> T>,
}

impl<T: Element> Lower for Apply<T> {
    fn name(&self) -> &'static str {
        "apply-q"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let [stacked, factors] = node.inputs() else {
            return Err(Error::invalid("a factor is applied to another"));
        };
        let stacked = lowering.lower_once(stacked)?;
        let identity = crate::expr::view::View::identity(stacked.grid.shape());
        let shape = stacked.grid.shape().to_vec();
        let (mut fused, mut inputs) = lowering.operands(std::slice::from_ref(factors))?;
        for leaf in &mut fused[0].leaves {
            leaf.slot += 1;
        }
        fused.insert(
            0,
            crate::engine::lowering::leaf_alone(&stacked, f64::DTYPE, identity, &shape),
        );
        inputs.insert(0, stacked.layer);
        let shape = [self.parts.shape[0], self.columns];
        let grid = ChunkGrid::new(&shape, &[self.rows, self.columns]);
        check_count(grid.len() as u64, node)?;
        let layer = ApplyParts::<T> {
            fused,
            grid: grid.clone(),
            parts: self.parts.clone(),
            element: PhantomData,
        };
        let layer = lowering.push(Tasks(layer), &inputs, node);
        Ok(lowered(layer, grid, size_of::<T>()))
    }
}

struct ApplyParts<T> {
    fused: Vec<Fused>,
    grid: ChunkGrid,
    parts: Parts,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> ApplyParts<T> {
    /// The part that a task's rows are of.
    fn part(&self, task: u32) -> usize {
        self.grid.region(task as usize)[0].start / self.parts.rows
    }
}

impl<T: Element> Piecewise for ApplyParts<T> {
    fn name(&self) -> &'static str {
        "apply-q"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, operand: usize, task: u32) -> Region {
        let part = self.part(task);
        if operand == 1 {
            let from = part * self.parts.rank_max();
            return vec![from..from + self.parts.rank(part), 0..self.grid.shape()[1]];
        }
        // parts before this one have their R in between
        let rows = self.grid.region(task as usize).swap_remove(0);
        let skipped = part * self.parts.rank_max();
        vec![
            rows.start + skipped..rows.end + skipped,
            0..self.parts.shape[1],
        ]
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<T>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let operands = (0..2).map(|operand| {
            let region = self.region(operand, task);
            let own = (volume(&region) * size_of::<f64>()) as u64;
            own + self.fused[operand].scratch_bytes(&region)
        });
        let product = volume(&self.grid.region(task as usize)) * size_of::<f64>();
        operands.sum::<u64>() + product as u64
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let q = piece.values::<f64>(0, &self.fused[0])?;
        let c = piece.values::<f64>(1, &self.fused[1])?;
        let region = self.grid.region(piece.task as usize);
        let shape = (
            region[0].len(),
            self.parts.rank(self.part(piece.task)),
            region[1].len(),
        );
        let mut product = Buffer::<f64>::leased(volume(&region), &piece.memory)?;
        dense::product((&q, self.parts.shape[1]), &c, &mut product, shape);
        let mut out = Buffer::<T>::granted(product.len())?;
        for (out, value) in out.iter_mut().zip(product.iter()) {
            *out = value.cast();
        }
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?} {:?}", T::DTYPE, self.parts));
    }
}
