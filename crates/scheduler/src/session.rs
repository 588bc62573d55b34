//! The session: one budget, its threads, and everything that runs in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flagstone_graph::{
    Block, Certainty, Counter, Error, ErrorKind, Execute, FreezeOptions, Graph, LayerId, Program,
    Resources, Result, TaskId,
};
use flagstone_memory::format_bytes;
use parking_lot::{Condvar, Mutex};

use crate::builder::SessionBuilder;
use crate::cancel::CancelToken;
use crate::certify::{Certificate, certify};
use crate::memory::ledger::Ledger;
use crate::persist::Persisted;
use crate::run::core::{Core, Room, Run, RunShared, Wait};
use crate::run::host::InTask;
use crate::run::state::{State, Tasks};
use crate::run::worker;
use crate::spill::{DirMedium, Extent, SpillMedium, SpillStore};
use crate::trace::{Event, EventKind, Observer, Recorder, Snapshot, Stats, Trace, TraceLayer};

/// Runs graphs inside one memory budget.
///
/// Cheap to clone: clones are the same session. Every computation of a session shares its budget,
/// its threads and its spill directory. The threads end when the last clone and the last
/// [`Persisted`] handle are dropped.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

/// Joins the threads when the last handle goes.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What workers, I/O threads and handles share.
pub(crate) struct Shared {
    pub(crate) ledger: Ledger,
    /// The bytes left for data: the budget less the fixed lease.
    pub(crate) capacity: u64,
    pub(crate) threads: usize,
    pub(crate) core: Mutex<Core>,
    /// Workers wait here for something to start.
    pub(crate) wake: Condvar,
    /// Submitters wait here for results.
    pub(crate) done: Condvar,
    /// I/O threads wait here for work.
    pub(crate) io_wake: Condvar,
    /// Growing tasks wait here for spills under way.
    pub(crate) io_done: Condvar,
    spill: OnceLock<std::result::Result<Arc<SpillStore>, String>>,
    make_medium: Mutex<Option<MakeMedium>>,
    spill_quota: u64,
    frame_bytes: usize,
    pool: OnceLock<rayon::ThreadPool>,
    recorders: Vec<Recorder>,
    observers: Vec<Arc<dyn Observer>>,
    cancel: CancelToken,
    epoch: Instant,
    fuse: bool,
    finished: Mutex<Finished>,
    /// When the ledger was last sampled for the trace.
    sampled_ns: AtomicU64,
}

pub(crate) type MakeMedium = Box<dyn FnOnce() -> std::io::Result<Box<dyn SpillMedium>> + Send>;

/// What is kept of computations that ended, for diagnostics.
#[derive(Default)]
pub(crate) struct Finished {
    last: Stats,
    total: Stats,
    trace: Trace,
}

/// Where spilled blocks go.
pub(crate) enum SpillPlace {
    Dir { dir: PathBuf, allow_tmpfs: bool },
    Medium(Box<dyn SpillMedium>),
}

impl Session {
    /// A session with everything from the machine: see [`Machine`](crate::Machine).
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new() -> Result<Self> {
        SessionBuilder::new().build()
    }

