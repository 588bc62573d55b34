//! The same rows, in the same order and to the bit, whatever memory and threads there are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use flagstone_frame::{DataFrame, Error, Output, RowFormat, RowOptions};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;

use super::common::bytes_of;

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
fn sweep(name: &str, frame: &DataFrame) -> u64 {
    let expected = written(frame, &SerialExecutor).unwrap();
    let rows: usize = expected.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(rows > 0, "{name} gives nothing to compare");
    let mut smallest = u64::MAX;
    for threads in [1, 2] {
        let refused = written(frame, &session(1 << 20, threads));
        let least = match refused {
            Err(error) => error
                .smallest_budget()
                .unwrap_or_else(|| panic!("{name}: {error}")),
            Ok(_) => 1 << 20,
        };
        smallest = smallest.min(least);
        // lists of runs that are longer than usual are not in what is named
        let least = least + (512 << 10);
        for budget in [least, least + 77_777, 3 * least, 256 << 20] {
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
    smallest
}

/// Rows of window partitions of which one has most rows, with long texts.
fn wide(rows: usize, bytes: usize) -> DataFrame {
    let batches = (0..3).map(|partition| {
        let own = rows / 3;
        let numbers = 0..own as i64;
        let keys: Int64Array = numbers
            .clone()
            .map(|row| Some(if row % 4 == 1 { row % 97 } else { 7 }))
            .collect();
        let orders: Int64Array = numbers
            .clone()
            .map(|row| (row % 31 != 5).then_some((row * 7919 + partition) % 5000))
            .collect();
        let values: Float64Array = numbers
            .clone()
            .map(|row| (row % 13 != 3).then_some(1e6 / (row * 3 + partition + 1) as f64))
            .collect();
        let texts: StringArray = numbers
            .map(|row| Some(format!("{partition}/{row}/").repeat(bytes / 8)))
            .collect();
        let columns = [
            ("k", Arc::new(keys) as ArrayRef),
            ("o", Arc::new(orders) as ArrayRef),
            ("v", Arc::new(values) as ArrayRef),
            ("t", Arc::new(texts) as ArrayRef),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    DataFrame::from_batches(batches[0].schema(), batches)
}

fn query(text: &str, table: &DataFrame) -> DataFrame {
    DataFrame::sql(text, [("t", table)])
}

#[test]
fn a_window_partition_that_does_not_fit_gives_the_same_rows_in_every_budget() {
    // 36 MB of texts, most of them in one window partition
    let table = wide(9_000, 4_000);
    let least = sweep(
        "what needs the end",
        &query(
            "SELECT k, o, v, length(t) AS t, count(*) OVER w AS n, sum(v) OVER w AS total, \
             last_value(length(t)) OVER w AS l, first_value(substr(t, 1, 9)) OVER w AS f \
             FROM t WINDOW w AS (PARTITION BY k)",
            &table,
        ),
    );
    assert!(least < 24 << 20, "{least}");
    sweep(
        "places",
        &query(
            "SELECT k, length(t) AS t, percent_rank() OVER w AS p, cume_dist() OVER w AS c, ntile(9) OVER w AS n, \
             dense_rank() OVER w AS d FROM t WINDOW w AS (PARTITION BY k ORDER BY o)",
            &table,
        ),
    );
}

#[test]
fn frames_give_the_same_bits_in_every_budget() {
    let table = wide(12_000, 400);
    sweep(
        "moving frames",
        &query(
            "SELECT k, o, \
             sum(v) OVER (PARTITION BY k ORDER BY o ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS a, \
             avg(v) OVER (PARTITION BY k ORDER BY o ROWS BETWEEN 700 PRECEDING AND 30 FOLLOWING) AS b, \
             max(t) OVER (PARTITION BY k ORDER BY o RANGE BETWEEN 90 PRECEDING AND 5 FOLLOWING) AS c, \
             sum(v) OVER (PARTITION BY k ORDER BY o ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS d, \
             lead(t, 3000) OVER (PARTITION BY k ORDER BY o) AS e, \
             lag(t, 40) IGNORE NULLS OVER (PARTITION BY k ORDER BY o) AS f FROM t",
            &table,
        ),
    );
    sweep(
        "two windows",
        &query(
            "SELECT k, o, sum(v) OVER (PARTITION BY k ORDER BY o) AS a, \
             row_number() OVER (PARTITION BY o ORDER BY v DESC) AS b, avg(v) OVER () AS c FROM t",
            &table,
        ),
    );
}

#[test]
fn what_needs_no_end_is_held_no_longer_than_its_frame() {
    // 30 MB of texts of one window partition
    let table = wide(7_500, 4_000);
    let spilled = |call: &str| {
        let text = format!(
            "SELECT max(substr(t, 1, 9)) AS t, sum(n) AS n, sum(l) AS l, max(s) AS s FROM \
             (SELECT t, row_number() OVER w AS n, lag(v, 2) OVER w AS l, {call} AS s FROM t \
             WINDOW w AS (ORDER BY o))"
        );
        let frame = query(&text, &table);
        let refused = frame.compute_with(&session(1 << 20, 1)).unwrap_err();
        let least = refused
            .smallest_budget()
            .unwrap_or_else(|| panic!("{refused}"));
        assert!(least < 24 << 20, "{least}");
        let session = session(least + (4 << 20), 1);
        let found = frame.compute_with(&session).unwrap();
        assert_eq!(found, frame.compute_with(&SerialExecutor).unwrap());
        session.last_stats().bytes_spilled
    };
    let runs = spilled("sum(v) OVER (ORDER BY o ROWS UNBOUNDED PRECEDING)");
    assert!((20_000_000..40_000_000).contains(&runs), "{runs}");
    // the rows are in the log until the last of them has come
    let both = spilled("sum(v) OVER ()");
    assert!(both > runs + 20_000_000, "{both} and {runs}");
}

#[test]
fn rows_that_are_longer_than_pages_are_held_and_written_too() {
    let table = wide(90, 500_000);
    let frame = query(
        "SELECT k, o, length(t) AS t, count(*) OVER w AS n, length(last_value(t) OVER w) AS l, \
         length(lag(t, 2) OVER w) AS f FROM t WINDOW w AS (PARTITION BY k)",
        &table,
    );
    let expected = written(&frame, &SerialExecutor).unwrap();
    for budget in [32 << 20, 256 << 20] {
        let found = written(&frame, &session(budget, 1)).unwrap();
        assert!(found == expected, "{budget}");
    }
}
