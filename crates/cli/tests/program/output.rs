//! Outputs appear whole or not at all, and never replace what is there unasked.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Folder, finish, matrix};

#[test]
fn an_existing_output_is_kept_unless_told_otherwise() {
    let place = Folder::new();
    place.records("a.json", 10);
    place.records("b.json", 20);
    place.run(&["convert", "a.json", "--to", "out"]).ok();
    place.fails(
        1,
        &["convert", "b.json", "--to", "out"],
        &["out", "--overwrite"],
    );
    assert_eq!(place.rows("out"), 10);
    place
        .run(&["convert", "b.json", "--to", "out", "--overwrite"])
        .ok();
    assert_eq!(place.rows("out"), 20);
    assert_eq!(place.names(), ["a.json", "b.json", "out"]);
    // a run that fails leaves the old output
    place.write("bad.json", "{\"id\":1}\n{\n");
    place.fails(
        1,
        &["convert", "bad.json", "--to", "out", "--overwrite"],
        &["bad.json:2"],
    );
    assert_eq!(place.rows("out"), 20);
}

#[test]
fn only_what_an_earlier_output_wrote_is_overwritten() {
    let place = Folder::new();
    place.records("a.json", 10);
    fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/keep.txt", "mine");
    let convert = ["convert", "a.json", "--to", "mine", "--overwrite"];
    place.fails(1, &convert, &["keep.txt", "choose another name"]);
    assert_eq!(fs::read(place.path("mine/keep.txt")).unwrap(), b"mine");
    // nor the files that are being read
    fs::create_dir(place.path("in")).unwrap();
    place.records("in/part-0.json", 10);
    let own = ["convert", "in/*.json", "--to", "in", "--overwrite"];
    place.fails(1, &own, &["its own input", "in/part-0.json"]);
    assert!(place.path("in/part-0.json").exists());
}

#[test]
fn generated_files_appear_whole_or_not_at_all() {
    let place = Folder::new();
    let generate = ["generate", "logs", "--size", "100KiB", "--to", "logs"];
    let out = place.run(&generate).ok().out;
    assert!(out.lines().all(|line| place.path(line).is_file()), "{out}");
    place.fails(1, &generate, &["logs", "exists already"]);
    let mut child = place.start(&["generate", "matrix", "--size", "2GiB", "--to", "m"]);
    let partial = place.path(&format!(".m.partial-{}", child.id()));
    while !partial.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // SAFETY: sends a signal to a child that was not waited for, so the id is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    finish(child).failed(143, &["terminated"]);
    assert_eq!(place.names(), ["logs"]);
}

#[test]
fn an_existing_matrix_is_kept_unless_told_otherwise() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 20, 0);
    place.write("c.npy", "mine");
    let product = ["matmul", "a.npy", "a.npy", "--to", "c.npy"];
    place.fails(1, &product, &["c.npy", "--overwrite"]);
    assert_eq!(fs::read(place.path("c.npy")).unwrap(), b"mine");
    place.run(&[&product[..], &["--overwrite"]].concat()).ok();
    assert_eq!(fs::read(place.path("c.npy")).unwrap().len(), 128 + 8 * 400);
    assert_eq!(place.names(), ["a.npy", "c.npy"]);
}

#[test]
fn the_unfinished_output_stays_when_asked_for() {
    let place = Folder::new();
    place.records("a.json", 5000);
    place.write("b.json", "oops\n");
    let arguments = [
        "convert",
        "a.json",
        "b.json",
        "--to",
        "out",
        "--keep-partial",
    ];
    place.run(&arguments).failed(1, &["b.json:1"]);
    let names = place.names();
    assert!(names[0].starts_with(".out.partial-"), "{names:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let place = Folder::new();
    place.records("a.json", 10);
    place.write("file", "");
    place.fails(1, &["convert", "a.json", "--to", "file/out"], &["file"]);
    place.fails(
        1,
        &["convert", "a.json", "--to", "gone/deep/out"],
        &["gone/deep"],
    );
    let locked = place.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user can write everywhere");
        return;
    }
    place.fails(
        1,
        &["convert", "a.json", "--to", "locked/out"],
        &["locked/out", "denied"],
    );
}

