//! More groups than memory: the same rows, to the bit, whatever the budget and the threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use flagstone_common::TaskContext;
use flagstone_frame::{
    DataFrame, all, any, corr, cov, first, last, list, max, mean, median, min, mode, n_unique,
    quantile, std, sum, var,
};
use flagstone_frame::{Partition, Result, col, count, count_all, count_where, lit};
use flagstone_graph::{Block, Deps, Execute, Footprint, Graph, Inputs, Layer, SerialExecutor};
use flagstone_scheduler::Session;

use crate::same_bits;

/// Numbers that look random, the same in every run.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    let n = (n ^ (n >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    n ^ (n >> 33)
}

/// Rows whose keys are `key(place)`: a number, a text of it, a float and a condition.
fn rows(from: u64, len: u64, key: &dyn Fn(u64) -> u64) -> RecordBatch {
    let places = from..from + len;
    let some = |place: u64, odds: u64| !mixed(place * 7 + odds).is_multiple_of(odds);
    let keys = places.clone().map(|i| some(i, 97).then(|| key(i) as i64));
    let texts = places
        .clone()
        .map(|i| some(i, 89).then(|| format!("text {}", key(i) % 1000)));
    let floats = places
        .clone()
        .map(|i| some(i, 11).then(|| mixed(i) as f64 / 1e7 - 9e11));
    let numbers = places
        .clone()
        .map(|i| some(i, 13).then(|| (mixed(i * 3) % 1000) as i64));
    let flags = places.map(|i| some(i, 17).then(|| mixed(i * 5).is_multiple_of(3)));
    let columns: [(&str, ArrayRef); 5] = [
        ("k", Arc::new(keys.collect::<Int64Array>())),
        ("t", Arc::new(texts.collect::<StringArray>())),
        ("x", Arc::new(floats.collect::<Float64Array>())),
        ("n", Arc::new(numbers.collect::<Int64Array>())),
        ("f", Arc::new(flags.collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, c)| (name, c, true))).unwrap()
}

fn frame(partitions: u64, len: u64, key: impl Fn(u64) -> u64) -> DataFrame {
    let batches = (0..partitions).map(|i| rows(i * len, len, &key));
    let batches: Vec<RecordBatch> = batches.collect();
    DataFrame::from_batches(batches[0].schema(), batches)
}

/// Takes blocks of rows out of the session, one after the other: the budget is for what computes them.
struct Taken {
    tasks: u32,
    rows: Mutex<BTreeMap<u32, Partition>>,
}

impl Layer for Taken {
    fn name(&self) -> &str {
        "taken"
    }

    fn task_count(&self) -> u32 {
        self.tasks
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::bounded(64)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let rows = inputs.get::<Partition>(0)?.clone();
        self.rows.lock().unwrap().insert(task, rows);
        Ok(Block::value(()))
    }
}

fn taken(frame: &DataFrame, session: &Session) -> RecordBatch {
    let mut graph = Graph::new();
    let rows = frame.build(&mut graph, session).unwrap();
    let taken = Arc::new(Taken {
        tasks: graph.layer(rows).task_count(),
        rows: Mutex::default(),
    });
    let layer = graph.push_at(taken.clone(), &[rows], None);
    session.execute(&graph, &[layer]).unwrap();
    let rows = taken.rows.lock().unwrap();
    let batches = rows.values().flat_map(|rows| &rows.batches);
    concat_batches(&rows[&0].schema, batches).unwrap()
}

/// Computes a frame with each budget and with one and two threads, and checks that all say the same.
fn same_everywhere(frame: &DataFrame, budgets: &[u64]) -> RecordBatch {
    let dir = tempfile::tempdir().unwrap();
    let serial = frame.compute_with(&SerialExecutor).unwrap();
    for &budget in budgets {
        for threads in [1, 2] {
            let builder = Session::builder().threads(threads).memory_bytes(budget);
            let session = builder.spill_dir(dir.path()).build().unwrap();
            let rows = taken(frame, &session);
            assert!(
                same_bits(&serial, &rows),
                "{budget} bytes, {threads} threads"
            );
            let peak = session.stats().ledger_peak_bytes;
            assert!(peak <= budget, "{peak} of {budget} bytes");
        }
    }
    serial
}

