//! Lowering of the matrix product: tiles from shapes and budget, operands read or streamed.

use std::marker::PhantomData;
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::LayerId;

use super::matrix::MatrixProduct;
use super::mirror::Mirror;
use super::plan::{Problem, ProductPlan};
use crate::elements::element::Element;
use crate::engine::lowering::{check_count, leaf_alone};
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::{Node, Op};
use crate::expr::view::View;
use crate::fuse::leaves::Parts;
use crate::fuse::tape::Fused;
use crate::grid::ChunkGrid;
use crate::kernels::gemm::{BLOCK, call_depth, gemm_kernel};

/// The product of two matrices of elements `T`.
pub(crate) struct Product<T>(pub(crate) PhantomData<fn() -> T>);

/// An operand of a product.
struct Operand {
    node: Arc<Node>,
    parts: Parts,
    /// Read from a source straight into panels.
    direct: bool,
    /// Its blocks are too many to be held: they come panel by panel.
    streamed: bool,
    line_bytes: u64,
}

impl<T: Element> Lower for Product<T> {
    fn name(&self) -> &'static str {
        "product"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let [left, right] = node.inputs() else {
            return Err(Error::invalid("a product has two operands"));
        };
        let symmetric = is_transposed(left, right);
        let right_operand = lowering.product_operand(right)?;
        let left_operand = match symmetric {
            true => None,
            false => Some(lowering.product_operand(left)?),
        };
        let (m, k, n) = (left.shape[0], left.shape[1], right.shape[1]);
        let operands = || left_operand.iter().chain([&right_operand]);
        // small blocks (a mean, a scale) stay in memory beside the panels
        let small: u64 = operands()
            .filter(|operand| !operand.streamed)
            .flat_map(|operand| &operand.parts.layers)
            .map(Lowered::nbytes)
            .sum();
        let evaluated: u64 = operands()
            .filter(|operand| !operand.direct)
            // an item is a mebibyte of a line or more, and a few buffers deep
            .map(|operand| 4 * (2 << 20).max(operand.line_bytes) * lowering.plan.threads as u64)
            .max()
            .unwrap_or(0);
        let streamed = operands().any(|operand| operand.streamed);
        let left_fused = left_operand.as_ref().map(|left| &left.parts.fused);
        let problem = Problem {
            m,
            n,
            k,
            item_bytes: size_of::<T>(),
            budget_bytes: lowering.plan.budget_bytes.saturating_sub(small + evaluated),
            symmetric,
            block_operands: u64::from(streamed),
            copies: MatrixProduct::<T>::copies(left_fused, &right_operand.parts.fused),
            turned_right: MatrixProduct::<T>::turned_right(left_fused, &right_operand.parts.fused),
        };
        let plan = match streamed {
            true => ProductPlan::choose(&problem),
            false => ProductPlan::choose_with_overlap(&problem, lowering.plan.threads),
        };
        let kernel = format!("products are made by {}", gemm_kernel());
        if !lowering.notes.contains(&kernel) {
            lowering.notes.push(kernel);
        }
        let group = match streamed {
            true => plan.panel,
            false => k.max(1).next_multiple_of(call_depth(m, n, k)),
        };
        let (right_streamed, right_shape) = (right_operand.streamed, right.shape.clone());
        let (mut right_fused, right_inputs, lowered) =
            lowering.panels_of::<T>(right_operand, 0, &plan)?;
        let (left_fused, mut inputs) = match (left_operand, lowered) {
            (Some(operand), _) => {
                let (fused, inputs, _) = lowering.panels_of::<T>(operand, 1, &plan)?;
                (fused, inputs)
            }
            // the transposed operand is the other one's blocks, seen the other way round
            (None, Some(lowered)) if right_streamed => {
                let view = View::permuted(&right_shape, &[1, 0]);
                (
                    leaf_alone(&lowered, T::DTYPE, view, &left.shape),
                    vec![lowered.layer],
                )
            }
            (None, _) => {
                let parts = lowering.operand(left)?;
                let inputs = parts.inputs();
                (parts.fused, inputs)
            }
        };
        for leaf in &mut right_fused.leaves {
            leaf.slot += inputs.len();
        }
        inputs.extend(right_inputs);
        let grid = ChunkGrid::new(&[m, n], &[plan.tile.0, plan.tile.1]);
        let tasks = grid.len() as u64 * k.div_ceil(group).max(1) as u64;
        check_count(tasks, node)?;
        let layer = MatrixProduct::<T> {
            left: left_fused,
            right: right_fused,
            grid: grid.clone(),
            plan,
            group,
            symmetric,
            threads: lowering.plan.threads,
            element: PhantomData,
        };
        let stride = layer.groups();
        let lowered = Lowered {
            layer: lowering.push(layer, &inputs, node),
            grid,
            stride,
            item_bytes: size_of::<T>(),
        };
        match symmetric && lowered.grid.len() > 1 {
            true => Ok(lowering.mirror::<T>(lowered, node)),
            false => Ok(lowered),
        }
    }
}

