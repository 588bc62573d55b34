//! Rows to CSV, JSON lines and Arrow, and back.

mod common;

use std::fs::File;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::ipc::reader::FileReader;
use common::{bytes_of, write};
use flagstone_common::Counter;
use flagstone_frame::{
    CsvOptions, DataFrame, InputFormat, JsonOptions, RowCompression, RowFormat, RowOptions,
    inspect_parquet,
};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;
use proptest::prelude::*;

fn options(format: RowFormat, compression: RowCompression) -> RowOptions {
    RowOptions {
        compression,
        target_bytes: 300_000,
        ..RowOptions::new(format)
    }
}

fn source(dir: &Path) -> DataFrame {
    let record = |i: usize| {
        let note = [
            "plain",
            "",
            "a \\\"quoted\\\" one",
            "two\\nlines, and a comma",
        ][i % 4];
        let who = match i % 5 {
            0 => "null".to_owned(),
            _ => format!("{{\"login\":\"u{}\",\"tags\":[{i},{}]}}", i % 7, i + 1),
        };
        format!(
            "{{\"i\":{i},\"x\":{}.25,\"note\":\"{note}\",\"who\":{who}}}\n",
            i % 11
        )
    };
    for (name, range) in [("a.json", 0..9000), ("b.json", 9000..20_000)] {
        write(dir, name, &range.map(record).collect::<String>());
    }
    DataFrame::read_json([dir.join("?.json")], JsonOptions::default())
}

fn arrow_rows(files: &[std::path::PathBuf]) -> RecordBatch {
    let mut batches = Vec::new();
    for file in files {
        let reader = FileReader::try_new(File::open(file).unwrap(), None).unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let frame = source(dir.path());
    let whole = frame.compute_with(&SerialExecutor).unwrap();
    for compression in [RowCompression::None, RowCompression::Zstd] {
        let session = Session::builder()
            .memory("128 MiB")
            .threads(2)
            .build()
            .unwrap();
        let out = dir.path().join(format!("json-{compression:?}"));
        let options_of = options(RowFormat::Json, compression);
        let report = frame.write_rows_with(&session, &out, &options_of).unwrap();
        assert_eq!(report.rows, 20_000);
        assert!(report.files.len() > 1 || compression == RowCompression::Zstd);
        let counted = session.stats().counter(Counter::BytesWritten);
        assert_eq!(
            (counted, report.bytes),
            (
                report.bytes,
                bytes_of(&out).iter().map(|f| f.1.len() as u64).sum()
            )
        );
        assert_eq!(session.stats().counter(Counter::RowsOut), 20_000);
        let back = DataFrame::read_json(&report.files, JsonOptions::default());
        assert_eq!(back.compute_with(&SerialExecutor).unwrap(), whole);
        // the same bytes without threads
        let alone = dir.path().join(format!("alone-{compression:?}"));
        frame
            .write_rows_with(&SerialExecutor, &alone, &options_of)
            .unwrap();
        assert_eq!(bytes_of(&out), bytes_of(&alone));

        let out = dir.path().join(format!("arrow-{compression:?}"));
        let report = frame
            .write_rows_with(&session, &out, &options(RowFormat::Arrow, compression))
            .unwrap();
        assert_eq!(arrow_rows(&report.files), whole);

        let out = dir.path().join(format!("csv-{compression:?}"));
        let flat = frame.select_sql("i, x, note, who.login");
        let report = flat
            .write_rows_with(&session, &out, &options(RowFormat::Csv, compression))
            .unwrap();
        let back = DataFrame::read_csv(&report.files, CsvOptions::csv());
        let (back, flat) = (
            back.compute_with(&SerialExecutor).unwrap(),
            flat.compute_with(&SerialExecutor).unwrap(),
        );
        assert_eq!(back, flat);
        // an empty text is no null
        assert_eq!(back["note"].as_string::<i32>().value(1), "");
    }
}

#[test]
fn columns_that_csv_cannot_hold_are_named_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let error = source(dir.path())
        .write_rows_with(&SerialExecutor, &out, &RowOptions::new(RowFormat::Csv))
        .unwrap_err();
    assert!(
        error.message().contains("the column who is an object"),
        "{error}"
    );
    assert!(!out.exists());
}

#[test]
fn no_rows_are_one_file_with_the_columns() {
    let dir = tempfile::tempdir().unwrap();
    let none = source(dir.path()).filter_sql("i < 0").select_sql("i, x");
    let out = dir.path().join("csv");
    let report = none
        .write_rows_with(&SerialExecutor, &out, &RowOptions::new(RowFormat::Csv))
        .unwrap();
    assert_eq!(std::fs::read_to_string(&report.files[0]).unwrap(), "i,x\n");
    let out = dir.path().join("arrow");
    let report = none
        .write_rows_with(&SerialExecutor, &out, &RowOptions::new(RowFormat::Arrow))
        .unwrap();
    let reader = FileReader::try_new(File::open(&report.files[0]).unwrap(), None).unwrap();
    assert_eq!(reader.schema().fields().len(), 2);
}

