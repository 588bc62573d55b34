//! Bytes that do not read back from spill files as they were written: every operation that writes
//! there ends in an error, or in the right answer, never in another one.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_array::{Array, Element, index};
use flagstone_graph::{ErrorKind, Execute, SerialExecutor};
use flagstone_scheduler::{Session, SpillFile, SpillMedium};

/// Files in memory that count what is read and flip one bit of it.
#[derive(Clone, Default)]
struct Flipping(Arc<Reads>);

#[derive(Default)]
struct Reads {
    bytes: AtomicU64,
    /// The byte that is another, counted over all reads; 0 for none.
    flipped: AtomicU64,
}

struct File {
    reads: Arc<Reads>,
    held: Mutex<Vec<u8>>,
}

impl SpillMedium for Flipping {
    fn create(&self) -> io::Result<Box<dyn SpillFile>> {
        let (reads, held) = (Arc::clone(&self.0), Mutex::default());
        Ok(Box::new(File { reads, held }))
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }

    fn describe(&self) -> String {
        "files that flip bits".to_owned()
    }
}

impl SpillFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset as usize + bytes.len();
        let len = held.len().max(end);
        held.resize(len, 0);
        held[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let from = held.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        let (count, flipped) = (
            buffer.len() as u64,
            self.reads.flipped.load(Ordering::Relaxed),
        );
        let before = self.reads.bytes.fetch_add(count, Ordering::Relaxed);
        if (before + 1..=before + count).contains(&flipped) {
            buffer[(flipped - before - 1) as usize] ^= 0x10;
        }
        Ok(())
    }

    fn punch(&self, _: u64, _: u64) {}
}

const TRIES: u64 = 25;

fn bits<T: Element>(values: &ndarray::ArrayD<T>) -> Vec<u64> {
    values.iter().map(|value| value.token_bits()).collect()
}

fn never_wrong<T: Element>(name: &str, array: &Array<T>) {
    let expected = bits(&array.compute_with(&SerialExecutor).unwrap());
    let run = |flipped: u64| {
        let medium = Flipping::default();
        medium.0.flipped.store(flipped, Ordering::Relaxed);
        let session = Session::builder().memory_bytes(2 << 20).threads(1);
        let session = session.spill_medium(medium.clone()).build().unwrap();
        let result = array.compute_with(&session);
        assert!(session.resources().budget_bytes < 2 << 20);
        (result, medium.0.bytes.load(Ordering::Relaxed))
    };
    let (right, read) = run(0);
    assert_eq!(bits(&right.unwrap()), expected, "{name}");
    assert!(read > 1000, "{name} reads {read} bytes of spill files");
    let mut found = 0;
    for i in 0..TRIES {
        let flipped = 1 + (read - 1) * i / (TRIES - 1);
        match run(flipped).0 {
            Ok(values) => assert_eq!(bits(&values), expected, "{name}, byte {flipped} of {read}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Spill, "{name}: {error:?}");
                found += 1;
            }
        }
    }
    assert!(found > 0, "{name}: no flipped bit was met");
}

#[test]
fn no_flipped_bit_in_spill_files_changes_a_result() {
    let value = |i: &[usize]| ((i[0] * 7919 + 13) % 100_003) as f64;
    let x = Array::from_fn(&[400_000], value);
    let thousandth = index![flagstone_array::Index::slice(None, None, 1000)];
    never_wrong("sort", &x.sort(0).index(thousandth.clone()));
    never_wrong("argsort", &x.argsort(0).index(thousandth.clone()));
    never_wrong("topk", &x.topk(20_000, 0).max(0));
    never_wrong("median", &x.median(0));
    never_wrong("unique", &x.unique_counts().1.sum(..));
    never_wrong("unique", &x.unique().sum(..));
    let rows = Array::from_fn(&[40_000, 16], |i| (i[0] * 16 + i[1]) as f64);
    never_wrong("shuffled", &rows.shuffled(0, 7).cumsum(0).index(index![-1]));
    let places = Array::random_integers(&[60_000], 0, 40_000, 3);
    never_wrong(
        "take",
        &rows.take_lazy(&places, 0).index(index![.., 3]).max(0),
    );
    // blocks that are spilled as they are
    never_wrong(
        "rechunk",
        &rows
            .rechunk([40_000, 1])
            .map_chunks(|_, chunk| chunk.to_owned())
            .sum(..),
    );
}
