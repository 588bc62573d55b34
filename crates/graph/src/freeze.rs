//! Freezing: from a graph of layers to a numbered program, in passes that each cost tens of
//! nanoseconds per task.
//!
//! ```text
//! layers --fuse--> fewer layers --cull--> kept tasks --order--> ranks --> two CSR arrays
//! ```
//!
//! Layers are in topological order and a layer reads only lower tasks of its own, so dense numbers
//! (layer by layer) are topological too: culling is one sweep downwards, the bytes of subtrees one
//! sweep upwards, and nothing recurses however long a chain is.

use std::collections::HashMap;

use flagstone_common::{Error, ErrorKind, Result};

use crate::fuse::fuse;
use crate::graph::Graph;
use crate::id::{LayerId, TaskId};
use crate::layer::{Deps, Slot};
use crate::order::order;
use crate::planning::{Planning, Watch};
use crate::program::{FreezeOptions, Program};
use crate::sequence::Sequence;

/// The kept tasks and their dependencies, in dense numbers.
pub(crate) struct Kept {
    pub(crate) bits: Vec<u64>,
    pub(crate) task_count: usize,
    /// Where the dependencies of a kept task start in `edges`; they end where those of the next
    /// lower kept task start (the sweep goes downwards).
    starts: Vec<u32>,
    ends: Option<Vec<u32>>,
    pub(crate) edges: Vec<u32>,
    /// Whether a block has more than one use.
    pub(crate) shared: bool,
}

impl Kept {
    pub(crate) fn contains(&self, task: u32) -> bool {
        self.bits[task as usize / 64] >> (task % 64) & 1 == 1
    }

    #[inline]
    pub(crate) fn deps(&self, task: u32) -> &[u32] {
        let start = self.starts[task as usize] as usize;
        let end = match &self.ends {
            Some(ends) => ends[task as usize] as usize,
            // every task is kept: the next lower one is the neighbour
            None if task == 0 => self.edges.len(),
            None => self.starts[task as usize - 1] as usize,
        };
        &self.edges[start..end]
    }

    /// Kept tasks by ascending dense number.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits.iter().enumerate().flat_map(|(word, &bits)| {
            let mut bits = bits;
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let bit = bits.trailing_zeros();
                bits &= bits - 1;
                Some(word as u32 * 64 + bit)
            })
        })
    }
}

impl Graph {
    /// Culls, fuses, orders and numbers what `outputs` need.
    ///
    /// # Errors
    /// `MissingDependency` or `Cycle` with the key, when a layer names a task that does not exist
    /// or one of its own that is not lower.
    pub fn freeze(&self, outputs: &[LayerId], options: &FreezeOptions) -> Result<Program> {
        self.freeze_watched(outputs, options, &|_| Ok(()))
    }

    /// [Freezes](Self::freeze) while somebody looks on, who may refuse what the plan takes or end
    /// it.
    ///
    /// # Errors
    /// Those of [`freeze`](Self::freeze) and of `watch`.
    pub fn freeze_watched(
        &self,
        outputs: &[LayerId],
        options: &FreezeOptions,
        watch: Watch<'_>,
    ) -> Result<Program> {
        let planning = Planning::new(watch);
        // before layers are asked for anything but how many tasks they have
        planning.begin(self.tasks_below(outputs))?;
        let (graph, outputs) = fuse(self, outputs, options, &planning)?;
        let mut bases = Vec::with_capacity(graph.layer_count());
        let mut total = 0u32;
        for node in graph.nodes() {
            bases.push(total);
            total = total.checked_add(node.layer.task_count()).ok_or_else(|| {
                Error::invalid("the graph has more than 2^32 tasks; use larger chunks")
            })?;
        }
        planning.begin(u64::from(total))?;
        let kept = cull(&graph, &bases, total, &outputs, &planning)?;
        let order = order(&graph, &bases, &kept, &outputs, &planning)?;
        let nodes = graph.nodes().to_vec();
        Ok(number(nodes, bases, kept, order, &outputs))
    }

    /// How many tasks the layers have that outputs are made of.
    fn tasks_below(&self, outputs: &[LayerId]) -> u64 {
        let mut used = vec![false; self.layer_count()];
        for output in outputs {
            used[output.index()] = true;
        }
        let mut tasks = 0u64;
        for layer in (0..self.layer_count()).rev() {
            if !used[layer] {
                continue;
            }
            let node = &self.nodes()[layer];
            tasks += u64::from(node.layer.task_count());
            // inputs come before their readers
            for input in &node.inputs {
                used[input.index()] = true;
            }
        }
        tasks
    }
}

