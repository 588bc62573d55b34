//! The loops of workers and I/O threads.

use std::sync::Arc;
use std::time::Instant;

use flagstone_common::{Error, Result, TaskContext, catch, drop_each_quietly, drop_quietly};
use flagstone_graph::{Block, Inputs, TaskId};

use super::admission::Claim;
use super::core::{Core, Garbage};
use super::eviction::IoJob;
use super::host::{Host, InTask};
use super::task_run::{Outcome, RunShared};
use super::unwind::AbortOnPanic;
use crate::shared::Shared;
use crate::trace::{Clock, Event, EventKind};

/// Tasks shorter than this are claimed in batches worth about `BATCH_NS`.
const SHORT_TASK_NS: u64 = 4_000;
const BATCH_NS: u64 = 20_000;
const BATCH_MAX: u64 = 64;
/// So many events are recorded at once.
const EVENTS: usize = 64;

/// What a worker keeps between claims.
pub(crate) struct Batch {
    /// The run that the claims are of. Held only while there are claims, and let go under the lock
    /// while the session still holds the run: a worker never is the last to drop a program.
    pub(crate) run: Option<Arc<RunShared>>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) inputs: Vec<Option<Block>>,
    pub(crate) outcomes: Vec<Outcome>,
    events: Vec<Event>,
    garbage: Garbage,
    clock: Clock,
    average_ns: u64,
    /// Finished outputs pile up faster than they are handed over.
    pub(crate) backlog: bool,
}

impl Batch {
    fn new(epoch: Instant) -> Self {
        Batch {
            run: None,
            claims: Vec::new(),
            inputs: Vec::new(),
            outcomes: Vec::new(),
            events: Vec::new(),
            garbage: Garbage::default(),
            clock: Clock::new(epoch),
            average_ns: 0,
            backlog: false,
        }
    }

    /// How many tasks to claim at once, from how long the last ones took.
    pub(crate) fn limit(&self) -> usize {
        match self.average_ns {
            0 => 1,
            ns if ns < SHORT_TASK_NS => (BATCH_NS / ns).clamp(1, BATCH_MAX) as usize,
            _ => 1,
        }
    }

    /// Records what happened.
    fn record(&mut self, shared: &Shared, worker: usize) {
        shared.record(worker, &self.events);
        self.events.clear();
    }

    /// Whether there are events of a run that may end before this worker records again.
    fn has_late_events(&self) -> bool {
        let run = self.run.as_ref().map(|run| run.id as u32);
        let last = self.events.last();
        last.is_some_and(|event| self.claims.is_empty() || Some(event.run) != run)
    }

    /// Whether the last tasks were long enough to be claimed one by one.
    pub(crate) fn is_slow(&self) -> bool {
        self.average_ns >= SHORT_TASK_NS
    }
}

pub(crate) fn work(shared: &Arc<Shared>, worker: usize) {
    let _guard = AbortOnPanic;
    let mut batch = Batch::new(shared.epoch);
    loop {
        let mut core = shared.core.lock();
        if !batch.claims.is_empty() {
            core.complete(&shared.ledger, worker, &mut batch);
        }
        let claimed = loop {
            if core.shutdown {
                return;
            }
            let claimed = core.claim(&shared.ledger, shared.capacity, &mut batch);
            if batch.has_late_events() {
                batch.record(shared, worker);
            }
            if claimed {
                break true;
            }
            batch.run = None;
            core.news |= core.has_results();
            core.write_behind(&shared.ledger);
            shared.tell(&mut core);
            if !core.garbage.is_empty() {
                break false;
            }
            core.idle += 1;
            shared.wake.wait(&mut core);
            core.idle -= 1;
        };
        core.prefetch(&shared.ledger);
        core.write_behind(&shared.ledger);
        shared.tell(&mut core);
        if core.idle > core.lent && core.runs.values().any(|run| run.queue.len() > 0) {
            shared.wake.notify_one();
        }
        let drops = !core.garbage.is_empty();
        if drops {
            std::mem::swap(&mut core.garbage, &mut batch.garbage);
            shared.drops_begin();
        }
        let waited = std::mem::take(&mut core.waited);
        drop(core);
        if drops {
            batch.garbage.clear();
            shared.dropped();
        }
        if std::mem::take(&mut batch.backlog) {
            // on a machine with as many workers as cores the submitter may not get a turn
            std::thread::yield_now();
        }
        if !waited.is_empty() {
            shared.record_waits(worker, waited);
        }
        if claimed {
            run_batch(shared, worker, &mut batch);
        }
    }
}

