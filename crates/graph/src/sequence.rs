//! An order in the making. Each task that is added gets the next rank, runs on a simulated heap and
//! has its dependencies renumbered, while all three are still in the processor's cache.

use crate::freeze::Kept;
use crate::id::TaskId;
use crate::order::Tasks;

const UNRANKED: u32 = u32::MAX;

/// Tasks by rank, and what running them one by one takes.
pub(crate) struct Sequence {
    /// Dense number by rank.
    pub(crate) by_rank: Vec<u32>,
    /// Rank by dense number; those of culled tasks mean nothing.
    pub(crate) ranks: Vec<u32>,
    /// Uses of each block that are still to come, by dense number.
    pub(crate) uses: Vec<u32>,
    live_bytes: u64,
    /// Peak of resident bytes when tasks run one by one.
    pub(crate) peak_bytes: u64,
    /// Inputs, output and scratch of the task that holds most of them at once.
    pub(crate) largest_bytes: u64,
    /// Dependencies in rank numbers, in compressed rows by rank; kept up to date if `renumbers`.
    pub(crate) dep_offsets: Vec<u32>,
    pub(crate) deps: Vec<TaskId>,
    renumbers: bool,
}

impl Sequence {
    /// `renumbers`: whether dependencies are written along the way, or by `write_dependencies`
    /// once it is known that this order is taken.
    pub(crate) fn new(tasks: Tasks<'_>, renumbers: bool) -> Self {
        let kept = tasks.kept;
        let total = kept.bits.len() * 64;
        let mut uses = vec![0u32; total];
        for &dep in &kept.edges {
            uses[dep as usize] += 1;
        }
        for task in tasks.wanted() {
            uses[task as usize] += 1;
        }
        let (rows, edges) = match renumbers {
            true => (kept.task_count + 1, kept.edges.len()),
            false => (1, 0),
        };
        let mut dep_offsets = Vec::with_capacity(rows);
        dep_offsets.push(0);
        Sequence {
            by_rank: Vec::with_capacity(kept.task_count),
            ranks: vec![UNRANKED; total],
            uses,
            live_bytes: 0,
            peak_bytes: 0,
            largest_bytes: 0,
            dep_offsets,
            deps: Vec::with_capacity(edges),
            renumbers,
        }
    }

    #[inline]
    pub(crate) fn is_ranked(&self, task: u32) -> bool {
        self.ranks[task as usize] != UNRANKED
    }

    /// Gives a task, whose dependencies all have theirs, the next rank.
    #[inline]
    pub(crate) fn push(&mut self, tasks: Tasks<'_>, task: u32) {
        let footprints = tasks.footprints;
        let rank = self.by_rank.len() as u32;
        self.ranks[task as usize] = rank;
        self.by_rank.push(task);
        let output = footprints.output(task);
        let own = output.saturating_add(footprints.scratch(task));
        self.peak_bytes = self.peak_bytes.max(self.live_bytes.saturating_add(own));
        self.live_bytes = self.live_bytes.saturating_add(output);
        let mut held = own;
        let deps = tasks.kept.deps(task);
        if self.renumbers {
            let rank = |&dep: &u32| TaskId(self.ranks[dep as usize]);
            self.deps.extend(deps.iter().map(rank));
            self.dep_offsets.push(self.deps.len() as u32);
        }
        for &dep in deps {
            let bytes = footprints.output(dep);
            held = held.saturating_add(bytes);
            let uses = &mut self.uses[dep as usize];
            *uses -= 1;
            if *uses == 0 {
                self.live_bytes = self.live_bytes.saturating_sub(bytes);
            }
        }
        self.largest_bytes = self.largest_bytes.max(held);
        if self.uses[task as usize] == 0 {
            self.live_bytes = self.live_bytes.saturating_sub(output);
        }
    }

    /// Writes the dependencies in rank numbers, if that was not done along the way.
    pub(crate) fn write_dependencies(&mut self, kept: &Kept) {
        self.uses = Vec::new();
        if self.renumbers {
            return;
        }
        self.dep_offsets.reserve_exact(self.by_rank.len());
        self.deps.reserve_exact(kept.edges.len());
        for &task in &self.by_rank {
            let rank = |&dep: &u32| TaskId(self.ranks[dep as usize]);
            self.deps.extend(kept.deps(task).iter().map(rank));
            self.dep_offsets.push(self.deps.len() as u32);
        }
        self.renumbers = true;
    }
}
