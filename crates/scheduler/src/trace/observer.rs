//! The one trait through which a run is watched.

use std::time::Duration;

use super::{Event, Stats};

/// Watches runs. The progress line, tests and users' own metrics are implementations.
///
/// Called from workers and I/O threads between tasks, never while a lock is held: an observer that
/// blocks slows the run down, nothing else.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, _event: &Event) {}

    /// About ten times a second while a run is under way, and once at its end.
    fn snapshot(&self, _snapshot: &Snapshot) {}

    /// A run ended, well or not.
    fn finished(&self, _stats: &Stats) {}
}

/// The state of a run at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Since the run was submitted.
    pub elapsed: Duration,
    /// Tasks finished.
    pub tasks_done: u64,
    /// Tasks in all.
    pub tasks_total: u64,
    /// Bytes read from sources.
    pub bytes_read: u64,
    /// Bytes that the sources are predicted to give, when the layers know.
    pub bytes_to_read: u64,
    /// Bytes written to sinks.
    pub bytes_written: u64,
    /// Bytes the ledger has granted.
    pub resident_bytes: u64,
    /// The budget.
    pub budget_bytes: u64,
    /// Bytes on disk in the spill directory.
    pub spilled_bytes: u64,
    /// What the head of the order waits for, if it waits.
    pub waiting: Option<String>,
    /// The layer of the head of the order.
    pub layer: String,
}
