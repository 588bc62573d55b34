//! The graph: an append-only arena of layers and the edges between them.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result, Token, TokenHasher};

use crate::id::LayerId;
use crate::layer::{Deps, Layer, MissingTask, Slot};

/// Layers in topological order: a layer is pushed after its inputs, so the layers cannot form a
/// cycle (the tasks inside an explicit layer can; they are checked where it is made).
#[derive(Default, Clone)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Where what stands at an address was lowered to: a layer, and the task in it.
    memo: HashMap<usize, (LayerId, u32)>,
    /// What the memo's addresses point to, kept alive so that an address cannot be used again.
    anchors: Vec<Arc<dyn std::any::Any + Send + Sync>>,
}

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) layer: Arc<dyn Layer>,
    pub(crate) inputs: Vec<LayerId>,
    pub(crate) token: Token,
    pub(crate) location: Option<&'static Location<'static>>,
}

impl Graph {
    /// A graph without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a layer that reads `inputs`; its dependency slots are numbered in their order.
    pub fn push(&mut self, layer: impl Layer + 'static, inputs: &[LayerId]) -> LayerId {
        self.push_at(Arc::new(layer), inputs, None)
    }

    /// Appends a layer with the line of the user's program that asked for it.
    pub fn push_at(
        &mut self,
        layer: Arc<dyn Layer>,
        inputs: &[LayerId],
        location: Option<&'static Location<'static>>,
    ) -> LayerId {
        let mut hasher = TokenHasher::new(layer.name());
        layer.hash(&mut hasher);
        for &input in inputs {
            hasher.token(self.nodes[input.index()].token);
        }
        let (token, _) = hasher.finish();
        let id = LayerId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 layers"));
        self.nodes.push(Node {
            layer,
            inputs: inputs.to_vec(),
            token,
            location,
        });
        id
    }

    /// Lowers a shared node of a collection's expression once: the first call with this `node`
    /// runs `lower`, later calls return the same layer. This is how outputs computed together
    /// share their work.
    ///
    /// # Errors
    /// Those of `lower`.
    pub fn lower_once<T: Send + Sync + 'static>(
        &mut self,
        node: &Arc<T>,
        lower: impl FnOnce(&mut Graph) -> Result<LayerId>,
    ) -> Result<LayerId> {
        if let Some((id, _)) = self.placed(node) {
            return Ok(id);
        }
        let id = lower(self)?;
        self.place(node, id, 0);
        Ok(id)
    }

    /// Where a shared node was lowered to before.
    pub(crate) fn placed<T>(&self, node: &Arc<T>) -> Option<(LayerId, u32)> {
        self.memo.get(&address(node)).copied()
    }

    /// Notes where a shared node was lowered to.
    pub(crate) fn place<T: Send + Sync + 'static>(
        &mut self,
        node: &Arc<T>,
        layer: LayerId,
        task: u32,
    ) {
        self.memo.insert(address(node), (layer, task));
        self.anchors
            .push(Arc::clone(node) as Arc<dyn std::any::Any + Send + Sync>);
    }

    /// How many layers there are.
    pub fn layer_count(&self) -> usize {
        self.nodes.len()
    }

    /// A layer.
    pub fn layer(&self, id: LayerId) -> &Arc<dyn Layer> {
        &self.nodes[id.index()].layer
    }

    /// The line of the user's program that asked for a layer.
    pub fn location(&self, id: LayerId) -> Option<&'static Location<'static>> {
        self.nodes[id.index()].location
    }

    /// The layers that a layer reads.
    pub fn inputs(&self, id: LayerId) -> &[LayerId] {
        &self.nodes[id.index()].inputs
    }

    /// The identity of what a layer computes.
    pub fn token(&self, id: LayerId) -> Token {
        self.nodes[id.index()].token
    }

    pub(crate) fn push_node(&mut self, node: Node) -> LayerId {
        self.nodes.push(node);
        LayerId(self.nodes.len() as u32 - 1)
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The input slots of a layer and, last, the layer itself.
    pub(crate) fn slots(&self, id: LayerId, bases: &[u32]) -> Vec<Slot> {
        let node = &self.nodes[id.index()];
        let slot = |id: LayerId| Slot {
            base: bases[id.index()],
            count: self.nodes[id.index()].layer.task_count(),
        };
        node.inputs.iter().copied().chain([id]).map(slot).collect()
    }

    /// What task `task` of layer `id` reads, as (layer, task) pairs in the order of its inputs.
    ///
    /// # Errors
    /// Kind `MissingDependency` when the layer names a task that does not exist.
    pub fn deps(&self, id: LayerId, task: u32) -> Result<Vec<(LayerId, u32)>> {
        let node = &self.nodes[id.index()];
        // number the slots' tasks one after the other, to tell them apart again below
        let mut base = 0;
        let mut slots = Vec::with_capacity(node.inputs.len() + 1);
        for layer in node.inputs.iter().copied().chain([id]) {
            let count = self.nodes[layer.index()].layer.task_count();
            slots.push(Slot { base, count });
            base += count;
        }
        let (mut out, mut missing) = (Vec::new(), None);
        node.layer
            .deps(task, &mut Deps::new(&slots, &mut out, &mut missing));
        if let Some(missing) = missing {
            return Err(self.missing(id, task, missing));
        }
        let pair = |dense: u32| {
            let slot = slots.partition_point(|slot| slot.base <= dense) - 1;
            // equal bases belong to empty layers; the last of them holds the task
            let layer = node.inputs.get(slot).copied().unwrap_or(id);
            (layer, dense - slots[slot].base)
        };
        Ok(out.into_iter().map(pair).collect())
    }

    pub(crate) fn missing(&self, id: LayerId, task: u32, missing: MissingTask) -> Error {
        let node = &self.nodes[id.index()];
        let from = crate::key::Key::new(node, task);
        let target = match node.inputs.get(missing.slot) {
            Some(input) => {
                let target = &self.nodes[input.index()];
                format!(
                    "task {} of {}, which has {} tasks",
                    missing.task,
                    target.layer.name(),
                    target.layer.task_count()
                )
            }
            None if missing.slot == node.inputs.len() => {
                format!(
                    "task {} of its own layer of {}",
                    missing.task,
                    node.layer.task_count()
                )
            }
            None => format!("input {} of {}", missing.slot, node.inputs.len()),
        };
        let error = Error::new(
            flagstone_common::ErrorKind::MissingDependency,
            format!("depends on {target}: there is no such task"),
        )
        .with_key(from.to_string(), Vec::new());
        match node.location {
            Some(location) => error.with_location(location),
            None => error,
        }
    }
}

fn address<T>(node: &Arc<T>) -> usize {
    Arc::as_ptr(node) as *const () as usize
}
