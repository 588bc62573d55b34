//! Long lists of places in any order, over arrays that are larger than memory.
//!
//! A region of such a view has places everywhere: it would need every block of the base, or a read
//! for each element. Where that is so the rows are taken by a shuffle instead.

use std::sync::Arc;

use flagstone_common::Result;

use super::take_rows;
use crate::expr::array::Array;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::{Node, Op};
use crate::expr::source::Order;
use crate::expr::view::{AxisView, View};
use crate::fuse::leaves::LookUp;
use crate::fuse::scattered::Scattered;
use crate::grid::along::Along;

/// Shorter lists read the blocks that they need.
const LIST_MIN: usize = 64;

/// Runs in storage from this size on are read by themselves about as fast as in order.
const RUN_BYTES: usize = 32 << 10;

impl LookUp for Lowering<'_> {
    fn blocks(&mut self, node: &Arc<Node>) -> Result<Lowered> {
        self.lower_once(node)
    }

    fn scattered(&self, node: &Arc<Node>, view: &View) -> Option<Scattered> {
        scattered(self, node, view)
    }

    fn taken(&mut self, list: &Scattered, node: &Arc<Node>) -> Result<Lowered> {
        lower(list, self, node)
    }
}

/// The axis whose places are from everywhere, if there is one.
fn scattered(lowering: &Lowering<'_>, node: &Arc<Node>, view: &View) -> Option<Scattered> {
    let axis = view.0.iter().position(|seen| match seen {
        AxisView::Of { along, .. } => matches!(along, Along::List(..)) && along.len() > LIST_MIN,
        AxisView::Fixed(_) => false,
    })?;
    let AxisView::Of { out, along } = &view.0[axis] else {
        return None;
    };
    // points: several axes follow one list
    let shared = |other: &AxisView| matches!(other, AxisView::Of { out: same, .. } if same == out);
    if view.0.iter().filter(|other| shared(other)).count() > 1 {
        return None;
    }
    let item = node.dtype.size();
    let others: usize = view
        .0
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != axis)
        .map(|(_, seen)| match seen {
            AxisView::Of { along, .. } => along.len(),
            AxisView::Fixed(_) => 1,
        })
        .product();
    let length = node.shape[axis];
    let bytes = (length as u64).saturating_mul((others * item) as u64);
    if bytes <= lowering.plan.budget_bytes / 4 {
        return None;
    }
    let chunk = match &node.op {
        Op::Source(source) if source.is_stored() => {
            let run = match source.order() {
                Order::C => &node.shape[axis + 1..],
                Order::Fortran => &node.shape[..axis],
            };
            if run.iter().product::<usize>() * item >= RUN_BYTES {
                return None;
            }
            None
        }
        Op::Layer { .. } => lowering
            .chunks_of(node)
            .map(|grid| grid.chunk_shape()[axis]),
        Op::Concat { .. } | Op::Reshape { .. } => None,
        _ => return None,
    };
    let own = |bytes: u64| (bytes / (others * item).max(1) as u64).max(1) as usize;
    let chunk = chunk.unwrap_or_else(|| own(lowering.plan.chunk_bytes()));
    let chunks = length.div_ceil(chunk);
    // in order, or in a few turns, it needs each chunk as often as turns
    let switches = (1..along.len())
        .filter(|&i| along.at(i) / chunk != along.at(i - 1) / chunk)
        .count();
    (switches > 4 * chunks.max(16)).then(|| Scattered::new(axis, node, view))
}

/// Adds the shuffle's layers.
fn lower(list: &Scattered, lowering: &mut Lowering<'_>, node: &Arc<Node>) -> Result<Lowered> {
    let rows = Arc::new(Node {
        shape: list.inner_shape.clone(),
        dtype: node.dtype,
        op: Op::View {
            of: Arc::clone(node),
            view: list.inner.clone(),
        },
        location: node.location,
    });
    let along = list.list.clone();
    let place = move |index: &[usize]| along.at(index[0]) as i64;
    let places = Array::<i64>::function("places", &[list.list.len()], place, None);
    take_rows(lowering, &rows, &places.node, node)
}
