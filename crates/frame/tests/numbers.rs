//! Numbers as text and back: what is written as CSV is read as the same values.

mod common;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int8Array, NullArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int8Type, Schema};
use common::write;
use flagstone_frame::{CsvOptions, DataFrame, RowFormat, RowOptions};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

fn written(columns: Vec<(&str, ArrayRef)>) -> (String, RecordBatch) {
    let dir = tempfile::tempdir().unwrap();
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let frame = DataFrame::from_batches(schema, vec![batch]);
    let options = RowOptions::new(RowFormat::Csv);
    let report = frame
        .write_rows_with(&SerialExecutor, dir.path().join("out"), &options)
        .unwrap();
    let text = std::fs::read_to_string(&report.files[0]).unwrap();
    let back = DataFrame::read_csv(&report.files, CsvOptions::csv());
    (text, back.compute_with(&SerialExecutor).unwrap())
}

#[test]
fn what_is_no_finite_number_is_read_as_a_double() {
    let dir = tempfile::tempdir().unwrap();
    for (text, wanted) in [
        (
            "x\n1.5\nNaN\ninf\n-inf\nInfinity\nnan\n",
            vec![
                1.5,
                f64::NAN,
                f64::INFINITY,
                -f64::INFINITY,
                f64::INFINITY,
                f64::NAN,
            ],
        ),
        ("x\nNaN\n1\n", vec![f64::NAN, 1.0]),
        ("x\n1\nNaN\n", vec![1.0, f64::NAN]),
        ("x\ninf\nnan\n", vec![f64::INFINITY, f64::NAN]),
        (
            "x\n-Infinity\n+inf\nINF\n",
            vec![-f64::INFINITY, f64::INFINITY, f64::INFINITY],
        ),
    ] {
        let path = write(dir.path(), "a.csv", text);
        let batch = DataFrame::read_csv([&path], CsvOptions::csv())
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(batch["x"].data_type(), &DataType::Float64, "{text}");
        let read = batch["x"].as_primitive::<Float64Type>();
        let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
        assert!(
            read.values().iter().zip(&wanted).all(same),
            "{text}: {read:?}"
        );
    }
    // late ones widen nothing but the type; words stay words
    let late = format!("n,w\n{}nan,info\n", "1,inf\n".repeat(100_000));
    let path = write(dir.path(), "late.csv", &late);
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert!(
        batch["n"]
            .as_primitive::<Float64Type>()
            .value(100_000)
            .is_nan()
    );
    assert_eq!(batch["w"].as_string::<i32>().value(0), "inf");
}

#[test]
fn nulls_of_every_kind_of_column_are_empty_fields() {
    let keys = Int8Array::from(vec![Some(0), Some(1), None]);
    let values = Arc::new(StringArray::from(vec![Some("x"), None]));
    let dictionary = DictionaryArray::<Int8Type>::try_new(keys, values).unwrap();
    let (text, back) = written(vec![
        ("n", Arc::new(NullArray::new(3))),
        ("d", Arc::new(dictionary)),
        (
            "s",
            Arc::new(StringArray::from(vec![Some("a"), Some(""), None])),
        ),
    ]);
    assert_eq!(text, "n,d,s\n,x,a\n,,\"\"\n,,\n");
    assert_eq!(back["n"].null_count(), 3);
    assert_eq!(back["s"].null_count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn doubles_come_back_as_they_were(
        bits in proptest::collection::vec(any::<u64>(), 1..40),
        special in proptest::collection::vec(
            proptest::sample::select(vec![f64::NAN, f64::INFINITY, -f64::INFINITY, -0.0, 0.0,
                f64::MIN_POSITIVE, f64::MAX, 5e-324]), 1..10),
    ) {
        let values = bits.into_iter().map(f64::from_bits).chain(special);
        let values: Vec<Option<f64>> = values.map(Some).chain([None, Some(0.5)]).collect();
        let column = Float64Array::from(values.clone());
        let (_, back) = written(vec![("x", Arc::new(column)), ("i", Arc::new(NullArray::new(values.len())))]);
        let back = back["x"].as_primitive::<Float64Type>();
        for (i, wanted) in values.iter().enumerate() {
            match wanted {
                None => prop_assert!(back.is_null(i)),
                Some(wanted) if wanted.is_nan() => prop_assert!(back.value(i).is_nan()),
                Some(wanted) => prop_assert_eq!(back.value(i).to_bits(), wanted.to_bits()),
            }
        }
    }
}