#[test]
fn a_pattern_of_names_without_formats_is_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "events-1", "{\"a\":1}\n{\"a\":2}\n");
    write(dir.path(), "events-2.json", "{\"a\":3}\n");
    write(dir.path(), "empty", "");
    write(dir.path(), "table", "a\tb\n1\t2\n");
    write(dir.path(), "words", "nothing to see\n");
    let detect = |name: &str| InputFormat::detect([dir.path().join(name)]);
    assert_eq!(detect("e*").unwrap(), InputFormat::Json);
    assert_eq!(detect("table").unwrap(), InputFormat::Tsv);
    for (name, what) in [
        ("*", "different formats"),
        ("w*", "words"),
        ("empty", "no input"),
    ] {
        let error = detect(name).unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
}

/// A value as `serde_json` and the reader must agree on it.
fn values() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~éß\u{1F600}\"\\\\\n\t]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[abc\"é]{1,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The whole value as JSON text, and a member taken out of it, are what `serde_json` reads;
    /// a record cut anywhere is a bad one for both.
    #[test]
    fn records_are_read_as_serde_json_reads_them(
        records in proptest::collection::vec((any::<i64>(), values(), any::<bool>()), 1..12),
        cut in any::<proptest::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for (id, value, space) in &records {
            let record = serde_json::json!({ "id": id, "v": value });
            text.push_str(&match space {
                true => record.to_string(),
                false => format!(" {{ \"id\" : {id} ,\t\"v\": {value} }} \r"),
            });
            text.push('\n');
        }
        // one more that is an object and one that is a string: the column becomes JSON text
        text.push_str("{\"id\":1,\"v\":{\"zz\":1}}\n{\"id\":2,\"v\":\"s\"}\n");
        write(dir.path(), "a.json", &text);
        let frame = DataFrame::read_json([dir.path().join("a.json")], JsonOptions::default());
        let batch = frame.compute_with(&SerialExecutor).unwrap();
        prop_assert_eq!(batch.num_rows(), records.len() + 2);
        for (i, (id, value, _)) in records.iter().enumerate() {
            let ids = batch["id"].as_primitive::<arrow::datatypes::Int64Type>();
            prop_assert_eq!(ids.value(i), *id);
            let column = batch["v"].as_string::<i32>();
            match arrow::array::Array::is_null(column, i) {
                true => prop_assert!(value.is_null()),
                false => {
                    let back: serde_json::Value = serde_json::from_str(column.value(i)).unwrap();
                    prop_assert_eq!(&back, value);
                }
            }
        }
        let whole = text.lines().next().unwrap();
        let mut at = cut.index(whole.len());
        while !whole.is_char_boundary(at) {
            at -= 1;
        }
        let part = &whole[..at];
        let blank = part.trim().is_empty();
        let good = blank || serde_json::from_str::<serde_json::Value>(part).is_ok();
        write(dir.path(), "cut.json", &format!("{{\"id\":1}}\n{part}\n"));
        let cut = DataFrame::read_json([dir.path().join("cut.json")], JsonOptions::default());
        prop_assert_eq!(cut.count_with(&SerialExecutor).is_ok(), good, "{}", part);
    }
}

#[test]
fn what_looks_at_files_takes_one_path_or_several_as_readers_do() {
    let dir = tempfile::tempdir().unwrap();
    let text = write(dir.path(), "a.csv", "n\n1\n");
    let out = dir.path().join("a.parquet");
    let options = flagstone_frame::ParquetOptions::default();
    DataFrame::read_csv(&text, CsvOptions::csv())
        .write_parquet_with(&SerialExecutor, &out, &options)
        .unwrap();
    assert_eq!(InputFormat::detect("x.csv").unwrap(), InputFormat::Csv);
    assert_eq!(InputFormat::detect(&text).unwrap(), InputFormat::Csv);
    assert_eq!(InputFormat::detect([&text]).unwrap(), InputFormat::Csv);
    let several = vec![dir.path().join("*.parquet"), out.clone()];
    assert_eq!(InputFormat::detect(&several).unwrap(), InputFormat::Parquet);
    let one = inspect_parquet(&out).unwrap();
    assert_eq!((one.files, one.rows), (1, 1));
    assert_eq!(inspect_parquet(out.to_str().unwrap()).unwrap(), one);
    // a file that is named twice is one file
    assert_eq!(inspect_parquet(several).unwrap(), one);
}
