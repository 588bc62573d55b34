//! Group-by against a plain loop, and the same bits on every executor.

mod common;
#[path = "groups/functions.rs"]
mod functions;
#[path = "groups/parts.rs"]
mod parts;
#[path = "groups/spilled.rs"]
mod spilled;
#[path = "groups/typed.rs"]
mod typed;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use flagstone_frame::{DataFrame, col, count, count_all, max, mean, min, sum};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;
use proptest::prelude::*;

type Row = (Option<i64>, Option<String>, Option<f64>, Option<i64>);

fn rows() -> impl Strategy<Value = Row> {
    (
        proptest::option::weighted(0.9, -3i64..4),
        proptest::option::weighted(0.9, "[ab]{0,2}"),
        proptest::option::weighted(0.9, -1e9f64..1e9),
        proptest::option::weighted(0.9, -1_000_000i64..1_000_000),
    )
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 4] = [
        (
            "k",
            Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        ),
        (
            "t",
            Arc::new(rows.iter().map(|r| r.1.clone()).collect::<StringArray>()),
        ),
        (
            "x",
            Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
        ),
        (
            "n",
            Arc::new(rows.iter().map(|r| r.3).collect::<Int64Array>()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, c)| (name, c, true))).unwrap()
}

#[derive(Default)]
struct Group {
    rows: i64,
    x: Vec<f64>,
    n: Vec<i64>,
}

/// Equal in every bit: `NaN` and signed zeros too.
fn same_bits(a: &RecordBatch, b: &RecordBatch) -> bool {
    let data = |batch: &RecordBatch| -> Vec<_> {
        batch
            .columns()
            .iter()
            .map(|column| column.to_data())
            .collect()
    };
    a.schema() == b.schema()
        && data(a) == data(b)
        && a.columns().iter().zip(b.columns()).all(|(a, b)| {
            let bits = |array: &ArrayRef| -> Option<Vec<Option<u64>>> {
                let floats = array.as_primitive_opt::<Float64Type>()?;
                Some(floats.iter().map(|x| x.map(f64::to_bits)).collect())
            };
            bits(a) == bits(b)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_of_a_plain_loop(
        // more partitions than a merge takes at once, empty ones too
        partitions in proptest::collection::vec(proptest::collection::vec(rows(), 0..30), 1..40),
        keys in 0usize..3,
    ) {
        let batches: Vec<RecordBatch> = partitions.iter().map(|rows| batch(rows)).collect();
        let frame = DataFrame::from_batches(batch(&[]).schema(), batches);
        let frame = frame.groupby(["k", "t"].into_iter().take(keys)).agg([
            count_all().alias("rows"),
            count(col("x")).alias("xs"),
            sum(col("x")).alias("sum"),
            mean(col("x")).alias("mean"),
            min(col("n")).alias("min"),
            max(col("n")).alias("max"),
            sum(col("n")).alias("total"),
        ]);
        let serial = frame.compute_with(&SerialExecutor).unwrap();
        for (threads, budget) in [(3, "256 MiB"), (1, "48 MiB")] {
            let session = Session::builder().threads(threads).memory(budget).build().unwrap();
            prop_assert!(same_bits(&serial, &frame.compute_with(&session).unwrap()));
        }
        let mut wanted: BTreeMap<(Option<i64>, Option<String>), Group> = BTreeMap::new();
        if keys == 0 {
            wanted.insert((None, None), Group::default());
        }
        for (k, t, x, n) in partitions.iter().flatten() {
            let key = (k.filter(|_| keys > 0), t.clone().filter(|_| keys > 1));
            let group = wanted.entry(key).or_default();
            group.rows += 1;
            group.x.extend(*x);
            group.n.extend(*n);
        }
        // sorted by key with nulls first, as a `BTreeMap` of options is
        prop_assert_eq!(serial.num_rows(), wanted.len());
        let int = |name: &str| serial[name].as_primitive::<Int64Type>().clone();
        let float = |name: &str| serial[name].as_primitive::<Float64Type>().clone();
        for (i, ((k, t), group)) in wanted.iter().enumerate() {
            let at = |column: &Int64Array| column.iter().nth(i).flatten();
            if keys > 0 {
                prop_assert_eq!(at(&int("k")), *k);
            }
            if keys > 1 {
                let text = serial["t"].as_string::<i32>().iter().nth(i).flatten();
                prop_assert_eq!(text, t.as_deref());
            }
            prop_assert_eq!(at(&int("rows")), Some(group.rows));
            prop_assert_eq!(at(&int("xs")), Some(group.x.len() as i64));
            prop_assert_eq!(at(&int("min")), group.n.iter().copied().min());
            prop_assert_eq!(at(&int("max")), group.n.iter().copied().max());
            let total = (!group.n.is_empty()).then(|| group.n.iter().sum::<i64>());
            prop_assert_eq!(at(&int("total")), total);
            let sum = float("sum").iter().nth(i).flatten();
            prop_assert_eq!(sum.is_none(), group.x.is_empty());
            if let Some(sum) = sum {
                // adding in another order differs by rounding only
                let plain: f64 = group.x.iter().sum();
                let size: f64 = group.x.iter().map(|x| x.abs()).sum();
                prop_assert!((sum - plain).abs() <= size * 1e-12, "{} {}", sum, plain);
                let mean = float("mean").value(i);
                prop_assert!((mean - plain / group.x.len() as f64).abs() <= size * 1e-12);
            }
        }
    }
}

fn of_batch(columns: Vec<(&str, ArrayRef)>) -> DataFrame {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    DataFrame::from_batches(batch.schema(), vec![batch])
}

#[test]
fn zeros_are_one_key_and_so_are_all_that_are_no_number() {
    let keys: ArrayRef = Arc::new(Float64Array::from(vec![
        -0.0,
        0.0,
        1.0,
        f64::NAN,
        -f64::NAN,
    ]));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]));
    let frame = of_batch(vec![("k", keys), ("v", values)]);
    let batch = frame
        .groupby(["k"])
        .agg([sum(col("v"))])
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(
        batch.column(1).as_primitive::<Int64Type>().values(),
        &[3, 3, 9]
    );
    assert_eq!(
        batch
            .column(0)
            .as_primitive::<Float64Type>()
            .value(0)
            .to_bits(),
        0
    );
}

