//! Lowering of reductions: one axis after the other, the last one first.

use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::LayerId;

use super::grids::{folded_grid, merged_grid};
use super::layer::{End, FoldChunks, FoldStates, MergeStates};
use crate::engine::lowering::check_count;
use crate::engine::piecewise::Tasks;
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::{Node, Op};
use crate::expr::view::{AxisView, View};
use crate::grid::ChunkGrid;
use crate::grid::along::Along;
use crate::kernels::fold::Fold;

/// A reduction along axes, ascending, which are dropped.
pub(crate) struct Reduction<F> {
    pub(crate) fold: Arc<F>,
    pub(crate) axes: Vec<usize>,
    /// How leaves are folded: whether the elements of a line lie side by side. It follows from the
    /// whole array, also where only some lines are wanted.
    pub(crate) lanes: bool,
}

impl<F: Fold> Lower for Reduction<F> {
    fn name(&self) -> &'static str {
        self.fold.name()
    }

    fn viewed(&self, node: &Node, view: &View, shape: &[usize]) -> Option<Arc<Node>> {
        self.narrowed(node, view, shape)
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let of = &node.inputs()[0];
        let mut parts = lowering.operand(of)?;
        let count: usize = self.axes.iter().map(|&axis| of.shape[axis]).product();
        let state = size_of::<F::State>().div_ceil(size_of::<F::In>()) as u64;
        let mut grid = lowering.plan.reduction_grid(
            &of.shape,
            of.dtype.size(),
            &self.axes,
            1 + state.min(3),
            parts.fused.tape.is_permuted(),
        );
        check_count(grid.len() as u64, node)?;
        lowering.fit_leaves(&mut parts, &grid, node)?;
        let mut inputs = parts.inputs();
        let mut fused = Some(parts.fused);
        for (done, &axis) in self.axes.iter().rev().enumerate() {
            let (folded, last) = folded_grid(&grid, axis);
            let finishes = done + 1 == self.axes.len();
            let end = |last: bool| match finishes && last {
                true => End::Finished(count),
                false => End::States,
            };
            let fold = Arc::clone(&self.fold);
            let mut layer: LayerId = match fused.take() {
                Some(fused) => {
                    let layer = FoldChunks {
                        fold,
                        fused,
                        grid,
                        axis,
                        lanes: self.lanes,
                        last,
                        end: end(last),
                    };
                    lowering.push(Tasks(layer), &inputs, node)
                }
                None => {
                    let layer = FoldStates {
                        fold,
                        grid,
                        axis,
                        last,
                        end: end(last),
                    };
                    lowering.push(layer, &inputs, node)
                }
            };
            grid = folded;
            if !last {
                let count = finishes.then_some(count);
                (layer, grid) = lowering.merge_states(&self.fold, (layer, grid), axis, count, node);
            }
            inputs = vec![layer];
        }
        Ok(Lowered {
            layer: inputs[0],
            grid,
            stride: 1,
            item_bytes: node.dtype.size(),
        })
    }
}

impl<F: Fold> Reduction<F> {
    /// The lines that a view of the result wants, where these are at most half of them.
    fn narrowed(&self, node: &Node, view: &View, shape: &[usize]) -> Option<Arc<Node>> {
        let wanted = view.0.iter().map(|axis| match axis {
            AxisView::Fixed(_) => 1,
            AxisView::Of { along, .. } => along.len(),
        });
        if wanted.product::<usize>() > node.len() / 2 || self.axes.is_empty() {
            return None;
        }
        let of = &node.inputs()[0];
        // every axis stays where it is, with fewer places
        let (mut inner, mut outer, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let mut kept = view.0.iter();
        for (axis, &length) in of.shape.iter().enumerate() {
            let along = match self.axes.contains(&axis) {
                true => Along::all(length),
                false => match kept.next()? {
                    AxisView::Fixed(at) => {
                        outer.push(AxisView::Fixed(0));
                        Along::range(*at..*at + 1)
                    }
                    AxisView::Of { out, along } => {
                        let all = Along::all(along.len());
                        outer.push(AxisView::Of {
                            out: *out,
                            along: all,
                        });
                        along.clone()
                    }
                },
            };
            lengths.push(along.len());
            inner.push(AxisView::Of { out: axis, along });
        }
        let place = |shape: Vec<usize>, dtype, op| {
            Arc::new(Node {
                shape,
                dtype,
                op,
                location: node.location,
            })
        };
        let view = View(inner);
        let of = Arc::clone(of);
        let narrow = place(lengths.clone(), of.dtype, Op::View { of, view });
        for &axis in self.axes.iter().rev() {
            lengths.remove(axis);
        }
        let lower = Arc::new(Reduction {
            fold: Arc::clone(&self.fold),
            axes: self.axes.clone(),
            lanes: self.lanes,
        });
        let inputs = vec![narrow];
        let reduced = place(lengths, node.dtype, Op::Layer { lower, inputs });
        let view = View(outer);
        let op = Op::View { of: reduced, view };
        Some(place(shape.to_vec(), node.dtype, op))
    }
}

impl Lowering<'_> {
    /// Merges partial states along an axis, which goes, by the canonical tree; with `finished` into
    /// results of this many elements each.
    pub(crate) fn merge_states<F: Fold>(
        &mut self,
        fold: &Arc<F>,
        (mut layer, mut grid): (LayerId, ChunkGrid),
        axis: usize,
        finished: Option<usize>,
        node: &Node,
    ) -> (LayerId, ChunkGrid) {
        loop {
            let (merged, last) = merged_grid(&grid, axis);
            let end = match finished {
                Some(count) if last => End::Finished(count),
                _ => End::States,
            };
            let merge = MergeStates {
                fold: Arc::clone(fold),
                parts: grid,
                grid: merged.clone(),
                axis,
                last,
                end,
            };
            layer = self.push(merge, &[layer], node);
            grid = merged;
            if last {
                return (layer, grid);
            }
        }
    }
}
