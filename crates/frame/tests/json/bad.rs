//! Records that cannot be read, files that are no lines of records, and mistakes in the plan.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use flagstone_frame::{BadRecords, DataFrame, JsonOptions, ParquetOptions, col, lit};
use flagstone_graph::SerialExecutor;

use crate::common::{quarantined, read_back, write};
use crate::{events, read};

#[test]
fn bad_records_follow_the_policy() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"a\":1}\n\n{\"a\":2\n{\"a\":3}\n[1]\n{\"a\":4}";
    let path = write(dir.path(), "a.json", text);
    let error = read(dir.path(), "a.json")
        .compute_with(&SerialExecutor)
        .unwrap_err();
    let wanted = format!(
        "{}:3:7: a comma or a closing brace is missing",
        path.display()
    );
    assert!(error.message().starts_with(&wanted), "{error}");
    let mut raw = text.as_bytes().to_vec();
    raw.extend_from_slice(b"\n{\"a\":\"\xff\"}\n");
    std::fs::write(&path, raw).unwrap();
    let quarantine = dir.path().join("bad");
    for policy in [BadRecords::Skip, BadRecords::Quarantine(quarantine.clone())] {
        let options = JsonOptions {
            bad_records: policy,
            ..JsonOptions::default()
        };
        let frame = DataFrame::read_json([&path], options);
        let out = tempfile::tempdir().unwrap();
        let report = frame
            .write_parquet_with(
                &SerialExecutor,
                out.path().join("o"),
                &ParquetOptions::default(),
            )
            .unwrap();
        assert_eq!((report.rows, report.bad_records), (3, 3));
        let batch = read_back(&out.path().join("o"));
        assert_eq!(batch["a"].as_primitive::<Int64Type>().values(), &[1, 3, 4]);
    }
    let kept = quarantined(&quarantine);
    assert_eq!(
        (&kept[0]["record"], &kept[1]["record"]),
        (&"{\"a\":2".into(), &"[1]".into())
    );
    // {"a":"\xff"} is not UTF-8
    assert_eq!(
        (kept.len(), &kept[2]["record_hex"]),
        (3, &"7b2261223a22ff227d".into())
    );
}

#[test]
fn a_file_that_is_one_document_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (text, what) in [
        ("[{\"a\":1},{\"a\":2}]\n", "one JSON array of records"),
        (
            "[\n{\"a\":1},\n{\"a\":2}\n]\n",
            "one JSON array over several lines",
        ),
        ("{\n  \"a\": 1\n}\n", "a JSON document over several lines"),
    ] {
        write(dir.path(), "a.json", text);
        let error = read(dir.path(), "a.json")
            .compute_with(&SerialExecutor)
            .unwrap_err();
        let message = error.message();
        assert!(
            message.contains("a.json is ") && message.contains(what),
            "{message}"
        );
        assert!(
            message.contains("JSON lines") && message.contains("jq -c"),
            "{message}"
        );
    }
}

#[test]
fn a_torn_first_record_is_a_bad_record_and_no_document() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", "{\"a\":1,\n{\"a\":2}\n{\"a\":3}\n");
    let options = |bad_records| JsonOptions {
        bad_records,
        ..JsonOptions::default()
    };
    let read = |bad| DataFrame::read_json([dir.path().join("a.json")], options(bad));
    let batch = read(BadRecords::Skip)
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(batch.num_rows(), 2);
    let error = read(BadRecords::Fail).compute_with(&SerialExecutor);
    let error = error.unwrap_err();
    assert!(error.message().contains("a.json:1:"), "{error}");
    // among records, a document is a bad record
    write(dir.path(), "a.json", "{\"a\":2}\n");
    write(dir.path(), "b.json", "[{\"a\":1},{\"a\":2}]\n");
    let both = [dir.path().join("a.json"), dir.path().join("b.json")];
    let both = DataFrame::read_json(both, options(BadRecords::Skip));
    assert_eq!(both.compute_with(&SerialExecutor).unwrap().num_rows(), 1);
}

#[test]
fn mistakes_come_with_the_line_that_made_them() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", &events(0..3));
    let frame = read(dir.path(), "a.json");
    let line = line!() + 2;
    let wrong = frame
        .with_column("x", col("nope") + lit(1))
        .filter(col("x").gt(lit(1)));
    let error = wrong.check().unwrap_err();
    assert_eq!(error.location().unwrap().line(), line, "{error}");
    assert!(error.message().contains("nope"));
    assert!(read(dir.path(), "none-*.json").check().is_err());
}
