//! A task's memory account.
//!
//! The scheduler grants a task its footprint in advance. Leases taken inside the task draw on that
//! grant first and grow it only beyond. Growing may evict blocks (also by writing them), but never
//! waits for another task. What was granted is given back when the task ends, all but the bytes of
//! its block, so that nobody takes them in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone_common::{Account, NeedsMemory};

use crate::shared::Shared;

/// Growth is asked for in slabs, so that many small leases do not each touch the ledger.
const SLAB_BYTES: u64 = 64 << 10;

pub(crate) struct TaskAccount {
    pub(crate) shared: Arc<Shared>,
    /// What the ledger granted to this task.
    pub(crate) granted: AtomicU64,
    used: AtomicU64,
    pub(crate) run: u64,
    pub(crate) rank: u32,
}

impl TaskAccount {
    pub(crate) fn new(shared: Arc<Shared>, run: u64, rank: u32, granted: u64) -> Self {
        TaskAccount {
            shared,
            granted: AtomicU64::new(granted),
            used: AtomicU64::new(0),
            run,
            rank,
        }
    }
}

impl Account for TaskAccount {
    fn grant(&self, bytes: u64) -> Result<(), NeedsMemory> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let granted = self.granted.load(Ordering::Relaxed);
        if used <= granted {
            return Ok(());
        }
        let missing = used - granted;
        let ledger = &self.shared.ledger;
        let slab = missing.max(SLAB_BYTES.min(ledger.budget() / 1024));
        let grown = if ledger.grant(slab).is_ok() {
            Ok(slab)
        } else {
            self.shared
                .grow(self.run, self.rank, missing)
                .map(|()| missing)
        };
        match grown {
            Ok(bytes) => {
                self.granted.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(available) => {
                self.used.fetch_sub(bytes, Ordering::Relaxed);
                Err(NeedsMemory {
                    wanted_bytes: missing,
                    available_bytes: available,
                })
            }
        }
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}
