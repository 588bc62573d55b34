//! Arrays whose lengths depend on the data: `x[mask]`, `unique`, `nonzero`, `bincount`.
//!
//! The length of such an array is counted by a first pass, under the same executor, at the terminal.
//! Until then the array is a [`Deferred`] node without a shape, and so is everything made of it:
//! operations are kept as they were called and played again once the lengths are known
//! ([`defer!`]). After that it is an array as any other, with exact sizes and an exact
//! certificate; no layer ever sees an unknown length.
//!
//! ```text
//! x[mask].mean(0) - 1        deferred: subtract(deferred: mean(deferred: filter(x, mask)), 1)
//!   first pass               counts the mask
//!   then                     filter has shape [1234], mean and subtract are built for it
//! ```
//!
//! Whoever needs the shape itself asks [`Array::compute_chunk_sizes`], which makes the first pass and
//! returns the array with its shape. Operations that were not made for arrays without shape are a
//! mistake that says so.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::Execute;

use super::array::Array;
use super::node::{Deferred, Node, Op};
use crate::elements::element::Element;

/// An operation on arrays without shape, to be called again when they have one.
struct Replay<F>(F);

impl<F: Fn(&[Arc<Node>]) -> Arc<Node> + Send + Sync> Deferred for Replay<F> {
    fn name(&self) -> &'static str {
        "deferred"
    }

    fn resolve(&self, inputs: &[Arc<Node>], _: &dyn Execute) -> Result<Arc<Node>> {
        Ok((self.0)(inputs))
    }

    fn longest(&self, inputs: &[Arc<Node>]) -> Option<Arc<Node>> {
        Some((self.0)(inputs))
    }
}

/// Returns early from an operation on an array that is a mistake, or that has no shape yet: then
/// the operation is kept and called again later. Borrowed arguments are named with their own form.
///
/// ```text
/// defer!(self, axes = axes.to_vec(); |array| array.transpose(&axes));
/// ```
macro_rules! defer {
    ($array:expr $(, $name:ident = $own:expr)*; |$deferred:ident| $then:expr) => {
        if $array.is_shapeless() {
            $(let $name = $own;)*
            return $array.then(move |$deferred| $then);
        }
    };
}
pub(crate) use defer;

impl<T: Element> Array<T> {
    /// A node that is made once its inputs have shapes.
    #[track_caller]
    pub(crate) fn deferred(deferred: impl Deferred + 'static, inputs: Vec<Arc<Node>>) -> Self {
        if let Some(mistake) = inputs.iter().find_map(|input| input.mistake()) {
            return Array::keep(mistake.clone());
        }
        let deferred = Arc::new(deferred);
        Array::make(Vec::new(), Op::Deferred { deferred, inputs })
    }

    /// An operation on several nodes, one of which is without shape or a mistake.
    #[track_caller]
    pub(crate) fn after(
        inputs: &[&Arc<Node>],
        then: impl Fn(&[Arc<Node>]) -> Array<T> + Send + Sync + 'static,
    ) -> Self {
        let replay = Replay(move |inputs: &[Arc<Node>]| then(inputs).node);
        let inputs = inputs.iter().map(|&input| Arc::clone(input)).collect();
        Array::deferred(replay, inputs)
    }

    /// An operation on several arrays of one type, one of which is without shape or a mistake.
    #[track_caller]
    pub(crate) fn after_all(
        arrays: &[&Array<T>],
        then: impl Fn(&[&Array<T>]) -> Array<T> + Send + Sync + 'static,
    ) -> Self {
        let inputs: Vec<&Arc<Node>> = arrays.iter().map(|array| &array.node).collect();
        Array::after(&inputs, move |inputs| {
            let arrays: Vec<Array<T>> = inputs.iter().cloned().map(Array::of_node).collect();
            then(&arrays.iter().collect::<Vec<_>>())
        })
    }

    /// An operation on this array alone, which is without shape or a mistake.
    #[track_caller]
    pub(crate) fn then<U: Element>(
        &self,
        then: impl Fn(&Array<T>) -> Array<U> + Send + Sync + 'static,
    ) -> Array<U> {
        Array::after(&[&self.node], move |inputs| {
            then(&Array::of_node(Arc::clone(&inputs[0])))
        })
    }

    /// Whether it is a mistake, or has no shape yet.
    pub(crate) fn is_shapeless(&self) -> bool {
        matches!(self.node.op, Op::Deferred { .. } | Op::Mistake(_))
    }

    /// Whether the shape is known. It is not for arrays whose lengths depend on the data, until
    /// they are counted.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[10]);
    /// assert!(x.has_shape());
    /// // how many are left depends on the data
    /// assert!(!x.extract(&x.map(|x| x > 0.5)).has_shape());
    /// ```
    pub fn has_shape(&self) -> bool {
        !matches!(self.node.op, Op::Deferred { .. })
    }
}

/// Makes a node of a deferred one and its operands, if it can.
type Resolve<'r> = &'r dyn Fn(&dyn Deferred, &[Arc<Node>]) -> Result<Option<Arc<Node>>>;

/// The node with everything known that it is made of; `None` where `make` had nothing.
pub(crate) fn resolve(root: &Arc<Node>, make: Resolve<'_>) -> Result<Option<Arc<Node>>> {
    // by address: the root keeps all of them alive
    let mut done: HashMap<*const Node, Arc<Node>> = HashMap::new();
    let mut stack = vec![Arc::clone(root)];
    while let Some(node) = stack.pop() {
        let key = Arc::as_ptr(&node);
        if done.contains_key(&key) {
            continue;
        }
        let Op::Deferred { deferred, inputs } = &node.op else {
            done.insert(key, node);
            continue;
        };
        let waiting: Vec<Arc<Node>> = inputs
            .iter()
            .filter(|input| !done.contains_key(&Arc::as_ptr(input)))
            .cloned()
            .collect();
        if !waiting.is_empty() {
            stack.push(node);
            stack.extend(waiting);
            continue;
        }
        let known: Vec<Arc<Node>> = inputs
            .iter()
            .filter_map(|input| done.get(&Arc::as_ptr(input)).cloned())
            .collect();
        let mut made = match known.iter().find(|input| input.mistake().is_some()) {
            Some(mistaken) => Arc::clone(mistaken),
            None => match make(&**deferred, &known)? {
                Some(made) => at_line(made, node.location),
                None => return Ok(None),
            },
        };
        // an operation that has to be counted itself
        if matches!(made.op, Op::Deferred { .. }) {
            match resolve(&made, make)? {
                Some(counted) => made = counted,
                None => return Ok(None),
            }
        }
        done.insert(key, made);
    }
    let counted = done.remove(&Arc::as_ptr(root));
    Ok(Some(counted.unwrap_or_else(|| Arc::clone(root))))
}

/// A node that was made now, with the line of the user's program where it was asked for.
fn at_line(mut node: Arc<Node>, location: &'static Location<'static>) -> Arc<Node> {
    if let Some(own) = Arc::get_mut(&mut node) {
        own.location = location;
        if let Op::Mistake(mistake) = &mut own.op {
            mistake.location = location;
        }
    }
    node
}
