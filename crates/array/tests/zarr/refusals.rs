//! What cannot be read, and damage.

use std::fs;
use std::path::Path;

use flagstone_array::{Array, ZarrOptions, ZarrVersion, create_zarr_group, zarr_members};
use flagstone_graph::SerialExecutor;

use super::COMPRESSIONS;
use crate::common::quick_directory;

#[test]
fn what_cannot_be_read_says_why() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let message = |path: &Path| {
        Array::<f64>::open_zarr(path)
            .check()
            .unwrap_err()
            .to_string()
    };
    let text = message(&path);
    assert!(
        text.contains("x.zarr") && text.contains("no such file"),
        "{text}"
    );
    assert!(text.contains("refusals.rs"), "{text}");
    create_zarr_group(&path, ZarrVersion::V3).unwrap();
    assert!(message(&path).contains("group without arrays"));
    let options = ZarrOptions {
        chunks: Some(vec![10]),
        ..ZarrOptions::default()
    };
    let x = Array::from_fn(&[30], |i| i[0] as f32);
    x.store_zarr_with(&SerialExecutor, path.join("wind"), &options)
        .unwrap();
    assert_eq!(zarr_members(&path), ["wind"]);
    assert!(message(&path).contains("name one of its members: wind"));
    let text = message(&path.join("wind"));
    assert!(
        text.contains("f32") && text.contains("f64 was asked for"),
        "{text}"
    );
    assert!(create_zarr_group(path.join("wind"), ZarrVersion::V3).is_err());
    fs::create_dir(path.join("empty")).unwrap();
    assert!(message(&path.join("empty")).contains("not a Zarr array"));
    fs::write(path.join("empty/zarr.json"), "{").unwrap();
    assert!(message(&path.join("empty")).contains("not JSON"));
    let described = fs::read_to_string(path.join("wind/zarr.json")).unwrap();
    for (from, to, says) in [
        ("\"zstd\"", "\"middle-out\"", "middle-out"),
        ("\"float32\"", "\"complex64\"", "complex64"),
        ("\"regular\"", "\"hexagonal\"", "hexagonal"),
    ] {
        fs::write(path.join("empty/zarr.json"), described.replace(from, to)).unwrap();
        let text = message(&path.join("empty"));
        assert!(text.contains(says), "{text}");
    }
    let sharded = ZarrOptions {
        shards: Some(vec![20]),
        ..options
    };
    x.store_zarr_with(&SerialExecutor, path.join("sharded"), &sharded)
        .unwrap();
    let described = fs::read_to_string(path.join("sharded/zarr.json")).unwrap();
    let mut described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let gzip = serde_json::json!({"name": "gzip", "configuration": {"level": 1}});
    described["codecs"].as_array_mut().unwrap().push(gzip);
    fs::write(path.join("empty/zarr.json"), described.to_string()).unwrap();
    assert!(message(&path.join("empty")).contains("behind or inside other codecs"));
}

#[test]
fn damaged_chunks_are_errors_that_name_the_file() {
    let directory = quick_directory();
    let x = Array::<f64>::random_normal(&[40, 30], 0.0, 1.0, 3);
    for (i, compression) in COMPRESSIONS.into_iter().enumerate() {
        for shards in [None, Some(vec![20, 30])] {
            let path = directory.path().join(format!("{i}{}", shards.is_some()));
            let options = ZarrOptions {
                chunks: Some(vec![10, 15]),
                shards,
                compression,
                ..ZarrOptions::default()
            };
            x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
            let chunk = path.join("c/0/0");
            let whole = fs::read(&chunk).unwrap();
            let lazy = Array::<f64>::open_zarr(&path);
            let end = whole.len();
            for cut in [0, 3, end / 2, end - 1] {
                fs::write(&chunk, &whole[..cut]).unwrap();
                let error = lazy.compute_with(&SerialExecutor).unwrap_err().to_string();
                assert!(error.contains("c/0/0"), "{compression:?} {cut}: {error}");
            }
            // damage anywhere ends in an error or in numbers, never in anything else
            for at in (0..end.min(64)).chain((end.saturating_sub(80)..end).step_by(3)) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x81;
                fs::write(&chunk, &damaged).unwrap();
                let _ = lazy.compute_with(&SerialExecutor);
            }
            let mut longer = whole.clone();
            longer.resize(3 * end + 20_000, 0);
            fs::write(&chunk, &longer).unwrap();
            if options.shards.is_none() {
                assert!(
                    lazy.compute_with(&SerialExecutor).is_err(),
                    "{compression:?}"
                );
            }
        }
    }
}
