//! The state behind the session's one lock: all runs, what is idle, what waits.
//!
//! Everything here is short and does no I/O. Reading and writing happen outside, against bytes
//! already granted; the results are brought back in through `complete`, `spill_done`, `load_done`.

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use flagstone_graph::{Block, Certainty, Counter, Error, ErrorKind, Program, TaskId};
use hashbrown::HashMap;

use super::queue::Queue;
use super::state::{State, Tasks};
use crate::spill::Extent;
use crate::trace::LayerStats;

/// What of a run is read without the lock.
pub(crate) struct RunShared {
    pub(crate) id: u64,
    pub(crate) program: Arc<Program>,
    /// Tasks at or above this rank are not started, and stop when they ask: the lowest rank that
    /// failed, 0 after a cancellation.
    pub(crate) limit: AtomicU32,
    pub(crate) cancelled: AtomicBool,
    pub(crate) counters: [AtomicU64; Counter::ALL.len()],
}

/// One computation under way.
pub(crate) struct Run {
    pub(crate) shared: Arc<RunShared>,
    pub(crate) tasks: Tasks,
    pub(crate) queue: Queue,
    /// The lowest unfinished rank.
    pub(crate) head: u32,
    pub(crate) running: usize,
    pub(crate) done: u64,
    pub(crate) error: Option<(u32, Error)>,
    /// Tasks that must run alone, with the bytes they could not get.
    alone: HashMap<u32, u64>,
    /// Evictable blocks by furthest next use, once memory was short: (next use, clean, rank).
    /// Next uses only move away, so a stale entry is too near, never too far.
    victims: Option<Victims>,
    /// Per layer: the largest grant that a task with an estimated footprint ended with.
    learned: Vec<u64>,
    pub(crate) layers: Vec<LayerStats>,
    /// Finished outputs not yet handed over.
    pub(crate) delivery: VecDeque<u32>,
    pub(crate) deliver: bool,
    /// Bytes that outputs handed over still hold until the computation returns.
    pub(crate) held_bytes: u64,
    /// What the ledger charges for the program and the state of its tasks.
    pub(crate) program_bytes: u64,
    /// The data bytes without which this run cannot go on: reserved among runs.
    pub(crate) minimum_bytes: u64,
    pub(crate) certified_peak_bytes: u64,
    pub(crate) reruns: u64,
    pub(crate) bytes_spilled: u64,
    pub(crate) bytes_reloaded: u64,
    pub(crate) wait_ns: u64,
    pub(crate) started: Instant,
    pub(crate) finished: bool,
}

/// A task that was admitted: all it needs is granted.
pub(crate) struct Claim {
    pub(crate) run: Arc<RunShared>,
    pub(crate) rank: u32,
    /// Granted for output and scratch.
    pub(crate) granted: u64,
    /// What its footprint declared.
    pub(crate) declared: u64,
    pub(crate) inputs: std::ops::Range<usize>,
    /// Inputs that have to be read first: position among the inputs, rank, place on disk.
    pub(crate) loads: Vec<(usize, u32, Arc<Extent>)>,
    /// The position of an input that the task owns.
    pub(crate) donated: Option<usize>,
    pub(crate) alone: bool,
}

/// Work for the I/O threads.
pub(crate) enum IoJob {
    Write {
        run: u64,
        rank: u32,
        block: Block,
    },
    Read {
        run: u64,
        rank: u32,
        extent: Arc<Extent>,
    },
}

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

#[derive(Default)]
pub(crate) struct Core {
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) next_run: u64,
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
    pub(crate) shutdown: bool,
    pub(crate) garbage: Garbage,
}

/// The ledger as admission needs it.
pub(crate) use crate::memory::ledger::Ledger;

/// Evictable blocks by furthest next use: (next use, clean, rank), each rank at most once.
struct Victims {
    heap: BinaryHeap<(u32, bool, u32)>,
    listed: Vec<u64>,
}

