//! Long lists of places in any order, over arrays that are larger than memory.
//!
//! A region of such a view has places everywhere: it would need every block of the base, or a read
//! for each element. Where that is so the rows are taken by a shuffle instead (`layers/taken`).

use std::sync::Arc;

use flagstone_graph::Result;

use crate::array::Array;
use crate::layers::take_rows;
use crate::lower::{Lowered, Lowering};
use crate::node::{Node, Op};
use crate::source::Order;
use crate::view::{Along, AxisView, View};

/// Shorter lists read the blocks that they need.
const LIST_MIN: usize = 64;

/// Runs in storage from this size on are read by themselves about as fast as in order.
const RUN_BYTES: usize = 32 << 10;

/// An axis of a view that a shuffle is to follow.
pub(super) struct Scattered {
    pub(super) axis: usize,
    list: Along,
    /// The base as the shuffle's operand, the list's axis in front and whole.
    inner: View,
    inner_shape: Vec<usize>,
    /// The shuffle's result as the expression sees it.
    pub(super) outer: View,
}

/// The axis whose places are from everywhere, if there is one.
pub(super) fn scattered(
    lowering: &Lowering<'_>,
    node: &Arc<Node>,
    view: &View,
) -> Option<Scattered> {
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

impl Scattered {
    fn new(axis: usize, node: &Node, view: &View) -> Self {
        let mut inner = view.clone();
        let mut result = Scattered {
            axis,
            list: Along::all(0),
            inner: View(Vec::new()),
            inner_shape: vec![node.shape[axis]],
            outer: View(Vec::new()),
        };
        let whole = |out: usize, length: usize| AxisView::Of {
            out,
            along: Along::all(length),
        };
        for (place, seen) in view.0.iter().enumerate() {
            let AxisView::Of { out, along } = seen else {
                continue;
            };
            if place == axis {
                result.list = along.clone();
                result.outer.0.insert(0, whole(*out, along.len()));
                inner.0[place] = whole(0, node.shape[axis]);
                continue;
            }
            inner.0[place] = AxisView::Of {
                out: result.inner_shape.len(),
                along: along.clone(),
            };
            result.inner_shape.push(along.len());
            result.outer.0.push(whole(*out, along.len()));
        }
        result.inner = inner;
        result
    }

    /// Adds the shuffle's layers.
    pub(super) fn lower(&self, lowering: &mut Lowering<'_>, node: &Arc<Node>) -> Result<Lowered> {
        let rows = Arc::new(Node {
            shape: self.inner_shape.clone(),
            dtype: node.dtype,
            op: Op::View {
                of: Arc::clone(node),
                view: self.inner.clone(),
            },
            location: node.location,
        });
        let list = self.list.clone();
        let place = move |index: &[usize]| list.at(index[0]) as i64;
        let places = Array::<i64>::function("places", &[self.list.len()], place, None);
        take_rows(lowering, &rows, &places.node, node)
    }
}
