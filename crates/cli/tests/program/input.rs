//! Bad input: the message names the file and the line, and no file remains.

use std::fs;

use crate::common::{Folder, gzip, records};

#[test]
fn a_truncated_gzip_is_named() {
    let place = Folder::new();
    let whole = gzip(records(20_000).as_bytes());
    place.write("cut.json.gz", &whole[..whole.len() / 2]);
    place.fails(
        1,
        &["convert", "cut.json.gz", "--to", "out"],
        &["cut.json.gz", "gzip"],
    );
    // also behind a good file, where the output has begun
    place.write("a.json.gz", &whole);
    place.fails(
        1,
        &["convert", "*.json.gz", "--to", "out"],
        &["cut.json.gz"],
    );
}

#[test]
fn invalid_json_is_told_with_file_and_line() {
    let place = Folder::new();
    place.records("good.json", 3000);
    for at in [0, 1, 2500, 2999] {
        let mut lines: Vec<String> = records(3000).lines().map(str::to_owned).collect();
        lines[at] = "{\"id\": 12, \"name\": oops}".into();
        place.write("bad.json", lines.join("\n"));
        let place_of_error = format!("bad.json:{}", at + 1);
        place.fails(1, &["convert", "*.json", "--to", "out"], &[&place_of_error]);
    }
    // the line counts in the text, not in the compressed file
    let text = format!("{}[1, 2\n", records(700));
    place.write("bad.json.gz", gzip(text.as_bytes()));
    place.fails(
        1,
        &["convert", "bad.json.gz", "--to", "out"],
        &["bad.json.gz:701"],
    );
}

#[test]
fn text_that_is_not_utf8_is_told_with_file_and_line() {
    let place = Folder::new();
    let mut bytes = records(100).into_bytes();
    bytes.extend_from_slice(b"{\"id\":100,\"name\":\"\xff\xfe\"}\n");
    place.write("latin.json", &bytes);
    place.fails(
        1,
        &["convert", "latin.json", "--to", "out"],
        &["latin.json:101", "UTF-8"],
    );
    place.write("latin.csv", b"id,name\n1,good\n2,caf\xe9\n");
    place.fails(
        1,
        &["convert", "latin.csv", "--to", "out"],
        &["latin.csv:3", "UTF-8"],
    );
}

#[test]
fn a_line_of_csv_with_other_fields_is_told_with_file_and_line() {
    let place = Folder::new();
    place.write("a.csv", "id,name\n1,x\n2,y,z\n");
    place.fails(1, &["convert", "a.csv", "--to", "out"], &["a.csv:3"]);
}

#[test]
fn missing_and_unreadable_input_is_named() {
    let place = Folder::new();
    place.records("a.json", 10);
    place.fails(
        1,
        &["convert", "a.json", "gone.json", "--to", "out"],
        &["gone.json"],
    );
    place.fails(
        1,
        &["convert", "none-*.json", "--to", "out"],
        &["none-*.json"],
    );
    place.fails(
        1,
        &["convert", "nodir/*.json", "--to", "out"],
        &["nodir/*.json"],
    );
    place.fails(
        1,
        &["convert", "a.json", "[", "--from", "json", "--to", "out"],
        &["["],
    );
    // a name that a pattern finds and that cannot be opened
    std::os::unix::fs::symlink("nowhere", place.path("link.json")).unwrap();
    place.fails(1, &["convert", "*.json", "--to", "out"], &["link.json"]);
    fs::remove_file(place.path("link.json")).unwrap();
    fs::create_dir(place.path("dir.json")).unwrap();
    place.fails(1, &["convert", "dir.json", "--to", "out"], &["dir.json"]);
    fs::remove_dir(place.path("dir.json")).unwrap();

    use std::os::unix::fs::PermissionsExt;
    let locked = place.records("locked.json", 10);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::File::open(&locked).is_ok() {
        eprintln!("skipped: this user can read every file");
        return;
    }
    place.fails(
        1,
        &["convert", "*.json", "--to", "out"],
        &["locked.json", "denied"],
    );
}

#[test]
fn a_bad_record_is_skipped_or_put_aside_as_asked() {
    let place = Folder::new();
    place.write("a.json", format!("{}{{oops\n{}", records(50), records(50)));
    let arguments = [
        "convert",
        "a.json",
        "--to",
        "out",
        "--on-bad-record",
        "skip",
    ];
    let ran = place
        .run(&[&arguments[..], &["--stats", "s.json"]].concat())
        .ok();
    assert!(ran.err.contains("1 bad"), "{}", ran.err);
    assert_eq!(
        (place.rows("out"), &place.json("s.json")["bad_records"]),
        (100, &1.into())
    );

    let mut arguments = arguments;
    (arguments[3], arguments[5]) = ("kept", "quarantine");
    place.run(&arguments).ok();
    assert_eq!(place.rows("kept"), 100);
    let aside = |name: &str| fs::read_to_string(place.path("kept.bad").join(name)).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&aside("part-00000.jsonl")).unwrap();
    assert_eq!(
        (&kept["file"], &kept["line"]),
        (&"a.json".into(), &51.into())
    );
    assert_eq!(kept["record"], "{oops");
    let error = kept["error"].as_str().unwrap();
    assert!(error.starts_with("a key is missing"), "{error}");
    // an earlier quarantine is not written over, and goes with its output
    fs::remove_dir_all(place.path("kept")).unwrap();
    place.fails(1, &arguments, &["kept.bad", "--overwrite"]);
    place.run(&[&arguments[..], &["--overwrite"]].concat()).ok();
}

