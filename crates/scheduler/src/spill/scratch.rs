//! A file of ranges that tasks append: runs that are sorted, rows that are taken, states of keys.
//!
//! A range gets its place by one addition, whoever appends, and is kept as a page while there is room
//! ([`Pages`]). What is on disk has checksums ([`seal`]), so that any part of a range can be read and
//! nothing is handed out that is not what was written.
//!
//! # Invariants
//! 1. A place in the file is given once, and written at most once.
//! 2. Bytes are handed out of pages in memory, or of pages of the disk that were verified.
//! 3. The quota is claimed for what is on disk: before it is written, and until it is freed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flagstone_common::{Result, ScratchFile, ScratchRange};

use super::opened::{OpenStore, Opened, Opener};
use super::pages::{Home, Page, Pages};
use super::sealed::sealed_len;

/// A scratch file, as its owner holds it.
pub(crate) struct Scratch(Arc<Opened>);

/// Pages that have to go to the disk; at least one.
pub(crate) struct Leaving(Vec<(Home, Arc<Page<Opened>>)>);

impl Scratch {
    pub(crate) fn new(
        open_store: Box<OpenStore>,
        pages: &Arc<Pages<Opened>>,
        opener: Opener,
    ) -> Scratch {
        Scratch(Arc::new(Opened::new(open_store, pages, opener)))
    }
}

impl ScratchFile for Scratch {
    fn append(&self, bytes: &[u8], turn: u32) -> Result<ScratchRange> {
        let (opened, len) = (&self.0, bytes.len() as u64);
        // Relaxed: places are all different, and who reads one was told of it by who wrote it
        let start = opened.end.fetch_add(sealed_len(len), Ordering::Relaxed);
        if len > 0 && !opened.pages.keep(opened, opened.home(start), bytes, turn) {
            opened.write(start, bytes)?;
        }
        Ok(ScratchRange { start, len })
    }

    fn read(&self, range: ScratchRange, from: u64, buffer: &mut [u8]) -> Result<()> {
        let opened = &self.0;
        let end = from.saturating_add(buffer.len() as u64);
        if end > range.len {
            return Err(opened.beyond());
        }
        if buffer.is_empty() {
            return Ok(());
        }
        if let Some(page) = opened.pages.get(opened.home(range.start)) {
            let bytes = page.bytes().get(from as usize..end as usize);
            buffer.copy_from_slice(bytes.ok_or_else(|| opened.beyond())?);
            return Ok(());
        }
        opened.read(range, from..end, buffer)?;
        let read = &opened.opener.scratched.read;
        read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn free(&self, range: ScratchRange) {
        let opened = &self.0;
        if range.len > 0 && !opened.pages.remove(opened.home(range.start)) {
            opened.give_back(range.start, range.len);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.0.pages.remove_file(self.0.number);
    }
}

impl Pages<Opened> {
    /// The pages that are to go first, of about so many bytes, to be written.
    pub(crate) fn leaving(&self, bytes: u64) -> Option<Leaving> {
        let pages = self.victims(bytes);
        (!pages.is_empty()).then_some(Leaving(pages))
    }
}

impl Leaving {
    /// What is free when they have gone.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, page)| page.charge).sum()
    }

    /// The runs and the tasks whose files they belong to.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (u64, u32)> {
        let openers = self.0.iter().map(|(_, page)| &page.file.opener);
        openers.map(|opener| (opener.run, opener.rank))
    }

