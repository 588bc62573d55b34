//! What a running task sees of the session.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use flagstone_common::{
    Account, Counter, Error, Qualities, Quality, Result, ScratchFile, TaskHost,
};
use parking_lot::Mutex;

use super::task_run::RunShared;
use crate::memory::task::TaskAccount;
use crate::shared::Shared;
use crate::spill::{Opener, Scratch};

thread_local! {
    /// The session whose task runs on this thread, to refuse terminals inside tasks.
    static IN_TASK: Cell<usize> = const { Cell::new(0) };
}

/// Marks this thread as running a task of a session.
pub(crate) struct InTask(usize);

impl InTask {
    pub(crate) fn enter(shared: &Arc<Shared>) -> Self {
        InTask(IN_TASK.replace(Arc::as_ptr(shared) as usize))
    }

    pub(crate) fn is_inside(shared: &Arc<Shared>) -> bool {
        IN_TASK.get() == Arc::as_ptr(shared) as usize
    }
}

impl Drop for InTask {
    fn drop(&mut self) {
        IN_TASK.set(self.0);
    }
}

pub(crate) struct Host<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) run: &'a RunShared,
    pub(crate) rank: u32,
    /// What was granted at admission.
    pub(crate) granted: u64,
    /// Opened when the task first leases.
    account: OnceLock<Arc<TaskAccount>>,
    /// What the task reported of its sources; mostly nothing.
    reported: Mutex<Option<Box<Qualities>>>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        run: &'a RunShared,
        rank: u32,
        granted: u64,
    ) -> Self {
        Host {
            shared,
            run,
            rank,
            granted,
            account: OnceLock::new(),
            reported: Mutex::new(None),
        }
    }

    /// What the task was granted in the end.
    pub(crate) fn granted(&self) -> u64 {
        match self.account.get() {
            Some(account) => account.granted.load(Ordering::Relaxed),
            None => self.granted,
        }
    }

    /// What the task reported of its sources. It has ended: no lock is taken.
    pub(crate) fn into_reported(self) -> Option<Box<Qualities>> {
        self.reported.into_inner()
    }
}

impl TaskHost for Host<'_> {
    fn account(&self) -> Arc<dyn Account> {
        let account = self.account.get_or_init(|| {
            Arc::new(TaskAccount::new(
                Arc::clone(self.shared),
                self.run.id,
                self.rank,
                self.granted,
            ))
        });
        Arc::clone(account) as Arc<dyn Account>
    }

    fn is_cancelled(&self) -> bool {
        self.run.cancelled.load(Ordering::Relaxed)
            && self.rank >= self.run.limit.load(Ordering::Relaxed)
            || self.shared.is_cancelled()
    }

    fn count(&self, counter: Counter, amount: u64) {
        self.run.count(self.rank, counter, amount);
    }

    fn report(&self, source: &str, quality: &Quality) {
        let mut reported = self.reported.lock();
        let sources = reported.get_or_insert_default();
        sources.entry(source.to_owned()).or_default().add(quality);
    }

    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let lent = self.shared.lend(count.saturating_sub(1));
        if lent == 0 {
            return (0..count).for_each(body);
        }
        // gives the permits back also when `body` panics
        struct Permits<'b>(&'b Shared, usize);
        impl Drop for Permits<'_> {
            fn drop(&mut self) {
                self.0.take_back(self.1);
            }
        }
        let _permits = Permits(self.shared, lent);
        let next = AtomicUsize::new(0);
        let work = || {
            let _inside = InTask::enter(self.shared);
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    return;
                }
                body(i);
            }
        };
        // This thread is an outsider of the pool: it works on `body` and then waits, and never
        // picks up anything else while it waits.
        let Some(pool) = self.shared.pool() else {
            return work();
        };
        pool.in_place_scope(|scope| {
            for _ in 0..lent {
                scope.spawn(|_| work());
            }
            work();
        });
    }

    fn parallelism(&self) -> usize {
        1 + self.shared.lendable()
    }

    fn headroom_bytes(&self) -> u64 {
        self.run.headroom_bytes
    }

    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        let opener = Opener {
            run: self.run.id,
            rank: self.rank,
            scratched: Arc::clone(&self.run.scratched),
        };
        let shared = Arc::downgrade(self.shared);
        let open_store = Box::new(move || {
            let shared = shared.upgrade().ok_or_else(Error::cancelled)?;
            shared.spill_store().cloned()
        });
        let scratch = Scratch::new(open_store, &self.shared.pages, opener);
        Ok(Box::new(scratch))
    }
}
