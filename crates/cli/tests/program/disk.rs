//! Full disks: real ones of 2 MiB, where this user may mount them.

use std::path::PathBuf;
use std::process::Command;

use crate::common::{Folder, gzip, matrix};

/// A mounted file system, unmounted on drop.
struct Mount(PathBuf);

impl Mount {
    /// A file system in memory of this size; nothing where that is not allowed.
    fn tmpfs(at: PathBuf, size: &str) -> Option<Mount> {
        std::fs::create_dir(&at).unwrap();
        let option = format!("size={size}");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(&at);
        match command.output() {
            Ok(output) if output.status.success() => Some(Mount(at)),
            _ => {
                eprintln!("skipped: this user cannot mount");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Records that do not compress: a file of Parquet is as large as they are.
fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut out = String::with_capacity(bytes + 200);
    while out.len() < bytes {
        out.push_str("{\"noise\":\"");
        for _ in 0..8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.push_str(&format!("{state:016x}"));
        }
        out.push_str("\"}\n");
    }
    out
}

#[test]
fn an_output_that_does_not_fit_on_its_disk_is_an_error_and_leaves_nothing() {
    let place = Folder::new();
    let Some(_mount) = Mount::tmpfs(place.path("full"), "2m") else {
        return;
    };
    place.write("a.json.gz", gzip(noise(8 << 20).as_bytes()));
    place
        .run(&[
            "convert",
            "a.json.gz",
            "--to",
            "full/out",
            "--compression",
            "none",
        ])
        .failed(1, &["full/", "No space left"]);
    assert_eq!(std::fs::read_dir(place.path("full")).unwrap().count(), 0);

    matrix(&place.path("a.npy"), 640, 3);
    place
        .run(&["matmul", "a.npy", "a.npy", "--to", "full/c.npy"])
        .failed(1, &["full/", "No space left"]);
    assert_eq!(std::fs::read_dir(place.path("full")).unwrap().count(), 0);
}

#[test]
fn statistics_on_a_full_disk_are_an_error() {
    let place = Folder::new();
    place.records("a.json", 10);
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    place
        .run(&["convert", "a.json", "--to", "out", "--stats", "/dev/full"])
        .failed(1, &["/dev/full", "No space left"]);
}

#[test]
fn a_spill_directory_that_cannot_be_used_is_told_before_the_run() {
    let place = Folder::new();
    place.records("a.json", 10);
    place.write("file", "");
    for dir in ["gone", "file"] {
        let convert = ["convert", "a.json", "--to", "out", "--spill-dir", dir];
        place.run(&convert).failed(1, &[dir]);
    }
    assert_eq!(place.names(), ["a.json", "file"]);
}
