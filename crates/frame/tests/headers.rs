//! Headers: names of columns, and files that have none because they are no text.

mod common;

use arrow::datatypes::DataType;
use common::{rows, write};
use flagstone_frame::{BadRecords, CsvOptions, DataFrame};
use flagstone_graph::SerialExecutor;

fn names(frame: &DataFrame) -> Vec<String> {
    let schema = frame.schema().unwrap();
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

#[test]
fn a_name_of_the_header_is_not_taken_by_another_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "c.csv", "c,c,c,c_2\n1,2,3,4\n");
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let batch = frame.select(["c_2"]).compute_with(&SerialExecutor).unwrap();
    assert_eq!(rows(&batch), ["| 4 |"]);
    let told = frame.notes().unwrap();
    assert!(
        told[0].contains("column 2, another \"c\", is called \"c_3\""),
        "{told:?}"
    );
    let path = write(dir.path(), "e.csv", ",column_1\n1,2\n");
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    assert_eq!(names(&frame), ["column_1_2", "column_1"]);
}

#[test]
fn four_thousand_equal_names_are_told_apart_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let line = |field: &str| vec![field; 4000].join(",");
    let text = format!("{}\n{}\n", line("dup"), line("1"));
    let path = write(dir.path(), "dup.csv", &text);
    let start = std::time::Instant::now();
    let names = names(&DataFrame::read_csv([&path], CsvOptions::csv()));
    assert_eq!((names.len(), names[3999].as_str()), (4000, "dup_4000"));
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn what_is_no_text_or_not_utf8_has_no_columns() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, what) in [
        (
            "l1.csv",
            &b"caf\xe9,n\n1,2\n"[..],
            "l1.csv:1:4: the header is not UTF-8: byte 0xe9",
        ),
        (
            "l2.csv",
            b"\n\xe9,\xe8\n1,2\n",
            "l2.csv:2:1: the header is not UTF-8",
        ),
        (
            "z.csv",
            b"PK\x03\x04\x14\0\0\0\x08\0abc\ndef\n",
            "z.csv is a zip archive",
        ),
        ("n.csv", b"a\0,b\n1,2\n", "n.csv is binary data"),
        (
            "q.csv",
            b"a,\"b\n1,2\n",
            "q.csv:1:1: a quote that opens in the header",
        ),
        (
            "t.csv",
            b"a,\"b\"c\n1,2\n",
            "t.csv:1:6: text follows a closing quote",
        ),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        // a header cannot be skipped
        let options = CsvOptions {
            bad_records: BadRecords::Skip,
            ..CsvOptions::csv()
        };
        let error = DataFrame::read_csv([&path], options).check().unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
}

#[test]
fn a_blank_line_before_the_header_is_no_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "\n \nx\n1\n2\n");
    let batch = DataFrame::read_csv([&path], CsvOptions::csv())
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(rows(&batch), ["| 1 |", "| 2 |"]);
    assert_eq!(batch.schema().field(0).data_type().to_string(), "Int64");
}

#[test]
fn names_are_as_many_as_the_header_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "a,b,c\n1,2,3\n");
    let options = |names: &[&str], header| CsvOptions {
        names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        header,
        ..CsvOptions::csv()
    };
    for given in [&["x", "y"][..], &["w", "x", "y", "z"]] {
        let error = DataFrame::read_csv([&path], options(given, true))
            .check()
            .unwrap_err();
        let wanted = format!("{} names for 3 columns", given.len());
        assert!(error.message().contains(&wanted), "{error}");
    }
    let frame = DataFrame::read_csv([&path], options(&["x", "y", "z"], true));
    assert_eq!(names(&frame), ["x", "y", "z"]);
    // without a header there may be fewer, which is told
    let frame = DataFrame::read_csv([&path], options(&["x"], false));
    assert_eq!(names(&frame), ["x", "column_2", "column_3"]);
    assert!(frame.notes().unwrap()[0].contains("1 name for 3 columns"));
    let frame = DataFrame::read_csv([&path], options(&["w", "x", "y", "z"], false));
    assert!(frame.check().is_err());
}

#[test]
fn names_and_types_that_are_given_are_one_for_each_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "a,b\n1,2\n");
    let text = |name: &str| (name.to_owned(), DataType::Utf8);
    for (names, types, reason) in [
        (&["x", ""][..], vec![], "the name of column 2 is empty"),
        (&["x", "x"], vec![], "\"x\" is the name of two columns"),
        (
            &["x", "y"],
            vec![text("x"), text("x")],
            "\"x\" is given a type twice",
        ),
        (
            &["x", "y"],
            vec![text("z")],
            "\"z\", which is not there: there are x, y",
        ),
    ] {
        let options = CsvOptions {
            names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            types,
            ..CsvOptions::csv()
        };
        let error = DataFrame::read_csv([&path], options).check().unwrap_err();
        assert!(error.message().contains(reason), "{error}");
    }
}

