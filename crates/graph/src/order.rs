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

use crate::footprint::Footprint;
use crate::freeze::Kept;
use crate::graph::Graph;
use crate::id::LayerId;

/// The chosen order.
pub(crate) struct Order {
    /// Dense number by rank.
    pub(crate) by_rank: Vec<u32>,
    /// Rank by dense number (0 for culled tasks).
    pub(crate) ranks: Vec<u32>,
    /// Peak of resident bytes when tasks run one by one.
    pub(crate) peak_bytes: u64,
    /// The rank of the task whose inputs, output and scratch are largest, and their sum.
    pub(crate) largest: (u32, u64),
}

/// Dense numbers by rank, and ranks by dense number.
type Ranking = (Vec<u32>, Vec<u32>);

const UNRANKED: u32 = u32::MAX;

pub(crate) fn order(graph: &Graph, bases: &[u32], kept: &Kept, outputs: &[LayerId]) -> Order {
    let footprints = Footprints::new(graph, bases, kept);
    let mut best = {
        let peaks = (!footprints.uniform).then(|| subtree_peaks(kept, &footprints));
        let mut walk = Walk::new(kept, peaks.as_deref(), &footprints);
        walk.outputs(graph, bases, outputs);
        walk.finish()
    };
    let mut simulated = simulate(kept, &footprints, graph, bases, outputs, &best.0);
    if kept.shared && simulated.peak_bytes > simulated.largest.1 {
        let eager = release_eagerly(kept, &footprints, graph, bases, outputs, &best.0);
        let peak = simulate(kept, &footprints, graph, bases, outputs, &eager.0);
        if peak.peak_bytes < simulated.peak_bytes {
            (best, simulated) = (eager, peak);
        }
    }
    if let Some((suggested, insists)) = suggested(graph, bases, kept, outputs, &footprints) {
        let peak = simulate(kept, &footprints, graph, bases, outputs, &suggested.0);
        if insists || peak.peak_bytes < simulated.peak_bytes {
            (best, simulated) = (suggested, peak);
        }
    }
    let (by_rank, ranks) = best;
    Order {
        by_rank,
        ranks,
        peak_bytes: simulated.peak_bytes,
        largest: simulated.largest,
    }
}

/// The declared bytes of every kept task.
pub(crate) struct Footprints {
    output: Vec<u64>,
    scratch: Vec<u64>,
    /// Every output is the same size and there is no scratch: subtree peaks follow from depth
    /// alone and the natural order is taken.
    uniform: bool,
    common: Option<Footprint>,
}

impl Footprints {
    fn new(graph: &Graph, bases: &[u32], kept: &Kept) -> Self {
        let mut common: Option<Footprint> = None;
        let mut uniform = true;
        'scan: for (layer, node) in graph.nodes().iter().enumerate() {
            for index in 0..node.layer.task_count() {
                if !kept.contains(bases[layer] + index) {
                    continue;
                }
                let footprint = node.layer.footprint(index);
                if *common.get_or_insert(footprint) != footprint {
                    uniform = false;
                    break 'scan;
                }
            }
        }
        let mut footprints = Footprints {
            output: Vec::new(),
            scratch: Vec::new(),
            uniform,
            common,
        };
        if uniform {
            return footprints;
        }
        let total = kept.bits.len() * 64;
        footprints.output = vec![0; total];
        footprints.scratch = vec![0; total];
        for (layer, node) in graph.nodes().iter().enumerate() {
            for index in 0..node.layer.task_count() {
                let task = bases[layer] + index;
                if kept.contains(task) {
                    let footprint = node.layer.footprint(index);
                    footprints.output[task as usize] = footprint.output_bytes;
                    footprints.scratch[task as usize] = footprint.scratch_bytes;
                }
            }
        }
        footprints
    }

    #[inline]
    fn output(&self, task: u32) -> u64 {
        match self.common {
            Some(common) if self.uniform => common.output_bytes,
            _ => self.output.get(task as usize).copied().unwrap_or(0),
        }
    }

    #[inline]
    fn scratch(&self, task: u32) -> u64 {
        match self.common {
            Some(common) if self.uniform => common.scratch_bytes,
            _ => self.scratch.get(task as usize).copied().unwrap_or(0),
        }
    }
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