/// One sweep downwards: a task is kept when it was asked for or a kept task reads it.
fn cull(
    graph: &Graph,
    bases: &[u32],
    total: u32,
    outputs: &[LayerId],
    planning: &Planning<'_>,
) -> Result<Kept> {
    let words = (total as usize).div_ceil(64);
    let mut bits = vec![0u64; words];
    let count = |layer: usize| graph.nodes()[layer].layer.task_count();
    for output in outputs {
        let base = bases[output.index()];
        for task in base..base + count(output.index()) {
            bits[task as usize / 64] |= 1 << (task % 64);
        }
    }
    let mut kept = Kept {
        bits,
        task_count: 0,
        starts: vec![0; total as usize],
        ends: None,
        edges: Vec::new(),
        shared: false,
    };
    let mut missing = None;
    for layer in (0..graph.layer_count()).rev() {
        let id = LayerId(layer as u32);
        let node = &graph.nodes()[layer];
        let slots: Vec<Slot> = graph.slots(id, bases);
        for index in (0..count(layer)).rev() {
            let task = bases[layer] + index;
            if !kept.contains(task) {
                continue;
            }
            kept.task_count += 1;
            let start = kept.edges.len();
            kept.starts[task as usize] = u32::try_from(start)
                .map_err(|_| Error::invalid("the graph has more than 2^32 dependencies"))?;
            node.layer
                .deps(index, &mut Deps::new(&slots, &mut kept.edges, &mut missing));
            if let Some(missing) = missing {
                return Err(graph.missing(id, index, missing));
            }
            planning.keep(kept.edges.len() - start)?;
            for &dep in &kept.edges[start..] {
                if dep >= task {
                    return Err(not_lower(graph, id, index));
                }
                let word = &mut kept.bits[dep as usize / 64];
                let mask = 1 << (dep % 64);
                kept.shared |= *word & mask != 0;
                *word |= mask;
            }
        }
    }
    if kept.task_count != total as usize {
        let mut ends = vec![0u32; total as usize];
        let mut end = kept.edges.len() as u32;
        for task in kept.tasks().collect::<Vec<_>>() {
            ends[task as usize] = end;
            end = kept.starts[task as usize];
        }
        kept.ends = Some(ends);
    }
    Ok(kept)
}

fn not_lower(graph: &Graph, id: LayerId, index: u32) -> Error {
    let key = crate::key::Key::new(&graph.nodes()[id.index()], index);
    Error::new(
        ErrorKind::Cycle,
        "reads a task of its own layer that is not lower: number a layer's tasks so that each \
         reads only lower ones",
    )
    .with_key(key.to_string(), Vec::new())
}

/// Renumbers by rank and writes the two CSR arrays.
fn number(
    nodes: Vec<crate::graph::Node>,
    bases: Vec<u32>,
    kept: Kept,
    order: Sequence,
    outputs: &[LayerId],
) -> Program {
    let Sequence {
        by_rank,
        ranks,
        peak_bytes,
        dep_offsets,
        deps,
        ..
    } = order;
    drop(kept);
    let count = by_rank.len();
    let mut dependent_offsets = vec![0u32; count + 1];
    for dep in &deps {
        dependent_offsets[dep.index() + 1] += 1;
    }
    let mut output_bits = vec![0u64; count.div_ceil(64)];
    let mut output_repeats = HashMap::new();
    let mut output_tasks: Vec<Vec<TaskId>> = Vec::with_capacity(outputs.len());
    for output in outputs {
        let base = bases[output.index()];
        let tasks = base..base + nodes[output.index()].layer.task_count();
        let ids: Vec<TaskId> = tasks.map(|task| TaskId(ranks[task as usize])).collect();
        for &id in &ids {
            let (word, bit) = (id.index() / 64, 1u64 << (id.0 % 64));
            if output_bits[word] & bit != 0 {
                *output_repeats.entry(id).or_insert(0) += 1;
            }
            output_bits[word] |= bit;
        }
        output_tasks.push(ids);
    }
    drop(ranks);
    for i in 1..=count {
        dependent_offsets[i] += dependent_offsets[i - 1];
    }
    let mut dependents = vec![TaskId(0); deps.len()];
    // fill by ascending reader, with the offsets as cursors; then shift the offsets back by one
    for rank in 0..count {
        for edge in dep_offsets[rank]..dep_offsets[rank + 1] {
            let cursor = &mut dependent_offsets[deps[edge as usize].index()];
            dependents[*cursor as usize] = TaskId(rank as u32);
            *cursor += 1;
        }
    }
    for i in (1..=count).rev() {
        dependent_offsets[i] = dependent_offsets[i - 1];
    }
    dependent_offsets[0] = 0;
    Program {
        nodes,
        bases,
        dense: by_rank,
        dep_offsets,
        deps,
        dependent_offsets,
        dependents,
        outputs: output_tasks,
        output_bits,
        output_repeats,
        sequential_peak_bytes: peak_bytes,
    }
}
