//! What a task is given beside its inputs: memory, cancellation, idle workers, counters, scratch
//! files. The one seam between kernels and whoever executes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::lease::{Account, Lease, Memory, Unlimited};
use crate::quality::{Qualities, Quality};

/// Quantities that tasks report while they run; the sums stand in the run's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Counter {
    /// Bytes read from sources, at our own calls (compressed bytes for compressed files).
    BytesRead,
    /// Bytes written to sinks, at our own calls.
    BytesWritten,
    /// Records or rows read from sources.
    RowsIn,
    /// Records or rows that reached a sink or a result.
    RowsOut,
    /// Records that could not be parsed and were skipped or quarantined.
    BadRecords,
    /// Rows that the layers of a dataframe's plan gave, each to what is behind it.
    LayerRows,
}

impl Counter {
    /// Every counter, in order of its number.
    pub const ALL: [Counter; 6] = [
        Counter::BytesRead,
        Counter::BytesWritten,
        Counter::RowsIn,
        Counter::RowsOut,
        Counter::BadRecords,
        Counter::LayerRows,
    ];
}

/// Where bytes lie in a scratch file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScratchRange {
    /// A number of the file's own: whoever appended has it, and nobody else makes one.
    pub start: u64,
    /// How many bytes there are.
    pub len: u64,
}

/// A file for state that does not fit, gone when dropped.
///
/// Threads append to it at once. What is appended stays in memory while there is room for it, and goes
/// to the disk when somebody else needs that: a file says where bytes are found again, not that they
/// were written.
pub trait ScratchFile: Send + Sync {
    /// Appends bytes and says where they lie. `turn` says when they are read, among what is appended to
    /// this file: what has the highest turn leaves memory first.
    ///
    /// # Errors
    /// A full disk or quota, or another I/O error.
    fn append(&self, bytes: &[u8], turn: u32) -> Result<ScratchRange>;

    /// Fills `buffer` with what lies in `range` from its byte `from` on.
    ///
    /// # Errors
    /// An I/O error, a buffer that reaches beyond the range, bytes that are not what was written, and a
    /// range that was [freed](Self::free).
    fn read(&self, range: ScratchRange, from: u64, buffer: &mut [u8]) -> Result<()>;

    /// Gives the room of a range back, in memory or on the disk: nobody reads it any more.
    fn free(&self, range: ScratchRange);
}

/// What an executor offers to the tasks it runs.
pub trait TaskHost: Send + Sync {
    /// The task's memory account.
    fn account(&self) -> Arc<dyn Account>;
    /// Whether the computation was cancelled or failed elsewhere.
    fn is_cancelled(&self) -> bool;
    /// Adds to a counter.
    fn count(&self, counter: Counter, amount: u64);
    /// Adds to the data-quality ledger of a source, once the task has ended well.
    fn report(&self, _source: &str, _quality: &Quality) {}
    /// Calls `body` for every index below `count`, on this thread and on workers that are idle.
    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync));
    /// How many threads `for_each_index` could use now, this one included.
    fn parallelism(&self) -> usize;
    /// What of the budget no task of the plan needs: so much may blocks hold beyond what was
    /// declared for them, all of the plan's together, and the plan still completes.
    fn headroom_bytes(&self) -> u64 {
        u64::MAX
    }
    /// Opens a file for state that does not fit in memory.
    ///
    /// # Errors
    /// When the spill directory cannot be written.
    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>>;
}

/// Handed to every task.
pub struct TaskContext<'a> {
    host: &'a dyn TaskHost,
    key: &'a (dyn Fn() -> String + Sync),
}

impl<'a> TaskContext<'a> {
    /// For executors: a context over their host. `key` prints the task's key when asked.
    #[inline]
    pub fn new(host: &'a dyn TaskHost, key: &'a (dyn Fn() -> String + Sync)) -> Self {
        TaskContext { host, key }
    }

    /// The task's memory, as kernels take it.
    pub fn memory(&self) -> &dyn Memory {
        self
    }

    /// Leases bytes; see [`Memory::reserve`].
    ///
    /// # Errors
    /// An error of kind `NeedsMemory`, to be passed on after giving back what was held.
    pub fn reserve(&self, bytes: u64) -> Result<Lease> {
        Ok(Memory::reserve(self, bytes)?)
    }

    /// What blocks may hold beyond what was declared for them; see [`TaskHost::headroom_bytes`].
    pub fn headroom_bytes(&self) -> u64 {
        self.host.headroom_bytes()
    }

