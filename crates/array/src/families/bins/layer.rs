//! Counts of elements in bins, with or without weights.
//!
//! The elements, in C order, are cut into leaves whose length follows from the number of bins
//! alone. Each leaf is counted from its first element to its last; leaves are merged by the
//! canonical tree of `kernels/fold.rs`, so that sums of weights have the same bits whatever the
//! chunks.

use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, TokenHasher};
use flagstone_graph::Block;

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::lowering::check_count;
use crate::engine::piecewise::{Piece, Piecewise, Tasks};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::families::reduce::grids::folded_grid;
use crate::fuse::tape::Fused;
use crate::grid::{ChunkGrid, Region, span, volume};
use crate::kernels::fold::Tree;
use crate::kernels::folds::sum::Sum;

/// Leaves have as many elements, or a few times as many as there are bins.
const LEAF_MIN: usize = 1 << 14;

/// In which bin an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binning {
    /// Its value is the bin's number.
    Number,
    /// By the edges, which are the second operand: the last one belongs to the bin below it.
    Edges {
        /// They are as far apart from each other, but for rounding.
        even: bool,
    },
}

/// The operation: `A` is `i64` for counts and `f64` for sums of weights, which are then the last
/// operand.
pub(crate) struct CountBins<T, A> {
    pub(crate) binning: Binning,
    pub(crate) bins: usize,
    pub(crate) types: std::marker::PhantomData<fn(T) -> A>,
}

impl<T: Element, A: Element> Lower for CountBins<T, A> {
    fn name(&self) -> &'static str {
        "count-bins"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let (fused, inputs) = lowering.operands(node.inputs())?;
        let length = node.inputs()[0].shape[0];
        let leaf = LEAF_MIN.max((2 * self.bins).next_power_of_two());
        let leaves = lowering.plan.chunk_bytes() as usize / (leaf * size_of::<T>());
        let chunk = leaf << leaves.max(1).ilog2();
        let grid = ChunkGrid::new(&[length, self.bins], &[chunk, self.bins]);
        check_count(grid.len() as u64, node)?;
        let (parts, last) = folded_grid(&grid, 0);
        let layer = Bins::<T, A> {
            fused,
            grid,
            binning: self.binning,
            leaf,
            last,
            types: self.types,
        };
        let layer = lowering.push(Tasks(layer), &inputs, node);
        let fold = Arc::new(Sum::<A, A>::new());
        let (layer, grid) = match last {
            true => (layer, parts),
            false => lowering.merge_states(&fold, (layer, parts), 0, Some(length), node),
        };
        Ok(Lowered {
            layer,
            grid,
            stride: 1,
            item_bytes: size_of::<A>(),
        })
    }
}

/// The layer.
struct Bins<T, A> {
    fused: Vec<Fused>,
    /// Elements by bins.
    grid: ChunkGrid,
    binning: Binning,
    leaf: usize,
    /// Whether there is one task only.
    last: bool,
    types: std::marker::PhantomData<fn(T) -> A>,
}

impl<T: Element, A: Element> Bins<T, A> {
    fn bins(&self) -> usize {
        self.grid.shape()[1]
    }

    fn edges(&self) -> bool {
        self.binning != Binning::Number
    }

    fn weights(&self) -> Option<usize> {
        let operand = 1 + usize::from(self.edges());
        (self.fused.len() > operand).then_some(operand)
    }

    /// The bin of an element, if it is in one.
    #[inline]
    fn bin(&self, value: T, edges: &[f64]) -> Result<Option<usize>> {
        let even = match self.binning {
            Binning::Number => {
                let number: i64 = value.cast();
                return match usize::try_from(number) {
                    Ok(number) if number < self.bins() => Ok(Some(number)),
                    _ => Err(outside(value, self.bins())),
                };
            }
            Binning::Edges { even } => even,
        };
        let value: f64 = value.cast();
        let (first, last) = (edges[0], edges[edges.len() - 1]);
        if !(first <= value && value <= last) {
            return Ok(None);
        }
        if !even {
            let above = edges.partition_point(|&edge| edge <= value);
            return Ok(Some(above.min(self.bins()) - 1));
        }
        // near enough, then by the edges themselves
        let guess = (value - first) / (last - first) * self.bins() as f64;
        let mut bin = (guess as usize).min(self.bins() - 1);
        while bin > 0 && value < edges[bin] {
            bin -= 1;
        }
        while bin + 1 < self.bins() && value >= edges[bin + 1] {
            bin += 1;
        }
        Ok(Some(bin))
    }
}

