//! From nodes to tapes.
//!
//! The walk keeps its own stack: expressions are deeper than a thread's. A node that several
//! others hold is evaluated once per view of it.

use std::collections::HashMap;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result};

use super::input::{Base, Input};
use super::leaves::{Leaves, LookUp, Parts};
use super::nested::{Reshaped, Segments};
use super::registers::allocate;
use super::tape::{Fused, Tape};
use crate::elements::constant::Constant;
use crate::expr::node::{Node, Op};
use crate::expr::view::{AxisView, View};
use crate::grid::along::Along;
use crate::kernels::map::Kernel;
use crate::kernels::tiles::{Arg, Instruction};

/// Concatenations and reshapes inside each other, in one task. Each level is a call.
const NESTED_MAX: usize = 200;

/// Fuses everything from a node down to sources and blocks.
pub(crate) fn fuse(layers: &mut dyn LookUp, node: &Arc<Node>) -> Result<Parts> {
    let mut leaves = Leaves::default();
    let view = View::identity(&node.shape);
    let tape = tape(layers, &mut leaves, node, view, node.shape.clone(), 0)?;
    Ok(Parts {
        fused: Fused {
            tape,
            leaves: leaves.leaves,
        },
        layers: leaves.layers,
    })
}

/// A step of the walk.
enum Step {
    Visit(Arc<Node>, View),
    /// The operands' arguments are on the stack.
    Emit {
        kernel: Arc<Kernel>,
        count: usize,
        key: Option<(*const Node, View)>,
    },
}

fn tape(
    layers: &mut dyn LookUp,
    leaves: &mut Leaves,
    root: &Arc<Node>,
    view: View,
    shape: Vec<usize>,
    depth: usize,
) -> Result<Tape> {
    if depth > NESTED_MAX {
        let message = format!(
            "more than {NESTED_MAX} concatenations and reshapes inside each other cannot be \
             fused; store an array in between"
        );
        return Err(Error::new(ErrorKind::Invalid, message).with_location(root.location));
    }
    let mut inputs: Vec<Input> = Vec::new();
    let mut constants: Vec<Constant> = Vec::new();
    let mut instructions: Vec<Instruction> = Vec::new();
    let mut known: HashMap<(*const Node, View), Arg> = HashMap::new();
    let mut steps = vec![Step::Visit(Arc::clone(root), view)];
    let mut values: Vec<Arg> = Vec::new();
    while let Some(step) = steps.pop() {
        let (node, view) = match step {
            Step::Visit(node, view) => (node, view),
            Step::Emit { kernel, count, key } => {
                let args = values.split_off(values.len() - count);
                let arg = Arg::Register(instructions.len());
                instructions.push(Instruction {
                    kernel,
                    args,
                    register: instructions.len(),
                });
                if let Some(key) = key {
                    known.insert(key, arg);
                }
                values.push(arg);
                continue;
            }
        };
        // only what somebody else holds too can be met again
        let shared = Arc::strong_count(&node) > 2;
        let key = || (Arc::as_ptr(&node), view.clone());
        if shared && let Some(&arg) = known.get(&key()) {
            values.push(arg);
            continue;
        }
        let list = layers.scattered(&node, &view);
        let base = match &node.op {
            _ if let Some(list) = list => {
                let number = leaves.taken(layers, &node, (&view, &list))?;
                (Base::Leaf(number), list.outer)
            }
            Op::Mistake(mistake) => return Err(mistake.error()),
            // `lower` refused it before
            Op::Deferred { .. } => return Err(Error::invalid("an array was not counted")),
            Op::View { of, view: inner } => {
                let composed = inner.then(&view);
                steps.push(Step::Visit(Arc::clone(of), composed));
                continue;
            }
            Op::Constant(constant) => {
                let number = constants.iter().position(|other| other == constant);
                values.push(Arg::Constant(number.unwrap_or(constants.len())));
                if number.is_none() {
                    constants.push(*constant);
                }
                continue;
            }
            Op::Apply { kernel, inputs } => {
                steps.push(Step::Emit {
                    kernel: Arc::clone(kernel),
                    count: inputs.len(),
                    key: shared.then(key),
                });
                for input in inputs.iter().rev() {
                    let view = view.broadcast(&input.shape, &node.shape);
                    steps.push(Step::Visit(Arc::clone(input), view));
                }
                continue;
            }
            Op::Source(source) => (Base::Source(Arc::clone(source)), view.clone()),
            Op::Layer { .. } => (Base::Leaf(leaves.number(layers, &node)?), view.clone()),
            Op::Concat { parts, axis } => {
                if let AxisView::Fixed(at) = view.0[*axis] {
                    let (part, at) = locate(parts, *axis, at);
                    let mut view = view.clone();
                    view.0[*axis] = AxisView::Fixed(at);
                    steps.push(Step::Visit(Arc::clone(part), view));
                    continue;
                }
                let (inner, outer, inner_shape) = apart(&view);
                let segments =
                    segments(layers, leaves, (parts, *axis), &inner, &inner_shape, depth)?;
                (Base::Segments(segments), outer)
            }
            Op::Reshape { of } => {
                let lists = |axis: &AxisView| {
                    matches!(
                        axis,
                        AxisView::Of {
                            along: Along::List(..),
                            ..
                        }
                    )
                };
                if view.0.iter().any(lists) {
                    // a list may go anywhere: the elements are computed once, in blocks
                    (Base::Leaf(leaves.number(layers, &node)?), view.clone())
                } else {
                    let identity = View::identity(&of.shape);
                    let of = tape(layers, leaves, of, identity, of.shape.clone(), depth + 1)?;
                    let shape = node.shape.clone();
                    (Base::Reshaped(Reshaped { of, shape }), view.clone())
                }
            }
        };
        let arg = Arg::Operand(inputs.len());
        inputs.push(Input {
            base: base.0,
            dtype: node.dtype,
            view: base.1,
        });
        known.insert(key(), arg);
        values.push(arg);
    }
    let result = values.pop().unwrap_or(Arg::Constant(0));
    let registers = allocate(&mut instructions);
    Ok(Tape {
        shape,
        dtype: root.dtype,
        permuted: inputs.iter().any(Input::is_permuted),
        inputs,
        constants,
        instructions,
        registers,
        result,
    })
}

