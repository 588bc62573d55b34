//! How rows that are taken in any order lower: to a shuffle.

use std::sync::Arc;

use flagstone_common::{Error, Result};

use crate::engine::shuffle::take_rows;
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::{Node, Op};
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

/// The operation: rows (places of the first axis) of the first operand where the second, which has
/// one axis of `i64`, says. Negative places count from the end.
pub(crate) struct TakeRows;

impl Lower for TakeRows {
    fn name(&self) -> &'static str {
        "take"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        match node.inputs() {
            [rows, places] => take_rows(lowering, rows, places, node),
            _ => Err(Error::invalid("rows are taken of one array by one other")),
        }
    }

    fn viewed(&self, node: &Node, view: &View, shape: &[usize]) -> Option<Arc<Node>> {
        taken_viewed(node, view, shape)
    }
}

/// A view of rows that were taken, as rows taken of less by less.
fn taken_viewed(node: &Node, view: &View, shape: &[usize]) -> Option<Arc<Node>> {
    let [rows, places] = node.inputs() else {
        return None;
    };
    let seen = |of: &Arc<Node>, shape: Vec<usize>, view: View| {
        Arc::new(Node {
            shape,
            dtype: of.dtype,
            op: Op::View {
                of: Arc::clone(of),
                view,
            },
            location: node.location,
        })
    };
    let (mut inner, mut outer) = (Vec::new(), Vec::new());
    let mut inner_shape = vec![rows.shape[0]];
    let mut list = Along::all(0);
    for (axis, along) in view.0.iter().enumerate() {
        match along {
            AxisView::Fixed(at) if axis == 0 => {
                list = Along::range(*at..*at + 1);
                outer.push(AxisView::Fixed(0));
            }
            AxisView::Of { out, along } if axis == 0 => {
                list = along.clone();
                outer.push(AxisView::Of {
                    out: *out,
                    along: Along::all(along.len()),
                });
            }
            AxisView::Fixed(at) => inner.push(AxisView::Fixed(*at)),
            AxisView::Of { out, along } => {
                inner.push(AxisView::Of {
                    out: inner_shape.len(),
                    along: along.clone(),
                });
                inner_shape.push(along.len());
                outer.push(AxisView::Of {
                    out: *out,
                    along: Along::all(along.len()),
                });
            }
        }
    }
    inner.insert(
        0,
        AxisView::Of {
            out: 0,
            along: Along::all(rows.shape[0]),
        },
    );
    let mut taken_shape = inner_shape.clone();
    taken_shape[0] = list.len();
    let rows = seen(rows, inner_shape, View(inner));
    let one = View(vec![AxisView::Of {
        out: 0,
        along: list,
    }]);
    let places = seen(places, vec![taken_shape[0]], one);
    let taken = Arc::new(Node {
        shape: taken_shape,
        dtype: node.dtype,
        op: Op::Layer {
            lower: Arc::new(TakeRows),
            inputs: vec![rows, places],
        },
        location: node.location,
    });
    Some(seen(&taken, shape.to_vec(), View(outer)))
}
