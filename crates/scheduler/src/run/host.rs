//! What a running task sees of the session.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagstone_graph::{Counter, Result, ScratchFile, TaskHost};
use flagstone_memory::Account;

use super::core::RunShared;
use crate::memory::task::TaskAccount;
use crate::session::Shared;

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

pub(crate) struct Host {
    pub(crate) shared: Arc<Shared>,
    pub(crate) run: Arc<RunShared>,
    pub(crate) account: Arc<TaskAccount>,
}

impl TaskHost for Host {
    fn account(&self) -> Arc<dyn Account> {
        Arc::clone(&self.account) as Arc<dyn Account>
    }

    fn is_cancelled(&self) -> bool {
        self.run.cancelled.load(Ordering::Relaxed)
            && self.account.rank >= self.run.limit.load(Ordering::Relaxed)
            || self.shared.is_cancelled()
    }

    fn count(&self, counter: Counter, amount: u64) {
        self.run.counters[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let lent = self.shared.lend(count.saturating_sub(1));
        if lent == 0 {
            return (0..count).for_each(body);
        }
        // gives the permits back also when `body` panics
        struct Permits<'a>(&'a Shared, usize);
        impl Drop for Permits<'_> {
            fn drop(&mut self) {
                self.0.take_back(self.1);
            }
        }
        let _permits = Permits(&self.shared, lent);
        let next = AtomicUsize::new(0);
        let work = || {
            let _inside = InTask::enter(&self.shared);
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
        self.shared.pool().in_place_scope(|scope| {
            for _ in 0..lent {
                scope.spawn(|_| work());
            }
            work();
        });
    }

    fn parallelism(&self) -> usize {
        1 + self.shared.lendable()
    }

    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        Ok(Box::new(self.shared.spill_store()?.scratch()?))
    }
}
