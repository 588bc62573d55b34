//! Places of elements in ascending ones, which are held whole.

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
use crate::grid::{ChunkGrid, Region, lengths, span, volume};

/// How elements are looked up in ascending ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// How many are less.
    Less,
    /// How many are less or equal.
    NotMore,
}

/// The operation: for each element of the first operand its place in the second, which is
/// ascending and held whole.
pub(crate) struct Places<T> {
    pub(crate) look_up: LookUp,
    pub(crate) element: PhantomData<fn() -> T>,
}

impl<T: Element> Lower for Places<T> {
    fn name(&self) -> &'static str {
        "searchsorted"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let grid = lowering
            .plan
            .evaluation_grid(&node.shape, size_of::<i64>(), 2, false);
        check_count(grid.len() as u64, node)?;
        let layer = FindPlaces::<T> {
            fused,
            grid: grid.clone(),
            look_up: self.look_up,
            element: PhantomData,
        };
        Ok(Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid,
            stride: 1,
            item_bytes: size_of::<i64>(),
        })
    }
}

struct FindPlaces<T> {
    fused: Vec<Fused>,
    grid: ChunkGrid,
    look_up: LookUp,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Piecewise for FindPlaces<T> {
    fn name(&self) -> &'static str {
        "searchsorted"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, operand: usize, task: u32) -> Region {
        match operand {
            0 => self.grid.region(task as usize),
            _ => span(0..self.fused[1].shape()[0]),
        }
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.grid.region(task as usize)) * size_of::<i64>()) as u64
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let values = piece.values::<T>(0, &self.fused[0])?;
        let sorted = piece.values::<T>(1, &self.fused[1])?;
        let mut out = Buffer::<i64>::granted(values.len())?;
        for (out, value) in out.iter_mut().zip(values.iter()) {
            let key = value.loose_key();
            let before = |other: &T| match self.look_up {
                LookUp::Less => other.loose_key() < key,
                LookUp::NotMore => other.loose_key() <= key,
            };
            *out = sorted.partition_point(before) as i64;
        }
        Ok(Block::new(Chunk::new(out, lengths(piece.region()))))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?} {:?}", self.look_up, T::DTYPE));
    }
}
