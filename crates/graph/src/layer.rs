//! The layer: all tasks that one operation makes, answered by index arithmetic.
//!
//! A layer stores its parameters once. How many tasks it has, what task *i* reads, what it needs
//! and how to run it follow from *i*, so that building a collection costs O(1) per operation and
//! nothing per task.

use flagstone_common::{Result, TaskContext, TokenHasher};

use crate::block::{Block, Inputs};
use crate::footprint::Footprint;

/// One operation's tasks. Everything must follow from the task's index alone, and `run` must give
/// the same block each time: a task that cannot grow within the budget is run again.
pub trait Layer: Send + Sync {
    /// The operation's name as it appears in keys: `"read-npy"`, `"sum"`, `"filter"`.
    fn name(&self) -> &str;

    /// How many tasks there are.
    fn task_count(&self) -> u32;

    /// Names what task `task` reads, in the order in which `run` finds its inputs.
    fn deps(&self, task: u32, deps: &mut Deps<'_>);

    /// What the task needs beside its inputs.
    fn footprint(&self, task: u32) -> Footprint;

    /// Computes the task's block. Allocations that grow with the data are leased from `ctx`
    /// before they are made, beyond what `footprint` declared. Never touches a global thread pool.
    ///
    /// # Errors
    /// Whatever the operation meets; the executor adds key, lineage and location.
    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block>;

    /// Covers the parameters, so that equal layers get equal tokens. The default makes every layer
    /// unique, which is always right and never reused.
    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }

    /// The task's coordinates as printed in its key.
    fn coords(&self, task: u32) -> Vec<u32> {
        vec![task]
    }

    /// The input slot that this layer reads one to one (task *i* reads task *i* of it, as its
    /// first dependency, and takes nothing else from that slot). Such layers are fused with their
    /// producer.
    fn one_to_one(&self) -> Option<usize> {
        None
    }

    /// An order of this layer's tasks that needs little memory and I/O, if the layer knows one (a
    /// blocked product does). A candidate among others: the one with the lowest simulated peak
    /// is taken.
    fn suggested_order(&self) -> Option<Box<dyn Iterator<Item = u32> + '_>> {
        None
    }

    /// Prefers the suggested order even where the simulation sees no lower peak, because it saves
    /// I/O that the simulation does not see.
    fn insists_on_order(&self) -> bool {
        false
    }

    #[doc(hidden)]
    fn as_fused(&self) -> Option<&crate::fuse::Fused> {
        None
    }

    /// What a footprint that is `Bounded` or `Estimated` assumes, for the certificate:
    /// `"no record is longer than 16 MiB"`.
    fn assumption(&self) -> Option<String> {
        None
    }

    /// Bytes this task reads from its sources and writes to its sinks, for the prediction.
    fn io_bytes(&self, _task: u32) -> IoBytes {
        IoBytes::default()
    }
}

/// Predicted traffic of a task with sources and sinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoBytes {
    /// Read from sources.
    pub read: u64,
    /// Written to sinks.
    pub written: u64,
}

/// Collects a task's dependencies.
pub struct Deps<'a> {
    slots: &'a [Slot],
    out: &'a mut Vec<u32>,
    missing: &'a mut Option<MissingTask>,
}

/// Where the tasks of an input layer start in dense numbering, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) base: u32,
    pub(crate) count: u32,
}

/// A dependency on a task that does not exist.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MissingTask {
    pub(crate) slot: usize,
    pub(crate) task: u32,
}

impl<'a> Deps<'a> {
    pub(crate) fn new(
        slots: &'a [Slot],
        out: &'a mut Vec<u32>,
        missing: &'a mut Option<MissingTask>,
    ) -> Self {
        Deps {
            slots,
            out,
            missing,
        }
    }

    /// The task reads task `task` of the input in slot `slot`. Slot *n* is the *n*-th layer given
    /// to [`Graph::push`](crate::Graph::push); a slot past them is the layer itself, so that
    /// chains and trees can live in one layer ([`Deps::own`]).
    #[inline]
    pub fn push(&mut self, slot: usize, task: u32) {
        match self.slots.get(slot) {
            Some(at) if task < at.count => self.out.push(at.base + task),
            _ => *self.missing = Some(MissingTask { slot, task }),
        }
    }

    /// The task reads task `task` of its own layer.
    #[inline]
    pub fn own(&mut self, task: u32) {
        self.push(self.slots.len() - 1, task);
    }

    pub(crate) fn slots(&self) -> &'a [Slot] {
        self.slots
    }

    pub(crate) fn extend_dense(&mut self, tasks: &[u32]) {
        self.out.extend_from_slice(tasks);
    }

    pub(crate) fn fail(&mut self, missing: Option<MissingTask>) {
        *self.missing = missing;
    }

    /// The task reads tasks `from..to` of the input in slot `slot`.
    pub fn range(&mut self, slot: usize, tasks: std::ops::Range<u32>) {
        for task in tasks {
            self.push(slot, task);
        }
    }
}
