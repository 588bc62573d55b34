//! Tables of very many columns.

mod common;

use common::write;
use flagstone_frame::{CsvOptions, DataFrame, RowFormat, RowOptions};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;

fn table(columns: usize, rows: usize) -> String {
    let line =
        |field: &dyn Fn(usize) -> String| (0..columns).map(field).collect::<Vec<_>>().join(",");
    let header = line(&|i| format!("c{i}"));
    let row = line(&|i| (i % 10).to_string());
    let mut text = header + "\n";
    for _ in 0..rows {
        text += &row;
        text.push('\n');
    }
    text
}

#[test]
fn twenty_thousand_columns_take_a_few_kibibytes_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "wide.csv", &table(20_000, 10));
    let session = Session::builder()
        .memory_bytes(256 << 20)
        .threads(1)
        .build()
        .unwrap();
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let options = RowOptions::new(RowFormat::Csv);
    let report = frame
        .write_rows_with(&session, dir.path().join("out"), &options)
        .unwrap();
    assert_eq!(report.rows, 10);
    let peak = session.stats().ledger_peak_bytes;
    assert!(peak < 160 << 20, "{peak}");
}

#[test]
fn a_million_columns_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", &"x,".repeat(1_000_000));
    let start = std::time::Instant::now();
    let error = DataFrame::read_csv([&path], CsvOptions::csv())
        .compute_with(&SerialExecutor)
        .unwrap_err();
    let message = error.message();
    assert!(
        message.contains("a.csv:1:1: the first record has 1000001 fields")
            && message.contains("at most 100000 columns"),
        "{message}"
    );
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
