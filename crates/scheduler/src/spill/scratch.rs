//! A task's own file in the spill directory, in pages with checksums.
//!
//! What tasks write here (runs that are sorted, rows that are taken, values that are put together) is
//! read back at any place, so every page carries its own checksum, of its bytes and its number: a bit
//! that flipped, or a page of somewhere else, is an error, never an answer.
//!
//! ```text
//! bytes   |----- 4088 -----|----- 4088 -----|-- 17 --
//! file    |----- 4088 ---|8|----- 4088 ---|8|          the rest waits in memory for its page
//! ```
//!
//! # Invariants
//! 1. A page in the file is full and is not written again.
//! 2. Bytes are handed out of pages that were verified, or of memory.

use std::io;
use std::sync::Arc;

use flagstone_graph::{Error, ErrorKind, Result, ScratchFile};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::SpillFile;
use super::store::{SpillStore, retry};

/// A page, with its checksum at its end.
const PAGE: usize = 4 << 10;
const CHECKSUM: usize = size_of::<u64>();
const PAYLOAD: usize = PAGE - CHECKSUM;
/// Pages that are written or read by one call, through memory that nobody counts.
const PAGES_AT_ONCE: usize = 16;

/// A task's own file.
pub(crate) struct Scratch {
    store: Arc<SpillStore>,
    file: Box<dyn SpillFile>,
    /// How many there are in the file.
    pages: usize,
    /// What comes after them: less than a page has.
    rest: Vec<u8>,
    /// Of the quota.
    claimed_bytes: u64,
    /// A page could not be written: nothing after it has its place.
    failed: Option<(io::ErrorKind, String)>,
}

impl Scratch {
    pub(super) fn new(store: Arc<SpillStore>, file: Box<dyn SpillFile>) -> Self {
        Scratch {
            store,
            file,
            pages: 0,
            rest: Vec::new(),
            claimed_bytes: 0,
            failed: None,
        }
    }

    fn len(&self) -> usize {
        self.pages * PAYLOAD + self.rest.len()
    }

    /// Writes full pages after those that are there.
    fn write(&mut self, pages: &[u8]) -> Result<()> {
        let written = match &self.failed {
            Some((kind, cause)) => {
                let again = format!("a page before could not be written ({cause})");
                Err(io::Error::new(*kind, again))
            }
            None => self.store.claim(pages.len() as u64).and_then(|()| {
                self.claimed_bytes += pages.len() as u64;
                let at = (self.pages * PAGE) as u64;
                retry(|| self.file.write_all_at(pages, at))
            }),
        };
        match written {
            Ok(()) => self.pages += pages.len() / PAGE,
            Err(error) => {
                self.failed
                    .get_or_insert_with(|| (error.kind(), error.to_string()));
                return Err(self.store.error("write to", error));
            }
        }
        Ok(())
    }

    fn wrong(&self, page: usize) -> Error {
        let message = format!(
            "the {PAYLOAD} bytes at offset {} of a file in {} did not read back as they were \
             written: their checksum differs",
            page * PAYLOAD,
            self.store.describe()
        );
        Error::new(ErrorKind::Spill, message)
    }

    fn beyond(&self) -> Error {
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        self.store.error("read from", error)
    }
}

/// Adds the checksum to the bytes of a page.
fn close(page: &mut Vec<u8>, start: usize, number: usize) {
    let sum = xxh3_64_with_seed(&page[start..], number as u64);
    page.extend_from_slice(&sum.to_le_bytes());
}

impl ScratchFile for Scratch {
    fn append(&mut self, mut bytes: &[u8]) -> Result<u64> {
        if self.failed.is_some() {
            self.write(&[])?;
        }
        let start = self.len() as u64;
        loop {
            let full = (self.rest.len() + bytes.len()) / PAYLOAD;
            if full == 0 {
                self.rest.extend_from_slice(bytes);
                return Ok(start);
            }
            let full = full.min(PAGES_AT_ONCE);
            let mut pages = Vec::with_capacity(full * PAGE);
            for page in 0..full {
                let start = pages.len();
                pages.append(&mut self.rest);
                let own;
                (own, bytes) = bytes.split_at(PAYLOAD - (pages.len() - start));
                pages.extend_from_slice(own);
                close(&mut pages, start, self.pages + page);
            }
            self.write(&pages)?;
        }
    }

