//! Stray quotes: what one byte can do to a large file.

mod common;

use std::fmt::Write as _;

use common::{quarantined, write};
use flagstone_frame::{BadRecords, CsvOptions, DataFrame, RowFormat, RowOptions};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;

/// More than two pieces of 32 MiB: a quote that nobody closes stands in the record of line 1002.
fn stray(closed: bool) -> String {
    let mut text = "id,name,note\n".to_owned();
    for i in 0..1_000_000 {
        let quote = match i {
            1000 => "\"",
            700_000 if closed => "\"",
            _ => "",
        };
        let _ = writeln!(
            text,
            "{i},{quote}name {i},some words of a note that go on {i}"
        );
    }
    text
}

fn options(bad_records: BadRecords) -> CsvOptions {
    CsvOptions {
        bad_records,
        ..CsvOptions::csv()
    }
}

#[test]
fn a_quote_that_is_not_closed_fails_the_run_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", &stray(false));
    for policy in [BadRecords::Fail, BadRecords::Skip] {
        let frame = DataFrame::read_csv([&path], options(policy));
        let error = frame.count_with(&SerialExecutor).unwrap_err();
        let message = error.message();
        assert!(
            message.contains("a.csv:1002:1: a quote that opens")
                && message.contains("998999 lines further down")
                && message.contains("(byte "),
            "{message}"
        );
    }
}

#[test]
fn lines_that_a_bad_record_goes_over_are_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", &stray(true));
    let frame = DataFrame::read_csv([&path], options(BadRecords::Fail));
    let error = frame.count_with(&SerialExecutor).unwrap_err();
    assert!(
        error.message().contains("a.csv:1002:1:") && error.message().contains("goes over 699001"),
        "{error}"
    );
    // left out, all of its lines are
    let session = Session::builder().memory_bytes(512 << 20).build().unwrap();
    let frame = DataFrame::read_csv([&path], options(BadRecords::Skip));
    let out = dir.path().join("out");
    let report = frame
        .write_rows_with(&session, &out, &RowOptions::new(RowFormat::Csv))
        .unwrap();
    assert_eq!(report.rows, 1_000_000 - 699_001);
    let stats = session.stats();
    let quality = stats.sources.values().next().unwrap();
    assert_eq!(
        (quality.lines, quality.records, quality.skipped),
        (1_000_000, report.rows, 699_001)
    );
    assert!(quality.balances());
}

#[test]
fn a_budget_that_is_too_small_for_what_follows_a_quote_names_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", &stray(false));
    let session = Session::builder()
        .memory_bytes(40 << 20)
        .threads(1)
        .build()
        .unwrap();
    let frame = DataFrame::read_csv([&path], options(BadRecords::Skip));
    let error = frame.count_with(&session).unwrap_err();
    assert!(error.message().contains("a.csv:1002"), "{error}");
}

#[test]
fn a_line_that_is_too_long_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("a,b\n1,2\n{}\n", "x".repeat(65 << 20));
    let path = write(dir.path(), "long.csv", &text);
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let error = frame.count_with(&SerialExecutor).unwrap_err();
    assert!(error.message().contains("long.csv:3: the line"), "{error}");
    // and a quoted record that is
    let inner = "seven,7\n".repeat((70 << 20) / 8);
    let path = write(
        dir.path(),
        "quoted.csv",
        &format!("a,b\n1,2\n3,\"{inner}\"\n"),
    );
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let error = frame.count_with(&SerialExecutor).unwrap_err();
    let wanted = "quoted.csv:3:1: the record that starts here is longer than the limit";
    assert!(error.message().contains(wanted), "{error}");
}

#[test]
fn a_last_line_with_an_open_quote_is_one_bad_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", "a,b\n1,2\n3,\"x\n");
    let bad = dir.path().join("bad");
    let frame = DataFrame::read_csv([&path], options(BadRecords::Quarantine(bad.clone())));
    assert_eq!(frame.count_with(&SerialExecutor).unwrap(), 1);
    assert_eq!(quarantined(&bad)[0]["line"], 3);
}
