//! What is on disk of a scratch file: its pages are sealed when they are written, and opened when
//! they are read.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use flagstone_common::{Error, ErrorKind, Result, ScratchRange};
use parking_lot::Mutex;

use super::SpillFile;
use super::pages::{Home, Pages};
use super::sealed::{PAGE, PAYLOAD, Sealed, seal, sealed_len};
use super::store::{SpillStore, retry};

/// What is written or read by one call, through memory that nobody counts.
const AT_ONCE: u64 = 16 * PAGE as u64;

/// What of a scratch file its pages need, too.
pub(crate) struct Opened {
    pub(super) number: u64,
    /// Opened by whoever writes first: what stays in memory needs no spill directory.
    store: OnceLock<Arc<SpillStore>>,
    open_store: Box<OpenStore>,
    pub(super) pages: Arc<Pages<Opened>>,
    pub(super) opener: Opener,
    /// Made when something is written.
    file: OnceLock<Box<dyn SpillFile>>,
    making: Mutex<()>,
    pub(super) end: AtomicU64,
    /// Of the quota.
    claimed_bytes: AtomicU64,
}

/// Opens the spill directory.
pub(crate) type OpenStore = dyn Fn() -> Result<Arc<SpillStore>> + Send + Sync;

/// The task that opened a scratch file.
pub(crate) struct Opener {
    pub(crate) run: u64,
    pub(crate) rank: u32,
    pub(crate) scratched: Arc<Scratched>,
}

/// Bytes that were written to scratch files and read back: spilled like blocks.
#[derive(Default)]
pub(crate) struct Scratched {
    pub(crate) written: AtomicU64,
    pub(crate) read: AtomicU64,
}

impl Opened {
    /// A file that nothing was appended to.
    pub(super) fn new(
        open_store: Box<OpenStore>,
        pages: &Arc<Pages<Opened>>,
        opener: Opener,
    ) -> Opened {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Opened {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            store: OnceLock::new(),
            open_store,
            pages: Arc::clone(pages),
            opener,
            file: OnceLock::new(),
            making: Mutex::new(()),
            end: AtomicU64::new(0),
            claimed_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn home(&self, start: u64) -> Home {
        let file = self.number;
        Home { file, start }
    }

    fn store(&self) -> Result<&Arc<SpillStore>> {
        match self.store.get() {
            Some(store) => Ok(store),
            None => {
                let opened = (self.open_store)()?;
                Ok(self.store.get_or_init(|| opened))
            }
        }
    }

    /// The file, made by whoever writes first.
    fn file(&self) -> Result<&dyn SpillFile> {
        if self.file.get().is_none() {
            let _making = self.making.lock();
            if self.file.get().is_none() {
                let made = self.store()?.create()?;
                // nobody else sets it, under the lock
                let _ = self.file.set(made);
            }
        }
        let made = self.file.get();
        made.map(|file| &**file).ok_or_else(|| self.beyond())
    }

    pub(super) fn write(&self, start: u64, bytes: &[u8]) -> Result<()> {
        let (file, store) = (self.file()?, self.store()?);
        let sealed_bytes = sealed_len(bytes.len() as u64);
        let failed = |error| store.error("write to", error);
        store.claim(sealed_bytes).map_err(failed)?;
        self.claimed_bytes
            .fetch_add(sealed_bytes, Ordering::Relaxed);
        let mut pages = Vec::with_capacity(sealed_bytes.min(AT_ONCE) as usize);
        let mut at = start;
        for some in bytes.chunks(AT_ONCE as usize / PAGE * PAYLOAD) {
            pages.clear();
            seal(some, at, &mut pages);
            if let Err(error) = retry(|| file.write_all_at(&pages, at)) {
                self.give_back(start, bytes.len() as u64);
                return Err(failed(error));
            }
            at += pages.len() as u64;
        }
        let count = bytes.len() as u64;
        let written = &self.opener.scratched.written;
        written.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the room of a range on disk back.
    pub(super) fn give_back(&self, start: u64, len: u64) {
        let bytes = sealed_len(len);
        if let Some(file) = self.file.get() {
            // parts of blocks would only be written over with zeros
            let block = PAGE as u64;
            let (from, to) = (
                start.next_multiple_of(block),
                (start + bytes) / block * block,
            );
            if from < to {
                file.punch(from, to - from);
            }
        }
        if let Some(store) = self.store.get() {
            store.give_back(bytes);
            self.claimed_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn read(
        &self,
        range: ScratchRange,
        wanted: Range<u64>,
        mut buffer: &mut [u8],
    ) -> Result<()> {
        let (file, store) = (self.file()?, self.store()?);
        let mut from = wanted.start;
        let step = AT_ONCE / PAGE as u64 * PAYLOAD as u64;
        while from < wanted.end {
            let end = wanted.end.min((from / step + 1) * step);
            let pages = Sealed::of(range.start, range.len, from..end);
            let mut sealed = vec![0; pages.len];
            retry(|| file.read_exact_at(&mut sealed, pages.offset))
                .map_err(|error| store.error("read from", error))?;
            let (own, rest) = std::mem::take(&mut buffer).split_at_mut((end - from) as usize);
            pages.open(&sealed, own).map_err(|at| self.wrong(at))?;
            (buffer, from) = (rest, end);
        }
        Ok(())
    }

    fn wrong(&self, offset: u64) -> Error {
        let message = format!(
            "the bytes at offset {offset} of a file in {} did not read back as they were written: \
             their checksum differs",
            self.store
                .get()
                .map_or_else(String::new, |store| store.describe())
        );
        Error::new(ErrorKind::Spill, message)
    }

    pub(super) fn beyond(&self) -> Error {
        Error::new(
            ErrorKind::Spill,
            "a scratch file is read where nothing was written",
        )
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(store) = self.store.get() {
            store.give_back(*self.claimed_bytes.get_mut());
        }
    }
}
