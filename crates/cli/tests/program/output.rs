//! Outputs appear whole or not at all, and never replace what is there unasked.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Place, finish, matrix};

#[test]
fn an_existing_output_is_kept_unless_told_otherwise() {
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
    let place = Place::new();
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
