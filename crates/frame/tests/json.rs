//! JSON lines to rows and to Parquet.

#[path = "json/bad.rs"]
mod bad;
mod common;
#[path = "json/files.rs"]
mod files;
#[path = "json/groups.rs"]
mod groups;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use common::{bytes_of, read_back, rows, write};
use flagstone_frame::{BadRecords, DataFrame, JsonOptions, ParquetOptions, col, lit};
use flagstone_graph::SerialExecutor;
use std::sync::Arc;

fn read(dir: &std::path::Path, pattern: &str) -> DataFrame {
    DataFrame::read_json([dir.join(pattern)], JsonOptions::default())
}

fn event(i: u64) -> String {
    let kind = ["Push", "Watch", "Fork"][i as usize % 3];
    let extra = match kind {
        "Push" => format!(
            r#","payload":{{"size":{},"commits":[{{"sha":"{:040x}"}}]}}"#,
            i % 7,
            i * 7919
        ),
        "Watch" => r#","payload":{"action":"started"}"#.to_owned(),
        _ => String::new(),
    };
    format!(
        "{{\"id\":\"{i}\",\"type\":\"{kind}\",\"actor\":{{\"id\":{},\"login\":\"user{}\"}}{extra},\"score\":{}.5}}\n",
        i % 100,
        i % 100,
        i % 13
    )
}

fn events(range: std::ops::Range<u64>) -> String {
    range.map(event).collect()
}

#[test]
fn records_become_parquet_with_nested_columns() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", &events(0..5000));
    write(dir.path(), "b.json", &events(5000..12_000));
    let frame = read(dir.path(), "*.json");
    let out = dir.path().join("out");
    let report = frame
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    assert_eq!(
        (report.rows, report.rows_read, report.files.len()),
        (12_000, 12_000, 1)
    );
    assert_eq!(
        report.bytes,
        std::fs::metadata(&report.files[0]).unwrap().len()
    );
    let batch = read_back(&out);
    assert_eq!(batch, frame.compute_with(&SerialExecutor).unwrap());
    let ids = batch["id"].as_string::<i32>();
    assert!((0..12_000).all(|i| ids.value(i) == i.to_string()));
    let payload = batch["payload"].as_struct();
    assert_eq!(
        payload
            .column_by_name("size")
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(6),
        6
    );
    assert!(batch["score"].as_primitive::<Float64Type>().value(1) == 1.5);
}

#[test]
fn a_schema_that_widens_late_gives_the_files_of_a_known_one() {
    let dir = tempfile::tempdir().unwrap();
    // far past the sampled head
    let filler: String = (0..27_000)
        .map(|i| format!("{{\"n\":{i},\"o\":{{\"a\":true}}}}\n"))
        .collect();
    let late = "{\"n\":0.5,\"o\":{\"a\":false,\"b\":[1]},\"fresh\":\"x\"}\n{\"n\":\"text\"}\n";
    write(dir.path(), "a.json", &filler);
    write(dir.path(), "b.json", &format!("{filler}{late}"));
    let out = dir.path().join("out");
    let frame = read(dir.path(), "*.json");
    let report = frame
        .write_parquet_with(&SerialExecutor, &out, &ParquetOptions::default())
        .unwrap();
    let told: Vec<String> = report.widened.iter().map(ToString::to_string).collect();
    let file = dir.path().join("b.json").display().to_string();
    assert_eq!(
        told,
        [
            format!("n: int became string at {file}:27001"),
            format!("o.b: null became list at {file}:27001"),
            format!("fresh: null became string at {file}:27001"),
        ]
    );
    assert_eq!(report.rows_read, 54_002);
    let known = JsonOptions {
        schema: Some(report.schema.clone()),
        ..JsonOptions::default()
    };
    let again = dir.path().join("again");
    DataFrame::read_json([dir.path().join("*.json")], known)
        .write_parquet_with(&SerialExecutor, &again, &ParquetOptions::default())
        .unwrap();
    assert_eq!(bytes_of(&out), bytes_of(&again));
    let batch = read_back(&out);
    assert_eq!(batch["n"].as_string::<i32>().value(54_000), "0.5");
    // a column that is not wanted does not matter
    let report = frame
        .select_sql("o.a")
        .write_parquet_with(
            &SerialExecutor,
            dir.path().join("o"),
            &ParquetOptions::default(),
        )
        .unwrap();
    assert!(report.widened.is_empty());
}

#[test]
fn keys_that_are_data_become_text_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let filler: String = (0..40_000)
        .map(|i| format!("{{\"n\":{i},\"of\":{{\"a\":true}}}}\n"))
        .collect();
    let keys = |rows: std::ops::Range<usize>| {
        let row = |i| format!("{{\"n\":{i},\"of\":{{\"k{i}\":{i}}}}}\n");
        rows.map(row).collect::<String>()
    };
    let told = |rows: std::ops::Range<usize>| {
        write(dir.path(), "a.json", &(filler.clone() + &keys(rows)));
        let out = dir.path().join("out");
        let options = ParquetOptions {
            overwrite: true,
            ..ParquetOptions::default()
        };
        let report = read(dir.path(), "a.json")
            .write_parquet_with(&SerialExecutor, &out, &options)
            .unwrap();
        assert_eq!(report.bad_records, 0);
        let told: Vec<String> = report.widened.iter().map(ToString::to_string).collect();
        let of = read_back(&out)["of"].clone();
        (told, of)
    };
    let file = dir.path().join("a.json").display().to_string();
    let (lines, of) = told(0..2000);
    assert_eq!(
        lines,
        [format!("of: object became JSON text at {file}:40001")]
    );
    let of = of.as_string::<i32>();
    assert_eq!(of.value(0), "{\"a\":true}");
    assert_eq!(of.value(41_999), "{\"k1999\":1999}");
    // as many keys as an object may have, and one more
    assert_eq!(told(0..255).0.len(), 255);
    assert_eq!(told(0..256).0, lines);
}

