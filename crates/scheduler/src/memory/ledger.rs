//! The ledger: one number of granted bytes against one number of budget.
//!
//! It only counts. Who waits, what is evicted and who goes first are decided in `run`.
//!
//! # Invariants
//! 1. `granted <= budget`, always: granting is one compare-and-swap.
//! 2. `peak` is the largest `granted` that ever was.

use std::sync::atomic::{AtomicU64, Ordering};

/// Granted bytes against the budget.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: u64,
    granted: AtomicU64,
    peak: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(budget: u64) -> Self {
        Ledger {
            budget,
            granted: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }

    pub(crate) fn granted(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    pub(crate) fn free(&self) -> u64 {
        self.budget - self.granted().min(self.budget)
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Forgets the peak of computations that ended.
    pub(crate) fn reset_peak(&self) {
        self.peak.store(self.granted(), Ordering::Relaxed);
    }

    /// Grants `bytes`, or changes nothing and says how many are free.
    #[inline]
    pub(crate) fn grant(&self, bytes: u64) -> Result<(), u64> {
        if bytes == 0 {
            return Ok(());
        }
        // Relaxed everywhere: the counter guards no other data.
        let mut granted = self.granted.load(Ordering::Relaxed);
        loop {
            let sum = match granted.checked_add(bytes) {
                Some(sum) if sum <= self.budget => sum,
                _ => return Err(self.budget - granted),
            };
            match self.granted.compare_exchange_weak(
                granted,
                sum,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    if sum > self.peak.load(Ordering::Relaxed) {
                        self.peak.fetch_max(sum, Ordering::Relaxed);
                    }
                    return Ok(());
                }
                Err(now) => granted = now,
            }
        }
    }

    #[inline]
    pub(crate) fn release(&self, bytes: u64) {
        if bytes > 0 {
            let before = self.granted.fetch_sub(bytes, Ordering::Relaxed);
            assert!(
                before >= bytes,
                "released {bytes} bytes of {before} granted"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_cannot_grant_past_the_budget() {
        let ledger = Ledger::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..10_000u64 {
                        if ledger.grant(i % 700).is_ok() {
                            ledger.release(i % 700);
                        }
                    }
                });
            }
        });
        assert_eq!(ledger.granted(), 0);
        assert!(ledger.peak() <= 1000);
        assert_eq!(ledger.grant(1001), Err(1000));
    }
}