/// The part of a concatenation that has place `at`, and the place there.
fn locate(parts: &[Arc<Node>], axis: usize, mut at: usize) -> (&Arc<Node>, usize) {
    for part in parts {
        if at < part.shape[axis] {
            return (part, at);
        }
        at -= part.shape[axis];
    }
    unreachable!("places lie inside the concatenation")
}

/// Splits a view in two: places of the base per axis that remains, and where those axes lie in the
/// result.
fn apart(view: &View) -> (View, View, Vec<usize>) {
    let (mut inner, mut outer, mut shape) = (Vec::new(), Vec::new(), Vec::new());
    for axis in &view.0 {
        match axis {
            AxisView::Fixed(at) => inner.push(AxisView::Fixed(*at)),
            AxisView::Of { out, along } => {
                inner.push(AxisView::Of {
                    out: shape.len(),
                    along: along.clone(),
                });
                outer.push(AxisView::Of {
                    out: *out,
                    along: Along::all(along.len()),
                });
                shape.push(along.len());
            }
        }
    }
    (View(inner), View(outer), shape)
}

/// Cuts a view of a concatenation into views of its parts.
fn segments(
    layers: &mut dyn LookUp,
    leaves: &mut Leaves,
    (parts, axis): (&[Arc<Node>], usize),
    view: &View,
    shape: &[usize],
    depth: usize,
) -> Result<Segments> {
    let AxisView::Of { out, along } = &view.0[axis] else {
        unreachable!("a fixed place was found in its part");
    };
    let mut ends = Vec::with_capacity(parts.len());
    let mut end = 0;
    for part in parts {
        end += part.shape[axis];
        ends.push(end);
    }
    // nothing is read of those, but they are leaves: see `Fused::needed`
    let unread = |part: &&Arc<Node>| part.shape[axis] == 0 && part.is_checked_when_run();
    for part in parts.iter().filter(unread) {
        let (view, shape) = (View::identity(&part.shape), part.shape.clone());
        tape(layers, leaves, part, view, shape, depth + 1)?;
    }
    let part_of = |place: usize| ends.partition_point(|&end| end <= place);
    let mut segments = Segments {
        axis: *out,
        starts: Vec::new(),
        parts: Vec::new(),
    };
    let mut from = 0;
    while from < along.len() {
        let part = part_of(along.at(from));
        let offset = ends[part] - parts[part].shape[axis];
        let inside = |i: usize| (offset..ends[part]).contains(&along.at(i));
        let mut to = from + 1;
        match along {
            // places go one way: the last inside is found by halving
            Along::Span { count, .. } => {
                let (mut low, mut high) = (from, *count);
                while low + 1 < high {
                    let middle = low + (high - low) / 2;
                    if inside(middle) {
                        low = middle
                    } else {
                        high = middle
                    }
                }
                to = low + 1;
            }
            Along::List(..) => {
                while to < along.len() && inside(to) {
                    to += 1;
                }
            }
        }
        let local = match along.part(&(from..to)) {
            Along::Span { start, step, count } => Along::Span {
                start: start - offset,
                step,
                count,
            },
            list => Along::list(
                (0..list.len())
                    .map(|i| list.at(i) - offset)
                    .collect::<Vec<_>>(),
            ),
        };
        let mut view = view.clone();
        view.0[axis] = AxisView::Of {
            out: *out,
            along: local,
        };
        let mut shape = shape.to_vec();
        shape[*out] = to - from;
        segments.starts.push(from);
        segments
            .parts
            .push(tape(layers, leaves, &parts[part], view, shape, depth + 1)?);
        from = to;
    }
    segments.starts.push(along.len());
    Ok(segments)
}
