//! One computation under way: the state of its tasks, what is ready, what was learned.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use flagstone_common::{Counter, Error, ErrorKind, Qualities, Result};
use flagstone_graph::{Block, Certainty, Footprint, Program, TaskId};
use hashbrown::HashMap;

use super::admission::Claim;
use super::core::Garbage;
use super::queue::Queue;
use super::state::{State, Tasks};
use super::victims::Victims;
use crate::certify::Certificate;
use crate::memory::ledger::Ledger;
use crate::spill::Scratched;
use crate::trace::LayerStats;

/// What of a run is read without the lock.
pub(crate) struct RunShared {
    pub(crate) id: u64,
    pub(crate) program: Arc<Program>,
    /// Tasks at or above this rank are not started, and stop when they ask: the lowest rank that
    /// failed, 0 after a cancellation.
    pub(crate) limit: AtomicU32,
    pub(crate) cancelled: AtomicBool,
    /// Per layer.
    counters: Vec<[AtomicU64; Counter::ALL.len()]>,
    /// What of the budget no task of the program needs.
    pub(crate) headroom_bytes: u64,
    /// Held by the scratch files of its tasks, which may outlive it.
    pub(crate) scratched: Arc<Scratched>,
}

impl RunShared {
    pub(crate) fn new(id: u64, program: Arc<Program>, headroom_bytes: u64) -> Self {
        RunShared {
            id,
            headroom_bytes,
            counters: (0..program.layer_count())
                .map(|_| Default::default())
                .collect(),
            program,
            limit: AtomicU32::new(u32::MAX),
            cancelled: AtomicBool::new(false),
            scratched: Arc::default(),
        }
    }