fn functions() -> Vec<flagstone_frame::Expr> {
    vec![
        count_all().alias("rows"),
        count(col("x")).alias("xs"),
        sum(col("x")).alias("sum"),
        sum(col("n")).alias("total"),
        mean(col("x")).alias("mean"),
        min(col("t")).alias("least"),
        max(col("x")).alias("greatest"),
        var(col("x")).alias("var"),
        std(col("n")).alias("std"),
        corr(col("x"), col("n")).alias("corr"),
        cov(col("x"), col("n")).alias("cov"),
        first(col("t")).alias("first"),
        last(col("n")).alias("last"),
        any(col("f")).alias("any"),
        all(col("f")).alias("all"),
        count_where(col("n").gt(lit(500))).alias("large"),
    ]
}

#[test]
fn few_groups_and_many_are_the_same_on_every_budget() {
    let of_rows = frame(3, 20_000, |i| mixed(i) % 40_000);
    let groups = of_rows.groupby(["k"]).sort(false).agg(functions());
    let batch = same_everywhere(&groups, &[7 << 20, 64 << 20]);
    let mut wanted: HashMap<Option<i64>, (i64, i64)> = HashMap::new();
    for batch in (0..3).map(|i| rows(i * 20_000, 20_000, &|i| mixed(i) % 40_000)) {
        let keys = batch["k"].as_primitive::<Int64Type>();
        let numbers = batch["n"].as_primitive::<Int64Type>();
        for (key, number) in keys.iter().zip(numbers) {
            let group = wanted.entry(key).or_default();
            group.0 += 1;
            group.1 += number.unwrap_or(0);
        }
    }
    assert_eq!(batch.num_rows(), wanted.len());
    let int = |name: &str| batch[name].as_primitive::<Int64Type>().clone();
    let (keys, counts, totals) = (int("k"), int("rows"), int("total"));
    for (at, key) in keys.iter().enumerate() {
        let (rows, total) = wanted[&key];
        assert_eq!(
            (
                counts.value(at),
                totals.iter().nth(at).flatten().unwrap_or(0)
            ),
            (rows, total)
        );
    }
    let of_rows = frame(5, 9000, |i| mixed(i) % 10);
    same_everywhere(&of_rows.groupby(["k", "t"]).agg(functions()), &[10 << 20]);
}

#[test]
fn growing_states_go_to_disk_with_the_others() {
    let of_rows = frame(4, 10_000, |i| mixed(i) % 3000);
    let groups = of_rows.groupby(["k"]).sort(false).agg([
        list(col("n")).alias("list"),
        median(col("x")).alias("median"),
        quantile(col("n"), 0.9).alias("most"),
        mode(col("n")).alias("mode"),
        n_unique(col("n")).alias("different"),
        n_unique(col("t")).alias("texts"),
        sum(col("x")).alias("sum"),
    ]);
    let batch = same_everywhere(&groups, &[7 << 20, 64 << 20]);
    let mut wanted: HashMap<Option<i64>, Vec<Option<i64>>> = HashMap::new();
    for batch in (0..4).map(|i| rows(i * 10_000, 10_000, &|i| mixed(i) % 3000)) {
        let keys = batch["k"].as_primitive::<Int64Type>();
        for (key, number) in keys.iter().zip(batch["n"].as_primitive::<Int64Type>()) {
            wanted.entry(key).or_default().push(number);
        }
    }
    let lists = batch["list"].as_list::<i32>();
    let different = batch["different"].as_primitive::<Int64Type>();
    let modes = batch["mode"].as_primitive::<Int64Type>();
    let most = batch["most"].as_primitive::<Float64Type>();
    for (at, key) in batch["k"].as_primitive::<Int64Type>().iter().enumerate() {
        let values = &wanted[&key];
        let list: Vec<_> = lists.value(at).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(list, *values);
        let mut sorted: Vec<i64> = values.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let place = 0.9 * (sorted.len() - 1) as f64;
        let (low, high) = (
            sorted[place as usize] as f64,
            sorted[place.ceil() as usize] as f64,
        );
        assert!((most.value(at) - (low + (high - low) * place.fract())).abs() < 1e-9);
        let mut counts: HashMap<i64, i64> = HashMap::new();
        sorted
            .iter()
            .for_each(|value| *counts.entry(*value).or_default() += 1);
        assert_eq!(different.value(at), counts.len() as i64);
        let best = counts
            .iter()
            .map(|(value, count)| (*count, -value))
            .max()
            .unwrap();
        assert_eq!(modes.value(at), -best.1);
    }
}

