//! From expressions to layers.
//!
//! A request goes down the expression: element-wise operations, views, concatenations and reshapes
//! are fused into whatever asks for them (`fuse`); products and reductions become layers of their
//! own, whose blocks are inputs of the tape above. A product's tiles can be as large as the budget,
//! so whoever wants them in other pieces first has them cut.

use std::collections::HashSet;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::{Layer, LayerId};

use super::evaluate::Evaluate;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::{Node, Op};
use crate::expr::view::View;
use crate::fuse::build::fuse;
use crate::fuse::input::{Base, Input};
use crate::fuse::leaves::Parts;
use crate::fuse::tape::{Fused, Leaf};
use crate::grid::{ChunkGrid, volume};
use crate::kernels::gemm::BLOCK;

impl<'g> Lowering<'g> {
    /// Lowers an array to a layer of its chunks.
    pub(crate) fn lower_chunks(&mut self, node: &Arc<Node>) -> Result<Lowered> {
        self.lower_layers_below(node)?;
        let parts = fuse(self, node)?;
        if parts.fused.is_leaf() && parts.layers[0].stride == 1 {
            return Ok(parts.layers[0].clone());
        }
        self.evaluate(parts, node)
    }

    /// Fuses an expression that nothing else of this computation is made of.
    pub(crate) fn lower_expression(&mut self, node: &Arc<Node>) -> Result<Parts> {
        self.lower_layers_below(node)?;
        self.operand(node)
    }

    /// Lowers what has layers of its own, from the bottom up, so that no call goes as deep as the
    /// expression.
    pub(super) fn lower_layers_below(&mut self, node: &Arc<Node>) -> Result<()> {
        let mut seen: HashSet<*const Node> = HashSet::new();
        let mut stack = vec![(node, false)];
        while let Some((node, inputs_done)) = stack.pop() {
            if inputs_done {
                self.lower_layer(node)?;
                continue;
            }
            if Arc::strong_count(node) > 1 && !seen.insert(Arc::as_ptr(node)) {
                continue;
            }
            if let Op::Mistake(mistake) = &node.op {
                return Err(mistake.error());
            }
            if let Some(mistake) = node.uncounted() {
                return Err(mistake.error());
            }
            if matches!(node.op, Op::Layer { .. }) {
                stack.push((node, true));
            }
            stack.extend(node.inputs().iter().rev().map(|input| (input, false)));
        }
        Ok(())
    }

    /// Computes an expression chunk by chunk.
    pub(super) fn evaluate(&mut self, mut parts: Parts, node: &Node) -> Result<Lowered> {
        // where a product's tiles are combined with something, chunks follow the tiles: whole ones
        // that are worked on in place if there is room, else pieces, each of one tile
        let tiles = parts
            .fused
            .in_place_leaf()
            .filter(|&leaf| parts.layers[leaf].chunk_bytes() > self.plan.chunk_bytes());
        let whole = tiles.filter(|&leaf| self.can_keep_tiles(&parts, leaf));
        self.cut_leaves(&mut parts, tiles);
        let grid = match tiles.map(|leaf| &parts.layers[leaf]) {
            Some(lowered) if whole.is_some() => lowered.grid.clone(),
            Some(lowered) => {
                let pieces = self.pieces(&lowered.grid, lowered.item_bytes);
                ChunkGrid::new(lowered.grid.shape(), &pieces)
            }
            None => self.apart(&parts, self.evaluation_grid(&parts.fused)),
        };
        self.evaluate_on(parts, grid, whole, node)
    }