#[test]
fn sums_of_integers_fail_only_when_the_sum_passes_64_bits() {
    let one = |values: ArrayRef| {
        let frame = of_batch(vec![("v", values)]);
        let groups = frame.groupby(Vec::<&str>::new()).agg([sum(col("v"))]);
        groups.compute_with(&SerialExecutor)
    };
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX - 10, 3, 4]));
    let batch = one(large).unwrap();
    assert_eq!(
        batch.column(0).as_primitive::<UInt64Type>().value(0),
        u64::MAX - 3
    );
    let back: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 5, -10]));
    let batch = one(back).unwrap();
    assert_eq!(
        batch.column(0).as_primitive::<Int64Type>().value(0),
        i64::MAX - 5
    );
    for too_large in [
        Arc::new(UInt64Array::from(vec![u64::MAX, 1])) as ArrayRef,
        Arc::new(Int64Array::from(vec![i64::MIN, -1])),
    ] {
        let error = one(too_large).unwrap_err();
        assert!(error.message().contains("passes 64 bits"), "{error}");
    }
}

#[test]
fn a_batch_in_memory_counts_once_however_many_slices_it_is_read_in() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Session::builder().memory_bytes(32 << 20);
    let session = builder.spill_dir(dir.path()).build().unwrap();
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..500_000));
    let frame = of_batch(vec![("v", values)]);
    assert_eq!(frame.compute_with(&session).unwrap().num_rows(), 500_000);
}
