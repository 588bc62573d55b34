//! Generated files with the quirks of real ones.

mod common;

use std::fmt::Write as _;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use common::{quarantined, read_back, rows, write};
use flagstone_frame::{
    BadRecords, CsvOptions, DataFrame, JsonOptions, ParquetOptions, RowFormat, RowOptions,
};
use flagstone_graph::SerialExecutor;

/// A film database's export: no header, quotes escaped by a backslash, commas and braces in long
/// texts, an apostrophe that is no quote.
#[test]
fn escaped_quotes_in_long_texts_without_a_header() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for i in 0..300 {
        let long = "and so on, ".repeat(i % 40);
        let _ = writeln!(
            text,
            "{},{},13,\"PLOT: In the episode _\\\"Title's {i}\\\" (2002) {{The Hole (#2.{i})}}_ (qv), {long}end\\\\\"",
            29_000 + i,
            494_000 + i / 5,
        );
    }
    let path = write(dir.path(), "movies.csv", &text);
    let options = CsvOptions {
        header: false,
        escape: Some(b'\\'),
        ..CsvOptions::csv()
    };
    let batch = DataFrame::read_csv([&path], options)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (300, 4));
    assert_eq!(
        batch["column_1"].as_primitive::<Int64Type>().value(299),
        29_299
    );
    let told = batch["column_4"].as_string::<i32>();
    assert!(
        told.value(7)
            .starts_with("PLOT: In the episode _\"Title's 7\" (2002) {The Hole (#2.7)}_")
    );
    assert!(told.value(7).ends_with("end\\"));
    // without the escape the first record is a bad one, and the error says what to do
    let plain = CsvOptions {
        header: false,
        ..CsvOptions::csv()
    };
    let error = DataFrame::read_csv([&path], plain)
        .compute_with(&SerialExecutor)
        .unwrap_err();
    let message = error.message();
    assert!(
        message.contains("movies.csv:1:") && message.contains("escape"),
        "{message}"
    );
}

/// A carrier's delays: a hundred columns, texts always in quotes, also empty ones; numbers never;
/// a comma after the last column, in the header too.
#[test]
fn a_hundred_columns_of_which_many_are_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut text: String = (0..110).map(|i| format!("\"Col{i}\",")).collect::<String>() + "\r\n";
    for row in 0..40 {
        for column in 0..110 {
            let _ = match (column % 10, row % 3) {
                (0, _) => write!(text, "{row},"),
                (1, _) => write!(text, "\"City {row}, ST\","),
                (2, 0) => write!(text, "{row}.00,"),
                (3, _) => write!(text, "\"\","),
                (4, _) => write!(text, "\"0{row}\","),
                _ => write!(text, ","),
            };
        }
        text.push_str("\r\n");
    }
    let path = write(dir.path(), "delays.csv", &text);
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let out = dir.path().join("out");
    let report = frame
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    assert!(report.widened.is_empty(), "{:?}", report.widened);
    let batch = read_back(&out);
    // the comma at the end is one more column, without name or values
    assert_eq!((batch.num_rows(), batch.num_columns()), (40, 111));
    assert_eq!(batch["column_111"].null_count(), 40);
    assert_eq!(batch["Col11"].as_string::<i32>().value(5), "City 5, ST");
    assert_eq!(batch["Col4"].as_string::<i32>().value(5), "05");
    assert_eq!(batch["Col12"].data_type(), &DataType::Float64);
    assert_eq!(batch["Col3"].as_string::<i32>().value(0), "");
    assert_eq!(batch["Col5"].null_count(), 40);
}

/// A benchmark's dimension table: bars between fields, no header, nulls that are nothing, dates.
#[test]
fn bars_between_fields_and_nothing_for_null() {
    let dir = tempfile::tempdir().unwrap();
    let line = |i: usize| {
        let end = if i.is_multiple_of(2) {
            String::new()
        } else {
            format!("1999-09-{:02}", i % 28 + 1)
        };
        let number = if i.is_multiple_of(3) {
            String::new()
        } else {
            i.to_string()
        };
        format!("{i}|AAAA{i:04}|1997-09-03|{end}|{number}|http://www.foo.com|Y\n")
    };
    let path = write(
        dir.path(),
        "pages.csv",
        &(1..61).map(line).collect::<String>(),
    );
    let options = CsvOptions {
        delimiter: b'|',
        header: false,
        names: Some(
            ["id", "key", "from", "to", "n", "url"]
                .map(String::from)
                .to_vec(),
        ),
        ..CsvOptions::csv()
    };
    let frame = DataFrame::read_csv([&path], options);
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(
        (batch["to"].null_count(), batch["n"].null_count()),
        (30, 20)
    );
    assert_eq!(batch["n"].data_type(), &DataType::Int64);
    assert_eq!(batch["column_7"].as_string::<i32>().value(0), "Y");
    // what is written as CSV has the same nulls
    let out = dir.path().join("out");
    let report = frame
        .write_rows_with(&SerialExecutor, &out, &RowOptions::new(RowFormat::Csv))
        .unwrap();
    let back = DataFrame::read_csv(&report.files, CsvOptions::csv());
    assert_eq!(back.compute_with(&SerialExecutor).unwrap(), batch);
}