    /// Writes them and lets them go. Where that fails they stay.
    pub(crate) fn write(self) -> Result<()> {
        let mut result = Ok(());
        for (home, page) in self.0 {
            let file = &page.file;
            // nobody wants what was freed meanwhile
            if result.is_ok() && file.pages.holds(home) {
                result = file.write(home.start, page.bytes());
                if result.is_ok() && !file.pages.written(home) {
                    file.give_back(home.start, page.bytes().len() as u64);
                }
            }
            if result.is_err() {
                file.pages.kept(home);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use flagstone_common::ErrorKind;
    use parking_lot::Mutex;

    use super::*;
    use crate::memory::ledger::Ledger;
    use crate::spill::SpillStore;
    use crate::spill::sealed::PAGE;
    use crate::spill::{Scratched, SpillFile, SpillMedium};

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

    impl SpillMedium for Full {
        fn create(&self) -> io::Result<Box<dyn SpillFile>> {
            Ok(Box::new(Full))
        }

        fn free_bytes(&self) -> Option<u64> {
            None
        }

        fn describe(&self) -> String {
            "a full disk".to_owned()
        }
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

        fn punch(&self, offset: u64, len: u64) {
            let (held, _) = &mut *self.0.lock();
            held[offset as usize..(offset + len) as usize].fill(0);
        }
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

    struct Fixture {
        ledger: Arc<Ledger>,
        store: Arc<SpillStore>,
        pages: Arc<Pages<Opened>>,
        scratched: Arc<Scratched>,
        file: Scratch,
    }

    fn fixture(medium: impl SpillMedium + 'static, capacity: u64) -> Fixture {
        let ledger = Arc::new(Ledger::new(capacity));
        let store = Arc::new(SpillStore::new(Box::new(medium), u64::MAX, PAGE));
        let pages = Arc::new(Pages::new(Arc::clone(&ledger), capacity));
        let scratched = Arc::<Scratched>::default();
        let opener = Opener {
            run: 0,
            rank: 0,
            scratched: Arc::clone(&scratched),
        };
        let opened = Arc::clone(&store);
        let open = Box::new(move || Ok(Arc::clone(&opened)));
        let file = Scratch::new(open, &pages, opener);
        Fixture {
            ledger,
            store,
            pages,
            scratched,
            file,
        }
    }

    #[test]
    fn every_failure_to_write_tells_its_cause() {
        let own = fixture(Full, 0);
        for _ in 0..3 {
            let error = own.file.append(&[0; 2 * PAGE], 0).unwrap_err();
            assert!(error.to_string().contains("os error 5"), "{error}");
        }
        assert_eq!(own.store.live_bytes(), 0);
    }

    #[test]
    fn a_page_that_cannot_be_written_stays() {
        let own = fixture(Full, 100_000);
        let range = own.file.append(&[7; 5000], 0).unwrap();
        assert!(own.pages.leaving(1).unwrap().write().is_err());
        let mut buffer = [0; 10];
        own.file.read(range, 4990, &mut buffer).unwrap();
        assert_eq!(buffer, [7; 10]);
        assert!(own.pages.leaving(1).is_some());
    }

    #[test]
    fn ranges_read_back_from_memory_and_disk_and_no_flipped_bit_is_handed_out() {
        for capacity in [0, 150_000, 1 << 20] {
            let medium = Flipping::default();
            let own = fixture(medium.clone(), capacity);
            let lens = [1, 4087, 1, 4088, 0, 100_000, 17, 70_000];
            let ranges: Vec<(ScratchRange, Vec<u8>)> = (0..)
                .zip(lens)
                .map(|(i, len)| {
                    let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + i * 31) as u8).collect();
                    (own.file.append(&bytes, i as u32).unwrap(), bytes)
                })
                .collect();
            let check = || {
                for (range, bytes) in &ranges {
                    for from in [0, 1, 4087, 4088, 90_000] {
                        for len in [
                            0,
                            1,
                            4088,
                            9000,
                            80_000,
                            bytes.len() - from.min(bytes.len()),
                        ] {
                            let mut buffer = vec![0; len];
                            let read = own.file.read(*range, from as u64, &mut buffer);
                            match bytes.get(from..from + len) {
                                Some(bytes) => {
                                    assert_eq!((buffer.as_slice(), read.is_ok()), (bytes, true))
                                }
                                None => assert!(read.is_err()),
                            }
                        }
                    }
                }
            };
            check();
            let before = own.scratched.written.load(Ordering::Relaxed);
            assert_eq!(before == 0, capacity == 1 << 20, "half of it takes all");
            while let Some(leaving) = own.pages.leaving(1) {
                leaving.write().unwrap();
                check();
            }
            assert_eq!(own.ledger.granted(), 0);
            let written = own.scratched.written.load(Ordering::Relaxed);
            assert_eq!(written, lens.iter().sum::<usize>() as u64);
            let len = medium.0.lock().0.len();
            assert_eq!(len as u64, own.store.live_bytes());
            for flipped in (0..len).step_by(1021) {
                medium.0.lock().1 = Some(flipped);
                let read = |(range, bytes): &(ScratchRange, Vec<u8>)| {
                    own.file.read(*range, 0, &mut vec![0; bytes.len()])
                };
                let errors: Vec<_> = ranges
                    .iter()
                    .filter_map(|range| read(range).err())
                    .collect();
                assert_eq!(errors.len(), 1, "byte {flipped}");
                assert_eq!(errors[0].kind(), ErrorKind::Spill);
            }
            medium.0.lock().1 = None;
            own.file.free(ranges[5].0);
            assert_eq!(own.store.live_bytes(), len as u64 - sealed_len(100_000));
            let error = own.file.read(ranges[5].0, 0, &mut [0; 9]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Spill);
            drop(own.file);
            assert_eq!(own.store.live_bytes(), 0);
        }
    }

    #[test]
    fn a_range_that_is_freed_while_it_is_written_leaves_nothing() {
        let own = fixture(Flipping::default(), 100_000);
        let range = own.file.append(&[7; 5000], 0).unwrap();
        let leaving = own.pages.leaving(1).unwrap();
        own.file.free(range);
        leaving.write().unwrap();
        assert_eq!((own.store.live_bytes(), own.ledger.granted()), (0, 0));
        // and a file whose page is being written
        own.file.append(&[7; 5000], 0).unwrap();
        let leaving = own.pages.leaving(1).unwrap();
        drop(own.file);
        leaving.write().unwrap();
        assert_eq!((own.store.live_bytes(), own.ledger.granted()), (0, 0));
    }
}
