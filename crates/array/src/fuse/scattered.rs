//! A list of places that blocks of its own follow: where it stands in a view, and the views on both
//! sides of those blocks.

use crate::expr::node::Node;
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;

/// An axis of a view that a shuffle is to follow.
pub(crate) struct Scattered {
    pub(crate) axis: usize,
    pub(crate) list: Along,
    /// The base as the shuffle's operand, the list's axis in front and whole.
    pub(crate) inner: View,
    pub(crate) inner_shape: Vec<usize>,
    /// The shuffle's result as the expression sees it.
    pub(crate) outer: View,
}

impl Scattered {
    /// The axis of a view of a node.
    pub(crate) fn new(axis: usize, node: &Node, view: &View) -> Self {
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
}
