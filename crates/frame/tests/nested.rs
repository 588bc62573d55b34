//! Nested JSON through every format: what comes out is what went in, or it is told.

mod common;

use std::path::Path;

use common::write;
use flagstone_frame::{
    BadRecords, DataFrame, JsonOptions, Output, ParquetOptions, RowFormat, RowOptions, WriteReport,
};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;
use serde_json::{Value, json};

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Without members that are null, and with numbers as floats: what rows of JSON say.
fn said(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members
                .map(|(name, value)| (name.clone(), said(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(said).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn frame(path: &Path) -> DataFrame {
    DataFrame::read_json([path], JsonOptions::default())
}

fn to_json(frame: &DataFrame, out: &Path) -> (Vec<Value>, WriteReport) {
    let output = Output::Rows(RowOptions::new(RowFormat::Json));
    let report = frame.write_with(&SerialExecutor, out, &output).unwrap();
    let mut files = report.files.clone();
    files.sort();
    let text: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    (lines(&text), report)
}

/// The records after JSON to JSON, and after JSON to Parquet to JSON.
fn both_ways(text: &str) -> (Vec<Value>, Vec<Value>, WriteReport) {
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "a.json", text);
    let (direct, _) = to_json(&frame(&source), &dir.path().join("j"));
    let stored = dir.path().join("p");
    let report = frame(&source)
        .write_parquet_with(&SerialExecutor, &stored, &ParquetOptions::default())
        .unwrap();
    let again = DataFrame::read_parquet([stored.join("*.parquet")]);
    let (through, _) = to_json(&again, &dir.path().join("pj"));
    (direct, through, report)
}

fn assert_kept(text: &str) -> WriteReport {
    let wanted: Vec<Value> = lines(text).iter().map(said).collect();
    let (direct, through, report) = both_ways(text);
    let said = |values: Vec<Value>| values.iter().map(said).collect::<Vec<_>>();
    assert_eq!(said(direct), wanted, "as JSON");
    assert_eq!(said(through), wanted, "through Parquet");
    report
}

fn told(report: &WriteReport) -> Vec<String> {
    let told = report.widened.iter();
    told.map(|w| format!("{} {} {} {:?}", w.column, w.from, w.to, w.line))
        .collect()
}

#[test]
fn objects_without_members_stay_objects() {
    for text in [
        "{\"a\":{},\"b\":false}\n{\"a\":{},\"b\":false}\n",
        "{\"a\":{\"_links\":{}}}\n",
        "{\"a\":[{}]}\n{\"a\":[{},null,{}]}\n{\"a\":[]}\n",
        "{\"a\":{}}\n{}\n{\"a\":null}\n",
        "{\"a\":{}}\n{\"a\":{\"x\":1}}\n",
        "{\"a\":{},\"n\":1}\n{\"a\":{},\"n\":2.5}\n",
    ] {
        let report = assert_kept(text);
        let texts = report.widened.iter().filter(|w| w.to.contains("text"));
        assert_eq!(texts.count(), 0, "{text}");
    }
}

#[test]
fn objects_without_members_in_arrow_files_move_no_other_column() {
    let dir = tempfile::tempdir().unwrap();
    let source = write(
        dir.path(),
        "a.json",
        "{\"a\":{},\"b\":false}\n{\"b\":true}\n",
    );
    let output = Output::Rows(RowOptions::new(RowFormat::Arrow));
    let out = dir.path().join("o");
    frame(&source)
        .write_with(&SerialExecutor, &out, &output)
        .unwrap();
    let file = std::fs::File::open(out.join("part-00000.arrow")).unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(common::rows(&batches[0]), ["| {} | false |", "| | true |"]);
}

#[test]
fn names_with_dots_stay_names() {
    assert_kept("{\"a.b\":1,\"c\":2}\n");
    assert_kept("{\"a.b\":1,\"a\":{\"b\":2,\"b.c\":3},\"a.b.c\":4}\n{\"a\":{\"b.c\":5}}\n");
}

#[test]
fn what_becomes_text_is_written_as_it_was_and_told() {
    let keys = |count: usize| {
        let members = (0..count).map(|i| format!("\"k{i}\":{i}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    for (text, wanted) in [
        (format!("{{\"m\":{}}}\n", keys(256)), None),
        (
            format!("{{\"m\":{}}}\n", keys(257)),
            Some("m null JSON text Some(1)"),
        ),
        (
            format!("{{\"m\":{{\"a\":1}}}}\n{{\"m\":{}}}\n", keys(256)),
            Some("m object JSON text Some(2)"),
        ),
        (
            "{\"a\":[1,\"x\",{\"b\":2}]}\n{\"a\":null}\n".to_owned(),
            Some("a null JSON text Some(1)"),
        ),
        (
            "{\"n\":1}\n{\"a\":{\"x\":[1,\"s\"]}}\n".to_owned(),
            Some("a.x null JSON text Some(2)"),
        ),
        (
            format!("{{\"x\":{}0{}}}\n", "[".repeat(24), "]".repeat(24)),
            Some("x null JSON text Some(1)"),
        ),
        (
            "{\"n\":18446744073709551616}\n".to_owned(),
            Some("n null number text Some(1)"),
        ),
    ] {
        let report = assert_kept(&text);
        assert_eq!(told(&report), Vec::from_iter(wanted), "{text}");
    }
}

#[test]
fn late_values_that_become_text_are_told_with_their_lines() {
    let mut text = "{\"s\":\"x\",\"l\":[\"y\"]}\n".repeat(300_000);
    text.push_str("{\"s\":7,\"l\":[\"y\"]}\n{\"new\":{\"m\":[1,\"s\"]}}\n{\"l\":[\"z\",1]}\n");
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "a.json", &text);
    let (values, report) = to_json(&frame(&source), &dir.path().join("o"));
    let last: Vec<Value> = values[300_000..].to_vec();
    // a number in a column of strings is a string, and told
    let wanted = "{\"s\":\"7\",\"l\":[\"y\"]}\n{\"new\":{\"m\":[1,\"s\"]}}\n{\"l\":[\"z\",1]}\n";
    assert_eq!(last, lines(wanted));
    let mut told = told(&report);
    told.sort();
    assert_eq!(
        told,
        [
            "l string JSON text Some(300003)",
            "new null object Some(300002)",
            "new.m null JSON text Some(300002)",
            "s int string Some(300001)"
        ]
    );
}

#[test]
fn a_record_is_good_or_bad_whatever_is_selected() {
    let good = "{\"n\":1,\"s\":\"a\",\"o\":{\"x\":1}}\n";
    let long = format!("{}0{}", "[".repeat(192), "]".repeat(192));
    let deeper = format!("{}0{}", "[".repeat(193), "]".repeat(193));
    let bad = [
        "{\"n\":2,\"s\":\"\\ud83dx\"}\n".to_owned(),
        "{\"n\":2,\"s\":1,\"s\":2}\n".to_owned(),
        "{\"n\":2,\"z\":1,\"z\":2}\n".to_owned(),
        "{\"n\":2,\"o\":{\"x\":1,\"y\":1,\"y\":2}}\n".to_owned(),
        "{\"n\":2,\"o\":{\"x\":01}}\n".to_owned(),
        "{\"n\":2,\"o\":[\"\\u12\"]}\n".to_owned(),
        "{\"n\":2,\"\\q\":1}\n".to_owned(),
        format!("{{\"n\":2,\"z\":{deeper}}}\n"),
    ];
    let text = good.repeat(2000) + &format!("{{\"n\":3,\"z\":{}}}\n", &long[1..long.len() - 1]);
    let text = text + &bad.concat() + good;
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "a.json", &text);
    let options = JsonOptions {
        bad_records: BadRecords::Skip,
        ..JsonOptions::default()
    };
    let frame = DataFrame::read_json([&source], options);
    for list in ["*", "n", "s", "o", "o.x"] {
        let out = dir.path().join(format!("o{}", list.len()));
        let output = Output::Rows(RowOptions {
            overwrite: true,
            ..RowOptions::new(RowFormat::Json)
        });
        let selected = frame.select_sql(list);
        let report = selected.write_with(&SerialExecutor, &out, &output).unwrap();
        assert_eq!((report.rows, report.bad_records), (2002, 8), "{list}");
    }
}

#[test]
fn many_keys_take_no_longer_than_their_bytes() {
    let keys = (0..40_000).map(|i| format!("\"k{i}\":{i}"));
    let text = format!("{{{}}}\n", keys.collect::<Vec<_>>().join(","));
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "a.json", &text);
    let start = std::time::Instant::now();
    let (values, report) = to_json(&frame(&source), &dir.path().join("o"));
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(values, [json!({"value": lines(&text)[0]})]);
    assert_eq!(told(&report), ["value null JSON text Some(1)"]);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000i64..1000).prop_map(Value::from),
        (-1000i32..1000).prop_map(|n| json!(f64::from(n) / 8.0)),
        "[a-c\\u{e9}\"\\\\]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner),
        ]
    })
}

fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[ab]|c\\.d", inner, 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// What is left of records when scalars of one column are strings for want of another type.
fn as_strings(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), as_strings(value)))
            .collect(),
        Value::Array(items) => items.iter().map(as_strings).collect(),
        Value::Number(number) => json!(format!("{}", number.as_f64().unwrap_or(f64::NAN))),
        Value::Bool(value) => json!(value.to_string()),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_records_come_out_as_they_went_in_or_it_is_told(
        records in proptest::collection::vec(members(values()), 1..8)
    ) {
        let text: String = records.iter().map(|record| format!("{record}\n")).collect();
        if records.iter().all(|record| record.as_object().is_some_and(|o| o.is_empty())) {
            return Ok(());
        }
        let wanted: Vec<Value> = records.iter().map(said).collect();
        let (direct, through, report) = both_ways(&text);
        let direct: Vec<Value> = direct.iter().map(said).collect();
        let through: Vec<Value> = through.iter().map(said).collect();
        prop_assert_eq!(&direct, &through);
        let strings = report.widened.iter().any(|w| w.to == "string");
        if strings {
            // numbers among strings: the same texts, and told
            let all = |values: &[Value]| values.iter().map(as_strings).collect::<Vec<_>>();
            let numeric = |values: Vec<Value>| {
                values.into_iter().map(|v| by_number(&v)).collect::<Vec<_>>()
            };
            prop_assert_eq!(numeric(all(&direct)), numeric(all(&wanted)));
        } else {
            prop_assert_eq!(direct, wanted);
        }
    }
}

/// Strings that are numbers, by their values.
fn by_number(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), by_number(value)))
            .collect(),
        Value::Array(items) => items.iter().map(by_number).collect(),
        Value::String(text) => match text.parse::<f64>() {
            Ok(number) => json!(number),
            Err(_) => value.clone(),
        },
        other => other.clone(),
    }
}