fn outside<T: Element>(value: T, bins: usize) -> Error {
    let message = match value < T::ZERO {
        true => format!("cannot count {value}: numbers of bins are not negative"),
        false => format!("cannot count {value} in {bins} bins: the data changed meanwhile"),
    };
    Error::new(ErrorKind::Invalid, message)
}

impl<T: Element, A: Element> Piecewise for Bins<T, A> {
    fn name(&self) -> &'static str {
        "count-bins"
    }

    fn operands(&self) -> &[Fused] {
        &self.fused
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn region(&self, operand: usize, task: u32) -> Region {
        match self.edges() && operand == 1 {
            true => span(0..self.bins() + 1),
            false => vec![self.grid.region(task as usize).swap_remove(0)],
        }
    }

    fn output_bytes(&self, _: u32) -> u64 {
        (self.bins() * size_of::<A>()) as u64
    }

    fn scratch_bytes(&self, task: u32) -> u64 {
        let region = self.region(0, task);
        let operands = self.fused.iter().enumerate().map(|(operand, fused)| {
            // the edges are taken whole, all else a leaf at a time
            let (part, elements) = match self.edges() && operand == 1 {
                true => (self.region(1, task), usize::MAX),
                false => (region.clone(), self.leaf),
            };
            let held = volume(&part).min(elements) * fused.dtype().size();
            held as u64 + fused.parts_bytes(&part, elements)
        });
        let leaves = volume(&region).div_ceil(self.leaf);
        let states = Tree::<A>::depth(leaves) * self.bins() * size_of::<A>();
        operands.sum::<u64>() + states as u64
    }

    fn run(&self, piece: Piece<'_, '_>) -> Result<Block> {
        let all = piece.region()[0].clone();
        let length = self.leaf.min(all.len());
        let mut values = Buffer::<T>::leased(length, &piece.memory)?;
        let edges = match self.edges() {
            true => piece.values::<f64>(1, &self.fused[1])?,
            false => Buffer::leased(0, &piece.memory)?,
        };
        if !edges.iter().all(|edge| edge.is_finite()) {
            return Err(Error::invalid(
                "a histogram needs finite edges: give a range, or take out infinities and \
                 not-a-number",
            ));
        }
        let weights = self.weights();
        let mut weighted = Buffer::<f64>::leased(weights.map_or(0, |_| length), &piece.memory)?;
        let add = |left: &mut A, right: &A| *left = left.plus(*right);
        let mut tree = Tree::new();
        for start in all.clone().step_by(self.leaf) {
            let part = span(start..all.end.min(start + self.leaf));
            let values = &mut values[..part[0].len()];
            piece.evaluate((0, &self.fused[0]), &part, values)?;
            let mut state = vec![A::ZERO; self.bins()];
            if let Some(operand) = weights {
                let weighted = &mut weighted[..part[0].len()];
                piece.evaluate((operand, &self.fused[operand]), &part, weighted)?;
                for (&value, &weight) in values.iter().zip(weighted.iter()) {
                    if let Some(bin) = self.bin(value, &edges)? {
                        state[bin] = state[bin].plus(weight.cast());
                    }
                }
            } else {
                for &value in values.iter() {
                    if let Some(bin) = self.bin(value, &edges)? {
                        state[bin] = state[bin].plus(A::ONE);
                    }
                }
            }
            tree.push(state, &add);
            piece.ctx.check_cancelled()?;
        }
        let counts = tree
            .finish(&add)
            .unwrap_or_else(|| vec![A::ZERO; self.bins()]);
        Ok(Block::new(match self.last {
            true => {
                let mut out = Buffer::<A>::granted(counts.len())?;
                out.copy_from_slice(&counts);
                Chunk::new(out, vec![counts.len()])
            }
            false => {
                let mut words = Buffer::<u64>::granted(counts.len())?;
                let bits = counts.iter().map(|count| count.token_bits());
                words
                    .iter_mut()
                    .zip(bits)
                    .for_each(|(word, bits)| *word = bits);
                Chunk::new(words, vec![1, counts.len(), 1])
            }
        }))
    }

    fn token(&self, hasher: &mut TokenHasher) {
        let types = (T::DTYPE, A::DTYPE);
        hasher.str(&format!("{types:?} {:?} {}", self.binning, self.leaf));
    }
}