#[test]
fn products_of_zarr_arrays_have_the_bits_of_those_of_npy_files() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 300, 1);
    matrix(&place.path("b.npy"), 300, 2);
    let product = |a: &str, b: &str, to: &str| {
        let arguments = [
            "matmul",
            a,
            b,
            "--transpose-a",
            "--memory",
            "64MiB",
            "--to",
            to,
        ];
        place.run(&arguments).ok();
    };
    product("a.npy", "b.npy", "c.npy");
    product("a.npy", "b.npy", "c.zarr");
    let shown = place.run(&["inspect", "c.zarr"]).ok().out;
    for words in [
        "Zarr v3",
        "f64",
        "[300, 300]",
        "zstd",
        "703 KiB uncompressed",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    product("c.zarr", "b.npy", "d.npy");
    product("c.npy", "b.npy", "e.npy");
    let read = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert_eq!(read("d.npy"), read("e.npy"));
    let words = ["c.zarr", "exists", "--overwrite"];
    place.fails(1, &["matmul", "a.npy", "b.npy", "--to", "c.zarr"], &words);
    place
        .run(&["explain", "matmul", "c.zarr", "b.npy", "--to", "f.zarr"])
        .ok();
    place
        .run(&["matmul", "a.npy", "a.npy", "--overwrite", "--to", "c.zarr"])
        .ok();
    // nothing that is no Zarr array is replaced
    std::fs::create_dir(place.path("mine.zarr")).unwrap();
    std::fs::write(place.path("mine.zarr").join("notes.txt"), "mine").unwrap();
    let arguments = [
        "matmul",
        "a.npy",
        "b.npy",
        "--overwrite",
        "--to",
        "mine.zarr",
    ];
    place.fails(1, &arguments, &["mine.zarr"]);
}

/// The rows of files of any format.
#[track_caller]
fn counted(place: &Folder, name: &str) -> u64 {
    let name = match place.path(name).is_dir() {
        true => format!("{name}/*"),
        false => name.to_owned(),
    };
    let words = ["convert", &name, "--to", "counted"];
    place.run(&words).ok();
    let rows = place.rows("counted");
    fs::remove_dir_all(place.path("counted")).unwrap();
    rows
}

#[test]
fn a_result_of_one_file_is_a_file_where_the_output_is_called_one() {
    let place = Folder::new();
    place.records("a.json", 10);
    let convert = |arguments: &[&str]| {
        place
            .run(
                &[
                    &["convert", "a.json", "--select", "id, name", "--to"],
                    arguments,
                ]
                .concat(),
            )
            .ok()
    };
    // the extension says the format, as long as nobody else does
    for name in [
        "x.parquet",
        "x.csv",
        "x.json",
        "x.jsonl",
        "x.ndjson",
        "x.csv.zst",
        "x.json.zst",
    ] {
        let ran = convert(&[name]);
        assert!(ran.err.contains("10 rows in 1 file"), "{}", ran.err);
        assert!(place.path(name).is_file(), "{name}");
        assert_eq!(counted(&place, name), 10, "{name}");
    }
    convert(&["x.arrow"]);
    let arrow = fs::read(place.path("x.arrow")).unwrap();
    assert!(arrow.starts_with(b"ARROW1"));
    let text = fs::read_to_string(place.path("x.csv")).unwrap();
    assert!(text.starts_with("id,name\n0,n0\n1,n1\n"), "{text}");
    // any other name is a directory's, and so is one with a slash behind it
    convert(&["out"]);
    convert(&["y.parquet/"]);
    convert(&["z.csv", "--format", "parquet"]);
    fs::create_dir(place.path("made.parquet")).unwrap();
    convert(&["made.parquet"]);
    for name in ["out", "y.parquet", "z.csv", "made.parquet"] {
        let part = place.path(&format!("{name}/part-00000.parquet"));
        assert!(part.is_file(), "{name}");
    }
    let same = fs::read(place.path("x.parquet")).unwrap();
    assert_eq!(
        fs::read(place.path("out/part-00000.parquet")).unwrap(),
        same
    );
    assert!(place.names().iter().all(|name| !name.starts_with('.')));
    let explained = place.run(&["explain", "convert", "a.json", "--to", "new.parquet"]);
    assert!(explained.ok().out.contains("where that is one file"));
}

