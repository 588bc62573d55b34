//! The same rows, in the same order, whatever memory and threads there are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flagstone_frame::{
    DataFrame, Error, ErrorKind, Join, JoinType, JoinType::*, Output, RowFormat, RowOptions, col,
    count_all, lit, max, sum,
};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;

use super::common::bytes_of;
use super::oracle::{Shape, Side, TYPES, side};

fn session(budget: u64, threads: usize) -> Session {
    let builder = Session::builder().memory_bytes(budget).threads(threads);
    builder.allow_tmpfs().build().unwrap()
}

type Files = Vec<(String, Vec<u8>)>;

/// The rows as they are written.
fn written(frame: &DataFrame, execute: &dyn Execute) -> Result<Files, Error> {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::Rows(RowOptions::new(RowFormat::Csv));
    frame.write_with(execute, dir.path().join("out"), &output)?;
    Ok(bytes_of(&dir.path().join("out")))
}

/// Writes the frame in several budgets, from the least that is named on, and on several threads.
fn sweep(name: &str, frame: &DataFrame) {
    let expected = written(frame, &SerialExecutor).unwrap();
    let rows: usize = expected.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(rows > 0, "{name} gives nothing to compare");
    for threads in [1, 2, 4] {
        let refused = written(frame, &session(1 << 20, threads));
        let least = match refused {
            Err(error) => error
                .smallest_budget()
                .unwrap_or_else(|| panic!("{name}: {error}")),
            Ok(_) => 1 << 20,
        };
        let all = [least, 2 * least, least + 77_777, 64 << 20];
        let few = if threads == 2 { all.len() } else { 2 };
        for budget in all.into_iter().take(few) {
            let session = session(budget, threads);
            let found = written(frame, &session);
            let found = found.unwrap_or_else(|error| {
                panic!("{name} in {budget} bytes of which {least} were named, {threads} threads: {error}")
            });
            assert!(
                found == expected,
                "{name} in {budget} bytes, {threads} threads"
            );
            let peak = session.last_stats().ledger_peak_bytes;
            assert!(peak <= budget, "{name}: {peak} of {budget} bytes");
        }
    }
}

fn renamed(frame: &DataFrame) -> DataFrame {
    frame.rename([("k", "rk"), ("b", "rb"), ("v", "rv"), ("t", "rt")])
}

#[test]
fn every_type_of_join_gives_the_same_rows_in_every_budget() {
    for (at, join_type) in TYPES.into_iter().enumerate() {
        let kind = ["int", "text", "float", "word"][at % 4];
        let shape = Shape {
            kind,
            rows: 5_000,
            keys: 3_000,
            nulls: 3,
            partitions: 3,
            text_bytes: 1500,
        };
        let left = side(shape, 40 + at as u64);
        let right = side(
            Shape {
                rows: 4_000,
                ..shape
            },
            60 + at as u64,
        );
        let join = Join::new(join_type).on("k", "rk");
        let join = match at % 2 {
            0 => join,
            _ => join.filter(col("v").lt(col("rv"))),
        };
        let large = (left.untold()).join_with(&renamed(&right.untold()), join.clone());
        sweep(&format!("{join_type:?}"), &large);
    }
}

/// A side that says that it is small is in memory, and what that takes is told before the run.
#[test]
fn a_small_side_gives_the_same_rows_in_every_budget() {
    for (at, join_type) in TYPES.into_iter().enumerate() {
        let shape = Shape {
            kind: "text",
            rows: 3_000,
            keys: 900,
            nulls: 3,
            partitions: 3,
            text_bytes: 300,
        };
        let (left, right) = (side(shape, 80 + at as u64), side(shape, 90 + at as u64));
        let join = Join::new(join_type).on("k", "rk");
        let join = match at % 2 {
            0 => join.filter(col("v").lt(col("rv"))),
            _ => join,
        };
        let joined = match join_type {
            Right | RightSemi | RightAnti => {
                (left.told()).join_with(&renamed(&right.untold()), join)
            }
            _ => (left.untold()).join_with(&renamed(&right.told()), join),
        };
        sweep(&format!("{join_type:?} with a small side"), &joined);
    }
}

/// Where no order is asked for, a side that fits is a table, in a memory that holds it, and both are dealt out
/// in another: the groups are the same to the bit.
#[test]
fn groups_of_a_join_are_the_same_whether_a_side_fits_or_not() {
    // of a full join both sides are always dealt out
    let types = TYPES.into_iter().filter(|of| *of != Full);
    for (at, join_type) in types.enumerate() {
        for (left_rows, right_rows) in [(1_000, 6_000), (6_000, 1_000)] {
            let shape = Shape {
                kind: ["int", "text", "float", "word"][at % 4],
                rows: left_rows,
                keys: 2_000,
                nulls: 3,
                partitions: 3,
                text_bytes: 700,
            };
            let left = side(shape, 140 + at as u64);
            let right = side(
                Shape {
                    rows: right_rows,
                    ..shape
                },
                160 + at as u64,
            );
            let join = Join::new(join_type).on("k", "rk");
            let join = match (at + left_rows / 1_000) % 2 {
                0 => join,
                _ => join.filter(col("v").lt(col("rv"))),
            };
            let joined = (left.untold()).join_with(&renamed(&right.untold()), join);
            let (key, value, text) = match join_type {
                RightSemi | RightAnti => ("rk", "rv", "rt"),
                _ => ("k", "v", "t"),
            };
            let results = [
                count_all().alias("n"),
                sum(col(value)).alias("sum"),
                max(col(text)).alias("last"),
            ];
            let groups = joined.groupby([key]).agg(results);
            sweep(
                &format!("groups of {join_type:?}, {left_rows} rows"),
                &groups,
            );
        }
    }
}

