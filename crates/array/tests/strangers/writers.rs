//! Other programs at the same files: writers at once, output that is taken away, files cut short, pipes.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flagstone_array::{Array, BlockPlace, StoreTo, ZarrOptions, ZarrVersion};
use flagstone_graph::SerialExecutor;
use flagstone_io::OutputOptions;
use flagstone_scheduler::Session;
use serde_json::json;

use super::{described, plain_bytes, refusal, v3};
use crate::common::quick_directory;

fn zeros(path: &Path, shape: &[usize], chunks: &[usize], shards: Option<Vec<usize>>) {
    let options = ZarrOptions {
        chunks: Some(chunks.to_vec()),
        shards,
        ..ZarrOptions::default()
    };
    let zeros = Array::<i64>::zeros(shape);
    zeros
        .store_zarr_with(&SerialExecutor, path, &options)
        .unwrap();
}

#[test]
fn writers_of_one_chunk_lose_nothing_of_each_other() {
    let directory = quick_directory();
    for (name, shards) in [("chunks", None), ("shards", Some(vec![1000, 10]))] {
        let path = directory.path().join(name);
        let chunks = if shards.is_some() {
            [100, 10]
        } else {
            [1000, 10]
        };
        zeros(&path, &[1000, 10], &chunks, shards);
        let session = Session::builder()
            .memory("16 MiB")
            .threads(2)
            .build()
            .unwrap();
        std::thread::scope(|scope| {
            for k in 0..10 {
                // one session for some, one of their own for the others
                let (shared, path) = (&session, &path);
                scope.spawn(move || {
                    let own;
                    let session = match k % 2 {
                        0 => shared,
                        _ => {
                            let builder = Session::builder().memory("16 MiB").threads(1);
                            own = builder.build().unwrap();
                            &own
                        }
                    };
                    let region = [k * 100..(k + 1) * 100, 0..10];
                    let ones = Array::<i64>::ones(&[100, 10]);
                    ones.store_with(session, &StoreTo::ZarrRegion(path, &region))
                        .unwrap();
                });
            }
        });
        let sum = Array::<i64>::open_zarr(&path).sum(..);
        assert_eq!(
            sum.compute_with(&SerialExecutor).unwrap()[[]],
            10_000,
            "{name}"
        );
        let left: Vec<_> = fs::read_dir(&path).unwrap().flatten().collect();
        assert!(
            left.iter()
                .all(|entry| !entry.file_name().to_string_lossy().contains("partial"))
        );
    }
}

/// The unfinished output in a directory.
fn partial(directory: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let mut names = entries.map(|entry| entry.path());
    names
        .find(|path| path.to_string_lossy().contains(".partial-"))
        .unwrap()
}

#[test]
fn output_that_others_take_away_is_no_success() {
    type Touch = fn(&Path);
    let touches: [(&str, Touch); 4] = [
        ("a chunk", |partial| {
            fs::remove_file(partial.join("c/0")).unwrap()
        }),
        ("the description", |partial| {
            fs::remove_file(partial.join("zarr.json")).unwrap()
        }),
        ("the chunks", |partial| {
            fs::remove_dir_all(partial.join("c")).unwrap()
        }),
        ("all of it", |partial| fs::remove_dir_all(partial).unwrap()),
    ];
    for (what, touch) in touches {
        let directory = quick_directory();
        let target = directory.path().join("x.zarr");
        let place = directory.path().to_owned();
        let x = Array::<f64>::ones(&[40]).map_blocks(&[10], move |at: &BlockPlace, block| {
            // once the first chunks are written
            if at.start[0] == 30 {
                touch(&partial(&place));
            }
            block.to_owned()
        });
        let options = ZarrOptions {
            chunks: Some(vec![10]),
            version: ZarrVersion::V3,
            ..ZarrOptions::default()
        };
        let stored = x.store_zarr_with(&SerialExecutor, &target, &options);
        let message = stored.unwrap_err().to_string();
        assert!(message.contains("x.zarr"), "{what}: {message}");
        assert!(!target.exists(), "{what}");
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 0, "{what}");
    }
    let directory = quick_directory();
    let target = directory.path().join("stack");
    let place = directory.path().to_owned();
    let x = Array::<f64>::ones(&[40]).map_blocks(&[10], move |at: &BlockPlace, block| {
        if at.start[0] == 30 {
            fs::remove_file(partial(&place).join("part-00000.npy")).unwrap();
        }
        block.to_owned()
    });
    let to = StoreTo::NpyStack {
        path: &target,
        axis: 0,
        length: 10,
        output: OutputOptions::default(),
    };
    let message = x.store_with(&SerialExecutor, &to).unwrap_err().to_string();
    assert!(message.contains("part-00000.npy"), "{message}");
}

#[test]
fn an_npy_file_that_is_cut_short_in_mid_run_is_an_error() {
    let directory = quick_directory();
    let path = directory.path().join("x.npy");
    let x = Array::<f64>::ones(&[1 << 20]);
    x.store_npy_with(&SerialExecutor, &path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let cut = Array::<f64>::open_npy(&path).map(move |value| {
        file.set_len(4096).unwrap();
        value
    });
    let session = Session::builder().memory("2 MiB").threads(1).build();
    let message = cut
        .sum(..)
        .compute_with(&session.unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("truncated") && message.contains("x.npy"),
        "{message}"
    );
}

#[test]
fn a_pipe_under_a_files_name_is_refused_and_waits_for_nobody() {
    let directory = quick_directory();
    let make = |path: &Path| {
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is a zero-terminated string that lives until the call returns.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    };
    let npy = directory.path().join("x.npy");
    make(&npy);
    let message = Array::<f64>::open_npy(&npy)
        .check()
        .unwrap_err()
        .to_string();
    assert!(message.contains("it is a pipe"), "{message}");
    let message = Array::<f64>::open_raw(&npy, &[1], 0)
        .check()
        .unwrap_err()
        .to_string();
    assert!(message.contains("it is a pipe"), "{message}");
    let zarr = directory.path().join("x.zarr");
    described(&zarr, &v3(&json!([plain_bytes()]), ""));
    fs::create_dir(zarr.join("c")).unwrap();
    make(&zarr.join("c/0"));
    assert!(
        refusal(&zarr).contains("it is a pipe"),
        "{}",
        refusal(&zarr)
    );
    fs::remove_file(zarr.join("zarr.json")).unwrap();
    make(&zarr.join("zarr.json"));
    assert!(
        refusal(&zarr).contains("it is a pipe"),
        "{}",
        refusal(&zarr)
    );
}
