//! The program: a frozen graph, culled, fused, ordered and numbered by rank.
//!
//! A task's id is its rank, so that one order serves priority, root throttling, liveness,
//! furthest-next-use eviction, prefetch and reproducibility. Dependencies and dependents are two
//! arrays in compressed sparse rows; a block's dependents, ascending, *are* its future uses.

use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};

use crate::block::{Block, Inputs};
use crate::footprint::Footprint;
use crate::graph::Node;
use crate::id::TaskId;
use crate::key::Key;

/// How a graph is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreezeOptions {
    /// Whether one-to-one layers are fused with their producers.
    pub fuse: bool,
    /// The largest footprint a fused task may have, in bytes.
    pub fused_bytes_max: u64,
}

impl Default for FreezeOptions {
    fn default() -> Self {
        FreezeOptions {
            fuse: true,
            fused_bytes_max: u64::MAX,
        }
    }
}

/// A validated, numbered computation: what executors run.
pub struct Program {
    pub(crate) nodes: Vec<Node>,
    /// Where each layer's tasks start in dense numbering (layer by layer), ascending.
    pub(crate) bases: Vec<u32>,
    /// Dense number of each task, by rank.
    pub(crate) dense: Vec<u32>,
    pub(crate) dep_offsets: Vec<u32>,
    pub(crate) deps: Vec<TaskId>,
    pub(crate) dependent_offsets: Vec<u32>,
    pub(crate) dependents: Vec<TaskId>,
    pub(crate) outputs: Vec<Vec<TaskId>>,
    /// One bit a task: whether it was asked for.
    pub(crate) output_bits: Vec<u64>,
    /// Tasks that were asked for more than once, and how much more often.
    pub(crate) output_repeats: std::collections::HashMap<TaskId, u32>,
    pub(crate) sequential_peak_bytes: u64,
}

impl Program {
    /// How many tasks there are.
    #[inline]
    pub fn task_count(&self) -> usize {
        self.dense.len()
    }

    /// How many dependencies there are.
    pub fn edge_count(&self) -> usize {
        self.deps.len()
    }

    /// The tasks in order of rank.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = TaskId> + ExactSizeIterator + use<> {
        (0..self.dense.len() as u32).map(TaskId)
    }

    /// How many layers there are after culling and fusing.
    pub fn layer_count(&self) -> usize {
        self.nodes.len()
    }

    /// What a task reads, in the order of its inputs.
    #[inline]
    pub fn dependencies(&self, task: TaskId) -> &[TaskId] {
        let i = task.index();
        &self.deps[self.dep_offsets[i] as usize..self.dep_offsets[i + 1] as usize]
    }

    /// The tasks that read a task's block, by ascending rank: its future uses.
    #[inline]
    pub fn dependents(&self, task: TaskId) -> &[TaskId] {
        let i = task.index();
        &self.dependents[self.dependent_offsets[i] as usize..self.dependent_offsets[i + 1] as usize]
    }

    /// How often a task's block is used: once per reading edge and once per request as an output.
    #[inline]
    pub fn use_count(&self, task: TaskId) -> u32 {
        let outputs = match self.is_output(task) {
            false => 0,
            true if self.output_repeats.is_empty() => 1,
            true => 1 + self.output_repeats.get(&task).copied().unwrap_or(0),
        };
        self.dependents(task).len() as u32 + outputs
    }

    /// The tasks whose blocks were asked for, per requested layer, in task order.
    pub fn outputs(&self) -> &[Vec<TaskId>] {
        &self.outputs
    }

    /// Whether a task's block was asked for.
    #[inline]
    pub fn is_output(&self, task: TaskId) -> bool {
        self.output_bits[task.index() / 64] >> (task.0 % 64) & 1 == 1
    }

    /// The task's layer (index among this program's layers) and its index there.
    #[inline]
    pub fn place(&self, task: TaskId) -> (usize, u32) {
        let dense = self.dense[task.index()];
        let layer = if self.bases.len() == 1 {
            0
        } else {
            self.bases.partition_point(|&base| base <= dense) - 1
        };
        (layer, dense - self.bases[layer])
    }

    /// The name of a layer.
    pub fn layer_name(&self, layer: usize) -> &str {
        self.nodes[layer].layer.name()
    }

    /// The layers that a layer reads.
    pub fn layer_inputs(&self, layer: usize) -> impl Iterator<Item = usize> + '_ {
        self.nodes[layer].inputs.iter().map(|id| id.index())
    }

    /// How many of a layer's tasks were kept.
    #[inline]
    pub fn layer(&self, layer: usize) -> &Arc<dyn crate::Layer> {
        &self.nodes[layer].layer
    }

    /// What a task needs beside its inputs.
    pub fn footprint(&self, task: TaskId) -> Footprint {
        let (layer, index) = self.place(task);
        self.nodes[layer].layer.footprint(index)
    }

    /// The peak of resident bytes when tasks run one by one in rank order, by declared sizes.
    pub fn sequential_peak_bytes(&self) -> u64 {
        self.sequential_peak_bytes
    }

    /// A task's key, for people.
    pub fn key(&self, task: TaskId) -> Key {
        let (layer, index) = self.place(task);
        Key::new(&self.nodes[layer], index)
    }

    /// Runs a task.
    ///
    /// # Errors
    /// The task's own.
    pub fn run(
        &self,
        task: TaskId,
        inputs: Inputs<'_>,
        context: &TaskContext<'_>,
    ) -> Result<Block> {
        let (layer, index) = self.place(task);
        self.nodes[layer].layer.run(index, inputs, context)
    }

    /// Adds key, lineage and the user's source line of `task` to an error.
    pub fn locate(&self, error: Error, task: TaskId) -> Error {
        let (layer, _) = self.place(task);
        let error = error.with_key(self.key(task).to_string(), self.lineage(layer));
        match self.nodes[layer].location {
            Some(location) => error.with_location(location),
            None => error,
        }
    }

    /// The line of the user's program that made a layer.
    pub fn location(&self, layer: usize) -> Option<&'static std::panic::Location<'static>> {
        self.nodes[layer].location
    }

    /// The names of the layers from a source to `layer`, along first inputs.
    pub fn lineage(&self, layer: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = Some(layer);
        while let Some(layer) = at {
            names.push(self.nodes[layer].layer.name().to_owned());
            at = self.nodes[layer].inputs.first().map(|id| id.index());
        }
        names.reverse();
        names
    }
}