/// A depth-first walk that ranks tasks as it leaves them.
struct Walk<'a> {
    kept: &'a Kept,
    peaks: Option<&'a [u64]>,
    footprints: &'a Footprints,
    by_rank: Vec<u32>,
    ranks: Vec<u32>,
    stack: Vec<u32>,
    children: Vec<u32>,
}

/// Set on a stack entry when the task's dependencies were already pushed.
const LEAVING: u32 = 1 << 31;

impl<'a> Walk<'a> {
    fn new(kept: &'a Kept, peaks: Option<&'a [u64]>, footprints: &'a Footprints) -> Self {
        Walk {
            kept,
            peaks,
            footprints,
            by_rank: Vec::with_capacity(kept.task_count),
            ranks: vec![UNRANKED; kept.bits.len() * 64],
            stack: Vec::new(),
            children: Vec::new(),
        }
    }

    fn outputs(&mut self, graph: &Graph, bases: &[u32], outputs: &[LayerId]) {
        for output in outputs {
            let base = bases[output.index()];
            for task in base..base + graph.layer(*output).task_count() {
                self.from(task);
            }
        }
    }

    fn from(&mut self, root: u32) {
        if self.ranks[root as usize] != UNRANKED {
            return;
        }
        self.stack.push(root);
        while let Some(&top) = self.stack.last() {
            let task = top & !LEAVING;
            if top & LEAVING != 0 || self.ranks[task as usize] != UNRANKED {
                self.stack.pop();
                self.leave(task);
                continue;
            }
            let deps = self.kept.deps(task);
            let mut unranked = deps
                .iter()
                .filter(|&&dep| self.ranks[dep as usize] == UNRANKED);
            match (unranked.next(), unranked.next()) {
                (None, _) => {
                    self.stack.pop();
                    self.leave(task);
                }
                (Some(&dep), None) => {
                    *self.stack.last_mut().expect("the task is on the stack") |= LEAVING;
                    self.stack.push(dep);
                }
                _ => {
                    *self.stack.last_mut().expect("the task is on the stack") |= LEAVING;
                    self.push_children(task);
                }
            }
        }
    }

    #[inline]
    fn leave(&mut self, task: u32) {
        let rank = &mut self.ranks[task as usize];
        if *rank == UNRANKED {
            *rank = self.by_rank.len() as u32;
            self.by_rank.push(task);
        }
    }

    fn push_children(&mut self, task: u32) {
        self.children.clear();
        let ranks = &self.ranks;
        self.children.extend(
            self.kept
                .deps(task)
                .iter()
                .copied()
                .filter(|&dep| ranks[dep as usize] == UNRANKED),
        );
        if let Some(peaks) = self.peaks {
            let footprints = self.footprints;
            self.children.sort_by_key(|&dep| {
                std::cmp::Reverse(peaks[dep as usize].saturating_sub(footprints.output(dep)))
            });
        }
        // the stack gives back the last first
        self.stack.extend(self.children.iter().rev());
    }

    fn finish(self) -> Ranking {
        (self.by_rank, self.ranks)
    }
}

/// The order in which layers that know better want their tasks, each with what it needs before it.
fn suggested(
    graph: &Graph,
    bases: &[u32],
    kept: &Kept,
    outputs: &[LayerId],
    footprints: &Footprints,
) -> Option<(Ranking, bool)> {
    let mut walk = Walk::new(kept, None, footprints);
    let mut any = false;
    let mut insists = false;
    for (layer, node) in graph.nodes().iter().enumerate() {
        if let Some(order) = node.layer.suggested_order() {
            any = true;
            insists |= node.layer.insists_on_order();
            for index in order {
                if index < node.layer.task_count() && kept.contains(bases[layer] + index) {
                    walk.from(bases[layer] + index);
                }
            }
        }
    }
    walk.outputs(graph, bases, outputs);
    any.then(|| (walk.finish(), insists))
}

