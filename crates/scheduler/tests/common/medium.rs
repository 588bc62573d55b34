//! Spill files in memory that count, and that fail or lie when asked.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_scheduler::{Session, SpillFile, SpillMedium};

/// What goes wrong, and what was seen. Everything counts from 1; 0 is never.
#[derive(Default)]
pub(crate) struct Faults {
    /// The write that fails.
    pub(crate) fail_write: u64,
    /// Whether every later one fails, too.
    pub(crate) stays_full: bool,
    /// Whether not even a file can be made.
    pub(crate) cannot_create: bool,
    /// With what it fails: a full disk, if nothing else is said.
    pub(crate) kind: Option<io::ErrorKind>,
    /// The read of which a bit is turned.
    pub(crate) corrupt_read: u64,
    /// The byte that is another, counted over all reads.
    pub(crate) corrupt_byte: u64,
    pub(crate) writes: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
}

impl Faults {
    /// A session with this budget on such files.
    pub(crate) fn session(self: &Arc<Self>, budget: u64, threads: usize) -> Session {
        Session::builder()
            .memory_bytes(budget)
            .threads(threads)
            .spill_medium(Medium(Arc::clone(self)))
            .build()
            .unwrap()
    }
}

pub(crate) struct Medium(pub(crate) Arc<Faults>);

struct File(Arc<Faults>, Mutex<Vec<u8>>);

impl SpillMedium for Medium {
    fn create(&self) -> io::Result<Box<dyn SpillFile>> {
        match self.0.cannot_create {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(Box::new(File(Arc::clone(&self.0), Mutex::default()))),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        Some(12345)
    }

    fn describe(&self) -> String {
        "the test medium".into()
    }
}

impl SpillFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let faults = &*self.0;
        let write = faults.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let first = faults.fail_write;
        if first != 0 && (write == first || write > first && faults.stays_full) {
            return Err(faults.kind.unwrap_or(io::ErrorKind::StorageFull).into());
        }
        let count = bytes.len() as u64;
        faults.bytes_written.fetch_add(count, Ordering::Relaxed);
        let mut file = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset as usize + bytes.len();
        let len = file.len().max(end);
        file.resize(len, 0);
        file[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let faults = &*self.0;
        let file = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let from = file.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        if faults.reads.fetch_add(1, Ordering::Relaxed) + 1 == faults.corrupt_read {
            buffer[0] ^= 4;
        }
        let count = buffer.len() as u64;
        let before = faults.bytes_read.fetch_add(count, Ordering::Relaxed);
        let wrong = faults.corrupt_byte;
        if (before + 1..=before + count).contains(&wrong) {
            buffer[(wrong - before - 1) as usize] ^= 0x10;
        }
        Ok(())
    }

    fn punch(&self, _: u64, _: u64) {}
}
