//! Runs that end in the middle: nothing is left behind.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use common::write;
use flagstone_common::TaskContext;
use flagstone_frame::{
    BadRecords, DataFrame, Error, ErrorKind, JsonOptions, Output, ParquetOptions, PartitionSource,
    Result, RowFormat, RowOptions, Scan,
};
use flagstone_graph::{
    Block, Execute, Flow, Graph, Inputs, LayerId, Resources, SerialExecutor, ended,
};
use flagstone_scheduler::{CancelToken, Session};

/// Gives many batches, and calls `at` before each.
struct Many<F> {
    at: F,
    given: AtomicU32,
}

impl<F: Fn(u32) -> Result<()> + Send + Sync> PartitionSource for Many<F> {
    fn name(&self) -> &str {
        "many"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
    }

    fn partition_count(&self) -> u32 {
        4
    }

    fn stream(
        &self,
        _: u32,
        _: Inputs<'_>,
        _: &Scan,
        _: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        for _ in 0..300 {
            (self.at)(self.given.fetch_add(1, Ordering::Relaxed))?;
            let column = Arc::new(Int64Array::from_iter_values(0..1000));
            ended(each(
                RecordBatch::try_new(self.schema(), vec![column]).map_err(Error::failed)?,
            ))?;
        }
        Ok(())
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        1 << 20
    }
}

fn outputs() -> [Output; 3] {
    [
        Output::Parquet(ParquetOptions::default()),
        Output::Rows(RowOptions::new(RowFormat::Csv)),
        Output::Rows(RowOptions::new(RowFormat::Arrow)),
    ]
}

/// Everything in the directory, hidden files too.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_cancelled_run_leaves_no_file() {
    for output in outputs() {
        let dir = tempfile::tempdir().unwrap();
        let token = CancelToken::new();
        let cancel = token.clone();
        let source = Many {
            at: move |given| {
                if given == 50 {
                    cancel.cancel();
                }
                Ok(())
            },
            given: AtomicU32::new(0),
        };
        let builder = Session::builder().memory("256 MiB").threads(2);
        let session = builder.cancel_token(token).build().unwrap();
        let frame = DataFrame::from_source(Arc::new(source));
        let error = frame
            .write_with(&session, dir.path().join("out"), &output)
            .unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn a_disk_that_fills_up_is_told_and_leaves_no_file() {
    for output in outputs() {
        let dir = tempfile::tempdir().unwrap();
        let source = Many {
            at: |given| match given {
                60 => Err(Error::new(ErrorKind::OutOfDisk, "no space is left")),
                _ => Ok(()),
            },
            given: AtomicU32::new(0),
        };
        let session = Session::builder()
            .memory("256 MiB")
            .threads(2)
            .build()
            .unwrap();
        let frame = DataFrame::from_source(Arc::new(source));
        let error = frame
            .write_with(&session, dir.path().join("out"), &output)
            .unwrap_err();
        assert!(error.is_out_of_disk(), "{error}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn a_failed_run_leaves_no_quarantine_and_keeps_an_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", "{\"a\":1}\noops\n{\"a\":2}\n");
    let bad = dir.path().join("bad");
    let options = JsonOptions {
        bad_records: BadRecords::Quarantine(bad.clone()),
        ..JsonOptions::default()
    };
    let session = Session::builder()
        .memory("128 MiB")
        .threads(1)
        .build()
        .unwrap();
    let frame = DataFrame::read_json([&path], options.clone());
    // a number that is divided by zero ends the run after the bad record was met
    let failing = frame.select_sql("10 / (a - 1) AS x");
    failing.compute_with(&session).unwrap_err();
    assert_eq!(names(dir.path()), ["a.json"]);
    assert_eq!(frame.count_with(&session).unwrap(), 2);
    assert_eq!(names(&bad), ["part-00000.jsonl"]);
    failing.compute_with(&session).unwrap_err();
    assert_eq!(names(&bad), ["part-00000.jsonl"]);
    // a run that left nothing out says so: nothing of the earlier one stays
    write(dir.path(), "a.json", "{\"a\":1}\n{\"a\":2}\n");
    let mended = DataFrame::read_json([&path], options);
    assert_eq!(mended.count_with(&session).unwrap(), 2);
    assert!(!bad.exists());
    write(dir.path(), "a.json", "{\"a\":1}\noops\n{\"a\":2}\n");
    std::fs::create_dir(&bad).unwrap();
    // a directory of something else is never replaced
    write(&bad, "mine.txt", "keep");
    let error = frame.count_with(&session).unwrap_err();
    assert!(error.message().contains("other files"), "{error}");
}

/// Runs as the reference does, and lets somebody else finish an output first.
struct Late<'a>(&'a Path);

impl Execute for Late<'_> {
    fn resources(&self) -> Resources {
        SerialExecutor.resources()
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        let blocks = SerialExecutor.execute(graph, outputs);
        let begun = |name: &str| names(self.0).iter().any(|n| n.starts_with(name));
        if !begun(".out.partial-") || !begun(".bad.partial-") || begun("out") {
            return blocks;
        }
        for (directory, name) in [("out", "part-00000.parquet"), ("bad", "part-00000.jsonl")] {
            let directory = self.0.join(directory);
            std::fs::create_dir(&directory).unwrap();
            write(&directory, name, "theirs");
        }
        blocks
    }
}

#[test]
fn bad_records_beside_an_output_that_was_there_first_are_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", "{\"a\":1}\noops\n{\"a\":2}\n");
    let options = JsonOptions {
        bad_records: BadRecords::Quarantine(dir.path().join("bad")),
        ..JsonOptions::default()
    };
    let frame = DataFrame::read_json([&path], options);
    let output = Output::Parquet(ParquetOptions::default());
    let late = Late(dir.path());
    let error = frame
        .write_with(&late, dir.path().join("out"), &output)
        .unwrap_err();
    assert!(error.message().contains("exists already"), "{error}");
    for theirs in ["out/part-00000.parquet", "bad/part-00000.jsonl"] {
        let text = std::fs::read_to_string(dir.path().join(theirs)).unwrap();
        assert_eq!(text, "theirs");
    }
    assert_eq!(names(dir.path()), ["a.json", "bad", "out"]);
}