    /// Whether evaluating a whole tile in place needs little more than the tile, and nobody else
    /// needs it.
    fn can_keep_tiles(&self, parts: &Parts, leaf: usize) -> bool {
        let lowered = &parts.layers[leaf];
        let used_once = self
            .done
            .values()
            .find(|(done, _)| done.layer == lowered.layer)
            .is_some_and(|(_, uses)| *uses == 1);
        let scratch = parts.fused.scratch_bytes(&lowered.grid.region(0));
        let spare = 2 * self.plan.chunk_bytes();
        // blocks of other leaves are inputs, which the scratch does not count
        let others = parts
            .layers
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != leaf);
        let spare = match others.map(|(_, lowered)| lowered.nbytes()).sum::<u64>() {
            bytes if bytes <= spare => spare - bytes,
            _ => return false,
        };
        // a layer fused to this one may need the result beside the tile
        let both = 2 * lowered.chunk_bytes() + scratch <= self.plan.budget_bytes;
        used_once && both && lowered.stride == 1 && scratch <= spare
    }

    /// Chunks cut until the blocks that one of them needs fit beside others: a slice with a large
    /// step needs a block for nearly every element.
    fn apart(&self, parts: &Parts, grid: ChunkGrid) -> ChunkGrid {
        let most = self.plan.budget_bytes / (4 * self.plan.threads as u64);
        let needed = |grid: &ChunkGrid| -> u64 {
            let needed = parts.fused.needed(&grid.region(0), None);
            let bytes = needed
                .iter()
                .map(|&(leaf, _)| parts.layers[leaf].chunk_bytes());
            bytes.sum()
        };
        let mut grid = grid;
        while grid.chunk_volume() > 1 && needed(&grid) > most {
            let mut chunk = grid.chunk_shape().to_vec();
            let longest = (0..chunk.len())
                .max_by_key(|&axis| chunk[axis])
                .unwrap_or(0);
            chunk[longest] = chunk[longest].div_ceil(2);
            let cut = ChunkGrid::new(grid.shape(), &chunk);
            // blocks that each piece needs alike cannot be had apart
            if cut.len() > 1 << 20 || needed(&cut) >= needed(&grid) {
                break;
            }
            grid = cut;
        }
        grid
    }

    /// The chunks of an expression that may be cut at will.
    pub(crate) fn evaluation_grid(&self, fused: &Fused) -> ChunkGrid {
        let (shape, item) = (fused.shape(), fused.dtype().size());
        let permuted = fused.tape.is_permuted();
        let choose = |buffers: u64| {
            let own = || self.plan.evaluation_grid(shape, item, buffers, permuted);
            self.heavy_grid(fused, buffers).unwrap_or_else(own)
        };
        let grid = choose(1);
        let region = grid.region(0);
        let bytes = ((volume(&region) * item) as u64).max(1);
        let buffers = 1 + fused.scratch_bytes(&region) / bytes;
        match buffers {
            1 => grid,
            _ => choose(buffers),
        }
    }

    /// Computes an expression on a given grid; `in_place` is the leaf whose chunks the grid's are.
    pub(crate) fn evaluate_on(
        &mut self,
        mut parts: Parts,
        grid: ChunkGrid,
        in_place: Option<usize>,
        node: &Node,
    ) -> Result<Lowered> {
        check_count(grid.len() as u64, node)?;
        if in_place.is_none() {
            self.fit_leaves(&mut parts, &grid, node)?;
        }
        let inputs = parts.inputs();
        let item_bytes = node.dtype.size();
        let layer = Evaluate {
            name: node.name(),
            fused: parts.fused,
            grid: grid.clone(),
            in_place,
        };
        let layer = self.push(layer, &inputs, node);
        Ok(Lowered {
            layer,
            grid,
            stride: 1,
            item_bytes,
        })
    }

    pub(crate) fn push(
        &mut self,
        layer: impl Layer + 'static,
        inputs: &[LayerId],
        node: &Node,
    ) -> LayerId {
        self.graph
            .push_at(Arc::new(layer), inputs, Some(node.location))
    }

    /// Fuses an operand of a layer, whose leaves' blocks are cut where they are too large to be
    /// held beside others.
    pub(crate) fn operand(&mut self, node: &Arc<Node>) -> Result<Parts> {
        let mut parts = fuse(self, node)?;
        self.cut_leaves(&mut parts, None);
        Ok(parts)
    }

    /// Fuses several operands of one layer, whose slots follow each other.
    pub(crate) fn operands(&mut self, nodes: &[Arc<Node>]) -> Result<(Vec<Fused>, Vec<LayerId>)> {
        let (mut inputs, mut fused) = (Vec::new(), Vec::with_capacity(nodes.len()));
        for node in nodes {
            let mut parts = self.operand(node)?;
            for leaf in &mut parts.fused.leaves {
                leaf.slot += inputs.len();
            }
            inputs.extend(parts.inputs());
            fused.push(parts.fused);
        }
        Ok((fused, inputs))
    }

    /// The blocks of a node that several expressions may share.
    pub(crate) fn lower_once(&mut self, node: &Arc<Node>) -> Result<Lowered> {
        self.lower_layer(node)?;
        match self.done.get_mut(&Arc::as_ptr(node)) {
            Some((lowered, uses)) => {
                *uses += 1;
                Ok(lowered.clone())
            }
            None => Err(Error::invalid("a layer was not lowered")),
        }
    }

    /// The chunks of a node that was lowered already.
    pub(crate) fn chunks_of(&self, node: &Arc<Node>) -> Option<&ChunkGrid> {
        let (lowered, _) = self.done.get(&Arc::as_ptr(node))?;
        Some(&lowered.grid)
    }

    fn lower_layer(&mut self, node: &Arc<Node>) -> Result<()> {
        if self.done.contains_key(&Arc::as_ptr(node)) {
            return Ok(());
        }
        let lowered = match &node.op {
            Op::Layer { lower, .. } => {
                let lower = Arc::clone(lower);
                lower.lower(self, node)?
            }
            // a reshape whose places are listed: computed as it is
            _ => {
                let parts = fuse(self, node)?;
                self.evaluate(parts, node)?
            }
        };
        self.done.insert(Arc::as_ptr(node), (lowered, 0));
        Ok(())
    }

    /// Cuts leaves whose blocks are too large to be held beside others.
    fn cut_leaves(&mut self, parts: &mut Parts, keep: Option<usize>) {
        for leaf in 0..parts.layers.len() {
            let lowered = &parts.layers[leaf];
            if Some(leaf) == keep || lowered.chunk_bytes() <= 2 * self.plan.chunk_bytes() {
                continue;
            }
            let dtype = parts.fused.leaves[leaf].dtype;
            let cut = self.cut(lowered.clone(), dtype);
            parts.set_leaf(leaf, cut);
        }
    }

    fn cut(&mut self, lowered: Lowered, dtype: crate::elements::dtype::DType) -> Lowered {
        if let Some(cut) = self.cut.get(&lowered.layer) {
            return cut.clone();
        }
        let chunk = self.pieces(&lowered.grid, lowered.item_bytes);
        let grid = ChunkGrid::new(lowered.grid.shape(), &chunk);
        let layer = Evaluate {
            name: "cut",
            fused: leaf_alone(&lowered, dtype, View::identity(grid.shape()), grid.shape()),
            grid: grid.clone(),
            in_place: None,
        };
        let cut = Lowered {
            layer: self.graph.push(layer, &[lowered.layer]),
            grid,
            stride: 1,
            item_bytes: lowered.item_bytes,
        };
        self.cut.insert(lowered.layer, cut.clone());
        cut
    }

    /// The shape of pieces of chunks, none of which lies in two chunks.
    pub(crate) fn pieces(&self, grid: &ChunkGrid, item_bytes: usize) -> Vec<usize> {
        let mut chunk = grid.chunk_shape().to_vec();
        let bytes = |chunk: &[usize]| (chunk.iter().product::<usize>() * item_bytes) as u64;
        // halve the longest axis at multiples of the gemm's block, so that pieces stay in a tile
        while bytes(&chunk) > self.plan.chunk_bytes() {
            let axis = (0..chunk.len())
                .max_by_key(|&axis| chunk[axis])
                .unwrap_or(0);
            let half = match chunk[axis] > BLOCK {
                true => divisor_at_most(chunk[axis], chunk[axis] / 2),
                false => chunk[axis].div_ceil(2),
            };
            if half == 0 || half == chunk[axis] {
                break;
            }
            chunk[axis] = half;
        }
        chunk
    }
}

