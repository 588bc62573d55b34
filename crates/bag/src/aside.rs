//! Memory that is set aside for one side of a task, so that the other does not take it first.
//!
//! A task declares what reading takes and what its sinks take, and is granted both. But tables,
//! buffers and runs grow into whatever is free: if the source leased its block only when it opens
//! the next file, they would have taken it by then, and a plan that was admitted would fail. So
//! what either side declared is leased before anything else, and only that side draws on it. What
//! it takes beyond comes from the task, for whoever is first.

use std::sync::{Arc, Mutex, PoisonError};

use flagstone_graph::{Counter, Quality, Result, ScratchFile, TaskContext, TaskHost};
use flagstone_memory::{Account, Lease, NeedsMemory};

/// Calls `body` with contexts of which each has so many bytes of its own, and then the task's.
pub(crate) fn set_aside<const N: usize, T>(
    ctx: &TaskContext<'_>,
    bytes: [u64; N],
    body: impl FnOnce([&TaskContext<'_>; N]) -> T,
) -> T {
    let hosts = bytes.map(|bytes| Host::new(ctx, bytes));
    let key = || ctx.key();
    let own: [TaskContext<'_>; N] = std::array::from_fn(|i| TaskContext::new(&hosts[i], &key));
    body(own.each_ref())
}

/// The task's host with another account.
struct Host<'a> {
    ctx: &'a TaskContext<'a>,
    account: Arc<Aside>,
}

impl<'a> Host<'a> {
    fn new(ctx: &'a TaskContext<'a>, bytes: u64) -> Self {
        // where not even that is free, it is leased as it is needed, and then said what is missing
        let lease = (bytes > 0).then(|| ctx.reserve(bytes).ok()).flatten();
        let account = Arc::new(Aside {
            lease,
            beyond: ctx.memory().account(),
            used: Mutex::new(0),
        });
        Host { ctx, account }
    }
}

struct Aside {
    lease: Option<Lease>,
    beyond: Arc<dyn Account>,
    used: Mutex<u64>,
}

impl Aside {
    /// What of so many bytes is not set aside.
    fn over(&self, used: u64) -> u64 {
        used.saturating_sub(self.lease.as_ref().map_or(0, Lease::bytes))
    }
}

impl Account for Aside {
    fn grant(&self, bytes: u64) -> std::result::Result<(), NeedsMemory> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let after = used.saturating_add(bytes);
        let more = self.over(after) - self.over(*used);
        if more > 0 {
            self.beyond.grant(more)?;
        }
        *used = after;
        Ok(())
    }

    fn release(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let after = used.saturating_sub(bytes);
        let less = self.over(*used) - self.over(after);
        if less > 0 {
            self.beyond.release(less);
        }
        *used = after;
    }
}

impl TaskHost for Host<'_> {
    fn account(&self) -> Arc<dyn Account> {
        Arc::clone(&self.account) as Arc<dyn Account>
    }

    fn is_cancelled(&self) -> bool {
        self.ctx.is_cancelled()
    }

    fn count(&self, counter: Counter, amount: u64) {
        self.ctx.count(counter, amount);
    }

    fn tell(&self, source: &str, quality: &Quality) {
        self.ctx.tell(source, quality);
    }

    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        self.ctx.for_each_index(count, body);
    }

    fn parallelism(&self) -> usize {
        self.ctx.parallelism()
    }

    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        self.ctx.scratch_file()
    }
}

#[cfg(test)]
mod tests {
    use flagstone_graph::SerialHost;

    use super::*;

    #[test]
    fn what_is_set_aside_is_drawn_first_and_given_back_in_the_end() {
        let host = SerialHost::new();
        let key = String::new;
        let ctx = TaskContext::new(&host, &key);
        let granted = || host.memory().granted_bytes();
        let kept = set_aside(&ctx, [100], |[own]| {
            assert_eq!(granted(), 100);
            let first = own.reserve(70).unwrap();
            assert_eq!(granted(), 100);
            let mut second = own.reserve(50).unwrap();
            assert_eq!(granted(), 120);
            drop(first);
            assert_eq!(granted(), 100);
            second.try_grow(100).unwrap();
            assert_eq!(granted(), 150);
            second.shrink_to(10);
            assert_eq!(granted(), 100);
            second
        });
        // a lease may outlive the body: then so does what it draws on
        assert_eq!(granted(), 100);
        drop(kept);
        assert_eq!(granted(), 0);
        set_aside(&ctx, [0], |[own]| drop(own.reserve(5).unwrap()));
        assert_eq!((granted(), host.memory().peak_bytes()), (0, 150));
    }
}
