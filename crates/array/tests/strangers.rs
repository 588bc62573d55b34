//! Files of other programs, and other programs at the same files: descriptions as Python writes them,
//! codecs by other names, writers at once, output that others touch, pipes under a file's name.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::quick_directory;
use flagstone_array::{
    Array, BlockPlace, StoreTo, ZarrCompression, ZarrOptions, ZarrVersion, inspect_zarr,
};
use flagstone_graph::SerialExecutor;
use flagstone_io::OutputOptions;
use flagstone_scheduler::Session;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

fn described(path: &Path, json: &str) {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("zarr.json"), json).unwrap();
}

fn v3(codecs: &Value, more: &str) -> String {
    format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float64",
        "chunk_grid": {{"name": "regular", "configuration": {{"chunk_shape": [4]}}}},
        "chunk_key_encoding": {{"name": "default", "configuration": {{"separator": "/"}}}},
        "fill_value": 0.0, "codecs": {codecs}, "storage_transformers": []{more}}}"#
    )
}

fn plain_bytes() -> Value {
    json!({"name": "bytes", "configuration": {"endian": "little"}})
}

fn values(path: &Path) -> flagstone_graph::Result<Vec<f64>> {
    let values = Array::<f64>::open_zarr(path).compute_with(&SerialExecutor)?;
    Ok(values.iter().copied().collect())
}

fn refusal(path: &Path) -> String {
    values(path).unwrap_err().to_string()
}

const NUMBERS: [f64; 4] = [1.5, -2.0, 0.25, 1e300];

fn bytes_of(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

#[test]
fn descriptions_may_have_words_that_json_has_not() {
    let directory = quick_directory();
    let path = directory.path().join("attributes");
    let attributes = r#", "attributes": {"_FillValue": NaN, "range": [-Infinity, Infinity],
        "NaN": "a \" NaN"}"#;
    described(&path, &v3(&json!([plain_bytes()]), attributes));
    fs::create_dir(path.join("c")).unwrap();
    fs::write(path.join("c/0"), bytes_of(&NUMBERS)).unwrap();
    assert_eq!(values(&path).unwrap(), NUMBERS);
    assert!(inspect_zarr(&path).is_ok());

    let path = directory.path().join("v2");
    fs::create_dir(&path).unwrap();
    for (word, is) in [("NaN", f64::NAN), ("-Infinity", f64::NEG_INFINITY)] {
        let json = format!(
            r#"{{"zarr_format": 2, "compressor": null, "filters": null, "order": "C",
            "fill_value": {word}, "shape": [3], "chunks": [2], "dtype": "<f4"}}"#
        );
        fs::write(path.join(".zarray"), json).unwrap();
        fs::write(
            path.join("0"),
            [1f32.to_le_bytes(), 2f32.to_le_bytes()].concat(),
        )
        .unwrap();
        let read = Array::<f32>::open_zarr(&path)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!((read[[0]], read[[1]]), (1.0, 2.0));
        let rest = f64::from(read[[2]]);
        assert!(rest == is || (rest.is_nan() && is.is_nan()), "{rest}");
    }
}

