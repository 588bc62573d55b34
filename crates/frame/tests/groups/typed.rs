//! Aggregations of one's own: against plain loops, in every budget, and what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, UInt64Type};
use flagstone_frame::{
    Aggregate, DataFrame, aggregate, check_aggregate, check_aggregate_by, col, lit, sum,
};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;
use serde::{Deserialize, Serialize};

/// The distinct texts of a group, with the sum of their numbers: a state that grows.
struct Distinct;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Named {
    text: Option<String>,
    n: i64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    texts: BTreeMap<String, i64>,
    nulls: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    texts: u64,
    most: Option<String>,
    total: i64,
    nulls: u64,
}

/// What an entry of the map takes, its node and its text beside it.
const ENTRY: usize = 128;

impl Aggregate for Distinct {
    type Row = Named;
    type State = Seen;
    type Output = Told;

    fn init(&self) -> Seen {
        Seen::default()
    }

    fn update(&self, state: &mut Seen, row: Named) {
        match row.text {
            Some(text) => *state.texts.entry(text).or_default() += row.n,
            None => state.nulls += 1,
        }
    }

    fn merge(&self, state: &mut Seen, later: Seen) {
        for (text, n) in later.texts {
            *state.texts.entry(text).or_default() += n;
        }
        state.nulls += later.nulls;
    }

    fn finish(&self, state: Seen) -> Told {
        let most = state.texts.iter().max_by_key(|(_, n)| **n);
        Told {
            texts: state.texts.len() as u64,
            most: most.map(|(text, _)| text.clone()),
            total: state.texts.values().sum(),
            nulls: state.nulls,
        }
    }

    fn heap_bytes(&self, state: &Seen) -> usize {
        let texts = state.texts.keys();
        texts.map(|text| ENTRY + text.len()).sum()
    }

    fn growth_bytes(&self, rows: usize, bytes: usize) -> usize {
        // a text of a written state may be two bytes with its length and its number
        rows * ENTRY + bytes * (ENTRY / 2 + 1)
    }
}

/// Sums of floats: merging rounds.
struct Total;

impl Aggregate for Total {
    type Row = Option<f64>;
    type State = f64;
    type Output = f64;

    fn init(&self) -> f64 {
        0.0
    }

    fn update(&self, state: &mut f64, row: Option<f64>) {
        *state += row.unwrap_or(0.0);
    }

    fn merge(&self, state: &mut f64, later: f64) {
        *state += later;
    }

    fn finish(&self, state: f64) -> f64 {
        state
    }
}

pub(crate) fn table(partitions: i64, rows: i64, keys: i64) -> DataFrame {
    let batches = (0..partitions).map(|partition| {
        let places = (0..rows).map(|row| partition * rows + row);
        let k: Int64Array = places.clone().map(|i| Some(i * 7919 % keys)).collect();
        let t: StringArray = places
            .clone()
            .map(|i| (i % 11 != 3).then(|| format!("t{}", i * 31 % 13)))
            .collect();
        let n: Int64Array = places.map(|i| Some(i * i % 1009 - 500)).collect();
        let columns: [(&str, ArrayRef); 3] =
            [("k", Arc::new(k)), ("t", Arc::new(t)), ("n", Arc::new(n))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, c)| (name, c, true))).unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    DataFrame::from_batches(batches[0].schema(), batches)
}

fn told(frame: &DataFrame) -> DataFrame {
    let total = aggregate(Total, [col("n") / lit(3.0)]).alias("x");
    let told = aggregate(Distinct, ["t", "n"]).alias("told");
    frame
        .groupby(["k"])
        .agg([told, total, sum(col("n")).alias("n")])
}

fn session(budget: u64, threads: usize) -> Session {
    let builder = Session::builder().memory_bytes(budget).threads(threads);
    builder.allow_tmpfs().build().unwrap()
}

