//! Delimited text: what flags say of it, what is found, and what is told.

use std::fs;

use crate::common::Folder;

#[test]
fn the_flags_of_csv_say_what_the_file_does_not() {
    let place = Folder::new();
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
fn a_table_with_the_wrong_delimiter_is_told_and_can_be_inspected() {
    let place = Folder::new();
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
    let place = Folder::new();
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
    let place = Folder::new();
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
    let place = Folder::new();
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
fn text_of_two_bytes_a_character_is_refused_with_what_to_do() {
    let place = Folder::new();
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
