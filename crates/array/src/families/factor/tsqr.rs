//! Factors of tall matrices, by a tree over their rows.
//!
//! ```text
//! rows     A0   A1   A2   A3   A4       leaves of a length that follows from the columns
//! factor   Q0R0 Q1R1 Q2R2 Q3R3 Q4R4
//! factor   Q'[R0 R1 R2 R3]   Q'[R4]     four at a time, until there is one R
//! spread   C = Q' times the C of the node above, from the top down
//! apply    Q0C0 Q1C1 Q2C2 Q3C3 Q4C4     the rows of Q (or, with another C at the top, of U)
//! ```
//!
//! Everything inside is in double precision. The tree follows from the shape, so the bits do, too.

use std::marker::PhantomData;

use flagstone_common::{Result, TokenHasher};
use flagstone_graph::Block;

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

/// How the rows of a matrix are cut, and how many rows the R of each part has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Rows, and columns.
    pub(crate) shape: [usize; 2],
    /// Rows of each part but the last.
    pub(crate) rows: usize,
}

impl Parts {
    pub(crate) fn count(&self) -> usize {
        self.shape[0].div_ceil(self.rows).max(1)
    }

    fn rows_of(&self, part: usize) -> usize {
        self.shape[0].min((part + 1) * self.rows) - part * self.rows
    }

    /// Rows of a part's R, which are columns of its Q.
    pub(super) fn rank(&self, part: usize) -> usize {
        self.rows_of(part).min(self.shape[1])
    }

    pub(super) fn rank_max(&self) -> usize {
        self.rows.min(self.shape[0]).min(self.shape[1])
    }

    /// The rows of all R.
    pub(crate) fn ranks(&self) -> usize {
        (self.count() - 1) * self.rank(0) + self.rank(self.count() - 1)
    }

    /// Every part's Q with its R below it.
    pub(crate) fn stacked(&self) -> ChunkGrid {
        let shape = [self.shape[0] + self.ranks(), self.shape[1]];
        ChunkGrid::new(
            &shape,
            &[
                self.rows.min(self.shape[0]) + self.rank_max(),
                self.shape[1],
            ],
        )
    }

    /// All R, one after the other.
    pub(crate) fn tails(&self) -> ChunkGrid {
        ChunkGrid::new(
            &[self.ranks(), self.shape[1]],
            &[self.rank_max(), self.shape[1]],
        )
    }
}

pub(super) fn lowered(
    layer: flagstone_graph::LayerId,
    grid: ChunkGrid,
    item_bytes: usize,
) -> Lowered {
    Lowered {
        layer,
        grid,
        stride: 1,
        item_bytes,
    }
}

/// The operation: the factors of each part of the rows.
pub(crate) struct Factor<T> {
    pub(crate) parts: Parts,
    pub(crate) element: PhantomData<fn() -> T>,
}

impl<T: Element> Lower for Factor<T> {
    fn name(&self) -> &'static str {
        "qr"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let layer = FactorParts::<T> {
            fused,
            grid: self.parts.stacked(),
            parts: self.parts.clone(),
            element: PhantomData,
        };
        check_count(layer.grid.len() as u64, node)?;
        let grid = layer.grid.clone();
        Ok(lowered(lowering.push(Tasks(layer), &inputs, node), grid, 8))
    }
}

struct FactorParts<T> {
    fused: Vec<Fused>,
    grid: ChunkGrid,
    parts: Parts,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Piecewise for FactorParts<T> {
    fn name(&self) -> &'static str {
        "qr"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, _: usize, task: u32) -> Region {
        let from = task as usize * self.parts.rows;
        let rows = self.parts.rows_of(task as usize);
        vec![from..from + rows, 0..self.parts.shape[1]]
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<f64>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.region(0, task);
        let values = volume(&region) * (size_of::<T>() + size_of::<f64>());
        let factor = dense::qr_bytes(region[0].len(), region[1].len());
        values as u64 + factor + self.fused[0].scratch_bytes(&region)
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let part = piece.task as usize;
        let (rows, columns) = (self.parts.rows_of(part), self.parts.shape[1]);
        let values = piece.values::<T>(0, &self.fused[0])?;
        let mut wide = Buffer::<f64>::leased(values.len(), &piece.memory)?;
        for (wide, value) in wide.iter_mut().zip(values.iter()) {
            *wide = value.cast();
        }
        drop(values);
        let rank = self.parts.rank(part);
        let mut out = Buffer::<f64>::granted((rows + rank) * columns)?;
        let (q, r) = out.split_at_mut(rows * columns);
        dense::qr(&wide, (rows, columns), q, r);
        Ok(Block::new(Chunk::new(out, vec![rows + rank, columns])))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?} {:?}", T::DTYPE, self.parts));
    }
}

/// The operation: the R of each part, from [`Factor`].
pub(crate) struct Tails(pub(crate) Parts);

impl Lower for Tails {
    fn name(&self) -> &'static str {
        "r"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let stacked = lowering.lower_once(&node.inputs()[0])?;
        let identity = crate::expr::view::View::identity(stacked.grid.shape());
        let shape = stacked.grid.shape().to_vec();
        let layer = TakeTails {
            fused: crate::engine::lowering::leaf_alone(&stacked, f64::DTYPE, identity, &shape),
            grid: self.0.tails(),
            parts: self.0.clone(),
        };
        let grid = layer.grid.clone();
        let layer = lowering.push(Tasks(layer), &[stacked.layer], node);
        Ok(lowered(layer, grid, 8))
    }
}

struct TakeTails {
    fused: Fused,
    grid: ChunkGrid,
    parts: Parts,
}

impl Piecewise for TakeTails {
    fn name(&self) -> &'static str {
        "r"
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, _: usize, task: u32) -> Region {
        let part = self.parts.stacked().region(task as usize);
        let end = part[0].end;
        vec![end - self.parts.rank(task as usize)..end, part[1].clone()]
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<f64>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        self.fused.scratch_bytes(&self.region(0, task))
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let region = piece.region();
        let mut out = Buffer::<f64>::granted(volume(region))?;
        piece.evaluate((0, &self.fused), region, &mut out)?;
        Ok(Block::new(Chunk::new(out, lengths(region))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?}", self.parts));
    }
}
