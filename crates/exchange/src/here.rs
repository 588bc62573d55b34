//! What is so small that it travels with the lists instead of being written.

/// Together the sources keep so much in their lists.
const HERE_BYTES_MAX: u64 = 8 << 20;
/// What is counted for the lists of all receipts, and for that of one at most. Where there are
/// thousands of sources each is small, and all are collected at once: then the barrier is what
/// needs most.
const LISTED_BYTES: u64 = 8 << 20;
const LISTED_BYTES_MAX: u64 = 8 << 10;
/// And one of them so much at most: what is more becomes pages.
const KEPT_BYTES_MAX: u64 = 8 << 10;

/// What each of some sources may keep in its receipt, and what that takes.
#[derive(Debug, Clone, Copy)]
pub struct Here {
    bytes_max: u64,
    sources: u64,
}

impl Here {
    /// Of so many sources.
    pub fn of(sources: u32) -> Here {
        let sources = u64::from(sources.max(1));
        let bytes_max = (HERE_BYTES_MAX / sources).min(KEPT_BYTES_MAX);
        Here { bytes_max, sources }
    }

    /// What a receipt takes, if its list is no longer than usual, with what is kept in it. `listed` is
    /// what the list of a very small source takes.
    pub fn receipt_bytes(&self, listed: u64) -> u64 {
        let share = LISTED_BYTES / self.sources;
        share.max(listed).min(LISTED_BYTES_MAX) + self.bytes_max
    }

    /// How much of what it has left a source keeps in its receipt.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How many of what tells about a source's items it sends, of `max`: together they are enough
    /// long before each of thousands sends all.
    pub fn samples_max(&self, max: usize) -> usize {
        (64 * max / self.sources as usize).clamp(max.min(16), max)
    }
}
