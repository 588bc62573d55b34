//! The files that are written: how large, how compressed, and how many.

use std::fs::File;

use flagstone_frame::{ParquetCompression, ParquetOptions};
use flagstone_graph::SerialExecutor;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::common::{read_back, write};
use crate::{events, read};

#[test]
fn files_are_even_and_compressed_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", &events(0..60_000));
    let frame = read(dir.path(), "a.json");
    let mut sizes = Vec::new();
    for compression in [
        ParquetCompression::Zstd,
        ParquetCompression::Snappy,
        ParquetCompression::None,
    ] {
        let out = dir.path().join(format!("{compression:?}"));
        let options = ParquetOptions {
            compression,
            target_bytes: 400_000,
            ..Default::default()
        };
        let report = frame
            .write_parquet_with(&SerialExecutor, &out, &options)
            .unwrap();
        assert_eq!(report.rows, 60_000);
        let even = report.bytes as f64 / report.files.len() as f64;
        for path in &report.files {
            let file = File::open(path).unwrap();
            let len = file.metadata().unwrap().len() as f64;
            assert!((len - even).abs() < 0.2 * even, "{path:?}: {len} of {even}");
            let reader = SerializedFileReader::new(file).unwrap();
            let name = format!(
                "{:?}",
                reader.metadata().row_group(0).column(0).compression()
            );
            let wanted = match compression {
                ParquetCompression::Zstd => "ZSTD",
                ParquetCompression::Snappy => "SNAPPY",
                ParquetCompression::None => "UNCOMPRESSED",
            };
            assert!(name.starts_with(wanted), "{name}");
        }
        assert_eq!(
            read_back(&out),
            frame.compute_with(&SerialExecutor).unwrap()
        );
        sizes.push(report.bytes);
    }
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
}

#[test]
fn many_small_inputs_make_one_file_and_no_rows_one_with_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    for part in 0..214u64 {
        write(
            dir.path(),
            &format!("{part}.json"),
            &events(part * 20..part * 20 + 20),
        );
    }
    let frame = read(dir.path(), "*.json");
    let out = dir.path().join("few");
    let report = frame
        .filter_sql("type = 'Push' and score = 0.5")
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    assert_eq!(report.files.len(), 1);
    assert_eq!(
        report.rows,
        (0..4280).filter(|i| i % 3 == 0 && i % 13 == 0).count() as u64
    );
    let out = dir.path().join("none");
    let report = frame
        .filter_sql("type = 'Nothing'")
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    assert_eq!((report.files.len(), report.rows), (1, 0));
    assert_eq!(
        read_back(&out).schema().fields(),
        frame.schema().unwrap().fields()
    );
    let error = frame
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap_err();
    assert!(error.message().contains("exists"), "{error}");
}