#[test]
fn input_without_any_good_record_says_so() {
    let place = Folder::new();
    place.write("a.json", "oops\nnot json\n");
    let convert = ["convert", "a.json", "--to", "out"];
    place.fails(1, &convert, &["a.json:1:1"]);
    for policy in ["skip", "quarantine"] {
        let arguments = [&convert[..], &["--on-bad-record", policy]].concat();
        place.fails(1, &arguments, &["none of the 2 records", "a.json:1:1"]);
    }
    // good records far behind the head are found
    place.write(
        "late.json",
        format!("{}{{\"a\":1}}\n", "oops\n".repeat(200_000)),
    );
    let convert = [
        "convert",
        "late.json",
        "--to",
        "late",
        "--on-bad-record",
        "skip",
    ];
    let ran = place.run(&convert).ok();
    assert!(
        ran.err.contains("200000 bad") && ran.err.contains("late.json:1:1"),
        "{}",
        ran.err
    );
    assert_eq!(place.rows("late"), 1);
}

#[test]
fn formats_are_found_by_name_or_by_head() {
    let place = Folder::new();
    fs::create_dir(place.path("d")).unwrap();
    place.write("d/a.json.gz", gzip(records(30).as_bytes()));
    place.write("d/b.gz", gzip(records(20).as_bytes()));
    place.run(&["convert", "d/*.gz", "--to", "out"]).ok();
    assert_eq!(place.rows("out"), 50);
    place.write("d/c.csv.gz", gzip(b"a,b\n1,2\n"));
    place.fails(
        2,
        &["convert", "d/*.gz", "--to", "x"],
        &["different formats", "c.csv.gz"],
    );
    place.write("noise", "no format at all\n");
    place.fails(2, &["convert", "noise", "--to", "x"], &["noise", "--from"]);
    assert!(place.run(&["inspect", "d/b.gz"]).ok().out.contains("name"));
}

#[test]
fn every_format_is_written_and_explained() {
    let place = Folder::new();
    place.records("a.json", 500);
    for (format, file) in [
        ("parquet", "part-00000.parquet"),
        ("json", "part-00000.json"),
        ("arrow", "part-00000.arrow"),
        ("csv", "part-00000.csv"),
    ] {
        let flags = [
            "a.json", "--select", "id, at.x", "--format", format, "--to", format,
        ];
        let explained = place
            .run(&[&["explain", "convert"][..], &flags].concat())
            .ok()
            .out;
        assert!(
            explained.contains(&format!("write-{format}")),
            "{explained}"
        );
        assert!(!explained.contains("collect"), "{explained}");
        assert!(!place.path(format).exists());
        place.run(&[&["convert"][..], &flags].concat()).ok();
        assert!(place.path(format).join(file).exists(), "{format}");
    }
    let csv = fs::read_to_string(place.path("csv/part-00000.csv")).unwrap();
    assert!(csv.starts_with("id,at.x\n0,0.5\n1,1.5\n"), "{csv}");
    // an object has no place in CSV
    place.fails(
        1,
        &["convert", "a.json", "--format", "csv", "--to", "n"],
        &["column at"],
    );
}

#[test]
fn an_empty_file_has_no_records() {
    let place = Folder::new();
    place.write("empty.json", "");
    place.records("full.json", 20);
    place.run(&["convert", "*.json", "--to", "out"]).ok();
    assert_eq!(place.rows("out"), 20);
    // alone it has no schema either: an error, or a directory that can be read back
    let ran = place.run(&["convert", "empty.json", "--to", "alone"]);
    match ran.code {
        Some(0) => assert_eq!(place.rows("alone"), 0),
        _ => drop(ran.failed(1, &["no columns"])),
    }
}

#[test]
fn a_damaged_column_of_parquet_is_named() {
    let place = Folder::new();
    place.records("a.json", 500);
    place.run(&["convert", "a.json", "--to", "out"]).ok();
    let mut bytes = fs::read(place.path("out/part-00000.parquet")).unwrap();
    for byte in &mut bytes[8..60] {
        *byte ^= 0x5a;
    }
    place.write("bad.parquet", &bytes);
    place.fails(
        1,
        &["convert", "bad.parquet", "--to", "again"],
        &["bad.parquet", "row group 0", "\"id\"", "leave it out"],
    );
}

#[test]
fn broken_npy_and_parquet_files_are_named() {
    let place = Folder::new();
    place.write("a.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}");
    place.write("text.npy", "no matrix at all");
    place.write("a.parquet", b"PAR1 and nothing more");
    for file in ["a.npy", "text.npy", "gone.npy"] {
        place.fails(1, &["matmul", file, file, "--to", "c.npy"], &[file]);
        place.fails(1, &["inspect", file], &[file]);
    }
    place.fails(1, &["inspect", "a.parquet"], &["a.parquet"]);
    place.fails(1, &["convert", "a.parquet", "--to", "out"], &["a.parquet"]);
}
