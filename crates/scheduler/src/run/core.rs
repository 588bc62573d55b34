//! The state behind the session's one lock: all runs, who is idle, what waits.
//!
//! Everything here is short and does no I/O. Reading and writing happen outside, against bytes
//! already granted; the results are brought back in through `complete`, `spill_done`, `load_done`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use flagstone_common::{Error, ErrorKind};
use flagstone_graph::Block;

use super::eviction::IoJob;
use super::state::State;
use super::task_run::Run;
use super::worker::Batch;
/// The ledger as admission needs it.
pub(crate) use crate::memory::ledger::Ledger;
use crate::spill::{Extent, Pages};

/// Who waits for memory, since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) run: u64,
    pub(crate) rank: u32,
    pub(crate) bytes: u64,
    pub(crate) since: Instant,
}

/// What is dropped after the lock is released: dropping may unmap memory or punch holes.
#[derive(Default)]
pub(crate) struct Garbage {
    pub(crate) blocks: Vec<Block>,
    pub(crate) extents: Vec<Arc<Extent>>,
}

impl Drop for Garbage {
    fn drop(&mut self) {
        // values of the user's, dropped on a thread that may not unwind
        flagstone_common::drop_each_quietly(self.blocks.drain(..));
    }
}

impl Garbage {
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.extents.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        flagstone_common::drop_each_quietly(self.blocks.drain(..));
        self.extents.clear();
    }
}

pub(crate) struct Core {
    /// What of scratch files is in memory, which may go, too.
    pub(crate) pages: Arc<Pages>,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) next_run: u64,
    /// What plans that are being made have leased.
    pub(crate) planned_bytes: u64,
    /// Workers that wait, and those of them lent to a task's inner loop.
    pub(crate) idle: usize,
    pub(crate) lent: usize,
    /// Tasks running in all runs.
    pub(crate) running: usize,
    /// A task runs alone: nothing else starts.
    pub(crate) exclusive: bool,
    /// Deliveries that wait for memory: nothing starts before them.
    pub(crate) deliveries_waiting: usize,
    pub(crate) io: VecDeque<IoJob>,
    /// Bytes that will be free when the spills under way end.
    pub(crate) spilling_bytes: u64,
    pub(crate) io_running: usize,
    /// Why dirty blocks can no longer be evicted.
    pub(crate) spill_error: Option<Error>,
    pub(crate) wait: Option<Wait>,
    /// Waits that ended, to be recorded outside the lock.
    pub(crate) waited: Vec<Wait>,
    /// Something that a submitter waits for has happened since they were woken.
    pub(crate) news: bool,
    pub(crate) shutdown: bool,
    pub(crate) garbage: Garbage,
}

impl Core {
    pub(crate) fn new(pages: Arc<Pages>) -> Self {
        Core {
            pages,
            runs: BTreeMap::new(),
            next_run: 0,
            planned_bytes: 0,
            idle: 0,
            lent: 0,
            running: 0,
            exclusive: false,
            deliveries_waiting: 0,
            io: VecDeque::new(),
            spilling_bytes: 0,
            io_running: 0,
            spill_error: None,
            wait: None,
            waited: Vec::new(),
            news: false,
            shutdown: false,
            garbage: Garbage::default(),
        }
    }

    /// The tasks of a batch ended.
    pub(crate) fn complete(&mut self, ledger: &Ledger, worker: usize, batch: &mut Batch) {
        // a submitter is woken for many small blocks at once, for a large one at once
        const DELIVERIES: usize = 512;
        const BACKLOG: usize = 4096;
        let Some(shared) = &batch.run else {
            return;
        };
        let Some(run) = self.runs.get_mut(&shared.id) else {
            return;
        };
        self.running -= batch.claims.len();
        for (claim, mut outcome) in batch.claims.iter().zip(batch.outcomes.drain(..)) {
            if outcome.keeps_inputs {
                run.take_back(claim, &mut batch.inputs);
            }
            if claim.alone {
                self.exclusive = false;
            }
            // what it needed could not be freed because the disk did not take it
            let is_needy = |error: &Error| error.kind() == ErrorKind::NeedsMemory;
            if claim.alone
                && outcome.result.as_ref().err().is_some_and(is_needy)
                && let Some(error) = self.spill_error.take()
            {
                outcome.result = Err(error);
            }
            run.complete(shared, ledger, worker, claim, outcome, &mut self.garbage);
        }
        batch.claims.clear();
        batch.inputs.clear();
        run.update_finished();
        let due = if batch.is_slow() { 1 } else { DELIVERIES };
        self.news |= run.finished || run.delivery.len() >= due;
        batch.backlog = run.delivery.len() >= BACKLOG;
    }

    /// Whether any run has blocks to hand over or has ended.
    pub(crate) fn has_results(&self) -> bool {
        self.runs
            .values()
            .any(|run| run.finished || !run.delivery.is_empty())
    }

    /// Outputs were handed over, each as often as it was asked for: those uses ended.
    pub(crate) fn delivered(&mut self, ledger: &Ledger, id: u64, outputs: &[(u32, usize)]) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        for &(rank, times) in outputs {
            run.tasks.unpin(rank);
            for _ in 0..times {
                run.use_ended(rank, ledger, &mut self.garbage);
            }
            run.offer_victim(rank);
        }
    }

    /// An output was handed over by a computation that collects: its bytes stay charged until the
    /// computation returns.
    pub(crate) fn held(&mut self, ledger: &Ledger, id: u64, rank: u32) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.tasks.unpin(rank);
        if run.tasks.uses(rank) == 1 && run.tasks.state(rank) != State::Spilling {
            run.held_bytes += run.tasks.bytes(rank);
            run.tasks.set_bytes(rank, 0);
        }
        run.use_ended(rank, ledger, &mut self.garbage);
        run.offer_victim(rank);
    }

    /// The bytes of all outputs of a run that are finished.
    pub(crate) fn output_bytes(&self, id: u64) -> u64 {
        let Some(run) = self.runs.get(&id) else {
            return 0;
        };
        let outputs = run.shared.program.outputs().iter().flatten();
        run.held_bytes + outputs.map(|task| run.tasks.bytes(task.0)).sum::<u64>()
    }

    /// Removes a run and gives back all it holds.
    pub(crate) fn remove(&mut self, ledger: &Ledger, id: u64) -> Option<Run> {
        let mut run = self.runs.remove(&id)?;
        ledger.release(run.tasks.charged_bytes());
        let (blocks, extents) = run.tasks.drain();
        self.garbage.blocks.extend(blocks.into_iter().flatten());
        self.garbage.extents.extend(extents);
        ledger.release(run.held_bytes + run.program_bytes);
        if self.wait.is_some_and(|wait| wait.run == id) {
            self.wait = None;
        }
        Some(run)
    }
}
