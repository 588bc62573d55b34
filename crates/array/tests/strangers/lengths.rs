//! Lengths of chunks that other programs give.
use std::path::Path;

use flagstone_array::{Array, StoreTo};
use flagstone_graph::SerialExecutor;

use super::{described, refusal, values};

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
