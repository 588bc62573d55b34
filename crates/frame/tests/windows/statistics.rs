//! What columns hold, and rows by stretches of time.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type, TimeUnit};
use flagstone_frame::{DataFrame, Every, cast, col, count_all, sum, time_bucket, time_bucket_in};
use flagstone_graph::SerialExecutor;

use super::common;

fn rows(frame: &DataFrame) -> Vec<String> {
    common::rows(&frame.compute_with(&SerialExecutor).unwrap())
}

fn mixed() -> DataFrame {
    let batch = |range: std::ops::Range<i64>| {
        let numbers: ArrayRef = Arc::new(
            range
                .clone()
                .map(|i| (i % 5 != 0).then_some(i))
                .collect::<Int64Array>(),
        );
        let floats: ArrayRef = Arc::new(
            range
                .clone()
                .map(|i| Some(i as f64 / 4.0))
                .collect::<Float64Array>(),
        );
        let texts: ArrayRef = Arc::new(
            range
                .clone()
                .map(|i| Some(format!("t{i:02}")))
                .collect::<StringArray>(),
        );
        let lists = range.map(|i| Some(vec![Some(i as i32)]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
        RecordBatch::try_from_iter_with_nullable([
            ("n", numbers, true),
            ("f", floats, true),
            ("t", texts, true),
            ("l", lists, true),
        ])
        .unwrap()
    };
    let batches = vec![batch(0..4), batch(4..11)];
    DataFrame::from_batches(batches[0].schema(), batches)
}

#[test]
fn columns_of_every_kind_are_described_in_one_pass() {
    let described = mixed().describe([0.5, 0.9]);
    let found = described.compute_with(&SerialExecutor).unwrap();
    let schema = found.schema();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(
        names,
        [
            "column",
            "type",
            "count",
            "null_count",
            "mean",
            "std",
            "min",
            "50%",
            "90%",
            "max"
        ]
    );
    assert_eq!(
        rows(&described.drop(["std"])),
        [
            // 1 2 3 4 6 7 8 9
            "| n | Int64 | 8 | 3 | 5.0 | 1 | 5.0 | 8.3 | 9 |",
            "| f | Float64 | 11 | 0 | 1.25 | 0.0 | 1.25 | 2.25 | 2.5 |",
            "| t | Utf8 | 11 | 0 | | t00 | | | t10 |",
            "| l | List(Int32) | 11 | 0 | | | | | |",
        ]
    );
    // no quantiles: nothing grows
    assert_eq!(mixed().describe([]).count_with(&SerialExecutor).unwrap(), 4);
    let none = mixed().filter_sql("n > 1000").describe([0.5]);
    assert_eq!(rows(&none.drop(["type"]))[0], "| n | 0 | 0 | | | | | |");
    for (wrong, word) in [
        (mixed().describe([1.5]), "1.5 is no quantile"),
        (mixed().drop(["n", "f", "t", "l"]).describe([]), "no column"),
    ] {
        let error = wrong.compute_with(&SerialExecutor).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

fn times(texts: &[&str]) -> DataFrame {
    let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let batch = RecordBatch::try_from_iter([("at", texts)]).unwrap();
    let frame = DataFrame::from_batches(batch.schema(), vec![batch]);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    frame.with_column("at", cast(col("at"), utc))
}

#[test]
fn stretches_of_time_begin_where_the_calendar_says() {
    let at = times(&[
        "2024-02-29T23:10:00Z",
        "2024-03-01T00:00:00Z",
        "2024-03-03T12:00:00Z",
        "2024-03-04T00:00:01Z",
    ]);
    let starts = |every: Every| {
        let start = cast(time_bucket(col("at"), every), DataType::Utf8).alias("start");
        rows(&at.select([start]).distinct().sort_by(["start"]))
    };
    assert_eq!(starts(Every::Minutes(15)).len(), 4);
    assert_eq!(
        starts(Every::Hours(12))[..2],
        ["| 2024-02-29T12:00:00Z |", "| 2024-03-01T00:00:00Z |"]
    );
    assert_eq!(
        starts(Every::Weeks(1)),
        ["| 2024-02-26T00:00:00Z |", "| 2024-03-04T00:00:00Z |"]
    );
    assert_eq!(
        starts(Every::Months(1)),
        ["| 2024-02-01T00:00:00Z |", "| 2024-03-01T00:00:00Z |"]
    );
    assert_eq!(starts(Every::Years(10)), ["| 2020-01-01T00:00:00Z |"]);
    // the last day of summer time has 25 hours in Rome, from 22:00 to 23:00
    let autumn = times(&[
        "2024-10-26T21:59:00Z",
        "2024-10-26T22:00:00Z",
        "2024-10-27T22:59:00Z",
        "2024-10-27T23:00:00Z",
    ]);
    let days = time_bucket_in(col("at"), Every::Days(1), "Europe/Rome").alias("day");
    let counts = autumn.groupby([days]).agg([count_all().alias("n")]);
    assert_eq!(
        rows(&counts.with_column("day", cast(col("day"), DataType::Utf8))),
        [
            "| 2024-10-26T00:00:00+02:00 | 1 |",
            "| 2024-10-27T00:00:00+02:00 | 2 |",
            "| 2024-10-28T00:00:00+01:00 | 1 |"
        ]
    );
}

#[test]
fn rows_are_resampled_counted_and_ranked() {
    let at = times(&[
        "2024-01-01T05:59:59Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T18:30:00Z",
    ]);
    let at = at.with_column("n", flagstone_frame::lit(2i64));
    let quarters = at
        .resample("at", Every::Hours(6))
        .agg([sum(col("n")).alias("n")]);
    let shown = quarters.with_column("at", cast(col("at"), DataType::Utf8));
    assert_eq!(
        rows(&shown),
        [
            "| 2024-01-01T00:00:00Z | 4 |",
            "| 2024-01-01T18:00:00Z | 2 |"
        ]
    );
    let most = mixed().n_largest(3, "n").select([col("n")]);
    assert_eq!(rows(&most), ["| 9 |", "| 8 |", "| 7 |"]);
    assert_eq!(
        rows(
            &mixed()
                .n_smallest(1, col("f") * flagstone_frame::lit(-1.0))
                .select([col("t")])
        ),
        ["| t10 |"]
    );
    let pairs = mixed().with_column(
        "odd",
        (col("n") % flagstone_frame::lit(2)).eq(flagstone_frame::lit(1)),
    );
    let table = pairs
        .crosstab_with(&SerialExecutor, ["odd"], "odd")
        .unwrap();
    assert_eq!(
        rows(&table),
        [
            // values in their order, the null last
            "| | 0 | 0 | 3 |",
            "| false | 4 | 0 | 0 |",
            "| true | 0 | 4 | 0 |"
        ]
    );
}