impl Victims {
    fn push(&mut self, next: u32, clean: bool, rank: u32) {
        let (word, bit) = (rank as usize / 64, 1u64 << (rank % 64));
        if self.listed[word] & bit == 0 {
            self.listed[word] |= bit;
            self.heap.push((next, clean, rank));
        }
    }

    fn pop(&mut self) -> Option<(u32, bool, u32)> {
        let entry = self.heap.pop()?;
        self.listed[entry.2 as usize / 64] &= !(1 << (entry.2 % 64));
        Some(entry)
    }
}

impl Run {
    pub(crate) fn new(
        shared: Arc<RunShared>,
        workers: usize,
        deliver: bool,
        program_bytes: u64,
        minimum_bytes: u64,
        certified_peak_bytes: u64,
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
            done: 0,
            error: None,
            alone: HashMap::new(),
            victims: None,
            learned: vec![0; program.layer_count()],
            layers: (0..program.layer_count()).map(layer).collect(),
            delivery: VecDeque::new(),
            deliver,
            held_bytes: 0,
            program_bytes,
            minimum_bytes,
            certified_peak_bytes,
            reruns: 0,
            bytes_spilled: 0,
            bytes_reloaded: 0,
            wait_ns: 0,
            started: Instant::now(),
            finished: program.task_count() == 0,
            shared,
        }
    }

    fn limit(&self) -> u32 {
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

    fn advance_head(&mut self) {
        let count = self.shared.program.task_count() as u32;
        while self.head < count && self.tasks.state(self.head) >= State::Resident {
            self.head += 1;
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

    /// One use of a block ended.
    #[inline]
    fn use_ended(&mut self, rank: u32, ledger: &Ledger, garbage: &mut Garbage) {
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

    fn drop_block(&mut self, rank: u32, was: State, ledger: &Ledger, garbage: &mut Garbage) {
        if was != State::Spilled {
            ledger.release(self.tasks.bytes(rank));
        }
        self.tasks.set_bytes(rank, 0);
        garbage.blocks.extend(self.tasks.take_block(rank));
        garbage.extents.extend(self.tasks.take_extent(rank));
    }

    /// Unpins an input; it may become a victim again.
    fn unpin(&mut self, rank: u32) {
        self.tasks.unpin(rank);
        self.offer_victim(rank);
    }

    fn offer_victim(&mut self, rank: u32) {
        if let Some(victims) = &mut self.victims
            && self.tasks.is_evictable(rank)
        {
            let next = self.tasks.next_use(&self.shared.program, rank, self.head);
            victims.push(next, self.tasks.state(rank) == State::Clean, rank);
        }
    }

    /// The evictable block whose next use is furthest, if that is after `after`.
    fn victim(&mut self, after: Option<u32>, dirty_too: bool) -> Option<u32> {
        let mut victims = self.victims.take().unwrap_or_else(|| self.list_victims());
        let mut set_aside = Vec::new();
        let mut found = None;
        while let Some((next, clean, rank)) = victims.pop() {
            if !self.tasks.is_evictable(rank) {
                continue;
            }
            let now = self.tasks.next_use(&self.shared.program, rank, self.head);
            let clean_now = self.tasks.state(rank) == State::Clean;
            if (now, clean_now) != (next, clean) {
                // stale: the truth is further away or cheaper; look again
                victims.push(now, clean_now, rank);
                continue;
            }
            let too_near = after.is_some_and(|after| now <= after);
            if too_near || (!clean && !dirty_too) || !self.can_evict(rank, clean) {
                set_aside.push((next, clean, rank));
                if too_near {
                    break;
                }
                continue;
            }
            found = Some(rank);
            break;
        }
        set_aside
            .into_iter()
            .for_each(|(next, clean, rank)| victims.push(next, clean, rank));
        self.victims = Some(victims);
        found
    }

    fn list_victims(&self) -> Victims {
        let words = self.shared.program.task_count().div_ceil(64);
        let mut victims = Victims {
            heap: BinaryHeap::new(),
            listed: vec![0; words],
        };
        for rank in self.tasks.evictable() {
            let next = self.tasks.next_use(&self.shared.program, rank, self.head);
            victims.push(next, self.tasks.state(rank) == State::Clean, rank);
        }
        victims
    }

    fn can_evict(&self, rank: u32, clean: bool) -> bool {
        self.tasks.bytes(rank) > 0
            && (clean
                || self
                    .tasks
                    .block(rank)
                    .is_some_and(|block| block.codec().is_some()))
    }

    /// The declared needs of a task beside its inputs, corrected by what was learned.
    fn own_bytes(&self, rank: u32, capacity: u64) -> (flagstone_graph::Footprint, u64) {
        let (layer, index) = self.shared.program.place(TaskId(rank));
        let footprint = self.shared.program.layer(layer).footprint(index);
        let mut own = footprint.own_bytes();
        if footprint.certainty == Certainty::Estimated {
            own = own.max(self.learned[layer].min(capacity));
        }
        (footprint, own)
    }
}

/// Why nothing was claimed.
pub(crate) enum Claimed {
    Some,
    Nothing,
}

impl Core {
    /// Admits tasks for a worker, lowest rank first, oldest run first.
    ///
    /// All or nothing: a task is granted its missing inputs, output and scratch in one step, or
    /// holds nothing and waits. If the lowest ready rank cannot be admitted, nothing after it is.
    pub(crate) fn claim(
        &mut self,
        ledger: &Ledger,
        capacity: u64,
        worker: usize,
        limit: usize,
        claims: &mut Vec<Claim>,
        inputs: &mut Vec<Option<Block>>,
    ) -> Claimed {
        if self.exclusive || self.deliveries_waiting > 0 {
            return Claimed::Nothing;
        }
        let mut from = 0;
        while let Some((&id, run)) = self.runs.range(from..).next() {
            from = id + 1;
            if run.finished {
                continue;
            }
            loop {
                let run = self.runs.get_mut(&id).expect("the run is in the map");
                if claims.len() >= limit {
                    return Claimed::Some;
                }
                let share = run.queue.len().div_ceil(self.idle + 1).max(1);
                if !claims.is_empty() && claims.len() >= share {
                    return Claimed::Some;
                }
                let Some((rank, source)) = run.queue.peek(worker) else {
                    break;
                };
                if rank >= run.limit() {
                    break;
                }
                run.advance_head();
                let alone = run.alone.contains_key(&rank);
                if alone && (self.running > 0 || !claims.is_empty()) {
                    // it runs when everything else has ended, and nothing starts before it
                    return if claims.is_empty() {
                        Claimed::Nothing
                    } else {
                        Claimed::Some
                    };
                }
                let Some(claim) = self.admit(ledger, capacity, id, rank, alone, inputs) else {
                    return if claims.is_empty() {
                        Claimed::Nothing
                    } else {
                        Claimed::Some
                    };
                };
                let run = self.runs.get_mut(&id).expect("the run is in the map");
                run.queue.pop(source, &run.shared.program);
                let was = if source == super::queue::From::Root {
                    State::Waiting
                } else {
                    State::Ready
                };
                run.tasks.set(rank, was, State::Running);
                run.running += 1;
                self.running += 1;
                if let Some(wait) = self.wait.filter(|wait| (wait.run, wait.rank) == (id, rank)) {
                    run.wait_ns += wait.since.elapsed().as_nanos() as u64;
                    self.waited.push(wait);
                    self.wait = None;
                }
                claims.push(claim);
                if alone {
                    self.exclusive = true;
                    return Claimed::Some;
                }
            }
            if !claims.is_empty() {
                return Claimed::Some;
            }
        }
        Claimed::Nothing
    }

    fn admit(
        &mut self,
        ledger: &Ledger,
        capacity: u64,
        id: u64,
        rank: u32,
        alone: bool,
        inputs: &mut Vec<Option<Block>>,
    ) -> Option<Claim> {
        let run = self.runs.get_mut(&id)?;
        let shared = Arc::clone(&run.shared);
        let deps = shared.program.dependencies(TaskId(rank));
        let (footprint, own) = run.own_bytes(rank, capacity);
        let mut missing = 0u64;
        for (i, dep) in deps.iter().enumerate() {
            match run.tasks.state(dep.0) {
                State::Loading => return None, // its arrival wakes us
                State::Spilled if !deps[..i].contains(dep) => missing += run.tasks.bytes(dep.0),
                _ => {}
            }
        }
        let donated = footprint.reuse.map(usize::from).filter(|&i| {
            deps.get(i).is_some_and(|dep| {
                run.tasks.uses(dep.0) == 1
                    && run.tasks.pins(dep.0) == 0
                    && matches!(
                        run.tasks.state(dep.0),
                        State::Resident | State::Clean | State::Spilled
                    )
            })
        });
        let given = donated.map_or(0, |i| run.tasks.bytes(deps[i].0));
        let need = missing.saturating_add(own.saturating_sub(given));
        for dep in deps {
            run.tasks.pin(dep.0);
        }
        if ledger.grant(need).is_err() && !self.make_room(ledger, need, id, rank) {
            let run = self.runs.get_mut(&id)?;
            for dep in deps {
                run.unpin(dep.0);
            }
            self.cannot_admit(ledger, id, rank, need);
            return None;
        }
        let run = self.runs.get_mut(&id)?;
        let start = inputs.len();
        let mut loads = Vec::new();
        for (i, dep) in deps.iter().enumerate() {
            let dep = dep.0;
            if run.tasks.state(dep) == State::Spilled {
                run.tasks.set(dep, State::Spilled, State::Loading);
                let extent =
                    Arc::clone(run.tasks.extent(dep).expect("spilled blocks have extents"));
                loads.push((i, dep, extent));
            }
            inputs.push(if donated == Some(i) {
                run.tasks.take_block(dep)
            } else {
                run.tasks.block(dep).cloned()
            });
        }
        if let Some(i) = donated {
            // the charge moves from the block to the task
            run.tasks.set_bytes(deps[i].0, 0);
        }
        Some(Claim {
            rank,
            granted: own.max(given),
            declared: footprint.own_bytes(),
            inputs: start..inputs.len(),
            loads,
            donated,
            alone,
            run: shared,
        })
    }

    /// Evicts until `need` could be granted, and grants it. Clean blocks are dropped at once;
    /// dirty ones are handed to the I/O threads, whose end wakes the workers to try again.
    fn make_room(&mut self, ledger: &Ledger, need: u64, id: u64, rank: u32) -> bool {
        let is_head = self.runs.get(&id).is_none_or(|run| run.head == rank);
        loop {
            if ledger.grant(need).is_ok() {
                return true;
            }
            if ledger.free() + self.spilling_bytes >= need {
                return false;
            }
            let dirty_too = self.spill_error.is_none();
            // younger runs first; then the run itself; older ones only for a head
            let candidates: Vec<u64> = self.runs.keys().rev().copied().collect();
            let mut found = None;
            for candidate in candidates {
                let after = if candidate == id && !is_head {
                    Some(rank)
                } else {
                    None
                };
                if candidate < id && !is_head {
                    break;
                }
                let run = self.runs.get_mut(&candidate).expect("listed above");
                if let Some(victim) = run.victim(after, dirty_too) {
                    found = Some((candidate, victim));
                    break;
                }
            }
            let Some((victim_run, victim)) = found else {
                return false;
            };
            self.evict(ledger, victim_run, victim);
        }
    }

    fn evict(&mut self, ledger: &Ledger, id: u64, rank: u32) {
        let run = self
            .runs
            .get_mut(&id)
            .expect("the victim's run is in the map");
        if run.tasks.state(rank) == State::Clean {
            run.tasks.set(rank, State::Clean, State::Spilled);
            ledger.release(run.tasks.bytes(rank));
            self.garbage.blocks.extend(run.tasks.take_block(rank));
        } else if let Some(job) = self.start_spill(id, rank) {
            self.io.push_back(job);
        }
    }

    fn start_spill(&mut self, id: u64, rank: u32) -> Option<IoJob> {
        let run = self.runs.get_mut(&id)?;
        let block = run.tasks.block(rank)?.clone();
        run.tasks.set(rank, State::Resident, State::Spilling);
        self.spilling_bytes += run.tasks.bytes(rank);
        self.io_running += 1;
        Some(IoJob::Write {
            run: id,
            rank,
            block,
        })
    }

    /// A block was written, or not.
    pub(crate) fn spill_done(
        &mut self,
        ledger: &Ledger,
        id: u64,
        rank: u32,
        result: Result<Extent, Error>,
    ) {
        self.io_running -= 1;
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        let bytes = run.tasks.bytes(rank);
        self.spilling_bytes -= bytes;
        let released = run.tasks.uses(rank) == 0;
        match result {
            Ok(extent) => {
                run.bytes_spilled += bytes;
                let (layer, _) = run.shared.program.place(TaskId(rank));
                run.layers[layer].spilled += 1;
                run.tasks.put_extent(rank, Arc::new(extent));
                run.tasks.set(rank, State::Spilling, State::Clean);
                if released {
                    run.tasks.set(rank, State::Clean, State::Released);
                    run.drop_block(rank, State::Clean, ledger, &mut self.garbage);
                } else if run.tasks.pins(rank) == 0 {
                    run.tasks.set(rank, State::Clean, State::Spilled);
                    ledger.release(bytes);
                    self.garbage.blocks.extend(run.tasks.take_block(rank));
                }
            }
            Err(error) => {
                // as before the attempt: resident and dirty; nothing is lost
                run.tasks.set(rank, State::Spilling, State::Resident);
                if released {
                    run.tasks.set(rank, State::Resident, State::Released);
                    run.drop_block(rank, State::Resident, ledger, &mut self.garbage);
                }
                self.spill_error.get_or_insert(error);
            }
        }
    }

    /// A spilled block was read, or not (then its reader fails).
    pub(crate) fn load_done(&mut self, ledger: &Ledger, id: u64, rank: u32, block: Option<Block>) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        match block {
            Some(block) => {
                run.bytes_reloaded += run.tasks.bytes(rank);
                run.tasks.set(rank, State::Loading, State::Clean);
                run.tasks.put_block(rank, block);
                run.offer_victim(rank);
            }
            None => {
                run.tasks.set(rank, State::Loading, State::Spilled);
                ledger.release(run.tasks.bytes(rank));
            }
        }
    }

    /// A spilled block was read straight into the task that now owns it. Its charge had moved to
    /// the task at admission.
    pub(crate) fn loaded_donation(&mut self, id: u64, rank: u32, bytes: u64) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.bytes_reloaded += bytes;
        run.tasks.set(rank, State::Loading, State::Clean);
    }

    /// Reads ahead what the next tasks will ask for, when memory is free without evicting.
    pub(crate) fn prefetch(&mut self, ledger: &Ledger) {
        const AHEAD: u32 = 32;
        if self.io_running > 0 || ledger.free() < ledger.budget() / 8 {
            return;
        }
        for (&id, run) in &mut self.runs {
            if run.bytes_spilled == 0 || run.finished {
                continue;
            }
            let program = Arc::clone(&run.shared.program);
            let end = (run.head + AHEAD).min(program.task_count() as u32);
            for rank in run.head..end {
                if !matches!(run.tasks.state(rank), State::Waiting | State::Ready) {
                    continue;
                }
                for dep in program.dependencies(TaskId(rank)) {
                    if run.tasks.state(dep.0) != State::Spilled {
                        continue;
                    }
                    let bytes = run.tasks.bytes(dep.0);
                    if bytes > ledger.free() / 2 || ledger.grant(bytes).is_err() {
                        return;
                    }
                    run.tasks.set(dep.0, State::Spilled, State::Loading);
                    let extent = run
                        .tasks
                        .extent(dep.0)
                        .expect("spilled blocks have extents");
                    let extent = Arc::clone(extent);
                    self.io_running += 1;
                    self.io.push_back(IoJob::Read {
                        run: id,
                        rank: dep.0,
                        extent,
                    });
                    return;
                }
            }
        }
    }

    /// Notes who waits; fails the run when nothing under way could ever help.
    fn cannot_admit(&mut self, ledger: &Ledger, id: u64, rank: u32, need: u64) {
        if self
            .wait
            .is_none_or(|wait| (wait.run, wait.rank) != (id, rank))
        {
            self.wait = Some(Wait {
                run: id,
                rank,
                bytes: need,
                since: Instant::now(),
            });
        }
        let undelivered = self
            .runs
            .values()
            .any(|run| run.deliver && !run.delivery.is_empty());
        if self.running > 0 || self.io_running > 0 || undelivered {
            return;
        }
        let free = ledger.free();
        let spill_error = self.spill_error.take();
        let run = self.runs.get_mut(&id).expect("the run is in the map");
        let (held, program) = (run.held_bytes, Arc::clone(&run.shared.program));
        let error = match spill_error {
            Some(error) => error,
            None => {
                let held = match held {
                    0 => String::new(),
                    held => format!(
                        " while finished results hold {}; write them to files instead of \
                         collecting them",
                        flagstone_memory::format_bytes(held)
                    ),
                };
                Error::new(
                    ErrorKind::NeedsMemory,
                    format!(
                        "needs {} but only {} of the budget can be freed{held}",
                        flagstone_memory::format_bytes(need),
                        flagstone_memory::format_bytes(free),
                    ),
                )
            }
        };
        run.fail(rank, program.locate(error, TaskId(rank)));
        run.update_finished();
    }

    /// A task ended: its block is published, its inputs are unpinned and used up.
    pub(crate) fn complete(
        &mut self,
        ledger: &Ledger,
        worker: usize,
        claim: &Claim,
        granted: u64,
        nanoseconds: u64,
        result: Result<Block, Error>,
    ) {
        let shared = &claim.run;
        let rank = claim.rank;
        let Some(run) = self.runs.get_mut(&shared.id) else {
            return;
        };
        run.running -= 1;
        self.running -= 1;
        if claim.alone {
            self.exclusive = false;
        }
        let program = &shared.program;
        let deps = program.dependencies(TaskId(rank));
        let (layer, _) = program.place(TaskId(rank));
        // a block larger than what was granted is charged now, or not accepted
        let result = result.and_then(|block| {
            let bytes = block.nbytes();
            if bytes > granted && ledger.grant(bytes - granted).is_err() {
                let available_bytes = ledger.free();
                return Err(Error::needs_memory(flagstone_memory::NeedsMemory {
                    wanted_bytes: bytes - granted,
                    available_bytes,
                }));
            }
            Ok((block, bytes))
        });
        match result {
            Ok((block, bytes)) => {
                ledger.release(granted.saturating_sub(bytes));
                let stats = &mut run.layers[layer];
                stats.tasks += 1;
                stats.task_s += nanoseconds as f64 * 1e-9;
                stats.output_bytes += bytes;
                stats.declared_bytes_max = stats.declared_bytes_max.max(claim.declared);
                stats.granted_bytes_max = stats.granted_bytes_max.max(granted.max(bytes));
                let learned = &mut run.learned[layer];
                *learned = (*learned - *learned / 8).max(granted.max(bytes));
                run.done += 1;
                run.tasks.set_bytes(rank, bytes);
                run.tasks.put_block(rank, block);
                run.tasks.set(rank, State::Running, State::Resident);
                for &dep in deps {
                    run.tasks.unpin(dep.0);
                    run.use_ended(dep.0, ledger, &mut self.garbage);
                    if run.victims.is_some() {
                        run.offer_victim(dep.0);
                    }
                }
                for reader in program.dependents(TaskId(rank)) {
                    if run.tasks.dependency_finished(reader.0) {
                        run.tasks.set(reader.0, State::Waiting, State::Ready);
                        run.queue.push(worker, reader.0);
                    }
                }
                if run.deliver && program.is_output(TaskId(rank)) {
                    run.delivery.push_back(rank);
                }
                run.offer_victim(rank);
            }
            Err(error) => {
                ledger.release(granted);
                let donated = claim.donated.map(|i| deps[i].0);
                for &dep in deps {
                    if Some(dep.0) != donated {
                        run.unpin(dep.0);
                    } else {
                        run.tasks.unpin(dep.0);
                    }
                }
                let needs = error.kind() == ErrorKind::NeedsMemory;
                if needs && !claim.alone && donated.is_none() && rank < run.limit() {
                    run.alone
                        .insert(rank, error.needs().map_or(0, |needs| needs.wanted_bytes));
                    run.tasks.set(rank, State::Running, State::Ready);
                    run.queue.push(worker, rank);
                    run.reruns += 1;
                } else {
                    run.tasks.set(rank, State::Running, State::Waiting);
                    let stopped = rank > run.limit() || run.limit() == 0;
                    if !(error.is_cancelled() && stopped) {
                        run.fail(rank, program.locate(error, TaskId(rank)));
                    }
                }
            }
        }
        run.update_finished();
    }

    /// An output was handed over, as often as it was asked for: those uses ended.
    pub(crate) fn delivered_times(&mut self, ledger: &Ledger, id: u64, rank: u32, times: usize) {
        let Some(run) = self.runs.get_mut(&id) else {
            return;
        };
        run.tasks.unpin(rank);
        for _ in 0..times {
            run.use_ended(rank, ledger, &mut self.garbage);
        }
        run.offer_victim(rank);
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

    /// Evicts for a task that grows or an output that is handed over: drops clean blocks at once
    /// and returns a dirty one for the caller to write itself.
    pub(crate) fn room_now(&mut self, ledger: &Ledger, need: u64, id: u64, rank: u32) -> Room {
        let is_head = self.runs.get(&id).is_none_or(|run| run.head >= rank);
        loop {
            if ledger.grant(need).is_ok() {
                return Room::Granted;
            }
            let dirty_too = self.spill_error.is_none();
            let candidates: Vec<u64> = self.runs.keys().rev().copied().collect();
            let mut found = None;
            for candidate in candidates {
                let after = if candidate == id && !is_head {
                    Some(rank)
                } else {
                    None
                };
                let run = self.runs.get_mut(&candidate).expect("listed above");
                if let Some(victim) = run.victim(after, dirty_too) {
                    found = Some((candidate, victim));
                    break;
                }
            }
            match found {
                None if self.io_running > 0 => return Room::WaitForIo,
                None => return Room::None,
                Some((run, victim)) => {
                    let clean = self.runs[&run].tasks.state(victim) == State::Clean;
                    if clean {
                        self.evict(ledger, run, victim);
                    } else if ledger.free() + self.spilling_bytes >= need {
                        self.runs
                            .get_mut(&run)
                            .expect("listed above")
                            .offer_victim(victim);
                        return Room::WaitForIo;
                    } else if let Some(job) = self.start_spill(run, victim) {
                        return Room::Write(job);
                    }
                }
            }
        }
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
        let count = run.shared.program.task_count() as u32;
        for rank in 0..count {
            if matches!(
                run.tasks.state(rank),
                State::Resident | State::Clean | State::Spilling | State::Loading
            ) {
                ledger.release(run.tasks.bytes(rank));
                if run.tasks.state(rank) == State::Spilling {
                    self.spilling_bytes -= run.tasks.bytes(rank);
                }
            }
        }
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

/// What `room_now` achieved.
pub(crate) enum Room {
    /// The bytes are granted.
    Granted,
    /// Write this block, report it with `spill_done`, and ask again.
    Write(IoJob),
    /// Spills under way will free enough.
    WaitForIo,
    /// Nothing can be freed.
    None,
}
