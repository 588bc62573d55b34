//! From expressions to layers.
//!
//! A request goes down the expression: element-wise operations, transposes and slices are fused
//! into whatever asks for them; products and sums become layers of their own, whose blocks are the
//! leaves of the fused expression above. A product's tiles can be as large as the budget, so
//! whoever wants them in other pieces first has them cut.

use std::sync::Arc;

use flagstone_graph::{Error, ErrorKind, Graph, LayerId, Result};

use crate::array::Array;
use crate::element::Element;
use crate::expression::{Node, Op};
use crate::fused::{Expr, Fused, Kind, Leaf};
use crate::grid::ChunkGrid;
use crate::kernels::gemm::{BLOCK, PANEL};
use crate::layers::{
    Evaluate, MatrixProduct, MergeSums, PartialSums, Problem, ProductPlan, merged_grid,
    partial_grid,
};
use crate::plan::Plan;

/// A layer that holds an array in chunks.
#[derive(Clone)]
pub(crate) struct Lowered {
    pub(crate) layer: LayerId,
    pub(crate) grid: ChunkGrid,
    /// See [`Leaf::stride`].
    pub(crate) stride: u32,
}

impl Lowered {
    fn chunk_bytes<T>(&self) -> u64 {
        (self.grid.chunk_volume() * size_of::<T>()) as u64
    }
}

/// Lowers one computation.
pub(crate) struct Lowering<'g> {
    pub(crate) graph: &'g mut Graph,
    pub(crate) plan: Plan,
    /// Layers of shared nodes with how often they are used, by the node's address. The caller's
    /// handles keep nodes alive.
    done: Vec<(usize, Lowered, u32)>,
}

/// A fused expression and the layers of its leaves.
struct Parts<T: Element> {
    fused: Fused<T>,
    layers: Vec<Lowered>,
}

impl<T: Element> Parts<T> {
    fn inputs(&self) -> Vec<LayerId> {
        self.layers.iter().map(|lowered| lowered.layer).collect()
    }

    fn set_leaf(&mut self, leaf: usize, lowered: Lowered) {
        self.fused.leaves[leaf].grid = lowered.grid.clone();
        self.fused.leaves[leaf].stride = lowered.stride;
        self.layers[leaf] = lowered;
    }
}

impl<'g> Lowering<'g> {
    pub(crate) fn new(graph: &'g mut Graph, plan: Plan) -> Self {
        Lowering {
            graph,
            plan,
            done: Vec::new(),
        }
    }

    /// Lowers an array to a layer of its chunks.
    pub(crate) fn lower<T: Element>(&mut self, array: &Array<T>) -> Result<Lowered> {
        let mut parts = self.fuse(array)?;
        if parts.fused.is_leaf() && parts.layers[0].stride == 1 {
            return Ok(parts.layers.remove(0));
        }
        // where a product's tiles are combined with something, chunks follow the tiles and are
        // worked on in place: whole tiles if little else is needed, else pieces of them
        let in_place = parts
            .fused
            .in_place_leaf()
            .filter(|&leaf| parts.layers[leaf].chunk_bytes::<T>() > self.plan.chunk_bytes());
        let whole = in_place.filter(|&leaf| self.can_keep_tiles(&parts, leaf));
        self.cut_leaves(&mut parts, whole);
        let grid = match in_place {
            Some(leaf) => parts.fused.leaves[leaf].grid.clone(),
            None => self.evaluation_grid(&parts.fused),
        };
        self.evaluate(parts, grid, in_place, array)
    }