#[test]
fn codecs_by_the_names_of_their_library_are_read() {
    let directory = quick_directory();
    let raw = bytes_of(&NUMBERS);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(3));
    zlib.write_all(&raw).unwrap();
    let zlib = zlib.finish().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::new(3));
    gzip.write_all(&raw).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&raw[..], 3).unwrap();
    let cases = [
        (
            json!({"name": "numcodecs.zlib", "configuration": {}}),
            &zlib,
        ),
        (json!({"name": "numcodecs.zlib"}), &zlib),
        (
            json!({"name": "numcodecs.zlib", "configuration": {"level": -1}}),
            &zlib,
        ),
        (
            json!({"name": "numcodecs.zlib", "configuration": {"id": "zlib", "level": 9}}),
            &zlib,
        ),
        (
            json!({"name": "numcodecs.gzip", "configuration": {}}),
            &gzip,
        ),
        (json!({"name": "gzip"}), &gzip),
        (
            json!({"name": "numcodecs.zstd", "configuration": {}}),
            &zstd,
        ),
        (
            json!({"name": "zstd", "configuration": {"level": 0}}),
            &zstd,
        ),
    ];
    for (i, (codec, packed)) in cases.into_iter().enumerate() {
        let path = directory.path().join(i.to_string());
        described(&path, &v3(&json!([plain_bytes(), codec]), ""));
        fs::create_dir(path.join("c")).unwrap();
        fs::write(path.join("c/0"), packed).unwrap();
        assert_eq!(values(&path).unwrap(), NUMBERS, "{codec}");
    }
    // blosc as the same library names it in version 3
    let path = directory.path().join("blosc");
    let x = Array::from_ndarray(ndarray::arr1(&NUMBERS));
    let options = ZarrOptions {
        chunks: Some(vec![4]),
        compression: ZarrCompression::BloscLz4(5),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    for configuration in [
        json!({}),
        json!({"cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}),
        json!({"shuffle": -1}),
    ] {
        let blosc = json!({"name": "numcodecs.blosc", "configuration": configuration});
        described(&path, &v3(&json!([plain_bytes(), blosc]), ""));
        assert_eq!(values(&path).unwrap(), NUMBERS, "{configuration}");
    }
    // and of version 2, without what is the default
    let path = directory.path().join("v2");
    fs::create_dir(&path).unwrap();
    let json = r#"{"zarr_format": 2, "compressor": {"id": "zlib"}, "filters": null, "order": "C",
        "fill_value": 0, "shape": [4], "chunks": [4], "dtype": "<f8"}"#;
    fs::write(path.join(".zarray"), json).unwrap();
    fs::write(path.join("0"), &zlib).unwrap();
    assert_eq!(values(&path).unwrap(), NUMBERS);
}

#[test]
fn extensions_that_must_be_understood_are_refused_by_name() {
    let directory = quick_directory();
    let path = directory.path().join("x");
    let bytes = json!([plain_bytes()]);
    for more in [
        r#", "masked": true"#,
        r#", "masked": {"name": "mask"}"#,
        r#", "masked": {"must_understand": true}"#,
    ] {
        described(&path, &v3(&bytes, more));
        let message = refusal(&path);
        assert!(message.contains("`masked` is an extension"), "{message}");
        assert!(message.contains("must_understand"), "{message}");
    }
    described(
        &path,
        &v3(&bytes, r#", "masked": {"must_understand": false}"#),
    );
    assert_eq!(values(&path).unwrap(), [0.0; 4]);
}

#[test]
fn refusals_speak_of_the_description_and_not_of_types() {
    let directory = quick_directory();
    let path = directory.path().join("x");
    let good = || -> Value { serde_json::from_str(&v3(&json!([plain_bytes()]), "")).unwrap() };
    let unknown = json!({"name": "numcodecs.lzma", "configuration": {"preset": 1}});
    let level = json!({"name": "gzip", "configuration": {"level": "high"}});
    let cases = [
        ("codecs", json!([plain_bytes(), unknown]), "numcodecs.lzma"),
        ("codecs", json!([plain_bytes(), level]), "\"high\""),
        ("codecs", json!([]), "codecs"),
        ("codecs", json!("bytes"), "`codecs`"),
        ("data_type", json!("float12"), "float12"),
        ("data_type", json!(7), "`data_type`"),
        ("chunk_grid", json!({"name": "hexagonal"}), "hexagonal"),
        (
            "chunk_grid",
            json!({"name": "regular", "configuration": {}}),
            "chunk_grid",
        ),
        ("chunk_key_encoding", json!({"name": "other"}), "other"),
        ("fill_value", json!({"a": 1}), "fill_value"),
        ("shape", json!([-1]), "`shape`"),
        ("shape", json!("4"), "`shape`"),
        ("shape", json!([4, 4]), "chunk_grid"),
        ("zarr_format", json!(4), ""),
    ];
    for (member, value, wanted) in cases {
        let mut json = good();
        json[member] = value.clone();
        described(&path, &json.to_string());
        let message = refusal(&path);
        assert!(message.contains(wanted), "{member} {value}: {message}");
        for word in [
            "untagged",
            "enum",
            "::",
            "Configuration",
            "Metadata",
            "Error(",
        ] {
            assert!(!message.contains(word), "{member} {value}: {message}");
        }
    }
    for member in ["shape", "data_type", "chunk_grid", "codecs", "fill_value"] {
        let mut json = good();
        json.as_object_mut().unwrap().remove(member);
        described(&path, &json.to_string());
        let message = refusal(&path);
        assert!(
            message.contains(&format!("it has no `{member}`")),
            "{message}"
        );
    }
    described(&path, "{\"zarr_format\": 3,");
    assert!(
        refusal(&path).contains("it is not JSON"),
        "{}",
        refusal(&path)
    );
}

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

/// A grid of given lengths over an array of one axis.
fn with_lengths(path: &Path, length: u64, lengths: &str) {
    let json = format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": [{length}], "data_type": "float64",
        "fill_value": -1.0, "chunk_grid": {{"name": "rectilinear",
            "configuration": {{"kind": "inline", "chunk_shapes": {lengths}}}}},
        "chunk_key_encoding": {{"name": "default", "configuration": {{"separator": "/"}}}},
        "codecs": [{{"name": "bytes", "configuration": {{"endian": "little"}}}}]}}"#
    );
    described(path, &json);
}

