//! The expression behind an array handle: what the user wrote, nothing computed.
//!
//! Nodes are not generic: the element type is a value here, so that operations on several types
//! meet in one expression. Whatever needs the type itself (a kernel, a fold, a product) was made
//! for it when the node was built.
//!
//! Expressions can be a hundred thousand operations deep. Nothing here recurses, dropping included.

use std::collections::HashSet;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use flagstone_graph::{Error, ErrorKind, Result};

use crate::dtype::DType;
use crate::element::Element;
use crate::grid::ChunkGrid;
use crate::kernels::map::Kernel;
use crate::later::Later;
use crate::lower::{Lowered, Lowering};
use crate::source::Source;
use crate::view::View;

/// One operation with its operands.
pub(crate) struct Node {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) op: Op,
    /// The line of the user's program.
    pub(crate) location: &'static Location<'static>,
}

pub(crate) enum Op {
    Source(Arc<dyn Source>),
    /// One value everywhere.
    Constant(Constant),
    /// An operand seen another way.
    View {
        of: Arc<Node>,
        view: View,
    },
    /// A function of the elements at the same place; operands are broadcast.
    Apply {
        kernel: Arc<Kernel>,
        inputs: Vec<Arc<Node>>,
    },
    /// Operands one after the other along an axis.
    Concat {
        parts: Vec<Arc<Node>>,
        axis: usize,
    },
    /// The same elements in C order under another shape.
    Reshape {
        of: Arc<Node>,
    },
    /// Everything that is computed as blocks of its own.
    Layer {
        lower: Arc<dyn Lower>,
        inputs: Vec<Arc<Node>>,
    },
    /// Known once something was computed.
    Later {
        later: Arc<dyn Later>,
        inputs: Vec<Arc<Node>>,
    },
    Mistake(Mistake),
}

/// An operation that becomes layers of its own.
pub(crate) trait Lower: Send + Sync {
    /// The operation's name in keys and messages.
    fn name(&self) -> &'static str;

    /// Lowers the operation; `node` is the one that holds it, with its operands.
    ///
    /// # Errors
    /// A mistake further down, and plans that cannot be made.
    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered>;

    /// The same operation on less of its operands, where only a view of its result is wanted and
    /// that saves work: a node with the view's shape and the same bits.
    fn viewed(&self, _node: &Node, _view: &View, _shape: &[usize]) -> Option<Arc<Node>> {
        None
    }

    /// The chunks that somebody asked for.
    fn chunks(&self) -> Option<&ChunkGrid> {
        None
    }

    /// The chunks that its elements are stored in.
    fn stored_chunks(&self) -> Option<ChunkGrid> {
        None
    }

    /// The file or directory that it reads.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Whether it changes nothing but chunks.
    fn is_rechunk(&self) -> bool {
        false
    }
}

/// An element with its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Constant {
    pub(crate) dtype: DType,
    /// The bytes of the element, in the machine's order.
    pub(crate) bytes: [u8; 8],
}

impl Constant {
    pub(crate) fn new<T: Element>(value: T) -> Self {
        let mut bytes = [0; 8];
        let value = [value];
        bytes[..size_of::<T>()].copy_from_slice(crate::element::as_bytes(&value));
        Constant {
            dtype: T::DTYPE,
            bytes,
        }
    }

    /// The bytes of one element.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.dtype.size()]
    }
}

/// A mistake in how an array was built. Errors are not `Clone`, this is.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) location: &'static Location<'static>,
}

impl Mistake {
    pub(crate) fn error(&self) -> Error {
        Error::new(self.kind, self.message.clone()).with_location(self.location)
    }
}

impl Node {
    /// The operands.
    pub(crate) fn inputs(&self) -> &[Arc<Node>] {
        match &self.op {
            Op::Source(_) | Op::Constant(_) | Op::Mistake(_) => &[],
            Op::View { of, .. } | Op::Reshape { of } => std::slice::from_ref(of),
            Op::Apply { inputs, .. } | Op::Layer { inputs, .. } | Op::Later { inputs, .. } => {
                inputs
            }
            Op::Concat { parts, .. } => parts,
        }
    }