/// How often each block is used, by dense number.
fn use_counts(graph: &Graph, bases: &[u32], kept: &Kept, outputs: &[LayerId]) -> Vec<u32> {
    let mut uses = vec![0u32; kept.bits.len() * 64];
    for &dep in &kept.edges {
        uses[dep as usize] += 1;
    }
    for output in outputs {
        let base = bases[output.index()];
        for task in base..base + graph.layer(*output).task_count() {
            uses[task as usize] += 1;
        }
    }
    uses
}

struct Simulated {
    peak_bytes: u64,
    largest: (u32, u64),
}

/// Runs the order one task at a time and watches the heap.
fn simulate(
    kept: &Kept,
    footprints: &Footprints,
    graph: &Graph,
    bases: &[u32],
    outputs: &[LayerId],
    by_rank: &[u32],
) -> Simulated {
    let mut uses = use_counts(graph, bases, kept, outputs);
    let (mut live, mut peak, mut largest) = (0u64, 0u64, (0u32, 0u64));
    for (rank, &task) in by_rank.iter().enumerate() {
        let own = footprints
            .output(task)
            .saturating_add(footprints.scratch(task));
        peak = peak.max(live.saturating_add(own));
        live = live.saturating_add(footprints.output(task));
        let mut held = own;
        for &dep in kept.deps(task) {
            held = held.saturating_add(footprints.output(dep));
            uses[dep as usize] -= 1;
            if uses[dep as usize] == 0 {
                live = live.saturating_sub(footprints.output(dep));
            }
        }
        if held > largest.1 {
            largest = (rank as u32, held);
        }
        if uses[task as usize] == 0 {
            live = live.saturating_sub(footprints.output(task));
        }
    }
    Simulated {
        peak_bytes: peak,
        largest,
    }
}

/// Reorders: whenever a task is ready and gives back at least what it takes, it runs next.
fn release_eagerly(
    kept: &Kept,
    footprints: &Footprints,
    graph: &Graph,
    bases: &[u32],
    outputs: &[LayerId],
    by_rank: &[u32],
) -> Ranking {
    let total = kept.bits.len() * 64;
    let mut uses = use_counts(graph, bases, kept, outputs);
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
    let mut ranks = vec![UNRANKED; total];
    let mut order = Vec::with_capacity(by_rank.len());
    let mut next: Vec<u32> = Vec::new();
    for &natural in by_rank {
        next.push(natural);
        while let Some(task) = next.pop() {
            if ranks[task as usize] != UNRANKED {
                continue;
            }
            ranks[task as usize] = order.len() as u32;
            order.push(task);
            for &reader in readers(task) {
                pending[reader as usize] -= 1;
            }
            let gives_back = |candidate: u32, uses: &[u32]| {
                let freed: u64 = kept
                    .deps(candidate)
                    .iter()
                    .filter(|&&dep| uses[dep as usize] == 1)
                    .map(|&dep| footprints.output(dep))
                    .sum();
                freed > 0 && freed >= footprints.output(candidate)
            };
            // (a) readers of this block that are now ready
            for &reader in readers(task) {
                if pending[reader as usize] == 0 && gives_back(reader, &uses) {
                    next.push(reader);
                }
            }
            // (b) last readers of blocks that this task has just used
            for &dep in kept.deps(task) {
                uses[dep as usize] -= 1;
                if uses[dep as usize] == 1 {
                    let last = readers(dep)
                        .iter()
                        .find(|&&reader| ranks[reader as usize] == UNRANKED);
                    if let Some(&last) = last
                        && pending[last as usize] == 0
                        && gives_back(last, &uses)
                    {
                        next.push(last);
                    }
                }
            }
        }
    }
    (order, ranks)
}
