//! Delimited text to rows.

mod common;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use common::{quarantined, read_back, rows, write};
use flagstone_frame::{
    BadRecords, CsvOptions, DataFrame, DateExpr, ParquetOptions, col, lit, sum, to_date,
};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

#[test]
fn types_are_those_that_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = "id,date,zip,price,flag,note,empty\n\
                1,01012006,01234,1.5,true,\"a, \"\"b\"\"\nc\",\n\
                2,12312006,99999,2,false,,\n\r\n\
                3,,,,,\"\",\n";
    write(dir.path(), "a.csv", text);
    let frame = DataFrame::read_csv([dir.path().join("a.csv")], CsvOptions::csv());
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    let types: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(
        types,
        [
            "Int64", "Utf8", "Utf8", "Float64", "Boolean", "Utf8", "Utf8"
        ]
    );
    assert_eq!(batch.num_rows(), 3);
    assert_eq!(batch["date"].as_string::<i32>().value(0), "01012006");
    assert_eq!(batch["note"].as_string::<i32>().value(0), "a, \"b\"\nc");
    assert!(batch["note"].is_null(1) && !batch["note"].is_null(2));
    assert_eq!(batch["empty"].null_count(), 3);
}

#[test]
fn types_that_widen_late_are_told_and_right() {
    let dir = tempfile::tempdir().unwrap();
    let filler: String = (0..60_000).map(|i| format!("{i},{i}\n")).collect();
    write(dir.path(), "a.csv", &format!("n,m\n{filler}"));
    write(dir.path(), "b.csv", &format!("n,m\n{filler}0.5,007\n"));
    let frame = DataFrame::read_csv([dir.path().join("*.csv")], CsvOptions::csv());
    let out = dir.path().join("out");
    let report = frame
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    let file = dir.path().join("b.csv").display().to_string();
    let told: Vec<String> = report.widened.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            format!("n: int became float at {file}:60002"),
            format!("m: int became string at {file}:60002")
        ]
    );
    let batch = read_back(&out);
    assert_eq!(batch["n"].as_primitive::<Float64Type>().value(120_000), 0.5);
    assert_eq!(batch["m"].as_string::<i32>().value(120_000), "007");
    assert_eq!(batch["m"].as_string::<i32>().value(7), "7");
}

#[test]
fn records_of_another_width_follow_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "a,b\n1,2\n3\n4,5,6\n\"x\"y,7\n8,9");
    let error = DataFrame::read_csv([&path], CsvOptions::csv())
        .compute_with(&SerialExecutor)
        .unwrap_err();
    let wanted = format!(
        "{}:3:1: the record has 1 fields instead of 2",
        path.display()
    );
    assert!(error.message().starts_with(&wanted), "{error}");
    let bad = dir.path().join("bad");
    let options = CsvOptions {
        bad_records: BadRecords::Quarantine(bad.clone()),
        types: vec![("b".into(), DataType::Int32)],
        ..CsvOptions::csv()
    };
    let batch = DataFrame::read_csv([&path], options)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(rows(&batch), ["| 1 | 2 |", "| 8 | 9 |"]);
    assert_eq!(batch.schema().field(1).data_type(), &DataType::Int32);
    let kept: Vec<String> = quarantined(&bad)
        .iter()
        .map(|bad| bad["record"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kept, ["3", "4,5,6", "\"x\"y,7"]);
    let open = write(dir.path(), "b.csv", "a,b\n1,\"2\n3,4\n");
    let error = DataFrame::read_csv([&open], CsvOptions::csv())
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(
        error.message().contains("b.csv:2:1: a quote that opens"),
        "{error}"
    );
    let options = CsvOptions {
        types: vec![("b".into(), DataType::Int64)],
        ..CsvOptions::csv()
    };
    let wrong = write(dir.path(), "c.csv", "a,b\n1,2\n1,x\n");
    let error = DataFrame::read_csv([&wrong], options)
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("c.csv:3:3: \"x\" in column b is not of"),
        "{error}"
    );
}

#[test]
fn files_with_other_columns_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.csv", "a,b\n1,2\n");
    write(dir.path(), "b.csv", "b,a\n1,2\n");
    let error = DataFrame::read_csv([dir.path().join("*.csv")], CsvOptions::csv()).check();
    assert!(
        error
            .unwrap_err()
            .message()
            .contains("b.csv has other columns (b, a)")
    );
}

