//! What --stats, --trace, --report, inspect and explain say.

use std::fs;

use serde_json::Value;

use crate::common::{Folder, matrix};

/// The fields that every run reports.
const FIELDS: [&str; 13] = [
    "wall_s",
    "peak_rss_bytes",
    "ledger_peak_bytes",
    "budget_bytes",
    "certified_peak_bytes",
    "tasks",
    "bytes_read",
    "bytes_written",
    "bytes_spilled",
    "bytes_reloaded",
    "rows_in",
    "rows_out",
    "bad_records",
];

#[track_caller]
fn has_all_fields(stats: &Value) {
    for field in FIELDS {
        assert!(stats[field].is_number(), "{field}: {stats}");
    }
}

#[test]
fn statistics_are_whole_and_true() {
    let place = Folder::new();
    let input = place.records("a.json", 3000);
    let arguments = [
        "convert",
        "a.json",
        "--to",
        "out",
        "--where",
        "id < 1000",
        "--stats",
        "s.json",
    ];
    place
        .run(&[&arguments[..], &["--memory", "128MiB"]].concat())
        .ok();
    let stats = place.json("s.json");
    has_all_fields(&stats);
    assert_eq!(stats["rows_in"], 3000);
    assert_eq!(stats["rows_out"], 1000);
    assert_eq!(stats["bad_records"], 0);
    assert_eq!(stats["budget_bytes"], 128 << 20);
    assert!(stats["error"].is_null());
    let number = |field: &str| stats[field].as_u64().unwrap();
    assert!(number("bytes_read") >= fs::metadata(input).unwrap().len());
    assert!(number("tasks") > 0 && number("peak_rss_bytes") > 0);
    assert!(number("ledger_peak_bytes") <= number("certified_peak_bytes"));
    assert!(number("certified_peak_bytes") <= number("budget_bytes"));
    let written: u64 = fs::read_dir(place.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    // scratch is not counted
    assert_eq!(number("bytes_written"), written);
}

#[test]
fn statistics_trace_and_report_are_written_also_on_failure() {
    let place = Folder::new();
    place.write("a.json", "{\"a\":1}\noops\n");
    let reports = [
        "--stats", "s.json", "--trace", "t.json", "--report", "r.html",
    ];
    place
        .run(&[&["convert", "a.json", "--to", "out"][..], &reports].concat())
        .failed(1, &["a.json:2"]);
    let stats = place.json("s.json");
    has_all_fields(&stats);
    assert!(
        stats["error"].as_str().unwrap().contains("a.json:2"),
        "{stats}"
    );
    place.json("t.json");
    assert!(
        fs::read_to_string(place.path("r.html"))
            .unwrap()
            .starts_with("<!doctype html>")
    );
    assert_eq!(place.names(), ["a.json", "r.html", "s.json", "t.json"]);
}

#[test]
fn a_trace_is_for_chrome_and_a_report_needs_nothing_else() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 200, 1);
    let reports = ["--trace", "t.json", "--report", "r.html"];
    place
        .run(&[&["matmul", "a.npy", "a.npy", "--to", "c.npy"][..], &reports].concat())
        .ok();
    let trace = place.json("t.json");
    let events = trace
        .as_array()
        .or_else(|| trace["traceEvents"].as_array())
        .unwrap();
    let tasks = events.iter().filter(|event| event["ph"] == "X").count();
    assert!(tasks > 0, "{trace}");
    assert!(
        events
            .iter()
            .all(|event| event["ph"].is_string() && event["pid"].is_number())
    );
    let page = fs::read_to_string(place.path("r.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("matmul"), "{page}");
    for outside in ["src=\"", "<link", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "the page asks for {outside}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let place = Folder::new();
    place.records("a.json", 3);
    let arguments = ["convert", "a.json", "--to", "out", "--stats", "gone/s.json"];
    place.run(&arguments).failed(1, &["gone/s.json"]);
}

#[test]
fn progress_is_shown_only_where_asked_for() {
    let place = Folder::new();
    place.records("a.json", 3);
    let quiet = place.run(&["convert", "a.json", "--to", "quiet"]).ok();
    assert!(!quiet.err.contains('\x1b'), "{}", quiet.err);
    place
        .run(&["convert", "a.json", "--to", "shown", "--progress", "always"])
        .ok();
}

#[test]
fn explain_tells_and_writes_nothing() {
    let place = Folder::new();
    place.records("a.json", 300);
    matrix(&place.path("a.npy"), 100, 1);
    let before = place.names();
    let convert = place
        .run(&["explain", "convert", "a.json", "--to", "out"])
        .ok();
    let product = place
        .run(&["explain", "matmul", "a.npy", "a.npy", "--to", "c.npy"])
        .ok();
    // how much Parquet becomes of the records is not known beforehand
    assert!(!convert.out.contains("written"), "{}", convert.out);
    for ran in [convert, product] {
        for word in ["certified peak", "smallest budget", "predicted I/O"] {
            assert!(ran.out.contains(word), "{}", ran.out);
        }
    }
    assert_eq!(place.names(), before);
}

#[test]
fn inspect_shows_schema_shape_and_rows() {
    let place = Folder::new();
    place.records("a.json", 300);
    matrix(&place.path("a.npy"), 100, 1);
    place.run(&["convert", "a.json", "--to", "out"]).ok();
    let npy = place.run(&["inspect", "a.npy"]).ok().out;
    assert!(npy.contains("[100, 100]") && npy.contains("<f8"), "{npy}");
    for path in ["a.json", "out"] {
        let out = place.run(&["inspect", path]).ok().out;
        assert!(
            out.contains("at: struct") && out.contains("x: Float64"),
            "{out}"
        );
    }
    assert_eq!(place.rows("out"), 300);
}

#[test]
fn explain_refuses_what_the_run_refuses() {
    let place = Folder::new();
    place.records("a.json", 300);
    matrix(&place.path("a.npy"), 50, 1);
    fs::create_dir(place.path("there")).unwrap();
    place.write("there/file", "");
    place.write("there.npy", "");
    let convert: &[&str] = &["convert", "a.json", "--to"];
    let matmul: &[&str] = &["matmul", "a.npy", "a.npy", "--to"];
    for (command, rest) in [
        (convert, &["there"][..]),
        (convert, &["gone/out"]),
        (convert, &["there.npy"]),
        (convert, &["out", "--memory", "2MiB"]),
        (matmul, &["there.npy"]),
        (matmul, &["gone/c.npy"]),
        (matmul, &["there"]),
    ] {
        let command = [command, rest].concat();
        let run = place.fails(1, &command, &[]);
        let explain = place.fails(1, &[&["explain"], &command[..]].concat(), &[]);
        assert_eq!(explain.err_without_tokens(), run.err_without_tokens());
    }
    for flag in ["--stats", "--trace", "--report"] {
        let explain = ["explain", "convert", "a.json", "--to", "out", flag, "s"];
        place.fails(2, &explain, &[flag]);
    }
}

#[test]
fn reports_that_cannot_be_written_are_refused_before_the_run() {
    let place = Folder::new();
    place.records("a.json", 3);
    matrix(&place.path("a.npy"), 5, 1);
    fs::create_dir(place.path("dir")).unwrap();
    let convert = ["convert", "*.json", "--to", "out"];
    let with = |flags: &[&'static str]| [&convert[..], flags].concat();
    place.fails(
        1,
        &with(&["--stats", "gone/s.json"]),
        &["gone", "does not exist"],
    );
    place.fails(1, &with(&["--trace", "dir"]), &["dir", "is a directory"]);
    place.fails(
        1,
        &with(&["--report", "a.json/r"]),
        &["a.json", "not a directory"],
    );
    place.fails(2, &with(&["--stats", "./a.json"]), &["--stats", "input"]);
    place.fails(
        2,
        &with(&["--stats", "s", "--trace", "dir/../s"]),
        &["--stats", "--trace"],
    );
    place.fails(2, &with(&["--report", "out"]), &["--to", "--report"]);
    let product = [
        "matmul", "a.npy", "a.npy", "--to", "c.npy", "--stats", "a.npy",
    ];
    place.fails(2, &product, &["--stats", "input"]);
    assert_eq!(place.names(), ["a.json", "a.npy", "dir"]);
}

#[test]
fn a_quarantine_that_is_not_used_is_a_usage_error() {
    let place = Folder::new();
    place.records("a.json", 3);
    let convert = ["convert", "a.json", "--to", "out", "--quarantine", "q"];
    place.fails(2, &convert, &["--quarantine", "--on-bad-record"]);
}

#[test]
fn output_that_nobody_reads_is_no_failure_and_a_full_disk_is_one() {
    let place = Folder::new();
    place.records("a.json", 3);
    let generate = ["generate", "words", "--size", "1KiB", "--to", "words"];
    let inspect = ["inspect", "a.json"];
    let explain = ["explain", "convert", "a.json", "--to", "out"];
    for command in [&generate[..], &inspect, &explain] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = place.command(command).stdout(writer).output().unwrap();
        assert_eq!(
            (ran.status.code(), ran.stderr.contains(&b'!')),
            (Some(0), false)
        );
        let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
            eprintln!("skipped: there is no /dev/full");
            continue;
        };
        let _ = fs::remove_dir_all(place.path("words"));
        let ran = place.command(command).stdout(full).output().unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{err}");
        assert!(err.contains("standard output: No space left"), "{err}");
    }
}
