//! Patterns, and how files become ranges.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::*;
use flagstone_common::Fault;
use flagstone_io::{Compression, expand, split_files};

#[test]
fn patterns_give_files_in_the_order_of_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "d-10.json",
        "d-2.json",
        "d-1.json.gz",
        ".d-3.json.partial-7",
        "e.txt",
    ] {
        write(
            dir.path(),
            name,
            &compress(name.rsplit('.').next().unwrap(), b"{}\n"),
        );
    }
    let names = |patterns: &[&str]| -> Vec<String> {
        let files = expand(patterns.iter().map(|pattern| dir.path().join(pattern))).unwrap();
        files
            .iter()
            .map(|f| f.path().file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["d-*"]), ["d-1.json.gz", "d-2.json", "d-10.json"]);
    assert_eq!(
        names(&["*"]),
        ["d-1.json.gz", "d-2.json", "d-10.json", "e.txt"]
    );
    assert_eq!(names(&["e.txt", "d-?.json"]), ["e.txt", "d-2.json"]);
    let files = expand([dir.path().join("d-1*")]).unwrap();
    assert_eq!(files[0].compression(), Compression::Gzip);
    assert_eq!(files[1].compression(), Compression::None);
}

#[test]
fn a_file_whose_name_looks_like_a_pattern_is_itself() {
    let dir = tempfile::tempdir().unwrap();
    let odd = write(dir.path(), "a[1].txt", b"x");
    write(dir.path(), "a1.txt", b"x");
    assert_eq!(expand([&odd]).unwrap()[0].path(), odd);
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.txt", b"x");
    fs::create_dir(dir.path().join("sub")).unwrap();
    write(dir.path(), "plain.gz", b"this is text");
    let error = |name: &str| expand([dir.path().join(name)]).unwrap_err();

    let missing = error("missing.txt");
    assert_eq!(missing.fault(), Some(Fault::NotFound));
    assert!(
        missing.to_string().ends_with("missing.txt: no such file"),
        "{missing}"
    );

    let nothing = error("*.parquet");
    assert_eq!(nothing.fault(), Some(Fault::NotFound));
    assert!(
        nothing.to_string().contains("no file matches the pattern"),
        "{nothing}"
    );
    assert!(nothing.to_string().contains("*.parquet"), "{nothing}");

    assert_eq!(error("***").fault(), Some(Fault::Pattern));

    let directory = error("sub");
    assert_eq!(directory.fault(), Some(Fault::NotAFile));
    assert!(directory.to_string().contains("sub/*"), "{directory}");

    let matched = error("[as]*");
    assert_eq!(matched.fault(), Some(Fault::NotAFile));
    assert!(
        matched.to_string().contains("narrow the pattern"),
        "{matched}"
    );

    let lying = error("plain.gz");
    assert_eq!(lying.fault(), Some(Fault::Corrupt));
    assert!(
        lying.to_string().contains("called gzip but is not gzip"),
        "{lying}"
    );

    assert_eq!(
        expand(["/dev/null"]).unwrap_err().fault(),
        Some(Fault::NotAFile)
    );
}

#[test]
fn a_file_without_permission_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "secret.txt", b"x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    // a privileged user may read it all the same
    if fs::File::open(&path).is_err() {
        let error = expand([&path]).unwrap_err();
        assert_eq!(
            (error.fault(), error.path()),
            (Some(Fault::PermissionDenied), Some(&*path))
        );
    } else {
        assert_eq!(expand([&path]).unwrap().len(), 1);
    }
}

#[test]
fn files_are_cut_evenly_and_compressed_ones_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let plain = file(dir.path(), "a.txt", &[b'x'; 1001]);
    let packed = file(dir.path(), "b.gz", &compress("gz", &[b'x'; 5000]));
    let empty = file(dir.path(), "c.txt", b"");
    let ranges = split_files(&[plain.clone(), empty.clone(), packed.clone()], 250);
    let cuts: Vec<_> = ranges
        .iter()
        .map(|range| (range.start, range.end))
        .collect();
    assert_eq!(
        cuts[..5],
        [(0, 200), (200, 400), (400, 600), (600, 800), (800, 1001)]
    );
    assert_eq!(cuts[5..], [(0, u64::MAX)]);
    assert_eq!(ranges[5].len(), packed.len());
    assert_eq!(split_files(&[plain], 1001).len(), 1);
    assert_eq!(split_files(&[empty], 1).len(), 0);
}

#[test]
fn a_file_that_is_named_more_than_once_comes_once_and_first() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["a.json", "b.json", "c.txt"] {
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at("sub")).unwrap();
    std::os::unix::fs::symlink(at("a.json"), at("d.json")).unwrap();
    std::os::unix::fs::symlink(dir.path(), at("sub/back")).unwrap();
    let back = dir.path().join("sub/back/*.txt");
    let through = dir.path().join("sub/../a.json");
    let patterns = [
        at("b.json"),
        at("*.json"),
        at("*.*"),
        through,
        back,
        at("b.json"),
    ];
    let wanted = ["b.json", "a.json", "d.json", "c.txt"].map(at);
    let files = expand(&patterns).unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
    assert_eq!(paths, wanted);
    assert_eq!(flagstone_io::expand_names(&patterns).unwrap(), wanted);
    // one pattern means what it matches
    assert_eq!(expand([at("*.json")]).unwrap().len(), 3);
}