/// An expression that is a layer's blocks, seen through a view.
pub(crate) fn leaf_alone(
    lowered: &Lowered,
    dtype: crate::elements::dtype::DType,
    view: View,
    shape: &[usize],
) -> Fused {
    let leaf = Leaf {
        slot: 0,
        grid: lowered.grid.clone(),
        stride: lowered.stride,
        dtype,
    };
    let input = Input {
        base: Base::Leaf(0),
        dtype,
        view,
    };
    Fused {
        tape: crate::fuse::tape::Tape::of_input(input, shape.to_vec()),
        leaves: vec![leaf],
    }
}

/// The largest divisor of `length` that is at most `most`, in multiples of the gemm's block where
/// `length` is one.
fn divisor_at_most(length: usize, most: usize) -> usize {
    let unit = if length.is_multiple_of(BLOCK) {
        BLOCK
    } else {
        1
    };
    let count = length / unit;
    (1..=(most / unit).max(1))
        .rev()
        .find(|&parts| count.is_multiple_of(parts))
        .map_or(most, |parts| parts * unit)
}

/// Refuses plans with more tasks than ids can number.
pub(crate) fn check_count(tasks: u64, node: &Node) -> Result<()> {
    // ids are 32 bits, and layers come together in one program
    if tasks < u32::MAX as u64 / 4 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Budget,
        format!("the operation would have {tasks} tasks at this budget; give it more memory"),
    )
    .with_location(node.location))
}
