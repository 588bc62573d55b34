//! Whether a spill quota can be enough, said before the run.
//!
//! What the run will spill is not known beforehand: it follows from its timing. But blocks whose sizes
//! are exact, and which are needed at the same time, are in memory or in the spill directory, so what
//! does not fit in the one must fit in the other. A plan is refused only by this bound: one that might
//! just do is tried.

use flagstone_common::{Error, ErrorKind, format_bytes};
use flagstone_graph::{Certainty, Program};

/// What a plan spills at the least, where not everything may be spilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    budget_bytes: u64,
    quota_bytes: u64,
    /// The most that blocks needed at once hold beyond what the budget has for data.
    beyond_bytes: u64,
}

impl Quota {
    /// One pass over the program in order of rank, where a quota was asked for.
    pub(crate) fn new(
        program: &Program,
        budget_bytes: u64,
        data_bytes: u64,
        quota_bytes: Option<u64>,
    ) -> Option<Quota> {
        let quota_bytes = quota_bytes?;
        // with what it takes to run them, all blocks fit
        let fits = program.sequential_peak_bytes() <= data_bytes;
        (!fits).then(|| Quota {
            budget_bytes,
            quota_bytes,
            beyond_bytes: held_at_once(program).saturating_sub(data_bytes),
        })
    }

    /// How much budget is missing at the least, if the quota does not do.
    pub(crate) fn missing_bytes(&self) -> u64 {
        self.beyond_bytes.saturating_sub(self.quota_bytes)
    }

    /// Why the quota cannot do, if it cannot.
    pub(crate) fn refusal(&self) -> Option<Error> {
        (self.missing_bytes() > 0).then(|| {
            let message = format!(
                "blocks that are needed at once hold {} more than the budget of {}, and the spill \
                 quota of {} does not take that; allow more to be spilled (`spill_quota_bytes`), \
                 or raise the budget",
                format_bytes(self.beyond_bytes),
                format_bytes(self.budget_bytes),
                format_bytes(self.quota_bytes),
            );
            Error::new(ErrorKind::OutOfDisk, message)
        })
    }
}

/// The most bytes of blocks that tasks still need, or are making, when they run one by one. Blocks
/// that were asked for count nothing, as they may be handed over at once, and so do those whose size
/// is not exact.
fn held_at_once(program: &Program) -> u64 {
    let count = program.task_count();
    let mut bytes: Vec<u64> = Vec::with_capacity(count);
    let mut readers: Vec<u32> = Vec::with_capacity(count);
    let (mut held, mut most) = (0u64, 0u64);
    for task in program.tasks() {
        let own = program.footprint(task);
        let reader_count = program.dependents(task).len() as u32;
        let is_output = program.use_count(task) > reader_count;
        let known = own.certainty == Certainty::Exact && !is_output && reader_count > 0;
        let known = if known { own.output_bytes } else { 0 };
        let deps = program.dependencies(task);
        // an input that becomes the output is there once
        let donated = own.reuse.and_then(|i| deps.get(usize::from(i)));
        let donated = donated.filter(|dep| readers[dep.index()] == 1);
        let donated = donated.map_or(0, |dep| bytes[dep.index()].min(known));
        held = held.saturating_add(known);
        most = most.max(held.saturating_sub(donated));
        bytes.push(known);
        readers.push(reader_count);
        for dep in deps {
            readers[dep.index()] -= 1;
            if readers[dep.index()] == 0 {
                held = held.saturating_sub(bytes[dep.index()]);
            }
        }
    }
    most
}
