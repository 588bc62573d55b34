//! Asof joins against a look at every pair of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use flagstone_frame::{AsofJoin, DataFrame, Direction, RowFormat, RowOptions, cast, col, lit};
use flagstone_graph::{Execute, SerialExecutor};
use flagstone_scheduler::Session;

use super::common;
use super::oracle::Random;

/// A row: who, when, and a value, which may be null.
type Row = (Option<String>, Option<i64>, Option<i64>);

fn rows(count: usize, keys: u64, times: u64, seed: u64) -> Vec<Row> {
    let mut random = Random(seed * 2 + 1);
    let mut next = |end: u64| match random.below(12) {
        0 => None,
        _ => Some(random.below(end)),
    };
    let row = |_| {
        let who = next(keys).map(|who| format!("w{who}"));
        (
            who,
            next(times).map(|at| at as i64),
            next(1000).map(|v| v as i64),
        )
    };
    (0..count).map(row).collect()
}

fn frame(rows: &[Row], partitions: usize) -> DataFrame {
    let batch = |rows: &[Row]| {
        let who: ArrayRef = Arc::new(
            rows.iter()
                .map(|row| row.0.clone())
                .collect::<StringArray>(),
        );
        let at: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
        let v: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>());
        RecordBatch::try_from_iter_with_nullable([
            ("who", who, true),
            ("at", at, true),
            ("v", v, true),
        ])
        .unwrap()
    };
    let size = rows.len().div_ceil(partitions).max(1);
    let batches: Vec<RecordBatch> = rows.chunks(size).map(batch).collect();
    DataFrame::from_batches(batch(&[]).schema(), batches)
}

#[derive(Clone, Copy, Debug)]
struct Case {
    by: bool,
    direction: Direction,
    tolerance: Option<i64>,
    exact: bool,
}

impl Case {
    fn join(self) -> AsofJoin {
        let mut join = AsofJoin::new("at", "at")
            .direction(self.direction)
            .exact_matches(self.exact);
        if self.by {
            join = join.by("who", "who");
        }
        match self.tolerance {
            Some(apart) => join.tolerance(lit(apart)),
            None => join,
        }
    }

    /// The row that a row is joined with.
    fn nearest<'r>(self, row: &Row, others: &'r [Row]) -> Option<&'r Row> {
        let at = row.1?;
        let is_same = |other: &&Row| !self.by || (row.0.is_some() && row.0 == other.0);
        let others: Vec<&Row> = others
            .iter()
            .filter(is_same)
            .filter(|other| other.1.is_some())
            .collect();
        let fits = |apart: i64| apart > 0 || (apart == 0 && self.exact);
        let of = |other: &Row| other.1.unwrap();
        let before = || {
            let before = others.iter().filter(|other| fits(at - of(other)));
            // the last one of those with the greatest key
            before.copied().max_by_key(|other| of(other))
        };
        let after = || {
            let after = others.iter().filter(|other| fits(of(other) - at));
            after.copied().min_by_key(|other| of(other))
        };
        let found = match self.direction {
            Direction::Backward => before(),
            Direction::Forward => after(),
            Direction::Nearest => match (before(), after()) {
                (Some(a), Some(b)) if at - of(a) <= of(b) - at => Some(a),
                (Some(a), None) => Some(a),
                (_, b) => b,
            },
        };
        found.filter(|other| {
            self.tolerance
                .is_none_or(|apart| (of(other) - at).abs() <= apart)
        })
    }

    fn expected(self, left: &[Row], right: &[Row]) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_default();
        let mut order: Vec<usize> = (0..left.len()).collect();
        order.sort_by_key(|&row| (self.by.then(|| left[row].0.clone()), left[row].1, row));
        let line = |row: &Row| {
            let found = self.nearest(row, right);
            let number = |value: Option<i64>| text(value.map(|value| value.to_string()));
            let mut cells = vec![text(row.0.clone()), number(row.1), number(row.2)];
            if !self.by {
                cells.push(text(found.and_then(|other| other.0.clone())));
            }
            cells.push(number(found.and_then(|other| other.2)));
            format!("| {} |", cells.join(" | "))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        order.into_iter().map(|row| line(&left[row])).collect()
    }
}

fn answer(frame: &DataFrame, execute: &dyn Execute) -> Vec<String> {
    common::rows(&frame.compute_with(execute).unwrap())
}

