//! The leaves of a fused expression: layers of blocks, and who makes them.

use std::collections::HashMap;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::LayerId;

use super::scattered::Scattered;
use super::tape::{Fused, Leaf};
use crate::elements::dtype::DType;
use crate::expr::lower::Lowered;
use crate::expr::node::Node;
use crate::expr::view::View;

/// A fused expression and the layers of its leaves.
pub(crate) struct Parts {
    pub(crate) fused: Fused,
    pub(crate) layers: Vec<Lowered>,
}

impl Parts {
    pub(crate) fn inputs(&self) -> Vec<LayerId> {
        self.layers.iter().map(|lowered| lowered.layer).collect()
    }

    pub(crate) fn set_leaf(&mut self, leaf: usize, lowered: Lowered) {
        self.fused.leaves[leaf].grid = lowered.grid.clone();
        self.fused.leaves[leaf].stride = lowered.stride;
        self.layers[leaf] = lowered;
    }
}

/// What a walk asks for that it cannot fuse: layers of blocks.
pub(crate) trait LookUp {
    /// The blocks of a node that several expressions may share.
    ///
    /// # Errors
    /// Those of lowering it.
    fn blocks(&mut self, node: &Arc<Node>) -> Result<Lowered>;

    /// A list of the view whose places are from everywhere, where blocks of its own are to follow it.
    fn scattered(&self, node: &Arc<Node>, view: &View) -> Option<Scattered>;

    /// The blocks of a node that such a list wants, in its order.
    ///
    /// # Errors
    /// Those of lowering them.
    fn taken(&mut self, list: &Scattered, node: &Arc<Node>) -> Result<Lowered>;
}

#[derive(Default)]
pub(super) struct Leaves {
    pub(super) leaves: Vec<Leaf>,
    pub(super) layers: Vec<Lowered>,
    /// By the node's address; nodes are kept alive by the caller's handle.
    numbers: HashMap<*const Node, usize>,
    /// Rows that were taken in any order, by node, view and axis.
    taken: HashMap<(*const Node, View, usize), usize>,
}

impl Leaves {
    pub(super) fn number(&mut self, layers: &mut dyn LookUp, node: &Arc<Node>) -> Result<usize> {
        if let Some(&number) = self.numbers.get(&Arc::as_ptr(node)) {
            return Ok(number);
        }
        let lowered = layers.blocks(node)?;
        let slot = self.push(lowered, node.dtype);
        self.numbers.insert(Arc::as_ptr(node), slot);
        Ok(slot)
    }

    pub(super) fn push(&mut self, lowered: Lowered, dtype: DType) -> usize {
        let slot = self.layers.len();
        self.leaves.push(Leaf {
            slot,
            grid: lowered.grid.clone(),
            stride: lowered.stride,
            dtype,
        });
        self.layers.push(lowered);
        slot
    }

    /// The rows that a list wants of a node.
    pub(super) fn taken(
        &mut self,
        layers: &mut dyn LookUp,
        node: &Arc<Node>,
        (view, list): (&View, &Scattered),
    ) -> Result<usize> {
        let key = (Arc::as_ptr(node), view.clone(), list.axis);
        if let Some(&number) = self.taken.get(&key) {
            return Ok(number);
        }
        let lowered = layers.taken(list, node)?;
        let number = self.push(lowered, node.dtype);
        self.taken.insert(key, number);
        Ok(number)
    }
}
