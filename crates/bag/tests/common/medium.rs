//! A spill medium in memory that counts, and that fails or lies when asked.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flagstone_scheduler::{Session, SpillFile, SpillMedium};

#[derive(Default)]
pub(crate) struct Faults {
    /// The write that fails, from 1; 0 for none.
    pub(crate) fail_write: u64,
    /// The read of which a bit is turned, from 1; 0 for none.
    pub(crate) corrupt_read: u64,
    pub(crate) writes: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Faults {
    /// A session with a small budget on this medium.
    pub(crate) fn session(self: &Arc<Self>, budget: u64, threads: usize) -> Session {
        Session::builder()
            .memory_bytes(budget)
            .threads(threads)
            .spill_medium(Medium(Arc::clone(self)))
            .build()
            .unwrap()
    }
}

struct Medium(Arc<Faults>);

struct File(Arc<Faults>, Mutex<Vec<u8>>);

impl SpillMedium for Medium {
    fn create(&self) -> io::Result<Box<dyn SpillFile>> {
        Ok(Box::new(File(Arc::clone(&self.0), Mutex::default())))
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }

    fn describe(&self) -> String {
        "the test medium".into()
    }
}

impl SpillFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let write = self.0.writes.fetch_add(1, Ordering::Relaxed) + 1;
        if write == self.0.fail_write {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut file = self.1.lock().unwrap();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.0.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let start = offset as usize;
        buffer.copy_from_slice(&self.1.lock().unwrap()[start..start + buffer.len()]);
        if read == self.0.corrupt_read {
            buffer[0] ^= 4;
        }
        Ok(())
    }

    fn punch(&self, _: u64, _: u64) {}
}
