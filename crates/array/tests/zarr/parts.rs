//! Parts: slices, chunks of shards, regions, stacks of files.

use std::fs;

use flagstone_array::{Array, StoreTo, ZarrCompression, ZarrOptions};
use flagstone_common::Counter;
use flagstone_graph::SerialExecutor;
use flagstone_io::OutputOptions;
use ndarray::s;

use super::numbers;
use crate::common::{Harness, quick_directory};

#[test]
fn a_chunk_is_read_once_and_a_slice_reads_its_chunks_only() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let x = Array::<f64>::random_normal(&[400, 300], 0.0, 1.0, 3);
    let options = ZarrOptions {
        chunks: Some(vec![50, 30]),
        compression: ZarrCompression::BloscLz4(5),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let mut stored = 0;
    for row in 0..8 {
        for column in 0..10 {
            stored += fs::metadata(path.join(format!("c/{row}/{column}")))
                .unwrap()
                .len();
        }
    }
    let lazy = Array::<f64>::open_zarr(&path);
    let standard = (&lazy - lazy.mean(0)) / lazy.std(0);
    for (array, reads) in [
        (lazy.t() * 2.0, 1),
        (lazy.sum(..), 1),
        (lazy.mean(0), 1),
        (lazy.t().dot(&lazy), 1),
        (standard, 1),
        (&lazy + lazy.flip(0), 1),
    ] {
        let harness = Harness::new(512 << 10, 2);
        array.compute_with(&harness).unwrap();
        assert_eq!(
            harness.counted(Counter::BytesRead),
            reads * stored,
            "{array:?}"
        );
    }
    let harness = Harness::new(512 << 10, 2);
    lazy.slice(s![60..70, 35..40])
        .compute_with(&harness)
        .unwrap();
    let one = fs::metadata(path.join("c/1/1")).unwrap().len();
    assert_eq!(harness.counted(Counter::BytesRead), one);
}

#[test]
fn one_chunk_of_a_shard_is_read_alone() {
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let x = Array::<f64>::random_normal(&[512, 512], 0.0, 1.0, 3);
    let options = ZarrOptions {
        chunks: Some(vec![64, 64]),
        shards: Some(vec![512, 512]),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let harness = Harness::new(1 << 20, 2);
    let corner = Array::<f64>::open_zarr(&path).slice(s![..10, ..10]);
    assert_eq!(
        corner.compute_with(&harness).unwrap(),
        x.slice(s![..10, ..10])
            .compute_with(&SerialExecutor)
            .unwrap()
    );
    let whole = fs::metadata(path.join("c/0/0")).unwrap().len();
    assert!(harness.counted(Counter::BytesRead) < whole / 8);
}

#[test]
fn regions_are_stored_around_what_is_there() {
    let directory = quick_directory();
    let executors = [Harness::new(16 << 10, 2), Harness::new(64 << 20, 1)];
    for (i, harness) in executors.iter().enumerate() {
        let x = numbers(&[23, 17]);
        let y = numbers(&[11, 6]) * -1.0;
        let region = [7..18, 5..11];
        let mut expected = x.clone();
        expected.slice_mut(s![7..18, 5..11]).assign(&y);
        let lazy = Array::from_ndarray(y.clone());
        for (name, shards) in [("plain", None), ("shards", Some(vec![10, 8]))] {
            let path = directory.path().join(format!("{name}{i}.zarr"));
            let options = ZarrOptions {
                chunks: Some(vec![5, 4]),
                shards,
                ..ZarrOptions::default()
            };
            let stored = Array::from_ndarray(x.clone());
            stored.store_zarr_with(harness, &path, &options).unwrap();
            let to = StoreTo::ZarrRegion(&path, &region);
            lazy.store_with(harness, &to).unwrap();
            let back = Array::<f64>::open_zarr(&path);
            assert_eq!(
                back.compute_with(&SerialExecutor).unwrap(),
                expected,
                "{name}"
            );
            // zeros are what is not stored: the file goes
            let zeros = Array::<f64>::zeros(&[23, 17]);
            let all = [0..23, 0..17];
            zeros
                .store_with(harness, &StoreTo::ZarrRegion(&path, &all))
                .unwrap();
            assert!(!path.join("c/0/0").exists());
            assert_eq!(back.sum(..).compute_with(&SerialExecutor).unwrap()[[]], 0.0);
            let outside = [7..18, 12..18];
            let error = lazy.store_with(harness, &StoreTo::ZarrRegion(&path, &outside));
            assert!(error.unwrap_err().to_string().contains("shape is [23, 17]"));
        }
        let path = directory.path().join(format!("{i}.npy"));
        Array::from_ndarray(x)
            .store_npy_with(harness, &path)
            .unwrap();
        lazy.store_with(harness, &StoreTo::NpyRegion(&path, &region))
            .unwrap();
        let back = Array::<f64>::open_npy(&path);
        assert_eq!(back.compute_with(&SerialExecutor).unwrap(), expected);
    }
}

#[test]
fn stacks_and_raw_files() {
    let directory = quick_directory();
    let x = numbers(&[37, 9, 5]);
    let lazy = Array::from_ndarray(x.clone());
    for budget in [8 << 10, 1 << 20] {
        let harness = Harness::new(budget, 2);
        for (axis, length) in [(0, 10), (1, 2), (-1, 7)] {
            let path = directory.path().join(format!("{axis}-{budget}"));
            let to = StoreTo::NpyStack {
                path: &path,
                axis,
                length,
                output: OutputOptions::default(),
            };
            lazy.store_with(&harness, &to).unwrap();
            let back = Array::<f64>::open_npy_directory(&path, axis);
            assert_eq!(
                back.compute_with(&SerialExecutor).unwrap(),
                x,
                "{axis} {budget}"
            );
        }
        let path = directory.path().join(format!("{budget}.raw"));
        lazy.store_with(&harness, &StoreTo::Raw(&path, OutputOptions::default()))
            .unwrap();
        let back = Array::<f64>::open_raw(&path, &[37, 9, 5], 0);
        assert_eq!(back.compute_with(&SerialExecutor).unwrap(), x);
    }
    let empty = Array::<f64>::open_npy_directory(directory.path(), 0);
    assert!(
        empty
            .check()
            .unwrap_err()
            .to_string()
            .contains("no npy files")
    );
}