#[test]
fn options_name_and_mark_what_the_file_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.txt", "1|NA|x,\"y\n2||z|\n");
    let options = CsvOptions {
        delimiter: b'|',
        quote: None,
        header: false,
        names: Some(vec!["id".into(), "n".into()]),
        nulls: vec!["NA".into(), String::new()],
        bad_records: BadRecords::Skip,
        ..CsvOptions::csv()
    };
    let batch = DataFrame::read_csv([&path], options)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(rows(&batch), ["| 1 | | x,\"y |"]);
    assert_eq!(batch.schema().field(2).name(), "column_3");
    let same = write(dir.path(), "b.csv", "x,x,,\n1,2,3,4\n");
    let batch = DataFrame::read_csv([&same], CsvOptions::csv())
        .compute_with(&SerialExecutor)
        .unwrap();
    let names: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["x", "x_2", "column_3", "column_4"]);
}

#[test]
fn sums_by_year_state_and_county() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "skip\tDATE\tSTATE\tCOUNTY\tWT\tMME\n".to_owned();
    for i in 0..20_000 {
        let (month, year) = (i % 12 + 1, 2006 + i % 3);
        text += &format!(
            "x{i}\t{month:02}15{year}\tS{}\tC{}\t{}.25\t1.5\n",
            i % 5,
            i % 7,
            i % 50
        );
    }
    write(dir.path(), "a.tsv", &text);
    let frame = DataFrame::read_csv([dir.path().join("a.tsv")], CsvOptions::tsv())
        .with_column("year", to_date(col("DATE"), "%m%d%Y").year())
        .groupby(["year", "STATE", "COUNTY"])
        .agg([sum(col("WT") * col("MME")).alias("mme")]);
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch.num_rows(), 3 * 5 * 7);
    let total: f64 = batch["mme"]
        .as_primitive::<Float64Type>()
        .iter()
        .flatten()
        .sum();
    let wanted: f64 = (0..20_000).map(|i| f64::from(i % 50) + 0.25).sum::<f64>() * 1.5;
    assert!((total - wanted).abs() < 1e-6 * wanted);
    let plan = frame.explain_with(&SerialExecutor).unwrap();
    assert!(
        plan.contains("projection=[DATE, STATE, COUNTY, WT, MME]"),
        "{plan}"
    );
    let error = frame
        .filter(col("year").eq(lit(2006)))
        .filter_sql("nope > 1")
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(error.message().contains("nope"));
}

#[test]
fn quoted_line_ends_across_pieces_are_read_whole() {
    // pieces are 32 MiB: long quoted fields whose lines look like records
    let dir = tempfile::tempdir().unwrap();
    let mut text = "id,note\n".to_owned();
    let inner = "7,seven\n".repeat(9000);
    let mut count = 0i64;
    while text.len() < (33 << 20) {
        text += &format!("{count},\"{inner}\"\n");
        count += 1;
    }
    write(dir.path(), "a.csv", &text);
    let frame = DataFrame::read_csv([dir.path().join("a.csv")], CsvOptions::csv());
    let sums = frame
        .select([col("id")])
        .groupby(none())
        .agg([sum(col("id")).alias("s")]);
    let batch = sums.compute_with(&SerialExecutor).unwrap();
    assert_eq!(
        batch["s"].as_primitive::<Int64Type>().value(0),
        count * (count - 1) / 2
    );
}

fn none() -> [&'static str; 0] {
    []
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn fields_come_back_as_they_were_written(
        records in proptest::collection::vec(("[a-z\",\n]{0,8}", any::<i64>(), any::<Option<f64>>()), 1..50)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut text = "s,i,f\n".to_owned();
        for (s, i, f) in &records {
            let f = f.filter(|f| f.is_finite()).map(|f| format!("{f:?}")).unwrap_or_default();
            text += &format!("\"x{}\",{i},{f}\n", s.replace('"', "\"\""));
        }
        write(dir.path(), "a.csv", &text);
        let batch = DataFrame::read_csv([dir.path().join("a.csv")], CsvOptions::csv())
            .compute_with(&SerialExecutor)
            .unwrap();
        prop_assert_eq!(batch.num_rows(), records.len());
        for (row, (s, i, f)) in records.iter().enumerate() {
            prop_assert_eq!(batch["s"].as_string::<i32>().value(row), format!("x{s}"));
            prop_assert_eq!(batch["i"].as_primitive::<Int64Type>().value(row), *i);
            match f.filter(|f| f.is_finite()) {
                None => prop_assert!(batch["f"].is_null(row)),
                Some(f) => {
                    let got = batch["f"].as_primitive::<Float64Type>().value(row);
                    prop_assert_eq!(got.to_bits(), f.to_bits());
                }
            }
        }
    }
}
