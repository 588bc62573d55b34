//! Reductions of bags along the tree that all collections share.

use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Footprint, Graph, Inputs, LayerId, push_tree};

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
    (name, location): (&'static str, &'static Location<'static>),
    merge: Arc<dyn Merge>,
    fan_in: u32,
) -> LayerId {
    let step = Step { name, location };
    let merging = Arc::new(Merging { step, merge });
    push_tree(graph, layer, name, location, &merging, fan_in)
}

/// A merge of which a closure that panics is named by the user's line.
struct Merging {
    step: Step,
    merge: Arc<dyn Merge>,
}

impl flagstone_graph::Merge for Merging {
    fn merge(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let run = Run::new(ctx, task);
        run.catch(|| vec![self.step], || self.merge.merge(inputs, ctx))
    }

    fn footprint(&self) -> Footprint {
        self.merge.footprint()
    }
}
