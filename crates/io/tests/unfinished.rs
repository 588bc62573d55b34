//! What a program does that has to end before its work has noticed. Alone in its process: it removes
//! the unfinished output of all of it.

use std::fs;

use flagstone_io::{AtomicDir, AtomicFile, OutputOptions, remove_unfinished};

#[test]
fn unfinished_output_is_removed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let options = OutputOptions::default();
    AtomicFile::create(at("done"), options)
        .unwrap()
        .commit()
        .unwrap();
    let file = AtomicFile::create(at("file"), options).unwrap();
    let tree = AtomicDir::create(at("tree"), options).unwrap();
    fs::create_dir(tree.path().join("deep")).unwrap();
    fs::write(tree.path().join("deep/part"), "x").unwrap();
    let keep = OutputOptions {
        keep_partial: true,
        ..options
    };
    let kept = AtomicFile::create(at("kept"), keep).unwrap();
    remove_unfinished();
    assert!(!file.path().exists() && !tree.path().exists());
    assert!(at("done").exists() && kept.path().exists());
    // whoever goes on all the same cannot publish what is gone
    let message = file.commit().unwrap_err().to_string();
    assert!(message.contains("removed or replaced"), "{message}");
    let message = tree.commit().unwrap_err().to_string();
    assert!(message.contains("removed or replaced"), "{message}");
    assert!(!at("file").exists() && !at("tree").exists());
}
