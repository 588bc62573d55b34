//! Schemas that turn out wider than the heads of the files had shown.

mod common;

use std::path::Path;

use arrow::array::{Array, AsArray};
use common::{bytes_of, read_back, write};
use flagstone_common::Counter;
use flagstone_frame::{CsvOptions, DataFrame, JsonOptions, ParquetOptions, WriteReport};
use flagstone_graph::{Execute, Graph, SerialExecutor};
use flagstone_scheduler::Session;

/// Two such files are too long to be one partition.
const ROWS: usize = 13_000;

fn session() -> Session {
    Session::builder()
        .memory("512 MiB")
        .threads(2)
        .build()
        .unwrap()
}

/// Files that are partitions of their own (a gzip file is never split; these are too large to go
/// together), all with the same head.
fn files(dir: &Path, count: usize, head: &str, line: impl Fn(usize) -> String, last: &str) -> u64 {
    use std::io::Write;
    let mut bytes = 0;
    for file in 0..count {
        let mut text: String = head.to_owned();
        text.extend((0..ROWS).map(&line));
        if file + 1 == count {
            text.push_str(last);
        }
        let path = dir.join(format!("{file}.gz"));
        // stored, so that each is about as long as its text
        let mut out = std::fs::File::create(&path).unwrap();
        out.write_all(&stored(text.as_bytes())).unwrap();
        bytes += std::fs::metadata(&path).unwrap().len();
    }
    bytes
}

/// A gzip member that is not compressed.
fn stored(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = text.chunks(65_535).peekable();
    while let Some(chunk) = chunks.next() {
        out.push(u8::from(chunks.peek().is_none()));
        out.extend((chunk.len() as u16).to_le_bytes());
        out.extend((!(chunk.len() as u16)).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    let mut table = [0u32; 256];
    for (i, slot) in table.iter_mut().enumerate() {
        *slot = (0..8).fold(i as u32, |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        });
    }
    let crc = text.iter().fold(!0u32, |crc, &byte| {
        (crc >> 8) ^ table[((crc ^ u32::from(byte)) & 255) as usize]
    });
    out.extend((!crc).to_le_bytes());
    out.extend((text.len() as u32).to_le_bytes());
    out
}

fn json_line(i: usize) -> String {
    let pad = "x".repeat(380);
    format!(
        "{{\"n\":{i},\"o\":{{\"a\":true}},\"l\":[{{\"k\":{i}}}],\"none\":null,\"pad\":\"{pad}\"}}\n"
    )
}

fn written(session: &Session, frame: &DataFrame, out: &Path) -> WriteReport {
    frame
        .write_parquet_with(session, out, &ParquetOptions::default())
        .unwrap()
}

#[test]
fn only_the_partitions_that_differ_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let late = "{\"n\":0.5,\"o\":{\"a\":false,\"b\":[1]},\"l\":[{\"k\":1,\"m\":\"x\"}],\
                \"none\":\"some\",\"fresh\":\"x\"}\n";
    let bytes = files(dir.path(), 4, "", json_line, late);
    let frame = DataFrame::read_json([dir.path().join("*.gz")], JsonOptions::default());
    let session = session();
    let out = dir.path().join("out");
    let report = written(&session, &frame, &out);
    let told: Vec<&str> = report.widened.iter().map(|w| w.column.as_str()).collect();
    assert_eq!(told, ["n", "o.b", "l.m", "none", "fresh"]);
    assert_eq!(report.rows_read as usize, 4 * ROWS + 1);
    let stats = session.stats();
    assert_eq!(stats.counter(Counter::RowsIn) as usize, 4 * ROWS + 1);
    assert_eq!(stats.counter(Counter::RowsOut) as usize, 4 * ROWS + 1);
    assert_eq!(stats.counter(Counter::BytesWritten), report.bytes);
    let read = stats.counter(Counter::BytesRead);
    // the heads, all files once, and one of four again
    assert!(read < bytes * 3 / 2, "{read} of {bytes}");
    // the files are those that a known schema gives
    let known = JsonOptions {
        schema: Some(report.schema.clone()),
        ..JsonOptions::default()
    };
    let again = dir.path().join("again");
    written(
        &session,
        &DataFrame::read_json([dir.path().join("*.gz")], known),
        &again,
    );
    assert_eq!(bytes_of(&out), bytes_of(&again));
    let batch = read_back(&out);
    assert_eq!(batch["none"].as_string::<i32>().value(4 * ROWS), "some");
    assert_eq!(batch["none"].null_count(), 4 * ROWS);
}