/// Words of many scripts: ligatures, marks of direction, a backslash that escapes nothing.
#[test]
fn words_in_utf8_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let words = [
        "00i\\047m",
        "2015\u{200e}",
        "21\u{3c0}",
        "24hours\u{202c}",
        "ard\u{e8}ch",
        "a\u{fb01}",
    ];
    let text: String = words
        .iter()
        .zip(1..)
        .map(|(word, i)| format!("{i}|{word}|{i}\n"))
        .collect();
    let path = write(dir.path(), "words.csv", &text);
    let options = CsvOptions {
        delimiter: b'|',
        header: false,
        ..CsvOptions::csv()
    };
    let batch = DataFrame::read_csv([&path], options)
        .compute_with(&SerialExecutor)
        .unwrap();
    let read: Vec<_> = batch["column_2"]
        .as_string::<i32>()
        .iter()
        .flatten()
        .collect();
    assert_eq!(read, words);
}

/// A shop's catalogue: every line is an array, the first of names, the others of mixed types.
#[test]
fn lines_that_are_arrays_of_mixed_types_are_one_column() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "[\"asin\",\"title\",\"rating\",\"prices\"]\n".to_owned();
    for i in 0..200 {
        let rating = if i % 4 == 0 {
            "3".to_owned()
        } else {
            format!("3.{i}")
        };
        let _ = writeln!(
            text,
            "[\"B{i}\",\"A \\\"smart\\\" phone w/ 5\\u2033\",{rating},\"\"]"
        );
    }
    let path = write(dir.path(), "shop.ndjson", &text);
    let frame = DataFrame::read_json([&path], JsonOptions::default());
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (201, 1));
    let items = batch["value"].as_list::<i32>().value(1);
    let items: Vec<_> = items.as_string::<i32>().iter().flatten().collect();
    // JSON texts, as a string could not be told from a number otherwise
    let texts = [
        "\"B0\"",
        "\"A \\\"smart\\\" phone w/ 5\\u2033\"",
        "3",
        "\"\"",
    ];
    assert_eq!(items, texts);
}

/// Events whose payloads differ by type: objects without members, lists of objects, nulls where
/// others have objects, a key that only one type has.
#[test]
fn events_with_payloads_of_many_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let payloads = [
        "{}",
        "{\"commits\":[],\"size\":0}",
        "{\"commits\":[{\"sha\":\"a\",\"author\":{\"name\":\"x\"}},{\"sha\":\"b\",\"author\":null}],\"size\":2}",
        "{\"issue\":{\"labels\":[],\"assignee\":null}}",
        "{\"issue\":{\"labels\":[{\"name\":\"bug\"}],\"assignee\":{\"id\":7}}}",
        "null",
    ];
    let event = |i: usize| {
        let org = if i.is_multiple_of(3) {
            ",\"org\":{\"id\":1}"
        } else {
            ""
        };
        format!(
            "{{\"id\":\"{i}\",\"payload\":{},\"public\":true{org}}}\n",
            payloads[i % 6]
        )
    };
    let path = write(
        dir.path(),
        "events.jsonl",
        &(0..60).map(event).collect::<String>(),
    );
    let frame = DataFrame::read_json([&path], JsonOptions::default());
    let out = dir.path().join("out");
    frame
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    assert_eq!(
        read_back(&out),
        frame.compute_with(&SerialExecutor).unwrap()
    );
    let picked = frame
        .select_sql("id, payload.issue.assignee.id AS who, payload.size")
        .filter_sql("who = 7")
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(picked.num_rows(), 10);
    assert_eq!(rows(&picked)[0], "| 4 | 7 | |");
}

/// Lines that end in CR LF, a byte-order mark, no line end at the end, lines of blanks: line
/// numbers in errors are those of an editor.
#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\u{feff}a,b\r\n1,\"two\r\nlines\"\r\n\r\n3,4,5\r\n6,7\r\n8";
    let path = write(dir.path(), "a.csv", text);
    let options = CsvOptions {
        bad_records: BadRecords::Quarantine(dir.path().join("bad")),
        ..CsvOptions::csv()
    };
    let frame = DataFrame::read_csv([&path], options);
    assert_eq!(frame.count_with(&SerialExecutor).unwrap(), 2);
    let bad = quarantined(&dir.path().join("bad"));
    let field = |name: &str| bad.iter().map(|bad| bad[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("record"), ["3,4,5", "8"]);
    assert_eq!(field("line"), [5, 7]);
    assert!(
        field("file")
            .iter()
            .all(|file| *file == path.display().to_string())
    );
    let told = |error: &serde_json::Value| error.as_str().unwrap().starts_with("the record has");
    assert!(field("error").iter().all(told), "{bad:?}");
}
