//! A user's function of the blocks of several arrays that meet at the same indices.
//!
//! Every index of the result is cut into blocks, and so may be the indices that are contracted. A
//! block of the result is then accumulated in as many tasks as there are contracted blocks, in
//! their order: the bits follow from the block lengths that the user gave.

use std::sync::Arc;

use flagstone_common::{Error, Result, TokenHasher};
use flagstone_graph::{Block, Deps};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::bytes::from_bytes;
use crate::elements::element::Element;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::families::blocks::layer::{check_shape, fill};
use crate::fuse::tape::Fused;
use crate::grid::place::BlockPlace;
use crate::grid::{ChunkGrid, Region, lengths, volume};

/// One operand's block, its type forgotten.
pub(crate) struct Operand {
    bytes: Buffer<u8>,
    shape: Vec<usize>,
}

impl Operand {
    /// The elements; the operand must be of this type.
    pub(crate) fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        ArrayViewD::from_shape(IxDyn(&self.shape), from_bytes(&self.bytes)).map_err(Error::failed)
    }
}

/// A block from blocks.
pub(crate) type OfBlocks<U> =
    Arc<dyn Fn(&BlockPlace, &[Operand]) -> Result<ArrayD<U>> + Send + Sync>;
/// Two results of one block, of earlier and later contracted blocks, as one.
pub(crate) type Combine<U> = Arc<dyn Fn(ArrayD<U>, ArrayD<U>) -> ArrayD<U> + Send + Sync>;

/// The operation.
pub(crate) struct Contraction<U> {
    /// How all indices are cut: those of the result, then those that are contracted.
    pub(crate) grid: ChunkGrid,
    /// How the result lies: as many blocks as the first indices have.
    pub(crate) results: ChunkGrid,
    /// Per operand and axis, its index in `grid`.
    pub(crate) axes: Vec<Vec<usize>>,
    pub(crate) function: OfBlocks<U>,
    pub(crate) combine: Option<Combine<U>>,
}

impl<U: Element> Lower for Contraction<U> {
    fn name(&self) -> &'static str {
        "blockwise"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        check_count(self.grid.len() as u64, node)?;
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let shapes = node.inputs().iter().map(|input| input.shape.clone());
        let layer = Contract {
            grid: self.grid.clone(),
            results: self.results.clone(),
            axes: self.axes.clone(),
            shapes: shapes.collect(),
            fused,
            function: Arc::clone(&self.function),
            combine: self.combine.clone(),
        };
        let stride = layer.contracted();
        Ok(Lowered {
            layer: lowering.push(Tasks(layer), &inputs, node),
            grid: self.results.clone(),
            stride,
            item_bytes: size_of::<U>(),
        })
    }
}

/// The layer.
struct Contract<U> {
    grid: ChunkGrid,
    results: ChunkGrid,
    axes: Vec<Vec<usize>>,
    shapes: Vec<Vec<usize>>,
    fused: Vec<Fused>,
    function: OfBlocks<U>,
    combine: Option<Combine<U>>,
}

impl<U: Element> Contract<U> {
    /// How many tasks make a block of the result.
    fn contracted(&self) -> u32 {
        (self.grid.len() / self.results.len()) as u32
    }

    fn result(&self, task: u32) -> Region {
        self.results.region((task / self.contracted()) as usize)
    }
}

impl<U: Element> Piecewise for Contract<U> {
    fn name(&self) -> &'static str {
        "blockwise"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, operand: usize, task: u32) -> Region {
        let block = self.grid.region(task as usize);
        let axes = self.axes[operand].iter().zip(&self.shapes[operand]);
        // an axis of length 1 meets every block
        axes.map(
            |(&index, &length)| match length == 1 && block[index].end != 1 {
                true => 0..1,
                false => block[index].clone(),
            },
        )
        .collect()
    }

    fn output_bytes(&self, task: u32) -> u64 {
        (volume(&self.result(task)) * size_of::<U>()) as u64
    }

    /// The operands' blocks, and what the function returns and it is combined with and to.
    fn scratch_bytes(&self, task: u32) -> u64 {
        let results = if self.contracted() > 1 { 3 } else { 1 };
        self.operand_bytes(task) + results * self.output_bytes(task)
    }

    fn more_deps(&self, task: u32, deps: &mut Deps<'_>) {
        if !task.is_multiple_of(self.contracted()) {
            deps.own(task - 1);
        }
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let operands: Vec<Operand> = (self.fused.iter().enumerate())
            .map(|(operand, fused)| {
                Ok(Operand {
                    bytes: piece.bytes(operand, fused)?,
                    shape: lengths(&piece.regions[operand]),
                })
            })
            .collect::<Result<_>>()?;
        let shape = lengths(&self.result(piece.task));
        let place = BlockPlace::of(&self.grid, piece.task as usize);
        let mut result = (self.function)(&place, &operands)?;
        check_shape(&place, result.shape(), &shape)?;
        drop(operands);
        if !piece.task.is_multiple_of(self.contracted())
            && let Some(combine) = &self.combine
        {
            let before = Chunk::input(&piece.inputs, piece.next, U::DTYPE, &shape)?.view::<U>()?;
            result = combine(before.to_owned(), result);
            check_shape(&place, result.shape(), &shape)?;
        }
        let mut out = Buffer::<U>::granted(result.len())?;
        fill(&mut out, result.iter());
        Ok(Block::new(Chunk::new(out, shape)))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }
}
