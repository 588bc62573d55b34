//! Output appears whole or not at all, and nothing foreign is ever touched.

use std::fs;
use std::io::Write;
use std::path::Path;

use flagstone_common::Fault;
use flagstone_io::{AtomicDir, AtomicFile, OutputOptions};

const PLAIN: OutputOptions = OutputOptions {
    overwrite: false,
    keep_partial: false,
};
const OVERWRITE: OutputOptions = OutputOptions {
    overwrite: true,
    keep_partial: false,
};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn partial(name: &str, pid: u32) -> String {
    format!(".{name}.partial-{pid}")
}

/// The number of a process that has ended.
fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn a_file_appears_at_commit() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out.txt");
    let mut file = AtomicFile::create(&target, PLAIN).unwrap();
    file.write_all(b"hello").unwrap();
    assert_eq!(names(dir.path()), [partial("out.txt", std::process::id())]);
    file.commit().unwrap();
    assert_eq!(names(dir.path()), ["out.txt"]);
    assert_eq!(fs::read(&target).unwrap(), b"hello");
}

#[test]
fn a_dropped_output_leaves_nothing_unless_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    let output = AtomicDir::create(&target, PLAIN).unwrap();
    fs::write(output.path().join("part-0"), b"x").unwrap();
    drop(output);
    assert!(names(dir.path()).is_empty());

    let kept = OutputOptions {
        keep_partial: true,
        ..PLAIN
    };
    let output = AtomicDir::create(&target, kept).unwrap();
    fs::write(output.path().join("part-0"), b"x").unwrap();
    drop(output);
    assert_eq!(names(dir.path()), [partial("out", std::process::id())]);
    // the next run to the same target sweeps it, although the number is our own
    AtomicDir::create(&target, PLAIN).unwrap().commit().unwrap();
    assert_eq!(names(dir.path()), ["out"]);
    assert!(names(&target).is_empty());
}

#[test]
fn an_existing_output_is_an_error_at_once_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), b"x").unwrap();
    let error = AtomicDir::create(&target, PLAIN).unwrap_err();
    assert_eq!(
        (error.fault(), error.path()),
        (Some(Fault::Exists), Some(&*target))
    );
    let error = AtomicFile::create(target.join("mine"), PLAIN).unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Exists));
    assert!(
        error
            .to_string()
            .contains("choose another name, or allow overwriting"),
        "{error}"
    );
    assert_eq!(
        (names(dir.path()), names(&target)),
        (vec!["out".into()], vec!["mine".into()])
    );
}

#[test]
fn overwriting_replaces_at_commit_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("part-old"), b"x").unwrap();
    let output = AtomicDir::create(&target, OVERWRITE).unwrap();
    fs::create_dir(output.path().join("sub")).unwrap();
    fs::write(output.path().join("sub/new"), b"y").unwrap();
    assert_eq!(names(&target), ["part-old"]);
    output.commit().unwrap();
    assert_eq!(names(&target), ["sub"]);
    assert_eq!(names(dir.path()), ["out"]);

    // what no output wrote is never removed
    let theirs = dir.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("notes.txt"), b"x").unwrap();
    let error = AtomicDir::create(&theirs, OVERWRITE).unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Exists));
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(names(dir.path()), ["out", "theirs"]);

    let file = dir.path().join("f");
    fs::write(&file, b"old").unwrap();
    let mut output = AtomicFile::create(&file, OVERWRITE).unwrap();
    output.write_all(b"new").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"old");
    output.commit().unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    // given up, the old output stays
    drop(AtomicFile::create(&file, OVERWRITE).unwrap());
    assert_eq!(fs::read(&file).unwrap(), b"new");
}

#[test]
fn a_target_that_appears_meanwhile_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder) = (dir.path().join("f"), dir.path().join("d"));
    let new_file = AtomicFile::create(&file, PLAIN).unwrap();
    let new_folder = AtomicDir::create(&folder, PLAIN).unwrap();
    fs::write(&file, b"theirs").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("theirs"), b"x").unwrap();
    assert_eq!(new_file.commit().unwrap_err().fault(), Some(Fault::Exists));
    assert_eq!(
        new_folder.commit().unwrap_err().fault(),
        Some(Fault::Exists)
    );
    assert_eq!(fs::read(&file).unwrap(), b"theirs");
    assert_eq!(names(&folder), ["theirs"]);
    assert_eq!(names(dir.path()), ["d", "f"]);
}

#[test]
fn an_empty_directory_is_not_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    fs::create_dir(&target).unwrap();
    let output = AtomicDir::create(&target, PLAIN).unwrap();
    fs::write(output.path().join("part-0"), b"x").unwrap();
    output.commit().unwrap();
    assert_eq!(names(&target), ["part-0"]);
}

#[test]
fn what_a_dead_process_left_is_swept_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let dead = dead_pid();
    let live = std::os::unix::process::parent_id();
    let foreign = [
        partial("out", live),
        partial("other", dead),
        format!(".out.partial-{dead}.bak"),
        format!("out.partial-{dead}"),
        ".out.partial-".to_owned(),
    ];
    for name in &foreign {
        fs::write(dir.path().join(name), b"x").unwrap();
    }
    let left = dir.path().join(partial("out", dead));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("part-0"), b"x").unwrap();
    let output = AtomicDir::create(dir.path().join("out"), PLAIN).unwrap();
    assert!(!left.exists());
    output.commit().unwrap();
    for name in &foreign {
        assert!(dir.path().join(name).exists(), "{name} was removed");
    }
}