#[test]
fn rows_are_joined_with_the_nearest_ones() {
    let mut seed = 0;
    for by in [false, true] {
        for direction in [Direction::Backward, Direction::Forward, Direction::Nearest] {
            for (tolerance, exact) in [
                (None, true),
                (Some(3), true),
                (None, false),
                (Some(0), true),
                (Some(7), false),
            ] {
                for (left, right) in [(60, 40), (1, 5), (200, 3), (0, 4), (9, 0)] {
                    seed += 1;
                    let case = Case {
                        by,
                        direction,
                        tolerance,
                        exact,
                    };
                    let (left, right) = (rows(left, 4, 50, seed), rows(right, 4, 50, seed + 1000));
                    let joined = frame(&left, 3).join_asof(&frame(&right, 2), case.join());
                    assert_eq!(
                        answer(&joined, &SerialExecutor),
                        case.expected(&left, &right),
                        "{case:?} {seed}"
                    );
                }
            }
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_joined_with_the_same_ones() {
    let (left, right) = (rows(9_000, 3, 1_000_000, 7), rows(6_000, 3, 1_000_000, 8));
    let options = RowOptions::new(RowFormat::Csv);
    for (by, direction) in [(false, Direction::Backward), (true, Direction::Nearest)] {
        let case = Case {
            by,
            direction,
            tolerance: None,
            exact: true,
        };
        let text = lit("x".repeat(1000));
        let left = frame(&left, 4).with_column("text", text.clone());
        let joined = left.join_asof(&frame(&right, 4).with_column("text", text), case.join());
        let written = |execute: &dyn Execute| {
            let dir = tempfile::tempdir().unwrap();
            joined
                .write_rows_with(execute, dir.path().join("out"), &options)
                .unwrap();
            common::bytes_of(&dir.path().join("out"))
        };
        let expected = written(&SerialExecutor);
        for threads in [1, 3] {
            let session = Session::builder()
                .threads(threads)
                .memory("26 MiB")
                .build()
                .unwrap();
            assert!(written(&session) == expected, "{case:?}");
            let stats = session.stats();
            assert!(
                stats.ledger_peak_bytes <= 26 << 20 && stats.bytes_spilled > 0,
                "{}",
                stats.bytes_spilled
            );
        }
    }
}

#[test]
fn keys_are_compared_in_a_type_that_holds_both() {
    let left = rows(50, 3, 40, 1);
    let right = rows(50, 3, 40, 2);
    let case = Case {
        by: true,
        direction: Direction::Backward,
        tolerance: None,
        exact: true,
    };
    let plain = frame(&left, 2).join_asof(&frame(&right, 2), case.join());
    let floats = frame(&right, 2).with_column("at", cast(col("at"), DataType::Float64));
    let mixed = frame(&left, 2).join_asof(&floats, case.join());
    assert_eq!(
        answer(&mixed, &SerialExecutor),
        answer(&plain, &SerialExecutor)
    );
    // times, and how far apart they are at most
    let seconds = || cast(col("at"), DataType::Timestamp(TimeUnit::Second, None));
    let times = |rows: &[Row]| frame(rows, 2).with_column("at", seconds());
    let apart = lit(ScalarValue::new_interval_dt(0, 3000));
    let timed = times(&left).join_asof(
        &times(&right),
        AsofJoin::new("at", "at").by("who", "who").tolerance(apart),
    );
    let near = Case {
        tolerance: Some(3),
        ..case
    };
    let numbers = timed.with_column("at", cast(col("at"), DataType::Int64));
    assert_eq!(
        answer(&numbers, &SerialExecutor),
        near.expected(&left, &right)
    );
    let near = AsofJoin::new("at", "at").direction(Direction::Nearest);
    assert!(
        times(&left)
            .join_asof(&times(&right), near)
            .compute_with(&SerialExecutor)
            .is_ok()
    );
    let refused = frame(&left, 1).join_asof(&frame(&right, 1), AsofJoin::new("who", "at"));
    let error = refused
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cast one of them"), "{error}");
    let missing = frame(&left, 1).join_asof(&frame(&right, 1), AsofJoin::new("at", "when"));
    let error = missing
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the right frame has no column \"when\""),
        "{error}"
    );
}

#[test]
fn other_names_and_columns_that_are_read_alone() {
    let (left, right) = (rows(80, 3, 40, 3), rows(50, 3, 40, 4));
    let quotes = frame(&right, 2).rename([("who", "user"), ("at", "since")]);
    let join = AsofJoin::new("at", "since").by("who", "user").suffix("_of");
    let joined = frame(&left, 2).join_asof(&quotes, join);
    let schema = joined.compute_with(&SerialExecutor).unwrap().schema();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["who", "at", "v", "user", "since", "v_of"]);
    let one = joined
        .select([col("v_of")])
        .compute_with(&SerialExecutor)
        .unwrap();
    let all = joined.compute_with(&SerialExecutor).unwrap();
    assert_eq!(one.column(0), all.column(5));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5, f64::NAN, -0.0]));
    let batch = RecordBatch::try_from_iter([("f", floats)]).unwrap();
    let own = DataFrame::from_batches(batch.schema(), vec![batch]);
    let same = own
        .join_asof(&own, AsofJoin::new("f", "f"))
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(
        (
            same.num_rows(),
            same.num_columns(),
            same.column(0).null_count()
        ),
        (3, 1, 0)
    );
}