/// Sixty bytes of a description can claim any number of chunks.
#[test]
fn chunks_that_are_claimed_are_counted_before_they_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("z.zarr");
    let start = std::time::Instant::now();
    let million = 1_000_000_000_000_000;
    for (length, lengths, part) in [
        (million, "[[[1, 1000000000000000]]]", "more than 262144"),
        (million, "[1]", "more than 262144"),
        (
            10,
            "[[[9223372036854775808, 3]]]",
            "larger than this machine",
        ),
        (10, "[[4, 5]]", "have 9 of 10 elements"),
        (10, "[[4, 0, 6]]", "are of no elements"),
        (10, "[[4, 6], [3]]", "along 2 axes, and the array has 1"),
        (10, "[[4, \"6\"]]", "does not describe a Zarr array"),
        (10, "[[[4, 1, 1], 6]]", "a pair of a length and a number"),
    ] {
        with_lengths(&path, length, lengths);
        let refused = refusal(&path);
        assert!(refused.contains(part), "{lengths}: {refused}");
    }
    // more of them than the array needs
    with_lengths(&path, 3, "[[[1, 1000000000000000]]]");
    assert_eq!(values(&path).unwrap(), [-1.0; 3]);
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
}

/// The last chunk is stored as long as its length says: beyond the array, or shorter than the others.
#[test]
fn the_last_of_given_chunks_has_its_own_length() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&str, [&[f64]; 2]); 3] = [
        ("[[3, 1]]", [&[1.0, 2.0, 3.0][..], &[4.0]]),
        ("[[2, 5]]", [&[1.0, 2.0], &[3.0, 4.0, 9.0, 9.0, 9.0]]),
        ("[3]", [&[1.0, 2.0, 3.0], &[4.0, 9.0, 9.0]]),
    ];
    for (i, (lengths, stored)) in cases.into_iter().enumerate() {
        let path = directory.path().join(i.to_string());
        with_lengths(&path, 4, lengths);
        std::fs::create_dir(path.join("c")).unwrap();
        for (chunk, numbers) in stored.iter().enumerate() {
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            std::fs::write(path.join("c").join(chunk.to_string()), bytes).unwrap();
        }
        assert_eq!(values(&path).unwrap(), [1.0, 2.0, 3.0, 4.0], "{lengths}");
        let twice = ndarray::arr1(&[2.0, 4.0, 6.0, 8.0]).into_dyn();
        let twice = Array::from_ndarray(twice);
        let region = StoreTo::ZarrRegion(&path, std::slice::from_ref(&(0..4)));
        twice.store_with(&SerialExecutor, &region).unwrap();
        assert_eq!(values(&path).unwrap(), [2.0, 4.0, 6.0, 8.0], "{lengths}");
    }
}
