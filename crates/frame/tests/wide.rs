//! Tables of very many columns.

mod common;

use common::write;
use flagstone_frame::{CsvOptions, DataFrame, JsonOptions, ParquetOptions, RowFormat, RowOptions};
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
fn a_parquet_file_of_twenty_thousand_columns_takes_as_little() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "wide.csv", &table(20_000, 10));
    let session = Session::builder()
        .memory_bytes(128 << 20)
        .threads(1)
        .build()
        .unwrap();
    let frame = DataFrame::read_csv([&path], CsvOptions::csv());
    let out = dir.path().join("wide.parquet");
    let report = session_write(&frame, &session, &out, &ParquetOptions::default());
    assert_eq!((report.rows, report.schema.fields().len()), (10, 20_000));
    let peak = session.stats().ledger_peak_bytes;
    assert!(peak < 110 << 20, "{peak}");
    // all of its columns at once have a decoder each, whose decompressor no allocator of ours sees
    let back = DataFrame::read_parquet(&report.files);
    let error = back.compute_with(&session).unwrap_err();
    assert!(
        error
            .smallest_budget()
            .is_some_and(|bytes| bytes > 500 << 20),
        "{error}"
    );
    let few = back
        .select(["c0", "c19999"])
        .compute_with(&session)
        .unwrap();
    assert_eq!((few.num_rows(), few.num_columns()), (10, 2));
}

fn session_write(
    frame: &DataFrame,
    session: &Session,
    out: &std::path::Path,
    options: &ParquetOptions,
) -> flagstone_frame::WriteReport {
    frame.write_parquet_with(session, out, options).unwrap()
}

#[test]
fn columns_that_are_encoded_one_after_the_other_hold_the_same_values() {
    let dir = tempfile::tempdir().unwrap();
    // narrow tables are encoded with all columns at once, wide ones column by column
    for columns in [40, 400] {
        let mut paths = Vec::new();
        for file in 0..3 {
            let record = |row: usize| {
                let field = |i: usize| match (i + row) % 7 {
                    0 => None,
                    _ => Some(match i % 6 {
                        0 => format!("\"k{i}\":{}", row * i),
                        1 => format!(
                            "\"k{i}\":\"{:x}\"",
                            (row * 600 + i + file).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        ),
                        2 => format!("\"k{i}\":{{\"a\":{row},\"b\":[{i},null,{file}]}}"),
                        3 => format!("\"k{i}\":{}", row.is_multiple_of(2)),
                        4 => format!("\"k{i}\":{}.5", row + i),
                        _ => format!("\"k{i}\":[\"x\",\"{}\"]", "y".repeat(row % 5)),
                    }),
                };
                let fields: Vec<String> = (0..columns).filter_map(field).collect();
                format!("{{{}}}\n", fields.join(","))
            };
            let text: String = (0..200).map(record).collect();
            // a type that is seen late: what was written is cast
            let late = format!("{{\"k0\":{}.25,\"new\":1}}\n", file);
            let text = match file {
                2 => text + &format!("{{\"k0\":1}}{}\n", " ".repeat(400)).repeat(2500) + &late,
                _ => text,
            };
            paths.push(write(dir.path(), &format!("{columns}-{file}.json"), &text));
        }
        let frame = DataFrame::read_json(&paths, JsonOptions::default());
        let options = ParquetOptions {
            target_bytes: 64 << 10,
            ..ParquetOptions::default()
        };
        let session = Session::builder()
            .memory("512 MiB")
            .threads(2)
            .build()
            .unwrap();
        let out = dir.path().join(format!("out-{columns}"));
        let report = session_write(&frame, &session, &out, &options);
        assert_eq!(report.rows, 3101);
        let (files, widened) = (report.files.len(), report.widened.len());
        assert!(
            files > columns / 300 && widened > 0,
            "{files} files, {widened} widened"
        );
        let back = DataFrame::read_parquet(&report.files);
        let (frame, back) = (frame.select_sql("*"), back.select_sql("*"));
        let wanted = frame.compute_with(&session).unwrap();
        let found = back.compute_with(&session).unwrap();
        assert_eq!(found.schema().fields(), wanted.schema().fields());
        for (name, (a, b)) in
            (wanted.schema().fields().iter()).zip(wanted.columns().iter().zip(found.columns()))
        {
            assert!(a == b, "{columns} columns: {name}");
        }
    }
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
