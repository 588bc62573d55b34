//! Bytes that do not read back from spill files as they were written: every operation that exchanges
//! items between tasks ends in an error, or in the right answer, never in another one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flagstone_bag::{Bag, BagItem, ErrorKind, Portable};
use flagstone_graph::{Graph, SerialExecutor};
use medium::Faults;

#[path = "../../scheduler/tests/common/medium.rs"]
#[allow(dead_code)]
mod medium;

const TRIES: u64 = 8;
const BUDGET: u64 = 3 << 20;

fn never_wrong<T>(name: &str, item: &BagItem<T>)
where
    T: Portable + PartialEq + std::fmt::Debug,
{
    let expected = item.compute_with(&SerialExecutor).unwrap();
    let run = |flipped: u64| {
        let faults = Arc::new(Faults {
            corrupt_byte: flipped,
            ..Faults::default()
        });
        let session = faults.session(BUDGET, 1);
        let result = item.compute_with(&session);
        assert_eq!(session.spilled_bytes(), 0, "{name}");
        (result, faults.bytes_read.load(Ordering::Relaxed))
    };
    let (right, read) = run(0);
    assert_eq!(right.unwrap(), expected, "{name}");
    assert!(read > 1000, "{name} reads {read} bytes of spill files");
    let mut found = 0;
    for i in 0..TRIES {
        let flipped = 1 + (read - 1) * i / (TRIES - 1);
        match run(flipped).0 {
            Ok(value) => assert_eq!(value, expected, "{name}, byte {flipped} of {read}"),
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
    let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let rows = Bag::range(0..40_000, 4).map(move |i| (mixed(i) % 15_000, format!("{i:050}")));
    let hash = |(key, text): (u64, String)| {
        let step = |sum: u64, b: u8| sum.wrapping_mul(31).wrapping_add(u64::from(b));
        text.bytes().fold(key, step)
    };
    let hash = move |row| hash(row) >> 40;
    never_wrong("distinct", &rows.distinct().map(hash).sum::<u64>());
    never_wrong(
        "frequencies",
        &rows
            .frequencies()
            .map(move |(row, n)| n * hash(row))
            .sum::<u64>(),
    );
    let lengths = rows.foldby(
        |(key, _)| *key,
        String::new(),
        |all, (_, text)| all.push_str(&text[40..]),
        |all, more| all.push_str(&more),
    );
    never_wrong("foldby", &lengths.map(hash).sum::<u64>());
    let groups = rows.groupby(|(key, _)| *key);
    let groups = groups.map(move |(key, rows)| key ^ rows.into_iter().map(hash).sum::<u64>());
    never_wrong("groupby", &groups.sum::<u64>());
    let other = Bag::range(0..30_000, 3).map(move |i| (mixed(i) % 15_000, i));
    let joined = rows.join(&other, |(key, _)| *key, |(key, _)| *key);
    never_wrong(
        "join",
        &joined.map(move |(row, (_, i))| hash(row) ^ i).sum::<u64>(),
    );
    let sorted = rows.sort_by(|(key, _)| *key).map(hash);
    never_wrong(
        "sort",
        &sorted.fold(
            0u64,
            |sum, x| *sum = (*sum).wrapping_mul(3) ^ x,
            |a, b| *a = (*a).wrapping_mul(7) ^ b,
        ),
    );
    let again = rows.repartition(7).map(hash);
    never_wrong("repartition", &again.sum::<u64>());
}

/// A partition that is kept is written by the task that makes it, and read whenever it is used.
#[test]
fn no_flipped_bit_changes_what_is_kept() {
    let rows = Bag::range(0..60_000, 2).map(|i| format!("{i:050}"));
    let digits = |row: String| row.bytes().map(u64::from).sum::<u64>();
    let expected = rows.map(digits).sum::<u64>();
    let expected = expected.compute_with(&SerialExecutor).unwrap();
    let run = |flipped: u64| {
        let faults = Arc::new(Faults {
            corrupt_byte: flipped,
            ..Faults::default()
        });
        let session = faults.session(BUDGET, 1);
        let mut graph = Graph::new();
        let layer = rows.kept().lower(&mut graph).unwrap();
        let kept = session.persist(&graph, &[layer]).unwrap().remove(0);
        let again =
            Bag::from_layer::<String>(move |graph: &mut Graph| Ok(graph.push(kept.clone(), &[])));
        let sum = again.map(digits).sum::<u64>().compute_with(&session);
        (sum, faults.bytes_read.load(Ordering::Relaxed))
    };
    let (right, read) = run(0);
    assert_eq!(right.unwrap(), expected);
    assert!(read > 1000, "{read} bytes of spill files are read");
    let mut found = 0;
    for i in 0..TRIES {
        let flipped = 1 + (read - 1) * i / (TRIES - 1);
        match run(flipped).0 {
            Ok(sum) => assert_eq!(sum, expected, "byte {flipped} of {read}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Spill, "{error:?}");
                found += 1;
            }
        }
    }
    assert!(found > 0, "no flipped bit was met");
}
