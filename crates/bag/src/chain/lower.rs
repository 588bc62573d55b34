//! Where a typed chain meets the graph: a layer with one task per partition, in which types of items
//! are no longer seen.

use std::sync::Arc;

use flagstone_common::{Result, TaskContext, with_reserves};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, IoBytes, Layer, LayerId};

use super::plan::{ItemOrder, Want, name_of};
use super::run::Run;
use super::stage::{Branch, Root};

/// Lowers one branch over its own pass through the source.
pub(crate) fn lower_alone<R: Root, B: Branch<R>>(
    root: &Arc<R>,
    graph: &mut Graph,
    branch: B,
) -> Result<LayerId> {
    let (plan, inputs) = root.plan(Want::All, graph)?;
    let steps = branch.steps();
    let name = name_of(&steps);
    let location = steps.last().map(|step| step.location);
    let layer = Alone {
        root: Arc::clone(root),
        plan,
        branch,
        name,
        inputs: inputs.len(),
    };
    Ok(graph.push_at(Arc::new(layer), &inputs, location))
}

/// A source that one branch reads.
struct Alone<R: Root, B> {
    root: Arc<R>,
    plan: R::Plan,
    branch: B,
    name: String,
    inputs: usize,
}

impl<R: Root, B: Branch<R>> Alone<R, B> {
    /// The one place where it is decided: what is read and what the run is told follow from it.
    fn order(&self) -> ItemOrder {
        match self.root.has_any_order() && !self.branch.needs_order() {
            true => ItemOrder::Any,
            false => ItemOrder::Bag,
        }
    }
}

impl<R: Root, B: Branch<R>> Layer for Alone<R, B> {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.root.partition_count(&self.plan)
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let slots = 0..self.inputs;
        self.root.deps(&self.plan, task, self.order(), slots, deps);
    }

    fn footprint(&self, task: u32) -> Footprint {
        beside(
            self.root.cost(&self.plan, task).footprint,
            self.branch.output(),
        )
    }

    fn one_to_one(&self) -> Option<usize> {
        (self.inputs == 1 && self.root.is_one_to_one()).then_some(0)
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        IoBytes {
            read: self.root.cost(&self.plan, task).read_bytes,
            written: 0,
        }
    }

    fn assumption(&self) -> Option<String> {
        Some("no line is longer than a block, and closures hold no more than their item".into())
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let reading = self.root.cost(&self.plan, task).footprint.own_bytes();
        let making = self.branch.output().own_bytes();
        with_reserves(ctx, [reading, making], |[own, rest]| {
            let run = Run::new(rest.ctx(), task)
                .reading_with(own)
                .in_order(self.order());
            run.catch(
                || self.branch.steps(),
                || self.branch.run_alone(&self.root, &self.plan, &run, inputs),
            )
        })
    }
}

/// A task that reads with one footprint and returns a block of another.
pub(crate) fn beside(reading: Footprint, output: Footprint) -> Footprint {
    Footprint {
        scratch_bytes: reading.own_bytes().saturating_add(output.scratch_bytes),
        certainty: reading.certainty.max(output.certainty),
        ..output
    }
}
