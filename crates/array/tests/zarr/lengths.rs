//! Chunks of many lengths.

use std::fs;

use flagstone_array::{Array, StoreTo, ZarrOptions, ZarrVersion};
use flagstone_graph::SerialExecutor;
use ndarray::{ArrayD, IxDyn, s};

use super::{COMPRESSIONS, numbers};
use crate::common::{Harness, quick_directory};

/// A grid of chunks of many lengths, which no writer of ours makes.
#[test]
fn chunks_of_many_lengths_are_read() {
    let directory = quick_directory();
    let path = directory.path();
    let description = r#"{"zarr_format": 3, "node_type": "array", "shape": [7, 4],
        "data_type": "int16", "fill_value": -9,
        "chunk_grid": {"name": "rectilinear",
            "configuration": {"kind": "inline", "chunk_shapes": [[3, 1, 3], [[2, 2]]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "gzip", "configuration": {"level": 1}}]}"#;
    fs::write(path.join("zarr.json"), description).unwrap();
    let lazy = Array::<i16>::open_zarr(path);
    assert_eq!(lazy.shape(), [7, 4]);
    let x = ArrayD::from_shape_fn(IxDyn(&[7, 4]), |i| (i[0] * 4 + i[1]) as i16);
    let stored = Array::from_ndarray(x.clone());
    stored
        .store_with(&SerialExecutor, &StoreTo::ZarrRegion(path, &[0..7, 0..4]))
        .unwrap();
    assert!(path.join("c/2/1").exists() && !path.join("c/3").exists());
    for harness in [Harness::new(4 << 10, 2), Harness::new(1 << 20, 1)] {
        assert_eq!(lazy.compute_with(&harness).unwrap(), x);
        let expected = (&stored * 2).sum(0).compute_with(&SerialExecutor).unwrap();
        assert_eq!((&lazy * 2).sum(0).compute_with(&harness).unwrap(), expected);
        assert_eq!(
            lazy.t().dot(&lazy).compute_with(&harness).unwrap(),
            stored
                .t()
                .dot(&stored)
                .compute_with(&SerialExecutor)
                .unwrap()
        );
    }
    fs::remove_file(path.join("c/1/0")).unwrap();
    let mut expected = x;
    expected.slice_mut(s![3..4, 0..2]).fill(-9);
    assert_eq!(lazy.compute_with(&SerialExecutor).unwrap(), expected);
}

#[test]
fn chunks_of_many_lengths_are_written() {
    let directory = quick_directory();
    let x = numbers(&[23, 17]);
    let lists = vec![vec![3, 1, 10, 9], vec![8, 9]];
    let options = |lists: &[Vec<usize>]| ZarrOptions {
        chunk_lengths: Some(lists.to_vec()),
        ..ZarrOptions::default()
    };
    for (i, harness) in [Harness::new(4 << 10, 2), Harness::new(1 << 20, 1)]
        .iter()
        .enumerate()
    {
        for (j, compression) in COMPRESSIONS.into_iter().enumerate() {
            let path = directory.path().join(format!("{i}{j}"));
            let options = ZarrOptions {
                compression,
                ..options(&lists)
            };
            let lazy = Array::from_ndarray(x.clone()) * 2.0;
            lazy.t()
                .t()
                .store_zarr_with(harness, &path, &options)
                .unwrap();
            assert!(path.join("c/3/1").exists() && !path.join("c/4").exists());
            let text = fs::read_to_string(path.join("zarr.json")).unwrap();
            assert!(text.contains("rectilinear"), "{text}");
            let back = Array::<f64>::open_zarr(&path);
            assert_eq!(back.compute_with(harness).unwrap(), &x * 2.0);
            let part = back
                .slice(s![2..15;3, 7..10])
                .compute_with(harness)
                .unwrap();
            assert_eq!(part, (&x * 2.0).slice(s![2..15;3, 7..10]).into_dyn());
        }
    }
    let lazy = Array::from_ndarray(x);
    let path = directory.path().join("other");
    let even = options(&[vec![10, 10, 3], vec![17]]);
    lazy.store_zarr_with(&SerialExecutor, &path, &even).unwrap();
    let text = fs::read_to_string(path.join("zarr.json")).unwrap();
    assert!(
        text.contains("regular") && !text.contains("rectilinear"),
        "{text}"
    );
    let path = directory.path().join("none");
    for (options, part) in [
        (options(&[vec![3, 3], vec![17]]), "axis 0"),
        (
            options(&[vec![23]]),
            "cannot be stored in chunks of lengths",
        ),
        (
            ZarrOptions {
                version: ZarrVersion::V2,
                ..options(&lists)
            },
            "only chunks of one shape",
        ),
        (
            ZarrOptions {
                chunks: Some(vec![5, 5]),
                ..options(&lists)
            },
            "no one shape",
        ),
    ] {
        let error = lazy
            .store_zarr_with(&SerialExecutor, &path, &options)
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(!path.exists());
    }
}
