//! Parquet files of other writers: what they hold, and what is said of those that are not right.
//! `golden/make.py` wrote them, and what is in them.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use flagstone_common::ErrorKind;
use flagstone_frame::{DataFrame, ParquetOptions, RowFormat, RowOptions, col, count_all, sum};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;
use parquet::basic::LogicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(name)
}

fn read(name: &str) -> DataFrame {
    DataFrame::read_parquet([golden(name)])
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The rows of a frame as JSON, by way of files.
fn as_json(frame: &DataFrame) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("o");
    let options = RowOptions::new(RowFormat::Json);
    frame
        .write_rows_with(&SerialExecutor, &out, &options)
        .unwrap();
    lines(&std::fs::read_to_string(out.join("part-00000.json")).unwrap())
}

fn error_of(name: &str) -> String {
    let error = read(name).compute_with(&SerialExecutor).unwrap_err();
    error.message().to_owned()
}

#[test]
fn files_hold_what_their_writers_put_in() {
    for name in ["dots", "far", "near", "dictionaries", "nulls-2", "brotli"] {
        let wanted = lines(&std::fs::read_to_string(golden(&format!("{name}.jsonl"))).unwrap());
        let frame = read(&format!("{name}.parquet"));
        assert_eq!(as_json(&frame), wanted, "{name}");
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("p");
        frame
            .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
            .unwrap();
        let again = DataFrame::read_parquet([out.join("*.parquet")]);
        assert_eq!(as_json(&again), wanted, "{name} written and read again");
    }
}

#[test]
fn columns_with_dots_are_selected_and_compared_by_their_names() {
    let dots = read("dots.parquet");
    let both = dots.select_sql(r#""a.b" as x, a.b as y, "c" as z"#);
    assert_eq!(
        as_json(&both),
        lines("{\"x\":1,\"y\":10,\"z\":3}\n{\"x\":2,\"y\":20,\"z\":4}")
    );
    let only = dots.filter_sql(r#""a.b" = 2"#).select_sql(r#"c, "a.b""#);
    assert_eq!(as_json(&only), lines("{\"c\":4,\"a.b\":2}"));
    let member = dots.select_sql(r#"a."b.c" as m"#);
    assert_eq!(as_json(&member), lines("{\"m\":11}\n{\"m\":21}"));
    let groups = dots.groupby(["c"]).agg([sum(col("a.b")).alias("s")]);
    assert_eq!(
        as_json(&groups),
        lines("{\"c\":3,\"s\":1}\n{\"c\":4,\"s\":2}")
    );
}

#[test]
fn far_times_are_told_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let report = read("far.parquet")
        .write_parquet_with(
            &SerialExecutor,
            dir.path().join("p"),
            &ParquetOptions::default(),
        )
        .unwrap();
    let told: Vec<String> = report.widened.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("t: time of nanoseconds became time of microseconds at"),
        "{told:?}"
    );
    assert_eq!(report.rows_read, 3);
    // the second reading does not count the rows again
    let session = Session::builder()
        .memory("64 MiB")
        .threads(1)
        .build()
        .unwrap();
    let out = dir.path().join("q");
    read("far.parquet")
        .write_parquet_with(&session, &out, &ParquetOptions::default())
        .unwrap();
    let stats = session.stats();
    let records: Vec<u64> = stats.sources.values().map(|seen| seen.records).collect();
    assert_eq!(records, [3]);
    let later = read("far.parquet").filter_sql("t > timestamp '2100-01-01'");
    assert_eq!(as_json(&later.select(["k"])), lines("{\"k\":3}"));
    let earlier = read("far.parquet").filter_sql("t < timestamp '1900-01-01'");
    assert_eq!(as_json(&earlier.select(["k"])), lines("{\"k\":1}"));
}

#[test]
fn dictionaries_are_keys_and_go_to_arrow_files() {
    let frame = read("dictionaries.parquet");
    let groups = frame
        .groupby(["k"])
        .agg([sum(col("v")).alias("v"), count_all()]);
    let groups = groups.compute_with(&SerialExecutor).unwrap();
    let sums = groups.column(1).as_primitive::<Int64Type>();
    assert_eq!(sums.values(), &[6, 7, 4, 4]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a");
    let options = RowOptions::new(RowFormat::Arrow);
    frame
        .write_rows_with(&SerialExecutor, &out, &options)
        .unwrap();
    let file = std::fs::File::open(out.join("part-00000.arrow")).unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let texts: Vec<String> = reader
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let texts = batch.column(0).as_string::<i32>().clone();
            (0..texts.len()).map(move |row| texts.value(row).to_owned())
        })
        .collect();
    assert_eq!(texts, ["b", "a", "b", "c", "a", ""]);
}

