//! Fusion: a layer that reads another one to one becomes one task with it, so that the block
//! between them is never made.
//!
//! Refused when the intermediate has another consumer (another task of its own layer is one, too)
//! or was asked for, when the task counts differ, and when a fused task would need more than it may
//! hold.

use std::sync::Arc;

use flagstone_common::{Result, TaskContext};

use crate::block::{Block, Inputs};
use crate::footprint::{Certainty, Footprint};
use crate::graph::{Graph, Node};
use crate::id::LayerId;
use crate::layer::{Deps, IoBytes, Layer, Slot};
use crate::planning::Planning;
use crate::program::FreezeOptions;

/// Drops layers that no output needs and fuses one-to-one chains.
pub(crate) fn fuse(
    graph: &Graph,
    outputs: &[LayerId],
    options: &FreezeOptions,
    planning: &Planning<'_>,
) -> Result<(Graph, Vec<LayerId>)> {
    let count = graph.layer_count();
    let mut consumers = vec![0u32; count];
    let mut asked = vec![false; count];
    for output in outputs {
        consumers[output.index()] += 1;
        asked[output.index()] = true;
    }
    for layer in (0..count).rev() {
        if consumers[layer] > 0 {
            for input in &graph.nodes()[layer].inputs {
                consumers[input.index()] += 1;
            }
        }
    }
    let mut fused = Graph::new();
    let mut moved: Vec<Option<LayerId>> = vec![None; count];
    for layer in (0..count).filter(|&layer| consumers[layer] > 0) {
        let node = &graph.nodes()[layer];
        let inputs: Vec<LayerId> = node
            .inputs
            .iter()
            .map(|input| moved[input.index()].expect("inputs come before their readers"))
            .collect();
        let producer = node
            .layer
            .one_to_one()
            .filter(|_| options.fuse)
            .and_then(|slot| {
                let original = *node.inputs.get(slot)?;
                let alone = consumers[original.index()] == 1 && !asked[original.index()];
                let id = *inputs.get(slot)?;
                let producer = &fused.nodes()[id.index()];
                let same = producer.layer.task_count() == node.layer.task_count();
                // the producer must still be the last layer pushed or at least untouched by others,
                // which a single consumer guarantees
                (alone && same).then_some((slot, producer))
            });
        let mut merged = None;
        if let Some((slot, producer)) = producer
            && !reads_own(producer, planning)?
        {
            let joined = join(producer, node, slot, &inputs);
            let max = options.fused_bytes_max;
            let parts = [&*producer.layer, &*node.layer];
            merged = fits(&*joined.layer, parts, max, planning)?.then_some(joined);
        }
        let node = merged.unwrap_or_else(|| Node {
            inputs,
            ..node.clone()
        });
        moved[layer] = Some(fused.push_node(node));
    }
    let outputs: Vec<LayerId> = outputs
        .iter()
        .map(|id| moved[id.index()].expect("outputs are kept"))
        .collect();
    Ok(drop_unused(fused, outputs))
}

/// Removes the producers that were merged away.
fn drop_unused(graph: Graph, outputs: Vec<LayerId>) -> (Graph, Vec<LayerId>) {
    let count = graph.layer_count();
    let mut used = vec![false; count];
    for output in &outputs {
        used[output.index()] = true;
    }
    for layer in (0..count).rev() {
        if used[layer] {
            for input in &graph.nodes()[layer].inputs {
                used[input.index()] = true;
            }
        }
    }
    if used.iter().all(|&used| used) {
        return (graph, outputs);
    }
    let mut compact = Graph::new();
    let mut moved = vec![LayerId(0); count];
    for layer in (0..count).filter(|&layer| used[layer]) {
        let node = &graph.nodes()[layer];
        let inputs = node
            .inputs
            .iter()
            .map(|input| moved[input.index()])
            .collect();
        moved[layer] = compact.push_node(Node {
            inputs,
            ..node.clone()
        });
    }
    let outputs = outputs.iter().map(|id| moved[id.index()]).collect();
    (compact, outputs)
}

/// A slot in which every task exists.
const ANYTHING: Slot = Slot {
    base: 0,
    count: u32::MAX,
};