#[test]
fn a_cast_that_would_change_values_reads_everything_again() {
    let dir = tempfile::tempdir().unwrap();
    let line = |_: usize| format!("1.50,{}\n", "x".repeat(380));
    files(dir.path(), 3, "n,pad\n", line, "text,y\n");
    let options = CsvOptions::csv();
    let frame = DataFrame::read_csv([dir.path().join("*.gz")], options);
    let (session, out) = (session(), dir.path().join("out"));
    let report = written(&session, &frame, &out);
    assert_eq!(
        session.stats().counter(Counter::RowsIn) as usize,
        3 * ROWS + 1
    );
    assert_eq!(report.rows as usize, 3 * ROWS + 1);
    // as it stands in the file, not as a float is printed
    assert_eq!(read_back(&out)["n"].as_string::<i32>().value(0), "1.50");
}

#[test]
fn a_condition_over_a_column_that_widens_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    files(
        dir.path(),
        3,
        "",
        json_line,
        "{\"n\":\"5\",\"pad\":\"z\"}\n",
    );
    let frame = DataFrame::read_json([dir.path().join("*.gz")], JsonOptions::default())
        .filter_sql("n = 5")
        .select_sql("n, pad");
    let (session, out) = (session(), dir.path().join("out"));
    let report = written(&session, &frame, &out);
    assert_eq!(report.rows, 4);
    assert_eq!(frame.count_with(&session).unwrap(), 4);
    assert_eq!(frame.compute_with(&SerialExecutor).unwrap().num_rows(), 4);
}

#[test]
fn a_column_that_was_only_null_keeps_its_first_value() {
    let dir = tempfile::tempdir().unwrap();
    let filler = "{\"a\":1,\"late\":null}\n".repeat(40_000);
    write(
        dir.path(),
        "a.json",
        &format!("{filler}{{\"a\":2,\"late\":\"here\"}}\n"),
    );
    let frame = DataFrame::read_json([dir.path().join("a.json")], JsonOptions::default());
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch["late"].as_string::<i32>().value(40_000), "here");
    let filler = "1,\n".repeat(200_000);
    write(dir.path(), "a.csv", &format!("a,late\n{filler}2,here\n"));
    let frame = DataFrame::read_csv([dir.path().join("a.csv")], CsvOptions::csv());
    let batch = frame.compute_with(&SerialExecutor).unwrap();
    assert_eq!(batch["late"].as_string::<i32>().value(200_000), "here");
}

#[test]
fn a_graph_that_is_built_refuses_what_its_schema_does_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let filler = "{\"a\":1}\n".repeat(80_000);
    write(dir.path(), "a.json", &format!("{filler}{{\"a\":\"x\"}}\n"));
    let frame = DataFrame::read_json([dir.path().join("a.json")], JsonOptions::default());
    let mut graph = Graph::new();
    let layer = frame.build(&mut graph, &SerialExecutor).unwrap();
    let error = SerialExecutor.execute(&graph, &[layer]).unwrap_err();
    let wanted = "a: int became string at ";
    assert!(
        error.message().contains(wanted) && error.message().contains("a.json:80001"),
        "{error}"
    );
    // the terminals widen, and a graph built afterwards knows
    assert_eq!(frame.count_with(&SerialExecutor).unwrap(), 80_001);
    let mut graph = Graph::new();
    let layer = frame.build(&mut graph, &SerialExecutor).unwrap();
    let blocks = SerialExecutor.execute(&graph, &[layer]).unwrap();
    assert_eq!(blocks[0].len(), 1);
}

#[test]
fn the_budget_that_a_refusal_names_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path(), 2, "", json_line, "");
    let write_in = |budget: u64| {
        let session = Session::builder()
            .memory_bytes(budget)
            .threads(1)
            .build()
            .unwrap();
        let frame = DataFrame::read_json([dir.path().join("*.gz")], JsonOptions::default());
        let out = dir.path().join(format!("out-{budget}"));
        frame.write_parquet_with(&session, &out, &ParquetOptions::default())
    };
    let error = write_in(8 << 20).unwrap_err();
    assert_eq!(error.kind(), flagstone_frame::ErrorKind::Budget, "{error}");
    let named = error.message().rsplit("works is ").next().unwrap();
    let named = flagstone_common::parse_bytes(named).unwrap();
    assert!(named > 8 << 20, "{error}");
    assert_eq!(write_in(named).unwrap().rows as usize, 2 * ROWS);
}
