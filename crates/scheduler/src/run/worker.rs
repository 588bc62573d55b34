//! The loops of workers and I/O threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flagstone_graph::{Block, Error, Inputs, Result, TaskContext, TaskId};

use super::core::{Claim, Claimed, IoJob};
use super::host::{Host, InTask};
use super::unwind::{AbortOnPanic, catch};
use crate::memory::task::TaskAccount;
use crate::session::Shared;
use crate::trace::{Event, EventKind};

/// Tasks shorter than this are claimed in batches worth about `BATCH_NS`.
const SHORT_TASK_NS: u64 = 4_000;
const BATCH_NS: u64 = 20_000;
const BATCH_MAX: u64 = 64;

/// What a worker keeps between claims.
#[derive(Default)]
struct Batch {
    claims: Vec<Claim>,
    inputs: Vec<Option<Block>>,
    results: Vec<(u64, u64, Result<Block>)>,
    events: Vec<Event>,
    average_ns: u64,
}

impl Batch {
    /// How many tasks to claim at once, from how long the last ones took.
    fn limit(&self) -> usize {
        match self.average_ns {
            0 => 1,
            ns if ns < SHORT_TASK_NS => (BATCH_NS / ns).clamp(1, BATCH_MAX) as usize,
            _ => 1,
        }
    }
}

pub(crate) fn work(shared: &Arc<Shared>, worker: usize) {
    let _guard = AbortOnPanic;
    let mut batch = Batch::default();
    let mut account: Option<Arc<TaskAccount>> = None;
    loop {
        let mut core = shared.core.lock();
        for (claim, (granted, ns, result)) in batch.claims.drain(..).zip(batch.results.drain(..)) {
            core.complete(&shared.ledger, worker, &claim, granted, ns, result);
        }
        batch.inputs.clear();
        if core
            .runs
            .values()
            .any(|run| run.finished || !run.delivery.is_empty())
        {
            shared.done.notify_all();
        }
        let claimed = loop {
            if core.shutdown {
                return;
            }
            let limit = batch.limit();
            match core.claim(
                &shared.ledger,
                shared.capacity,
                worker,
                limit,
                &mut batch.claims,
                &mut batch.inputs,
            ) {
                Claimed::Some => break true,
                Claimed::Nothing => {}
            }
            if !core.io.is_empty() {
                shared.io_wake.notify_all();
            }
            if core.runs.values().any(|run| run.finished) {
                shared.done.notify_all();
            }
            if !core.garbage.blocks.is_empty() || !core.garbage.extents.is_empty() {
                break false;
            }
            core.idle += 1;
            shared.wake.wait(&mut core);
            core.idle -= 1;
        };
        core.prefetch(&shared.ledger);
        if !core.io.is_empty() {
            shared.io_wake.notify_all();
        }
        if core.idle > core.lent && core.runs.values().any(|run| run.queue.len() > 0) {
            shared.wake.notify_one();
        }
        let garbage = std::mem::take(&mut core.garbage);
        let waited = std::mem::take(&mut core.waited);
        drop(core);
        drop(garbage);
        shared.record_waits(worker, waited);
        if claimed {
            run_batch(shared, worker, &mut batch, &mut account);
        }
    }
}

