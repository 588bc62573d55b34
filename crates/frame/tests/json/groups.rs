//! Groups of records.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use flagstone_frame::{col, count_all, max, mean, min, sum};
use flagstone_graph::SerialExecutor;

use crate::common::write;
use crate::{events, read};

#[test]
fn groups_are_those_of_a_hash_map() {
    let dir = tempfile::tempdir().unwrap();
    for part in 0..5u64 {
        write(
            dir.path(),
            &format!("{part}.json"),
            &events(part * 3000..part * 3000 + 3000),
        );
    }
    let frame = read(dir.path(), "*.json")
        .groupby(["type", "actor.login"])
        .agg([
            sum(col("score")).alias("total"),
            mean(col("payload.size")).alias("mean"),
            min(col("id")).alias("first"),
            max(col("actor.id")).alias("last"),
            count_all(),
        ]);
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    let mut oracle: BTreeMap<(String, String), (f64, i64)> = BTreeMap::new();
    for i in 0..15_000u64 {
        let kind = ["Push", "Watch", "Fork"][i as usize % 3].to_owned();
        let entry = oracle
            .entry((kind, format!("user{}", i % 100)))
            .or_default();
        entry.0 += (i % 13) as f64 + 0.5;
        entry.1 += 1;
    }
    assert_eq!(batch.num_rows(), oracle.len());
    let (kinds, logins) = (
        batch.column(0).as_string::<i32>(),
        batch.column(1).as_string::<i32>(),
    );
    for (row, ((kind, login), (total, count))) in oracle.iter().enumerate() {
        assert_eq!(
            (kinds.value(row), logins.value(row)),
            (kind.as_str(), login.as_str())
        );
        assert_eq!(
            batch["total"].as_primitive::<Float64Type>().value(row),
            *total
        );
        assert_eq!(
            batch["count(*)"].as_primitive::<Int64Type>().value(row),
            *count
        );
    }
    assert_eq!(batch["mean"].null_count(), 200);
    let forks = (0..15_000u64).filter(|i| i % 3 == 2 && i % 100 == 0);
    let first = forks.map(|i| i.to_string()).min().unwrap();
    assert_eq!(batch["first"].as_string::<i32>().value(0), first);
    let none: [&str; 0] = [];
    let all = read(dir.path(), "*.json")
        .groupby(none)
        .agg([count_all(), sum(col("score"))]);
    assert_eq!(all.compute_with(&SerialExecutor).unwrap().num_rows(), 1);
    assert_eq!(
        read(dir.path(), "*.json")
            .count_with(&SerialExecutor)
            .unwrap(),
        15_000
    );
}

#[test]
fn sums_of_text_are_refused_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", "{\"a\":\"x\",\"k\":1}\n");
    for (function, name) in [(sum(col("a")), "sum"), (mean(col("a")), "mean")] {
        let frame = read(dir.path(), "a.json").groupby(["k"]).agg([function]);
        let error = frame.compute_with(&SerialExecutor).unwrap_err();
        let wanted = format!("{name} needs numbers, and a is Utf8; cast it first (`cast`)");
        assert_eq!(error.message(), wanted);
        assert!(error.location().is_some());
    }
}