#[test]
fn a_result_of_several_files_is_a_directory_whatever_it_is_called() {
    let place = Folder::new();
    place.records("few.json", 10);
    place.records("many.json", 40_000);
    let convert = |from, more: &[&str]| {
        let arguments = [
            "convert",
            from,
            "--to",
            "x.json",
            "--partition-bytes",
            "64KiB",
        ];
        place.run(&[&arguments[..], more].concat())
    };
    let ran = convert("many.json", &[]).ok();
    assert!(ran.err.contains("x.json (a directory)"), "{}", ran.err);
    assert!(place.path("x.json/part-00001.json").is_file());
    // several files replace one, and only when they are told to
    let before = place.names();
    convert("few.json", &[]).failed(1, &["x.json", "--overwrite"]);
    let explain = ["explain", "convert", "few.json", "--to", "x.json"];
    place.fails(1, &explain, &["x.json", "--overwrite"]);
    assert!(place.path("x.json").is_dir());
    // who reads a directory goes on to find one
    let ran = convert("few.json", &["--overwrite"]).ok();
    assert!(
        ran.err.contains("x.json (a directory): part-00000.json\n"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("\nreplaced: a directory of "),
        "{}",
        ran.err
    );
    assert!(place.path("x.json/part-00000.json").is_file());
    assert_eq!(counted(&place, "x.json"), 10);
    fs::remove_dir_all(place.path("x.json")).unwrap();
    convert("few.json", &[]).ok();
    assert!(place.path("x.json").is_file());
    convert("many.json", &[]).failed(1, &["x.json", "--overwrite"]);
    assert_eq!(counted(&place, "x.json"), 10);
    let ran = convert("many.json", &["--overwrite"]).ok();
    assert!(ran.err.contains("\nreplaced: a file of "), "{}", ran.err);
    assert!(place.path("x.json/part-00001.json").is_file());
    assert_eq!(counted(&place, "x.json"), 40_000);
    assert_eq!(place.names(), before);
    // a failed run leaves what was there, and nothing of its own
    place.write("bad.json", "{\"id\":1}\n{\n");
    let bad = ["convert", "bad.json", "--to", "few.json", "--overwrite"];
    place.fails(1, &bad, &["bad.json:2"]);
    assert_eq!(counted(&place, "few.json"), 10);
    // not what is read, and not what somebody else put there
    let own = ["convert", "few.json", "--to", "few.json", "--overwrite"];
    place.fails(1, &own, &["its own input"]);
    fs::create_dir(place.path("mine.json")).unwrap();
    place.write("mine.json/notes.txt", "mine");
    let mine = ["convert", "few.json", "--to", "mine.json", "--overwrite"];
    place.fails(1, &mine, &["notes.txt", "choose another name"]);
}

#[test]
fn where_the_result_is_is_said() {
    let place = Folder::new();
    place.records("a.json", 3000);
    let said = |flags: &[&str]| {
        let convert = ["convert", "a.json", "--partition-bytes", "64KiB", "--to"];
        let ran = place.run(&[&convert[..], flags].concat()).ok();
        ran.err.lines().next().unwrap().to_owned()
    };
    let line = said(&["one.parquet"]);
    assert!(
        line.starts_with("3000 rows in 1 file, ") && line.ends_with(" in one.parquet"),
        "{line}"
    );
    let line = said(&["out"]);
    assert!(
        line.ends_with(" in out (a directory): part-00000.parquet"),
        "{line}"
    );
    place.records("a.json", 40_000);
    let line = said(&["text", "--format", "json"]);
    assert!(
        line.ends_with(" in text (a directory): part-00000.json to part-00001.json"),
        "{line}"
    );
    for name in ["out/part-00000.parquet", "text/part-00001.json"] {
        assert!(place.path(name).is_file(), "{name}");
    }
}
