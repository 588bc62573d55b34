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
}

impl Counter {
    /// Every counter, in order of its number.
    pub const ALL: [Counter; 5] = [
        Counter::BytesRead,
        Counter::BytesWritten,
        Counter::RowsIn,
        Counter::RowsOut,
        Counter::BadRecords,
    ];
}

/// A file for state that does not fit: written and read at offsets, gone when dropped.
pub trait ScratchFile: Send + Sync {
    /// Appends bytes and returns where they start.
    ///
    /// # Errors
    /// A full disk or quota, or another I/O error.
    fn append(&mut self, bytes: &[u8]) -> Result<u64>;

    /// Says that nothing is appended for now: what the file holds in memory of its end goes to disk,
    /// and what is appended later may start further on.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn seal(&mut self) -> Result<()> {
        Ok(())
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// An I/O error, the end of the file before the buffer is full, and bytes that are not what was
    /// written.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
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
    fn tell(&self, _source: &str, _quality: &Quality) {}
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
    pub fn is_cancelled(&self) -> bool {
        self.host.is_cancelled()
    }

    /// Asks whether the task should stop, for those who return errors.
    ///
    /// # Errors
    /// Of kind `Cancelled`, when the task should stop.
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
    pub fn tell(&self, source: &str, quality: &Quality) {
        self.host.tell(source, quality);
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
    told: Mutex<Qualities>,
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

    /// What was told of every source so far.
    pub fn qualities(&self) -> Qualities {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
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

    fn tell(&self, source: &str, quality: &Quality) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.entry(source.to_owned()).or_default().add(quality);
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
            parts: Vec::new(),
            len: 0,
        }))
    }
}

/// A scratch file for hosts without a disk.
struct MemoryFile {
    memory: Unlimited,
    parts: Vec<(u64, Vec<u8>, Lease)>,
    len: u64,
}

impl ScratchFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let lease = self.memory.reserve(bytes.len() as u64)?;
        let start = self.len;
        self.parts.push((start, bytes.to_vec(), lease));
        self.len += bytes.len() as u64;
        Ok(start)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let part = self.parts.partition_point(|(start, ..)| *start <= at);
            let source = part
                .checked_sub(1)
                .and_then(|i| self.parts[i].1.get((at - self.parts[i].0) as usize..))
                .filter(|source| !source.is_empty())
                .ok_or_else(|| {
                    Error::failed(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
                })?;
            let n = source.len().min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&source[..n]);
            filled += n;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_reads_back_across_appends() {
        let host = SerialHost::new();
        let mut file = host.scratch_file().unwrap();
        assert_eq!(file.append(b"abc").unwrap(), 0);
        assert_eq!(file.append(b"defg").unwrap(), 3);
        let mut buffer = [0; 5];
        file.read_exact_at(&mut buffer, 1).unwrap();
        assert_eq!(&buffer, b"bcdef");
        assert!(file.read_exact_at(&mut buffer, 3).is_err());
        drop(file);
        assert_eq!(host.memory().granted_bytes(), 0);
    }
}
