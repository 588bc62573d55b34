//! Bad records that are kept: where they may be, and those of an earlier run.

use std::fs;

use crate::common::Folder;

/// Ten good records and a bad one.
fn place() -> Folder {
    let place = Folder::new();
    place.records("a.json", 10);
    let bad = format!(
        "{}oops\n",
        fs::read_to_string(place.path("a.json")).unwrap()
    );
    place.write("bad.json", bad);
    place
}

#[test]
fn a_quarantine_has_a_place_of_its_own() {
    let place = place();
    fs::create_dir(place.path("in")).unwrap();
    place.write("in/part-0.json", "{\"id\":1}\noops\n");
    let keep = [
        "--on-bad-record",
        "quarantine",
        "--overwrite",
        "--quarantine",
    ];
    for (input, to, kept, words) in [
        (
            "bad.json",
            "out",
            "out",
            &["--to and --quarantine name the same place"][..],
        ),
        (
            "bad.json",
            "out",
            "./out/",
            &["--to and --quarantine name the same place"],
        ),
        (
            "bad.json",
            "out",
            "out/bad",
            &["--quarantine out/bad is inside of --to out"],
        ),
        ("bad.json", "out", "out/a/b", &["is inside of --to"]),
        (
            "bad.json",
            "kept/out",
            "kept",
            &["--to kept/out is inside of --quarantine kept"],
        ),
        (
            "in/*.json",
            "out",
            "in",
            &["would replace the input in/part-0.json"],
        ),
        (
            "bad.json",
            "out",
            "bad.json",
            &["would replace the input bad.json"],
        ),
        ("bad.json", "out", ".", &["--quarantine"]),
    ] {
        let flags = ["convert", input, "--to", to];
        let convert = [&flags[..], &keep, &[kept]].concat();
        place.fails(2, &convert, words);
        place.fails(2, &[&["explain"][..], &convert].concat(), words);
    }
    assert!(place.path("in/part-0.json").exists());
    // nor is anything else written into it
    let stats = ["convert", "bad.json", "--to", "out", "--stats", "q/s.json"];
    place.fails(
        2,
        &[&stats[..], &keep, &["q"]].concat(),
        &["--stats q/s.json is inside of what --quarantine names"],
    );
    // where it is kept when nobody says so, too
    place
        .run(&[
            "convert",
            "bad.json",
            "--to",
            "out",
            "--on-bad-record",
            "quarantine",
        ])
        .ok();
    let again = [
        "convert",
        "out.bad/*",
        "--from",
        "json",
        "--to",
        "out",
        "--on-bad-record",
        "quarantine",
        "--overwrite",
    ];
    place.fails(2, &again, &["out.bad/part-00000.jsonl", "--quarantine"]);
    place.write("file", "mine");
    let file = [
        "convert",
        "a.json",
        "--to",
        "x",
        "--on-bad-record",
        "quarantine",
        "--quarantine",
        "file",
    ];
    place.fails(1, &file, &["file is a file"]);
}

#[test]
fn what_an_earlier_run_kept_is_told() {
    let place = place();
    let convert = |input: &str, policy: &str| {
        let flags = [
            "convert",
            input,
            "--to",
            "out",
            "--overwrite",
            "--on-bad-record",
            policy,
        ];
        place.run(&flags).ok().err
    };
    let said = convert("bad.json", "quarantine");
    assert!(
        said.contains("bad records and their places are in out.bad\n"),
        "{said}"
    );
    let said = convert("bad.json", "quarantine");
    assert!(
        said.contains("in out.bad, in the place of those of an earlier run"),
        "{said}"
    );
    // left where nobody keeps any, and said to be old
    for (input, policy) in [("bad.json", "skip"), ("a.json", "fail")] {
        let said = convert(input, policy);
        assert!(
            said.contains("note: out.bad is of an earlier run"),
            "{said}"
        );
        assert!(place.path("out.bad").exists());
    }
    let said = convert("a.json", "quarantine");
    assert!(said.contains("removed out.bad"), "{said}");
    assert!(!place.path("out.bad").exists());
    let said = convert("a.json", "quarantine");
    assert!(!said.contains("out.bad"), "{said}");
}