    /// Whether the task should stop. Long loops ask this every few thousand items.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.host.is_cancelled()
    }

    /// Asks whether the task should stop, for those who return errors.
    ///
    /// # Errors
    /// Of kind `Cancelled`, when the task should stop.
    #[inline]
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::cancelled())
        } else {
            Ok(())
        }
    }

    /// Adds to one of the run's counters.
    pub fn count(&self, counter: Counter, amount: u64) {
        self.host.count(counter, amount);
    }

    /// Adds to the data-quality ledger of a source: once or a few times in a task, not for every
    /// record. It counts when the task ends well.
    pub fn report(&self, source: &str, quality: &Quality) {
        self.host.report(source, quality);
    }

    /// Calls `body(i)` for every `i` below `count`, in any order, on this thread and on workers
    /// that are idle now. Never runs another task on this stack, so admission stays intact.
    /// What `body` computes must not depend on which thread runs which index.
    pub fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        self.host.for_each_index(count, body);
    }

    /// How many threads [`for_each_index`](Self::for_each_index) could use now (at least 1).
    pub fn parallelism(&self) -> usize {
        self.host.parallelism()
    }

    /// A file in the spill directory for state that does not fit; gone when dropped.
    ///
    /// # Errors
    /// When the spill directory cannot be written.
    pub fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        self.host.scratch_file()
    }

    /// The task's key, for messages.
    pub fn key(&self) -> String {
        (self.key)()
    }
}

impl Memory for TaskContext<'_> {
    fn account(&self) -> Arc<dyn Account> {
        self.host.account()
    }
}

/// The plainest host: unlimited memory, no other threads, scratch files in memory. The reference
/// executor and unit tests of layers run on it.
#[derive(Default)]
pub struct SerialHost {
    memory: Unlimited,
    counters: [AtomicU64; Counter::ALL.len()],
    reported: Mutex<Qualities>,
}

impl SerialHost {
    /// A host with all counters at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted so far.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// What was reported of every source so far.
    pub fn qualities(&self) -> Qualities {
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.clone()
    }

    /// The account that the tasks lease from.
    pub fn memory(&self) -> &Unlimited {
        &self.memory
    }
}

impl TaskHost for SerialHost {
    fn account(&self) -> Arc<dyn Account> {
        self.memory.account()
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn count(&self, counter: Counter, amount: u64) {
        self.counters[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn report(&self, source: &str, quality: &Quality) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.entry(source.to_owned()).or_default().add(quality);
    }

    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(body);
    }

    fn parallelism(&self) -> usize {
        1
    }

    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        Ok(Box::new(MemoryFile {
            memory: self.memory.clone(),
            parts: Mutex::default(),
        }))
    }
}

/// A scratch file for hosts without a disk.
struct MemoryFile {
    memory: Unlimited,
    /// What was appended, by its number; none where it was freed.
    parts: Mutex<Vec<Option<Appended>>>,
}

/// Bytes, and their lease.
type Appended = (Vec<u8>, Lease);

impl MemoryFile {
    fn parts<T>(&self, body: impl FnOnce(&mut Vec<Option<Appended>>) -> T) -> T {
        body(&mut self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ScratchFile for MemoryFile {
    fn append(&self, bytes: &[u8], _: u32) -> Result<ScratchRange> {
        let len = bytes.len() as u64;
        let part = (bytes.to_vec(), self.memory.reserve(len)?);
        let start = self.parts(|parts| {
            parts.push(Some(part));
            parts.len() as u64 - 1
        });
        Ok(ScratchRange { start, len })
    }

    fn read(&self, range: ScratchRange, from: u64, buffer: &mut [u8]) -> Result<()> {
        let copied = self.parts(|parts| {
            let (bytes, _) = parts.get(range.start as usize)?.as_ref()?;
            let bytes = bytes.get(from as usize..)?.get(..buffer.len())?;
            buffer.copy_from_slice(bytes);
            Some(())
        });
        copied.ok_or_else(|| Error::failed(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)))
    }

    fn free(&self, range: ScratchRange) {
        self.parts(|parts| parts.get_mut(range.start as usize).map(Option::take));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_gives_back_what_was_appended_until_it_is_freed() {
        let host = SerialHost::new();
        let file = host.scratch_file().unwrap();
        let (first, second) = (
            file.append(b"abc", 0).unwrap(),
            file.append(b"defg", 1).unwrap(),
        );
        let mut buffer = [0; 3];
        file.read(second, 1, &mut buffer).unwrap();
        assert_eq!(&buffer, b"efg");
        assert!(file.read(second, 2, &mut buffer).is_err());
        file.free(second);
        assert!(file.read(second, 0, &mut buffer).is_err());
        file.read(first, 0, &mut buffer).unwrap();
        assert_eq!((&buffer, host.memory().granted_bytes()), (b"abc", 3));
        drop(file);
        assert_eq!(host.memory().granted_bytes(), 0);
    }
}
