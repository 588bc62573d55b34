//! Memory that is reserved for one side of a task, so that the other does not take it first.
//!
//! A task declares what reading takes and what its sinks take, and is granted both. But tables,
//! buffers and runs grow into whatever is free: if the source leased its block only when it opens
//! the next file, they would have taken it by then, and a plan that was admitted would fail. So
//! what either side declared is leased before anything else, and only that side draws on it. What
//! it takes beyond comes from the task, for whoever is first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::context::{Counter, ScratchFile, TaskContext, TaskHost};
use crate::error::Result;
use crate::lease::{Account, NeedsMemory};
use crate::quality::Quality;

/// What one side of a task draws on.
pub struct Reserve<'a> {
    ctx: &'a TaskContext<'a>,
    account: &'a ReserveAccount,
}

impl<'a> Reserve<'a> {
    /// The task, with memory of its own.
    ///
    /// ```
    /// use flagstone_common::{SerialHost, TaskContext, with_reserves};
    ///
    /// let (host, key) = (SerialHost::new(), || String::new());
    /// let ctx = TaskContext::new(&host, &key);
    /// with_reserves(&ctx, [100], |[own]| {
    ///     let lease = own.ctx().reserve(70);
    ///     assert!(lease.is_ok() && host.memory().granted_bytes() == 100);
    /// });
    /// ```
    pub fn ctx(&self) -> &'a TaskContext<'a> {
        self.ctx
    }

    /// This side is done: what it does not hold is there for the others.
    ///
    /// ```
    /// use flagstone_common::{SerialHost, TaskContext, with_reserves};
    ///
    /// let (host, key) = (SerialHost::new(), || String::new());
    /// let ctx = TaskContext::new(&host, &key);
    /// with_reserves(&ctx, [100, 50], |[reading, _]| {
    ///     reading.give_back();
    ///     assert_eq!(host.memory().granted_bytes(), 50);
    /// });
    /// ```
    pub fn give_back(&self) {
        self.account.close();
    }
}

/// Calls `body` with contexts of which each has so many bytes of its own, and then the task's.
///
/// ```
/// use flagstone_common::{SerialHost, TaskContext, with_reserves};
///
/// let (host, key) = (SerialHost::new(), || String::new());
/// let ctx = TaskContext::new(&host, &key);
/// let sides = with_reserves(&ctx, [100, 50], |sides| sides.len());
/// assert_eq!((sides, host.memory().granted_bytes()), (2, 0));
/// ```
pub fn with_reserves<const N: usize, T>(
    ctx: &TaskContext<'_>,
    bytes: [u64; N],
    body: impl FnOnce([&Reserve<'_>; N]) -> T,
) -> T {
    let hosts = bytes.map(|bytes| Host::new(ctx, bytes));
    let key = || ctx.key();
    let own: [TaskContext<'_>; N] = std::array::from_fn(|i| TaskContext::new(&hosts[i], &key));
    let reserves: [Reserve<'_>; N] = std::array::from_fn(|i| Reserve {
        ctx: &own[i],
        account: &hosts[i].account,
    });
    body(reserves.each_ref())
}

/// The task's host with another account.
struct Host<'a> {
    ctx: &'a TaskContext<'a>,
    account: Arc<ReserveAccount>,
}

impl<'a> Host<'a> {
    fn new(ctx: &'a TaskContext<'a>, bytes: u64) -> Self {
        let beyond = ctx.memory().account();
        // where not even that is free, it is leased as it is needed, and then said what is missing
        let free = match bytes > 0 && beyond.grant(bytes).is_ok() {
            true => bytes,
            false => 0,
        };
        let account = Arc::new(ReserveAccount {
            beyond,
            free: AtomicU64::new(free),
            over: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        });
        Host { ctx, account }
    }
}

/// No lock is held while the task's own account is asked: it may take the ledger's, and evict.
struct ReserveAccount {
    beyond: Arc<dyn Account>,
    /// What is reserved and not in use.
    free: AtomicU64,
    /// What is in use beyond what was reserved.
    over: AtomicU64,
    is_closed: AtomicBool,
}

/// Takes as much of so many bytes as there is.
fn take(from: &AtomicU64, bytes: u64) -> u64 {
    // Relaxed: the sums guard no other data
    let left = |there: u64| Some(there.saturating_sub(bytes));
    let before = from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    before.unwrap_or_else(|there| there).min(bytes)
}

impl ReserveAccount {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.beyond.release(take(&self.free, u64::MAX));
    }
}

