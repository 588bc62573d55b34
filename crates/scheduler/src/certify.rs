//! The certificate: what a program needs, said before it runs.
//!
//! # Why the numbers hold
//! The ledger never grants more than the budget, so the peak is at most the budget, whatever the
//! threads and the timing. A program completes when its largest task fits beside what cannot be
//! evicted: that sum over all ranks is `minimum`. Spill is predicted by running the static order
//! one task at a time against the budget with furthest-next-use eviction; more workers can move
//! the number, not the bound.

use flagstone_common::{Error, ErrorKind, format_bytes};
use flagstone_graph::{Certainty, Footprint, Program, TaskId};

use crate::quota::Quota;
use crate::run::state::Tasks;

mod heap;

use heap::Heap;

/// What a program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    budget_bytes: u64,
    fixed_bytes: u64,
    program_bytes: u64,
    minimum_data_bytes: u64,
    minimum_budget_bytes: u64,
    all_bytes: u64,
    worst: Option<(u32, u64)>,
    certainty: Certainty,
    assumptions: Vec<String>,
    spill_bytes: u64,
    reload_bytes: u64,
    read_bytes: u64,
    written_bytes: u64,
    sequential_peak_bytes: u64,
    needed: Rising,
    quota: Option<Quota>,
}

impl Certificate {
    /// The budget that it was made for, in bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// The ledger's peak is at most this: the budget, or the bytes of everything at once when that
    /// is less.
    pub fn peak_bytes(&self) -> u64 {
        self.budget_bytes
            .min(self.fixed_bytes + self.program_bytes)
            .max(
                self.budget_bytes
                    .min(self.fixed_bytes + self.program_bytes + self.all_bytes),
            )
    }

    /// Whether the peak and the minimum follow from exact sizes (`Exact`), from bounds under
    /// [`assumptions`](Self::assumptions) (`Bounded`), or from estimates that the run corrects.
    pub fn certainty(&self) -> Certainty {
        self.certainty
    }

    /// What the layers assume, each once.
    pub fn assumptions(&self) -> &[String] {
        &self.assumptions
    }

    /// The smallest budget in which the program completes.
    pub fn minimum_budget_bytes(&self) -> u64 {
        self.minimum_budget_bytes
    }

    /// The part of the smallest budget that tasks and blocks need.
    pub fn minimum_data_bytes(&self) -> u64 {
        self.minimum_data_bytes
    }

    /// The most bytes that a task of this rank or a lower one needs with all that cannot be evicted
    /// beside it, when tasks run in order.
    pub(crate) fn needed_until(&self, rank: u32) -> u64 {
        self.needed.until(rank).min(self.minimum_data_bytes)
    }

    /// What the frozen program and the state of its tasks take.
    pub fn program_bytes(&self) -> u64 {
        self.program_bytes
    }

    /// I/O buffers and diagnostics of the session.
    pub fn fixed_bytes(&self) -> u64 {
        self.fixed_bytes
    }

    /// The peak of tasks and blocks when tasks run one by one and nothing is spilled.
    pub fn sequential_peak_bytes(&self) -> u64 {
        self.sequential_peak_bytes
    }

    /// Bytes predicted to be written to the spill directory.
    pub fn spill_bytes(&self) -> u64 {
        self.spill_bytes
    }

    /// Bytes predicted to be read back from it.
    pub fn reload_bytes(&self) -> u64 {
        self.reload_bytes
    }

    /// Bytes predicted to be read from sources.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Bytes predicted to be written to sinks.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// The task that decides the smallest budget, and what it needs with its inputs and all that
    /// cannot be evicted beside it.
    pub fn worst_task(&self) -> Option<(TaskId, u64)> {
        self.worst.map(|(rank, bytes)| (TaskId(rank), bytes))
    }

    /// Notes what the spill quota of the session does to it.
    pub(crate) fn with_quota(mut self, quota: Option<Quota>) -> Self {
        self.quota = quota;
        self
    }

    /// What the budget has for tasks and blocks.
    pub(crate) fn data_bytes(&self) -> u64 {
        let fixed = self.fixed_bytes + self.program_bytes;
        self.budget_bytes.saturating_sub(fixed)
    }

