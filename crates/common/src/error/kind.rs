//! What kinds of errors there are, for those who act on them.

use std::io;

/// Categories of errors, each with its own policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The collection was built wrongly (shapes, types, names); nothing ran.
    Invalid,
    /// The graph has a cycle.
    Cycle,
    /// A task depends on one that does not exist.
    MissingDependency,
    /// The plan cannot run within the budget; nothing ran.
    Budget,
    /// A task could not grow within the budget, not even alone.
    NeedsMemory,
    /// A task returned an error: bad data, a file that cannot be read, a closure's own error.
    /// [`Error::fault`](crate::Error::fault) tells those of files apart.
    Failed,
    /// A closure panicked.
    Panicked,
    /// The computation was cancelled.
    Cancelled,
    /// A disk is full, or the spill directory is over its quota.
    OutOfDisk,
    /// Spilled bytes could not be written, or did not read back as they were written.
    Spill,
    /// A terminal was called from inside a task of the same session.
    Nested,
    /// A task was given something else than its layer reads: a fault of the library, or of a graph
    /// that was put together by hand.
    Bug,
}

impl ErrorKind {
    /// What an error of the operating system is: [`OutOfDisk`](Self::OutOfDisk) for a disk or quota
    /// that is full, and otherwise [`Failed`](Self::Failed).
    ///
    /// ```
    /// use flagstone_common::ErrorKind;
    /// assert_eq!(ErrorKind::of_io(std::io::ErrorKind::StorageFull), ErrorKind::OutOfDisk);
    /// assert_eq!(ErrorKind::of_io(std::io::ErrorKind::NotFound), ErrorKind::Failed);
    /// ```
    pub fn of_io(kind: io::ErrorKind) -> ErrorKind {
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::OutOfDisk,
            _ => ErrorKind::Failed,
        }
    }
}