    /// Whether evaluating a whole tile in place needs little more than the tile, and nobody else
    /// needs it.
    fn can_keep_tiles<T: Element>(&self, parts: &Parts<T>, leaf: usize) -> bool {
        let lowered = &parts.layers[leaf];
        let used_once = self
            .done
            .iter()
            .find(|done| done.1.layer == lowered.layer)
            .is_some_and(|done| done.2 == 1);
        let peak = parts
            .fused
            .chunk_peak_bytes(&lowered.grid.region(0), Some(leaf));
        let spare = 2 * self.plan.chunk_bytes();
        // blocks of other leaves are inputs, which the peak does not count
        let whole = |lowered: &Lowered| {
            (lowered.grid.shape().iter().product::<usize>() * size_of::<T>()) as u64
        };
        let others = parts
            .layers
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != leaf);
        let spare = match others.map(|(_, lowered)| whole(lowered)).sum::<u64>() {
            bytes if bytes <= spare => spare - bytes,
            _ => return false,
        };
        used_once && lowered.stride == 1 && peak <= lowered.chunk_bytes::<T>() + spare
    }

    fn evaluation_grid<T: Element>(&self, fused: &Fused<T>) -> ChunkGrid {
        let shape = fused.shape();
        let region: Vec<_> = shape.iter().map(|&length| 0..length.min(64)).collect();
        let bytes = (crate::grid::volume(&region) * size_of::<T>()).max(1) as u64;
        let buffers = fused.chunk_peak_bytes(&region, None).div_ceil(bytes);
        self.plan
            .evaluation_grid::<T>(shape, buffers, fused.is_permuted())
    }

    fn evaluate<T: Element>(
        &mut self,
        parts: Parts<T>,
        grid: ChunkGrid,
        in_place: Option<usize>,
        array: &Array<T>,
    ) -> Result<Lowered> {
        check_count(grid.len() as u64, &array.node)?;
        let name = match &array.node.op {
            Op::Source(source) => source.name(),
            Op::Binary { op, .. } => op.name(),
            Op::Transpose { .. } => "transpose",
            Op::Pick { .. } => "slice",
            _ => "evaluate",
        };
        let inputs = parts.inputs();
        let layer = Evaluate {
            name,
            fused: parts.fused,
            grid: grid.clone(),
            in_place,
        };
        let layer = self.push(layer, &inputs, &array.node);
        Ok(Lowered {
            layer,
            grid,
            stride: 1,
        })
    }

    fn push<T: Element>(
        &mut self,
        layer: impl flagstone_graph::Layer + 'static,
        inputs: &[LayerId],
        node: &Node<T>,
    ) -> LayerId {
        self.graph
            .push_at(Arc::new(layer), inputs, Some(node.location))
    }

    /// Fuses everything from an array down to sources and blocks.
    fn fuse<T: Element>(&mut self, array: &Array<T>) -> Result<Parts<T>> {
        let mut parts = Parts {
            fused: Fused {
                expr: Expr {
                    shape: Vec::new(),
                    kind: Kind::Scalar(T::ZERO),
                },
                leaves: Vec::new(),
            },
            layers: Vec::new(),
        };
        parts.fused.expr = self.fuse_into(array, &mut parts)?;
        Ok(parts)
    }

    fn fuse_into<T: Element>(&mut self, array: &Array<T>, parts: &mut Parts<T>) -> Result<Expr<T>> {
        let node = &array.node;
        let kind = match &node.op {
            Op::Mistake(mistake) => return Err(mistake.error()),
            Op::Source(source) => Kind::Source(Arc::clone(source)),
            Op::Scalar(value) => Kind::Scalar(*value),
            Op::Transpose { of, axes } => {
                Kind::Permute(Box::new(self.fuse_into(of, parts)?), axes.clone())
            }
            Op::Pick { of, picks } => {
                Kind::Pick(Box::new(self.fuse_into(of, parts)?), picks.clone())
            }
            Op::Binary { op, left, right } => {
                let left = self.fuse_into(left, parts)?;
                Kind::Binary(*op, Box::new(left), Box::new(self.fuse_into(right, parts)?))
            }
            Op::Sum { .. } | Op::Product { .. } => {
                let lowered = self.lower_once(array)?;
                let slot = parts.layers.len();
                parts.fused.leaves.push(Leaf {
                    slot,
                    grid: lowered.grid.clone(),
                    stride: lowered.stride,
                });
                parts.layers.push(lowered);
                Kind::Leaf(slot)
            }
        };
        Ok(Expr {
            shape: node.shape.clone(),
            kind,
        })
    }

    /// Lowers a product or a sum that several expressions may share.
    fn lower_once<T: Element>(&mut self, array: &Array<T>) -> Result<Lowered> {
        let address = Arc::as_ptr(&array.node) as usize;
        if let Some((_, lowered, uses)) = self.done.iter_mut().find(|done| done.0 == address) {
            *uses += 1;
            return Ok(lowered.clone());
        }
        let lowered = match &array.node.op {
            Op::Sum { of, axis, finish } => self.sum(array, of, *axis, *finish)?,
            Op::Product { left, right } => self.product(array, left, right)?,
            _ => {
                return Err(Error::invalid(
                    "only sums and products are layers of their own",
                ));
            }
        };
        self.done.push((address, lowered.clone(), 1));
        Ok(lowered)
    }

    fn sum<T: Element>(
        &mut self,
        array: &Array<T>,
        of: &Array<T>,
        axis: usize,
        finish: Option<fn(T, usize) -> T>,
    ) -> Result<Lowered> {
        let mut parts = self.fuse(of)?;
        self.cut_leaves(&mut parts, None);
        let shape = of.shape();
        let grid = self.plan.reduction_grid::<T>(shape, axis, 2);
        check_count(grid.len() as u64, &array.node)?;
        let inputs = parts.inputs();
        let mut parts_grid = partial_grid(&grid, axis);
        let layer = PartialSums {
            fused: parts.fused,
            grid,
            axis,
        };
        let mut layer = self.push(layer, &inputs, &array.node);
        loop {
            let (merged, last) = merged_grid(&parts_grid, axis);
            let merge = MergeSums {
                parts: parts_grid,
                grid: merged.clone(),
                axis,
                last,
                finish,
                length: shape[axis],
            };
            layer = self.push(merge, &[layer], &array.node);
            if last {
                return Ok(Lowered {
                    layer,
                    grid: merged,
                    stride: 1,
                });
            }
            parts_grid = merged;
        }
    }

    fn product<T: Element>(
        &mut self,
        array: &Array<T>,
        left: &Array<T>,
        right: &Array<T>,
    ) -> Result<Lowered> {
        let symmetric = is_transposed(left, right);
        let mut operands = [self.operand(left)?, self.operand(right)?];
        let (m, k, n) = (left.shape()[0], left.shape()[1], right.shape()[1]);
        let item = size_of::<T>() as u64;
        // small blocks (a mean, a scale) stay in memory beside the panels
        let small: u64 = operands
            .iter()
            .filter(|operand| !operand.streamed)
            .flat_map(|operand| &operand.parts.layers)
            .map(|lowered| lowered.grid.shape().iter().product::<usize>() as u64 * item)
            .sum();
        let evaluated: u64 = operands
            .iter()
            .filter(|operand| !operand.direct)
            // an item is a mebibyte of a line or more, and a few buffers deep
            .map(|operand| 4 * (2 << 20).max(operand.line_bytes) * self.plan.threads as u64)
            .max()
            .unwrap_or(0);
        let mut problem = Problem {
            m,
            n,
            k,
            item_bytes: size_of::<T>(),
            budget_bytes: self.plan.budget_bytes.saturating_sub(small + evaluated),
            symmetric,
            block_operands: u64::from(operands.iter().any(|operand| operand.streamed)),
        };
        let mut plan = ProductPlan::choose(&problem);
        let mut one_panel = symmetric;
        if symmetric && plan.tile != (m, n) {
            // several tiles need different panels of A: the general way
            problem.symmetric = false;
            one_panel = false;
            plan = ProductPlan::choose(&problem);
        }
        let streamed = operands.iter().any(|operand| operand.streamed);
        let group = if streamed {
            plan.panel
        } else {
            k.next_multiple_of(PANEL).max(PANEL)
        };
        for (side, operand) in operands.iter_mut().enumerate() {
            if operand.streamed {
                self.materialise(operand, side, &plan)?;
            }
        }
        let grid = ChunkGrid::new(&[m, n], &[plan.tile.0, plan.tile.1]);
        let tasks = grid.len() as u64 * k.div_ceil(group).max(1) as u64;
        check_count(tasks, &array.node)?;
        let [left, mut right] = operands;
        let mut inputs = left.parts.inputs();
        for leaf in &mut right.parts.fused.leaves {
            leaf.slot += inputs.len();
        }
        inputs.extend(right.parts.inputs());
        let layer = MatrixProduct {
            left: left.parts.fused,
            right: right.parts.fused,
            grid: grid.clone(),
            plan,
            group,
            symmetric: one_panel,
            threads: self.plan.threads,
        };
        let stride = layer.groups();
        let layer = self.push(layer, &inputs, &array.node);
        Ok(Lowered {
            layer,
            grid,
            stride,
        })
    }

    fn operand<T: Element>(&mut self, array: &Array<T>) -> Result<Operand<T>> {
        let mut parts = self.fuse(array)?;
        let whole = |lowered: &Lowered| {
            lowered.grid.shape().iter().product::<usize>() as u64 * size_of::<T>() as u64
        };
        let blocks: u64 = parts.layers.iter().map(whole).sum();
        let streamed = blocks > self.plan.budget_bytes / 16;
        self.cut_leaves(&mut parts, None);
        let region: Vec<_> = array.shape().iter().map(|&length| 0..length).collect();
        Ok(Operand {
            direct: parts.fused.window(&region).is_some(),
            line_bytes: (array.shape()[1].min(16 * PANEL) * size_of::<T>()) as u64,
            array: array.clone(),
            parts,
            streamed,
        })
    }

    /// Has an operand computed into blocks that are as long along k as a panel.
    fn materialise<T: Element>(
        &mut self,
        operand: &mut Operand<T>,
        side: usize,
        plan: &ProductPlan,
    ) -> Result<()> {
        let shape = operand.array.shape().to_vec();
        let mut chunk = [plan.panel, plan.panel];
        let along = self.plan.chunk_bytes() / (plan.panel * size_of::<T>()) as u64;
        chunk[side] = BLOCK * ((along as usize) / BLOCK).max(1);
        let grid = ChunkGrid::new(&shape, &chunk);
        let empty = Parts {
            fused: Fused {
                expr: Expr {
                    shape: shape.clone(),
                    kind: Kind::Leaf(0),
                },
                leaves: vec![Leaf {
                    slot: 0,
                    grid: grid.clone(),
                    stride: 1,
                }],
            },
            layers: Vec::new(),
        };
        let parts = std::mem::replace(&mut operand.parts, empty);
        let lowered = self.evaluate(parts, grid, None, &operand.array)?;
        operand.parts.layers.push(lowered);
        Ok(())
    }

    /// Cuts leaves whose blocks are too large to be held beside others.
    fn cut_leaves<T: Element>(&mut self, parts: &mut Parts<T>, keep: Option<usize>) {
        for leaf in 0..parts.layers.len() {
            let lowered = &parts.layers[leaf];
            if Some(leaf) == keep || lowered.chunk_bytes::<T>() <= 2 * self.plan.chunk_bytes() {
                continue;
            }
            let cut = self.cut::<T>(lowered.clone());
            parts.set_leaf(leaf, cut);
        }
    }

    fn cut<T: Element>(&mut self, lowered: Lowered) -> Lowered {
        let address = usize::MAX - lowered.layer.index();
        if let Some((_, cut, _)) = self.done.iter().find(|done| done.0 == address) {
            return cut.clone();
        }
        let shape = lowered.grid.shape().to_vec();
        let mut chunk = lowered.grid.chunk_shape().to_vec();
        let bytes = |chunk: &[usize]| (chunk.iter().product::<usize>() * size_of::<T>()) as u64;
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
        let grid = ChunkGrid::new(&shape, &chunk);
        let layer = Evaluate::<T> {
            name: "cut",
            fused: Fused {
                expr: Expr {
                    shape,
                    kind: Kind::Leaf(0),
                },
                leaves: vec![Leaf {
                    slot: 0,
                    grid: lowered.grid,
                    stride: lowered.stride,
                }],
            },
            grid: grid.clone(),
            in_place: None,
        };
        let layer = self.graph.push(layer, &[lowered.layer]);
        let cut = Lowered {
            layer,
            grid,
            stride: 1,
        };
        self.done.push((address, cut.clone(), 1));
        cut
    }
}

/// An operand of a product.
struct Operand<T: Element> {
    array: Array<T>,
    parts: Parts<T>,
    /// Read from a source straight into panels.
    direct: bool,
    /// Its blocks are too many to be held: they come panel by panel.
    streamed: bool,
    line_bytes: u64,
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

/// Whether one array is the other transposed, by how they were made.
fn is_transposed<T: Element>(left: &Array<T>, right: &Array<T>) -> bool {
    let of = |array: &Array<T>| match &array.node.op {
        Op::Transpose { of, axes } if axes[..] == [1, 0] => Some(Arc::clone(&of.node)),
        _ => None,
    };
    of(left).is_some_and(|node| Arc::ptr_eq(&node, &right.node))
        || of(right).is_some_and(|node| Arc::ptr_eq(&node, &left.node))
}

fn check_count<T: Element>(tasks: u64, node: &Node<T>) -> Result<()> {
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
