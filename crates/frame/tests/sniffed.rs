//! Delimited text as it is found: delimiters, headers, dates, comments, spaces, given types.

mod common;

use std::path::Path;

use arrow::array::Array;
use arrow::datatypes::{DataType, TimeUnit};
use common::{rows, write};
use flagstone_frame::{
    BadRecords, CsvOptions, DataFrame, RowFormat, RowOptions, Sniff, column_type,
};
use flagstone_graph::SerialExecutor;
use proptest::prelude::*;

fn read(path: &Path, options: CsvOptions) -> (String, Vec<String>) {
    let batch = DataFrame::read_csv([path], options)
        .compute_with(&SerialExecutor)
        .unwrap();
    let fields = batch
        .schema()
        .fields()
        .iter()
        .map(|f| format!("{} {}", f.name(), f.data_type()))
        .collect::<Vec<_>>()
        .join(", ");
    (fields, rows(&batch))
}

#[test]
fn what_is_found_is_used_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "1;'x, y';2,5\n2;'z';3,5\n");
    let frame = DataFrame::read_csv([&path], CsvOptions::sniffed());
    let told = frame.notes().unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("fields are separated by ';'"),
        "{told:?}"
    );
    let (fields, rows) = read(&path, CsvOptions::sniffed());
    assert_eq!(fields, "column_1 Int64, column_2 Utf8, column_3 Utf8");
    assert_eq!(rows, ["| 1 | x, y | 2,5 |", "| 2 | z | 3,5 |"]);
    // what is said is not looked for
    let options = CsvOptions {
        sniff: Sniff {
            header: false,
            ..Sniff::ALL
        },
        ..CsvOptions::csv()
    };
    let frame = DataFrame::read_csv([&path], options);
    assert_eq!(frame.schema().unwrap().field(1).name(), "x, y");
    // a second file is read as the first
    write(dir.path(), "b.csv", "3;'w';4,5\n");
    let all = dir.path().join("*.csv");
    assert_eq!(read(&all, CsvOptions::sniffed()).1.len(), 3);
    // nothing to find, nothing to tell
    let plain = write(dir.path(), "plain.csv", "a,b\n1,2\n");
    let frame = DataFrame::read_csv([&plain], CsvOptions::sniffed());
    assert!(frame.notes().unwrap().is_empty());
}

#[test]
fn dates_and_times_are_types_where_every_value_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let text = "d,t,z,mixed,late\n\
                2006-01-31,2006-01-31T12:00:00,2006-01-31T12:00:00Z,2006-01-31,2006-01-31\n\
                2007-02-28,2007-02-28 00:00:00.5,2007-02-28T00:00:00.25Z,x,2007-02-30\n\
                ,,,,\n";
    let path = write(dir.path(), "a.csv", text);
    let batch = DataFrame::read_csv([&path], CsvOptions::csv())
        .compute_with(&SerialExecutor)
        .unwrap();
    let types: Vec<DataType> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| f.data_type().clone())
        .collect();
    let time =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    assert_eq!(
        types,
        [
            DataType::Date32,
            time(None),
            time(Some("UTC")),
            DataType::Utf8,
            DataType::Utf8
        ]
    );
    assert_eq!(batch.num_rows(), 3);
    assert!(
        batch
            .columns()
            .iter()
            .all(|column| column.null_count() == 1)
    );
    // what is written is read as it was
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let report = frame
        .write_rows_with(
            &SerialExecutor,
            dir.path().join("out"),
            &RowOptions::new(RowFormat::Csv),
        )
        .unwrap();
    let back = DataFrame::read_csv(&report.files, CsvOptions::csv());
    assert_eq!(back.compute_with(&SerialExecutor).unwrap(), batch);
    // a late text makes the column text again, with every value as it was
    let late = format!("d\n{}soon\n", "2006-01-31\n".repeat(60_000));
    let path = write(dir.path(), "late.csv", &late);
    let (fields, rows) = read(&path, CsvOptions::csv());
    assert_eq!(
        (fields.as_str(), rows[0].as_str(), rows[60_000].as_str()),
        ("d Utf8", "| 2006-01-31 |", "| soon |")
    );
}

