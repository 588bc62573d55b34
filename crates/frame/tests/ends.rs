//! What ends the lines of delimited text: line feeds, both, or carriage returns alone.

mod common;

use std::path::Path;

use common::{rows, write};
use flagstone_frame::{BadRecords, CsvOptions, DataFrame};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

fn read(path: &Path, options: CsvOptions) -> Result<Vec<String>, String> {
    let batch = DataFrame::read_csv([path], options).compute_with(&SerialExecutor);
    batch
        .map(|batch| rows(&batch))
        .map_err(|error| error.message().to_owned())
}

#[test]
fn lines_that_end_with_carriage_returns_are_lines() {
    let dir = tempfile::tempdir().unwrap();
    for (text, wanted) in [
        ("a,b\r1,2\r3,4\r", ["| 1 | 2 |", "| 3 | 4 |"].as_slice()),
        ("a,b\r1,2\r3,4", &["| 1 | 2 |", "| 3 | 4 |"]),
        ("a\r1\r2\r", &["| 1 |", "| 2 |"]),
        ("\r\ra,b\r\r1,2\r", &["| 1 | 2 |"]),
        ("a,b\r1,\"x\ny\"\r", &["| 1 | x |", "| | y |"]),
        // a line end in the header's quotes ends nothing, with or without an end behind it
        ("\"a\nb\",c\r1,2\r", &["| b | |", "| 1 | 2 |"]),
        ("\"a\nb\",c", &["| b | |"]),
        ("\"a\nb\",c\n", &["| b | |"]),
    ] {
        let path = write(dir.path(), "a.csv", text);
        assert_eq!(read(&path, CsvOptions::csv()).unwrap(), wanted, "{text:?}");
    }
    let tabs = write(dir.path(), "a.tsv", "a\tb\r1\t2\r");
    assert_eq!(read(&tabs, CsvOptions::tsv()).unwrap(), ["| 1 | 2 |"]);
    let told = DataFrame::read_csv([&tabs], CsvOptions::tsv()).notes();
    assert_eq!(told.unwrap(), ["lines end with carriage returns"]);
}

#[test]
fn files_of_different_ends_are_read_together() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.csv", "a,b\r1,2\r");
    write(dir.path(), "b.csv", "a,b\n3,4\n");
    write(dir.path(), "c.csv", "a,b\r\n5,6\r\n");
    let all = dir.path().join("*.csv");
    let wanted = ["| 1 | 2 |", "| 3 | 4 |", "| 5 | 6 |"];
    assert_eq!(read(&all, CsvOptions::csv()).unwrap(), wanted);
}

#[test]
fn mixed_ends_are_refused_by_name_and_place() {
    let dir = tempfile::tempdir().unwrap();
    for (text, place, what) in [
        (
            "a,b\n1,2\r3,4\n",
            ":2:4",
            "a carriage return stands outside",
        ),
        (
            "a,b\r1,2\n3,4\n",
            ":1:4",
            "a carriage return stands outside",
        ),
        (
            "a,b\r\n\"x\"\r\"y\",2\r\n",
            ":2:4",
            "a carriage return stands",
        ),
        ("a\n1\r\r\n", ":2:2", "a carriage return stands outside"),
    ] {
        let path = write(dir.path(), "a.csv", text);
        let error = read(&path, CsvOptions::csv()).unwrap_err();
        let wanted = format!("{}{place}: {what}", path.display());
        assert!(error.starts_with(&wanted), "{text:?}: {error}");
    }
    // behind the head: the lines before say what ends them
    let text = format!("a,b\r{}5,6\n7,8\n", "1,2\r".repeat(200_000));
    let path = write(dir.path(), "late.csv", &text);
    let error = read(&path, CsvOptions::csv()).unwrap_err();
    assert!(
        error.contains("late.csv:200002:4: a line feed stands"),
        "{error}"
    );
    let options = CsvOptions {
        bad_records: BadRecords::Skip,
        ..CsvOptions::csv()
    };
    assert_eq!(read(&path, options).unwrap().len(), 200_000);
}

#[test]
fn pieces_of_a_large_file_end_where_its_lines_do() {
    let dir = tempfile::tempdir().unwrap();
    let line = |i: usize| format!("{i},{}\r", "x".repeat(990));
    let text: String = (0..40_000).map(line).collect();
    let path = write(dir.path(), "a.csv", &format!("id,note\r{text}"));
    let frame = DataFrame::read_csv([&path], CsvOptions::csv()).select(["id"]);
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch.num_rows(), 40_000);
    // a bad record in the second piece has its line
    let path = write(dir.path(), "a.csv", &format!("id,note\r{text}1\r"));
    let error = read(&path, CsvOptions::csv()).unwrap_err();
    assert!(error.contains("a.csv:40002:1: the record has 1"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn quoted_fields_are_the_same_whatever_ends_the_lines(
        records in proptest::collection::vec(
            proptest::collection::vec("[a-z \"\r\n,]{0,6}", 3), 1..30),
        end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        is_ended in any::<bool>(),
    ) {
        use arrow::array::AsArray;
        let dir = tempfile::tempdir().unwrap();
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let lines = records.iter().map(|record| {
            record.iter().map(quoted).collect::<Vec<_>>().join(",")
        });
        let mut text = ["\"a\r\nb\",c,d".to_owned()].into_iter().chain(lines)
            .collect::<Vec<_>>().join(end);
        if is_ended {
            text.push_str(end);
        }
        let path = write(dir.path(), "a.csv", &text);
        let options = CsvOptions { nulls: Vec::new(), ..CsvOptions::csv() };
        let batch = DataFrame::read_csv([&path], options).compute_with(&SerialExecutor).unwrap();
        let schema = batch.schema();
        prop_assert_eq!(schema.field(0).name(), "a\r\nb");
        prop_assert_eq!(batch.num_rows(), records.len());
        for (i, record) in records.iter().enumerate() {
            for (column, wanted) in record.iter().enumerate() {
                prop_assert_eq!(batch.column(column).as_string::<i32>().value(i), wanted);
            }
        }
    }
}