#[test]
fn an_output_set_aside_by_a_process_that_died_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let aside = dir.path().join(format!(".out.replaced-{}", dead_pid()));
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("old"), b"x").unwrap();
    let target = dir.path().join("out");
    let error = AtomicDir::create(&target, PLAIN).unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Exists));
    assert_eq!(
        (names(dir.path()), names(&target)),
        (vec!["out".into()], vec!["old".into()])
    );
}

#[test]
fn two_writers_of_one_target_in_one_process_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    let first = AtomicFile::create(&target, PLAIN).unwrap();
    let error = AtomicFile::create(&target, OVERWRITE).unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Exists));
    assert!(
        error.to_string().contains("writing to it already"),
        "{error}"
    );
    first.commit().unwrap();
    AtomicFile::create(&target, OVERWRITE)
        .unwrap()
        .commit()
        .unwrap();
}

#[test]
fn impossible_targets_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| AtomicDir::create(path, OVERWRITE).unwrap_err().fault();
    assert_eq!(refused(Path::new("/")), Some(Fault::NotAFile));
    assert_eq!(refused(Path::new("..")), Some(Fault::NotAFile));
    assert_eq!(
        refused(&dir.path().join("no/such/dir")),
        Some(Fault::NotFound)
    );
    fs::write(dir.path().join("f"), b"x").unwrap();
    assert_eq!(refused(&dir.path().join("f")), Some(Fault::NotAFile));
    fs::create_dir(dir.path().join("d")).unwrap();
    let error = AtomicFile::create(dir.path().join("d"), OVERWRITE).unwrap_err();
    assert_eq!(error.fault(), Some(Fault::NotAFile));
    assert_eq!(names(dir.path()), ["d", "f"]);
}

#[test]
fn a_link_is_written_through() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("disk")).unwrap();
    let real = dir.path().join("disk/out");
    fs::write(&real, b"old").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut file = AtomicFile::create(&link, OVERWRITE).unwrap();
    file.write_all(b"new").unwrap();
    file.commit().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), b"new");
}

#[test]
fn a_slash_at_the_end_of_a_name_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let with_slash = format!("{}/out/", dir.path().display());
    AtomicDir::create(&with_slash, PLAIN)
        .unwrap()
        .commit()
        .unwrap();
    let output = AtomicDir::create(&with_slash, OVERWRITE).unwrap();
    fs::write(output.path().join("new"), b"x").unwrap();
    output.commit().unwrap();
    let mut file = AtomicFile::create(dir.path().join("./f"), PLAIN).unwrap();
    file.write_all(b"x").unwrap();
    file.commit().unwrap();
    assert_eq!(names(dir.path()), ["f", "out"]);
    assert_eq!(names(&dir.path().join("out")), ["new"]);
}

#[test]
fn a_directory_of_one_file_may_become_that_file() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("x.parquet");
    let begin = |options, text: &str| {
        let output = AtomicDir::create_or_file(&target, options).unwrap();
        fs::write(output.path().join("part-0"), text).unwrap();
        output
    };
    begin(PLAIN, "one").commit_file("part-0").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "one");
    let error = AtomicDir::create_or_file(&target, PLAIN).unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Exists));
    // a file for a file, a directory for a file, a file for a directory
    begin(OVERWRITE, "two").commit_file("part-0").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "two");
    begin(OVERWRITE, "three").commit().unwrap();
    assert_eq!(fs::read_to_string(target.join("part-0")).unwrap(), "three");
    let waiting = begin(OVERWRITE, "four");
    assert_eq!(fs::read_to_string(target.join("part-0")).unwrap(), "three");
    waiting.commit_file("part-0").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "four");
    assert_eq!(names(dir.path()), ["x.parquet"]);
    // what is not there gets no name, and the old output keeps it
    let error = begin(OVERWRITE, "five").commit_file("part-1").unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Io));
    assert_eq!(fs::read_to_string(&target).unwrap(), "four");
    assert_eq!(names(dir.path()), ["x.parquet"]);
    // what appeared meanwhile is not replaced unasked
    fs::remove_file(&target).unwrap();
    for appears in [true, false] {
        let output = begin(PLAIN, "six");
        match appears {
            true => fs::write(&target, "theirs").unwrap(),
            false => fs::create_dir(&target).unwrap(),
        }
        let error = output.commit_file("part-0").unwrap_err();
        assert_eq!(error.fault(), Some(Fault::Exists));
        assert_eq!(target.is_file(), appears);
        match appears {
            true => fs::remove_file(&target).unwrap(),
            false => fs::remove_dir(&target).unwrap(),
        }
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn a_directory_that_cannot_be_looked_at_is_not_called_missing() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(300));
    let message = |target: &Path| AtomicFile::create(target, PLAIN).unwrap_err().to_string();
    let said = message(&long.join("out"));
    assert!(said.contains("File name too long"), "{said}");
    assert!(!said.contains("does not exist"), "{said}");
    let said = message(&dir.path().join("none").join("out"));
    assert!(said.contains("does not exist; create it first"), "{said}");
    fs::write(dir.path().join("file"), "").unwrap();
    let said = message(&dir.path().join("file").join("out"));
    assert!(said.contains("it is not a directory"), "{said}");
}

#[test]
fn a_name_that_somebody_has_taken_meanwhile_is_known_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    let plain = AtomicDir::create(&target, PLAIN).unwrap();
    plain.check_target().unwrap();
    fs::create_dir(&target).unwrap();
    plain.check_target().unwrap();
    fs::write(target.join("part-0"), "").unwrap();
    let taken = plain.check_target().unwrap_err();
    assert_eq!(taken.fault(), Some(Fault::Exists));
    drop(plain);
    let over = AtomicDir::create(&target, OVERWRITE).unwrap();
    over.check_target().unwrap();
}
