//! Bad input: the message names the file and the line, and no file remains.

use std::fs;

use crate::common::{Place, gzip, npy, records};

#[test]
fn a_truncated_gzip_is_named() {
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
    place.write("a.csv", "id,name\n1,x\n2,y,z\n");
    place.fails(1, &["convert", "a.csv", "--to", "out"], &["a.csv:3"]);
}

#[test]
fn missing_and_unreadable_input_is_named() {
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
fn the_flags_of_csv_say_what_the_file_does_not() {
    let place = Place::new();
    place.write("a.txt", "1;'it\\'s; here';NA\n2;'x';7\n");
    let convert = [
        "convert",
        "a.txt",
        "--from",
        "csv",
        "--no-header",
        "--names",
        "id,text,n",
        "--quote",
        "'",
        "--escape",
        "\\",
        "--delimiter",
        ";",
        "--null",
        "NA",
        "--format",
        "json",
        "--to",
    ];
    place.run(&[&convert[..], &["out"]].concat()).ok();
    assert_eq!(
        fs::read_to_string(place.path("out/part-00000.json")).unwrap(),
        "{\"id\":1,\"text\":\"it's; here\"}\n{\"id\":2,\"text\":\"x\",\"n\":7}\n"
    );
    place.records("a.json", 3);
    let usage: [&[&str]; 5] = [
        &["a.json", "--no-header"],
        &["a.json", "--delimiter", ";"],
        &["a.txt", "--from", "csv", "--delimiter", "ab"],
        &["a.json", "--format", "csv", "--compression", "snappy"],
        &["a.json", "--quote", "\u{e9}"],
    ];
    for flags in usage {
        place.fails(
            2,
            &[&["convert", "--to", "x"][..], flags].concat(),
            &["error"],
        );
    }
    let same = [
        "convert", "a.txt", "--from", "csv", "--quote", ",", "--to", "x",
    ];
    place.fails(1, &same, &["delimiter"]);
}

#[test]
fn every_format_is_written_and_explained() {
    let place = Place::new();
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
    let place = Place::new();
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
fn mistakes_on_the_command_line_end_with_2() {
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
fn a_table_with_the_wrong_delimiter_is_told_and_can_be_inspected() {
    let place = Place::new();
    place.write("a.csv", "id|name\n1|x\n");
    let hint = "--delimiter '|'";
    let ran = place.run(&["convert", "a.csv", "--to", "out"]).ok();
    assert!(ran.err.contains(hint), "{}", ran.err);
    let ran = place.run(&["inspect", "a.csv"]).ok();
    assert!(ran.err.contains(hint), "{}", ran.err);
    // what is said is not looked for: one column then, and a warning
    let ran = place.run(&["inspect", "a.csv", "--delimiter", ","]).ok();
    assert!(
        ran.err.contains("there is one column") && ran.err.contains(hint),
        "{}",
        ran.err
    );
    let ran = place.run(&["inspect", "a.csv", "--delimiter", "|"]).ok();
    assert!(ran.out.contains("id: Int64"), "{}", ran.out);
    assert_eq!(ran.err, "");
    // a name that says nothing: the error tells of --from, which is there
    place.write("noise", "1;2\n");
    place.fails(2, &["inspect", "noise"], &["--from"]);
    let flags = ["--from", "csv", "--delimiter", ";", "--no-header"];
    let ran = place
        .run(&[&["inspect", "noise"], &flags[..]].concat())
        .ok();
    assert!(ran.out.contains("column_2: Int64"), "{}", ran.out);
    place.records("a.json", 1);
    place.fails(2, &["inspect", "a.json", "--null", "x"], &["--null"]);
}

#[test]
fn types_comments_and_lines_before_are_said_by_flags() {
    let place = Place::new();
    place.write(
        "a.txt",
        "by hand\n# one\nid ; day; price\n01; 2006-01-31 ;1.50\n",
    );
    let flags = [
        "inspect",
        "a.txt",
        "--from",
        "csv",
        "--skip-lines",
        "1",
        "--comment",
        "#",
        "--trim",
        "--types",
        "id=text,price=decimal(10,2)",
    ];
    let ran = place.run(&flags).ok();
    for line in ["id: Utf8", "day: Date32", "price: Decimal128(10, 2)"] {
        assert!(ran.out.contains(line), "{}", ran.out);
    }
    assert!(ran.err.contains("separated by ';'"), "{}", ran.err);
    let wrong = ["inspect", "a.txt", "--from", "csv", "--types", "id=blob"];
    place.fails(2, &wrong, &["there is no type", "decimal(p,s)"]);
    place.records("a.json", 3);
    place.fails(2, &["inspect", "a.json", "--trim"], &["--trim"]);
}

#[test]
fn text_that_is_not_as_it_is_said_to_be_is_told() {
    let place = Place::new();
    place.write("cr.csv", "a,b\r1,2\r3,4\r");
    let ran = place
        .run(&["convert", "cr.csv", "--to", "cr", "--format", "csv"])
        .ok();
    let csv = fs::read_to_string(place.path("cr/part-00000.csv")).unwrap();
    assert_eq!(csv, "a,b\n1,2\n3,4\n");
    assert!(
        ran.err.contains("note: lines end with carriage returns"),
        "{}",
        ran.err
    );
    place.write("latin.csv", b"caf\xe9,n\n1,2\n");
    place.fails(
        1,
        &["convert", "latin.csv", "--to", "x"],
        &["latin.csv:1:4", "UTF-8", "--encoding latin1"],
    );
    let named = [
        "convert",
        "latin.csv",
        "--encoding",
        "latin1",
        "--format",
        "csv",
        "--to",
        "l",
    ];
    place.run(&named).ok();
    assert_eq!(
        fs::read_to_string(place.path("l/part-00000.csv")).unwrap(),
        "caf\u{e9},n\n1,2\n"
    );
    place.write("zip.csv", b"PK\x03\x04\x14\0\0\0\x08\0");
    place.fails(
        1,
        &["convert", "zip.csv", "--to", "x"],
        &["zip.csv is a zip archive"],
    );
    place.write("c.csv", "c,c,c,c_2\n1,2,3,4\n");
    let flags = [
        "convert", "c.csv", "--select", "c_2", "--to", "c", "--format", "csv",
    ];
    let ran = place.run(&flags).ok();
    assert_eq!(
        fs::read_to_string(place.path("c/part-00000.csv")).unwrap(),
        "c_2\n4\n"
    );
    assert!(ran.err.contains("is called \"c_3\""), "{}", ran.err);
    let names = ["convert", "c.csv", "--names", "a,b", "--to", "x"];
    place.fails(1, &names, &["2 names for 4 columns"]);
    let volatile = ["convert", "c.csv", "--where", "c < random()", "--to", "x"];
    place.fails(2, &volatile, &["--where", "random", "another value"]);
    let text = ["convert", "c.csv", "--where", "c = ann", "--to", "x"];
    place.fails(1, &text, &["quote it: 'ann'"]);
}

#[test]
fn what_was_found_is_said() {
    let place = Place::new();
    place.write("comma.json", "{\"a\":3,}\n");
    let convert = |input| ["convert", input, "--to", "out"];
    place.fails(
        1,
        &convert("comma.json"),
        &["comma.json:1:8", "brace follows the comma"],
    );
    place.fails(2, &convert(""), &["empty"]);
    place.fails(
        2,
        &["matmul", "", "", "--to", "c.npy"],
        &["none was supplied"],
    );
    place.write("wide.csv", b"\xff\xfea\0,\0b\0\n\0");
    place.fails(1, &convert("wide.csv"), &["wide.csv", "UTF-16"]);
    place.write("wide.json", b"\xfe\xff\0{\0}\0\n");
    place.fails(1, &convert("wide.json"), &["wide.json", "UTF-16"]);
    place.fails(1, &["inspect", "wide.json"], &["wide.json", "UTF-16"]);
    std::os::unix::fs::symlink("gone/there", place.path("link")).unwrap();
    place.records("a.json", 100);
    place.fails(
        1,
        &["convert", "a.json", "--to", "link"],
        &["link to something"],
    );
}

#[test]
fn a_damaged_column_of_parquet_is_named() {
    let place = Place::new();
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
    let place = Place::new();
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

#[test]
fn matrices_that_do_not_fit_together_are_refused() {
    let place = Place::new();
    crate::common::matrix(&place.path("a.npy"), 8, 0);
    crate::common::matrix(&place.path("b.npy"), 9, 0);
    place.fails(
        1,
        &["matmul", "a.npy", "b.npy", "--to", "c.npy"],
        &["8", "9"],
    );
    // cut in its data
    let bytes = fs::read(place.path("a.npy")).unwrap();
    place.write("cut.npy", &bytes[..bytes.len() - 100]);
    place.fails(1, &["inspect", "cut.npy"], &["cut.npy", "truncated"]);
    let mut impossible = bytes;
    let at = impossible
        .windows(6)
        .position(|text| text == b"(8, 8)")
        .unwrap();
    impossible.splice(at..at + 42, *b"(9999999999999, 9999999999999)}           ");
    place.write("impossible.npy", impossible);
    place.fails(
        1,
        &["inspect", "impossible.npy"],
        &["impossible.npy", "2^64"],
    );
    place.fails(
        1,
        &["matmul", "cut.npy", "cut.npy", "--to", "c.npy"],
        &["cut.npy"],
    );
}

#[test]
fn vectors_are_multiplied_and_a_missing_transpose_is_suggested() {
    let place = Place::new();
    npy(&place.path("v.npy"), &[4]);
    npy(&place.path("a.npy"), &[4, 3]);
    npy(&place.path("b.npy"), &[4, 5]);
    let product = |a, b| place.run(&["matmul", a, b, "--to", "c.npy", "--overwrite"]);
    assert!(product("v.npy", "v.npy").ok().err.contains("one number"));
    let bytes = fs::read(place.path("c.npy")).unwrap();
    let value = f64::from_le_bytes(bytes[bytes.len() - 8..].try_into().unwrap());
    assert_eq!(value, 14.0); // 0 + 1 + 4 + 9
    assert!(product("v.npy", "a.npy").ok().err.contains("3 numbers"));
    let words = [
        "a.npy (4 x 3)",
        "b.npy (4 x 5)",
        "they do with --transpose-a",
    ];
    product("a.npy", "b.npy").failed(1, &words);
    let explain = ["explain", "matmul", "a.npy", "b.npy", "--to", "d.npy"];
    place.fails(1, &explain, &words);
    let missing = place.fails(
        1,
        &["matmul", "gone.npy", "v.npy", "--to", "d.npy"],
        &["gone.npy"],
    );
    assert!(!missing.err.contains("os error"), "{}", missing.err);
    let missing = place.fails(1, &["inspect", "gone.npy"], &["gone.npy", "no such file"]);
    assert!(!missing.err.contains("os error"), "{}", missing.err);
}

#[test]
fn a_product_never_replaces_its_operand() {
    let place = Place::new();
    crate::common::matrix(&place.path("a.npy"), 8, 1);
    let before = std::fs::read(place.path("a.npy")).unwrap();
    place.fails(
        1,
        &["matmul", "a.npy", "a.npy", "--to", "./a.npy", "--overwrite"],
        &["would replace its own input"],
    );
    assert_eq!(std::fs::read(place.path("a.npy")).unwrap(), before);
}

#[test]
fn a_matrix_of_f32_times_one_of_f64_is_of_f64() {
    let place = Place::new();
    npy(&place.path("a.npy"), &[3, 4]);
    npy(&place.path("b.npy"), &[4, 3]);
    // the same numbers, of four bytes
    let wide = fs::read(place.path("a.npy")).unwrap();
    let (header, data) = wide.split_at(wide.len() - 12 * 8);
    let header = String::from_utf8_lossy(header).replace("<f8", "<f4");
    let mut narrow: Vec<u8> = wide[..10].to_vec();
    narrow.extend_from_slice(&header.as_bytes()[header.find('{').unwrap()..]);
    for value in data.chunks_exact(8) {
        let value = f64::from_le_bytes(value.try_into().unwrap()) as f32;
        narrow.extend_from_slice(&value.to_le_bytes());
    }
    fs::write(place.path("n.npy"), narrow).unwrap();
    let product = |a, to| place.run(&["matmul", a, "b.npy", "--to", to]).ok();
    product("a.npy", "c.npy");
    product("n.npy", "d.npy");
    let read = |name| fs::read(place.path(name)).unwrap();
    assert_eq!(read("c.npy"), read("d.npy"));
    let same = place.run(&["matmul", "n.npy", "n.npy", "--to", "e.npy", "--transpose-b"]);
    same.ok();
    assert!(String::from_utf8_lossy(&read("e.npy")).contains("<f4"));
}

#[test]
fn a_directory_is_inspected_as_what_it_holds() {
    let place = Place::new();
    for directory in ["in", "mixed", "empty"] {
        fs::create_dir(place.path(directory)).unwrap();
    }
    place.records("in/a.json", 3);
    place.records("in/b.json", 3);
    let shown = place.run(&["inspect", "in"]).ok().out;
    assert!(
        shown.contains("in: 2 files") && shown.contains("id"),
        "{shown}"
    );
    // names as other programs write them, through links, with others beside them
    place.run(&["convert", "in/*.json", "--to", "out"]).ok();
    fs::create_dir(place.path("spark")).unwrap();
    let part = fs::read_dir(place.path("out")).unwrap().next().unwrap();
    let part = part.unwrap().path();
    fs::copy(&part, place.path("spark/part-0.c000.snappy.parquet")).unwrap();
    std::os::unix::fs::symlink(&part, place.path("spark/part.1.parquet")).unwrap();
    place.write("spark/README.md", "of another program");
    place.write("spark/_SUCCESS", "");
    assert_eq!(place.rows("spark"), 12);
    place.records("mixed/a.json", 3);
    place.write("mixed/b.csv", "a,b\n1,2\n");
    let words = [
        "mixed",
        "1 file of Csv",
        "1 file of Json",
        "several formats",
    ];
    place.fails(1, &["inspect", "mixed"], &words);
    place.fails(1, &["inspect", "empty"], &["empty", "holds no files"]);
}

#[test]
fn messages_begin_with_what_the_user_knows_and_name_flags() {
    let place = Place::new();
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
    let place = Place::new();
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
fn a_directory_with_brackets_in_its_name_is_advised_rightly() {
    let place = Place::new();
    fs::create_dir(place.path("data[1]")).unwrap();
    place.write("data[1]/a.json", "{\"a\":1}\n");
    place.write("data[1]/b.csv", "a\n1\n");
    let ran = place.fails(1, &["inspect", "data[1]"], &["data[[]1[]]/*.json"]);
    let advised = ran.err.split('\'').nth(1).unwrap().to_owned();
    place.run(&["inspect", &advised]).ok();
    let read = ["convert", "data[1]", "--from", "json", "--to", "out"];
    place.fails(1, &read, &["data[[]1[]]/*"]);
}

#[test]
fn all_of_a_file_is_looked_at_when_asked_for() {
    let place = Place::new();
    let rows: String = (0..1000)
        .map(|i| format!("{i},n{},2006-01-{:02}\n", i % 7, i % 28 + 1))
        .collect();
    place.write("a.csv", format!("id,name,day\n{rows},,\n"));
    let ran = place.run(&["inspect", "a.csv", "--full"]).ok();
    for line in [
        "all 1001 rows:",
        "id: Int64, 1 null, 0 to 999",
        "name: Utf8, 1 null, n0 to n6",
        "day: Date32, 1 null, 2006-01-01 to 2006-01-28",
    ] {
        assert!(ran.out.contains(line), "{}", ran.out);
    }
    place.run(&["convert", "a.csv", "--to", "out"]).ok();
    let ran = place
        .run(&["inspect", "out", "--full", "--memory", "256MiB"])
        .ok();
    assert!(
        ran.out.contains("id: Int64, 1 null, 0 to 999"),
        "{}",
        ran.out
    );
    // the heads of files are looked at within the budget, too
    place.run(&["inspect", "a.csv", "--memory", "64MiB"]).ok();
}

#[test]
fn text_of_two_bytes_a_character_is_refused_with_what_to_do() {
    let place = Place::new();
    let text = "id,name\n1,caf\u{e9}\n";
    let wide = |to_bytes: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter()
            .chain(text.encode_utf16())
            .flat_map(to_bytes)
            .collect()
    };
    place.write("marked.csv", wide(u16::to_le_bytes, true));
    place.write("little.csv", wide(u16::to_le_bytes, false));
    place.write("big.csv", wide(u16::to_be_bytes, false));
    for (file, more, advice) in [
        ("marked.csv", &[][..], "iconv -f UTF-16 -t UTF-8"),
        ("little.csv", &[], "iconv -f UTF-16LE -t UTF-8"),
        ("big.csv", &[], "iconv -f UTF-16BE -t UTF-8"),
        (
            "little.csv",
            &["--encoding", "utf-16le"],
            "iconv -f UTF-16LE -t UTF-8",
        ),
        (
            "big.csv",
            &["--encoding", "utf-16be"],
            "iconv -f UTF-16BE -t UTF-8",
        ),
        (
            "big.csv",
            &["--encoding", "shift_jis"],
            "iconv -f Shift_JIS -t UTF-8",
        ),
    ] {
        let convert = [&["convert", file, "--to", "out"], more].concat();
        place.fails(1, &convert, &[advice]);
    }
}
