//! Descriptions as other programs write them.

use std::fs;
use std::io::Write;

use flagstone_array::{Array, ZarrCompression, ZarrOptions, inspect_zarr};
use flagstone_graph::SerialExecutor;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use super::{NUMBERS, bytes_of, described, plain_bytes, refusal, v3, values};
use crate::common::quick_directory;

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