#[test]
fn aggregations_of_ones_own_are_what_a_loop_gives() {
    let batch = told(&table(5, 700, 97))
        .compute_with(&SerialExecutor)
        .unwrap();
    let mut expected: BTreeMap<i64, Seen> = BTreeMap::new();
    for i in 0..3500i64 {
        let row = Named {
            text: (i % 11 != 3).then(|| format!("t{}", i * 31 % 13)),
            n: i * i % 1009 - 500,
        };
        Distinct.update(expected.entry(i * 7919 % 97).or_default(), row);
    }
    let found = batch["told"].as_struct();
    let keys = batch["k"].as_primitive::<Int64Type>();
    assert_eq!(batch.num_rows(), expected.len());
    for (row, (key, seen)) in expected.into_iter().enumerate() {
        let wanted = Distinct.finish(seen);
        let column = |name: &str| found.column_by_name(name).unwrap();
        assert_eq!(keys.value(row), key);
        assert_eq!(
            column("texts").as_primitive::<UInt64Type>().value(row),
            wanted.texts
        );
        assert_eq!(
            column("nulls").as_primitive::<UInt64Type>().value(row),
            wanted.nulls
        );
        assert_eq!(
            column("total").as_primitive::<Int64Type>().value(row),
            wanted.total
        );
        let most = column("most").as_string::<i32>();
        assert_eq!(most.value(row), wanted.most.unwrap());
    }
}

#[test]
fn states_of_ones_own_have_the_same_bits_in_every_budget() {
    let frame = told(&table(8, 6_000, 9_001));
    let expected = frame.compute_with(&SerialExecutor).unwrap();
    let refused = frame.compute_with(&session(1 << 20, 1)).unwrap_err();
    let least = refused
        .smallest_budget()
        .unwrap_or_else(|| panic!("{refused}"));
    for (budget, threads) in [(least + (4 << 20), 2), (64 << 20, 1), (256 << 20, 2)] {
        let session = session(budget, threads);
        let found = frame.compute_with(&session);
        let found = found.unwrap_or_else(|error| panic!("{budget}: {error}"));
        assert!(found == expected, "{budget} bytes, {threads} threads");
        assert!(session.last_stats().ledger_peak_bytes <= budget);
    }
}

#[test]
fn mistakes_of_aggregations_are_told() {
    let frame = table(1, 10, 3);
    let told = |expr| {
        let frame = frame.agg([expr]);
        frame.compute_with(&SerialExecutor).unwrap_err().to_string()
    };
    let error = told(aggregate(Distinct, ["t"]).alias("r"));
    assert!(
        error.contains("with 2 fields, and 1 arguments are given"),
        "{error}"
    );

    /// Does not say that it grows.
    struct Silent;
    impl Aggregate for Silent {
        type Row = i64;
        type State = Vec<i64>;
        type Output = i64;
        fn init(&self) -> Vec<i64> {
            Vec::new()
        }
        fn update(&self, state: &mut Vec<i64>, row: i64) {
            state.push(row);
        }
        fn merge(&self, state: &mut Vec<i64>, later: Vec<i64>) {
            state.extend(later);
        }
        fn finish(&self, state: Vec<i64>) -> i64 {
            state.into_iter().sum()
        }
        fn heap_bytes(&self, state: &Vec<i64>) -> usize {
            8 * state.capacity()
        }
    }
    let error = told(aggregate(Silent, ["n"]).alias("r"));
    assert!(error.contains("growth_bytes had declared 0"), "{error}");
    let error = told(aggregate(Silent, ["t"]).alias("r"));
    assert!(error.contains("the row {value: "), "{error}");
}

#[test]
fn laws_are_tested_and_named() {
    let rows: Vec<Named> = (0..100)
        .map(|i| Named {
            text: (i % 5 != 0).then(|| format!("{}", i % 7)),
            n: i,
        })
        .collect();
    check_aggregate(&Distinct, &rows).unwrap();
    let floats: Vec<Option<f64>> = (0..50).map(|i| Some(f64::from(i) * 0.1)).collect();
    check_aggregate_by(&Total, &floats, |x, y| (x - y).abs() < 1e-9).unwrap();

    /// Forgets what was there before when it is merged.
    struct Forgets;
    impl Aggregate for Forgets {
        type Row = i64;
        type State = i64;
        type Output = i64;
        fn init(&self) -> i64 {
            0
        }
        fn update(&self, state: &mut i64, row: i64) {
            *state += row;
        }
        fn merge(&self, state: &mut i64, later: i64) {
            *state = later;
        }
        fn finish(&self, state: i64) -> i64 {
            state
        }
    }
    let error = check_aggregate(&Forgets, &[1, 2, 3])
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not keep the law of empty"), "{error}");
    assert!(error.contains("[] come to 0"), "{error}");
}