    /// Adds to what the tasks of a layer counted.
    pub(crate) fn count(&self, rank: u32, counter: Counter, amount: u64) {
        let (layer, _) = self.program.place(TaskId(rank));
        self.counters[layer][counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// What the tasks of a layer counted.
    pub(crate) fn counted(&self, layer: usize) -> [u64; Counter::ALL.len()] {
        Counter::ALL.map(|counter| self.counters[layer][counter as usize].load(Ordering::Relaxed))
    }

    /// What all tasks counted.
    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        let layers = self.counters.iter();
        let counts = layers.map(|counters| counters[counter as usize].load(Ordering::Relaxed));
        counts.sum()
    }
}

/// One computation under way.
pub(crate) struct Run {
    pub(crate) shared: Arc<RunShared>,
    pub(crate) tasks: Tasks,
    pub(crate) queue: Queue,
    /// The lowest unfinished rank.
    pub(crate) head: u32,
    pub(crate) running: usize,
    /// Blocks that I/O threads write or read.
    pub(crate) io: usize,
    pub(crate) done: u64,
    pub(crate) error: Option<(u32, Error)>,
    /// Tasks that must run alone, with the bytes they could not get.
    pub(super) alone: HashMap<u32, u64>,
    /// Evictable blocks, once memory was short.
    pub(super) victims: Option<Victims>,
    /// Per layer: the largest grant that a task with an estimated footprint ended with.
    learned: Vec<u64>,
    pub(crate) layers: Vec<LayerStats>,
    /// The data-quality ledger: what tasks whose blocks were accepted reported of their sources.
    pub(crate) sources: Qualities,
    /// Finished outputs not yet handed over.
    pub(crate) delivery: VecDeque<u32>,
    pub(crate) deliver: bool,
    /// Bytes that outputs handed over still hold until the computation returns.
    pub(crate) held_bytes: u64,
    /// What the ledger charges for the program and the state of its tasks.
    pub(crate) program_bytes: u64,
    /// The data bytes without which this run cannot go on: reserved among runs.
    pub(crate) minimum_bytes: u64,
    /// What that is made of.
    certificate: Certificate,
    /// Outputs that cannot be evicted and were made, or are, before all lower ranks had finished:
    /// their ranks, and bytes.
    early: Vec<(u32, u64)>,
    pub(crate) certified_peak_bytes: u64,
    /// Whether the certificate says that blocks will have to be spilled.
    pub(crate) expects_spill: bool,
    pub(crate) reruns: u64,
    pub(crate) bytes_spilled: u64,
    pub(crate) bytes_reloaded: u64,
    pub(crate) wait_ns: u64,
    pub(crate) started: Instant,
    pub(crate) finished: bool,
}

/// What became of a task that was claimed.
pub(crate) struct Outcome {
    /// What it was granted in the end.
    pub(crate) granted: u64,
    pub(crate) nanoseconds: u64,
    pub(crate) result: Result<Block>,
    /// The bytes of its block, if it made one.
    pub(crate) bytes: u64,
    /// Its inputs are still there, as it may have to run again.
    pub(crate) keeps_inputs: bool,
    /// What it reported of its sources.
    pub(crate) reported: Option<Box<Qualities>>,
}

impl Run {
    pub(crate) fn new(
        shared: Arc<RunShared>,
        workers: usize,
        deliver: bool,
        certificate: &Certificate,
    ) -> Self {
        let program = &shared.program;
        let layer = |layer: usize| LayerStats {
            name: program.layer_name(layer).to_owned(),
            ..LayerStats::default()
        };
        Run {
            tasks: Tasks::new(program),
            queue: Queue::new(program, workers),
            head: 0,
            running: 0,
            io: 0,
            done: 0,
            error: None,
            alone: HashMap::new(),
            victims: None,
            learned: vec![0; program.layer_count()],
            layers: (0..program.layer_count()).map(layer).collect(),
            sources: Qualities::new(),
            delivery: VecDeque::new(),
            deliver,
            held_bytes: 0,
            program_bytes: certificate.program_bytes(),
            minimum_bytes: certificate.minimum_data_bytes(),
            certificate: certificate.clone(),
            early: Vec::new(),
            certified_peak_bytes: certificate.peak_bytes(),
            expects_spill: certificate.spill_bytes() > 0,
            reruns: 0,
            bytes_spilled: 0,
            bytes_reloaded: 0,
            wait_ns: 0,
            started: Instant::now(),
            finished: program.task_count() == 0,
            shared,
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.shared.limit.load(Ordering::Relaxed)
    }

    /// Records a failure; the lowest rank is reported.
    pub(crate) fn fail(&mut self, rank: u32, error: Error) {
        if self.error.as_ref().is_none_or(|(lowest, _)| rank < *lowest) {
            self.error = Some((rank, error));
        }
        self.shared.limit.fetch_min(rank, Ordering::Relaxed);
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn advance_head(&mut self) {
        let count = self.shared.program.task_count() as u32;
        while self.head < count && self.tasks.state(self.head) >= State::Resident {
            self.head += 1;
        }
    }

    /// What other runs leave to this one.
    pub(crate) fn reserved_bytes(&self) -> u64 {
        if self.finished {
            return 0;
        }
        let early: u64 = self.early.iter().map(|&(_, bytes)| bytes).sum();
        self.minimum_bytes + self.program_bytes + early
    }

    /// Bytes of early outputs, as far as the lower ranks have still to be done.
    pub(super) fn early_bytes(&mut self) -> u64 {
        self.advance_head();
        let head = self.head;
        self.early.retain(|&(rank, _)| rank > head);
        self.early.iter().map(|&(_, bytes)| bytes).sum()
    }

    /// Whether a task may start now although its output will stay in memory: lower ranks that have
    /// not finished, which the certificate counted without it, must still fit beside it.
    pub(super) fn may_be_early(&mut self, rank: u32, footprint: &Footprint, data: u64) -> bool {
        if footprint.spillable || footprint.output_bytes == 0 {
            return true;
        }
        let early = self.early_bytes();
        if self.head >= rank {
            return true;
        }
        let needed = self.certificate.needed_until(rank).saturating_add(early);
        needed.saturating_add(footprint.output_bytes) <= data
    }

    /// The task starts.
    pub(super) fn note_early(&mut self, rank: u32, footprint: &Footprint) {
        if !footprint.spillable && footprint.output_bytes > 0 && rank > self.head {
            self.early.push((rank, footprint.output_bytes));
        }
    }

    /// A run ends when every task below its limit has finished and nothing is under way.
    pub(crate) fn update_finished(&mut self) {
        self.advance_head();
        let count = self.shared.program.task_count() as u32;
        if self.running == 0 && self.head >= self.limit().min(count) {
            self.finished = true;
        }
    }

    /// The declared needs of a task beside its inputs, corrected by what was learned.
    #[inline]
    pub(super) fn own_bytes(&self, layer: usize, index: u32, capacity: u64) -> (Footprint, u64) {
        let footprint = self.shared.program.layer(layer).footprint(index);
        let mut own = footprint.own_bytes();
        if footprint.certainty == Certainty::Estimated {
            own = own.max(self.learned[layer].min(capacity));
        }
        (footprint, own)
    }

    /// Forgets what tasks of a layer took beyond what they declared.
    pub(super) fn unlearn(&mut self, layer: usize) {
        self.learned[layer] = 0;
    }

    /// One use of a block ended.
    #[inline]
    pub(super) fn use_ended(&mut self, rank: u32, ledger: &Ledger, garbage: &mut Garbage) {
        if !self.tasks.use_ended(rank) {
            return;
        }
        match self.tasks.state(rank) {
            // the writer still reads the block: `spill_done` releases it
            State::Spilling => {}
            state => {
                self.tasks.set(rank, state, State::Released);
                self.drop_block(rank, state, ledger, garbage);
            }
        }
    }

    #[inline]
    pub(super) fn drop_block(
        &mut self,
        rank: u32,
        was: State,
        ledger: &Ledger,
        garbage: &mut Garbage,
    ) {
        if was != State::Spilled {
            ledger.release(self.tasks.bytes(rank));
        }
        self.tasks.set_bytes(rank, 0);
        garbage.blocks.extend(self.tasks.take_block(rank));
        garbage.extents.extend(self.tasks.take_extent(rank));
    }

    /// Unpins an input; it may become a victim again.
    pub(super) fn unpin(&mut self, rank: u32) {
        self.tasks.unpin(rank);
        self.offer_victim(rank);
    }

    /// A task that may have to run again gives back what it was lent.
    pub(super) fn take_back(&mut self, claim: &Claim, inputs: &mut [Option<Block>]) {
        let deps = self.shared.program.dependencies(TaskId(claim.rank));
        for (dep, input) in deps.iter().zip(&mut inputs[claim.inputs.clone()]) {
            if let Some(block) = input.take() {
                self.tasks.take_back(dep.0, block);
            }
        }
    }

    /// A task ended: its block is published, its inputs are unpinned and used up.
    pub(super) fn complete(
        &mut self,
        shared: &RunShared,
        ledger: &Ledger,
        worker: usize,
        claim: &Claim,
        outcome: Outcome,
        garbage: &mut Garbage,
    ) {
        self.running -= 1;
        // a block larger than what was granted is charged now, or not accepted
        let granted = outcome.granted;
        let bytes = outcome.bytes;
        let result = outcome.result.and_then(|block| {
            if bytes > granted && ledger.grant(bytes - granted).is_err() {
                let available_bytes = ledger.free();
                garbage.blocks.push(block);
                return Err(Error::needs_memory(flagstone_common::NeedsMemory {
                    wanted_bytes: bytes - granted,
                    available_bytes,
                }));
            }
            Ok(block)
        });
        match result {
            Ok(block) => {
                ledger.release(granted.saturating_sub(bytes));
                let stats = &mut self.layers[claim.layer as usize];
                stats.tasks += 1;
                stats.task_s += outcome.nanoseconds as f64 * 1e-9;
                stats.output_bytes += bytes;
                stats.declared_bytes_max = stats.declared_bytes_max.max(claim.declared);
                stats.granted_bytes_max = stats.granted_bytes_max.max(granted.max(bytes));
                let learned = &mut self.learned[claim.layer as usize];
                *learned = (*learned - *learned / 8).max(granted.max(bytes));
                for (source, quality) in outcome.reported.into_iter().flat_map(|reported| *reported)
                {
                    self.sources.entry(source).or_default().add(&quality);
                }
                self.publish(shared, ledger, worker, claim.rank, block, bytes, garbage);
            }
            Err(error) => self.give_back(&shared.program, ledger, worker, claim, granted, error),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, in the scheduler's inner loop"
    )]
    fn publish(
        &mut self,
        shared: &RunShared,
        ledger: &Ledger,
        worker: usize,
        rank: u32,
        block: Block,
        bytes: u64,
        garbage: &mut Garbage,
    ) {
        let program = &*shared.program;
        let task = TaskId(rank);
        self.done += 1;
        self.tasks.set_bytes(rank, bytes);
        self.tasks.put_block(rank, block);
        self.tasks.finish(program, rank);
        for &dep in program.dependencies(task) {
            self.tasks.unpin(dep.0);
            self.use_ended(dep.0, ledger, garbage);
            if self.victims.is_some() {
                self.offer_victim(dep.0);
            }
        }
        for reader in program.dependents(task) {
            if self.tasks.dependency_finished(reader.0) {
                self.tasks.set(reader.0, State::Waiting, State::Ready);
                self.queue.push(worker, reader.0);
            }
        }
        if self.deliver && program.is_output(task) {
            self.delivery.push_back(rank);
        }
        if self.victims.is_some() {
            self.offer_victim(rank);
        }
    }

    /// A task failed: everything it held is given back. If memory was all it lacked, it is run
    /// again alone.
    fn give_back(
        &mut self,
        program: &Program,
        ledger: &Ledger,
        worker: usize,
        claim: &Claim,
        granted: u64,
        error: Error,
    ) {
        let rank = claim.rank;
        let task = TaskId(rank);
        ledger.release(granted);
        let deps = program.dependencies(task);
        let donated = claim.donated.map(|i| deps[i].0);
        for &dep in deps {
            if Some(dep.0) == donated {
                self.tasks.unpin(dep.0);
            } else {
                self.unpin(dep.0);
            }
        }
        let needs = error.kind() == ErrorKind::NeedsMemory;
        if needs && !claim.alone && donated.is_none() && rank < self.limit() {
            self.alone
                .insert(rank, error.needs().map_or(0, |needs| needs.wanted_bytes));
            self.tasks.set(rank, State::Running, State::Ready);
            self.queue.push(worker, rank);
            self.reruns += 1;
        } else {
            self.tasks.set(rank, State::Running, State::Waiting);
            let stopped = rank > self.limit() || self.limit() == 0;
            if !(error.is_cancelled() && stopped) {
                self.fail(rank, program.locate(error, task));
            }
        }
    }
}