#[test]
fn a_given_schema_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "a.json",
        "{\"a\":1,\"x\":2}\n{\"a\":\"no\"}\n{\"b\":\"2015-01-01\"}\n",
    );
    let schema = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Date32, true),
    ]));
    let options = |bad_records| JsonOptions {
        schema: Some(schema.clone()),
        bad_records,
    };
    let error = DataFrame::read_json([&path], options(BadRecords::Fail))
        .compute_with(&SerialExecutor)
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("a.json:2:10: a value is not of the type"),
        "{error}"
    );
    let batch = DataFrame::read_json([&path], options(BadRecords::Skip))
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(batch.schema(), schema);
    assert_eq!(rows(&batch), ["| 1 | |", "| | 2015-01-01 |"]);
}

#[test]
fn select_and_where_are_sql_over_the_record() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", &events(0..30));
    let frame = read(dir.path(), "a.json");
    let batch = frame
        .filter_sql("type = 'Push' and actor.id >= 20")
        .select_sql("actor.login, payload.size AS n, score * 2 AS twice, actor")
        .compute_with(&SerialExecutor)
        .unwrap();
    let names: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["actor.login", "n", "twice", "actor"]);
    assert_eq!(
        rows(&batch),
        [
            "| user21 | 0 | 17.0 | {id: 21, login: user21} |",
            "| user24 | 3 | 23.0 | {id: 24, login: user24} |",
            "| user27 | 6 | 3.0 | {id: 27, login: user27} |",
        ]
    );
    // the same by expressions
    let same = frame
        .filter(
            col("type")
                .eq(lit("Push"))
                .and(col("actor.id").gt_eq(lit(20))),
        )
        .select([col("actor.login"), col("payload.size").alias("n")])
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(rows(&same)[0], "| user21 | 0 |");
    assert_eq!(same.schema().field(0).name(), "actor.login");
    for (select, part) in [
        ("id, actor.id AS id", "two columns would be called \"id\""),
        ("nope", "nope"),
        ("actor.nope", "nope"),
        ("id from x", "wrong"),
    ] {
        let error = frame.select_sql(select).check().unwrap_err();
        assert!(error.to_string().contains(part), "{select}: {error}");
        assert!(error.to_string().contains("tests/json.rs"), "{error}");
    }
    let text = frame
        .select_sql("actor.login")
        .explain_with(&SerialExecutor)
        .unwrap();
    assert!(text.contains("read-json+collect (1 tasks)"), "{text}");
}

#[test]
fn records_that_are_lists_and_empty_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", "[\"a\",\"b\"]\n[\"x\",3,null,2.9]\n");
    write(dir.path(), "b.json", "");
    let batch = read(dir.path(), "*.json")
        .compute_with(&SerialExecutor)
        .unwrap();
    // of a list of several types the items are JSON texts, so that strings can be told from numbers
    assert_eq!(
        rows(&batch),
        ["| [\"a\", \"b\"] |", "| [\"x\", 3, , 2.9] |"]
    );
    assert_eq!(
        read(dir.path(), "b.json")
            .count_with(&SerialExecutor)
            .unwrap(),
        0
    );
}

#[test]
fn columns_that_only_text_holds_are_told_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"a\":1,\"n\":1,\"b\":{\"c\":1}}\n\n{\"a\":\"x\",\"n\":18446744073709551615}\n";
    write(dir.path(), "0.json", text);
    write(
        dir.path(),
        "1.json",
        "{\"n\":2}\n{\"b\":{\"c\":\"late\"}}\n",
    );
    let frame = read(dir.path(), "*.json");
    let told = |frame: &DataFrame| {
        let options = ParquetOptions {
            overwrite: true,
            ..ParquetOptions::default()
        };
        let out = dir.path().join("out");
        let report = frame.write_parquet_with(&SerialExecutor, &out, &options);
        let lines = report.unwrap().widened.into_iter().map(|widening| {
            let text = widening.to_string();
            text.replace(&format!("{}/", dir.path().display()), "")
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        told(&frame),
        [
            "a: int became string at 0.json:3",
            "n: int became number text at 0.json:3",
            "b.c: int became string at 1.json:2"
        ]
    );
    // what nobody reads is no news
    assert_eq!(
        told(&frame.select(["n"])),
        ["n: int became number text at 0.json:3"]
    );
    let batch = frame
        .select([col("n")])
        .compute_with(&SerialExecutor)
        .unwrap();
    let numbers = ["| 1 |", "| 18446744073709551615 |", "| 2 |", "|  |"];
    let shown: Vec<String> = rows(&batch)
        .iter()
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        shown,
        numbers.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
    );
}