    /// Choose the budget, the threads or the spill directory yourself.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::new()
    }

    pub(crate) fn start(config: SessionBuilder) -> Result<Self> {
        let budget = config.budget_bytes;
        let threads = config.threads;
        let fixed = Fixed::for_budget(budget, threads);
        let ledger = Ledger::new(budget);
        if ledger.grant(fixed.total()).is_err() {
            return Err(Error::new(
                ErrorKind::Budget,
                format!(
                    "a budget of {} is too small: {} go to I/O buffers and diagnostics",
                    format_bytes(budget),
                    format_bytes(fixed.total())
                ),
            ));
        }
        let recorders = (0..threads + fixed.io_threads)
            .map(|_| Recorder::new(fixed.ring_events))
            .collect();
        let make_medium: MakeMedium = match config.spill {
            SpillPlace::Medium(medium) => Box::new(move || Ok(medium)),
            SpillPlace::Dir { dir, allow_tmpfs } => Box::new(move || {
                DirMedium::new(&dir, allow_tmpfs).map(|dir| Box::new(dir) as Box<dyn SpillMedium>)
            }),
        };
        let shared = Arc::new(Shared {
            capacity: budget - fixed.total(),
            ledger,
            threads,
            core: Mutex::new(Core::default()),
            wake: Condvar::new(),
            done: Condvar::new(),
            io_wake: Condvar::new(),
            io_done: Condvar::new(),
            spill: OnceLock::new(),
            make_medium: Mutex::new(Some(make_medium)),
            spill_quota: config.spill_quota_bytes,
            frame_bytes: fixed.frame_bytes,
            pool: OnceLock::new(),
            recorders,
            observers: config.observers,
            cancel: config.cancel,
            epoch: Instant::now(),
            fuse: config.fuse,
            finished: Mutex::default(),
            sampled_ns: AtomicU64::new(0),
        });
        let inner = Inner {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        };
        for index in 0..threads + fixed.io_threads {
            let shared = Arc::clone(&shared);
            let (name, io) = match index.checked_sub(threads) {
                None => (format!("flagstone-worker-{index}"), false),
                Some(io) => (format!("flagstone-io-{io}"), true),
            };
            let body = move || match io {
                false => worker::work(&shared, index),
                true => worker::serve_io(&shared, index),
            };
            let thread = std::thread::Builder::new()
                .name(name)
                .spawn(body)
                .map_err(|error| {
                    Error::new(
                        ErrorKind::Invalid,
                        format!("cannot start a thread: {error}"),
                    )
                })?;
            inner.threads.lock().push(thread);
        }
        Ok(Session {
            inner: Arc::new(inner),
        })
    }

    /// The budget of the whole process, in bytes.
    pub fn budget_bytes(&self) -> u64 {
        self.shared().ledger.budget()
    }

    /// The threads that run tasks.
    pub fn threads(&self) -> usize {
        self.shared().threads
    }

    /// Bytes granted now.
    pub fn granted_bytes(&self) -> u64 {
        self.shared().ledger.granted()
    }

    /// Bytes in the spill directory now.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared().spilled_bytes()
    }

    /// The statistics of the computation that ended last.
    pub fn last_stats(&self) -> Stats {
        self.shared().finished.lock().last.clone()
    }

    /// The statistics of all computations of the session that ended: sums, and the largest peaks.
    pub fn stats(&self) -> Stats {
        self.shared().finished.lock().total.clone()
    }

    /// The events of the computations that ended, the newest kept.
    pub fn trace(&self) -> Trace {
        self.shared().finished.lock().trace.clone()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Freezes a graph as this session would run it.
    ///
    /// # Errors
    /// Those of [`Graph::freeze`].
    pub fn freeze(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Program> {
        let shared = self.shared();
        let options = FreezeOptions {
            fuse: shared.fuse,
            fused_bytes_max: shared.capacity / 4,
        };
        graph.freeze(outputs, &options)
    }

    /// What running a program in this session needs: its peak, the smallest budget that works,
    /// the predicted spill and I/O.
    pub fn certify(&self, program: &Program) -> Certificate {
        let shared = self.shared();
        certify(program, shared.ledger.budget(), |budget| {
            Fixed::for_budget(budget, shared.threads).total()
        })
    }

    /// Runs a graph; hands every block of the layers `outputs` to `sink` as it is finished, as
    /// (which of `outputs`, task, block). The block's bytes stay charged until `sink` returns.
    ///
    /// # Errors
    /// The first error by rank, or that of `sink`.
    pub fn execute_each(
        &self,
        graph: &Graph,
        outputs: &[LayerId],
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        let id = self.submit(graph, outputs, true)?;
        let result = self.shared().deliver(id, sink);
        self.finish(id, result)
    }

    /// The same for a program that [`freeze`](Self::freeze) made.
    ///
    /// # Errors
    /// As [`execute_each`](Self::execute_each).
    pub fn run_each(
        &self,
        program: Program,
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        let id = self.submit_program(program, true)?;
        let result = self.shared().deliver(id, sink);
        self.finish(id, result)
    }

    /// Starts a computation and returns at once. The blocks stay in the session, are spilled when
    /// memory is short, and are released when the handle is dropped.
    ///
    /// # Errors
    /// When the plan cannot run within the budget.
    pub fn persist(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Persisted>> {
        let id = self.submit(graph, outputs, false)?;
        Ok(Persisted::new(self, id, outputs.len()))
    }

    fn submit(&self, graph: &Graph, outputs: &[LayerId], deliver: bool) -> Result<u64> {
        self.refuse_nested()?;
        self.submit_program(self.freeze(graph, outputs)?, deliver)
    }

    fn refuse_nested(&self) -> Result<()> {
        let shared = self.shared();
        if InTask::is_inside(shared) {
            return Err(Error::new(
                ErrorKind::Nested,
                "a computation was started from inside a task of the same session; build one \
                 graph instead, or use another session",
            ));
        }
        Ok(())
    }

    /// Refuses to collect a result whose known size does not fit, before anything runs.
    fn refuse_large_result(&self, program: &Program) -> Result<()> {
        let shared = self.shared();
        let outputs = program.outputs().iter().flatten();
        let footprints = outputs.map(|&task| program.footprint(task));
        let exact = footprints.filter(|own| own.certainty == Certainty::Exact);
        let bytes = exact.fold(0u64, |sum, own| sum.saturating_add(own.output_bytes));
        if bytes <= shared.capacity {
            return Ok(());
        }
        Err(large_result(bytes, shared.ledger.budget()))
    }

    fn submit_program(&self, program: Program, deliver: bool) -> Result<u64> {
        self.refuse_nested()?;
        let shared = self.shared();
        shared.check_cancelled()?;
        let program = Arc::new(program);
        let certificate = self.certify(&program);
        if let Some(refusal) = certificate.refusal(&program) {
            return Err(refusal);
        }
        shared.admit_run(program, &certificate, deliver)
    }

    /// Removes a run and turns it into its result.
    pub(crate) fn finish(&self, id: u64, result: Result<()>) -> Result<()> {
        let shared = self.shared();
        if result.is_err() {
            shared.stop(id);
        }
        shared.wait_until_quiet(id);
        let error = shared.remove(id);
        match (result, error) {
            // stopping because of `result` cancelled the run: the cause is reported
            (Err(cause), Some(error)) if error.is_cancelled() => Err(cause),
            (_, Some(error)) => Err(error),
            (result, None) => result,
        }
    }
}

impl Execute for Session {
    fn resources(&self) -> Resources {
        let shared = self.shared();
        Resources {
            // a part stays for programs: they are charged when they are frozen
            budget_bytes: shared.capacity - shared.capacity / 32,
            threads: shared.threads,
        }
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        self.refuse_nested()?;
        let program = self.freeze(graph, outputs)?;
        self.refuse_large_result(&program)?;
        let id = self.submit_program(program, false)?;
        let result = self.shared().collect(id);
        match result {
            Ok(blocks) => self.finish(id, Ok(())).map(|()| blocks),
            Err(error) => Err(self
                .finish(id, Err(error))
                .err()
                .unwrap_or_else(Error::cancelled)),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        {
            let mut core = self.shared.core.lock();
            core.shutdown = true;
            let ids: Vec<u64> = core.runs.keys().copied().collect();
            for id in ids {
                if let Some(run) = core.runs.get_mut(&id) {
                    run.fail(0, Error::cancelled());
                }
            }
        }
        self.shared.wake.notify_all();
        self.shared.io_wake.notify_all();
        self.shared.io_done.notify_all();
        let own = std::thread::current().id();
        for thread in self.threads.lock().drain(..) {
            // the last handle may be dropped by a task on a worker
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

/// What a session needs whatever it runs, leased for its whole life.
struct Fixed {
    io_threads: usize,
    frame_bytes: usize,
    ring_events: usize,
    io_bytes: u64,
    ring_bytes: u64,
}

impl Fixed {
    fn for_budget(budget: u64, threads: usize) -> Self {
        const RING_EVENTS_MAX: u64 = 16_384;
        let io_threads = if budget < 32 << 20 { 1 } else { 2 };
        // each I/O thread, each worker that reloads and each task that evicts holds one frame
        let frame_bytes = (budget / 512).clamp(4 << 10, 1 << 20) as usize;
        let event = size_of::<Event>() as u64;
        let rings = (threads + io_threads) as u64;
        let ring_events = (budget / 64 / event / rings).clamp(16, RING_EVENTS_MAX) as usize;
        Fixed {
            io_threads,
            frame_bytes,
            ring_events,
            io_bytes: (threads + io_threads + 1) as u64 * frame_bytes as u64,
            ring_bytes: ring_events as u64 * event * rings,
        }
    }

    fn total(&self) -> u64 {
        self.io_bytes + self.ring_bytes
    }
}

impl Shared {
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }

    pub(crate) fn record(&self, thread: usize, events: &[Event]) {
        self.recorders[thread].record(events);
        for observer in &self.observers {
            events.iter().for_each(|event| observer.event(event));
        }
    }

    /// The spill store, opened when it is first needed.
    pub(crate) fn spill_store(&self) -> Result<&Arc<SpillStore>> {
        let store = self.spill.get_or_init(|| {
            let make = self
                .make_medium
                .lock()
                .take()
                .expect("taken once, by this initialiser");
            let medium = make().map_err(|error| error.to_string())?;
            Ok(Arc::new(SpillStore::new(
                medium,
                self.spill_quota,
                self.frame_bytes,
            )))
        });
        store
            .as_ref()
            .map_err(|message| Error::new(ErrorKind::Spill, message.clone()))
    }

    pub(crate) fn read_extent(&self, extent: &Extent) -> Result<Block> {
        self.spill_store()?.read(extent)
    }

    /// The pool for inner parallelism. Its threads only ever run what [`lend`](Self::lend) allows.
    pub(crate) fn pool(&self) -> &rayon::ThreadPool {
        self.pool.get_or_init(|| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .thread_name(|index| format!("flagstone-inner-{index}"))
                .build()
                .expect("the threads of a small pool can be started")
        })
    }

    /// Takes up to `wanted` idle workers out of service.
    pub(crate) fn lend(&self, wanted: usize) -> usize {
        let mut core = self.core.lock();
        let lent = wanted.min(core.idle.saturating_sub(core.lent));
        core.lent += lent;
        lent
    }

    pub(crate) fn lendable(&self) -> usize {
        let core = self.core.lock();
        core.idle.saturating_sub(core.lent)
    }

    pub(crate) fn take_back(&self, lent: usize) {
        self.core.lock().lent -= lent;
        self.wake.notify_all();
    }

    /// Grants bytes to a running task beyond its footprint: evicts, writes what it must, waits
    /// for spills under way, never for another task.
    pub(crate) fn grow(&self, run: u64, rank: u32, bytes: u64) -> std::result::Result<(), u64> {
        let mut core = self.core.lock();
        loop {
            match core.room_now(&self.ledger, bytes, run, rank) {
                Room::Granted => return Ok(()),
                Room::None => return Err(self.ledger.free()),
                Room::WaitForIo => {
                    self.io_wake.notify_all();
                    self.io_done.wait_for(&mut core, Duration::from_millis(50));
                }
                Room::Write(job) => {
                    drop(core);
                    worker::serve(self, self.threads, job);
                    core = self.core.lock();
                }
            }
            let garbage = std::mem::take(&mut core.garbage);
            parking_lot::MutexGuard::unlocked(&mut core, || drop(garbage));
        }
    }

    /// Waits until the run's minimum and its program fit beside those of the other runs, then
    /// starts it.
    fn admit_run(
        &self,
        program: Arc<Program>,
        certificate: &Certificate,
        deliver: bool,
    ) -> Result<u64> {
        let program_bytes = certificate.program_bytes();
        let minimum = certificate.minimum_data_bytes();
        let mut core = self.core.lock();
        let id = core.next_run;
        core.next_run += 1;
        loop {
            self.check_cancelled()?;
            let reserved: u64 = core
                .runs
                .values()
                .filter(|run| !run.finished)
                .map(|run| run.minimum_bytes + run.program_bytes)
                .sum();
            let fits = reserved + minimum + program_bytes <= self.capacity;
            if fits
                && matches!(
                    self.room_for_program(&mut core, id, program_bytes),
                    Room::Granted
                )
            {
                break;
            }
            self.done.wait_for(&mut core, Duration::from_millis(20));
        }
        if core.runs.is_empty() {
            self.ledger.reset_peak();
        }
        let run = Run::new(
            Arc::new(RunShared {
                id,
                program,
                limit: AtomicU32::new(u32::MAX),
                cancelled: AtomicBool::new(false),
                counters: Default::default(),
            }),
            self.threads,
            deliver,
            program_bytes,
            minimum,
            certificate.peak_bytes(),
        );
        core.runs.insert(id, run);
        drop(core);
        self.wake.notify_all();
        Ok(id)
    }

    fn room_for_program(
        &self,
        core: &mut parking_lot::MutexGuard<'_, Core>,
        id: u64,
        bytes: u64,
    ) -> Room {
        let room = core.room_now(&self.ledger, bytes, id, 0);
        match room {
            Room::Write(job) => {
                parking_lot::MutexGuard::unlocked(core, || worker::serve(self, self.threads, job));
                Room::WaitForIo
            }
            room => room,
        }
    }

    /// Waits for a run's end, watching for cancellation and telling observers.
    pub(crate) fn wait_until(&self, id: u64, mut ready: impl FnMut(&mut Core) -> bool) {
        let mut last = Instant::now();
        let mut core = self.core.lock();
        loop {
            if self.is_cancelled()
                && let Some(run) = core.runs.get_mut(&id)
                && run.error.is_none()
            {
                run.fail(0, Error::cancelled());
                run.update_finished();
                self.wake.notify_all();
            }
            if ready(&mut core) {
                return;
            }
            self.done.wait_for(&mut core, Duration::from_millis(25));
            if !self.observers.is_empty() && last.elapsed() >= Duration::from_millis(100) {
                last = Instant::now();
                if let Some(snapshot) = self.snapshot(&core, id) {
                    parking_lot::MutexGuard::unlocked(&mut core, || {
                        self.observers
                            .iter()
                            .for_each(|observer| observer.snapshot(&snapshot));
                    });
                }
            }
        }
    }

    fn is_finished(core: &Core, id: u64) -> bool {
        core.runs.get(&id).is_none_or(|run| run.finished)
    }

    pub(crate) fn wait_for_run(&self, id: u64) {
        self.wait_until(id, |core| Self::is_finished(core, id));
    }

    /// Ends a persisted run and releases its blocks.
    pub(crate) fn forget(&self, id: u64) {
        self.stop(id);
        self.wait_until_quiet(id);
        self.remove(id);
    }

    fn wait_until_quiet(&self, id: u64) {
        self.wait_until(id, |core| {
            // blocks under way to or from the disk still belong to the run
            Self::is_finished(core, id) && core.io_running == 0
        });
    }

    pub(crate) fn stop(&self, id: u64) {
        let mut core = self.core.lock();
        if let Some(run) = core.runs.get_mut(&id) {
            if run.error.is_none() && !run.finished {
                run.fail(0, Error::cancelled());
            }
            run.update_finished();
        }
        self.wake.notify_all();
    }

    /// Waits for the end and collects the outputs. They stay charged until the run is removed.
    fn collect(&self, id: u64) -> Result<Vec<Vec<Block>>> {
        self.wait_until(id, |core| Self::is_finished(core, id));
        let program = {
            let core = self.core.lock();
            let Some(run) = core.runs.get(&id) else {
                return Err(Error::cancelled());
            };
            if run.error.is_some() {
                return Err(Error::cancelled()); // the run's own error is reported by `finish`
            }
            Arc::clone(&run.shared.program)
        };
        let collect = |tasks: &Vec<TaskId>| {
            tasks
                .iter()
                .map(|task| self.hand_over(id, task.0, true))
                .collect::<Result<Vec<_>>>()
        };
        program.outputs().iter().map(collect).collect()
    }

    /// Hands outputs to `sink` as they finish.
    fn deliver(
        &self,
        id: u64,
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        let program = match self.core.lock().runs.get(&id) {
            Some(run) => Arc::clone(&run.shared.program),
            None => return Ok(()),
        };
        // where each output task was asked for, by rank
        let mut places: Vec<(u32, u32, u32)> = Vec::new();
        for (output, tasks) in program.outputs().iter().enumerate() {
            places.reserve_exact(tasks.len());
            let place = |(index, task): (usize, &TaskId)| (task.0, output as u32, index as u32);
            places.extend(tasks.iter().enumerate().map(place));
        }
        places.sort_unstable();
        let mut ranks: Vec<u32> = Vec::new();
        loop {
            ranks.clear();
            self.wait_until(id, |core| {
                let Some(run) = core.runs.get_mut(&id) else {
                    return true;
                };
                // a few at a time: what is pinned here cannot be evicted
                let some = run.delivery.len().min(64);
                ranks.extend(run.delivery.drain(..some));
                some > 0 || run.finished
            });
            if ranks.is_empty() {
                return Ok(());
            }
            self.deliver_some(id, &ranks, &places, sink)?;
        }
    }

    fn deliver_some(
        &self,
        id: u64,
        ranks: &[u32],
        places: &[(u32, u32, u32)],
        sink: &mut dyn FnMut(usize, u32, Block) -> Result<()>,
    ) -> Result<()> {
        // what is resident is pinned under one lock; what was spilled comes one by one
        let mut blocks: Vec<Option<Block>> = {
            let mut core = self.core.lock();
            let Some(run) = core.runs.get_mut(&id) else {
                return Ok(());
            };
            let mut resident = |&rank: &u32| {
                let block = run.tasks.block(rank).cloned();
                if block.is_some() {
                    run.tasks.pin(rank);
                }
                block
            };
            ranks.iter().map(&mut resident).collect()
        };
        let mut result = Ok(());
        for (&rank, block) in ranks.iter().zip(&mut blocks) {
            if block.is_none() && result.is_ok() {
                match self.hand_over(id, rank, false) {
                    Ok(reloaded) => *block = Some(reloaded),
                    Err(error) => result = Err(error),
                }
            }
            let first = places.partition_point(|place| place.0 < rank);
            for &(_, output, index) in places[first..].iter().take_while(|place| place.0 == rank) {
                if let (Ok(()), Some(block)) = (&result, block.as_ref()) {
                    result = sink(output as usize, index, block.clone());
                }
            }
        }
        let mut core = self.core.lock();
        for (&rank, block) in ranks.iter().zip(&blocks) {
            if block.is_some() {
                let first = places.partition_point(|place| place.0 < rank);
                let times = places[first..]
                    .iter()
                    .take_while(|place| place.0 == rank)
                    .count();
                core.delivered_times(&self.ledger, id, rank, times);
            }
        }
        let garbage = std::mem::take(&mut core.garbage);
        let waiting = core.idle > 0;
        drop(core);
        drop((blocks, garbage));
        if waiting {
            self.wake.notify_all();
        }
        result
    }

    /// An output's block, reloaded if it was spilled. With `hold` its use as an output ends here
    /// and its bytes are charged until the run is removed; otherwise it stays pinned until
    /// `delivered`.
    fn hand_over(&self, id: u64, rank: u32, hold: bool) -> Result<Block> {
        let mut core = self.core.lock();
        core.deliveries_waiting += 1;
        let block = loop {
            let Some(run) = core.runs.get_mut(&id) else {
                break Err(Error::cancelled());
            };
            match run.tasks.state(rank) {
                State::Resident | State::Clean | State::Spilling => {
                    run.tasks.pin(rank);
                    break run.tasks.block(rank).cloned().ok_or_else(Error::cancelled);
                }
                State::Spilled => {
                    let bytes = run.tasks.bytes(rank);
                    match core.room_now(&self.ledger, bytes, id, u32::MAX) {
                        Room::Granted => {
                            let run = core.runs.get_mut(&id).expect("the run is ours to remove");
                            run.tasks.set(rank, State::Spilled, State::Loading);
                            let extent = Arc::clone(
                                run.tasks.extent(rank).expect("spilled blocks have extents"),
                            );
                            let block = parking_lot::MutexGuard::unlocked(&mut core, || {
                                self.read_extent(&extent)
                            });
                            let (block, error) = match block {
                                Ok(block) => (Some(block), None),
                                Err(error) => (None, Some(error)),
                            };
                            core.load_done(&self.ledger, id, rank, block);
                            if let Some(error) = error {
                                break Err(error);
                            }
                        }
                        Room::Write(job) => parking_lot::MutexGuard::unlocked(&mut core, || {
                            worker::serve(self, self.threads, job)
                        }),
                        Room::WaitForIo => {
                            self.io_wake.notify_all();
                            self.io_done.wait_for(&mut core, Duration::from_millis(20));
                        }
                        Room::None if core.running > 0 => {
                            self.done.wait_for(&mut core, Duration::from_millis(5));
                        }
                        Room::None => {
                            let total = core.output_bytes(id);
                            break Err(large_result(total, self.ledger.budget()));
                        }
                    }
                }
                State::Loading => {
                    self.done.wait_for(&mut core, Duration::from_millis(5));
                }
                state => unreachable!("a finished output is {state:?}"),
            }
        };
        core.deliveries_waiting -= 1;
        if hold && block.is_ok() {
            core.held(&self.ledger, id, rank);
        }
        drop(core);
        self.wake.notify_all();
        block
    }

    fn remove(&self, id: u64) -> Option<Error> {
        let mut core = self.core.lock();
        let run = core.remove(&self.ledger, id)?;
        core.spill_error = None;
        let garbage = std::mem::take(&mut core.garbage);
        drop(core);
        drop(garbage);
        self.wake.notify_all();
        self.done.notify_all();
        self.summarise(run)
    }

    /// The ledger's state, at most about a thousand times a second.
    pub(crate) fn ledger_sample(&self, thread: usize, run: u64, now_ns: u64) -> Option<Event> {
        const EVERY_NS: u64 = 1_000_000;
        let last = self.sampled_ns.load(Ordering::Relaxed);
        if now_ns < last + EVERY_NS {
            return None;
        }
        self.sampled_ns.store(now_ns, Ordering::Relaxed);
        Some(Event {
            kind: EventKind::Ledger,
            thread: thread as u16,
            run: run as u32,
            rank: 0,
            start_ns: now_ns,
            end_ns: now_ns,
            bytes: self.ledger.granted(),
            detail: self.spilled_bytes(),
        })
    }

    pub(crate) fn record_waits(&self, thread: usize, waits: Vec<Wait>) {
        for wait in waits {
            let end_ns = self.now_ns();
            let waited_ns = wait.since.elapsed().as_nanos() as u64;
            let event = Event {
                kind: EventKind::Wait,
                thread: thread as u16,
                run: wait.run as u32,
                rank: wait.rank,
                start_ns: end_ns.saturating_sub(waited_ns),
                end_ns,
                bytes: wait.bytes,
                detail: 0,
            };
            self.record(thread, &[event]);
        }
    }

    pub(crate) fn spilled_bytes(&self) -> u64 {
        match self.spill.get() {
            Some(Ok(store)) => store.live_bytes(),
            _ => 0,
        }
    }

    /// Statistics, trace and the error of a run that was removed.
    fn summarise(&self, run: Run) -> Option<Error> {
        let counters =
            Counter::ALL.map(|c| run.shared.counters[c as usize].load(Ordering::Relaxed));
        let program = &run.shared.program;
        let stats = Stats {
            wall_s: run.started.elapsed().as_secs_f64(),
            tasks: run.done,
            reruns: run.reruns,
            ledger_peak_bytes: self.ledger.peak(),
            budget_bytes: self.ledger.budget(),
            certified_peak_bytes: run.certified_peak_bytes,
            bytes_spilled: run.bytes_spilled,
            bytes_reloaded: run.bytes_reloaded,
            wait_s: run.wait_ns as f64 * 1e-9,
            counters,
            layers: run.layers,
        };
        let names = |index: usize| match index.checked_sub(self.threads) {
            None => format!("worker {index}"),
            Some(io) => format!("I/O {io}"),
        };
        let recorders = self
            .recorders
            .iter()
            .enumerate()
            .map(|(i, r)| (names(i), r));
        let mut trace = Trace::collect(recorders, run.shared.id as u32);
        for event in &trace.events {
            if matches!(event.kind, EventKind::Ledger) {
                continue;
            }
            let (layer, _) = program.place(TaskId(event.rank));
            trace.layer_of.insert((event.run, event.rank), layer as u32);
        }
        trace.layers = (0..program.layer_count())
            .map(|layer| TraceLayer {
                name: program.layer_name(layer).to_owned(),
                location: program
                    .location(layer)
                    .map(|at| format!("{}:{}", at.file(), at.line())),
            })
            .collect();
        let mut slowest: Vec<&Event> = trace
            .events
            .iter()
            .filter(|event| event.kind == EventKind::Task)
            .collect();
        slowest.sort_by_key(|event| std::cmp::Reverse(event.end_ns - event.start_ns));
        trace.keys = slowest
            .iter()
            .take(20)
            .map(|event| {
                (
                    (event.run, event.rank),
                    program.key(TaskId(event.rank)).to_string(),
                )
            })
            .collect();
        let mut finished = self.finished.lock();
        finished.total.add(&stats);
        finished.last = stats.clone();
        finished.trace.append(trace);
        drop(finished);
        self.observers
            .iter()
            .for_each(|observer| observer.finished(&stats));
        run.error.map(|(_, error)| error)
    }

    fn snapshot(&self, core: &Core, id: u64) -> Option<Snapshot> {
        let run = core.runs.get(&id)?;
        let program = &run.shared.program;
        let counter = |c: Counter| run.shared.counters[c as usize].load(Ordering::Relaxed);
        let head = run.head.min(program.task_count().saturating_sub(1) as u32);
        let layer = match program.task_count() {
            0 => String::new(),
            _ => program.layer_name(program.place(TaskId(head)).0).to_owned(),
        };
        let waiting = core.wait.filter(|wait| wait.run == id).map(|wait| {
            format!(
                "{} needs {}, {} of {} granted, {} running",
                program.key(TaskId(wait.rank)),
                format_bytes(wait.bytes),
                format_bytes(self.ledger.granted()),
                format_bytes(self.ledger.budget()),
                core.running
            )
        });
        let spilled_bytes = self.spilled_bytes();
        Some(Snapshot {
            elapsed: run.started.elapsed(),
            tasks_done: run.done,
            tasks_total: program.task_count() as u64,
            bytes_read: counter(Counter::BytesRead),
            bytes_to_read: 0,
            bytes_written: counter(Counter::BytesWritten),
            resident_bytes: self.ledger.granted(),
            budget_bytes: self.ledger.budget(),
            spilled_bytes,
            waiting,
            layer,
        })
    }
}

fn large_result(bytes: u64, budget: u64) -> Error {
    Error::new(
        ErrorKind::Budget,
        format!(
            "the result holds {} and does not fit in the budget of {}; write it to files \
             (write_*, store_*) or raise the budget",
            format_bytes(bytes),
            format_bytes(budget)
        ),
    )
}

/// What a program costs while it runs, per task and edge.
pub(crate) fn program_bytes(program: &Program) -> u64 {
    12 + program.task_count() as u64 * (12 + Tasks::BYTES_PER_TASK)
        + program.edge_count() as u64 * 8
}