/// Whether a task of the layer reads another of the same layer: a block that fusing would unmake.
fn reads_own(node: &Node, planning: &Planning<'_>) -> Result<bool> {
    let nothing = Slot { base: 0, count: 0 };
    let mut slots = vec![ANYTHING; node.inputs.len()];
    slots.push(nothing);
    let mut out = Vec::new();
    for task in 0..node.layer.task_count() {
        planning.step()?;
        out.clear();
        let mut missing = None;
        node.layer
            .deps(task, &mut Deps::new(&slots, &mut out, &mut missing));
        if missing.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the fused tasks stay within the limit, or need no more than their parts did alone.
fn fits(
    fused: &dyn Layer,
    parts: [&dyn Layer; 2],
    max: u64,
    planning: &Planning<'_>,
) -> Result<bool> {
    if max == u64::MAX {
        return Ok(true);
    }
    for task in 0..fused.task_count() {
        planning.step()?;
        let own = fused.footprint(task).own_bytes();
        let alone = |part: &&dyn Layer| own <= part.footprint(task).own_bytes();
        if own > max && !parts.iter().any(alone) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn join(producer: &Node, consumer: &Node, slot: usize, inputs: &[LayerId]) -> Node {
    let mut all_inputs = producer.inputs.clone();
    let mut stages = match producer.layer.as_fused() {
        Some(fused) => fused.stages.clone(),
        None => vec![Stage {
            layer: Arc::clone(&producer.layer),
            slots: (0..producer.inputs.len()).collect(),
            one_to_one: None,
        }],
    };
    let mut slots = Vec::with_capacity(inputs.len());
    for (i, &input) in inputs.iter().enumerate() {
        if i == slot {
            slots.push(usize::MAX);
        } else {
            slots.push(all_inputs.len());
            all_inputs.push(input);
        }
    }
    stages.push(Stage {
        layer: Arc::clone(&consumer.layer),
        slots,
        one_to_one: Some(slot),
    });
    let names: Vec<&str> = stages.iter().map(|stage| stage.layer.name()).collect();
    let name = names.join("+");
    Node {
        layer: Arc::new(Fused { name, stages }),
        inputs: all_inputs,
        token: consumer.token,
        location: consumer.location.or(producer.location),
    }
}

/// Several layers run as one, each stage's block handed to the next.
#[doc(hidden)]
pub struct Fused {
    name: String,
    stages: Vec<Stage>,
}

#[derive(Clone)]
struct Stage {
    layer: Arc<dyn Layer>,
    /// For each of the stage's input slots, the fused layer's; the one-to-one slot has none.
    slots: Vec<usize>,
    one_to_one: Option<usize>,
}

impl Stage {
    /// Appends the stage's dependencies but for the block of the stage before.
    fn deps(&self, task: u32, outer: &[Slot], out: &mut Vec<u32>, deps: &mut Deps<'_>) {
        let own = *outer.last().unwrap_or(&ANYTHING);
        let slots: Vec<Slot> = self
            .slots
            .iter()
            .map(|&slot| outer.get(slot).copied().unwrap_or(ANYTHING))
            .chain([own])
            .collect();
        let mut missing = None;
        self.layer
            .deps(task, &mut Deps::new(&slots, out, &mut missing));
        if missing.is_some() {
            deps.fail(missing);
        }
    }

    /// How many blocks the stage reads beside that of the stage before.
    fn extra_count(&self, task: u32) -> usize {
        if self.slots.len() == 1 {
            return 0;
        }
        self.dep_count(task).saturating_sub(1)
    }

    fn dep_count(&self, task: u32) -> usize {
        let anything = vec![ANYTHING; self.slots.len() + 1];
        let (mut out, mut missing) = (Vec::new(), None);
        self.layer
            .deps(task, &mut Deps::new(&anything, &mut out, &mut missing));
        out.len()
    }
}

impl Layer for Fused {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.stages[0].layer.task_count()
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let outer = deps.slots().to_vec();
        let mut out = Vec::new();
        for stage in &self.stages {
            out.clear();
            stage.deps(task, &outer, &mut out, deps);
            let skip = usize::from(stage.one_to_one.is_some()).min(out.len());
            deps.extend_dense(&out[skip..]);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        let mut fused = Footprint::exact(0);
        let mut before = 0u64;
        for (i, stage) in self.stages.iter().enumerate() {
            let own = stage.layer.footprint(task);
            let in_place = i > 0 && own.reuse == Some(0);
            let output = if in_place {
                own.output_bytes.saturating_sub(before)
            } else {
                own.output_bytes
            };
            // while a stage runs it holds the block before, its scratch and its own block; the
            // last block is the output and not scratch
            let last = i + 1 == self.stages.len();
            let held = before + own.scratch_bytes + if last { 0 } else { output };
            fused.scratch_bytes = fused.scratch_bytes.max(held);
            fused.certainty = fused.certainty.max(own.certainty);
            if i == 0 {
                // an input that the first stage takes over is in its block, which is counted
                fused.reuse = own.reuse;
            }
            fused.spillable = own.spillable;
            before = own.output_bytes;
        }
        fused.output_bytes = before;
        if self.stages.len() == 1 {
            fused.certainty = fused.certainty.max(Certainty::Exact);
        }
        fused
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let first_count = self.stages[0].dep_count(task);
        let (first, mut rest) = inputs.split_at(first_count);
        let mut block = self.stages[0].layer.run(task, first, ctx)?;
        for stage in &self.stages[1..] {
            ctx.check_cancelled()?;
            let extra = stage.extra_count(task);
            let mut blocks = Vec::with_capacity(extra + 1);
            blocks.push(Some(block));
            let (mut now, later) = rest.split_at(extra);
            for i in 0..extra {
                blocks.push(Some(now.take(i)?));
            }
            rest = later;
            block = stage.layer.run(task, Inputs::new(&mut blocks), ctx)?;
        }
        Ok(block)
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        self.stages[self.stages.len() - 1].layer.coords(task)
    }

    fn one_to_one(&self) -> Option<usize> {
        self.stages[0].layer.one_to_one()
    }

    fn assumption(&self) -> Option<String> {
        self.stages
            .iter()
            .find_map(|stage| stage.layer.assumption())
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        self.stages.iter().fold(IoBytes::default(), |sum, stage| {
            let own = stage.layer.io_bytes(task);
            IoBytes {
                read: sum.read + own.read,
                written: sum.written + own.written,
            }
        })
    }

    fn as_fused(&self) -> Option<&Fused> {
        Some(self)
    }
}
