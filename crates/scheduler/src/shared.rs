//! What workers, I/O threads and handles of one session share, and how computations wait in it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flagstone_common::{Error, ErrorKind, Result, format_bytes};
use flagstone_graph::{Block, Program};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cancel::CancelToken;
use crate::certify::Certificate;
use crate::fixed::Fixed;
use crate::memory::ledger::Ledger;
use crate::run::core::{Core, Garbage};
use crate::run::eviction::{Needy, Room};
use crate::run::task_run::{Run, RunShared};
use crate::run::worker;
use crate::spill::{Extent, Pages, SpillMedium, SpillStore};
use crate::trace::{Event, Observer, Recorder, Stats, Trace};

/// What workers, I/O threads and handles share.
pub(crate) struct Shared {
    pub(crate) ledger: Arc<Ledger>,
    /// What of scratch files is in memory.
    pub(crate) pages: Arc<Pages>,
    /// The bytes left for data: the budget less the fixed lease.
    pub(crate) capacity: u64,
    pub(crate) threads: usize,
    pub(crate) core: Mutex<Core>,
    /// Held while a plan is made.
    pub(crate) planning: Mutex<()>,
    /// Workers wait here for something to start.
    pub(crate) wake: Condvar,
    /// Submitters wait here for results.
    pub(crate) done: Condvar,
    /// I/O threads wait here for work.
    pub(crate) io_wake: Condvar,
    /// Growing tasks wait here for spills under way.
    pub(crate) io_done: Condvar,
    pub(crate) spill: OnceLock<std::result::Result<Arc<SpillStore>, String>>,
    pub(crate) make_medium: Mutex<Option<MakeMedium>>,
    pub(crate) fixed: Fixed,
    pub(crate) pool: OnceLock<Option<rayon::ThreadPool>>,
    pub(crate) recorders: Vec<Recorder>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) cancel: CancelToken,
    pub(crate) epoch: Instant,
    pub(crate) fuse: bool,
    pub(crate) finished: Mutex<Finished>,
    /// Threads that drop blocks and extents outside the lock, and whether somebody waits for them.
    dropping: AtomicUsize,
    waits_for_drops: AtomicBool,
    /// When the ledger was last sampled for the trace.
    pub(crate) sampled_ns: AtomicU64,
}

pub(crate) type MakeMedium = Box<dyn FnOnce() -> std::io::Result<Box<dyn SpillMedium>> + Send>;

/// What is kept of computations that ended, for diagnostics.
#[derive(Default)]
pub(crate) struct Finished {
    pub(crate) last: Stats,
    pub(crate) total: Stats,
    pub(crate) trace: Trace,
}

impl Shared {
    /// # Errors
    /// A budget that does not even hold what the session itself needs.
    pub(crate) fn new(
        budget: u64,
        threads: usize,
        fixed: Fixed,
        make_medium: MakeMedium,
        observers: Vec<Arc<dyn Observer>>,
        cancel: CancelToken,
        fuse: bool,
    ) -> Result<Self> {
        let ledger = Arc::new(Ledger::new(budget));
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
        let capacity = budget - fixed.total();
        let pages = Arc::new(Pages::new(Arc::clone(&ledger), capacity));
        Ok(Shared {
            capacity,
            ledger,
            threads,
            core: Mutex::new(Core::new(Arc::clone(&pages))),
            pages,
            planning: Mutex::new(()),
            wake: Condvar::new(),
            done: Condvar::new(),
            io_wake: Condvar::new(),
            io_done: Condvar::new(),
            spill: OnceLock::new(),
            make_medium: Mutex::new(Some(make_medium)),
            fixed,
            pool: OnceLock::new(),
            recorders,
            observers,
            cancel,
            epoch: Instant::now(),
            fuse,
            finished: Mutex::default(),
            dropping: AtomicUsize::new(0),
            waits_for_drops: AtomicBool::new(false),
            sampled_ns: AtomicU64::new(0),
        })
    }