#[test]
fn every_row_a_group_is_dealt_out_and_comes_back() {
    let of_rows = frame(2, 100_000, |i| i);
    let groups = of_rows
        .groupby(["k"])
        .sort(false)
        .agg([sum(col("x")).alias("sum")]);
    let batch = same_everywhere(&groups, &[7 << 20]);
    let some = (0..200_000u64).filter(|i| !mixed(i * 7 + 97).is_multiple_of(97));
    assert_eq!(batch.num_rows(), some.count() + 1);
    let distinct = of_rows.select(["k"]).distinct();
    assert_eq!(
        same_everywhere(&distinct, &[7 << 20]).num_rows(),
        batch.num_rows()
    );
}

#[test]
fn shards_larger_than_a_cache_are_folded_in_parts() {
    // nearly every row brings a new key, and the rows of a shard take more than ten million bytes
    let key = |place: u64| mixed(place) % 400_000;
    let batches = (0..3).map(|i| {
        let places = i * 50_000..(i + 1) * 50_000;
        let keys = places.clone().map(|place| format!("{:0>200}", key(place)));
        let floats = places.map(|place| mixed(place * 3) as f64 / 1e7 - 9e11);
        let columns: [(&str, ArrayRef); 2] = [
            ("k", Arc::new(keys.map(Some).collect::<StringArray>())),
            ("x", Arc::new(floats.map(Some).collect::<Float64Array>())),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    let of_rows = DataFrame::from_batches(batches[0].schema(), batches);
    let groups = of_rows.groupby(["k"]).sort(false);
    let groups = groups.agg([count_all().alias("rows"), sum(col("x")).alias("sum")]);
    let batch = same_everywhere(&groups, &[24 << 20, 1 << 30]);
    let mut wanted: HashMap<u64, i64> = HashMap::new();
    (0..150_000).for_each(|place| *wanted.entry(key(place)).or_default() += 1);
    assert_eq!(batch.num_rows(), wanted.len());
    let counts = batch["rows"].as_primitive::<Int64Type>();
    for (key, rows) in batch["k"].as_string::<i32>().iter().zip(counts) {
        assert_eq!(rows, wanted.get(&key.unwrap().parse().unwrap()).copied());
    }
}

#[test]
fn one_key_that_nearly_all_rows_have_is_one_state() {
    let of_rows = frame(4, 30_000, |i| if i % 100 == 0 { i } else { 7 });
    let groups = of_rows.groupby(["k"]).sort(false).agg(functions());
    same_everywhere(&groups, &[7 << 20]);
}

#[test]
fn the_budget_that_a_refusal_names_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let session = |budget: u64, threads: usize| {
        let builder = Session::builder().threads(threads).memory_bytes(budget);
        builder.spill_dir(dir.path()).build().unwrap()
    };
    let (many, fewer) = (frame(2, 100_000, |i| i), frame(2, 25_000, |i| i));
    let by_key = || fewer.groupby(["k"]).sort(false);
    let plans = [
        many.select(["k"]).distinct(),
        by_key().agg(functions()),
        by_key().agg([list(col("t")), n_unique(col("x")), sum(col("x"))]),
        by_key().agg([median(col("x"))]),
    ];
    for plan in plans {
        let wanted = plan.count_with(&SerialExecutor).unwrap();
        for threads in [1, 2] {
            let refusal = plan.count_with(&session(1 << 20, threads)).unwrap_err();
            let smallest = refusal.smallest_budget().unwrap();
            assert!(smallest <= 7 << 20, "{refusal}");
            let session = session(smallest, threads);
            assert_eq!(plan.count_with(&session).unwrap(), wanted);
            let stats = session.stats();
            assert!(stats.ledger_peak_bytes <= smallest, "{stats:?}");
        }
    }
}

#[test]
fn a_group_that_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Session::builder().threads(1).memory_bytes(6 << 20);
    let session = builder.spill_dir(dir.path()).build().unwrap();
    let of_rows = frame(4, 100_000, |i| if i % 100 == 0 { i } else { 7 });
    let lists = of_rows.groupby(["k"]).sort(false).agg([list(col("x"))]);
    let error = lists.count_with(&session).unwrap_err();
    assert!(error.message().contains("the group k = 7 takes"), "{error}");
    // what is kept of one group only grows where it must
    let sums = of_rows.groupby(["k"]).sort(false).agg([sum(col("x"))]);
    assert_eq!(
        sums.count_with(&session).unwrap(),
        lists.count_with(&SerialExecutor).unwrap()
    );
}