#[test]
fn lines_before_comments_and_spaces_are_left_out_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "made by hand\n\"a title\n# of two\na , b, c\n# 1,2\n 1 , \"x, y\" ,z \n#,\n2,\"# no\",\n";
    let path = write(dir.path(), "a.csv", text);
    let options = CsvOptions {
        skip_lines: 2,
        comment: Some(b'#'),
        trim: true,
        ..CsvOptions::csv()
    };
    let (fields, rows) = read(&path, options.clone());
    assert_eq!(fields, "a Int64, b Utf8, c Utf8");
    assert_eq!(rows, ["| 1 | x, y | z |", "| 2 | # no | |"]);
    let wrong = write(dir.path(), "b.csv", "x\nx\n#\na,b\n1,2\n3\n");
    let error = DataFrame::read_csv([&wrong], options.clone()).compute_with(&SerialExecutor);
    assert!(
        error
            .unwrap_err()
            .message()
            .contains("b.csv:6:1: the record has 1")
    );
    // fewer lines than are to be skipped: no record, and no columns
    let short = write(dir.path(), "c.csv", "x\n");
    assert_eq!(
        DataFrame::read_csv([&short], options)
            .count_with(&SerialExecutor)
            .unwrap(),
        0
    );
}

#[test]
fn a_given_type_holds_every_value_or_the_record_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "a.csv",
        "i,d,m\n1,2006-01-31,1.25\n3000000000,2006-01-31,1\n5,31.1.2006,1\n6,2006-01-31,1.255\n",
    );
    let types = [("i", "int"), ("d", "date"), ("m", "decimal(5,2)")];
    let options = |bad_records| CsvOptions {
        types: types
            .map(|(name, of)| (name.to_owned(), column_type(of).unwrap()))
            .to_vec(),
        bad_records,
        ..CsvOptions::csv()
    };
    let (fields, rows) = read(&path, options(BadRecords::Skip));
    assert_eq!(fields, "i Int32, d Date32, m Decimal128(5, 2)");
    assert_eq!(rows, ["| 1 | 2006-01-31 | 1.25 |"]);
    let error =
        DataFrame::read_csv([&path], options(BadRecords::Fail)).compute_with(&SerialExecutor);
    let message = error.unwrap_err().message().to_owned();
    assert!(
        message.contains("a.csv:3:1: \"3000000000\" in column i is not of"),
        "{message}"
    );
}

#[test]
fn a_bad_record_does_not_change_the_delimiter() {
    let dir = tempfile::tempdir().unwrap();
    let rest = "7,a7|b|c|d\n".repeat(200);
    let text = format!("id,tags\n{rest}100,a|b|c|d,extra\n{rest}");
    let path = write(dir.path(), "a.csv", &text);
    let options = CsvOptions {
        bad_records: BadRecords::Skip,
        ..CsvOptions::sniffed()
    };
    let (fields, rows) = read(&path, options);
    assert_eq!(fields, "id Int64, tags Utf8");
    assert_eq!((rows.len(), rows[0].as_str()), (400, "| 7 | a7|b|c|d |"));
    // lists in a single column
    let path = write(
        dir.path(),
        "b.csv",
        &format!("tags\n{}", "a|b|c\n".repeat(50)),
    );
    let (fields, rows) = read(&path, CsvOptions::sniffed());
    assert_eq!((fields.as_str(), rows.len()), ("tags Utf8", 50));
}

#[test]
fn of_a_long_field_the_start_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (field, shown) in [
        ("é".repeat(1_000_000), format!("\"{}\"… in", "é".repeat(40))),
        ("x".repeat(41), format!("\"{}\"… in", "x".repeat(40))),
        ("x".repeat(40), format!("\"{}\" in", "x".repeat(40))),
    ] {
        let path = write(dir.path(), "a.csv", &format!("n,m\n{field},1\n"));
        let options = CsvOptions {
            types: vec![("n".to_owned(), column_type("int").unwrap())],
            ..CsvOptions::csv()
        };
        let error = DataFrame::read_csv([&path], options).compute_with(&SerialExecutor);
        let message = error.unwrap_err().message().to_owned();
        assert!(message.contains(&shown), "{message:.300}");
        assert!(message.len() < 600);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn tables_are_found_whatever_they_are_written_with(
        records in proptest::collection::vec(proptest::collection::vec("[a-z]{1,5}( [a-z]{1,3})?", 3), 3..20),
        delimiter in proptest::sample::select(vec![b',', b'\t', b';', b'|']),
        end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let separator = char::from(delimiter).to_string();
        let header = ["name", "words", "number"].join(&separator);
        let lines = records.iter().enumerate().map(|(i, record)| {
            format!("{}{separator}\"{}{separator}\"{separator}{i}", record[0], record[1])
        });
        let text: Vec<String> = [header].into_iter().chain(lines).collect();
        let path = write(dir.path(), "a.csv", &text.join(end));
        let batch = DataFrame::read_csv([&path], CsvOptions::sniffed())
            .compute_with(&SerialExecutor)
            .unwrap();
        prop_assert_eq!((batch.num_rows(), batch.num_columns()), (records.len(), 3));
        prop_assert_eq!(batch.column(2).data_type(), &DataType::Int64);
    }
}