fn run_batch(shared: &Arc<Shared>, worker: usize, batch: &mut Batch) {
    let Some(run) = &batch.run else {
        return;
    };
    let program = &*run.program;
    let clock = &mut batch.clock;
    let begin_ns = clock.now_ns();
    let sample = shared.ledger_sample(worker, run.id, begin_ns);
    batch.events.extend(sample);
    let _inside = InTask::enter(shared);
    for claim in &batch.claims {
        let inputs = &mut batch.inputs[claim.inputs.clone()];
        let loaded = match claim.loads.is_empty() {
            true => Ok(()),
            false => {
                let events = &mut batch.events;
                load(shared, worker, run, claim, inputs, events, clock)
            }
        };
        let start_ns = clock.last_ns();
        let host = Host::new(shared, run, claim.rank, claim.granted);
        let result = loaded.and_then(|()| {
            let key = || program.key(TaskId(claim.rank)).to_string();
            let context = TaskContext::new(&host, &key);
            catch(|| {
                context.check_cancelled()?;
                let layer = program.layer(claim.layer as usize);
                let inputs = Inputs::lent(inputs, claim.donated);
                layer.run(claim.index, inputs, &context)
            })
        });
        let mut granted = host.granted();
        let bytes = result.as_ref().map_or(0, Block::nbytes);
        // inputs are dropped here, not under the lock, unless the task may have to run again
        let keeps_inputs = result.is_err() || bytes > granted;
        if !keeps_inputs {
            drop_each_quietly(inputs.iter_mut().filter_map(Option::take));
        } else if let Some(i) = claim.donated {
            drop_quietly(inputs[i].take());
        }
        let end_ns = clock.now_ns();
        // a block larger than what was granted may make others leave: not under the lock
        if bytes > granted {
            let missing = bytes - granted;
            if shared.grow(run.id, claim.rank, missing).is_ok() {
                granted += missing;
            }
        }
        batch.events.push(Event {
            kind: EventKind::Task,
            thread: worker as u16,
            run: run.id as u32,
            rank: claim.rank,
            start_ns,
            end_ns,
            bytes,
            detail: granted,
        });
        batch.outcomes.push(Outcome {
            granted,
            nanoseconds: end_ns - start_ns,
            result,
            bytes,
            keeps_inputs,
            reported: host.into_reported(),
        });
    }
    let end_ns = clock.last_ns();
    let each = (end_ns - begin_ns) / batch.claims.len().max(1) as u64;
    batch.average_ns = ((batch.average_ns * 3 + each) / 4).max(1);
    batch
        .events
        .extend(shared.ledger_sample(worker, run.id, end_ns));
    // a few events of short tasks wait for more, which nobody sees before the run ends
    let few = batch.events.len() < EVENTS && !batch.is_slow() && shared.observers.is_empty();
    if !few {
        batch.record(shared, worker);
    }
}

