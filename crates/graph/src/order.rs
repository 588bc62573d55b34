//! The static order: one total order of the tasks that everything else obeys.
//!
//! ```text
//!        sum                 visit `left` first when (its peak - what it leaves) is larger:
//!       /   \                while the other subtree runs, only `left`'s result is held
//!    left   right
//! ```
//!
//! Depth-first from the outputs in their natural order; at each task, dependencies by decreasing
//! (peak of their subtree - bytes they leave): Liu's rule (1987), exact on trees. Where blocks are
//! shared, a second pass releases eagerly: a task that is ready and gives back at least what it
//! takes runs next (`x + x.T` then holds two blocks instead of half the matrix). A layer may
//! suggest an order of its own. Each candidate's heap is simulated; the lowest peak is kept.

use flagstone_common::Result;

use crate::footprints::Footprints;
use crate::freeze::Kept;
use crate::graph::Graph;
use crate::id::LayerId;
use crate::planning::Planning;
use crate::sequence::Sequence;
use crate::walk::Walk;

/// What is to be ordered.
#[derive(Clone, Copy)]
pub(crate) struct Tasks<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) bases: &'a [u32],
    pub(crate) kept: &'a Kept,
    pub(crate) outputs: &'a [LayerId],
    pub(crate) footprints: &'a Footprints,
    /// Whoever looks on.
    pub(crate) planning: &'a Planning<'a>,
}

impl Tasks<'_> {
    /// The dense numbers of the outputs in their natural order.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = u32> + '_ {
        self.outputs.iter().flat_map(|&output| {
            let base = self.bases[output.index()];
            base..base + self.graph.layer(output).task_count()
        })
    }
}

/// The order with the lowest peak, unless a layer insists on its own.
pub(crate) fn order(
    graph: &Graph,
    bases: &[u32],
    kept: &Kept,
    outputs: &[LayerId],
    planning: &Planning<'_>,
) -> Result<Sequence> {
    let footprints = Footprints::new(graph, bases, kept, planning)?;
    let tasks = Tasks {
        graph,
        bases,
        kept,
        outputs,
        footprints: &footprints,
        planning,
    };
    let peaks = (!footprints.uniform).then(|| subtree_peaks(kept, &footprints));
    let mut best = Walk::new(tasks, peaks.as_deref(), true).finish()?;
    drop(peaks);
    if kept.shared && best.peak_bytes > best.largest_bytes {
        let eager = release_eagerly(tasks, &best.by_rank)?;
        if eager.peak_bytes < best.peak_bytes {
            best = eager;
        }
    }
    if let Some((suggested, insists)) = suggested(tasks)?
        && (insists || suggested.peak_bytes < best.peak_bytes)
    {
        best = suggested;
    }
    best.write_dependencies(kept);
    Ok(best)
}

/// The peak of each task's subtree under Liu's rule, taking the graph for a tree.
fn subtree_peaks(kept: &Kept, footprints: &Footprints) -> Vec<u64> {
    let mut peaks = vec![0u64; kept.bits.len() * 64];
    let mut children: Vec<(u64, u64)> = Vec::new();
    for task in kept.tasks() {
        children.clear();
        children.extend(
            kept.deps(task)
                .iter()
                .map(|&dep| (peaks[dep as usize], footprints.output(dep))),
        );
        if children.len() > 1 {
            children.sort_by_key(|&(peak, output)| std::cmp::Reverse(peak.saturating_sub(output)));
        }
        let mut held = 0u64;
        let mut peak = 0u64;
        for &(child_peak, child_output) in &children {
            peak = peak.max(held.saturating_add(child_peak));
            held = held.saturating_add(child_output);
        }
        let own = held
            .saturating_add(footprints.output(task))
            .saturating_add(footprints.scratch(task));
        peaks[task as usize] = peak.max(own);
    }
    peaks
}

/// The order in which layers that know better want their tasks, each with what it needs before it.
fn suggested(tasks: Tasks<'_>) -> Result<Option<(Sequence, bool)>> {
    let mut walk = Walk::new(tasks, None, false);
    let mut any = false;
    let mut insists = false;
    for (layer, node) in tasks.graph.nodes().iter().enumerate() {
        if let Some(order) = node.layer.suggested_order() {
            any = true;
            insists |= node.layer.insists_on_order();
            for index in order {
                let task = tasks.bases[layer] + index;
                if index < node.layer.task_count() && tasks.kept.contains(task) {
                    walk.from(task)?;
                }
            }
        }
    }
    match any {
        true => Ok(Some((walk.finish()?, insists))),
        false => Ok(None),
    }
}

/// Reorders: whenever a task is ready and gives back at least what it takes, it runs next.
fn release_eagerly(tasks: Tasks<'_>, by_rank: &[u32]) -> Result<Sequence> {
    let Tasks {
        kept, footprints, ..
    } = tasks;
    let total = kept.bits.len() * 64;
    // dependents in compressed rows, by dense number
    let mut offsets = vec![0u32; total + 1];
    for &dep in &kept.edges {
        offsets[dep as usize + 1] += 1;
    }
    for i in 1..=total {
        offsets[i] += offsets[i - 1];
    }
    let mut cursors = offsets.clone();
    let mut dependents = vec![0u32; kept.edges.len()];
    let mut pending = vec![0u32; total];
    for &task in by_rank {
        let deps = kept.deps(task);
        pending[task as usize] = deps.len() as u32;
        for &dep in deps {
            dependents[cursors[dep as usize] as usize] = task;
            cursors[dep as usize] += 1;
        }
    }
    let readers = |task: u32| {
        &dependents[offsets[task as usize] as usize..offsets[task as usize + 1] as usize]
    };
    let gives_back = |candidate: u32, uses: &[u32]| {
        let freed: u64 = kept
            .deps(candidate)
            .iter()
            .filter(|&&dep| uses[dep as usize] == 1)
            .map(|&dep| footprints.output(dep))
            .sum();
        freed > 0 && freed >= footprints.output(candidate)
    };
    let mut sequence = Sequence::new(tasks, false);
    let mut next: Vec<u32> = Vec::new();
    for &natural in by_rank {
        next.push(natural);
        while let Some(task) = next.pop() {
            if sequence.is_ranked(task) {
                continue;
            }
            tasks.planning.step()?;
            sequence.push(tasks, task);
            // (a) readers of this block that are now ready
            for &reader in readers(task) {
                pending[reader as usize] -= 1;
                if pending[reader as usize] == 0 && gives_back(reader, &sequence.uses) {
                    next.push(reader);
                }
            }
            // (b) last readers of blocks that this task has just used
            for &dep in kept.deps(task) {
                if sequence.uses[dep as usize] == 1 {
                    let last = readers(dep)
                        .iter()
                        .find(|&&reader| !sequence.is_ranked(reader));
                    if let Some(&last) = last
                        && pending[last as usize] == 0
                        && gives_back(last, &sequence.uses)
                    {
                        next.push(last);
                    }
                }
            }
        }
    }
    Ok(sequence)
}
