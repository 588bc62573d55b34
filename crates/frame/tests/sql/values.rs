//! What expressions give: numbers that are exact or errors, and dates by their formats.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, Int64Array};
use arrow::datatypes::{Int32Type, Int64Type};
use flagstone_frame::{CsvOptions, DataFrame, col, day, lit, to_date};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

use crate::common::write;
use crate::{frame, selected};

#[test]
fn integers_that_overflow_are_errors() {
    let limits = frame(vec![
        ("a", Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]))),
        ("b", Arc::new(Int32Array::from(vec![i32::MAX, i32::MIN]))),
    ]);
    let overflows = [
        "a + 1",
        "a - 1",
        "a * 2",
        "-a",
        "a / -1",
        "abs(a)",
        "b + cast(1 as int)",
        "-b",
        "cast(a as int)",
        "9223372036854775807 + 1",
        "-(-9223372036854775807 - 1)",
        "a + (9223372036854775807 * 2)",
        "case when a > 0 then a + 1 else a end",
    ];
    for expr in overflows {
        let result = selected(&limits, &format!("{expr} as x"));
        let error = result.expect_err(expr).to_lowercase();
        assert!(
            error.contains("overflow") || error.contains("can't cast"),
            "{expr}: {error}"
        );
    }
    // conditions too, and expressions that are no text
    let error = limits.filter_sql("a + 1 > 0").compute_with(&SerialExecutor);
    assert!(error.unwrap_err().message().contains("verflow"));
    let error = limits.select([(col("a") * lit(3i64)).alias("x")]);
    assert!(error.compute_with(&SerialExecutor).is_err());
    let (_, rows) = selected(&limits, "a - a as x, a / 2 as y, -(a / 2) as z").unwrap();
    assert_eq!(
        rows[0],
        "| 0 | 4611686018427387903 | -4611686018427387903 |"
    );
}

#[test]
fn dates_are_read_by_their_formats() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "d.csv",
        "d,t\n1012006,01012006\n12312006,12312006\n",
    );
    let dates = DataFrame::read_csv([&path], CsvOptions::csv());
    let (_, read) = selected(
        &dates,
        "to_date(d, '%m%d%Y') as d, to_date(t, '%m%d%Y') as t",
    )
    .unwrap();
    assert_eq!(
        read,
        ["| 2006-01-01 | 2006-01-01 |", "| 2006-12-31 | 2006-12-31 |"]
    );
    let frame = dates.select([day(to_date(col("d"), "%m%d%Y")).alias("d")]);
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch["d"].as_primitive::<Int32Type>().value(1), 31);
    for (list, word) in [
        ("to_date(d, '%d%m%Y') as d", "12312006"),
        (
            "to_date(d, '%Y-%m-%d') as d",
            "whole numbers are read by formats of digits",
        ),
        ("to_date(d * 0.5, '%Y') as d", "not Float64"),
        ("to_date(t, t) as d", "a format of to_date is a text"),
        (
            "to_timestamp(d, '%m%d%Y') as d",
            "takes formats for text only",
        ),
        (
            "to_unixtime(d, '%m%d%Y') as d",
            "takes formats for text only",
        ),
    ] {
        let error = selected(&dates, list).unwrap_err();
        assert!(error.contains(word), "{list}: {error}");
    }
    let parts = "year(to_date(t, '%m%d%Y')) as y, month(to_date(t, '%m%d%Y')) as m, \
                 day(to_date(t, '%m%d%Y')) as d, YEAR(to_date('2020-02-29')) as l, \
                 substr(t, 5, 4) as s, substring(t from 1 for 2) as u, substr(t, 5) as v";
    let (_, read) = selected(&dates, parts).unwrap();
    assert_eq!(read[1], "| 2006 | 12 | 31 | 2020 | 2006 | 12 | 2006 |");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arithmetic_is_exact_or_an_error(
        a in prop_oneof![any::<i64>(), -3i64..4, Just(i64::MIN), Just(i64::MAX)],
        b in prop_oneof![any::<i64>(), -3i64..4, Just(i64::MIN), Just(i64::MAX)],
    ) {
        let pair = frame(vec![
            ("a", Arc::new(Int64Array::from(vec![a]))),
            ("b", Arc::new(Int64Array::from(vec![b]))),
        ]);
        for (expr, wanted) in [
            ("a + b", a.checked_add(b)),
            ("a - b", a.checked_sub(b)),
            ("a * b", a.checked_mul(b)),
            ("a / b", a.checked_div(b)),
            ("a % b", (b != 0).then(|| a.wrapping_rem(b))),
            ("-a", a.checked_neg()),
            ("abs(a)", a.checked_abs()),
        ] {
            let result = pair.select_sql(format!("{expr} as x")).compute_with(&SerialExecutor);
            match wanted {
                Some(wanted) => {
                    let batch = result.unwrap();
                    prop_assert_eq!(batch["x"].as_primitive::<Int64Type>().value(0), wanted);
                    prop_assert_eq!(batch["x"].null_count(), 0);
                }
                None => prop_assert!(result.is_err(), "{} of {} and {}", expr, a, b),
            }
        }
    }
}
