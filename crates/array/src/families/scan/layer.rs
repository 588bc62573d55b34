//! Running sums and products along an axis.
//!
//! Chunks follow each other along the axis: each starts from the last row of the one before, so the
//! order of operations is that of a single loop and the bits do not depend on the chunks. Chunks
//! side by side are independent.

use flagstone_common::{Result, TokenHasher};
use flagstone_graph::{Block, Deps};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::evaluate::Evaluate;
use crate::engine::lowering::leaf_alone;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::expr::view::View;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, lengths, volume};

/// The operation: each element combined with the result before it.
pub(crate) struct Running<T> {
    pub(crate) name: &'static str,
    pub(crate) axis: usize,
    pub(crate) combine: fn(T, T) -> T,
}

impl<T: Element> Lower for Running<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let parts = lowering.operand(&node.inputs()[0])?;
        let grid = lowering.evaluation_grid(&parts.fused);
        let inputs = parts.inputs();
        let layer = Scan {
            name: self.name,
            fused: parts.fused,
            grid: grid.clone(),
            axis: self.axis,
            combine: self.combine,
        };
        let running = Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid: grid.clone(),
            stride: 1,
            item_bytes: size_of::<T>(),
        };
        // a copy for the readers: a layer whose tasks read each other's blocks cannot be fused with
        // a reader, which would take these blocks away
        let identity = View::identity(&node.shape);
        let fused = leaf_alone(&running, T::DTYPE, identity, &node.shape);
        let copy = Evaluate {
            name: "running",
            fused,
            grid: grid.clone(),
            in_place: None,
        };
        Ok(Lowered {
            layer: lowering.push(copy, &[running.layer], node),
            ..running
        })
    }
}

/// The layer.
struct Scan<T> {
    name: &'static str,
    fused: Fused,
    grid: ChunkGrid,
    axis: usize,
    combine: fn(T, T) -> T,
}

impl<T> Scan<T> {
    /// The chunk before a chunk, along the axis.
    fn before(&self, task: u32) -> Option<u32> {
        let counts = self.grid.counts();
        let stride: usize = counts[self.axis + 1..].iter().product();
        match self.grid.coords(task as usize)[self.axis] {
            0 => None,
            _ => Some(task - stride as u32),
        }
    }
}

impl<T: Element> Piecewise for Scan<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<T>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        self.fused.scratch_bytes(&self.grid.region(task as usize))
    }

    fn more_deps(&self, task: u32, deps: &mut Deps<'_>) {
        if let Some(before) = self.before(task) {
            deps.own(before);
        }
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let region = piece.region();
        let mut values = Buffer::<T>::granted(volume(region))?;
        piece.evaluate((0, &self.fused), region, &mut values)?;
        let (length, inner) = (region[self.axis].len(), volume(&region[self.axis + 1..]));
        let row = length * inner;
        if let Some(before) = self.before(piece.task) {
            let shape = lengths(&self.grid.region(before as usize));
            let before =
                Chunk::input(&piece.inputs, piece.next, T::DTYPE, &shape)?.values::<T>()?;
            let last = before.len() / volume(&region[..self.axis]).max(1);
            for (block, before) in values
                .chunks_exact_mut(row.max(1))
                .zip(before.chunks_exact(last.max(1)))
            {
                for (value, &carry) in block[..inner].iter_mut().zip(&before[last - inner..]) {
                    *value = (self.combine)(carry, *value);
                }
            }
        }
        for block in values.chunks_exact_mut(row.max(1)) {
            for i in inner..row {
                block[i] = (self.combine)(block[i - inner], block[i]);
            }
        }
        Ok(Block::new(Chunk::new(values, lengths(region))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?}", (T::DTYPE, self.axis)));
    }
}
