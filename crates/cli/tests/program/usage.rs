//! The command line: mistakes end with 2 or name what they are about, in words that a terminal shows.

use crate::common::Folder;

#[test]
fn mistakes_on_the_command_line_end_with_2() {
    let place = Folder::new();
    place.records("a.json", 2);
    let usage: [&[&str]; 7] = [
        &["convert"],
        &["convert", "a.json"],
        &["convert", "a.json", "--to", "out", "--memory", "lots"],
        &["convert", "a.json", "--to", "out", "--threads", "0"],
        &["convert", "a.json", "--to", "out", "--format", "xml"],
        &["convert", "a.json", "b.csv", "--to", "out"],
        &["frobnicate"],
    ];
    for arguments in usage {
        place.fails(2, arguments, &["error"]);
    }
    assert_eq!(
        place.run(&["--version"]).ok().out.split(' ').next(),
        Some("flagstone")
    );
    assert!(
        place
            .run(&["convert", "--help"])
            .ok()
            .out
            .contains("--on-bad-record")
    );
}

#[test]
fn a_column_or_condition_that_does_not_exist_is_named() {
    let place = Folder::new();
    place.records("a.json", 5);
    let to = ["convert", "a.json", "--to", "out"];
    place.fails(1, &[&to[..], &["--select", "id, nome"]].concat(), &["nome"]);
    place.fails(
        1,
        &[&to[..], &["--select", "id, name AS id"]].concat(),
        &["id"],
    );
    place.fails(
        1,
        &[&to[..], &["--where", "nome = 'x'"]].concat(),
        &["nome"],
    );
    place.fails(2, &[&to[..], &["--where", "name ="]].concat(), &["name ="]);
}

#[test]
fn mistakes_in_sql_name_the_flag_and_its_text_in_one_line() {
    let place = Folder::new();
    place.write("a.json", "{\"a\":1,\"s\":\"x\"}\n{\"a\":0,\"s\":\"y\"}\n");
    for (code, flag, text, word) in [
        (2, "--select", "count(a)", "aggregate"),
        (2, "--where", "sum(a) > 0", "aggregate"),
        (2, "--where", "row_number() over () > 1", "window"),
        (2, "--where", "a in (select 1)", "subquery"),
        (2, "--select", "(select 1) as one", "subquery"),
        (2, "--select", "a; s", "not expected"),
        (1, "--where", "a = 'x'", "cannot cast"),
        (1, "--where", "a", "non-boolean"),
        (1, "--where", "upper(s, 2) = 'X'", "'upper' expects 1"),
        (
            1,
            "--select",
            "b",
            "no field named b; valid fields are a, s",
        ),
    ] {
        let ran = place.fails(
            code,
            &["convert", "a.json", "--to", "out", flag, text],
            &[flag, text, word],
        );
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert!(!ran.err.contains("made at"), "{}", ran.err);
    }
    // known only when the rows are there
    let divided = ["convert", "a.json", "--to", "out", "--where", "1 / a > 0"];
    place.fails(1, &divided, &["divide by zero", "1 / a > 0"]);
}

#[test]
fn messages_begin_with_what_the_user_knows_and_name_flags() {
    let place = Folder::new();
    place.write("a.csv", "id,name\n1,x\n2,y,z\n");
    let ran = place.fails(
        1,
        &["convert", "a.csv", "--to", "out"],
        &["--on-bad-record skip"],
    );
    assert!(
        ran.err.starts_with("error: a.csv:3:1: the record has 3"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.trim_end().ends_with("])"),
        "the task comes last: {}",
        ran.err
    );
    place.write("q.csv", "id,name\n1,x\n2,\"y\n3,z\n");
    let quoted = ["convert", "q.csv", "--to", "out", "--on-bad-record", "skip"];
    let ran = place.fails(1, &quoted, &["--quote none", "1 line further down"]);
    assert!(
        ran.err.starts_with("error: q.csv:3:1: a quote"),
        "{}",
        ran.err
    );
}

#[test]
fn what_a_terminal_obeys_is_shown_not_sent() {
    let place = Folder::new();
    let name = "evil\u{1b}[31m.csv";
    place.write(name, "a\u{1b}[2J,b\n1,2\n3\n");
    let ran = place.fails(
        1,
        &["convert", name, "--to", "out"],
        &["evil\\u{1b}[31m.csv:3:1"],
    );
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
    let ran = place.run(&["inspect", name]).ok();
    assert!(ran.out.contains("a\\u{1b}[2J: Int64"), "{:?}", ran.out);
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'));
    place.write("two.csv", "\"a\nb\",c\n1,2\n");
    let ran = place.run(&["inspect", "two.csv"]).ok();
    assert!(ran.out.contains("a\\nb: Int64"), "{:?}", ran.out);
}

#[test]
fn a_list_of_columns_in_which_one_is_missing_is_refused() {
    let place = Folder::new();
    place.write("a.csv", "id,name\n1,x\n");
    let convert = ["convert", "a.csv", "--to", "out"];
    for (list, word) in [
        ("id,", "behind its last comma"),
        ("id,,name", "behind one of its commas"),
        ("", "names no column"),
    ] {
        let flags = ["--select", list];
        place.fails(2, &[&convert[..], &flags].concat(), &["--select", word]);
    }
    for (names, word) in [
        ("a,", "the name of column 2 is empty"),
        ("a,a", "\"a\" is the name of two columns"),
    ] {
        place.fails(1, &[&convert[..], &["--names", names]].concat(), &[word]);
    }
    let types = ["--types", "id=text,id=bigint"];
    place.fails(
        1,
        &[&convert[..], &types].concat(),
        &["\"id\" is given a type twice"],
    );
}
