//! A user's function of whole blocks, with or without their neighbours' edges.

use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, TokenHasher};
use flagstone_graph::Block;
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::fuse::tape::Fused;
use crate::grid::place::BlockPlace;
use crate::grid::{ChunkGrid, Region, lengths, volume};

/// A block from a block.
pub(crate) type OfBlock<T, U> =
    Arc<dyn Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync>;

/// What blocks have of their neighbours, along each axis.
#[derive(Debug, Clone)]
pub(crate) struct Overlap(pub(crate) Vec<Overlapped>);

/// What blocks have of their neighbours along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overlapped {
    pub(crate) before: usize,
    pub(crate) after: usize,
    /// The operand was padded by as much; else blocks at its ends have less.
    pub(crate) padded: bool,
}

impl Overlap {
    /// Blocks alone.
    pub(crate) fn none(ndim: usize) -> Self {
        let none = Overlapped {
            before: 0,
            after: 0,
            padded: true,
        };
        Overlap(vec![none; ndim])
    }
}

/// The operation.
pub(crate) struct MapBlocks<T, U> {
    pub(crate) name: &'static str,
    /// How the operand is cut (without the padding).
    pub(crate) grid: ChunkGrid,
    pub(crate) overlap: Overlap,
    /// How the results lie: one for each block, in the same order.
    pub(crate) results: ChunkGrid,
    pub(crate) function: OfBlock<T, U>,
}

impl<T: Element, U: Element> Lower for MapBlocks<T, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let mut parts = lowering.operand(&node.inputs()[0])?;
        check_count(self.grid.len() as u64, node)?;
        lowering.fit_leaves(&mut parts, &self.grid, node)?;
        let inputs = parts.inputs();
        let layer = Blocks {
            name: self.name,
            fused: parts.fused,
            grid: self.grid.clone(),
            overlap: self.overlap.clone(),
            results: self.results.clone(),
            function: Arc::clone(&self.function),
        };
        Ok(Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid: self.results.clone(),
            stride: 1,
            item_bytes: size_of::<U>(),
        })
    }
}

/// The layer.
struct Blocks<T, U> {
    name: &'static str,
    fused: Fused,
    grid: ChunkGrid,
    overlap: Overlap,
    results: ChunkGrid,
    function: OfBlock<T, U>,
}

impl<T: Element, U: Element> Piecewise for Blocks<T, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn operands(&self) -> &[Fused] {
        std::slice::from_ref(&self.fused)
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// A block with its neighbours' edges.
    fn region(&self, _: usize, task: u32) -> Region {
        let region = self.grid.region(task as usize);
        let axes = region.iter().zip(&self.overlap.0).enumerate();
        axes.map(|(axis, (range, own))| match own.padded {
            true => range.start..range.end + own.before + own.after,
            false => {
                let length = self.grid.shape()[axis];
                range.start.saturating_sub(own.before)..(range.end + own.after).min(length)
            }
        })
        .collect()
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.results.region(task as usize)) * size_of::<U>()) as u64
    }

    /// The block, and what the function returns.
    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.region(0, task);
        let returned = match self.same_shape() {
            true => volume(&region),
            false => volume(&self.results.region(task as usize)),
        };
        let bytes = volume(&region) * size_of::<T>() + returned * size_of::<U>();
        bytes as u64 + self.fused.scratch_bytes(&region)
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let block = piece.task as usize;
        let shape = lengths(piece.region());
        let values = piece.values::<T>(0, &self.fused)?;
        let view = ArrayViewD::from_shape(IxDyn(&shape), &values[..]).map_err(Error::failed)?;
        let place = BlockPlace::of(&self.grid, block);
        let mapped = (self.function)(&place, view);
        let result = self.results.region(block);
        let expected = match self.same_shape() {
            true => shape,
            false => lengths(&result),
        };
        check_shape(&place, mapped.shape(), &expected)?;
        let mut out = Buffer::<U>::granted(volume(&result))?;
        if self.same_shape() {
            let inside = mapped.slice_each_axis(|axis| {
                let axis = axis.axis.index();
                let own = self.overlap.0[axis];
                let start = match own.padded {
                    true => own.before,
                    false => place.start[axis] - piece.region()[axis].start,
                };
                ndarray::Slice::from(start..start + result[axis].len())
            });
            fill(&mut out, inside.iter());
        } else {
            fill(&mut out, mapped.iter());
        }
        Ok(Block::new(Chunk::new(out, lengths(&result))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}

impl<T, U> Blocks<T, U> {
    /// Whether results have the blocks' shapes, with their edges.
    fn same_shape(&self) -> bool {
        self.grid == self.results
    }
}

pub(crate) fn fill<'v, U: Element>(out: &mut [U], values: impl Iterator<Item = &'v U>) {
    out.iter_mut()
        .zip(values)
        .for_each(|(to, &from)| *to = from);
}

/// Checks what a user's function returned.
pub(crate) fn check_shape(place: &BlockPlace, shape: &[usize], expected: &[usize]) -> Result<()> {
    if shape == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!(
            "the function of block {:?} returned the shape {shape:?}, not {expected:?}",
            place.coords
        ),
    ))
}