fn run_batch(
    shared: &Arc<Shared>,
    worker: usize,
    batch: &mut Batch,
    account: &mut Option<Arc<TaskAccount>>,
) {
    let mut start_ns = shared.now_ns();
    let begin_ns = start_ns;
    for claim in &batch.claims {
        let inputs = &mut batch.inputs[claim.inputs.clone()];
        let loaded = load(
            shared,
            worker,
            claim,
            inputs,
            &mut batch.events,
            &mut start_ns,
        );
        // an account that some lease still holds is left to it; it counts for nobody any more
        let own = match account.take().map(Arc::try_unwrap) {
            Some(Ok(mut own)) => {
                own.reset(claim.run.id, claim.rank, claim.granted);
                Arc::new(own)
            }
            _ => Arc::new(TaskAccount::new(
                Arc::clone(shared),
                claim.run.id,
                claim.rank,
                claim.granted,
            )),
        };
        let result = loaded.and_then(|()| {
            let host = Host {
                shared: Arc::clone(shared),
                run: Arc::clone(&claim.run),
                account: Arc::clone(&own),
            };
            let program = &claim.run.program;
            let key = || program.key(TaskId(claim.rank)).to_string();
            let context = TaskContext::new(&host, &key);
            let _inside = InTask::enter(shared);
            catch(|| {
                context.check_cancelled()?;
                program.run(TaskId(claim.rank), Inputs::new(inputs), &context)
            })
        });
        // inputs are dropped here, not under the lock
        inputs.iter_mut().for_each(|input| drop(input.take()));
        let end_ns = shared.now_ns();
        let granted = own.granted.load(Ordering::Relaxed);
        batch.events.push(Event {
            kind: EventKind::Task,
            thread: worker as u16,
            run: claim.run.id as u32,
            rank: claim.rank,
            start_ns,
            end_ns,
            bytes: result.as_ref().map_or(0, Block::nbytes),
            detail: granted,
        });
        batch.results.push((granted, end_ns - start_ns, result));
        *account = Some(own);
        start_ns = end_ns;
    }
    let each = (start_ns - begin_ns) / batch.claims.len().max(1) as u64;
    batch.average_ns = ((batch.average_ns * 3 + each) / 4).max(1);
    if let Some(run) = batch.claims.first() {
        batch
            .events
            .extend(shared.ledger_sample(worker, run.run.id, start_ns));
    }
    shared.record(worker, &batch.events);
    batch.events.clear();
}

/// Reads the spilled inputs of an admitted task; their memory is granted already.
fn load(
    shared: &Arc<Shared>,
    worker: usize,
    claim: &Claim,
    inputs: &mut [Option<Block>],
    events: &mut Vec<Event>,
    start_ns: &mut u64,
) -> Result<()> {
    let mut failed = Ok(());
    for (position, rank, extent) in &claim.loads {
        let block = if failed.is_ok() {
            shared.read_extent(extent)
        } else {
            Err(Error::cancelled())
        };
        let end_ns = shared.now_ns();
        let bytes = block.as_ref().map_or(0, Block::nbytes);
        events.push(Event {
            kind: EventKind::Load,
            thread: worker as u16,
            run: claim.run.id as u32,
            rank: *rank,
            start_ns: *start_ns,
            end_ns,
            bytes,
            detail: 0,
        });
        *start_ns = end_ns;
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
        let deps = claim.run.program.dependencies(TaskId(claim.rank));
        if let Some(block) = &block {
            for (i, dep) in deps.iter().enumerate() {
                if dep.0 == *rank && !(donated && i != *position) {
                    inputs[i] = Some(block.clone());
                }
            }
        }
        let mut core = shared.core.lock();
        if donated {
            core.loaded_donation(claim.run.id, *rank, bytes);
        } else {
            core.load_done(&shared.ledger, claim.run.id, *rank, block);
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
        } => {
            (kind, run, rank, bytes) = (EventKind::Spill, id, task, block.nbytes());
            let result = shared
                .spill_store()
                .and_then(|store| catch(|| store.write(&block)));
            drop(block);
            let mut core = shared.core.lock();
            core.spill_done(&shared.ledger, id, task, result);
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
            core.io_running -= 1;
            // an error is reported by the task that needs the block
            core.load_done(&shared.ledger, id, task, block.ok());
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

fn finish_io(shared: &Shared, mut core: parking_lot::MutexGuard<'_, super::core::Core>) {
    let garbage = std::mem::take(&mut core.garbage);
    shared.wake.notify_all();
    shared.done.notify_all();
    shared.io_done.notify_all();
    drop(core);
    drop(garbage);
}