    pub(crate) fn mistake(&self) -> Option<&Mistake> {
        match &self.op {
            Op::Mistake(mistake) => Some(mistake),
            _ => None,
        }
    }

    /// Why a node without shape cannot be used where a shape is needed.
    pub(crate) fn uncounted(&self) -> Option<Mistake> {
        let Op::Later { .. } = self.op else {
            return None;
        };
        Some(Mistake {
            kind: ErrorKind::Invalid,
            message: "the shape of this array depends on the data and is known once it was \
                      counted: call `counted_with` first"
                .to_owned(),
            location: self.location,
        })
    }

    pub(crate) fn ndim(&self) -> usize {
        self.shape.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of the whole array.
    pub(crate) fn nbytes(&self) -> u64 {
        (self.len() as u64).saturating_mul(self.dtype.size() as u64)
    }

    /// Whether a node without elements is made of something that runs all the same, and may find a
    /// mistake (`Fused::needed`).
    pub(crate) fn is_checked_when_run(&self) -> bool {
        let mut stack = vec![self];
        let mut seen = HashSet::new();
        while let Some(node) = stack.pop() {
            if node.len() > 0 || !seen.insert(std::ptr::from_ref(node)) {
                continue;
            }
            if let Op::Layer { .. } = node.op {
                return true;
            }
            stack.extend(node.inputs().iter().map(|input| &**input));
        }
        false
    }

    /// The operation's name in keys.
    pub(crate) fn name(&self) -> &'static str {
        match &self.op {
            Op::Source(source) => source.name(),
            Op::Constant(_) => "full",
            Op::View { .. } => "slice",
            Op::Apply { kernel, .. } => kernel.name(),
            Op::Concat { .. } => "concatenate",
            Op::Reshape { .. } => "reshape",
            Op::Layer { lower, .. } => lower.name(),
            Op::Later { later, .. } => later.name(),
            Op::Mistake(_) => "mistake",
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.inputs().is_empty() {
            return;
        }
        let mut pending = Vec::new();
        self.take_inputs(&mut pending);
        // a node that only we hold gives its operands up before it is dropped itself
        while let Some(node) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                node.take_inputs(&mut pending);
            }
        }
    }
}

impl Node {
    fn take_inputs(&mut self, into: &mut Vec<Arc<Node>>) {
        let gone = || {
            Op::Constant(Constant {
                dtype: DType::Bool,
                bytes: [0; 8],
            })
        };
        match std::mem::replace(&mut self.op, gone()) {
            Op::View { of, .. } | Op::Reshape { of } => into.push(of),
            Op::Apply { inputs, .. } | Op::Layer { inputs, .. } | Op::Later { inputs, .. } => {
                into.extend(inputs);
            }
            Op::Concat { parts, .. } => into.extend(parts),
            Op::Source(_) | Op::Constant(_) | Op::Mistake(_) => {}
        }
    }
}

/// The shape of shapes broadcast against each other, by NumPy's rule.
pub(crate) fn broadcast(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let ndim = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; ndim];
    for shape in shapes {
        let skip = ndim - shape.len();
        for (length, &other) in result[skip..].iter_mut().zip(*shape) {
            match (*length, other) {
                (a, b) if a == b => {}
                (1, b) => *length = b,
                (_, 1) => {}
                _ => return None,
            }
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_numpy_does() {
        assert_eq!(broadcast(&[&[5, 4], &[4]]), Some(vec![5, 4]));
        assert_eq!(broadcast(&[&[5, 1], &[1, 4]]), Some(vec![5, 4]));
        assert_eq!(broadcast(&[&[], &[0, 3]]), Some(vec![0, 3]));
        assert_eq!(broadcast(&[&[2], &[3]]), None);
        assert_eq!(broadcast(&[&[0], &[1]]), Some(vec![0]));
        assert_eq!(broadcast(&[&[3, 1], &[], &[4]]), Some(vec![3, 4]));
        assert_eq!(broadcast(&[]), Some(vec![]));
    }
}