    /// Wakes those who have something to do now.
    #[inline]
    pub(crate) fn tell(&self, core: &mut MutexGuard<'_, Core>) {
        if !core.io.is_empty() {
            self.io_wake.notify_all();
        }
        if std::mem::take(&mut core.news) {
            self.done.notify_all();
        }
    }

    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(crate) fn check_cancelled(&self) -> Result<()> {
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
                self.fixed.spill_quota_bytes,
                self.fixed.frame_bytes,
            )))
        });
        store
            .as_ref()
            .map_err(|message| Error::new(ErrorKind::Spill, message.clone()))
    }

    pub(crate) fn read_extent(&self, extent: &Extent) -> Result<Block> {
        self.spill_store()?.read(extent)
    }

    /// The pool for inner parallelism, where its threads can be started. They only ever run what
    /// [`lend`](Self::lend) allows.
    pub(crate) fn pool(&self) -> Option<&rayon::ThreadPool> {
        let pool = self.pool.get_or_init(|| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .thread_name(|index| format!("flagstone-inner-{index}"))
                .build()
                .ok()
        });
        pool.as_ref()
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
        // what the lower ranks need first may not go for this task, unless it is the lowest
        let is_head = core.runs.get(&run).is_none_or(|run| run.head >= rank);
        let needy = Needy {
            run,
            after: (!is_head).then_some(rank),
            older: true,
        };
        loop {
            match core.room_now(&self.ledger, bytes, needy) {
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
            let garbage = self.take_garbage(&mut core);
            MutexGuard::unlocked(&mut core, || self.drop_garbage(garbage));
        }
    }

    /// What is to be dropped outside the lock, by [`drop_garbage`](Self::drop_garbage): whoever waits
    /// for a run to be quiet waits for that, too.
    pub(crate) fn take_garbage(&self, core: &mut Core) -> Garbage {
        self.drops_begin();
        std::mem::take(&mut core.garbage)
    }

    pub(crate) fn drops_begin(&self) {
        self.dropping.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn drop_garbage(&self, garbage: Garbage) {
        drop(garbage);
        self.dropped();
    }

    /// What was taken by `take_garbage` is gone.
    pub(crate) fn dropped(&self) {
        self.dropping.fetch_sub(1, Ordering::AcqRel);
        if self.waits_for_drops.load(Ordering::Acquire) {
            // under the lock, so that who is about to wait is not missed
            let _core = self.core.lock();
            self.done.notify_all();
        }
    }

    /// Waits until the run's minimum and its program fit beside those of the other runs, then
    /// starts it.
    pub(crate) fn admit_run(
        &self,
        program: Arc<Program>,
        certificate: &Certificate,
        deliver: bool,
    ) -> Result<u64> {
        let program_bytes = certificate.program_bytes();
        let minimum = certificate.minimum_data_bytes();
        let headroom = self.capacity.saturating_sub(minimum + program_bytes);
        let mut core = self.core.lock();
        let id = core.next_run;
        core.next_run += 1;
        loop {
            self.check_cancelled()?;
            let runs: u64 = core.runs.values().map(Run::reserved_bytes).sum();
            let reserved = runs + core.planned_bytes;
            let fits = reserved + minimum + program_bytes <= self.capacity;
            if fits {
                let room = self.room_for_program(&mut core, id, program_bytes);
                if matches!(room, Room::Granted) {
                    break;
                }
                if let Some(error) = Self::full_disk(&mut core, &room) {
                    return Err(error);
                }
            }
            self.done.wait_for(&mut core, Duration::from_millis(20));
        }
        if core.runs.is_empty() {
            self.ledger.reset_peak();
        }
        let shared = Arc::new(RunShared::new(id, program, headroom));
        let run = Run::new(shared, self.threads, deliver, certificate);
        core.runs.insert(id, run);
        drop(core);
        self.wake.notify_all();
        Ok(id)
    }

    pub(crate) fn room_for_program(
        &self,
        core: &mut MutexGuard<'_, Core>,
        id: u64,
        bytes: u64,
    ) -> Room {
        let needy = Needy {
            run: id,
            after: None,
            older: true,
        };
        loop {
            match core.room_now(&self.ledger, bytes, needy) {
                Room::Write(job) => {
                    MutexGuard::unlocked(core, || worker::serve(self, self.threads, job));
                }
                room => return room,
            }
        }
    }

    /// Why nothing will ever be free: nothing is under way, and the disk did not take what should
    /// have left. The next attempt tries it again.
    pub(crate) fn full_disk(core: &mut Core, room: &Room) -> Option<Error> {
        let nothing = core.running == 0 && core.io_running == 0;
        match room {
            Room::None if nothing => core.spill_error.take(),
            _ => None,
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
                    MutexGuard::unlocked(&mut core, || {
                        self.observers
                            .iter()
                            .for_each(|observer| observer.snapshot(&snapshot));
                    });
                }
            }
        }
    }

    pub(crate) fn is_finished(core: &Core, id: u64) -> bool {
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

    /// Waits until a run has ended and the disk is as it was before: blocks under way to or from it
    /// belong to the run, and so do those that are being dropped.
    pub(crate) fn wait_until_quiet(&self, id: u64) {
        self.waits_for_drops.store(true, Ordering::Release);
        self.wait_until(id, |core| {
            let run = core.runs.get(&id);
            run.is_none_or(|run| run.finished && run.io == 0)
                && self.dropping.load(Ordering::Acquire) == 0
        });
        self.waits_for_drops.store(false, Ordering::Release);
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

    pub(crate) fn remove(&self, id: u64) -> Option<Error> {
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

    pub(crate) fn spilled_bytes(&self) -> u64 {
        match self.spill.get() {
            Some(Ok(store)) => store.live_bytes(),
            _ => 0,
        }
    }
}