    /// Why the program cannot run in this budget, or with the session's spill quota, if it cannot.
    /// An estimate refuses nothing: the run finds out.
    pub fn refusal(&self, program: &Program) -> Option<Error> {
        // what the session takes for itself grows with its budget, once by a step: a smaller budget
        // may be enough where this one is not
        let needed = self.program_bytes.saturating_add(self.minimum_data_bytes);
        if needed.saturating_add(self.fixed_bytes) <= self.budget_bytes {
            return self.quota.and_then(|quota| quota.refusal());
        }
        let (rank, bytes) = self.worst.unwrap_or((0, 0));
        let fixed = self.fixed_bytes + self.program_bytes;
        if program.task_count() == 0 {
            return None;
        }
        let task = TaskId(rank);
        let footprint = program.footprint(task);
        let error = Error::new(
            ErrorKind::Budget,
            format!(
                "needs {} (output {}, scratch {}, inputs and what cannot be spilled {}) and the \
                 session {} but the budget is {}",
                format_bytes(bytes),
                format_bytes(footprint.output_bytes),
                format_bytes(footprint.scratch_bytes),
                format_bytes(bytes.saturating_sub(footprint.own_bytes())),
                format_bytes(fixed),
                format_bytes(self.budget_bytes),
            ),
        );
        let error = error.with_smallest_budget(self.minimum_budget_bytes());
        Some(program.locate(error, task))
    }
}

/// One pass over the program in order of rank.
///
/// `fixed_of` is what a session of a given budget needs for itself: more for a larger one, so the
/// smallest budget is where both meet. What is returned after a cancellation means nothing.
pub(crate) fn certify(
    program: &Program,
    budget_bytes: u64,
    fixed_of: impl Fn(u64) -> u64,
    is_cancelled: &dyn Fn() -> bool,
) -> Certificate {
    let fixed_bytes = fixed_of(budget_bytes);
    let program_bytes = program_bytes(program);
    let data = budget_bytes.saturating_sub(fixed_bytes + program_bytes);
    let mut certificate = Certificate {
        budget_bytes,
        fixed_bytes,
        program_bytes,
        minimum_data_bytes: 0,
        minimum_budget_bytes: 0,
        all_bytes: 0,
        worst: None,
        certainty: Certainty::Exact,
        assumptions: Vec::new(),
        spill_bytes: 0,
        reload_bytes: 0,
        read_bytes: 0,
        written_bytes: 0,
        sequential_peak_bytes: program.sequential_peak_bytes(),
        needed: Rising::default(),
        quota: None,
    };
    for layer in 0..program.layer_count() {
        let assumption = program.layer(layer).assumption();
        certificate
            .assumptions
            .extend(assumption.filter(|text| !certificate.assumptions.contains(text)));
    }
    // declared sizes by rank, so that a layer is asked once per task
    let mut sizes: Vec<Size> = Vec::with_capacity(program.task_count());
    let mut unspillable = 0u64;
    // inputs of a task that has many, and those that are not used after it
    let mut seen = hashbrown::HashSet::new();
    let mut ended: Vec<TaskId> = Vec::new();
    // nothing can overflow when everything fits at once
    let mut heap = (program.sequential_peak_bytes() > data).then(|| Heap::new(program, data));
    for task in program.tasks() {
        if task.0.is_multiple_of(64) && is_cancelled() {
            break;
        }
        let (layer, index) = program.place(task);
        let footprint = program.layer(layer).footprint(index);
        sizes.push(Size::new(&footprint));
        let io = program.layer(layer).io_bytes(index);
        certificate.certainty = certificate.certainty.max(footprint.certainty);
        certificate.all_bytes = certificate.all_bytes.saturating_add(footprint.own_bytes());
        certificate.read_bytes += io.read;
        certificate.written_bytes += io.written;
        let deps = program.dependencies(task);
        let mut held = footprint.own_bytes().saturating_add(unspillable);
        seen.clear();
        for (i, dep) in deps.iter().enumerate() {
            let again = match deps.len() < 64 {
                true => deps[..i].contains(dep),
                false => !seen.insert(*dep),
            };
            if again {
                continue;
            }
            let input = sizes[dep.index()];
            // what cannot be spilled is counted already
            if input.is_spillable() {
                held = held.saturating_add(input.bytes());
            } else if ends_with(program, *dep, task) {
                unspillable = unspillable.saturating_sub(input.bytes());
            }
            if footprint.reuse == Some(i as u16)
                && ends_with(program, *dep, task)
                && deps.iter().filter(|&other| other == dep).count() == 1
            {
                held = held.saturating_sub(input.bytes().min(footprint.own_bytes()));
            }
            if heap.is_some() && ends_with(program, *dep, task) {
                ended.push(*dep);
            }
        }
        certificate.needed.push(task.0, held);
        if certificate.worst.is_none_or(|(_, worst)| held > worst) {
            certificate.worst = Some((task.0, held));
        }
        if let Some(heap) = &mut heap {
            heap.run(task, footprint.own_bytes(), footprint.output_bytes);
            ended.drain(..).for_each(|input| heap.release(input));
        }
        if !footprint.spillable && program.use_count(task) > 0 {
            unspillable = unspillable.saturating_add(footprint.output_bytes);
        }
    }
    certificate.minimum_data_bytes = certificate.worst.map_or(0, |(_, bytes)| bytes);
    let needed = program_bytes + certificate.minimum_data_bytes;
    certificate.minimum_budget_bytes = smallest_budget(needed, fixed_of);
    if let Some(heap) = heap {
        (certificate.spill_bytes, certificate.reload_bytes) = (heap.spilled, heap.reloaded);
    }
    certificate
}