#[test]
fn an_encoding_that_is_named_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l1.csv");
    std::fs::write(&path, b"caf\xe9,n\n\"na\xefve, \"\"x\"\"\",1\n\xfcber,2\n").unwrap();
    let options = |name: &str| CsvOptions {
        encoding: Some(name.to_owned()),
        ..CsvOptions::csv()
    };
    let batch = DataFrame::read_csv([&path], options("latin1"))
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(batch.schema().field(0).name(), "caf\u{e9}");
    assert_eq!(
        rows(&batch),
        ["| na\u{ef}ve, \"x\" | 1 |", "| \u{fc}ber | 2 |"]
    );
    for (name, word) in [("nope", "no encoding"), ("shift_jis", "iconv")] {
        let error = DataFrame::read_csv([&path], options(name))
            .check()
            .unwrap_err();
        assert!(error.message().contains(word), "{error}");
    }
    // a byte that an encoding does not have makes the record a bad one
    std::fs::write(&path, b"a,n\n\xa5,1\n").unwrap();
    let error = DataFrame::read_csv([&path], options("iso-8859-3"))
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(
        error.message().contains("l1.csv:2:1: the record is not"),
        "{error}"
    );
}

#[test]
fn headers_of_another_number_of_fields_are_read_as_they_are_meant_and_told() {
    let dir = tempfile::tempdir().unwrap();
    for (text, names, first, note) in [
        // names of rows, as R writes them
        (
            "a,b\nx,1,2\ny,3,4\n",
            "column_1,a,b",
            "| x | 1 | 2 |",
            "the header has 2 fields and the records have 3: the first column is one without a name",
        ),
        // a delimiter at the end of every record
        (
            "a,b\n1,2,\n3,4,\n",
            "a,b,column_3",
            "| 1 | 2 | |",
            "the header has 2 fields and the records have 3: the last column is one without a name \
             and values",
        ),
        // or of the header alone
        (
            "a,b,\n1,2\n3,4\n",
            "a,b",
            "| 1 | 2 |",
            "the header has 3 fields and the records have 2: the last name, which is empty, is left \
             out",
        ),
    ] {
        let path = write(dir.path(), "a.csv", text);
        for options in [CsvOptions::csv(), CsvOptions::sniffed()] {
            let frame = DataFrame::read_csv(&path, options);
            let batch = frame.compute_with(&SerialExecutor).unwrap();
            let schema = batch.schema();
            let found: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            assert_eq!(found.join(","), names, "{text}");
            assert_eq!(rows(&batch)[0], first, "{text}");
            assert_eq!(frame.notes().unwrap(), [note], "{text}");
        }
    }
    // what could mean several things is told, and its records are bad ones
    for (text, note) in [
        (
            "a,b,c\n1,2\n3,4\n",
            "the header has 3 fields and the records have 2: they are bad",
        ),
        (
            "a,b\n1,2,3,4\n3,4,5,6\n",
            "the header has 2 fields and the records have 4: they are bad",
        ),
        (
            "a title\nx,1\ny,2\n",
            "the header has 1 field and the records have 2: they are bad",
        ),
    ] {
        let path = write(dir.path(), "a.csv", text);
        let frame = DataFrame::read_csv(&path, CsvOptions::csv());
        let notes = frame.notes().unwrap();
        assert!(notes[0].starts_with(note) && notes.len() == 1, "{notes:?}");
        let error = frame.compute_with(&SerialExecutor).unwrap_err().to_string();
        assert!(
            error.contains("a.csv:2") && error.contains("instead of"),
            "{error}"
        );
    }
    // one record, or records that differ among each other, are mistakes of theirs
    for text in ["a,b\nx,1,2\n", "a,b\nx,1,2\ny,3\n", "a,b\nx,1,2\ny,3,4,5\n"] {
        let path = write(dir.path(), "a.csv", text);
        let frame = DataFrame::read_csv(&path, CsvOptions::csv());
        assert!(frame.notes().unwrap().is_empty(), "{text}");
        assert!(frame.compute_with(&SerialExecutor).is_err(), "{text}");
    }
}
