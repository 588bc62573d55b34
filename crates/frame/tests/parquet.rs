//! Parquet files to rows.

mod common;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use common::write;
use flagstone_common::{Counter, SerialHost};
use flagstone_frame::{DataFrame, JsonOptions, ParquetOptions, col, count_all, lit, min, sum};
use flagstone_graph::{FreezeOptions, Graph, SerialExecutor, run_serially};
use flagstone_scheduler::Session;

/// A directory of several files and row groups, `n` ascending.
fn table(dir: &std::path::Path, rows: i64) -> DataFrame {
    let text: String = (0..rows)
        .map(|n| {
            format!(
                "{{\"n\":{n},\"o\":{{\"a\":{},\"b\":\"{:x}\"}},\"s\":\"k{}\"}}\n",
                n % 10,
                (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                n % 3
            )
        })
        .collect();
    write(dir, "a.json", &text);
    let options = ParquetOptions {
        target_bytes: 300_000,
        ..ParquetOptions::default()
    };
    let report = DataFrame::read_json([dir.join("a.json")], JsonOptions::default())
        .write_parquet_with(&SerialExecutor, dir.join("t"), &options)
        .unwrap();
    assert!(report.files.len() > 1);
    DataFrame::read_parquet([dir.join("t").join("*.parquet")])
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let frame = table(dir.path(), 50_000);
    let json = DataFrame::read_json([dir.path().join("a.json")], JsonOptions::default());
    assert_eq!(
        frame.compute_with(&SerialExecutor).unwrap(),
        json.compute_with(&SerialExecutor).unwrap()
    );
    let groups = |frame: &DataFrame| {
        frame
            .groupby(["s"])
            .agg([
                sum(col("o.a")).alias("a"),
                min(col("o.b")).alias("b"),
                count_all(),
            ])
            .compute_with(&SerialExecutor)
            .unwrap()
    };
    assert_eq!(groups(&frame), groups(&json));
    assert_eq!(frame.count_with(&SerialExecutor).unwrap(), 50_000);
}

/// Rows read from the source for a frame.
fn rows_in(frame: &DataFrame) -> (u64, u64) {
    let mut graph = Graph::new();
    let layer = frame.build(&mut graph, &SerialExecutor).unwrap();
    let program = graph.freeze(&[layer], &FreezeOptions::default()).unwrap();
    let host = SerialHost::new();
    run_serially(&program, &host).unwrap();
    (
        host.counted(Counter::RowsIn),
        host.counted(Counter::BytesRead),
    )
}

#[test]
fn row_groups_and_members_that_cannot_matter_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let frame = table(dir.path(), 50_000);
    let (all_rows, all_bytes) = rows_in(&frame);
    assert_eq!(all_rows, 50_000);
    let last = frame.filter(col("n").gt_eq(lit(49_990)));
    assert_eq!(last.count_with(&SerialExecutor).unwrap(), 10);
    assert!(rows_in(&last).0 < all_rows / 4);
    let none = frame.filter(lit(60_000).lt(col("n")).or(col("n").eq(lit(-1))));
    assert_eq!(
        (none.count_with(&SerialExecutor).unwrap(), rows_in(&none).0),
        (0, 0)
    );
    let member = frame.select([col("o.a")]);
    assert!(rows_in(&member).1 < all_bytes / 4);
    let batch = member.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch["o.a"].as_primitive::<Int64Type>().value(17), 7);
}

#[test]
fn broken_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.parquet", "no parquet at all");
    let error = DataFrame::read_parquet([dir.path().join("x.parquet")])
        .check()
        .unwrap_err();
    assert!(error.message().contains("x.parquet"), "{error}");
}

#[test]
fn files_of_any_size_are_written_within_the_budget_that_a_refusal_names() {
    let dir = tempfile::tempdir().unwrap();
    let frame = table(dir.path(), 50_000);
    for (number, target_bytes) in [1, 4 << 10, 1 << 20, 8 << 20, 128 << 20]
        .into_iter()
        .enumerate()
    {
        let options = ParquetOptions {
            target_bytes,
            overwrite: true,
            ..ParquetOptions::default()
        };
        let out = dir.path().join(format!("o{number}"));
        let written = |budget_bytes: u64| {
            let session = Session::builder().memory_bytes(budget_bytes).threads(2);
            frame.write_parquet_with(&session.build().unwrap(), &out, &options)
        };
        let refused = written(200_000).unwrap_err();
        let smallest = refused.smallest_budget().unwrap();
        for budget_bytes in [smallest, smallest + 1000, smallest + smallest / 2] {
            let report = written(budget_bytes);
            let report = report.unwrap_or_else(|error| panic!("{target_bytes}: {error}"));
            assert_eq!(report.rows, 50_000);
        }
    }
}
