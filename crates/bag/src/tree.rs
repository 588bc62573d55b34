//! Tree reductions: many partial results become one, eight at a time.
//!
//! The shape follows from the number of partitions alone, and a node merges its inputs from left to
//! right, so the result has the same bits on every executor: also for floats, and also for results
//! whose order is "first seen first".

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId};

use crate::chain::{Run, Step};

/// How many partial results one task merges.
pub(crate) const FAN_IN: u32 = 8;

/// Merges blocks that arrive in the order of their partitions.
pub(crate) trait Merge: Send + Sync + 'static {
    /// One block of many.
    fn merge(&self, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block>;
    /// The size of a merged block.
    fn footprint(&self) -> Footprint;
}

/// Puts a tree over a layer; the result has one task. A layer of one task is its own tree.
pub(crate) fn reduce(
    graph: &mut Graph,
    layer: LayerId,
    name: &'static str,
    location: &'static Location<'static>,
    merge: Arc<dyn Merge>,
) -> LayerId {
    reduce_by(graph, layer, (name, location), merge, FAN_IN)
}

/// The same with another fan-in, of at least 2.
pub(crate) fn reduce_by(
    graph: &mut Graph,
    mut layer: LayerId,
    (name, location): (&'static str, &'static Location<'static>),
    merge: Arc<dyn Merge>,
    fan_in: u32,
) -> LayerId {
    loop {
        let inputs = graph.layer(layer).task_count();
        if inputs <= 1 {
            return layer;
        }
        let tree = Tree {
            step: Step { name, location },
            inputs,
            fan_in,
            merge: Arc::clone(&merge),
        };
        layer = graph.push_at(Arc::new(tree), &[layer], Some(location));
    }
}

/// One level of a tree.
struct Tree {
    step: Step,
    inputs: u32,
    fan_in: u32,
    merge: Arc<dyn Merge>,
}

impl Layer for Tree {
    fn name(&self) -> &str {
        self.step.name
    }

    fn task_count(&self) -> u32 {
        self.inputs.div_ceil(self.fan_in)
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let first = task * self.fan_in;
        deps.range(0, first..self.inputs.min(first.saturating_add(self.fan_in)));
    }

    fn footprint(&self, _: u32) -> Footprint {
        self.merge.footprint()
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let run = Run::new(ctx, task);
        run.catch(|| vec![self.step], || self.merge.merge(inputs, ctx))
    }
}
