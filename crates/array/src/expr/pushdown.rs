//! Views pushed down to reductions.
//!
//! Element-wise operations and views are fused, so a slice of them reads what it needs by itself.
//! A reduction is computed into blocks, all of them. Where a view wants few of its lines, the
//! reduction is made anew on less: `((x - x.mean(0)) / x.std(0))[:, 3:5]` reads two columns. The
//! bits stay the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::{Node, Op};
use super::view::View;

/// Expressions of more operations are left as they are.
const STEPS_MAX: usize = 256;

/// Nodes that were made already for a view of a node, so that what is shared stays shared.
struct Pushing {
    made: HashMap<(*const Node, View), Arc<Node>>,
    steps: usize,
    /// Whether any reduction was made on less.
    found: bool,
}

/// The view of a node with reductions beneath it made on less; `None` where there are none.
pub(crate) fn pushed_down(node: &Arc<Node>, view: &View, shape: &[usize]) -> Option<Arc<Node>> {
    // a view of half or more saves too little to read anything twice
    if 2 * shape.iter().product::<usize>() > node.len() {
        return None;
    }
    let mut pushing = Pushing {
        made: HashMap::new(),
        steps: 0,
        found: false,
    };
    let made = pushing.push(node, view.clone(), shape)?;
    pushing.found.then_some(made)
}

impl Pushing {
    fn push(&mut self, node: &Arc<Node>, view: View, shape: &[usize]) -> Option<Arc<Node>> {
        let key = (Arc::as_ptr(node), view.clone());
        if let Some(made) = self.made.get(&key) {
            return Some(Arc::clone(made));
        }
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return None;
        }
        let made = match &node.op {
            Op::View { of, view: inner } => self.push(of, inner.then(&view), shape)?,
            Op::Apply { kernel, inputs } => {
                let inputs = inputs
                    .iter()
                    .map(|input| {
                        let view = view.broadcast(&input.shape, &node.shape);
                        self.push(input, view, shape)
                    })
                    .collect::<Option<_>>()?;
                let kernel = Arc::clone(kernel);
                placed(node, shape, Op::Apply { kernel, inputs })
            }
            Op::Layer { lower, .. } => match lower.viewed(node, &view, shape) {
                Some(made) => {
                    self.found = true;
                    made
                }
                None => seen(node, view, shape),
            },
            _ => seen(node, view, shape),
        };
        self.made.insert(key, Arc::clone(&made));
        Some(made)
    }
}

fn seen(node: &Arc<Node>, view: View, shape: &[usize]) -> Arc<Node> {
    let of = Arc::clone(node);
    placed(node, shape, Op::View { of, view })
}

fn placed(like: &Node, shape: &[usize], op: Op) -> Arc<Node> {
    Arc::new(Node {
        shape: shape.to_vec(),
        dtype: like.dtype,
        op,
        location: like.location,
    })
}
