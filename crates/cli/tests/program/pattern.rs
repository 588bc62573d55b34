//! Lines of text by regular expression.

use std::fs;

use crate::common::{Folder, gzip};

const LOG: &str = "GET /a 200 12\nPUT /b 404 -\nGET /c 200 7\nGET /a 200 1\n";
const PATTERN: &str = r"^(?<method>\w+) (?<path>\S+) (?<status>\d+) (?:(?<bytes>\d+)|-)$";

#[test]
fn named_groups_become_columns_that_can_be_selected_and_filtered() {
    let place = Folder::new();
    place.write("a.log", LOG);
    place.write("b.log.gz", gzip(b"GET /z 500 3\n"));
    let select = "path, cast(bytes as int) as bytes";
    place
        .run(&[
            "convert",
            "*.log*",
            "--pattern",
            PATTERN,
            "--select",
            select,
            "--where",
            "method = 'GET'",
            "--format",
            "csv",
            "--to",
            "out",
        ])
        .ok();
    let mut files: Vec<_> = fs::read_dir(place.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    assert_eq!(text, "path,bytes\n/a,12\n/c,7\n/a,1\n/z,3\n");
}

#[test]
fn lines_that_do_not_match_are_treated_as_asked() {
    let place = Folder::new();
    place.write("a.log", format!("{LOG}nothing\nGET /d 200 5\n"));
    let convert = [
        "convert",
        "a.log",
        "--pattern",
        PATTERN,
        "--format",
        "json",
        "--to",
        "out",
    ];
    place.fails(1, &convert, &["a.log:5", "does not match the pattern"]);
    let skip = [&convert[..], &["--on-bad-record", "skip"]].concat();
    let said = place.run(&skip).ok().err;
    assert!(said.contains("5 rows") && said.contains("1 bad"), "{said}");
    let keep = ["--on-bad-record", "quarantine", "--overwrite"];
    place.run(&[&convert[..], &keep].concat());
    let bad = fs::read_to_string(place.path("out.bad/part-00000.jsonl")).unwrap();
    assert!(
        bad.contains("\"line\":5,") && bad.contains("\"record\":\"nothing\""),
        "{bad}"
    );
}

#[test]
fn a_wrong_pattern_is_a_matter_of_the_command_line() {
    let place = Folder::new();
    place.write("a.log", LOG);
    for (pattern, what) in [("(", "unclosed group"), (r"\d+", "no named group")] {
        place.fails(
            2,
            &["convert", "a.log", "--pattern", pattern, "--to", "out"],
            &[what],
        );
    }
    let both = [
        "convert",
        "a.log",
        "--pattern",
        PATTERN,
        "--from",
        "csv",
        "--to",
        "out",
    ];
    place.fails(2, &both, &["--pattern"]);
}

#[test]
fn lines_of_another_encoding_are_read_when_it_is_named() {
    let place = Folder::new();
    fs::write(place.path("a.log"), b"caf\xe9 1\nbar 2\n").unwrap();
    let convert = [
        "convert",
        "a.log",
        "--pattern",
        r"(?<name>\S+) (?<n>\d+)",
        "--to",
        "out",
    ];
    place.fails(1, &convert, &["a.log:1:4", "not UTF-8", "latin1"]);
    let named = [&convert[..], &["--encoding", "latin1", "--format", "json"]].concat();
    place.run(&named).ok();
    let part = fs::read_dir(place.path("out")).unwrap().next().unwrap();
    let rows = fs::read_to_string(part.unwrap().path()).unwrap();
    assert_eq!(rows.lines().next(), Some(r#"{"name":"café","n":"1"}"#));
    let unknown = [&convert[..], &["--encoding", "nonsense", "--overwrite"]].concat();
    place.fails(1, &unknown, &["nonsense"]);
    place.fails(
        2,
        &["convert", "a.log", "--encoding", "latin1", "--to", "x"],
        &["--pattern"],
    );
}
