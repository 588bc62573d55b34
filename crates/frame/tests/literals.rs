//! Whole numbers in SQL are exact, however long they are: never the float next to them.

mod common;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{Field, Int64Type, Schema};
use common::rows;
use flagstone_frame::{DataFrame, check_condition, check_select_list};
use flagstone_graph::SerialExecutor;

const I: [i64; 6] = [i64::MIN, -1, 0, 7, i64::MAX - 1, i64::MAX];
const U: [u64; 6] = [0, 7, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];

fn frame() -> DataFrame {
    let columns: [(&str, ArrayRef); 4] = [
        ("row", Arc::new(Int64Array::from_iter_values(0..6))),
        ("i", Arc::new(Int64Array::from(I.to_vec()))),
        ("u", Arc::new(UInt64Array::from(U.to_vec()))),
        (
            "f",
            Arc::new(Float64Array::from_iter_values(
                I.iter().map(|&i| i as f64 * 16.0),
            )),
        ),
    ];
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    DataFrame::from_batches(schema, vec![batch])
}

/// The rows for which a condition holds.
#[track_caller]
fn kept(condition: &str) -> Vec<usize> {
    check_condition(condition).unwrap_or_else(|error| panic!("{condition}: {error}"));
    let batch = frame().filter_sql(condition).select(["row"]);
    let batch = batch.compute_with(&SerialExecutor);
    let batch = batch.unwrap_or_else(|error| panic!("{condition}: {error}"));
    let rows = batch.column(0).as_primitive::<Int64Type>();
    rows.values().iter().map(|&row| row as usize).collect()
}

/// Those of which a function of the value, in 128 bits, says so.
fn holds(values: impl IntoIterator<Item = i128>, of: impl Fn(i128) -> bool) -> Vec<usize> {
    let rows = values.into_iter().enumerate();
    rows.filter(|&(_, value)| of(value))
        .map(|(row, _)| row)
        .collect()
}

#[test]
fn comparisons_with_long_numbers_are_exact() {
    let signed = || I.iter().map(|&i| i128::from(i));
    let unsigned = || U.iter().map(|&u| i128::from(u));
    for number in [
        i128::from(i64::MAX) - 1,
        i128::from(i64::MAX),
        1 << 63,
        (1 << 63) + 1,
        i128::from(u64::MAX) - 1,
        i128::from(u64::MAX),
        1 << 64,
        (1 << 64) + 1,
        10i128.pow(29) + 1,
        -(1 << 63),
        -(1 << 63) - 1,
        -(1 << 64),
        -(10i128.pow(29)),
    ] {
        for (sign, of) in [
            ("=", (|a, b| a == b) as fn(i128, i128) -> bool),
            ("<>", |a, b| a != b),
            ("<", |a, b| a < b),
            (">=", |a, b| a >= b),
        ] {
            let i = format!("i {sign} {number}");
            assert_eq!(kept(&i), holds(signed(), |i| of(i, number)), "{i}");
            let u = format!("u {sign} {number}");
            assert_eq!(kept(&u), holds(unsigned(), |u| of(u, number)), "{u}");
            let turned = format!("{number} {sign} i");
            assert_eq!(
                kept(&turned),
                holds(signed(), |i| of(number, i)),
                "{turned}"
            );
        }
        let list = format!("i in (7, {number})");
        assert_eq!(
            kept(&list),
            holds(signed(), |i| i == 7 || i == number),
            "{list}"
        );
        let list = format!("u not in (7, {number})");
        assert_eq!(
            kept(&list),
            holds(unsigned(), |u| u != 7 && u != number),
            "{list}"
        );
        let between = format!("i between {} and {number}", number - 1);
        let inside = |i: i128| i >= number - 1 && i <= number;
        assert_eq!(kept(&between), holds(signed(), inside), "{between}");
        let between = format!("u not between {number} and {}", number + 1);
        let outside = |u: i128| u < number || u > number + 1;
        assert_eq!(kept(&between), holds(unsigned(), outside), "{between}");
    }
}

#[test]
fn beside_floats_a_long_number_is_the_float_next_to_it() {
    let floats = || I.iter().map(|&i| i as f64 * 16.0).enumerate();
    for number in [
        "147573952589676412928",
        "-147573952589676412928",
        "99999999999999999999",
    ] {
        let value: f64 = number.parse().unwrap();
        let rows = |of: fn(f64, f64) -> bool| -> Vec<usize> {
            floats()
                .filter(|&(_, f)| of(f, value))
                .map(|(row, _)| row)
                .collect()
        };
        assert_eq!(kept(&format!("f = {number}")), rows(|a, b| a == b));
        assert_eq!(kept(&format!("f < {number}")), rows(|a, b| a < b));
        assert_eq!(kept(&format!("f in (3, {number})")), rows(|a, b| a == b));
        assert_eq!(
            kept(&format!("{number} between f and f")),
            rows(|a, b| a == b)
        );
    }
}

#[test]
fn what_is_computed_of_long_numbers_is_exact_or_an_error() {
    let selected = |list: &str| {
        check_select_list(list).map_err(|error| error.message().to_owned())?;
        let batch = frame().filter_sql("row = 3").select_sql(list);
        let batch = batch.compute_with(&SerialExecutor);
        batch
            .map(|batch| rows(&batch))
            .map_err(|error| error.message().to_owned())
    };
    let thirty = "123456789012345678901234567890";
    let sixty = format!("{thirty}{thirty}");
    for (list, value) in [
        (thirty.to_owned(), thirty.to_owned()),
        (format!("-{thirty}"), format!("-{thirty}")),
        (sixty.clone(), sixty.clone()),
        (
            format!("{thirty} + i"),
            "123456789012345678901234567897".to_owned(),
        ),
        (
            "i - 9223372036854775809".into(),
            "-9223372036854775802".into(),
        ),
        ("18446744073709551615".into(), "18446744073709551615".into()),
        ("-9223372036854775808".into(), "-9223372036854775808".into()),
        ("00000000000000000000000000000012".into(), "12".into()),
        (
            format!("case when i = 7 then {thirty} else 1 end"),
            thirty.to_owned(),
        ),
    ] {
        assert_eq!(selected(&list).unwrap(), [format!("| {value} |")], "{list}");
    }
    let long = "9".repeat(77);
    for list in [
        long.clone(),
        format!("i = {long}"),
        format!("i in (1, -{long})"),
    ] {
        let message = selected(&list).unwrap_err();
        assert!(
            message.contains("77 digits") && message.contains("9e76"),
            "{message}"
        );
    }
    // what asks for floats has them
    assert_eq!(
        selected("1e30 > 123456789012345678901234567890.5").unwrap(),
        ["| true |"]
    );
}