    fn read_exact_at(&self, mut buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut at = usize::try_from(offset).map_err(|_| self.beyond())?;
        while !buffer.is_empty() {
            let (first, inside) = (at / PAYLOAD, at % PAYLOAD);
            if first >= self.pages {
                let from = at - self.pages * PAYLOAD;
                let rest = self.rest.get(from..from + buffer.len());
                buffer.copy_from_slice(rest.ok_or_else(|| self.beyond())?);
                return Ok(());
            }
            let end = (at + buffer.len()).div_ceil(PAYLOAD).min(self.pages);
            let mut pages = vec![0; (end - first).min(PAGES_AT_ONCE) * PAGE];
            retry(|| self.file.read_exact_at(&mut pages, (first * PAGE) as u64))
                .map_err(|error| self.store.error("read from", error))?;
            let mut skip = inside;
            for (number, page) in (first..).zip(pages.chunks_exact(PAGE)) {
                let (payload, sum) = page.split_at(PAYLOAD);
                if xxh3_64_with_seed(payload, number as u64).to_le_bytes() != sum {
                    return Err(self.wrong(number));
                }
                let own = &payload[std::mem::take(&mut skip)..];
                let count = own.len().min(buffer.len());
                let (head, tail) = std::mem::take(&mut buffer).split_at_mut(count);
                head.copy_from_slice(&own[..count]);
                buffer = tail;
                at += count;
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let mut page = std::mem::take(&mut self.rest);
        page.resize(PAYLOAD, 0);
        close(&mut page, 0, self.pages);
        self.write(&page)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.store.give_back(self.claimed_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    use crate::spill::SpillMedium;

    /// A file in memory, of which a byte may be another when it is read.
    #[derive(Clone, Default)]
    struct Flipping(Arc<Mutex<(Vec<u8>, Option<usize>)>>);

    /// A file that can be made and not written.
    struct Full;

    impl SpillFile for Full {
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(5))
        }

        fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }

        fn punch(&self, _: u64, _: u64) {}
    }

    #[test]
    fn what_is_written_after_a_failure_fails_with_its_cause() {
        let medium = Box::new(Flipping::default());
        let store = Arc::new(SpillStore::new(medium, u64::MAX, PAGE));
        let mut file = Scratch::new(store, Box::new(Full));
        for _ in 0..3 {
            let error = file.append(&[0; 2 * PAGE]).unwrap_err();
            assert!(error.to_string().contains("os error 5"), "{error}");
        }
        assert!(file.append(b"x").is_err());
    }

    impl SpillFile for Flipping {
        fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            let (held, _) = &mut *self.0.lock();
            let end = offset as usize + bytes.len();
            held.resize(held.len().max(end), 0);
            held[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        }

        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let (held, flipped) = &*self.0.lock();
            let place = offset as usize..offset as usize + buffer.len();
            let from = held.get(place.clone());
            buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            if let Some(flipped) = flipped.filter(|at| place.contains(at)) {
                buffer[flipped - place.start] ^= 1;
            }
            Ok(())
        }

        fn punch(&self, _: u64, _: u64) {}
    }

    impl SpillMedium for Flipping {
        fn create(&self) -> io::Result<Box<dyn SpillFile>> {
            Ok(Box::new(self.clone()))
        }

        fn free_bytes(&self) -> Option<u64> {
            None
        }

        fn describe(&self) -> String {
            "memory".to_owned()
        }
    }

    #[test]
    fn bytes_of_any_length_read_back_at_any_place_and_no_flipped_bit_is_handed_out() {
        let medium = Flipping::default();
        let store = Arc::new(SpillStore::new(Box::new(medium.clone()), u64::MAX, PAGE));
        let mut file = store.scratch().unwrap();
        let mut expected = Vec::new();
        for (i, len) in [1, 4087, 1, 4088, 0, 100_000, 17, 70_000]
            .into_iter()
            .enumerate()
        {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + i * 31) as u8).collect();
            let start = file.append(&bytes).unwrap() as usize;
            if i == 6 {
                file.seal().unwrap();
            }
            expected.resize(start, 0);
            expected.extend(bytes);
        }
        let read = |offset: usize, len: usize| -> Result<Vec<u8>> {
            let mut buffer = vec![0; len];
            file.read_exact_at(&mut buffer, offset as u64)?;
            Ok(buffer)
        };
        for offset in [0, 1, 4087, 4088, 4089, 90_000, expected.len() - 1] {
            for len in [0, 1, 4088, 9000, 80_000] {
                let end = offset + len;
                match expected.get(offset..end) {
                    Some(bytes) => assert_eq!(read(offset, len).unwrap(), bytes),
                    None => assert!(read(offset, len).is_err()),
                }
            }
        }
        let written = medium.0.lock().0.len();
        assert_eq!(written, file.pages * PAGE);
        for flipped in (0..written).step_by(1021) {
            medium.0.lock().1 = Some(flipped);
            let error = read(0, expected.len()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Spill, "{error}");
        }
        drop(file);
        assert_eq!(store.live_bytes(), 0);
    }
}
