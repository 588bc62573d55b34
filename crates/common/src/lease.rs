//! Leases, and the two simplest accounts that grant them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where bytes are granted and returned. Implemented by whoever keeps the book.
pub trait Account: Send + Sync {
    /// Grants `bytes` or changes nothing. May evict, never waits.
    ///
    /// # Errors
    /// [`NeedsMemory`] when the bytes cannot be had now.
    fn grant(&self, bytes: u64) -> Result<(), NeedsMemory>;

    /// Takes back bytes granted before.
    fn release(&self, bytes: u64);
}

/// What kernels see of memory: a place to reserve bytes before allocating them.
///
/// Kernels take `&dyn Memory` and know nothing of graphs, tasks or budgets.
pub trait Memory: Send + Sync {
    /// The book that this memory's leases are written in.
    fn account(&self) -> Arc<dyn Account>;

    /// Leases `bytes`, to be held for as long as the allocation lives.
    ///
    /// # Errors
    /// [`NeedsMemory`] when the bytes cannot be had now; the caller gives back what it holds (or
    /// spills its state) and passes the error on: the task is then run again alone.
    fn reserve(&self, bytes: u64) -> Result<Lease, NeedsMemory> {
        let account = self.account();
        account.grant(bytes)?;
        Ok(Lease { account, bytes })
    }
}

/// Bytes granted to one holder; returned when dropped. Cannot be cloned.
pub struct Lease {
    account: Arc<dyn Account>,
    bytes: u64,
}

impl Lease {
    /// How many bytes this lease holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds `additional` bytes, or changes nothing.
    ///
    /// # Errors
    /// [`NeedsMemory`] when the bytes cannot be had now.
    pub fn try_grow(&mut self, additional: u64) -> Result<(), NeedsMemory> {
        self.account.grant(additional)?;
        self.bytes += additional;
        Ok(())
    }

    /// Makes the lease hold at least `bytes`, growing by at least half of what it holds so that
    /// a buffer that grows a little at a time asks a logarithmic number of times.
    ///
    /// # Errors
    /// [`NeedsMemory`] when even the smaller growth cannot be had now.
    pub fn ensure(&mut self, bytes: u64) -> Result<(), NeedsMemory> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let wanted = bytes - self.bytes;
        let generous = wanted.max(self.bytes / 2);
        if generous > wanted && self.try_grow(generous).is_ok() {
            return Ok(());
        }
        self.try_grow(wanted)
    }

    /// Gives back all but `bytes`. Does nothing when the lease holds less.
    pub fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.account.release(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    /// Moves `bytes` of this lease into a lease of their own.
    ///
    /// # Panics
    /// When the lease holds fewer.
    pub fn split(&mut self, bytes: u64) -> Lease {
        assert!(
            bytes <= self.bytes,
            "cannot split {bytes} bytes from a lease of {}",
            self.bytes
        );
        self.bytes -= bytes;
        Lease {
            account: Arc::clone(&self.account),
            bytes,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.release(self.bytes);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", crate::format_bytes(self.bytes))
    }
}

/// A request for memory that could not be granted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsMemory {
    /// The bytes asked for.
    pub wanted_bytes: u64,
    /// The bytes that could have been granted.
    pub available_bytes: u64,
}

impl fmt::Display for NeedsMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} more memory was needed but only {} of the budget is free",
            crate::format_bytes(self.wanted_bytes),
            crate::format_bytes(self.available_bytes)
        )
    }
}

impl std::error::Error for NeedsMemory {}

/// Grants everything and remembers the peak. For tests and for code that runs outside a session.
#[derive(Clone, Default)]
pub struct Unlimited(Bounded);

impl Unlimited {
    /// An account without a limit.
    pub fn new() -> Self {
        Unlimited(Bounded::new(u64::MAX))
    }

    /// The bytes in living leases.
    pub fn granted_bytes(&self) -> u64 {
        self.0.granted_bytes()
    }

    /// The most bytes that were ever granted at once.
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak_bytes()
    }
}

impl Memory for Unlimited {
    fn account(&self) -> Arc<dyn Account> {
        self.0.account()
    }
}

/// Grants up to a limit; evicts nothing. For tests of code that must live with a refusal.
#[derive(Clone)]
pub struct Bounded(Arc<Counter>);

struct Counter {
    limit: u64,
    granted: AtomicU64,
    peak: AtomicU64,
}

impl Bounded {
    /// An account that grants at most `limit_bytes` at once.
    pub fn new(limit_bytes: u64) -> Self {
        Bounded(Arc::new(Counter {
            limit: limit_bytes,
            granted: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }))
    }

    /// The bytes in living leases.
    pub fn granted_bytes(&self) -> u64 {
        self.0.granted.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever granted at once.
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }
}

impl Default for Bounded {
    fn default() -> Self {
        Bounded::new(u64::MAX)
    }
}

impl Memory for Bounded {
    fn account(&self) -> Arc<dyn Account> {
        Arc::clone(&self.0) as Arc<dyn Account>
    }
}

impl Account for Counter {
    fn grant(&self, bytes: u64) -> Result<(), NeedsMemory> {
        // Relaxed: the counter guards no data, only its own value.
        let granted = self
            .granted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |granted| {
                granted.checked_add(bytes).filter(|&sum| sum <= self.limit)
            })
            .map_err(|granted| NeedsMemory {
                wanted_bytes: bytes,
                available_bytes: self.limit - granted,
            })?;
        self.peak.fetch_max(granted + bytes, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, bytes: u64) {
        let before = self.granted.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(
            before >= bytes,
            "released {bytes} bytes of {before} granted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_changes_nothing() {
        let memory = Bounded::new(100);
        let mut lease = memory.reserve(70).unwrap();
        let refused = memory.reserve(31).unwrap_err();
        assert_eq!(
            refused,
            NeedsMemory {
                wanted_bytes: 31,
                available_bytes: 30
            }
        );
        assert!(lease.try_grow(31).is_err());
        assert_eq!((lease.bytes(), memory.granted_bytes()), (70, 70));
    }

    #[test]
    fn leases_split_shrink_and_return_every_byte() {
        let memory = Bounded::new(100);
        let mut lease = memory.reserve(90).unwrap();
        let part = lease.split(40);
        lease.shrink_to(10);
        assert_eq!(
            (part.bytes(), lease.bytes(), memory.granted_bytes()),
            (40, 10, 50)
        );
        drop(lease);
        drop(part);
        assert_eq!((memory.granted_bytes(), memory.peak_bytes()), (0, 90));
    }

    #[test]
    fn ensure_grows_generously_and_then_exactly() {
        let memory = Bounded::new(170);
        let mut lease = memory.reserve(100).unwrap();
        lease.ensure(101).unwrap();
        assert_eq!(lease.bytes(), 150);
        lease.ensure(165).unwrap();
        assert_eq!(lease.bytes(), 165);
        assert!(lease.ensure(171).is_err());
    }

    #[test]
    fn many_threads_never_exceed_the_limit() {
        let memory = Bounded::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for bytes in 0..2000u64 {
                        if let Ok(mut lease) = memory.reserve(bytes % 400) {
                            let _ = lease.try_grow(bytes % 70);
                        }
                    }
                });
            }
        });
        assert_eq!(memory.granted_bytes(), 0);
        assert!(memory.peak_bytes() <= 1000);
    }
}
