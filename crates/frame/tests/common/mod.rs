//! What several tests need.
#![allow(dead_code)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub(crate) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    let mut file = File::create(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// All rows of the Parquet files of a directory, in order of the files.
pub(crate) fn read_back(dir: &Path) -> RecordBatch {
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let mut batches = Vec::new();
    let mut schema = None;
    for name in &names {
        assert_eq!(
            name.extension().unwrap(),
            "parquet",
            "{name:?} was left behind"
        );
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(name).unwrap()).unwrap();
        let this = builder.schema().clone();
        assert_eq!(*schema.get_or_insert_with(|| this.clone()), this);
        batches.extend(builder.build().unwrap().map(|batch| batch.unwrap()));
    }
    concat_batches(&schema.unwrap(), &batches).unwrap()
}

/// The bytes of every file of a directory, by name.
pub(crate) fn bytes_of(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// Rows as text, one a line.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<String> {
    let table = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))
        .unwrap()
        .to_string();
    table
        .lines()
        .filter(|line| !line.starts_with('+'))
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The records of the first partition's quarantine file, in order.
pub(crate) fn quarantined(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("part-00000.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}