/// Whether a task is the last to use a block that it reads.
fn ends_with(program: &Program, block: TaskId, task: TaskId) -> bool {
    program.dependents(block).last() == Some(&task) && !program.is_output(block)
}

/// The smallest budget that leaves what is needed beside what the session takes of it, in whole mebibytes
/// too: so it is told.
fn smallest_budget(needed: u64, fixed_of: impl Fn(u64) -> u64) -> u64 {
    const STEP: u64 = 1 << 20;
    let lacks = |budget: u64| fixed_of(budget).saturating_add(needed) > budget;
    let mut budget = needed.saturating_add(fixed_of(needed));
    loop {
        while lacks(budget) {
            budget = fixed_of(budget).saturating_add(needed);
        }
        match budget.checked_next_multiple_of(STEP) {
            Some(told) if lacks(told) => budget = told + 1,
            _ => return budget,
        }
    }
}

/// The largest of many numbers up to each rank, rounded up: a step for each that is a part in 64
/// larger than the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rising(Vec<(u32, u64)>);

impl Rising {
    fn push(&mut self, rank: u32, bytes: u64) {
        let last = self.0.last().map_or(0, |&(_, bytes)| bytes);
        if bytes > last {
            self.0.push((rank, bytes.saturating_add(bytes / 64)));
        }
    }

    fn until(&self, rank: u32) -> u64 {
        let steps = self.0.partition_point(|&(from, _)| from <= rank);
        steps.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// The declared bytes of a block, and whether it can be spilled.
#[derive(Clone, Copy)]
struct Size(u64);

impl Size {
    const UNSPILLABLE: u64 = 1 << 63;

    fn new(footprint: &Footprint) -> Self {
        let bytes = footprint.output_bytes.min(Self::UNSPILLABLE - 1);
        match footprint.spillable {
            true => Size(bytes),
            false => Size(bytes | Self::UNSPILLABLE),
        }
    }

    fn bytes(self) -> u64 {
        self.0 & !Self::UNSPILLABLE
    }

    fn is_spillable(self) -> bool {
        self.0 & Self::UNSPILLABLE == 0
    }
}

/// What a program costs while it runs: its order and two arrays of edges, the state of its tasks,
/// and where its outputs were asked for.
fn program_bytes(program: &Program) -> u64 {
    let outputs: usize = program.outputs().iter().map(Vec::len).sum();
    12 + program.task_count() as u64 * (12 + Tasks::BYTES_PER_TASK)
        + program.edge_count() as u64 * 8
        + outputs as u64 * 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::Fixed;

    #[test]
    fn the_smallest_budget_is_enough_and_so_are_the_mebibytes_it_is_told_in() {
        const MIB: u64 = 1 << 20;
        for threads in [1, 2, 3, 8, 64] {
            let fixed_of = |budget| Fixed::for_session(budget, threads, u64::MAX, false).total();
            // a session takes more for itself from 32 MiB on, at once
            let about = 32 * MIB - fixed_of(32 * MIB);
            let near = (0..400).map(|i| about - 200_000 + i * 1000);
            for needed in near.chain((0..100).map(|i| i * 777_777)) {
                let smallest = smallest_budget(needed, fixed_of);
                for budget in [smallest, smallest.next_multiple_of(MIB)] {
                    let left = budget - fixed_of(budget);
                    assert!(needed <= left, "{threads}: {needed} of {left} at {budget}");
                }
            }
        }
    }
}