/// Rows of one key and a long text, so that one side of the key alone does not fit.
fn hot(rows: usize, bytes: usize, seed: i64) -> Side {
    let batches = (0..3).map(|partition| {
        let own = rows / 3;
        let keys: Int64Array = (0..own)
            .map(|row| Some(if row % 3 == 1 { row as i64 } else { 7 }))
            .collect();
        let values: Int64Array = (0..own as i64)
            .map(|row| Some((row * 31 + seed + partition) % 1000))
            .collect();
        let texts: StringArray = (0..own)
            .map(|row| Some(format!("{partition}/{row}/").repeat(bytes / 8)))
            .collect();
        let columns = [
            ("k", Arc::new(keys) as ArrayRef),
            ("v", Arc::new(values) as ArrayRef),
            ("t", Arc::new(texts) as ArrayRef),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    let schema = batches[0].schema();
    Side { schema, batches }
}

/// A join by a key that most rows of both sides have.
fn hot_join(join_type: JoinType, filtered: bool, left: &Side, right: &Side) -> DataFrame {
    let join = Join::new(join_type).on("k", "rk");
    let join = match filtered {
        // no key: neither side of it is of one frame
        true => join.filter((col("v") + col("rv")).eq(lit(700))),
        false => join,
    };
    let right = (right.untold()).rename([("k", "rk"), ("v", "rv"), ("t", "rt")]);
    left.untold().join_with(&right, join)
}

#[test]
fn a_key_that_does_not_fit_gives_the_same_rows_in_every_budget() {
    let (left, right) = (hot(90, 2_000, 3), hot(150, 30_000, 5));
    for join_type in TYPES {
        let joined = hot_join(join_type, true, &left, &right);
        sweep(&format!("{join_type:?} by a hot key"), &joined);
    }
    let pairs = hot_join(Inner, false, &hot(30, 2_000, 3), &right);
    let few = pairs.select([col("k"), col("v"), col("rv")]);
    sweep("pairs of a hot key", &few);
}

#[test]
fn a_join_without_keys_gives_the_same_rows_in_every_budget() {
    let (left, right) = (hot(30, 2_000, 3), hot(120, 30_000, 5));
    let right = (right.untold()).rename([("k", "rk"), ("v", "rv"), ("t", "rt")]);
    for join_type in [Inner, Right, Full, LeftAnti] {
        let less = Join::new(join_type).filter(col("v").gt(col("rv") * lit(30)));
        sweep(
            &format!("{join_type:?} by a condition"),
            &left.untold().join_with(&right, less),
        );
    }
}

#[test]
fn three_thousand_rows_of_a_key_meet_three_thousand_others_in_a_few_mebibytes() {
    let (left, right) = (hot(3000, 40, 1), hot(3000, 40, 2));
    let pairs = hot_join(Inner, false, &left, &right);
    let groups = pairs.groupby(["k"]).agg([count_all().alias("n")]);
    let error = groups.count_with(&session(1 << 20, 2)).unwrap_err();
    let least = error.smallest_budget().unwrap();
    assert!(least < 24 << 20, "{least}");
    let session = session(least, 2);
    let pairs = pairs.count_with(&session).unwrap();
    assert!(session.last_stats().ledger_peak_bytes <= least);
    // a third of a side's thousand rows in a partition have keys of their own, one of them the hot one
    let (own, hot) = (333, 3 * 667 + 3);
    assert_eq!(pairs, hot * hot + 3 * 3 * (own - 1));
}

/// A row that is longer than what tasks declare is leased as it comes.
#[test]
fn rows_of_megabytes_are_joined() {
    let long = |seed: i64| {
        let batches = (0..4).map(|partition| {
            let keys: Int64Array = (0..2).map(|row| Some(row + partition % 2)).collect();
            let values: Int64Array = (0..2).map(|row| Some(row + seed)).collect();
            let text = "long ".repeat(300_000);
            let texts: StringArray = (0..2).map(|row| Some(format!("{row}{text}"))).collect();
            let columns = [
                ("k", Arc::new(keys) as ArrayRef),
                ("v", Arc::new(values) as ArrayRef),
                ("t", Arc::new(texts) as ArrayRef),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        });
        let batches: Vec<RecordBatch> = batches.collect();
        let schema = batches[0].schema();
        Side { schema, batches }
    };
    let joined = hot_join(Full, true, &long(350), &long(349));
    let expected = written(&joined, &SerialExecutor).unwrap();
    for threads in [1, 2] {
        let session = session(96 << 20, threads);
        assert!(written(&joined, &session).unwrap() == expected);
        assert!(session.last_stats().ledger_peak_bytes <= 96 << 20);
    }
}

#[test]
fn a_quota_that_is_met_is_the_usual_error() {
    let (left, right) = (hot(2400, 4_000, 3), hot(2400, 4_000, 5));
    let pairs = hot_join(LeftSemi, false, &left, &right);
    let least = pairs
        .count_with(&session(1 << 20, 1))
        .unwrap_err()
        .smallest_budget()
        .unwrap();
    let builder = Session::builder()
        .memory_bytes(least)
        .threads(1)
        .allow_tmpfs();
    let session = builder.spill_quota_bytes(1 << 20).build().unwrap();
    let error = pairs.count_with(&session).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfDisk, "{error}");
}
