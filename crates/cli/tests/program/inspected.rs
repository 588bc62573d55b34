//! What files and directories are shown to hold.

use std::fs;

use crate::common::{Folder, npy, records};

#[test]
fn a_directory_is_inspected_as_what_it_holds() {
    let place = Folder::new();
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
fn a_directory_with_brackets_in_its_name_is_advised_rightly() {
    let place = Folder::new();
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
    let place = Folder::new();
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
fn what_is_written_in_every_format_is_known_again() {
    let place = Folder::new();
    place.records("a.json", 1000);
    let columns = ["--select", "id, name"];
    for (to, format) in [
        ("x.arrow", "arrow"),
        ("x.feather", "arrow"),
        ("arrows", "arrow"),
        ("x.csv.zst", "csv"),
        ("csvs", "csv"),
        ("x.tsv", "csv"),
        ("jsons", "json"),
        ("x.ndjson", "json"),
        ("x.parquet", "parquet"),
        ("parquets", "parquet"),
    ] {
        let convert = ["convert", "a.json", "--to", to, "--format", format];
        place.run(&[&convert[..], &columns].concat()).ok();
        let shown = place.run(&["inspect", to]).ok().out;
        for line in ["id: Int64", "name: Utf8"] {
            assert!(shown.contains(line), "{to}: {shown}");
        }
        if format == "arrow" {
            let head = "Arrow: 1 file, 1 batch, 1000 rows, ";
            assert!(
                shown.starts_with(head) && shown.contains("codecs    none"),
                "{shown}"
            );
        }
    }
    let packed = [
        "--to",
        "packed",
        "--format",
        "arrow",
        "--compression",
        "zstd",
    ];
    place
        .run(&[&["convert", "a.json"][..], &packed].concat())
        .ok();
    // a name that says nothing is looked into
    fs::copy(place.path("packed/part-00000.arrow"), place.path("other")).unwrap();
    for file in ["packed", "packed/*.arrow", "other"] {
        let shown = place.run(&["inspect", file]).ok().out;
        assert!(
            shown.contains("1000 rows") && shown.contains("codecs    zstd"),
            "{shown}"
        );
        assert!(
            shown.contains("at: struct") && shown.contains("x: Float64"),
            "{shown}"
        );
    }
    npy(&place.path("matrix"), &[3, 4]);
    assert!(
        place
            .run(&["inspect", "matrix"])
            .ok()
            .out
            .contains("[3, 4]")
    );
    // what is not read is called what it is
    for (file, what) in [
        ("other", "an Arrow IPC file"),
        ("x.arrow", "an Arrow IPC file"),
        ("matrix", "an npy file"),
    ] {
        place.fails(1, &["convert", file, "--to", "y"], &[file, what]);
    }
    let full = ["inspect", "other", "--full"];
    place.fails(
        2,
        &full,
        &["--full reads the rows of JSON", "other is Arrow"],
    );
    place.fails(2, &["inspect", "matrix", "--full"], &["matrix is npy"]);
}

#[test]
fn a_damaged_arrow_file_is_named() {
    let place = Folder::new();
    place.records("a.json", 100);
    place.run(&["convert", "a.json", "--to", "x.arrow"]).ok();
    let whole = fs::read(place.path("x.arrow")).unwrap();
    let footer = whole.len() - 10;
    place.write("cut.arrow", &whole[..footer]);
    place.fails(
        1,
        &["inspect", "cut.arrow"],
        &["cut.arrow", "does not end as Arrow files do"],
    );
    place.write("text.arrow", records(3));
    place.fails(
        1,
        &["inspect", "text.arrow"],
        &["text.arrow", "does not end as Arrow files do"],
    );
    let mut long = whole.clone();
    long[footer..footer + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    place.write("long.arrow", &long);
    place.fails(1, &["inspect", "long.arrow"], &["long.arrow"]);
    // whatever stands in the footer: no panic that says nothing, and the file has its name
    for at in (whole.len() - 400..footer).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        place.write("bad.arrow", &bytes);
        let ran = place.run(&["inspect", "bad.arrow"]);
        match ran.code {
            Some(0) => assert!(ran.out.starts_with("Arrow: 1 file")),
            _ => drop(ran.failed(1, &["bad.arrow"])),
        }
    }
}

#[test]
fn the_budget_that_looking_at_all_needs_is_named_at_once() {
    let place = Folder::new();
    let names: Vec<String> = (0..300).map(|i| format!("column_{i}")).collect();
    let row = vec!["1.5"; 300].join(",");
    place.write("wide.csv", format!("{}\n{row}\n{row}\n", names.join(",")));
    place.records("a.json", 1000);
    place
        .run(&["convert", "wide.csv", "--to", "wide.parquet"])
        .ok();
    place.run(&["convert", "a.json", "--to", "many"]).ok();
    for file in ["wide.csv", "wide.parquet", "a.json", "many"] {
        let full = |memory: &str| place.run(&["inspect", file, "--full", "--memory", memory]);
        let refused = full("1MiB");
        assert_eq!(
            refused.out, "",
            "{file}: nothing is shown before all of it works"
        );
        let refused = refused.failed(1, &["the smallest budget that works is"]);
        let named = crate::budget::named_budget(&refused.err).to_string();
        let ran = full(&named).ok();
        assert!(ran.out.contains("all "), "{file} at {named}: {}", ran.out);
    }
}