impl Account for ReserveAccount {
    fn grant(&self, bytes: u64) -> std::result::Result<(), NeedsMemory> {
        let own = take(&self.free, bytes);
        let more = bytes - own;
        if more > 0 {
            if let Err(needs) = self.beyond.grant(more) {
                self.free.fetch_add(own, Ordering::Relaxed);
                return Err(needs);
            }
            self.over.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }

    fn release(&self, bytes: u64) {
        let mut less = take(&self.over, bytes);
        if self.is_closed.load(Ordering::Relaxed) {
            less = bytes;
        } else {
            self.free.fetch_add(bytes - less, Ordering::Relaxed);
        }
        if less > 0 {
            self.beyond.release(less);
        }
    }
}

impl Drop for ReserveAccount {
    fn drop(&mut self) {
        // what is in use holds the account, so all of it is free by now
        self.beyond.release(*self.free.get_mut());
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

    fn report(&self, source: &str, quality: &Quality) {
        self.ctx.report(source, quality);
    }

    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        self.ctx.for_each_index(count, body);
    }

    fn parallelism(&self) -> usize {
        self.ctx.parallelism()
    }

    fn headroom_bytes(&self) -> u64 {
        self.ctx.headroom_bytes()
    }

    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        self.ctx.scratch_file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SerialHost;

    #[test]
    fn what_is_set_aside_is_drawn_first_and_given_back_in_the_end() {
        let host = SerialHost::new();
        let key = String::new;
        let ctx = TaskContext::new(&host, &key);
        let granted = || host.memory().granted_bytes();
        let kept = with_reserves(&ctx, [100], |[own]| {
            assert_eq!(granted(), 100);
            let own = own.ctx();
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
        with_reserves(&ctx, [0], |[own]| drop(own.ctx().reserve(5).unwrap()));
        assert_eq!((granted(), host.memory().peak_bytes()), (0, 150));
    }

    #[test]
    fn a_side_that_is_done_leaves_its_memory_to_the_others() {
        let host = SerialHost::new();
        let key = String::new;
        let ctx = TaskContext::new(&host, &key);
        let granted = || host.memory().granted_bytes();
        with_reserves(&ctx, [100, 30], |[reading, making]| {
            let mut held = reading.ctx().reserve(60).unwrap();
            reading.give_back();
            assert_eq!(granted(), 90);
            held.shrink_to(20);
            assert_eq!(granted(), 50);
            let late = reading.ctx().reserve(5).unwrap();
            let made = making.ctx().reserve(40).unwrap();
            assert_eq!(granted(), 65);
            drop((held, late));
            assert_eq!(granted(), 40);
            drop(made);
        });
        assert_eq!((granted(), host.memory().peak_bytes()), (0, 130));
    }

    #[test]
    fn threads_that_lease_at_once_leave_nothing_behind() {
        let host = SerialHost::new();
        let key = String::new;
        let ctx = TaskContext::new(&host, &key);
        with_reserves(&ctx, [1000], |[own]| {
            std::thread::scope(|scope| {
                for thread in 1..=4u64 {
                    scope.spawn(move || {
                        for i in 0..2000 {
                            let first = own.ctx().reserve(i * thread % 700).unwrap();
                            let second = own.ctx().reserve(i % 300).unwrap();
                            drop(first);
                            drop(second);
                        }
                    });
                }
            });
            assert_eq!(host.memory().granted_bytes(), 1000);
        });
        assert_eq!(host.memory().granted_bytes(), 0);
    }
}
