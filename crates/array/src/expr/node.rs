//! The expression behind an array handle: what the user wrote, nothing computed.
//!
//! Nodes are not generic: the element type is a value here, so that operations on several types
//! meet in one expression. Whatever needs the type itself (a kernel, a fold, a product) was made
//! for it when the node was built.
//!
//! Expressions can be a hundred thousand operations deep. Nothing here recurses, dropping included.

use std::collections::HashSet;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::Execute;

use super::lower::Lower;
use super::source::Source;
use super::view::View;
use crate::elements::constant::Constant;
use crate::elements::dtype::DType;
use crate::kernels::map::Kernel;

/// A node that can be made once something was computed.
pub(crate) trait Deferred: Send + Sync {
    /// The operation's name in messages.
    fn name(&self) -> &'static str;

    /// Makes the node that takes this one's place; the inputs have shapes by now.
    ///
    /// # Errors
    /// Those of the first pass.
    fn resolve(&self, inputs: &[Arc<Node>], executor: &dyn Execute) -> Result<Arc<Node>>;

    /// A node like the longest that may take this one's place, to plan with: it cannot be computed.
    /// `None` where nothing is known of it.
    fn longest(&self, _inputs: &[Arc<Node>]) -> Option<Arc<Node>> {
        None
    }
}

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
    /// The elements of an operand in C order under another shape.
    Reshape {
        of: Arc<Node>,
    },
    /// Everything that is computed as blocks of its own.
    Layer {
        lower: Arc<dyn Lower>,
        inputs: Vec<Arc<Node>>,
    },
    /// Known once something was computed.
    Deferred {
        deferred: Arc<dyn Deferred>,
        inputs: Vec<Arc<Node>>,
    },
    Mistake(Mistake),
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
            Op::Apply { inputs, .. } | Op::Layer { inputs, .. } | Op::Deferred { inputs, .. } => {
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
        let Op::Deferred { .. } = self.op else {
            return None;
        };
        Some(Mistake {
            kind: ErrorKind::Invalid,
            message: "the shape of this array depends on the data and is known once it was \
                      counted: call `compute_chunk_sizes` first"
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
            Op::Deferred { deferred, .. } => deferred.name(),
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
            Op::Apply { inputs, .. } | Op::Layer { inputs, .. } | Op::Deferred { inputs, .. } => {
                into.extend(inputs);
            }
            Op::Concat { parts, .. } => into.extend(parts),
            Op::Source(_) | Op::Constant(_) | Op::Mistake(_) => {}
        }
    }
}