#[test]
fn a_file_of_nulls_goes_with_one_of_texts_in_any_order() {
    for names in [["nulls-1", "nulls-2"], ["nulls-2", "nulls-1"]] {
        let paths = names.map(|name| golden(&format!("{name}.parquet")));
        let frame = DataFrame::read_parquet(paths);
        let text = |name| std::fs::read_to_string(golden(&format!("{name}.jsonl"))).unwrap();
        assert_eq!(as_json(&frame), lines(&names.map(text).concat()));
        let x = frame.schema().unwrap().field(0).data_type().clone();
        assert_eq!(x, DataType::Utf8);
    }
}

#[test]
fn annotations_and_metadata_are_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let out = dir.path().join(name);
        let report = read(&format!("{name}.parquet")).write_parquet_with(
            &SerialExecutor,
            &out,
            &ParquetOptions::default(),
        );
        let file = std::fs::File::open(&report.unwrap().files[0]).unwrap();
        SerializedFileReader::new(file).unwrap()
    };
    let file = write("annotated");
    let schema = file.metadata().file_metadata().schema_descr();
    let said = |i: usize| schema.column(i).logical_type_ref().cloned();
    assert_eq!(
        [said(0), said(1)],
        [Some(LogicalType::Json), Some(LogicalType::Uuid)]
    );
    let file = write("said");
    let pairs = file
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap();
    let pair = pairs.iter().find(|pair| pair.key == "made by").unwrap();
    assert_eq!(pair.value.as_deref(), Some("a test"));
    let json = as_json(&read("annotated.parquet").select(["j"]));
    assert_eq!(json, lines(r#"{"j":{"a":[1,"x"]}}"#));
}

#[test]
fn what_is_wrong_is_said_by_its_name() {
    for (name, parts) in [
        ("no-rows.parquet", &["0 rows", "its row groups have 3"][..]),
        ("encrypted.parquet", &["encrypted", "decrypt it first"]),
        (
            "encrypted-plain-footer.parquet",
            &["encrypted", "decrypt it first"],
        ),
    ] {
        let message = error_of(name);
        assert!(message.contains(name), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn a_page_that_does_not_fit_is_refused_before_it_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let session = |mebibytes: u64| {
        let builder = Session::builder().memory_bytes(mebibytes << 20);
        builder.spill_dir(dir.path()).build().unwrap()
    };
    let frame = read("big-value.parquet");
    // the other column alone needs little
    let narrow = frame.select(["n"]);
    assert_eq!(narrow.count_with(&session(16)).unwrap(), 1);
    let error = frame.count_with(&session(32)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Budget, "{error}");
    let message = error.message();
    for part in ["big-value.parquet", "row group 0", "\"big\"", "48.0 MiB"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let works = message.split("that works is ").nth(1).unwrap();
    let works = works.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(frame.count_with(&session(works)).unwrap(), 1);
}

/// A file of one column whose texts are in a dictionary, however long.
fn with_dictionary(path: &Path, column: impl Array + 'static) {
    use arrow::array::{ArrayRef, RecordBatch};
    let column = std::sync::Arc::new(column) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_dictionary_page_size_limit(64 << 20)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_compression(parquet::basic::Compression::SNAPPY)
        .set_write_batch_size(1)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn rows_that_share_a_long_text_come_a_few_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.parquet");
    let long = "x".repeat(900_000);
    let mut texts = vec![&long[..]; 200];
    texts.resize(300, "y");
    with_dictionary(&path, arrow::array::StringArray::from(texts));
    assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
    let session = |mebibytes: u64| {
        let builder = Session::builder().memory_bytes(mebibytes << 20);
        builder.spill_dir(dir.path()).build().unwrap()
    };
    let frame = DataFrame::read_parquet([&path]);
    // 180 MB as one batch
    let session = session(64);
    let short = frame.filter_sql("t = 'y'");
    assert_eq!(short.count_with(&session).unwrap(), 100);
    assert_eq!(
        frame.filter_sql("t > 'xx'").count_with(&session).unwrap(),
        300
    );
    let peak = session.stats().ledger_peak_bytes;
    assert!(peak < 40 << 20, "{peak}");
}

#[test]
fn a_row_that_does_not_fit_is_refused_before_it_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.parquet");
    let text = "x".repeat(900_000);
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    lists.append_value(vec![Some(&text); 100]);
    with_dictionary(&path, lists.finish());
    let builder = Session::builder().memory_bytes(64 << 20);
    let session = builder.spill_dir(dir.path()).build().unwrap();
    let error = DataFrame::read_parquet([&path]).count_with(&session);
    let error = error.unwrap_err();
    let refused = matches!(error.kind(), ErrorKind::Budget | ErrorKind::NeedsMemory);
    assert!(refused, "{error}");
    for part in ["shared.parquet", "row group 0: its rows take 85.8 MiB"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert!(session.stats().ledger_peak_bytes < 64 << 20);
}