/// Reads the spilled inputs of an admitted task; their memory is granted already.
fn load(
    shared: &Arc<Shared>,
    worker: usize,
    run: &RunShared,
    claim: &Claim,
    inputs: &mut [Option<Block>],
    events: &mut Vec<Event>,
    clock: &mut Clock,
) -> Result<()> {
    let mut failed = Ok(());
    for (position, rank, extent) in &claim.loads {
        let block = if failed.is_ok() {
            shared.read_extent(extent)
        } else {
            Err(Error::cancelled())
        };
        let start_ns = clock.last_ns();
        let end_ns = clock.now_ns();
        let bytes = block.as_ref().map_or(0, Block::nbytes);
        events.push(Event {
            kind: EventKind::Load,
            thread: worker as u16,
            run: run.id as u32,
            rank: *rank,
            start_ns,
            end_ns,
            bytes,
            detail: 0,
        });
        let donated = claim.donated == Some(*position);
        let block = match block {
            Ok(block) => Some(block),
            Err(error) => {
                if failed.is_ok() {
                    failed = Err(error);
                }
                None
            }
        };
        // every position that reads this block gets it
        let deps = run.program.dependencies(TaskId(claim.rank));
        if let Some(block) = &block {
            for (i, dep) in deps.iter().enumerate() {
                if dep.0 == *rank && !(donated && i != *position) {
                    inputs[i] = Some(block.clone());
                }
            }
        }
        let mut core = shared.core.lock();
        if donated {
            core.loaded_donation(run.id, *rank, bytes);
        } else {
            core.load_done(&shared.ledger, run.id, *rank, block);
        }
        // others may wait for this very block
        shared.wake.notify_all();
    }
    failed
}

/// Writes and reads blocks for everybody else.
pub(crate) fn serve_io(shared: &Arc<Shared>, thread: usize) {
    let _guard = AbortOnPanic;
    let mut core = shared.core.lock();
    loop {
        if core.shutdown {
            return;
        }
        if core.io.is_empty() {
            core.write_behind(&shared.ledger);
        }
        let Some(job) = core.io.pop_front() else {
            shared.io_wake.wait(&mut core);
            continue;
        };
        drop(core);
        serve(shared, thread, job);
        core = shared.core.lock();
    }
}

/// Does one piece of I/O and reports it.
pub(crate) fn serve(shared: &Shared, thread: usize, job: IoJob) {
    let start_ns = shared.now_ns();
    let (kind, run, rank, bytes);
    match job {
        IoJob::Write {
            run: id,
            rank: task,
            block,
            behind,
        } => {
            (kind, run, rank, bytes) = (EventKind::Spill, id, task, block.nbytes());
            let result = shared
                .spill_store()
                .and_then(|store| catch(|| store.write(&block)));
            drop(block);
            let mut core = shared.core.lock();
            core.spill_done(&shared.ledger, id, task, behind, result);
            finish_io(shared, core);
        }
        IoJob::Read {
            run: id,
            rank: task,
            extent,
        } => {
            let block = catch(|| shared.read_extent(&extent));
            (kind, run, rank) = (EventKind::Prefetch, id, task);
            bytes = block.as_ref().map_or(0, Block::nbytes);
            let mut core = shared.core.lock();
            core.prefetch_done(id);
            // an error is reported by the task that needs the block
            core.load_done(&shared.ledger, id, task, block.ok());
            finish_io(shared, core);
        }
        IoJob::Page(page) => {
            let runs: Vec<u64> = page.tasks().map(|(run, _)| run).collect();
            (run, rank) = page.tasks().next().unwrap_or_default();
            (kind, bytes) = (EventKind::Spill, page.bytes());
            let result = catch(|| page.write());
            let mut core = shared.core.lock();
            core.pages_done(&runs, bytes, result);
            finish_io(shared, core);
        }
    }
    let event = Event {
        kind,
        thread: thread as u16,
        run: run as u32,
        rank,
        start_ns,
        end_ns: shared.now_ns(),
        bytes,
        detail: 0,
    };
    shared.record(thread, &[event]);
}

fn finish_io(shared: &Shared, mut core: parking_lot::MutexGuard<'_, Core>) {
    let garbage = shared.take_garbage(&mut core);
    shared.wake.notify_all();
    shared.done.notify_all();
    shared.io_done.notify_all();
    drop(core);
    shared.drop_garbage(garbage);
}