impl Lowering<'_> {
    fn product_operand(&mut self, node: &Arc<Node>) -> Result<Operand> {
        let parts = self.operand(node)?;
        let blocks: u64 = parts.layers.iter().map(Lowered::nbytes).sum();
        let region: Vec<_> = node.shape.iter().map(|&length| 0..length).collect();
        Ok(Operand {
            direct: parts.fused.window(&region).is_some(),
            line_bytes: (node.shape[1].min(4096) * node.dtype.size()) as u64,
            node: Arc::clone(node),
            parts,
            streamed: blocks > self.plan.budget_bytes / 16,
        })
    }

    /// The operand as panels are made of it: a streamed one is first computed into blocks that are
    /// as long along k (axis `side` is the other one) as a panel.
    fn panels_of<T: Element>(
        &mut self,
        operand: Operand,
        side: usize,
        plan: &ProductPlan,
    ) -> Result<(Fused, Vec<LayerId>, Option<Lowered>)> {
        if !operand.streamed {
            let inputs = operand.parts.inputs();
            return Ok((operand.parts.fused, inputs, None));
        }
        let shape = operand.node.shape.clone();
        let mut chunk = [plan.panel, plan.panel];
        let along = self.plan.chunk_bytes() / (plan.panel * size_of::<T>()) as u64;
        chunk[1 - side] = BLOCK * ((along as usize) / BLOCK).max(1);
        let grid = ChunkGrid::new(&shape, &chunk);
        let lowered = self.evaluate_on(operand.parts, grid, None, &operand.node)?;
        let view = View::identity(&shape);
        let fused = leaf_alone(&lowered, T::DTYPE, view, &shape);
        Ok((fused, vec![lowered.layer], Some(lowered)))
    }

    /// The whole of a symmetric product of which the tiles on and above the diagonal were
    /// computed, in pieces.
    fn mirror<T: Element>(&mut self, tiles: Lowered, node: &Node) -> Lowered {
        let pieces = self.pieces(&tiles.grid, tiles.item_bytes);
        // square, so that a piece below the diagonal is one above it
        let edge = pieces[0].min(pieces[1]);
        let grid = ChunkGrid::new(tiles.grid.shape(), &[edge, edge]);
        let layer = Mirror::<T> {
            tiles: tiles.grid,
            stride: tiles.stride,
            grid: grid.clone(),
            element: PhantomData,
        };
        Lowered {
            layer: self.push(layer, &[tiles.layer], node),
            grid,
            stride: 1,
            item_bytes: tiles.item_bytes,
        }
    }
}

/// Whether one matrix is the other transposed, by how they were made.
fn is_transposed(left: &Arc<Node>, right: &Arc<Node>) -> bool {
    let transposes = |node: &Arc<Node>, of: &Arc<Node>| match &node.op {
        Op::View { of: other, view } => {
            Arc::ptr_eq(other, of) && *view == View::permuted(&of.shape, &[1, 0])
        }
        _ => false,
    };
    left.ndim() == 2 && (transposes(left, right) || transposes(right, left))
}
