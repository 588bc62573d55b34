//! Dense integer ids. Ids are for machines; people read [`Key`](crate::Key)s.

use std::fmt;

/// A layer's place in its [`Graph`](crate::Graph).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub(crate) u32);

impl LayerId {
    /// The place as an index into dense arrays.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A task's place in its [`Program`](crate::Program). It *is* the task's rank: the position in the
/// static order that priority, liveness, eviction and prefetch all obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u32);

impl TaskId {
    /// The rank as an index into dense arrays.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
