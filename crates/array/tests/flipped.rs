//! Bytes that do not read back from spill files as they were written: every operation that writes
//! there ends in an error, or in the right answer, never in another one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flagstone_array::{Array, Element, index};
use flagstone_common::ErrorKind;
use flagstone_graph::{Execute, SerialExecutor};
use medium::Faults;

#[path = "../../scheduler/tests/common/medium.rs"]
#[allow(dead_code)]
mod medium;

const TRIES: u64 = 25;

fn bits<T: Element>(values: &ndarray::ArrayD<T>) -> Vec<u64> {
    values.iter().map(|value| value.token_bits()).collect()
}

fn never_wrong<T: Element>(name: &str, array: &Array<T>) {
    let expected = bits(&array.compute_with(&SerialExecutor).unwrap());
    let run = |flipped: u64| {
        let faults = Arc::new(Faults {
            corrupt_byte: flipped,
            ..Faults::default()
        });
        let session = faults.session(2 << 20, 1);
        let result = array.compute_with(&session);
        assert!(session.resources().budget_bytes < 2 << 20);
        (result, faults.bytes_read.load(Ordering::Relaxed))
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
    let places = Array::random_integers(&[250_000], 0, 40_000, 3);
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
